//! All settings as one file, so that two appliances can be set alike. Secrets are left out, or go along sealed under a
//! passphrase; they belong to the settings beside them, so that nobody can have them sent to another place.
//!
//! What a file would change is shown first. Until it is applied it is with the administrator, sealed: nothing of it is
//! kept here.

use std::{collections::BTreeMap, fmt::Write as _};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::{
    Error, Services, attempt,
    change_settings::{self, Change, Edit, Editor, secrets_elsewhere, told},
    note, random,
    session::SessionId,
};
use crate::{
    domain::{
        account::DomainName,
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        lockout::{Subject, Tally},
        refusal::Refusal,
        secret::{Key, SecretText},
        slow_hash::{HashCost, derive_key},
    },
    settings::{Fault, Settings, Shape, Tab as _, layers, names},
    store::{keyring::keyed_hash, seal},
};

/// The most bytes of a file.
pub const MAXIMUM_BYTES: usize = 256 * 1024;
/// The most domains of a file, and the most that is told of what is wrong with it.
const MOST_DOMAINS: usize = 100;
const MOST_FAULTS: usize = 50;
/// The form of the file that this program writes, and the only one it reads.
const FORMAT: i64 = 1;
/// What a key from a passphrase costs: the second recommendation of RFC 9106 4, in one lane.
const COST: HashCost = HashCost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// The most that a file may ask for.
const HIGHEST: HashCost = HashCost { memory_kib: 128 * 1024, passes: 10, lanes: 4 };
/// So long what was looked at can be applied.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// What secrets are sealed under.
#[derive(Debug)]
pub struct Passphrase(SecretText);

impl Passphrase {
    /// The fewest characters of a new one.
    pub const LEAST_CHARACTERS: usize = 12;

    /// One that was typed. It is the same however its letters are encoded (NIST SP 800-63B-4 3.1.1.2).
    pub fn new(typed: &SecretText) -> Self {
        Self(SecretText::new(typed.reveal().nfkc().collect()))
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.0.reveal().is_empty()
    }

    /// Whether it is long enough for something to be sealed under it.
    pub fn is_long_enough(&self) -> bool {
        self.0.reveal().chars().count() >= Self::LEAST_CHARACTERS
    }

    /// Whether both are the same; not meant for guessing parties.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.reveal() == other.0.reveal()
    }
}

/// The secrets of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vault {
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    sealed: String,
}

impl Vault {
    fn cost(&self) -> HashCost {
        HashCost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }

    fn salt(&self) -> Option<[u8; 16]> {
        STANDARD_NO_PAD.decode(&self.salt).ok()?.try_into().ok()
    }

    fn is_sound(&self) -> bool {
        // Argon2 wants eight blocks for each lane (RFC 9106 3.1).
        (1..=HIGHEST.lanes).contains(&self.lanes)
            && (8 * self.lanes..=HIGHEST.memory_kib).contains(&self.memory_kib)
            && (1..=HIGHEST.passes).contains(&self.passes)
            && self.salt().is_some()
    }
}

/// A file as it was read.
pub struct File {
    settings: Table,
    sealed: Option<Vault>,
}

impl File {
    /// Whether secrets go along with it.
    pub const fn has_secrets(&self) -> bool {
        self.sealed.is_some()
    }
}

/// What the secrets belong to: the settings beside them.
fn place(settings: &Table) -> Result<Vec<u8>, Error> {
    let text = toml::to_string(settings).map_err(|error| Error::Internal(error.to_string()))?;
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    Ok([b"settings of regain, format 1\0", hash.as_ref()].concat())
}

async fn key(
    services: &Services,
    passphrase: &Passphrase,
    salt: [u8; 16],
    cost: HashCost,
) -> Result<Key, Error> {
    let text = SecretText::new(passphrase.0.reveal().to_owned());
    let made = services.hashing.run(move || derive_key(text.reveal().as_bytes(), salt, cost)).await?;
    made.map_err(|error| Error::Internal(error.to_string()))
}

fn event(services: &Services, editor: &Editor, outcome: Outcome, detail: &str) -> Event {
    Event {
        at: services.now(),
        outcome,
        source: editor.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Setting,
        detail: detail.into(),
        source_ip: editor.address,
        source_user: Some(editor.name.clone()),
        account: None,
        reference: None,
    }
}

/// Writes all that was changed of the settings as a file; the secrets among it sealed, or left out.
pub async fn export(
    services: &Services,
    editor: &Editor,
    passphrase: Option<&Passphrase>,
) -> Result<String, Error> {
    let (_, mut settings) = change_settings::load(services).await?;
    let secrets = layers::take_secrets(&mut settings);
    let internal = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
    let mut file = Table::new();
    file.insert("format".into(), Value::Integer(FORMAT));
    if let Some(passphrase) = passphrase {
        let salt = random()?;
        let key = key(services, passphrase, salt, COST).await?;
        let plain: BTreeMap<_, _> = secrets.iter().map(|(key, secret)| (key, secret.reveal())).collect();
        let plain = Zeroizing::new(serde_json::to_vec(&plain).map_err(|e| internal(&e))?);
        let sealed = Vault {
            salt: STANDARD_NO_PAD.encode(salt),
            memory_kib: COST.memory_kib,
            passes: COST.passes,
            lanes: COST.lanes,
            sealed: seal::seal(&key, &place(&settings)?, &plain)?,
        };
        file.insert("secrets".into(), Value::try_from(sealed).map_err(|e| internal(&e))?);
    }
    file.insert("settings".into(), Value::Table(settings));
    let mut text = String::new();
    let what = if passphrase.is_some() { "secrets sealed" } else { "secrets left out" };
    let _ = writeln!(text, "# Settings of Regain {}, {}, {what}.", env!("CARGO_PKG_VERSION"), services.now());
    text += "# Only what differs from the defaults is here. With sealed secrets, settings can't be changed by hand.\n\n";
    text += &toml::to_string_pretty(&file).map_err(|e| internal(&e))?;
    let event = event(services, editor, Outcome::Success, &format!("settings exported, {what}"));
    services.store.batch().event(&event).commit().await?;
    Ok(text)
}

/// Reads a file strictly: what isn't known is refused, with what it was probably meant to be.
pub fn read(text: &str) -> Result<File, Vec<Fault>> {
    let one = |key: &str, text: String| vec![Fault::new(key, text)];
    let mut file: Table = text.parse().map_err(|error: toml::de::Error| {
        // The error's whole text would show the line.
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        one(&format!("line {line}"), error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    match file.remove("format") {
        Some(Value::Integer(FORMAT)) => {}
        Some(Value::Integer(newer)) if newer > FORMAT => {
            return Err(one("format", format!("{newer} is newer than this program; it reads {FORMAT}")));
        }
        _ => {
            return Err(one(
                "format",
                format!("is needed: this is no file with settings of Regain (format = {FORMAT})"),
            ));
        }
    }
    let sealed = match file.remove("secrets").map(Value::try_into::<Vault>).transpose() {
        Ok(sealed) if sealed.as_ref().is_none_or(Vault::is_sound) => sealed,
        _ => return Err(one("secrets", "can't be read".into())),
    };
    let mut settings = match file.remove("settings") {
        None => Table::new(),
        Some(Value::Table(settings)) => settings,
        Some(_) => return Err(one("settings", "must be a section: [settings]".into())),
    };
    let unknown =
        |key: &String| Fault::new(key, "is unknown; there are \"format\", \"secrets\", \"settings\"");
    let mut faults: Vec<_> = file.keys().map(unknown).collect();
    let is_known = |fields: &[_], key: &str| names::find(fields, key).is_some();
    let count = settings.get("domain").and_then(Value::as_array).map_or(0, Vec::len);
    if count > MOST_DOMAINS {
        // Each would be compared with all.
        return Err(one("settings.domain", format!("{count} are too many; {MOST_DOMAINS} can be taken")));
    }
    let unknown = names::take_out_unknown(Settings::FIELDS, &mut settings, is_known);
    for key in unknown.into_iter().take(MOST_FAULTS) {
        // What was meant is looked for among all that there are, letter by letter.
        let key: String = key.chars().take(names::LONGEST).collect();
        let hint = names::hint(Settings::FIELDS, &key, false, |known| format!("\"{known}\""));
        faults.push(Fault::new(&format!("settings.{key}"), format!("is unknown; {hint}")));
    }
    crate::settings::table::sift(Settings::FIELDS, &mut settings, "settings", &mut faults);
    for (key, _) in layers::take_secrets(&mut settings) {
        faults.push(Fault::new(&format!("settings.{key}"), "must not stand in the file in clear"));
    }
    faults.truncate(MOST_FAULTS);
    if faults.is_empty() { Ok(File { settings, sealed }) } else { Err(faults) }
}

/// Opens the secrets of a file; `None` if the passphrase is wrong, or the file is not as it was written. Tries are counted
/// first, of all administrators together.
async fn open(
    services: &Services,
    editor: &Editor,
    file: &File,
    sealed: &Vault,
    passphrase: &Passphrase,
) -> Result<Option<Vec<(String, SecretText)>>, Error> {
    let hash = keyed_hash(&services.keys.decoys, &[b"transfer"]);
    let mut name = [0; 16];
    name.copy_from_slice(&hash[..16]);
    let subject = Subject::Unknown { domain: DomainName::new("admin"), name };
    let _turn = services.turns.of(&subject).await;
    let now = services.now();
    let spent = attempt::count(services, &subject, |tally: &mut Tally| {
        let wait = tally.wait_for_codes(now);
        if wait.is_none() {
            tally.count_code(now);
        }
        wait
    });
    if let Some(wait) = spent.await? {
        return Err(Error::Refused(Refusal::RateLimited { seconds: wait.as_secs() }));
    }
    let Some(salt) = sealed.salt() else { return Ok(None) };
    let key = match key(services, passphrase, salt, sealed.cost()).await {
        Ok(key) => key,
        Err(error) => {
            // Nothing was compared: the try is given back.
            attempt::count(services, &subject, Tally::refund_code).await?;
            return Err(error);
        }
    };
    let opened = seal::open(&key, &place(&file.settings)?, &sealed.sealed).ok();
    let Some(opened) = opened else {
        note(services, event(services, editor, Outcome::Failure, "settings not imported, passphrase"), None)
            .await;
        return Ok(None);
    };
    attempt::count(services, &subject, Tally::forgive_codes).await?;
    let secrets: BTreeMap<String, String> =
        serde_json::from_slice(&opened).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(secrets.into_iter().map(|(key, secret)| (key, SecretText::new(secret))).collect()))
}

/// What a file leads to here; sealed on its way through the page.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    at: Timestamp,
    /// The version of the settings it was made for.
    version: u64,
    /// The settings as they would be, as TOML, secrets and all.
    settings: Zeroizing<String>,
    /// Secrets that were given, even if they are the same as before.
    given: Vec<String>,
    /// Whether secrets that nobody has given stay as they are.
    keeps_secrets: bool,
    /// What isn't taken, because it is fixed here.
    fixed: Vec<(String, String)>,
}

/// What is shown of a plan.
#[derive(Debug, Default)]
pub struct Preview {
    /// What would change: `general.footer: "a" → "b"`.
    pub changes: Vec<String>,
    /// Keys that are not taken, each with where it is fixed; an empty text if they are for the configuration only.
    pub fixed: Vec<(String, String)>,
    /// The secrets that stay as they are.
    pub kept: Vec<String>,
    /// What is in the way.
    pub faults: Vec<Fault>,
}

/// The secrets among what is in the way.
pub fn wanted(faults: &[Fault]) -> Vec<String> {
    let keys = faults.iter().filter_map(|fault| fault.key.strip_prefix("settings."));
    let mut wanted: Vec<String> = keys.filter(|key| layers::is_secret(key)).map(str::to_owned).collect();
    wanted.dedup();
    wanted
}

/// Looks what a file would change here. `None` if its secrets can't be opened.
pub async fn plan(
    services: &Services,
    editor: &Editor,
    file: File,
    passphrase: Option<&Passphrase>,
) -> Result<Option<Plan>, Error> {
    let secrets = match (&file.sealed, passphrase) {
        (Some(sealed), Some(passphrase)) => match open(services, editor, &file, sealed, passphrase).await? {
            None => return Ok(None),
            secrets => secrets,
        },
        _ => None,
    };
    let (version, before) = change_settings::load(services).await?;
    let mut after = file.settings;
    let mut fixed = Vec::new();
    if services.fixed.source("domain").is_none() {
        // Before secrets are looked for: what is left out doesn't send them elsewhere.
        let taken = layers::take_out_of_lists(&mut after);
        fixed.extend(taken.into_iter().map(|key| (key, String::new())));
    }
    let mut bare = before.clone();
    let known = layers::take_secrets(&mut bare);
    let mut given: Vec<String> = secrets.iter().flatten().map(|(key, _)| key.clone()).collect();
    for (key, secret) in secrets.iter().flatten() {
        if !layers::put_secret(&mut after, key, Some(secret)) {
            return Ok(None);
        }
    }
    if secrets.is_none() {
        for (key, secret) in &known {
            layers::keep_secret(&mut after, &bare, key, secret);
        }
    }
    for (key, _) in layers::leaves() {
        let source = services.fixed.source(&key);
        if source.is_none() && !layers::is_for_the_file(&key) {
            continue;
        }
        let here = layers::find(&before, &key);
        let wants = layers::find(&after, &key);
        if wants.is_some() && wants != layers::find(&services.fixed.table, &key).or(here) {
            fixed.push((key.clone(), source.unwrap_or_default().to_owned()));
        }
        layers::set(&mut after, &key, here.cloned());
        given.retain(|given| !is_within(given, &key));
    }
    let settings = toml::to_string(&after).map_err(|error| Error::Internal(error.to_string()))?;
    let settings = Zeroizing::new(settings);
    let keeps_secrets = secrets.is_none();
    Ok(Some(Plan { at: services.now(), version, settings, given, keeps_secrets, fixed }))
}

impl Plan {
    /// The keys of all secrets that can be given with it.
    pub fn places_of_secrets(&self) -> Result<Vec<String>, Error> {
        Ok(layers::places_of_secrets(&self.table()?))
    }

    fn table(&self) -> Result<Table, Error> {
        self.settings.parse().map_err(|_| Error::Internal("a plan can't be read".into()))
    }

    /// Fills in secrets that were given after it was made, or are to be removed.
    fn with(&self, secrets: &[(String, Option<SecretText>)]) -> Result<(Table, Vec<String>), Error> {
        let mut after = self.table()?;
        let mut given = self.given.clone();
        for (key, secret) in secrets {
            if layers::put_secret(&mut after, key, secret.as_ref()) && secret.is_some() {
                given.push(key.clone());
            }
        }
        Ok((after, given))
    }

    /// What it would change, and what is in the way.
    pub async fn preview(&self, services: &Services) -> Result<Preview, Error> {
        let (_, before) = change_settings::load(services).await?;
        let after = self.table()?;
        let edits = edits(&before, &after, &self.given);
        let (mut bare_before, mut bare_after) = (before.clone(), after.clone());
        let kept = layers::take_secrets(&mut bare_before);
        layers::take_secrets(&mut bare_after);
        let changes =
            edits.iter().filter(|edit| layers::find(&before, &edit.key) != layers::find(&after, &edit.key));
        let changes = changes.map(|edit| {
            let is_within_secrets =
                layers::find(&bare_before, &edit.key) == layers::find(&bare_after, &edit.key);
            match &edit.value {
                None if layers::is_secret(&edit.key) => format!("{}: removed", edit.key),
                _ if is_within_secrets => format!("{}: changed", edit.key),
                _ => told(&edit.key, &bare_before, &bare_after),
            }
        });
        let changes = changes.collect();
        let mut faults = Settings::of_layers(&after, &services.fixed.table).err().unwrap_or_default();
        faults.extend(secrets_elsewhere(services, &before, &after, &edits));
        let kept =
            if self.keeps_secrets { kept.into_iter().map(|(key, _)| key).collect() } else { Vec::new() };
        Ok(Preview { changes, fixed: self.fixed.clone(), kept, faults })
    }

    /// Vault for the page of that session.
    pub fn sealed(&self, services: &Services, session: &SessionId) -> Result<String, Error> {
        let plain = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(seal::seal(&services.keys.settings, &on_page(session), &Zeroizing::new(plain))?)
    }

    /// As it comes back from the page of that session; `None` if it isn't one, or is too old.
    pub fn opened(services: &Services, session: &SessionId, sealed: &str) -> Option<Self> {
        let opened = seal::open(&services.keys.settings, &on_page(session), sealed).ok()?;
        let plan: Self = serde_json::from_slice(&opened).ok()?;
        (plan.at <= services.now() && services.now().since(plan.at) < PATIENCE).then_some(plan)
    }
}

fn on_page(session: &SessionId) -> Vec<u8> {
    [b"a plan on a page\0", session.hash().as_slice()].concat()
}

fn is_within(key: &str, leaf: &str) -> bool {
    key.strip_prefix(leaf).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What makes the one table of the other; secrets that were given are said to be, so that they may go elsewhere.
fn edits(before: &Table, after: &Table, given: &[String]) -> Vec<Edit> {
    let leaves = layers::leaves().into_iter().filter(|(key, field)| {
        let is_given = matches!(field.shape, Shape::Secret | Shape::Sections(_))
            && given.iter().any(|given| is_within(given, key));
        is_given || layers::find(before, key) != layers::find(after, key)
    });
    let edit = |key: String| Edit { value: layers::find(after, &key).cloned(), key };
    let within_lists = given.iter().filter(|key| layers::find(after, key).is_some());
    let within_lists = within_lists.filter(|key| layers::leaves().iter().all(|(leaf, _)| leaf != *key));
    leaves.map(|(key, _)| edit(key)).chain(within_lists.cloned().map(edit)).collect()
}

/// Applies a plan, all of it or nothing, with secrets that were asked for; those without a text are removed.
pub async fn apply(
    services: &Services,
    editor: &Editor,
    plan: &Plan,
    secrets: &[(String, Option<SecretText>)],
) -> Result<Change, Error> {
    let (after, given) = plan.with(secrets)?;
    let (version, before) = change_settings::load(services).await?;
    if version != plan.version {
        return Ok(Change::Conflict);
    }
    change_settings::change(services, editor, version, edits(&before, &after, &given)).await
}
