//! The tabs of the settings, drawn from the one table: kind, bounds, default, help, secret or not.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;
use toml::{Table, Value};

use super::{Page, Panel, Seat, draw, redirect};
use crate::{
    domain::{
        admin::Role,
        code::Code,
        field::{Field as FormField, Problem, Problems},
        refusal::Refusal,
    },
    flows::{
        Error,
        change_settings::{self, Change, Edit},
        sign_in,
    },
    settings::{Fault, Field, Shape, Tab as _, layers},
    web::{form::Form, user::page},
};

/// The tabs, in the order in which they are offered. The domains are edited in the configuration file.
pub(super) const TABS: [&str; 12] = [
    "general",
    "enroll",
    "security",
    "methods",
    "codes",
    "permissions",
    "mail",
    "sms",
    "alerts",
    "reminders",
    "limits",
    "admin",
];

/// Whether someone in that role may see settings: those who help users have no need to.
pub(super) fn is_for(role: Role) -> bool {
    role != Role::HelpDesk
}

/// The tabs that decide who is let in, and where codes are sent: they want a fresh proof.
const GUARDED: [&str; 10] =
    ["enroll", "security", "methods", "codes", "permissions", "mail", "sms", "alerts", "limits", "admin"];

/// `/admin`
pub(super) struct Overview;

#[derive(Serialize)]
struct OverviewContext<'a> {
    page: page::Page<'a>,
    panel: Panel,
    facts: Vec<(&'static str, String)>,
}

#[async_trait]
impl Page for Overview {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let site = seat.site;
        let domains: Vec<_> = site.services.domains().into_iter().map(|domain| domain.netbios).collect();
        let store = site.services.store.trouble().unwrap_or_default();
        let facts = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("domains", domains.join(", ")),
            ("store", store),
        ];
        let page = page::Page::new(site, seat.language, "admin", "menu");
        let context = OverviewContext { page, panel: Panel::new(&seat, ""), facts };
        Ok(draw(site, seat.language, "admin/overview.html", context, StatusCode::OK))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin"))
    }
}

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
struct TabWords {
    key: String,
    version: u64,
    saved: bool,
    may_change: bool,
    /// Whether the code of the app is wanted before anything is changed.
    wants_code: bool,
    groups: Vec<Group>,
}

/// Fields under one heading; the tab's own have none.
#[derive(Serialize)]
struct Group {
    heading: String,
    help: String,
    fields: Vec<Control>,
}

/// A field as it is drawn.
#[derive(Serialize)]
struct Control {
    name: String,
    label: String,
    help: String,
    kind: &'static str,
    value: String,
    /// What is in force: sent along, so that only what is changed here is changed.
    was: String,
    options: Vec<page::Choice>,
    /// The bounds of a number, and the default, in words of their own.
    least: String,
    most: String,
    default: String,
    /// Where it is fixed; empty if it is not.
    fixed: String,
    is_fixed: bool,
    is_for_the_file: bool,
    /// Whether a secret is set.
    is_set: bool,
}

/// The sections of a tab whose fields can be edited here.
fn sections(tab: &str) -> Option<Vec<(String, &'static str, &'static [Field])>> {
    let field = layers::field(tab).filter(|_| TABS.contains(&tab))?;
    let Shape::Section(fields) = field.shape else { return None };
    let mut sections = vec![(tab.to_owned(), "", fields)];
    for field in fields {
        if let Shape::Section(inner) = field.shape {
            sections.push((format!("{tab}.{}", field.key), field.help, inner));
        }
    }
    Some(sections)
}

/// The fields of a section that are edited as one value.
fn plain(fields: &'static [Field]) -> impl Iterator<Item = &'static Field> {
    fields.iter().filter(|field| !matches!(field.shape, Shape::Section(_) | Shape::Sections(_)))
}

/// `idle_timeout_seconds` as people read it: `Idle timeout seconds`.
fn label(key: &str) -> String {
    let mut words = key.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// A value as it stands in a box.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(lines)) => {
            lines.iter().map(|line| shown(Some(line))).collect::<Vec<_>>().join("\n")
        }
        Some(Value::Table(lists)) => {
            let lists = lists.iter().map(|(language, list)| format!("[{language}]\n{}", shown(Some(list))));
            lists.collect::<Vec<_>>().join("\n\n")
        }
        Some(other) => other.to_string(),
    }
}

/// What was typed, as a value; `None` for nothing. What can't be understood stays a text, to be refused.
fn understood(field: &Field, typed: &str) -> Option<Value> {
    let lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Value::Array(lines.map(|line| Value::String(line.to_owned())).collect())
    };
    match field.shape {
        Shape::List if typed.trim().is_empty() && (field.default)().is_none() => None,
        Shape::List => Some(lines(typed)),
        Shape::ListsByLanguage => {
            Some(lists_by_language(typed).map_or_else(|| Value::String(typed.to_owned()), Value::Table))
        }
        _ if typed.is_empty() => None,
        _ => Some(field.understand(typed)),
    }
}

/// Lists as they stand in a box: `[en]` on a line of its own above each. `None` if it is anything else.
fn lists_by_language(typed: &str) -> Option<Table> {
    let mut lists = Table::new();
    let mut current = None;
    for line in typed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(language) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let language = language.trim().to_owned();
            if lists.insert(language.clone(), Value::Array(Vec::new())).is_some() {
                return None;
            }
            current = Some(language);
        } else {
            let list = lists.get_mut(current.as_ref()?)?.as_array_mut()?;
            list.push(Value::String(line.to_owned()));
        }
    }
    Some(lists)
}

fn control(
    seat: &Seat<'_>,
    key: &str,
    field: &Field,
    effective: &Table,
    is_set: bool,
    typed: Option<&str>,
) -> Control {
    let fixed = seat.site.services.fixed.source(key);
    let was = shown(layers::find(effective, key));
    let value = typed.map_or_else(|| was.clone(), str::to_owned);
    let default = (field.default)();
    let bound = |bound: Option<u32>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    let (kind, options) = match field.shape {
        Shape::Switch => ("switch", Vec::new()),
        Shape::Number => ("number", Vec::new()),
        Shape::Secret => ("secret", Vec::new()),
        Shape::Choice(words) => {
            let mut options: Vec<_> = words.iter().map(|word| page::Choice::plain(word, &value)).collect();
            if default.is_none() {
                options.insert(0, page::Choice::labelled("", "", value.is_empty()));
            }
            ("choice", options)
        }
        Shape::List | Shape::ListsByLanguage => ("lines", Vec::new()),
        _ => ("text", Vec::new()),
    };
    let default = shown(default.as_ref());
    Control {
        name: key.to_owned(),
        label: label(field.key),
        help: field.help.trim().to_owned(),
        kind,
        value: if field.is_secret() { String::new() } else { value },
        options,
        least: bound(field.bounds.map(|bounds| bounds.0)),
        most: bound(field.bounds.map(|bounds| bounds.1)),
        default: if default.contains('\n') { String::new() } else { default },
        was: if field.is_secret() { String::new() } else { was },
        is_for_the_file: layers::is_for_the_file(key),
        is_fixed: fixed.is_some() || layers::is_for_the_file(key),
        fixed: fixed.unwrap_or_default().to_owned(),
        is_set,
    }
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

/// What was typed, of the fields that were changed.
type Typed = Vec<(String, String)>;

/// What was sent and could not be done.
#[derive(Default)]
struct Refused {
    typed: Typed,
    faults: Vec<Fault>,
    /// What is wrong with the form as a whole, among the texts.
    summary: Option<&'static str>,
    /// What is wrong with the code of the app.
    problems: Problems,
    /// Whether a right code was among it.
    is_proved: bool,
    /// The secrets that were given or to be removed: what is not done is told, since they are not shown again.
    secrets: Vec<String>,
}

async fn draw_tab(seat: &Seat<'_>, tab: &str, refused: Option<&Refused>) -> Result<Response, Error> {
    let sections = sections(tab).ok_or(Error::Refused(Refusal::NotFound))?;
    let (version, changed) = change_settings::load(&seat.site.services).await?;
    let (effective, secrets) = effective(seat, &changed);
    let path = format!("/admin/settings/{tab}");
    let problems = refused.map(|refused| refused.problems.clone()).unwrap_or_default();
    let mut form = page::Form::new(seat.site, seat.language, path.clone(), seat.token(&path), &problems);
    let texts = seat.site.renderer.texts();
    let groups = sections.into_iter().map(|(prefix, help, fields)| {
        let controls = plain(fields).map(|field| {
            let key = format!("{prefix}.{}", field.key);
            let typed = refused.and_then(|refused| refused.typed.iter().find(|(name, _)| *name == key));
            let is_set = secrets.contains(&key);
            control(seat, &key, field, &effective, is_set, typed.map(|(_, value)| value.as_str()))
        });
        let heading = prefix.split_once('.').map(|(_, section)| label(section)).unwrap_or_default();
        Group { heading, help: help.trim().to_owned(), fields: controls.collect() }
    });
    let groups: Vec<Group> = groups.filter(|group| !group.fields.is_empty()).collect();
    let mut elsewhere = Vec::new();
    let lost = refused.iter().flat_map(|refused| &refused.secrets);
    let lost: Vec<_> =
        lost.map(|key| Fault::new(key, "was not changed yet; please enter it again")).collect();
    let told = |key: &str| refused.is_some_and(|it| it.faults.iter().any(|fault| fault.key.ends_with(key)));
    let lost = lost.iter().filter(|fault| !told(&fault.key));
    for fault in refused.iter().flat_map(|refused| &refused.faults).chain(lost) {
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
    let mut words: Vec<String> = refused
        .and_then(|refused| refused.summary)
        .map(|key| texts.text(&seat.language.code, key, &[]))
        .into_iter()
        .collect();
    words.extend(elsewhere);
    form.summarise(words.join(" "));
    let is_proved = seat.admin.is_fresh || refused.is_some_and(|refused| refused.is_proved);
    let page = page::Page::new(seat.site, seat.language, "admin", "settings");
    let context = TabContext {
        page,
        panel: Panel::new(seat, tab),
        form,
        tab: TabWords {
            key: tab.to_owned(),
            version,
            saved: refused.is_none() && seat.request.uri().query() == Some("saved"),
            may_change: seat.admin.role >= Role::Administrator,
            wants_code: !is_proved && GUARDED.contains(&tab),
            groups,
        },
    };
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(draw(seat.site, seat.language, "admin/settings.html", context, status))
}

#[async_trait]
impl Page for TabPage {
    fn is_for(&self, role: Role) -> bool {
        is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let tab = seat.request.raw_path_param("tab").unwrap_or_default().to_owned();
        draw_tab(&seat, &tab, None).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let tab = seat.request.raw_path_param("tab").unwrap_or_default().to_owned();
        let Some(sections) = sections(&tab) else {
            return Err(Error::Refused(Refusal::NotFound));
        };
        let services = &seat.site.services;
        let seen = form.take("version").ok().and_then(|text| text.reveal().parse::<u64>().ok());
        let mut refused = Refused::default();
        let mut edits = Vec::new();
        for (prefix, _, fields) in sections {
            for field in plain(fields) {
                let key = format!("{prefix}.{}", field.key);
                // What is fixed is not in the form, nor what was not there yet when the page was opened.
                let was_name = format!("{key}.was");
                if !form.has(&was_name) {
                    continue;
                }
                let was = form.take(&was_name);
                let (given, removed) = (form.take(&key), form.is_checked(&format!("{key}.remove")));
                let (Ok(given), Ok(was)) = (given, was) else {
                    refused.faults.push(Fault::new(&key, "is no text"));
                    continue;
                };
                let mut text = given.reveal().replace("\r\n", "\n");
                if field.shape_is_switch() {
                    text = (!text.is_empty()).to_string();
                }
                if !field.is_secret() && text == was.reveal().replace("\r\n", "\n") {
                    continue;
                }
                let value = match field.shape {
                    Shape::Switch => Some(Value::Boolean(text == "true")),
                    // Left empty, a secret stays what it is.
                    Shape::Secret if removed => None,
                    Shape::Secret if text.is_empty() => continue,
                    _ => understood(field, &text),
                };
                if field.is_secret() {
                    refused.secrets.push(key.clone());
                } else {
                    refused.typed.push((key.clone(), text));
                }
                edits.push(Edit { key, value });
            }
        }
        let code = form.has("code").then(|| form.take("code"));
        if form.finish().is_some() {
            refused.faults.push(Fault::new("form", "has something that doesn't belong to it"));
        }
        if refused.faults.is_empty() && !seat.admin.is_fresh && GUARDED.contains(&tab.as_str()) {
            let code = code.unwrap_or(Err(Problem::FieldEmpty)).and_then(|text| Code::parse(&text));
            let code = refused.problems.keep(FormField::Code, code);
            if let Some(code) = code {
                refused.is_proved = sign_in::prove_again(services, seat.session, &code).await?;
                if !refused.is_proved {
                    refused.problems.push(FormField::Code, Problem::AppCodeWrong);
                }
            }
        }
        if !refused.faults.is_empty() || !refused.problems.is_empty() {
            return draw_tab(&seat, &tab, Some(&refused)).await;
        }
        match change_settings::change(services, &seat.editor(), seen.unwrap_or(u64::MAX), edits).await? {
            Change::Made(_) => return Ok(redirect(&format!("/admin/settings/{tab}?saved"))),
            Change::Wrong(faults) => refused.faults = faults,
            Change::Conflict => refused.summary = Some("admin.conflict"),
        }
        draw_tab(&seat, &tab, Some(&refused)).await
    }
}
