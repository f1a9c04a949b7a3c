//! The texts: one TOML file a language; English is the reference and the fall-back.

use std::collections::HashMap;

use rust_embed::RustEmbed;

use super::Error;

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

/// The texts of all languages.
#[derive(Debug)]
pub struct Texts {
    languages: Vec<Language>,
    by_language: HashMap<String, HashMap<String, String>>,
}

impl Texts {
    pub(super) fn embedded() -> Result<Self, Error> {
        let mut texts = Self { languages: Vec::new(), by_language: HashMap::new() };
        for (code, name) in NAMES {
            let Some(file) = Files::get(&format!("{code}.toml")) else { continue };
            let fault = |text: String| Error::Texts(code.to_owned(), text);
            let source = std::str::from_utf8(&file.data).map_err(|e| fault(e.to_string()))?;
            let table: toml::Table = toml::from_str(source).map_err(|e| fault(e.to_string()))?;
            let mut flat = HashMap::new();
            flatten("", &table, &mut flat).map_err(fault)?;
            texts.by_language.insert(code.to_owned(), flat);
            let direction = if code == "ar" { "rtl" } else { "ltr" };
            texts.languages.push(Language { code: code.to_owned(), name, direction });
        }
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

    /// A text with its `{placeholders}` filled in; in English if the language lacks it, else the key itself.
    pub fn text(&self, language: &str, key: &str, values: &[(&str, &str)]) -> String {
        let Some(pattern) = self.find(language, key) else { return key.to_owned() };
        fill(pattern, values)
    }

    /// Whether there is such a text.
    pub fn has(&self, key: &str) -> bool {
        self.find("en", key).is_some()
    }

    fn find(&self, language: &str, key: &str) -> Option<&str> {
        [language, "en"].iter().find_map(|code| self.by_language.get(*code)?.get(key)).map(String::as_str)
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "3")]), "{b} of 3");
        assert_eq!(fill("{unknown} {", &[]), "{unknown} {");
    }

    #[test]
    fn every_language_has_the_same_keys_and_placeholders() {
        let texts = Texts::embedded().unwrap();
        let placeholders = |text: &str| -> BTreeSet<String> {
            text.split('{')
                .skip(1)
                .filter_map(|tail| tail.split_once('}'))
                .map(|(name, _)| name.into())
                .collect()
        };
        let reference = &texts.by_language["en"];
        for (code, other) in &texts.by_language {
            let missing: Vec<_> = reference.keys().filter(|key| !other.contains_key(*key)).collect();
            let surplus: Vec<_> = other.keys().filter(|key| !reference.contains_key(*key)).collect();
            assert!(
                missing.is_empty() && surplus.is_empty(),
                "{code}: missing {missing:?}, surplus {surplus:?}"
            );
            for (key, text) in other {
                assert_eq!(placeholders(text), placeholders(&reference[key]), "{code} {key}");
            }
        }
    }

    #[test]
    fn a_language_is_found_by_its_first_part() {
        let texts = Texts::embedded().unwrap();
        assert_eq!(texts.language("de-AT").map(|language| language.code.as_str()), Some("de"));
        assert!(texts.language("xx").is_none());
        assert!(texts.language("").is_none());
    }
}
