//! A setting as a control of a form: how it is drawn, and what a form says of it. Lists have a box for each of their
//! texts, and buttons that change the list without saving anything: they work without script, which only makes them
//! quicker.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::{Table, Value};

use super::names::Names;
use crate::{
    domain::field::Problem,
    settings::{Fault, Field, Of, Shape},
    web::{form::Form, user::page},
};

/// What is in a control.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// A text, as it stands in a box.
    Text(String),
    /// A list that is not set.
    Unset,
    /// A list.
    List(Vec<String>),
    /// Lists by language.
    Lists(BTreeMap<String, Vec<String>>),
}

impl Content {
    /// A value as it is shown.
    pub(super) fn of(field: &Field, value: Option<&Value>) -> Self {
        let texts = |list: &Value| {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        match (field.shape, value) {
            (Shape::List, Some(list)) => Self::List(texts(list)),
            (Shape::List, None) => Self::Unset,
            (Shape::ListsByLanguage, lists) => {
                let lists = lists.and_then(Value::as_table).into_iter().flatten();
                Self::Lists(lists.map(|(language, list)| (language.clone(), texts(list))).collect())
            }
            (_, None) => Self::Text(String::new()),
            (_, Some(Value::String(text))) => Self::Text(text.clone()),
            (_, Some(other)) => Self::Text(other.to_string()),
        }
    }

    /// As a value; `None` for nothing. What can't be understood stays a text, to be refused.
    pub(super) fn value(&self, field: &Field) -> Option<Value> {
        let list = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
        match self {
            Self::Unset => None,
            Self::List(texts) => Some(list(texts)),
            Self::Lists(lists) => {
                let lists = lists.iter().map(|(language, texts)| (language.clone(), list(texts)));
                Some(Value::Table(lists.collect::<Table>()))
            }
            Self::Text(text) if matches!(field.shape, Shape::Switch) => Some(Value::Boolean(text == "true")),
            Self::Text(text) if text.is_empty() => None,
            Self::Text(text) => Some(field.understand(text)),
        }
    }

    /// As it is sent along, to tell what was changed.
    fn kept(&self) -> String {
        let json = match self {
            Self::Text(text) => return text.clone(),
            Self::Unset => return String::new(),
            Self::List(texts) => serde_json::to_string(texts),
            Self::Lists(lists) => serde_json::to_string(lists),
        };
        json.unwrap_or_default()
    }

    fn of_kept(field: &Field, text: &str) -> Option<Self> {
        match field.shape {
            Shape::List if text.is_empty() => Some(Self::Unset),
            Shape::List => serde_json::from_str(text).map(Self::List).ok(),
            Shape::ListsByLanguage => serde_json::from_str(text).map(Self::Lists).ok(),
            _ => Some(Self::Text(plain(text))),
        }
    }

    /// What was typed over `base`, done to what others have made of that meanwhile. Of lists, what was added and taken
    /// out; all else is as it was typed.
    pub(super) fn merged(self, base: &Self, theirs: &Self) -> Self {
        match (self, base, theirs) {
            (Self::List(own), Self::List(base), Self::List(theirs)) => Self::List(merged(&own, base, theirs)),
            (Self::Lists(own), Self::Lists(base), Self::Lists(theirs)) => {
                let mut lists = theirs.clone();
                lists.retain(|language, _| own.contains_key(language) || !base.contains_key(language));
                let none = Vec::new();
                for (language, own) in own {
                    let [base, theirs] = [base, theirs].map(|lists| lists.get(&language).unwrap_or(&none));
                    let list = merged(&own, base, theirs);
                    lists.insert(language, list);
                }
                Self::Lists(lists)
            }
            (own, ..) => own,
        }
    }

    /// The list that a button is about.
    fn list(&mut self, language: Option<&str>) -> Option<&mut Vec<String>> {
        match (self, language) {
            (Self::List(list), None) => Some(list),
            (Self::Lists(lists), Some(language)) => lists.get_mut(language),
            (content @ Self::Unset, None) => {
                *content = Self::List(Vec::new());
                content.list(None)
            }
            _ => None,
        }
    }
}

/// A list with what was added to it and taken out of it by two at once; in the order of who comes later.
fn merged(own: &[String], base: &[String], theirs: &[String]) -> Vec<String> {
    if base == theirs {
        return own.to_vec();
    }
    let taken_out = |text: &&String| base.contains(text) && !own.contains(text);
    let mut list: Vec<_> = theirs.iter().filter(|text| !taken_out(text)).cloned().collect();
    for (index, text) in own.iter().enumerate() {
        if !base.contains(text) && !list.contains(text) {
            let after =
                own[..index].iter().rev().find_map(|text| list.iter().position(|known| known == text));
            list.insert(after.map_or(list.len(), |after| after + 1), text.clone());
        }
    }
    list
}

/// A text with one kind of line end.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// What a form says of a setting.
pub(super) struct Given {
    /// Its key.
    pub key: String,
    /// What is known of it.
    pub field: Field,
    /// What it was when the page was drawn.
    pub was: Content,
    /// What it is to be.
    pub content: Content,
    /// Whether the secret is to be removed.
    pub is_removed: bool,
}

impl Given {
    /// Reads it; `None` if the form doesn't have it.
    pub(super) fn read(form: &mut Form, key: String, field: &Field) -> Option<Result<Self, Fault>> {
        let was_name = format!("{key}.was");
        // What is fixed is not in the form, nor what was not there yet when the page was drawn.
        if !form.has(&was_name) {
            return None;
        }
        let is_no_text = |_| Fault::new(&key, "is no text");
        let read = |form: &mut Form| {
            let was = form.take(&was_name).map_err(is_no_text)?;
            let was =
                Content::of_kept(field, was.reveal()).ok_or_else(|| is_no_text(Problem::FieldNotText))?;
            let content = match field.shape {
                Shape::List => {
                    let is_set = form.is_checked(&format!("{key}.on"));
                    let rows = rows(form, &key).map_err(is_no_text)?;
                    let is_optional = (field.default)().is_none();
                    let is_unset = is_optional && !is_set && (rows.is_empty() || was != Content::Unset);
                    if is_unset { Content::Unset } else { Content::List(rows) }
                }
                Shape::ListsByLanguage => {
                    let languages = form.take(&format!("{key}.languages")).map_err(is_no_text)?;
                    let mut lists = BTreeMap::new();
                    for language in languages.reveal().split_ascii_whitespace() {
                        let rows = rows(form, &format!("{key}.{language}")).map_err(is_no_text)?;
                        lists.insert(language.to_owned(), rows);
                    }
                    Content::Lists(lists)
                }
                Shape::Switch => Content::Text(form.is_checked(&key).to_string()),
                _ => Content::Text(plain(form.take(&key).map_err(is_no_text)?.reveal())),
            };
            Ok((was, content))
        };
        let given = read(form).map(|(was, content)| Self {
            is_removed: form.is_checked(&format!("{key}.remove")),
            field: *field,
            was,
            content,
            key,
        });
        Some(given)
    }

    /// Whether it is to be something else than before. Left empty, a secret stays what it is.
    pub(super) fn is_changed(&self) -> bool {
        let is_given = || self.content != Content::Text(String::new());
        if self.field.is_secret() { self.is_removed || is_given() } else { self.content != self.was }
    }

    /// The value it is to have.
    pub(super) fn value(&self) -> Option<Value> {
        if self.is_removed { None } else { self.content.value(&self.field) }
    }

    /// Does what a button of the list says; the name of the box to go on at. `None` if there is no such button.
    pub(super) fn press(&mut self, button: &Button<'_>) -> Option<String> {
        let prefix = match button.language {
            Some(language) => format!("{}.{language}", self.key),
            None => self.key.clone(),
        };
        let at = match (button.verb, button.language, &mut self.content) {
            ("language", Some(language), Content::Lists(lists)) => {
                lists.entry(language.to_owned()).or_default();
                0
            }
            ("drop", Some(language), Content::Lists(lists)) => {
                lists.remove(language);
                return Some(format!("{}.language", self.key));
            }
            (verb, language, content) => {
                let list = content.list(language)?;
                match (verb, button.index) {
                    ("add", _) => list.len(),
                    ("pick", _) => {
                        let text = button.text?.to_owned();
                        if !list.contains(&text) {
                            list.push(text);
                        }
                        list.len().saturating_sub(1)
                    }
                    ("sort", _) => {
                        list.sort_by_cached_key(|text| text.to_lowercase());
                        0
                    }
                    ("remove", Some(index)) if index < list.len() => {
                        list.remove(index);
                        index
                    }
                    ("up", Some(index)) if (1..list.len()).contains(&index) => {
                        list.swap(index, index - 1);
                        index - 1
                    }
                    ("down", Some(index)) if index + 1 < list.len() => {
                        list.swap(index, index + 1);
                        index + 1
                    }
                    // A row that has been emptied meanwhile.
                    ("up" | "down" | "remove", Some(index)) => index.min(list.len()),
                    _ => return None,
                }
            }
        };
        Some(format!("{prefix}.{at}"))
    }
}

/// The texts of a list, without empty ones.
fn rows(form: &mut Form, prefix: &str) -> Result<Vec<String>, Problem> {
    let mut rows = Vec::new();
    for index in 0.. {
        let name = format!("{prefix}.{index}");
        if !form.has(&name) {
            break;
        }
        let text = form.take(&name)?;
        let text = text.reveal().trim();
        if !text.is_empty() {
            rows.push(text.to_owned());
        }
    }
    Ok(rows)
}

/// A button within a list: `up enroll.question_list 3 en`, `pick permissions.reset.groups S-1-5-…`.
pub(super) struct Button<'a> {
    /// What to do.
    pub verb: &'a str,
    /// To which setting.
    pub key: &'a str,
    index: Option<usize>,
    language: Option<&'a str>,
    text: Option<&'a str>,
}

impl<'a> Button<'a> {
    /// Understands the button's value.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (verb, key) = (parts.next()?, parts.next()?);
        let third = parts.next();
        let mut button = Self { verb, key, index: None, language: None, text: None };
        match verb {
            "pick" => button.text = third,
            "language" | "drop" => button.language = third,
            "add" | "sort" | "find" => button.language = third.filter(|part| !part.is_empty()),
            _ => {
                button.index = third?.parse().ok();
                button.language = parts.next();
            }
        }
        Some(button)
    }

    /// With the language that was chosen beside it.
    pub(super) const fn in_language(self, language: &'a str) -> Self {
        Self { language: Some(language), ..self }
    }
}

/// A control as it is drawn.
#[derive(Serialize, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own in the template")]
pub(super) struct Control {
    pub name: String,
    pub label: String,
    pub help: String,
    /// The language of the help, if it is not that of the page.
    pub help_language: &'static str,
    pub kind: &'static str,
    pub value: String,
    /// What is in force: sent along, so that only what is changed here is changed.
    pub was: String,
    pub options: Vec<page::Choice>,
    pub lists: Vec<List>,
    /// The languages that have no list yet.
    pub languages: Vec<page::Choice>,
    /// Whether a list may be not set at all, and whether it is set.
    pub is_optional: bool,
    pub is_on: bool,
    /// The bounds of a number, and the default, in words of their own.
    pub least: String,
    pub most: String,
    pub default: String,
    /// Where it is fixed; empty if it is not.
    pub fixed: String,
    pub is_fixed: bool,
    pub is_for_the_file: bool,
    /// Whether a secret is set.
    pub is_set: bool,
    /// What a search for groups has found.
    pub found: Option<FoundGroups>,
}

/// A list as it is drawn.
#[derive(Serialize)]
pub(super) struct List {
    /// The language; empty for a list that is the same in all.
    pub language: String,
    pub title: String,
    pub rows: Vec<Row>,
    /// The number of the empty row at its end.
    pub next: usize,
}

/// A text of a list.
#[derive(Serialize)]
pub(super) struct Row {
    pub value: String,
    /// What it stands for, if that says more.
    pub label: String,
}

/// Groups of the directory to choose from.
#[derive(Serialize, Default)]
pub(super) struct FoundGroups {
    pub typed: String,
    pub groups: Vec<FoundGroup>,
    /// Why there are none.
    pub trouble: String,
}

/// A group of the directory.
#[derive(Serialize)]
pub(super) struct FoundGroup {
    pub sid: String,
    pub name: String,
    pub description: String,
}

/// `idle_timeout_seconds` as people read it: `Idle timeout seconds`; `dns_name`: `DNS name`.
pub(super) fn label(key: &str) -> String {
    const SPELT: [(&str, &str); 11] = [
        ("acme", "ACME"),
        ("dns", "DNS"),
        ("netbios", "NetBIOS"),
        ("ca", "CA"),
        ("css", "CSS"),
        ("sms", "SMS"),
        ("url", "URL"),
        ("http", "HTTP"),
        ("ms", "(ms)"),
        ("kib", "(KiB)"),
        ("email", "e-mail"),
    ];
    let spell = |word| SPELT.iter().find(|(plain, _)| *plain == word).map_or(word, |(_, spelt)| *spelt);
    let mut words = key.split(['_', ' ']).map(spell).collect::<Vec<_>>().join(" ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl Control {
    /// A control with that in it, where `was` is in force. `title` names languages, `name_of` the texts of lists.
    pub(super) fn new(
        names: Names<'_>,
        key: &str,
        field: &Field,
        content: &Content,
        was: &Content,
        title: impl Fn(&str) -> String,
        name_of: impl Fn(&str) -> String,
    ) -> Self {
        let default = (field.default)();
        let text = match content {
            Content::Text(text) if !field.is_secret() => text.clone(),
            _ => String::new(),
        };
        let list = |language: &str, texts: &[String]| List {
            language: language.to_owned(),
            title: title(language),
            next: texts.len(),
            rows: texts.iter().map(|text| Row { value: text.clone(), label: name_of(text) }).collect(),
        };
        let lists = match content {
            Content::List(texts) => vec![list("", texts)],
            Content::Unset => vec![list("", &[])],
            Content::Lists(lists) => lists.iter().map(|(language, texts)| list(language, texts)).collect(),
            Content::Text(_) => Vec::new(),
        };
        let (kind, options) = match field.shape {
            Shape::Switch => ("switch", Vec::new()),
            Shape::Number => ("number", Vec::new()),
            Shape::Secret => ("secret", Vec::new()),
            Shape::Choice(words) => {
                let option =
                    |word: &&str| page::Choice::labelled(word, &names.word(key, word), **word == text);
                let mut options: Vec<_> = words.iter().map(option).collect();
                if default.is_none() {
                    options.insert(0, page::Choice::labelled("", "", text.is_empty()));
                }
                ("choice", options)
            }
            Shape::List if field.of == Some(Of::Groups) => ("groups", Vec::new()),
            Shape::List => ("list", Vec::new()),
            Shape::ListsByLanguage => ("lists", Vec::new()),
            _ => match field.of {
                Some(Of::Lines) => ("lines", Vec::new()),
                Some(Of::Colour) => ("colour", Vec::new()),
                Some(Of::Picture) => ("picture", Vec::new()),
                _ => ("text", Vec::new()),
            },
        };
        let bound = |bound: Option<u32>| bound.map(|bound| bound.to_string()).unwrap_or_default();
        Self {
            name: key.to_owned(),
            label: names.label(key),
            help: names.help(key, field),
            help_language: names.language(key),
            kind,
            value: text,
            was: if field.is_secret() { String::new() } else { was.kept() },
            options,
            lists,
            is_optional: matches!(field.shape, Shape::List) && default.is_none(),
            is_on: *content != Content::Unset,
            least: bound(field.bounds.map(|bounds| bounds.0)),
            most: bound(field.bounds.map(|bounds| bounds.1)),
            default: match Content::of(field, default.as_ref()) {
                Content::Text(text) => text,
                _ => String::new(),
            },
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn two_who_change_a_list_at_once_both_have_their_way() {
        for (own, base, theirs, all) in [
            (&["a", "x", "b"][..], &["a", "b"][..], &["a", "b", "c"][..], &["a", "x", "b", "c"][..]),
            (&["b"], &["a", "b"], &["a", "b", "c"], &["b", "c"]),
            (&["a", "b"], &["a", "b"], &["b"], &["b"]),
            (&["a", "x"], &["a"], &["x", "a"], &["x", "a"]),
            (&["b", "a"], &["a", "b"], &["a", "b"], &["b", "a"]),
            (&["x"], &[], &["y"], &["y", "x"]),
        ] {
            assert_eq!(merged(&list(own), &list(base), &list(theirs)), list(all), "{own:?} {theirs:?}");
        }
        let lists = |pairs: &[(&str, &[&str])]| {
            Content::Lists(pairs.iter().map(|(language, texts)| ((*language).into(), list(texts))).collect())
        };
        let base = lists(&[("de", &["a"]), ("en", &["b"])]);
        let theirs = lists(&[("de", &["a", "c"]), ("fr", &["d"])]);
        let own = lists(&[("en", &["b", "e"]), ("es", &["f"])]);
        // They have dropped English while it grew here: what was added here stays.
        assert_eq!(own.merged(&base, &theirs), lists(&[("en", &["e"]), ("es", &["f"]), ("fr", &["d"])]));
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        for (key, text) in [
            ("idle_timeout_seconds", "Idle timeout seconds"),
            ("dns_name", "DNS name"),
            ("connect_timeout_ms", "Connect timeout (ms)"),
            ("hash_memory_kib", "Hash memory (KiB)"),
            ("ask_email", "Ask e-mail"),
        ] {
            assert_eq!(label(key), text);
        }
    }

    #[test]
    fn a_button_is_understood_or_not_one() {
        let button = Button::parse("up enroll.question_list 3 en").unwrap();
        assert_eq!((button.verb, button.index, button.language), ("up", Some(3), Some("en")));
        let button = Button::parse("pick permissions.reset.groups S-1-5-32-545").unwrap();
        assert_eq!((button.text, button.index), (Some("S-1-5-32-545"), None));
        assert!(Button::parse("up").is_none() && Button::parse("up key").is_none());
        assert!(Button::parse("up key x").unwrap().index.is_none());
    }
}
