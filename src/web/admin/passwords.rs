//! Regain's own rules for new passwords, set by set: `/admin/passwords`.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;
use toml::{Table, Value};

use super::{Page, Panel, Seat, draw, redirect, settings};
use crate::{
    domain::{admin::Role, field::Problems, refusal::Refusal},
    flows::{
        Error,
        change_settings::{self, Change, Edit},
        new_password,
    },
    settings::{Audience, PasswordRules, layers},
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/passwords";
/// The key of the sets among the settings.
const KEY: &str = "password_rules";
/// More would only confuse.
const MOST: usize = 20;

pub(super) struct Passwords;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    saved: bool,
    sets: Vec<Set>,
    /// Where they are fixed, if they are.
    fixed: Option<String>,
    may_add: bool,
    version: u64,
    /// The list of stolen passwords: how many are in it.
    breached: Option<u64>,
    /// Why it can't be used.
    trouble: String,
}

#[derive(Serialize)]
struct Set {
    name: String,
    href: String,
    audience: &'static str,
    groups: usize,
    rules: Vec<String>,
}

impl Set {
    fn of(seat: &Seat<'_>, index: usize, set: &PasswordRules) -> Self {
        let audience = match set.audience {
            Audience::Everyone => "everyone",
            Audience::Members => "members",
            Audience::Others => "others",
        };
        let rules = set.told();
        let rules = rules.list().map(|rule| page::rule_text(seat.site, seat.language, rule)).collect();
        Self {
            name: set.name.clone(),
            href: format!("/admin/settings/{KEY}.{index}"),
            audience,
            groups: set.groups.len(),
            rules,
        }
    }
}

async fn draw_sets(seat: &Seat<'_>, refused: Option<String>) -> Result<Response, Error> {
    let services = &seat.site.services;
    let settings = services.settings.load_full();
    let mut form = page::Form::new(seat.site, seat.language, PATH.into(), seat.token(PATH), &Problems::new());
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    form.summarise(refused.unwrap_or_default());
    let list = new_password::stolen(services).await?;
    let fixed = services.fixed.source(&format!("{KEY}.0")).map(str::to_owned);
    let context = Context {
        page: page::Page::new(seat.site, seat.language, "admin", "settings"),
        panel: Panel::new(seat, KEY),
        form,
        saved: seat.request.uri().query() == Some("saved"),
        sets: settings.password_rules.iter().enumerate().map(|(at, set)| Set::of(seat, at, set)).collect(),
        may_add: seat.admin.role >= Role::Administrator && fixed.is_none(),
        fixed,
        version: change_settings::load(services).await?.0,
        breached: list.as_ref().and_then(|list| list.as_ref().ok().copied()),
        trouble: list.and_then(Result::err).unwrap_or_default(),
    };
    Ok(draw(seat.site, seat.language, "admin/passwords.html", context, status))
}

#[async_trait]
impl Page for Passwords {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        draw_sets(&seat, None).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let seen = form.take("version").ok().and_then(|text| text.reveal().parse::<u64>().ok());
        let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
        if form.finish().is_some() || action != "add" {
            return Err(Error::Refused(Refusal::NotFound));
        }
        let services = &seat.site.services;
        let say = |key: &str| seat.say(key, &[]);
        let (_, changed) = change_settings::load(services).await?;
        let mut sets = layers::find(&changed, KEY).and_then(Value::as_array).cloned().unwrap_or_default();
        if sets.len() >= MOST {
            return draw_sets(&seat, Some(say("admin.passwords.full"))).await;
        }
        let names: Vec<_> = sets.iter().filter_map(|set| set.get("name")?.as_str()).collect();
        let base = say("admin.passwords.new_name");
        let mut numbers = (1..=MOST + 1).map(|number| format!("{base} {number}"));
        let name = numbers.find(|name| !names.contains(&name.as_str())).unwrap_or(base);
        let index = sets.len();
        sets.push(Value::Table(Table::from_iter([("name".to_owned(), Value::String(name))])));
        let edit = Edit { key: KEY.to_owned(), value: Some(Value::Array(sets)) };
        match change_settings::change(services, &seat.editor(), seen.unwrap_or(u64::MAX), vec![edit]).await? {
            Change::Made(_) => Ok(redirect(&format!("/admin/settings/{KEY}.{index}"))),
            Change::Wrong(faults) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                draw_sets(&seat, Some(faults.join(" "))).await
            }
            Change::Conflict => draw_sets(&seat, Some(say("admin.conflict"))).await,
        }
    }
}
