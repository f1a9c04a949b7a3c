//! Which keys there are, where those in use come from, and what an unknown one was probably meant to be.

use std::{collections::HashMap, fs, path::Path};

use toml::{Table, Value};

use crate::settings::{Field, Settings};

/// Where keys come from, for messages.
#[derive(Debug, Default)]
pub(super) struct Origin {
    file: String,
    lines: Vec<String>,
    variables: HashMap<String, String>,
}

impl Origin {
    pub(super) fn of_file(path: &Path, text: &str) -> Self {
        Self {
            file: path.display().to_string(),
            lines: text.lines().map(str::to_owned).collect(),
            variables: HashMap::new(),
        }
    }

    pub(super) fn of_variable(&mut self, key: &str, name: &str) {
        self.variables.insert(key.to_owned(), name.to_owned());
    }

    /// The variable, or file and line, of a key.
    fn of(&self, key: &str) -> String {
        if let Some((_, name)) =
            self.variables.iter().find(|(known, _)| *known == key || known.starts_with(&format!("{key}.")))
        {
            return name.clone();
        }
        let last = key.rsplit('.').next().unwrap_or_default();
        let line = self.lines.iter().position(|line| {
            let line = line.trim_start().trim_start_matches('[');
            let name = line.split(['=', ']', ' ']).next().unwrap_or_default();
            name == last || name.rsplit('.').next() == Some(last)
        });
        match line {
            Some(line) => format!("{}:{}", self.file, line + 1),
            None => self.file.clone(),
        }
    }
}

const TOP: &[&str] = &[
    "data",
    "base_url",
    "extra_hosts",
    "listen",
    "listen_http",
    "secret_file",
    "https",
    "log",
    "connections",
    "settings",
];
const HTTPS: &[&str] = &["certificate", "key"];
const LOG: &[&str] = &["level", "format"];
const CONNECTIONS: &[&str] = &[
    "total",
    "per_address",
    "handshake_seconds",
    "header_seconds",
    "body_seconds",
    "idle_seconds",
    "request_seconds",
    "age_seconds",
];

/// One message for each key that doesn't exist.
pub(super) fn unknown(table: &Table, origin: &Origin) -> Vec<String> {
    let mut found = Vec::new();
    compare("", table, TOP, origin, &mut found);
    let mut section = |name: &str, keys: &[&str]| {
        if let Some(Value::Table(section)) = table.get(name) {
            compare(name, section, keys, origin, &mut found);
        }
    };
    section("https", HTTPS);
    section("log", LOG);
    section("connections", CONNECTIONS);
    let Some(Value::Table(settings)) = table.get("settings") else { return found };
    let tabs = Settings::tabs();
    let names: Vec<&str> = tabs.iter().map(|(name, _)| *name).collect();
    compare("settings", settings, &names, origin, &mut found);
    for (name, fields) in tabs {
        let keys: Vec<&str> = fields.iter().map(|field| field.key).collect();
        let path = format!("settings.{name}");
        match settings.get(name) {
            Some(Value::Table(tab)) => compare(&path, tab, &keys, origin, &mut found),
            Some(Value::Array(list)) => {
                for (index, tab) in list.iter().enumerate() {
                    if let Value::Table(tab) = tab {
                        compare(&format!("{path}.{index}"), tab, &keys, origin, &mut found);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn compare(prefix: &str, table: &Table, keys: &[&str], origin: &Origin, found: &mut Vec<String>) {
    for key in table.keys().filter(|key| !keys.contains(&key.as_str())) {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let nearest = keys
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, key), known))
            .min()
            .filter(|(distance, known)| *distance <= known.len().max(key.len()) / 2);
        let hint = match nearest {
            Some((_, known)) => format!("did you mean \"{known}\"?"),
            None => format!("known here are {}", keys.join(", ")),
        };
        found.push(format!("{}: there is no key \"{path}\"; {hint}", origin.of(&path)));
    }
}

/// Puts the content of `x_file` where a secret `x` is wanted.
pub(super) fn read_secret_files(table: &mut Table, folder: &Path) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let Some(Value::Table(settings)) = table.get_mut("settings") else { return Ok(()) };
    for (name, fields) in Settings::tabs() {
        let secrets: Vec<&Field> = fields.iter().filter(|field| field.secret).collect();
        match settings.get_mut(name) {
            Some(Value::Table(tab)) => read_into(tab, &secrets, name, folder, &mut faults),
            Some(Value::Array(list)) => {
                for tab in list.iter_mut().filter_map(Value::as_table_mut) {
                    read_into(tab, &secrets, name, folder, &mut faults);
                }
            }
            _ => {}
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn read_into(tab: &mut Table, secrets: &[&Field], name: &str, folder: &Path, faults: &mut Vec<String>) {
    for field in secrets {
        let file_key = format!("{}_file", field.key);
        let Some(value) = tab.remove(&file_key) else { continue };
        let key = format!("settings.{name}.{file_key}");
        let Value::String(file) = value else {
            faults.push(format!("{key}: the path of a file is wanted"));
            continue;
        };
        if tab.contains_key(field.key) {
            faults.push(format!("{key}: {} is given as well; one of them is enough", field.key));
            continue;
        }
        match fs::read_to_string(folder.join(&file)) {
            // One line break at the end is the editor's, all else is the secret's.
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                tab.insert(field.key.to_owned(), Value::String(text.to_owned()));
            }
            Err(error) => faults.push(format!("{key}: {file}: {error}")),
        }
    }
}
