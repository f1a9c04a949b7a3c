//! The tabs of the settings, drawn from the one table: kind, bounds, default, help, secret or not.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;
use toml::Table;

use super::{
    Page, Panel, Seat, appearance,
    control::{Button, Content, Control, FoundGroup, FoundGroups, Given},
    draw,
    names::Names,
    redirect,
};
use crate::{
    domain::{
        admin::Role,
        code::Code,
        contact::{EmailAddress, PhoneNumber},
        field::{Field as FormField, Problem, Problems},
        refusal::Refusal,
        secret::SecretText,
    },
    flows::{
        Error,
        change_settings::{self, Change, Edit},
        sign_in,
        try_out::{self, Finding, Tried, Verdict},
    },
    settings::{Fault, Field, General, Of, Shape, Tab as _, layers},
    web::{form::Form, headers, user::page},
};

/// The tabs, in the order in which they are offered. Each domain is a tab of its own besides.
pub(super) const TABS: [&str; 17] = [
    "acme",
    "general",
    "appearance",
    "enroll",
    "security",
    "methods",
    "codes",
    "permissions",
    "mail",
    "sms",
    "alerts",
    "reminders",
    "audit",
    "backup",
    "limits",
    "admin",
    "api",
];

/// Whether someone in that role may see settings: those who help users have no need to.
pub(super) fn is_for(role: Role) -> bool {
    role != Role::HelpDesk
}

/// The tabs that decide who is let in, and where codes and backups go: they want a fresh proof.
const GUARDED: [&str; 16] = [
    "acme",
    "enroll",
    "security",
    "methods",
    "codes",
    "permissions",
    "mail",
    "sms",
    "alerts",
    "audit",
    "backup",
    "limits",
    "admin",
    "api",
    "domain",
    "password_rules",
];

/// Lists of sections that look alike: each is a page of its own, and there is one with all of them.
const LISTS: [(&str, &str); 2] = [("domain", "/admin/domains"), ("password_rules", "/admin/passwords")];

/// So many trials and searches a minute: what is tried reaches into the network.
const TRIALS: u32 = 12;

/// `/admin/settings/TAB`
pub(super) struct TabPage;

#[derive(Serialize)]
struct TabContext<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    tab: TabWords,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own in the template")]
struct TabWords {
    key: String,
    /// The title, if it is not that of the tab: a domain's name.
    title: String,
    version: u64,
    saved: bool,
    /// Whether there is something on the page that is not saved.
    is_draft: bool,
    may_change: bool,
    /// Whether the code of the app is wanted before anything is changed.
    wants_code: bool,
    /// The box to go on at.
    focus: String,
    groups: Vec<Group>,
    /// The names of the domains, for lists of them.
    domains: Vec<String>,
    /// Whether it is one of a list, and can be taken out of it.
    may_take_out: bool,
    /// What can be tried here: `mail`, `sms`, `domain` or nothing.
    trial: &'static str,
    trial_to: String,
    findings: Vec<FindingRow>,
    /// The version of the logo, where there is one to be looked at.
    logo: String,
}

/// A line of what a trial told.
#[derive(Serialize)]
pub(super) struct FindingRow {
    verdict: &'static str,
    subject: String,
    text: String,
}

impl From<Finding> for FindingRow {
    fn from(finding: Finding) -> Self {
        let verdict = match finding.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "warning",
            Verdict::Bad => "bad",
        };
        Self { verdict, subject: finding.subject, text: finding.text }
    }
}

/// Fields under one heading; the tab's own have none.
#[derive(Serialize)]
struct Group {
    heading: String,
    help: String,
    /// The language of the help, if it is not that of the page.
    help_language: &'static str,
    fields: Vec<Control>,
}

/// Of which list a tab is one, and which; and the page with all.
fn one_of(tab: &str) -> Option<(&'static str, usize, &'static str)> {
    let (list, number) = tab.split_once('.')?;
    let (list, path) = LISTS.into_iter().find(|(known, _)| *known == list)?;
    Some((list, number.parse().ok()?, path))
}

/// The number of the domain whose tab it is.
fn domain_of(tab: &str) -> Option<usize> {
    one_of(tab).filter(|(list, ..)| *list == "domain").map(|(_, index, _)| index)
}

/// Part of a tab: its key, its help, its fields that are edited as one value.
type Part = (String, &'static str, Vec<&'static Field>);

/// The parts of a tab whose fields can be edited here. What is kept in the General tab and is part of how the pages look is
/// found under Appearance.
pub(super) fn sections(tab: &str) -> Option<Vec<Part>> {
    let is_tab = TABS.contains(&tab) || one_of(tab).is_some();
    let field = layers::field(tab).filter(|_| is_tab)?;
    let (Shape::Section(fields) | Shape::Sections(fields)) = field.shape else { return None };
    let mut sections = vec![(tab.to_owned(), "", plain(fields))];
    for field in fields {
        if let Shape::Section(inner) = field.shape {
            sections.push((format!("{tab}.{}", field.key), field.help, plain(inner)));
        }
    }
    let of_general = |wanted: &dyn Fn(&str) -> bool| {
        let fields = plain(General::FIELDS).into_iter().filter(|field| wanted(field.key)).collect();
        ("general".to_owned(), "", fields)
    };
    let is_said = |key: &str| ["product_name", "help_desk", "footer"].contains(&key);
    let is_item = |key: &str| key.starts_with("show_");
    match tab {
        appearance::TAB => {
            sections.insert(0, of_general(&is_said));
            sections.push(of_general(&is_item));
        }
        "general" => sections = vec![of_general(&|key| !is_said(key) && !is_item(key))],
        _ => {}
    }
    Some(sections)
}

fn plain(fields: &'static [Field]) -> Vec<&'static Field> {
    let is_plain = |field: &&Field| !matches!(field.shape, Shape::Section(_) | Shape::Sections(_));
    fields.iter().filter(is_plain).collect()
}

/// What is in force, as a table, and which secrets are set.
fn effective(seat: &Seat<'_>, changed: &Table) -> (Table, Vec<String>) {
    let mut all = changed.clone();
    layers::lay_over(&mut all, &seat.site.services.fixed.table);
    let mut secrets = Vec::new();
    let Ok(()) = layers::each_secret(&mut all, &mut |key, _| {
        secrets.push(key.to_owned());
        Ok::<(), std::convert::Infallible>(())
    });
    (seat.site.services.settings.load().values(), secrets)
}

/// What is on the page besides what is in force.
#[derive(Default)]
struct State {
    /// What was typed, of the fields that were changed: over what, and what.
    drafts: Vec<(String, Content, Content)>,
    faults: Vec<Fault>,
    /// What is to be said of the form as a whole, among the texts.
    summary: Option<&'static str>,
    /// What is wrong with the code of the app.
    problems: Problems,
    /// Whether a right code was among it.
    is_proved: bool,
    /// The secrets that were given or to be removed: what is not done is told, since they are not shown again.
    secrets: Vec<String>,
    /// What a trial told, and for whom it was.
    findings: Vec<Finding>,
    trial_to: String,
    /// What a search for groups found, for which list.
    found: Option<(String, FoundGroups)>,
    focus: String,
}

impl State {
    fn is_refused(&self) -> bool {
        !self.faults.is_empty() || !self.problems.is_empty() || self.summary.is_some()
    }
}

/// The sections of a tab as they are drawn: what is in force, with what was typed over it.
async fn groups_of(
    seat: &Seat<'_>,
    tab: &str,
    sections: Vec<Part>,
    (effective, secrets): (&Table, &[String]),
    state: &mut State,
) -> Vec<Group> {
    let services = &seat.site.services;
    let mut contents = Vec::new();
    for (prefix, help, fields) in sections {
        for field in fields {
            let key = format!("{prefix}.{}", field.key);
            let was = Content::of(field, layers::find(effective, &key));
            let draft = state.drafts.iter().position(|(name, ..)| *name == key);
            let content = match draft.map(|index| state.drafts.swap_remove(index)) {
                Some((_, base, own)) => own.merged(&base, &was),
                None => was.clone(),
            };
            contents.push((prefix.clone(), help, field, key, was, content));
        }
    }
    let group_lists = contents.iter().filter(|(_, _, field, ..)| field.of == Some(Of::Groups));
    let sids: Vec<String> = group_lists
        .filter_map(|(.., content)| match content {
            Content::List(sids) => Some(sids.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    let names = try_out::names_of_groups(services, &sids).await;
    let words = Names::of(seat);
    let languages = seat.site.renderer.languages();
    let title_of = |code: &str| {
        languages.iter().find(|known| known.code == code).map_or(code, |known| known.name.as_str()).to_owned()
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut last = String::new();
    for (prefix, help, field, key, was, content) in contents {
        if groups.is_empty() || prefix != last {
            let is_own = prefix == tab;
            let heading = if tab == appearance::TAB {
                let key = format!("admin.appearance.part.{}", groups.len() + 1);
                seat.say(&key, &[])
            } else {
                Some(words.heading(&prefix)).filter(|_| !is_own).unwrap_or_default()
            };
            groups.push(Group {
                heading,
                help: words.about(&prefix, help),
                help_language: words.language(&prefix),
                fields: Vec::new(),
            });
            last = prefix;
        }
        let name_of = |text: &str| names.get(text).cloned().unwrap_or_default();
        let mut control = Control::new(words, &key, field, &content, &was, title_of, name_of);
        let fixed = services.fixed.source(&key);
        control.is_for_the_file = layers::is_for_the_file(&key);
        control.is_fixed = fixed.is_some() || control.is_for_the_file;
        fixed.unwrap_or_default().clone_into(&mut control.fixed);
        control.is_set = secrets.contains(&key);
        if let Content::Lists(lists) = &content {
            let missing = languages.iter().filter(|language| !lists.contains_key(&language.code));
            control.languages = missing
                .map(|language| page::Choice::labelled(&language.code, &language.name, false))
                .collect();
        }
        if let Some((_, found)) = state.found.take_if(|(of, _)| *of == key) {
            control.found = Some(found);
        }
        if let Some(group) = groups.last_mut() {
            group.fields.push(control);
        }
    }
    groups.retain(|group| !group.fields.is_empty());
    groups
}

/// Says what is wrong: beside its setting, or, if that is not on the page, above all.
fn tell_faults(seat: &Seat<'_>, form: &mut page::Form, groups: &[Group], state: &State) {
    let texts = seat.site.renderer.texts();
    let mut elsewhere = Vec::new();
    let is_lost = |key: &&String| !state.faults.iter().any(|fault| fault.key.ends_with(key.as_str()));
    let lost = state.secrets.iter().filter(is_lost);
    let lost: Vec<_> =
        lost.map(|key| Fault::new(key, "was not changed yet; please enter it again")).collect();
    for fault in state.faults.iter().chain(&lost) {
        let key = fault.key.strip_prefix("settings.").unwrap_or(&fault.key);
        let is_here = |control: &Control| {
            control.name == key || key.strip_prefix(&control.name).is_some_and(|rest| rest.starts_with('.'))
        };
        match groups.iter().flat_map(|group| &group.fields).find(|control| is_here(control)) {
            Some(control) => {
                form.add_fault(control.name.clone(), format!("{}: {}", control.label, fault.text));
            }
            None => elsewhere.push(fault.to_string()),
        }
    }
    let mut words: Vec<String> =
        state.summary.map(|key| texts.text(&seat.language.code, key, &[])).into_iter().collect();
    words.extend(elsewhere);
    form.summarise(words.join(" "));
}

/// Draws a tab; with nothing in `state` as it is in force.
async fn draw_tab(seat: &Seat<'_>, tab: &str, state: Option<&mut State>) -> Result<Response, Error> {
    let mut fresh = State::default();
    let (is_sent, state) = match state {
        Some(state) => (true, state),
        None => (false, &mut fresh),
    };
    let services = &seat.site.services;
    let sections = sections(tab).ok_or(Error::Refused(Refusal::NotFound))?;
    let (version, changed) = change_settings::load(services).await?;
    let (effective, secrets) = effective(seat, &changed);
    if one_of(tab).is_some() && layers::find(&effective, tab).is_none() {
        return Err(Error::Refused(Refusal::NotFound));
    }
    let path = format!("/admin/settings/{tab}");
    let mut form =
        page::Form::new(seat.site, seat.language, path.clone(), seat.token(&path), &state.problems);
    let groups = groups_of(seat, tab, sections, (&effective, &secrets), state).await;
    tell_faults(seat, &mut form, &groups, state);
    let is_proved = seat.admin.is_fresh || state.is_proved;
    let (first, trial) = match tab.split_once('.') {
        Some((first, _)) => (first, if domain_of(tab).is_some() { "domain" } else { "" }),
        None => (tab, ["mail", "sms", "audit"].into_iter().find(|known| *known == tab).unwrap_or_default()),
    };
    let domains = services.domains();
    let title = match one_of(tab) {
        Some(("domain", index, _)) => domains.get(index).map(|domain| domain.netbios.clone()),
        Some(_) => {
            layers::find(&effective, &format!("{tab}.name")).and_then(|it| it.as_str()).map(str::to_owned)
        }
        None => None,
    };
    let is_refused = state.is_refused();
    if !is_sent && tab == appearance::TAB {
        seat.site.drafts.forget(&seat.session.hash());
    }
    let may_change = seat.admin.role >= Role::Administrator;
    let context = TabContext {
        page: page::Page::new(seat.site, seat.language, "admin", "settings"),
        panel: Panel::new(seat, first),
        form,
        tab: TabWords {
            key: first.to_owned(),
            title: title.unwrap_or_default(),
            version,
            saved: !is_sent && seat.request.uri().query() == Some("saved"),
            is_draft: is_sent,
            may_change,
            wants_code: !is_proved && GUARDED.contains(&first),
            focus: std::mem::take(&mut state.focus),
            groups,
            domains: domains.into_iter().map(|domain| domain.netbios).collect(),
            may_take_out: may_change && one_of(tab).is_some() && services.fixed.source(tab).is_none(),
            trial: if may_change { trial } else { "" },
            trial_to: std::mem::take(&mut state.trial_to),
            findings: std::mem::take(&mut state.findings).into_iter().map(FindingRow::from).collect(),
            logo: appearance::look(seat).1.logo_version.clone(),
        },
    };
    let status = if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut response = draw(seat.site, seat.language, "admin/settings.html", context, status);
    if tab == appearance::TAB {
        headers::allow_frames(&mut response);
    }
    Ok(response)
}

#[async_trait]
impl Page for TabPage {
    fn is_for(&self, role: Role) -> bool {
        is_for(role)
    }

    fn longest_upload(&self) -> Option<usize> {
        Some(appearance::LARGEST_UPLOAD)
    }

    async fn refuse_large(&self, seat: Seat<'_>) -> Result<Response, Error> {
        if seat.request.raw_path_param("tab") != Some(appearance::TAB) {
            return Ok(StatusCode::PAYLOAD_TOO_LARGE.into());
        }
        let mut state = State { faults: vec![appearance::too_large()], ..State::default() };
        draw_tab(&seat, appearance::TAB, Some(&mut state)).await
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let tab = seat.request.raw_path_param("tab").unwrap_or_default().to_owned();
        draw_tab(&seat, &tab, None).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let tab = seat.request.raw_path_param("tab").unwrap_or_default().to_owned();
        let sections = sections(&tab).ok_or(Error::Refused(Refusal::NotFound))?;
        let services = &seat.site.services;
        let text_of = |form: &mut Form, name: &str| {
            form.take(name).map(|text| text.reveal().trim().to_owned()).unwrap_or_default()
        };
        let seen = form.take("version").ok().and_then(|text| text.reveal().parse::<u64>().ok());
        let action = text_of(&mut form, "action");
        let mut state = State { trial_to: text_of(&mut form, "trial.to"), ..State::default() };
        let mut all = Vec::new();
        let mut asked = Vec::new();
        for (prefix, _, fields) in sections {
            for field in fields {
                let key = format!("{prefix}.{}", field.key);
                for kind in ["search", "language"] {
                    let name = format!("{key}.{kind}");
                    asked.push((name.clone(), text_of(&mut form, &name)));
                }
                match Given::read(&mut form, key, field) {
                    Some(Ok(given)) => all.push(given),
                    Some(Err(fault)) => state.faults.push(fault),
                    None => {}
                }
            }
        }
        if tab == appearance::TAB {
            appearance::take_logo(&mut form, &mut all, &mut state.faults);
        }
        let code = form.has("code").then(|| form.take("code"));
        if form.finish().is_some() {
            state.faults.push(Fault::new("form", "has something that doesn't belong to it"));
        }
        let asked_of = |name: String| {
            asked.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text.as_str())
        };
        // A button of a list changes what is on the page, and nothing else.
        if let Some(button) = Button::parse(&action).filter(|_| state.faults.is_empty()) {
            let given = all.iter_mut().find(|given| given.key == button.key);
            let given = given.ok_or(Error::Refused(Refusal::NotFound))?;
            if button.verb == "find" {
                let typed = asked_of(format!("{}.search", button.key));
                state.found = Some((given.key.clone(), find_groups(&seat, typed).await?));
                state.focus = format!("{}.search", given.key);
            } else {
                let language = asked_of(format!("{}.language", button.key));
                let is_new = button.verb == "language";
                let button = if is_new { button.in_language(language) } else { button };
                state.focus = given.press(&button).unwrap_or_default();
            }
            keep_drafts(&mut state, all);
            return draw_tab(&seat, &tab, Some(&mut state)).await;
        }
        let edits_of = |all: &[Given]| -> Vec<_> {
            let changed = all.iter().filter(|given| given.is_changed());
            changed.map(|given| Edit { key: given.key.clone(), value: given.value() }).collect()
        };
        let edits = edits_of(&all);
        if tab == appearance::TAB {
            let faults = appearance::keep(&seat, edits_of(&all)).await?;
            if action == "preview" {
                state.faults.extend(faults);
            }
        }
        keep_drafts(&mut state, all);
        if tab == appearance::TAB && action == "preview" {
            return draw_tab(&seat, &tab, Some(&mut state)).await;
        }
        if action == "take-out" {
            return take_out(seat, &tab, seen, code, state).await;
        }
        if action == "try" && state.faults.is_empty() {
            // What was typed for one domain is not sent to another that has taken its number meanwhile.
            if seen != Some(change_settings::load(services).await?.0) {
                state.summary = Some("admin.conflict");
                return draw_tab(&seat, &tab, Some(&mut state)).await;
            }
            // What is not in force yet wants the same proof as putting it in force: it reaches into the network.
            if !edits.is_empty() {
                prove(&seat, &tab, code, &mut state).await?;
            }
            if !state.is_refused() {
                try_it(&seat, &tab, &edits, &mut state).await?;
            }
            return draw_tab(&seat, &tab, Some(&mut state)).await;
        }
        if state.faults.is_empty() {
            prove(&seat, &tab, code, &mut state).await?;
        }
        if !state.is_refused() {
            match change_settings::change(services, &seat.editor(), seen.unwrap_or(u64::MAX), edits).await? {
                Change::Made(_) => return Ok(redirect(&format!("/admin/settings/{tab}?saved"))),
                Change::Wrong(faults) => state.faults = faults,
                Change::Conflict => state.summary = Some("admin.conflict"),
            }
        }
        draw_tab(&seat, &tab, Some(&mut state)).await
    }
}

/// Keeps what was typed and is not saved.
fn keep_drafts(state: &mut State, all: Vec<Given>) {
    for given in all.into_iter().filter(Given::is_changed) {
        if given.field.is_secret() {
            state.secrets.push(given.key);
        } else {
            state.drafts.push((given.key, given.was, given.content));
        }
    }
}

/// Takes the code of the app, where a fresh proof is wanted.
async fn prove(
    seat: &Seat<'_>,
    tab: &str,
    code: Option<Result<SecretText, Problem>>,
    state: &mut State,
) -> Result<(), Error> {
    let first = tab.split('.').next().unwrap_or_default();
    if seat.admin.is_fresh || !GUARDED.contains(&first) {
        return Ok(());
    }
    let code = code.unwrap_or(Err(Problem::FieldEmpty)).and_then(|text| Code::parse(&text));
    if let Some(code) = state.problems.keep(FormField::Code, code) {
        state.is_proved = sign_in::prove_again(&seat.site.services, seat.session, &code).await?;
        if !state.is_proved {
            state.problems.push(FormField::Code, Problem::AppCodeWrong);
        }
    }
    Ok(())
}

/// A domain is no longer served, or a set of rules is gone.
async fn take_out(
    seat: Seat<'_>,
    tab: &str,
    seen: Option<u64>,
    code: Option<Result<SecretText, Problem>>,
    mut state: State,
) -> Result<Response, Error> {
    let Some((.., all)) = one_of(tab) else { return Err(Error::Refused(Refusal::NotFound)) };
    prove(&seat, tab, code, &mut state).await?;
    if !state.is_refused() {
        let edit = Edit { key: tab.to_owned(), value: None };
        let services = &seat.site.services;
        match change_settings::change(services, &seat.editor(), seen.unwrap_or(u64::MAX), vec![edit]).await? {
            Change::Made(_) => return Ok(redirect(&format!("{all}?saved"))),
            Change::Wrong(faults) => state.faults = faults,
            Change::Conflict => state.summary = Some("admin.conflict"),
        }
    }
    draw_tab(&seat, tab, Some(&mut state)).await
}

/// One trial or search more; false if there were too many.
pub(super) fn may_try(seat: &Seat<'_>) -> bool {
    seat.site.trials.take(seat.address, TRIALS, 0, seat.site.services.clock.now()).is_ok()
}

async fn find_groups(seat: &Seat<'_>, typed: &str) -> Result<FoundGroups, Error> {
    let say = |key: &str| seat.say(key, &[]);
    let mut found = FoundGroups { typed: typed.to_owned(), ..FoundGroups::default() };
    if typed.chars().count() < 2 || typed.chars().count() > 100 {
        found.trouble = say("admin.groups.short");
    } else if !may_try(seat) {
        found.trouble = say("admin.trial.often");
    } else {
        match try_out::groups(&seat.site.services, typed).await {
            Ok(groups) if groups.is_empty() => found.trouble = say("admin.groups.none"),
            Ok(groups) => {
                found.groups = groups
                    .into_iter()
                    .map(|(domain, group)| FoundGroup {
                        name: format!("{domain}\\{}", group.name),
                        sid: group.sid,
                        description: group.description,
                    })
                    .collect();
            }
            Err(Error::Unavailable(..)) => found.trouble = say("admin.groups.unavailable"),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Tries what is on the page.
async fn try_it(seat: &Seat<'_>, tab: &str, edits: &[Edit], state: &mut State) -> Result<(), Error> {
    if !may_try(seat) {
        state.summary = Some("admin.trial.often");
        return Ok(());
    }
    let (services, editor) = (&seat.site.services, seat.editor());
    let language = &seat.language.code;
    let tried = match (tab, domain_of(tab)) {
        (_, Some(index)) => try_out::domain(services, &editor, edits, index).await?,
        ("mail", _) => match EmailAddress::parse(&state.trial_to) {
            Ok(to) => try_out::mail(services, &editor, edits, to, language).await?,
            Err(_) => Tried::Wrong(vec![Fault::new("trial", "is no e-mail address to send a mail to")]),
        },
        ("sms", _) => match PhoneNumber::parse(&state.trial_to) {
            Some(to) => try_out::text_message(services, &editor, edits, to, language).await?,
            None => {
                Tried::Wrong(vec![Fault::new("trial", "is no number to send to, such as +44 7700 900123")])
            }
        },
        ("audit", _) => try_out::forwarding(services, &editor, edits).await?,
        _ => return Err(Error::Refused(Refusal::NotFound)),
    };
    match tried {
        Tried::Wrong(faults) => state.faults = faults,
        Tried::Told(findings) => state.findings = findings,
    }
    Ok(())
}
