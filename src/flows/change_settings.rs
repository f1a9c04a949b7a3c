//! Changing settings while the program runs: what administrators have changed is kept in the store, laid over the
//! defaults; what file and environment fix is laid over both, and can't be changed here.
//!
//! Old and new value of each are in the audit log, in the batch of the change; of a secret only that it was changed.

use std::{net::IpAddr, sync::Arc};

use toml::{Table, Value};

use super::{Error, Services};
use crate::{
    domain::{
        admin::LocalAdmin,
        audit::{Action, Event, Outcome},
    },
    settings::{Fault, Settings, Shape, Tab, layers},
    store::{self, ChangedTab, SettingsVersion, seal},
};

/// The most bytes that can be kept of one tab; its sealed secrets need room besides.
const LARGEST_TAB: usize = store::engine::MAXIMUM_VALUE - 8 * 1024;

/// Who changes settings.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The name in the audit log.
    pub name: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// By which door: `admin` or `setup`.
    pub source: &'static str,
}

/// A change to one setting.
#[derive(Debug)]
pub struct Edit {
    /// The key within the settings: `security.idle_timeout_seconds`.
    pub key: String,
    /// The new value; `None` for the default.
    pub value: Option<Value>,
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
    let version = services.store.find::<SettingsVersion>(&()).await?.map_or(0, |version| version.0);
    let mut changed = Table::new();
    for field in Settings::FIELDS {
        let Some(tab) = services.store.find::<ChangedTab>(&field.key.to_owned()).await? else { continue };
        let text = tab.into_inner().0;
        let table: Table = text.parse().map_err(|_| unreadable(field.key))?;
        changed.extend(table);
    }
    layers::each_secret(&mut changed, &mut |key, secret| {
        let opened = seal::open(&services.keys.settings, key.as_bytes(), secret)?;
        *secret = String::from_utf8(opened.to_vec()).map_err(|_| unreadable(key))?;
        Ok::<(), Error>(())
    })?;
    Ok((version, changed))
}

fn unreadable(key: &str) -> Error {
    Error::Internal(format!("what is kept of the settings {key} can't be read"))
}

/// Makes the settings that are kept those in force; at the start.
pub async fn adopt(services: &Services) -> Result<(), Error> {
    let (_, changed) = load(services).await?;
    let settings = Settings::of_layers(&changed, &services.fixed.table).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Error::Internal(format!(
            "what was changed in the panel and what the configuration fixes don't go together: {}",
            faults.join("; ")
        ))
    })?;
    services.directories.store(Arc::new((services.connect)(&settings).map_err(Error::Internal)?));
    services.settings.store(Arc::new(settings));
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
    let mut after = before.clone();
    let mut faults = Vec::new();
    for edit in &edits {
        let key = format!("settings.{}", edit.key);
        let Some(field) = layers::field(&edit.key) else {
            faults.push(Fault::new(&key, "there is no such setting"));
            continue;
        };
        if matches!(field.shape, Shape::Section(_) | Shape::Sections(_)) || layers::is_for_the_file(&edit.key)
        {
            faults.push(Fault::new(&key, "can be set in the configuration only"));
        } else if layers::find(&services.fixed.table, &edit.key).is_some() {
            faults.push(Fault::new(&key, "is fixed by the configuration and can't be changed here"));
        } else {
            // Set to the default is not set: a later default holds then.
            let value = edit.value.clone().filter(|value| Some(value) != (field.default)().as_ref());
            layers::set(&mut after, &edit.key, value);
        }
    }
    faults.extend(secrets_elsewhere(services, &before, &after, &edits));
    if !leaves_someone(services, &before, &after).await? {
        let text =
            "would leave nobody who can open this page: keep a group, or make the panel's own account first";
        faults.push(Fault::new("settings.admin.administrators", text));
    }
    let settings = match Settings::of_layers(&after, &services.fixed.table) {
        Ok(settings) if faults.is_empty() => settings,
        Ok(_) => return Ok(Change::Wrong(faults)),
        Err(more) => {
            faults.extend(more);
            return Ok(Change::Wrong(faults));
        }
    };
    let keys: Vec<String> = edits
        .into_iter()
        .map(|edit| edit.key)
        .filter(|key| layers::find(&before, key) != layers::find(&after, key))
        .collect();
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
    let kept = |tab: &Value| toml::to_string(tab).map_or(0, |text| text.len());
    if let Some((tab, _)) = after.iter().find(|(_, tab)| kept(tab) > LARGEST_TAB) {
        return Ok(Change::Wrong(vec![Fault::new(&format!("settings.{tab}"), "is too long altogether")]));
    }
    if !keep(services, editor, version, (&before, &after), &keys).await? {
        return Ok(Change::Conflict);
    }
    if let Some(directories) = directories {
        services.directories.store(Arc::new(directories));
    }
    services.settings.store(Arc::new(settings));
    Ok(Change::Made(keys))
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
    let (before, after) = (whole(before), whole(after));
    let faults = layers::SENT_TO.iter().filter_map(|(secret, places)| {
        let place =
            places.iter().find(|place| layers::find(&before, place) != layers::find(&after, place))?;
        layers::find(&after, secret)?;
        if services.fixed.source(secret).is_some() {
            let text = format!("can be set in the configuration only, as long as {secret} is set there");
            return Some(Fault::new(&format!("settings.{place}"), text));
        }
        let is_given = edits.iter().any(|edit| edit.key == *secret && edit.value.is_some());
        let text = "has to be given again: it would be sent to another place than before";
        (!is_given).then(|| Fault::new(&format!("settings.{secret}"), text))
    });
    faults.collect()
}

/// Whether a group of administrators stays, or there is the account of Regain itself.
async fn leaves_someone(services: &Services, before: &Table, after: &Table) -> Result<bool, Error> {
    const KEY: &str = "admin.administrators";
    let groups = |table: &Table| {
        let groups = layers::find(table, KEY).and_then(Value::as_array);
        groups.map(|groups| groups.iter().filter_map(Value::as_str).map(str::to_ascii_uppercase).collect())
    };
    let (before, after): (Vec<_>, Vec<_>) =
        (groups(before).unwrap_or_default(), groups(after).unwrap_or_default());
    if before.is_empty()
        || before == after
        || services.fixed.source(KEY).is_some()
        || before.iter().any(|group| after.contains(group))
    {
        return Ok(true);
    }
    Ok(services.store.find::<LocalAdmin>(&()).await?.is_some())
}

/// Writes what was changed, with its events; false if somebody else was faster.
async fn keep(
    services: &Services,
    editor: &Editor,
    version: u64,
    (before, after): (&Table, &Table),
    keys: &[String],
) -> Result<bool, Error> {
    let store = &services.store;
    let counted = store.find::<SettingsVersion>(&()).await?;
    if counted.as_ref().map_or(0, |counted| counted.0) != version {
        return Ok(false);
    }
    let mut batch = store.batch().write(&(), counted.as_ref(), &SettingsVersion(version + 1));
    let mut tabs: Vec<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    tabs.sort_unstable();
    tabs.dedup();
    for tab in tabs {
        let mut table = Table::new();
        if let Some(value) = after.get(tab) {
            table.insert(tab.to_owned(), value.clone());
        }
        layers::each_secret(&mut table, &mut |key, secret| {
            *secret = seal::seal(&services.keys.settings, key.as_bytes(), secret.as_bytes())?;
            Ok::<(), Error>(())
        })?;
        let text = toml::to_string(&table).map_err(|error| Error::Internal(error.to_string()))?;
        batch = batch.put(&tab.to_owned(), &ChangedTab(text));
    }
    for key in keys {
        batch = batch.event(&Event {
            at: services.now(),
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
    if field.is_secret() {
        return format!("{key}: changed");
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
    format!("{key}: {}", short(&change))
}

/// On one line, and not too long.
fn short(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}
