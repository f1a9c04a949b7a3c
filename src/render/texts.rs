//! The texts: for each language a TOML file of what the pages and messages say, and perhaps one of the admin panel.
//! English is the reference and the fall-back. Knows plurals and how a day is written.

use std::collections::HashMap;

use rust_embed::RustEmbed;

use super::{Error, plural};

#[derive(RustEmbed)]
#[folder = "ui/i18n"]
struct Files;

/// A language there are texts in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Language {
    /// Its code (BCP 47), as in `?lang=de`.
    pub code: String,
    /// Its name in itself.
    pub name: &'static str,
    /// The direction it is written in.
    pub direction: &'static str,
    /// Whether the admin panel speaks it.
    pub has_panel: bool,
    /// Whether the pages are for the small browser of a logon screen: they lead nowhere else then.
    pub is_for_logon: bool,
}

/// The languages Regain knows by name, in the order they are offered. English first: it is the reference.
const NAMES: [(&str, &str); 12] = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("es", "Español"),
    ("it", "Italiano"),
    ("nl", "Nederlands"),
    ("pt", "Português"),
    ("pl", "Polski"),
    ("ru", "Русский"),
    ("zh", "简体中文"),
    ("ja", "日本語"),
    ("ar", "العربية"),
];

/// The placeholders that stand for what is counted; a text has one of them at most.
pub const COUNTED: [&str; 6] = ["count", "days", "minimum", "minutes", "needed", "seconds"];

/// The texts of all languages.
#[derive(Debug)]
pub struct Texts {
    languages: Vec<Language>,
    /// The same, for logon screens.
    for_logon: Vec<Language>,
    by_language: HashMap<String, HashMap<String, String>>,
}

impl Texts {
    pub(super) fn embedded() -> Result<Self, Error> {
        let mut texts = Self { languages: Vec::new(), for_logon: Vec::new(), by_language: HashMap::new() };
        for (code, name) in NAMES {
            let Some(pages) = Files::get(&format!("{code}.toml")) else { continue };
            let panel = Files::get(&format!("panel/{code}.toml"));
            let has_panel = panel.is_some();
            let fault = |text: String| Error::Texts(code.to_owned(), text);
            let mut flat = HashMap::new();
            for file in [Some(pages), panel].into_iter().flatten() {
                let source = std::str::from_utf8(&file.data).map_err(|e| fault(e.to_string()))?;
                let table: toml::Table = toml::from_str(source).map_err(|e| fault(e.to_string()))?;
                flatten("", &table, &mut flat).map_err(fault)?;
            }
            texts.by_language.insert(code.to_owned(), flat);
            let direction = if code == "ar" { "rtl" } else { "ltr" };
            let code = code.to_owned();
            texts.languages.push(Language { code, name, direction, has_panel, is_for_logon: false });
        }
        texts.for_logon = texts.languages.clone();
        texts.for_logon.iter_mut().for_each(|language| language.is_for_logon = true);
        Ok(texts)
    }

    /// The languages there are, English first.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The language of that code, or of its first part (`de-AT` → `de`).
    pub fn language(&self, code: &str) -> Option<&Language> {
        let primary = code.split(['-', '_']).next().unwrap_or_default();
        self.languages.iter().find(|language| language.code.eq_ignore_ascii_case(primary))
    }

    /// The same language for logon screens.
    pub fn for_logon<'a>(&'a self, language: &'a Language) -> &'a Language {
        self.for_logon.iter().find(|other| other.code == language.code).unwrap_or(language)
    }

    /// A text with its `{placeholders}` filled in; in English if the language lacks it, else the key itself. Where it has
    /// plural forms, what is counted in it decides which.
    pub fn text(&self, language: &str, key: &str, values: &[(&str, &str)]) -> String {
        let found = [language, "en"].iter().find_map(|code| {
            let texts = self.by_language.get(*code)?;
            texts.get(key).or_else(|| {
                let form = plural::form(code, self.counted(key, values)?);
                texts.get(&format!("{key}.{form}")).or_else(|| texts.get(&format!("{key}.other")))
            })
        });
        found.map_or_else(|| key.to_owned(), |pattern| fill(pattern, values))
    }

    /// What is counted in a text with plural forms.
    fn counted(&self, key: &str, values: &[(&str, &str)]) -> Option<u64> {
        let pattern = self.by_language.get("en")?.get(&format!("{key}.other"))?;
        let is_counted = |name: &str| COUNTED.contains(&name) && pattern.contains(&format!("{{{name}}}"));
        values.iter().find(|(name, _)| is_counted(name)).and_then(|(_, value)| value.parse().ok())
    }

    /// A day as the language writes it. `date`: `2026-11-23`; anything else stays as it is.
    pub fn day(&self, language: &str, date: &str) -> String {
        let mut parts = date.splitn(3, '-').map(|part| part.trim_start_matches('0'));
        let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else {
            return date.to_owned();
        };
        let month = self.text(language, &format!("date.month.{month}"), &[]);
        self.text(language, "date.day", &[("day", day), ("month", &month), ("year", year)])
    }

    /// Whether there is such a text.
    pub fn has(&self, key: &str) -> bool {
        self.by_language.get("en").is_some_and(|texts| texts.contains_key(key))
    }
}

/// Fills placeholders in one pass, so that a value can't be taken for a placeholder.
fn fill(pattern: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let tail = &rest[open + 1..];
        let value = tail.find('}').and_then(|close| {
            let (_, value) = values.iter().find(|(name, _)| *name == &tail[..close])?;
            Some((close, value))
        });
        if let Some((close, value)) = value {
            filled.push_str(value);
            rest = &tail[close + 1..];
        } else {
            filled.push('{');
            rest = tail;
        }
    }
    filled.push_str(rest);
    filled
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut HashMap<String, String>) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::String(text) => {
                into.insert(key, text.clone());
            }
            toml::Value::Table(table) => flatten(&key, table, into)?,
            _ => return Err(format!("{key} is not a text")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "3")]), "{b} of 3");
        assert_eq!(fill("{unknown} {", &[]), "{unknown} {");
    }

    #[test]
    fn a_number_takes_the_plural_of_its_language() {
        let texts = Texts::embedded().unwrap();
        let minutes =
            |language, minutes| texts.text(language, "message.code.sms_good_for", &[("minutes", minutes)]);
        assert_eq!(minutes("en", "1"), "It is good for 1 minute.");
        assert_eq!(minutes("en", "10"), "It is good for 10 minutes.");
        assert_eq!(minutes("de", "1"), "Er gilt 1 Minute.");
        assert_eq!(minutes("xx", "2"), "It is good for 2 minutes.");
    }

    #[test]
    fn a_day_is_written_as_in_its_language() {
        let texts = Texts::embedded().unwrap();
        assert_eq!(texts.day("en", "2026-11-03"), "3 November 2026");
        assert_eq!(texts.day("de", "2026-03-31"), "31. März 2026");
        assert_eq!(texts.day("de", "never"), "never");
    }

    #[test]
    fn a_language_is_found_by_its_first_part() {
        let texts = Texts::embedded().unwrap();
        assert_eq!(texts.language("de-AT").map(|language| language.code.as_str()), Some("de"));
        assert!(texts.language("xx").is_none());
        assert!(texts.language("").is_none());
    }
}
