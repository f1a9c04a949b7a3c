//! A user's whole story on one page, and what a helper may do for them. What can't be taken back is asked once more, on a
//! page of its own.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, draw, minute, redirect,
    table::{self, Asked, DrawnRow, Events},
};
use crate::{
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        admin::Role,
        audit::EventColumn,
        clock::Timestamp,
        field::Problems,
        filter::{Filter, Test},
        refusal::Refusal,
    },
    flows::{
        Error, manage_users,
        story::{self, InDirectory, Story},
    },
    web::{form::Form, user::page},
};

/// So many events are shown.
const EVENTS: usize = 50;
const COLUMNS: [EventColumn; 7] = [
    EventColumn::At,
    EventColumn::Outcome,
    EventColumn::Action,
    EventColumn::Detail,
    EventColumn::Source,
    EventColumn::SourceIp,
    EventColumn::SourceUser,
];
/// What can be done, by the word in forms and among the texts.
const DEEDS: [&str; 2] = ["clear", "delete"];

/// `/admin/users/…/…`
pub(super) struct UserPage;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    user: Words,
}

#[derive(Serialize)]
struct Words {
    name: String,
    domain: String,
    guid: String,
    state: &'static str,
    facts: Vec<(&'static str, String)>,
    ways: Vec<(&'static str, usize)>,
    /// What the directory says: `there`, `gone`, `silent` or `not_served`; and what it says of them.
    directory: &'static str,
    there: Vec<(&'static str, String)>,
    /// What is wrong there.
    flags: Vec<&'static str>,
    heads: Vec<&'static str>,
    rows: Vec<DrawnRow>,
    is_searching: bool,
    events: String,
    may_clear: bool,
    may_delete: bool,
    /// What is to be confirmed; and what was done.
    confirm: &'static str,
    done: &'static str,
    here: String,
}

fn account(seat: &Seat<'_>) -> Result<AccountKey, Error> {
    let part = |name| seat.request.raw_path_param(name).unwrap_or_default();
    let guid = ObjectGuid::parse(part("guid")).ok_or(Error::Refused(Refusal::NotFound))?;
    let domain = part("domain");
    let is_name =
        domain.len() <= 255 && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_name || domain.is_empty() {
        return Err(Error::Refused(Refusal::NotFound));
    }
    Ok(AccountKey { domain: DomainName::new(domain), guid })
}

async fn load(seat: &Seat<'_>, key: &AccountKey) -> Result<Story, Error> {
    story::tell(&seat.site.services, key).await?.ok_or(Error::Refused(Refusal::NotFound))
}

fn facts(story: &Story) -> Vec<(&'static str, String)> {
    let time = |at: Option<Timestamp>| at.map(minute);
    let tally = &story.tally;
    let count = |count: u32| (count > 0).then(|| count.to_string());
    let facts = [
        ("email", story.user.email.clone()),
        ("enrolled", time(story.user.enrolled_at)),
        ("reset", time(story.user.reset_at)),
        ("unlocked", time(story.user.unlocked_at)),
        ("changed", time(story.user.changed_at)),
        ("locked", time(tally.locked_at)),
        ("wrong_answers", count(tally.wrong_answers)),
        ("wrong_codes", count(tally.wrong_codes)),
        ("wrong_passwords", count(tally.wrong_passwords)),
    ];
    facts.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn directory(
    story: &Story,
    now: Timestamp,
) -> (&'static str, Vec<(&'static str, String)>, Vec<&'static str>) {
    let account = match &story.directory {
        InDirectory::NotServed => return ("not_served", Vec::new(), Vec::new()),
        InDirectory::Silent => return ("silent", Vec::new(), Vec::new()),
        InDirectory::Gone => return ("gone", Vec::new(), Vec::new()),
        InDirectory::There(account) => account,
    };
    let facts = [
        ("account", Some(account.qualified_name())),
        ("display_name", account.display_name.clone()),
        ("mail", account.mail.clone()),
        ("dn", Some(account.distinguished_name.clone())),
    ];
    let must_change = account.password_last_set == 0;
    let is_over = crate::domain::reminder::days_left(account, now) == Some(0);
    let flags = [
        ("disabled", account.disabled),
        ("expired", account.expired),
        ("locked", account.locked),
        ("must_change", must_change),
        ("password_over", is_over && !must_change),
        ("privileged", account.privileged),
    ];
    let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    ("there", facts, flags.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect())
}

async fn show(seat: &Seat<'_>, key: &AccountKey) -> Result<Response, Error> {
    let site = seat.site;
    let story = load(seat, key).await?;
    let asked = Asked::of(seat.request);
    let events = Filter::Is(EventColumn::Account, Test::In(vec![key.guid.to_string()]));
    let (rows, is_searching) = table::latest::<Events>(seat, &events, &COLUMNS, EVENTS).await?;
    let (in_directory, there, flags) = directory(&story, site.services.clock.now());
    let user = &story.user;
    let state = match (user.is_enrolled, user.is_automatic, user.is_locked) {
        (false, _, false) => "not_enrolled",
        (false, _, true) | (true, false, true) => "locked",
        (true, true, true) => "automatic_locked",
        (true, true, false) => "automatic",
        (true, false, false) => "enrolled",
    };
    let may = seat.admin.role >= Role::HelpDesk;
    let here = table::story(key);
    let words = Words {
        name: user.name.clone(),
        domain: key.domain.to_string(),
        guid: key.guid.to_string(),
        state,
        facts: facts(&story),
        ways: story.ways.iter().map(|(factor, count)| (factor.as_str(), *count)).collect(),
        directory: in_directory,
        there,
        flags,
        heads: COLUMNS.iter().map(|column| crate::domain::filter::Column::key(*column)).collect(),
        rows,
        is_searching,
        events: table::href::<Events>(events),
        may_clear: may && (user.is_locked || story.tally.wrong_answers > 0 || story.tally.wrong_codes > 0),
        may_delete: may && user.is_enrolled,
        confirm: DEEDS.into_iter().find(|deed| may && *deed == asked.text("do")).unwrap_or_default(),
        done: ["cleared", "deleted"].into_iter().find(|done| *done == asked.text("done")).unwrap_or_default(),
        here: here.clone(),
    };
    let token = seat.token(&here);
    let form = page::Form::new(site, seat.language, here, token, &Problems::new());
    let page = page::Page::new(site, seat.language, "admin", "users");
    let context = Context { page, panel: Panel::new(seat, "users"), form, user: words };
    Ok(draw(site, seat.language, "admin/user.html", context, StatusCode::OK))
}

#[async_trait]
impl Page for UserPage {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    fn is_sent_by(&self, role: Role) -> bool {
        role >= Role::HelpDesk
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        show(&seat, &account(&seat)?).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let services = &seat.site.services;
        let key = account(&seat)?;
        let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
        let Some(user) = manage_users::find(services, &key, None).await? else {
            return Ok(redirect("/admin/users"));
        };
        let done = match action.as_str() {
            "clear" => {
                manage_users::clear_lockout(services, &seat.editor(), &user).await?;
                "cleared"
            }
            "delete" => {
                manage_users::delete_enrollment(services, &seat.editor(), &user).await?;
                "deleted"
            }
            _ => return Ok(redirect(&table::story(&key))),
        };
        seat.site.desk.forget(&seat.admin.who);
        let is_known = story::tell(services, &key).await?.is_some();
        let to = if is_known { table::story(&key) } else { "/admin/users".into() };
        Ok(redirect(&format!("{to}?done={done}")))
    }
}
