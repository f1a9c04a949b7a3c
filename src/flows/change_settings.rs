//! Changing settings while the program runs: what administrators have changed is kept in the store, laid over the
//! defaults; what file and environment fix is laid over both, and can't be changed here.
//!
//! Old and new value of each are in the audit log, in the batch of the change; of a secret only that it was changed.

use std::{
    convert::Infallible,
    fmt,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use toml::{Table, Value};

use super::{Error, Services};
use crate::{
    domain::{
        account::DomainName,
        admin::{AdminId, LocalAdmin, Role},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        lockout::Subject,
    },
    settings::{Fault, Settings, Shape, Tab, layers},
    store::{self, ChangedTab, SettingsVersion, Store, seal},
};

/// The most bytes that can be kept of one tab, as it is written.
const LARGEST_TAB: usize = store::engine::MAXIMUM_VALUE - 256;

/// Who changes settings.
#[derive(Debug, Clone)]
pub struct Editor {
    /// Who it is; `None` for the program itself and who has its console.
    pub who: Option<AdminId>,
    /// The name in the audit log.
    pub name: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// By which door: `admin` or `setup`.
    pub source: &'static str,
}

/// A change to one setting.
pub struct Edit {
    /// The key within the settings: `security.idle_timeout_seconds`, `domain.0.controllers`; `domain.0` only to take
    /// that one out.
    pub key: String,
    /// The new value; `None` for the default.
    pub value: Option<Value>,
}

impl fmt::Debug for Edit {
    /// Without the value: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Edit").field(&self.key).finish()
    }
}

/// What became of a change.
#[derive(Debug)]
pub enum Change {
    /// It holds from now on; these keys were changed.
    Made(Vec<String>),
    /// Some of it is wrong; nothing was changed.
    Wrong(Vec<Fault>),
    /// Somebody else has changed settings since the version that was seen; nothing was changed.
    Conflict,
}

/// What was changed so far, secrets opened, and the version of it.
pub async fn load(services: &Services) -> Result<(u64, Table), Error> {
    let (version, mut changed) = load_sealed(&services.store).await?;
    layers::each_secret(&mut changed, &mut |key, secret| {
        let opened = seal::open(&services.keys.settings, key.as_bytes(), secret)?;
        *secret = String::from_utf8(opened.to_vec()).map_err(|_| unreadable(key))?;
        Ok::<(), Error>(())
    })?;
    Ok((version, changed))
}

/// What was changed so far, secrets sealed, and the version of it.
pub async fn load_sealed(store: &Store) -> Result<(u64, Table), Error> {
    let version = store.find::<SettingsVersion>(&()).await?.map_or(0, |version| version.0);
    let mut changed = Table::new();
    for field in Settings::FIELDS {
        let Some(tab) = store.find::<ChangedTab>(&field.key.to_owned()).await? else { continue };
        let text = tab.into_inner().0;
        let table: Table = text.parse().map_err(|_| unreadable(field.key))?;
        changed.extend(table);
    }
    layers::take_out_for_the_file(&mut changed);
    Ok((version, changed))
}

/// Takes back what was changed in the panel under these keys, whatever the rest makes of it: the way out when the
/// program doesn't start with it. Only while it doesn't run. The events that were written, in words.
pub async fn take_back(store: &Store, at: Timestamp, keys: &[String]) -> Result<Vec<String>, Error> {
    let (version, before) = load_sealed(store).await?;
    let mut after = before.clone();
    for key in keys {
        layers::set(&mut after, key, None);
    }
    let keys: Vec<_> =
        keys.iter().filter(|key| layers::find(&before, key) != layers::find(&after, key)).cloned().collect();
    let tabs = tabs_of(&keys).into_iter().map(|tab| Ok((tab.to_owned(), text_of(&after, tab)?)));
    let tabs = tabs.collect::<Result<Vec<_>, Error>>()?;
    let editor = Editor { who: None, name: "console".into(), address: None, source: "console" };
    if !keys.is_empty() && !keep(store, at, &editor, version, (&before, &after), &keys, tabs).await? {
        return Err(Error::Internal("the settings were changed meanwhile".into()));
    }
    Ok(keys.iter().map(|key| told(key, &before, &after)).collect())
}

fn unreadable(key: &str) -> Error {
    Error::Internal(format!("what is kept of the settings {key} can't be read"))
}

/// Makes those in force that were written by somebody who left before they were: a browser that is closed ends what is
/// done for it wherever that stands.
pub async fn catch_up(services: &Services) -> Result<(), Error> {
    let _turn = services.turns.of(&turn()).await;
    let written = services.store.find::<SettingsVersion>(&()).await?.map_or(0, |version| version.0);
    if written == services.in_force.load(Ordering::Relaxed) { Ok(()) } else { adopt(services).await }
}

/// Makes the settings that are kept those in force; at the start.
pub async fn adopt(services: &Services) -> Result<(), Error> {
    let (version, changed) = load(services).await?;
    let settings = Settings::of_layers(&changed, &services.fixed.table).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Error::Internal(format!(
            "what was changed in the panel and what the configuration fixes don't go together: {}. Change the \
             configuration, or take back what was changed in the panel: regain settings reset KEY",
            faults.join("; ")
        ))
    })?;
    services.directories.store(Arc::new((services.connect)(&settings).map_err(Error::Internal)?));
    services.settings.store(Arc::new(settings));
    services.in_force.store(version, Ordering::Relaxed);
    Ok(())
}

/// Changes settings; `seen` is the version in which the editor saw them.
pub async fn change(
    services: &Services,
    editor: &Editor,
    seen: u64,
    edits: Vec<Edit>,
) -> Result<Change, Error> {
    let (version, before) = load(services).await?;
    if version != seen {
        return Ok(Change::Conflict);
    }
    let (draft, mut faults) = drafted(services, &before, &edits);
    let settings = match draft.settings {
        Ok(settings) => settings,
        Err(more) => {
            faults.extend(more);
            return Ok(Change::Wrong(faults));
        }
    };
    let after = draft.table;
    if ["admin", "domain"].iter().any(|tab| before.get(*tab) != after.get(*tab)) {
        faults.extend(shuts_out(services, editor, &settings).await?);
    }
    if !faults.is_empty() {
        return Ok(Change::Wrong(faults));
    }
    let mut keys: Vec<String> = edits
        .into_iter()
        .map(|edit| edit.key)
        .filter(|key| layers::find(&before, key) != layers::find(&after, key))
        .collect();
    keys.dedup();
    if keys.is_empty() {
        return Ok(Change::Made(keys));
    }
    let directories = if before.get("domain") == after.get("domain") {
        None
    } else {
        match (services.connect)(&settings) {
            Ok(directories) => Some(directories),
            Err(text) => return Ok(Change::Wrong(vec![Fault::new("settings.domain", text)])),
        }
    };
    let tabs = tabs_of(&keys).into_iter().map(|tab| written(services, &after, tab));
    let tabs = tabs.collect::<Result<Vec<_>, _>>()?;
    if let Some((tab, _)) = tabs.iter().find(|(_, text)| text.len() > LARGEST_TAB) {
        return Ok(Change::Wrong(vec![Fault::new(&format!("settings.{tab}"), "is too long altogether")]));
    }
    // In the order in which they are written they also come into force.
    let _turn = services.turns.of(&turn()).await;
    if !keep(&services.store, services.now(), editor, version, (&before, &after), &keys, tabs).await? {
        return Ok(Change::Conflict);
    }
    if let Some(directories) = directories {
        services.directories.store(Arc::new(directories));
    }
    services.settings.store(Arc::new(settings));
    services.in_force.store(version + 1, Ordering::Relaxed);
    Ok(Change::Made(keys))
}

/// What those who change settings take turns at.
fn turn() -> Subject {
    Subject::Unknown { domain: DomainName::new("settings"), name: [0; 16] }
}

/// Settings as they would be.
struct Draft {
    table: Table,
    settings: Result<Settings, Vec<Fault>>,
}

/// What edits would make of what was changed so far, and what may not be changed so.
fn drafted(services: &Services, before: &Table, edits: &[Edit]) -> (Draft, Vec<Fault>) {
    let mut table = before.clone();
    let mut faults = Vec::new();
    for edit in edits {
        let key = format!("settings.{}", edit.key);
        let Some(field) = layers::field(&edit.key) else {
            faults.push(Fault::new(&key, "there is no such setting"));
            continue;
        };
        // All of a list at once, or one of it taken out.
        let is_all = edit.key == field.key && edit.value.as_ref().is_none_or(Value::is_array);
        let is_one_taken_out =
            matches!(field.shape, Shape::Sections(_)) && edit.key != field.key && edit.value.is_none();
        let is_section = matches!(field.shape, Shape::Section(_) | Shape::Sections(_));
        if (is_section && !is_one_taken_out && !(is_all && matches!(field.shape, Shape::Sections(_))))
            || layers::is_for_the_file(&edit.key)
        {
            faults.push(Fault::new(&key, "can be set in the configuration only"));
        } else if services.fixed.source(&edit.key).is_some() {
            faults.push(Fault::new(&key, "is fixed by the configuration and can't be changed here"));
        } else {
            // Set to the default is not set: a later default holds then.
            let value = edit.value.clone().filter(|value| Some(value) != (field.default)().as_ref());
            layers::set(&mut table, &edit.key, value);
        }
    }
    layers::take_out_for_the_file(&mut table);
    faults.extend(secrets_elsewhere(services, before, &table, edits));
    let settings = Settings::of_layers(&table, &services.fixed.table);
    if let Ok(settings) = &settings {
        let current = services.settings.load();
        settings.sms.check_typed(current.sms.url.as_deref(), &mut faults);
        settings.audit.check_typed(current.audit.webhook_url.as_deref(), &mut faults);
        let known: Vec<_> = current.domain.iter().flat_map(|domain| &domain.controllers).cloned().collect();
        for (index, domain) in settings.domain.iter().enumerate() {
            domain.check_typed(&format!("settings.domain.{index}"), &known, &mut faults);
        }
    }
    (Draft { table, settings }, faults)
}

/// The settings that edits would make, without making them: to try them out.
pub async fn preview(services: &Services, edits: &[Edit]) -> Result<Result<Settings, Vec<Fault>>, Error> {
    let (_, before) = load(services).await?;
    let (draft, mut faults) = drafted(services, &before, edits);
    Ok(match draft.settings {
        Ok(settings) if faults.is_empty() => Ok(settings),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    })
}

/// A tab as it is kept: its secrets sealed.
fn written(services: &Services, after: &Table, tab: &str) -> Result<(String, String), Error> {
    let mut table: Table =
        after.iter().filter(|(known, _)| *known == tab).map(|(k, v)| (k.clone(), v.clone())).collect();
    layers::each_secret(&mut table, &mut |key, secret| {
        *secret = seal::seal(&services.keys.settings, key.as_bytes(), secret.as_bytes())?;
        Ok::<(), Error>(())
    })?;
    Ok((tab.to_owned(), text_of(&table, tab)?))
}

/// A tab as text.
fn text_of(settings: &Table, tab: &str) -> Result<String, Error> {
    let mut table = Table::new();
    if let Some(value) = settings.get(tab) {
        table.insert(tab.to_owned(), value.clone());
    }
    toml::to_string(&table).map_err(|error| Error::Internal(error.to_string()))
}

/// The tabs that these keys are of, each once.
fn tabs_of(keys: &[String]) -> Vec<&str> {
    let mut tabs: Vec<_> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    tabs.sort_unstable();
    tabs.dedup();
    tabs
}

/// Secrets that would be sent to another place than before, without being given anew: whoever changes the place would
/// be told them there.
pub(super) fn secrets_elsewhere(
    services: &Services,
    before: &Table,
    after: &Table,
    edits: &[Edit],
) -> Vec<Fault> {
    let whole = |changed: &Table| {
        let mut table = changed.clone();
        layers::lay_over(&mut table, &services.fixed.table);
        table
    };
    let (before, mut after) = (whole(before), whole(after));
    let mut secrets = Vec::new();
    let Ok(()) = layers::each_secret(&mut after, &mut |key, _| {
        secrets.push(key.to_owned());
        Ok::<(), Infallible>(())
    });
    let faults = secrets.into_iter().filter_map(|secret| {
        let places = layers::places_of(&secret);
        let place =
            places.iter().find(|place| layers::find(&before, place) != layers::find(&after, place))?;
        if stays_as_it_was(&before, &after, &secret) {
            return None;
        }
        if services.fixed.source(&secret).is_some() {
            let text = format!("can be set in the configuration only, as long as {secret} is set there");
            return Some(Fault::new(&format!("settings.{place}"), text));
        }
        let is_given = edits.iter().any(|edit| edit.key == secret && edit.value.is_some());
        let text = "has to be given again: it would be sent to another place than before";
        (!is_given).then(|| Fault::new(&format!("settings.{secret}"), text))
    });
    faults.collect()
}

/// Whether the section of a secret is one that was there before, at another place of its list.
fn stays_as_it_was(before: &Table, after: &Table, secret: &str) -> bool {
    let mut parts = secret.split('.');
    let (Some(list), Some(number)) = (parts.next(), parts.next()) else { return false };
    let section = layers::find(after, &format!("{list}.{number}"));
    let known = before.get(list).and_then(Value::as_array);
    section.is_some_and(|section| known.is_some_and(|known| known.contains(section)))
}

/// What keeps the editor from opening the panel under new settings: nobody shuts themselves out by a slip of the hand.
async fn shuts_out(services: &Services, editor: &Editor, settings: &Settings) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    if let Some(address) = editor.address.filter(|address| !settings.admin.is_open_to(*address)) {
        let text = format!("would leave out the address that you come from: {address}");
        faults.push(Fault::new("settings.admin.addresses", text));
    }
    let Some(AdminId::Account(key)) = &editor.who else { return Ok(faults) };
    if services.store.find::<LocalAdmin>(&()).await?.is_some() {
        return Ok(faults);
    }
    let named = settings.domain.iter().any(|domain| DomainName::new(&domain.dns_name) == key.domain);
    if !named && !services.settings.load().domain.is_empty() {
        let text = "would take out the domain of your own account: make the panel's own account first";
        faults.push(Fault::new("settings.domain", text));
        return Ok(faults);
    }
    let account = services.directory(&key.domain)?.load(key.guid).await?;
    if account.and_then(|account| settings.admin.role(&account)) != Some(Role::Administrator) {
        let text = "would leave you out: keep a group that you are in, or make the panel's own account first";
        faults.push(Fault::new("settings.admin.administrators", text));
    }
    Ok(faults)
}

/// Writes what was changed, with its events; false if somebody else was faster.
async fn keep(
    store: &Store,
    at: Timestamp,
    editor: &Editor,
    version: u64,
    (before, after): (&Table, &Table),
    keys: &[String],
    tabs: Vec<(String, String)>,
) -> Result<bool, Error> {
    let counted = store.find::<SettingsVersion>(&()).await?;
    if counted.as_ref().map_or(0, |counted| counted.0) != version {
        return Ok(false);
    }
    let mut batch = store.batch().write(&(), counted.as_ref(), &SettingsVersion(version + 1));
    for (tab, text) in tabs {
        batch = batch.put(&tab, &ChangedTab(text));
    }
    for key in keys {
        batch = batch.event(&Event {
            at,
            outcome: Outcome::Success,
            source: editor.source.into(),
            user: String::new(),
            domain: String::new(),
            action: Action::Setting,
            detail: told(key, before, after),
            source_ip: editor.address,
            source_user: Some(editor.name.clone()),
            account: None,
            reference: None,
        });
    }
    match batch.commit().await {
        Ok(()) => Ok(true),
        Err(store::Error::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The most characters that are told of a value.
const LONGEST: usize = 2000;

/// A change for the audit log: `security.idle_timeout_seconds: 300 → 600`; of a list what came and what went.
pub(super) fn told(key: &str, before: &Table, after: &Table) -> String {
    let Some(field) = layers::field(key) else { return key.to_owned() };
    let shown = named(key, before, after);
    if field.is_secret() {
        return format!("{shown}: changed");
    }
    // Whoever knows the whole address of such an endpoint may use it: the place is told, and no more.
    if ["audit.webhook_url", "sms.url"].contains(&key) {
        let place = |table: &Table| {
            let url = layers::find(table, key).and_then(Value::as_str);
            url.map_or_else(|| "not set".to_owned(), |url| place_of(url).to_owned())
        };
        return format!("{shown}: {} → {}", place(before), place(after));
    }
    // Nobody reads a picture there, and the sheet would fill the line.
    if ["appearance.css", "appearance.logo"].contains(&key) {
        let size = |table: &Table| layers::find(table, key).and_then(Value::as_str).map_or(0, str::len);
        return format!("{shown}: changed, {} → {} bytes", size(before), size(after));
    }
    if matches!(field.shape, Shape::Sections(_)) {
        return told_list(key, before, after).unwrap_or_else(|| format!("{shown}: removed"));
    }
    let value = |table: &Table| layers::find(table, key).cloned().or_else(field.default);
    let (before, after) = (value(before), value(after));
    let change = if let (Some(Value::Array(old)), Some(Value::Array(new))) = (&before, &after) {
        let missing = |from: &[Value], others: &[Value], sign: char| {
            let missing = from.iter().filter(|value| !others.contains(value));
            missing.map(|value| format!("{sign}{value}")).collect::<Vec<_>>()
        };
        let changes = [missing(old, new, '−'), missing(new, old, '+')].concat();
        if changes.is_empty() { "in another order".to_owned() } else { changes.join(" ") }
    } else {
        let text =
            |value: Option<Value>| value.map_or_else(|| "not set".to_owned(), |value| value.to_string());
        format!("{} → {}", short(&text(before)), short(&text(after)))
    };
    format!("{shown}: {}", short(&change))
}

/// Host and port of an HTTP address.
fn place_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    place.rsplit_once('@').map_or(place, |(_, place)| place)
}

/// Which of a list came, went, or are no longer what they were, by name; `None` if the key is that of one of them.
fn told_list(key: &str, before: &Table, after: &Table) -> Option<String> {
    let named = |table: &Table| -> Option<Vec<(String, Value)>> {
        let list = table.get(key).map_or(Some(&[][..]), |list| list.as_array().map(Vec::as_slice))?;
        let name = |one: &Value| one.get(name_in(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(list.iter().map(|one| (name(one), one.clone())).collect())
    };
    if key.contains('.') {
        return None;
    }
    let (before, after) = (named(before)?, named(after)?);
    let of = |name: &str, list: &[(String, Value)]| list.iter().find(|(known, _)| known == name).cloned();
    let gone =
        before.iter().filter(|(name, _)| of(name, &after).is_none()).map(|(name, _)| format!("−{name}"));
    let come =
        after.iter().filter(|(name, _)| of(name, &before).is_none()).map(|(name, _)| format!("+{name}"));
    let other = after.iter().filter(|one| of(&one.0, &before).is_some_and(|known| known != **one));
    let other = other.map(|(name, _)| format!("{name} changed"));
    let changes: Vec<_> = gone.chain(come).chain(other).collect();
    let changes = if changes.is_empty() { "in another order".to_owned() } else { changes.join(" ") };
    Some(format!("{key}: {}", short(&changes)))
}

/// By what one of a list is known.
fn name_in(list: &str) -> &'static str {
    if list == "domain" { "dns_name" } else { "name" }
}

/// `domain.0.controllers` → `domain.corp.example.controllers`: numbers change when one is taken out.
fn named(key: &str, before: &Table, after: &Table) -> String {
    let mut parts = key.splitn(3, '.');
    let (Some(list), Some(number)) = (parts.next(), parts.next()) else { return key.to_owned() };
    let name = format!("{list}.{number}.{}", name_in(list));
    let is_taken_out = parts.clone().next().is_none();
    let tables = if is_taken_out { [before, after] } else { [after, before] };
    match tables.iter().find_map(|table| layers::find(table, &name)?.as_str()) {
        Some(name) => [list, name].into_iter().chain(parts).collect::<Vec<_>>().join("."),
        None => key.to_owned(),
    }
}

/// On one line, and not too long.
fn short(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}
