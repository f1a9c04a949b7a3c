//! How a tab of settings is declared: one line a field, from which come the struct, its defaults, its checks and its
//! description. It knows how values look in TOML, and nothing of where they come from.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use serde::Deserialize;
use toml::{Table, Value};

use crate::domain::secret::SecretText;

/// What is known of a field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key within the tab.
    pub key: &'static str,
    /// What it does, for an administrator, with its unit; more than one line of source, each begun with a blank.
    pub help: &'static str,
    /// What it can hold.
    pub shape: Shape,
    /// The bounds of a number.
    pub bounds: Option<(u32, u32)>,
    /// The form of a text, or of each text of a list.
    pub form: Option<Form>,
    /// What its texts are of, if something is known of that.
    pub of: Option<Of>,
    /// The default; `None` if it is not set.
    pub default: fn() -> Option<Value>,
}

/// What the texts of a field are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// SIDs of groups in the directory.
    Groups,
    /// Names of the domains that are served.
    Domains,
    /// Lines of their own: certificates in PEM, a style sheet.
    Lines,
    /// A colour: `#rrggbb`.
    Colour,
    /// A picture: the text of an SVG, or a PNG in base64.
    Picture,
}

/// Judges a text; what is wrong with it is said so that it can follow the text in quotation marks.
pub type Form = fn(&str) -> Result<(), String>;

/// What a field can hold.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// True or false.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A text that is never shown. It can also be given as the file that has it, under the key with `_file` behind.
    Secret,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Texts in an order.
    List,
    /// Texts in an order, by language.
    ListsByLanguage,
    /// Fields of its own.
    Section(&'static [Field]),
    /// Any number of sections that look alike.
    Sections(&'static [Field]),
}

impl Field {
    /// Whether it is on or off.
    pub const fn shape_is_switch(&self) -> bool {
        matches!(self.shape, Shape::Switch)
    }

    /// Whether its value is never shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.shape, Shape::Secret)
    }

    /// Understands a value that was given as text: of an environment variable, or of a form. What can't be
    /// understood stays a text, for [`Field::fault`] to refuse.
    pub fn understand(&self, text: &str) -> Value {
        let given = || Value::String(text.to_owned());
        match self.shape {
            Shape::Switch => text.trim().parse().map_or_else(|_| given(), Value::Boolean),
            Shape::Number => text.trim().parse().map_or_else(|_| given(), Value::Integer),
            Shape::Text | Shape::Secret | Shape::Choice(_) => given(),
            _ => text.parse().unwrap_or_else(|_| given()),
        }
    }

    /// What is wrong with a value, and what would be right. A secret is never part of it.
    pub fn fault(&self, value: &Value) -> Option<String> {
        match (self.shape, value) {
            (Shape::Switch, Value::Boolean(_))
            | (Shape::Section(_), Value::Table(_))
            | (Shape::Secret, Value::String(_)) => None,
            (Shape::Switch, _) => Some("must be true or false".into()),
            (Shape::Number, Value::Integer(number)) => {
                let (least, most) = self.bounds.unwrap_or((0, u32::MAX));
                (!(i64::from(least)..=i64::from(most)).contains(number))
                    .then(|| format!("{number} is not between {least} and {most}"))
            }
            (Shape::Number, _) => Some("must be a whole number, without quotation marks".into()),
            (Shape::Text, Value::String(text)) => self.fault_of_text(text),
            (Shape::Text | Shape::Secret, _) => Some("must be a text in quotation marks".into()),
            (Shape::Choice(words), value) => {
                let known = value.as_str().is_some_and(|text| words.contains(&text));
                (!known).then(|| format!("must be one of \"{}\"", words.join("\", \"")))
            }
            (Shape::List, value) => self.fault_of_list(value),
            (Shape::ListsByLanguage, Value::Table(lists)) => {
                lists.values().find_map(|list| self.fault_of_list(list))
            }
            (Shape::ListsByLanguage, _) => Some(
                "must be lists by language: en = [\"…\", \"…\"]; in the panel a line [en] above each list, once".into(),
            ),
            (Shape::Section(_), _) => Some(format!("must be a section: [{}]", self.key)),
            (Shape::Sections(_), Value::Array(sections)) if sections.iter().all(Value::is_table) => None,
            (Shape::Sections(_), _) => Some(format!("must be sections: [[{}]]", self.key)),
        }
    }

    fn fault_of_list(&self, list: &Value) -> Option<String> {
        let texts = list.as_array().map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        match texts {
            Some(Some(texts)) => texts.into_iter().find_map(|text| self.fault_of_text(text)),
            _ => Some("must be a list of texts: [\"…\", \"…\"]".into()),
        }
    }

    fn fault_of_text(&self, text: &str) -> Option<String> {
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Some("has control characters in it".into());
        }
        // Of a long text the beginning is enough to know it by.
        let beginning = text.char_indices().nth(LONGEST_TOLD).map(|(at, _)| &text[..at]);
        let told = beginning.map_or_else(|| format!("\"{text}\""), |beginning| format!("\"{beginning}…\""));
        self.form.and_then(|form| form(text).err()).map(|fault| format!("{told} {fault}"))
    }
}

/// The most characters of a text that are told with what is wrong with it.
const LONGEST_TOLD: usize = 200;

/// Something is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as in the file.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Fault {
    /// A fault of that key.
    pub fn new(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.to_owned(), text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// `key` within `prefix`, which may be empty.
pub fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Takes the values out that can't stay, each with its fault, so that all faults are found at once and the rest can
/// be read. Keys that are unknown here are left alone.
pub fn sift(fields: &[Field], table: &mut Table, prefix: &str, faults: &mut Vec<Fault>) {
    for field in fields {
        let Some(value) = table.get_mut(field.key) else { continue };
        let key = join(prefix, field.key);
        if let Some(text) = field.fault(value) {
            faults.push(Fault::new(&key, text));
            table.remove(field.key);
            continue;
        }
        match (field.shape, value) {
            (Shape::Section(fields), Value::Table(table)) => sift(fields, table, &key, faults),
            (Shape::Sections(fields), Value::Array(sections)) => {
                for (index, table) in sections.iter_mut().filter_map(Value::as_table_mut).enumerate() {
                    sift(fields, table, &format!("{key}.{index}"), faults);
                }
            }
            _ => {}
        }
    }
}

/// A struct declared with `tab!`.
pub trait Tab {
    /// What is known of each field.
    const FIELDS: &'static [Field];

    /// All values as TOML, without what is not set and without secrets.
    fn values(&self) -> Table;
}

/// A type that a setting can have.
pub trait Kind: Sized {
    /// What it holds.
    const SHAPE: Shape;

    /// As TOML; `None` if it is not set, or a secret.
    fn value(&self) -> Option<Value>;
}

macro_rules! kinds {
    ($($kind:ty: $shape:expr, |$value:ident| $toml:expr;)+) => {
        $( impl Kind for $kind {
            const SHAPE: Shape = $shape;
            fn value(&self) -> Option<Value> {
                let $value = self;
                $toml
            }
        } )+
    };
}

kinds! {
    bool: Shape::Switch, |on| Some(Value::Boolean(*on));
    u32: Shape::Number, |number| Some(Value::Integer((*number).into()));
    u64: Shape::Number, |number| i64::try_from(*number).ok().map(Value::Integer);
    usize: Shape::Number, |number| i64::try_from(*number).ok().map(Value::Integer);
    String: Shape::Text, |text| Some(Value::String(text.clone()));
    PathBuf: Shape::Text, |path| Some(Value::String(path.display().to_string()));
    Secret: Shape::Secret, |_secret| None;
    Vec<String>: Shape::List, |list| Some(Value::from(list.clone()));
    BTreeMap<String, Vec<String>>: Shape::ListsByLanguage, |lists| Value::try_from(lists).ok();
}

impl<T: Kind> Kind for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn value(&self) -> Option<Value> {
        self.as_ref().and_then(Kind::value)
    }
}

impl<T: Tab> Kind for T {
    const SHAPE: Shape = Shape::Section(T::FIELDS);

    fn value(&self) -> Option<Value> {
        Some(Value::Table(self.values()))
    }
}

impl<T: Tab> Kind for Vec<T> {
    const SHAPE: Shape = Shape::Sections(T::FIELDS);

    fn value(&self) -> Option<Value> {
        Some(Value::Array(self.iter().map(|tab| Value::Table(tab.values())).collect()))
    }
}

/// A secret of the settings: its text is never shown.
#[derive(Debug, Clone)]
pub struct Secret(Arc<SecretText>);

impl Secret {
    /// A secret that was just given.
    pub fn new(text: String) -> Self {
        Self(Arc::new(SecretText::new(text)))
    }

    /// The text, for the one who has to send it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Declares a tab: `/// help` above `key: type = default`, then `, in bounds` for a number or `, as form` for a text,
/// and `, of Groups` for what it is of.
/// `beside` names one field of the struct that is no setting.
macro_rules! tab {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $help:literal])+
                $key:ident: $kind:ty = $default:expr
                    $(, in $least:literal ..= $most:literal)? $(, as $form:expr)? $(, of $of:ident)?;
            )+
            $(
                beside:
                $(#[doc = $beside_help:literal])+
                $beside:ident: $beside_kind:ty;
            )?
        }
    ) => {
        $(#[$about])*
        // The help is written for administrators: words in brackets are what it says, not links.
        #[allow(rustdoc::broken_intra_doc_links)]
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $help])+ pub $key: $kind, )+
            $( $(#[doc = $beside_help])+ #[serde(skip)] pub $beside: $beside_kind, )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )+ $( $beside: <$beside_kind>::default(), )? }
            }
        }

        impl $crate::settings::Tab for $name {
            const FIELDS: &'static [$crate::settings::Field] = &[
                $( $crate::settings::Field {
                    key: stringify!($key),
                    help: concat!($($help),+),
                    shape: <$kind as $crate::settings::Kind>::SHAPE,
                    bounds: $crate::settings::table::tab!(@bounds $($least, $most)?),
                    form: $crate::settings::table::tab!(@form $($form)?),
                    of: $crate::settings::table::tab!(@of $($of)?),
                    default: || {
                        let value: $kind = $default;
                        $crate::settings::Kind::value(&value)
                    },
                }, )+
            ];

            fn values(&self) -> toml::Table {
                let mut table = toml::Table::new();
                $( if let Some(value) = $crate::settings::Kind::value(&self.$key) {
                    table.insert(stringify!($key).to_owned(), value);
                } )+
                table
            }
        }
    };
    (@bounds) => { None };
    (@bounds $least:literal, $most:literal) => { Some(($least, $most)) };
    (@form) => { None };
    (@form $form:expr) => { Some($form) };
    (@of) => { None };
    (@of $of:ident) => { Some($crate::settings::table::Of::$of) };
}

/// Declares an enum of words, each written in TOML as given.
macro_rules! choice {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $( $(#[$help:meta])+ $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
        pub enum $name {
            $( $(#[$help])+ #[serde(rename = $word)] $variant, )+
        }

        impl $crate::settings::Kind for $name {
            const SHAPE: $crate::settings::Shape = $crate::settings::Shape::Choice(&[$($word),+]);

            fn value(&self) -> Option<toml::Value> {
                Some(toml::Value::String(match self { $( Self::$variant => $word, )+ }.to_owned()))
            }
        }
    };
}

pub(crate) use {choice, tab};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{DomainSettings, Security, Settings};

    fn field(fields: &[Field], key: &str) -> Field {
        *fields.iter().find(|field| field.key == key).unwrap()
    }

    #[test]
    fn a_field_is_declared_once_and_described_by_it() {
        let idle = field(Security::FIELDS, "idle_timeout_seconds");
        assert_eq!(idle.bounds, Some((0, 1800)));
        assert_eq!((idle.default)(), Some(Value::Integer(300)));
        assert!(idle.help.contains("seconds") && !idle.is_secret());
        assert!(field(DomainSettings::FIELDS, "service_password").is_secret());
        assert!(matches!(field(Settings::FIELDS, "domain").shape, Shape::Sections(_)));
        let values = Settings::default().values();
        assert_eq!(values["security"]["idle_timeout_seconds"], Value::Integer(300));
        assert!(values["general"].get("domain_list").is_none());
    }

    #[test]
    fn text_is_understood_by_what_the_field_can_hold() {
        let number = field(Security::FIELDS, "hash_passes");
        assert_eq!(number.understand(" 3 "), Value::Integer(3));
        assert!(number.fault(&number.understand("three")).is_some());
        let password = field(DomainSettings::FIELDS, "service_password");
        for text in ["1234", "true", "\"quoted\"", "[1]", " blank "] {
            assert_eq!(password.understand(text), Value::String(text.to_owned()));
        }
        let list = field(DomainSettings::FIELDS, "controllers");
        assert_eq!(list.understand("[\"dc1\", 'dc2']"), Value::from(vec!["dc1", "dc2"]));
        assert!(list.fault(&list.understand("dc1")).is_some());
    }

    #[test]
    fn sifting_takes_out_what_is_wrong_and_keeps_the_rest() {
        let mut table: Table = "security = { hash_passes = 99, enforce_history = 1, hash_lanes = 2 }\n\
             domain = [{ transport = 'plain', mail_attribute = 'mail' }]\nlimits = 3"
            .parse()
            .unwrap();
        let mut faults = Vec::new();
        sift(Settings::FIELDS, &mut table, "", &mut faults);
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            ["security.enforce_history", "security.hash_passes", "limits", "domain.0.transport"]
        );
        let settings: Settings = table.try_into().unwrap();
        assert_eq!((settings.security.hash_lanes, settings.security.hash_passes), (2, 2));
    }

    #[test]
    fn a_secret_is_in_no_value_and_no_debug_output() {
        let settings: Settings = toml::from_str("domain = [{ service_password = 'hunter2' }]").unwrap();
        assert_eq!(settings.domain[0].service_password.as_ref().unwrap().reveal(), "hunter2");
        assert!(!format!("{settings:?}{:?}", settings.values()).contains("hunter2"));
    }
}
