//! What settings are called, and their help, in the language of who sits there; where that has no words for them, in
//! English, as they are declared.

use super::{Seat, control::label};
use crate::{render::Texts, settings::Field};

/// The words for settings in a language.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    texts: &'a Texts,
    language: &'a str,
}

impl<'a> Names<'a> {
    /// Those of that language.
    pub(super) const fn new(texts: &'a Texts, language: &'a str) -> Self {
        Self { texts, language }
    }

    /// Those for who sits there.
    pub(super) fn of(seat: &Seat<'a>) -> Self {
        Self::new(seat.texts, &seat.language.code)
    }

    /// A text about a setting, of which of several alike does not matter: `setting.domain.netbios_name.label`.
    fn own(self, key: &str, part: &str) -> Option<&'a str> {
        let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let path = key.split('.').filter(|part| !is_number(part)).collect::<Vec<_>>().join(".");
        self.texts.own(self.language, &format!("setting.{path}.{part}"))
    }

    /// The name of a setting, by its whole key.
    pub(super) fn label(self, key: &str) -> String {
        let last = key.rsplit('.').next().unwrap_or_default();
        self.own(key, "label").map_or_else(|| label(last), str::to_owned)
    }

    /// What it does; without the marks of code that the declaration has.
    pub(super) fn help(self, key: &str, field: &Field) -> String {
        self.own(key, "help").unwrap_or(field.help).trim().replace('`', "")
    }

    /// A word that can be chosen.
    pub(super) fn word(self, key: &str, word: &str) -> String {
        self.own(key, &format!("word.{word}")).unwrap_or(word).to_owned()
    }

    /// The name of a section within a tab.
    pub(super) fn heading(self, prefix: &str) -> String {
        let last = prefix.rsplit('.').next().unwrap_or_default();
        self.own(prefix, "heading").map_or_else(|| label(last), str::to_owned)
    }

    /// What such a section is about.
    pub(super) fn about(self, prefix: &str, about: &str) -> String {
        self.own(prefix, "about").unwrap_or(about).trim().to_owned()
    }

    /// The language of the help, where it is not that of the page.
    pub(super) fn language(self, key: &str) -> &'static str {
        if self.own(key, "help").is_none() && self.own(key, "about").is_none() { "en" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{
        render::{embedded::Sort, texts_of},
        settings::Shape,
        web::admin::settings::{TABS, sections},
    };

    #[test]
    fn every_language_of_the_panel_has_words_for_every_setting() {
        let mut wanted = BTreeSet::new();
        let mut possible = BTreeSet::new();
        for tab in TABS.into_iter().chain(["domain.0", "password_rules.0"]) {
            for (prefix, about, fields) in sections(tab).unwrap() {
                let path = prefix.replace(".0", "");
                if !about.is_empty() {
                    wanted.extend([format!("setting.{path}.heading"), format!("setting.{path}.about")]);
                }
                for field in fields {
                    let key = format!("setting.{path}.{}", field.key);
                    wanted.extend([format!("{key}.label"), format!("{key}.help")]);
                    if let Shape::Choice(words) = field.shape {
                        possible.extend(words.iter().map(|word| format!("{key}.word.{word}")));
                    }
                }
            }
        }
        let languages: Vec<_> =
            Sort::Texts.names().into_iter().filter(|name| name.starts_with("panel/")).collect();
        assert!(languages.len() > 1, "{languages:?}");
        for name in languages.iter().filter(|name| *name != "panel/en.toml") {
            let name = name.replace("panel/", "settings/");
            let texts = Sort::Texts.text(&name).unwrap_or_else(|| panic!("there is no {name}"));
            let said: BTreeSet<_> = texts_of(texts.as_bytes()).into_keys().collect();
            let missing: Vec<_> = wanted.difference(&said).collect();
            assert!(missing.is_empty(), "{name} lacks {missing:#?}");
            let odd: Vec<_> = said.difference(&wanted).filter(|key| !possible.contains(*key)).collect();
            assert!(odd.is_empty(), "{name} has {odd:#?}");
        }
    }
}
