//! How a tab of settings is declared: one line a field, from which come the struct, its defaults, its bounds and its
//! description.

use std::{fmt, ops::RangeInclusive};

/// What is known of a field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key within the tab.
    pub key: &'static str,
    /// What it does, for an administrator, with its unit.
    pub help: &'static str,
    /// The bounds of a number.
    pub bounds: Option<(u32, u32)>,
    /// Whether its value is never shown.
    pub secret: bool,
    /// The default, as TOML; empty if there is none.
    pub default: fn() -> String,
}

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

/// A type that a setting can have.
pub trait Kind: Sized {
    /// As TOML; empty for "not set".
    fn toml(&self) -> String;

    /// As a number, if it is one that can have bounds.
    fn number(&self) -> Option<u32> {
        None
    }
}

impl Kind for bool {
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Kind for u32 {
    fn toml(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<u32> {
        Some(*self)
    }
}

impl Kind for String {
    fn toml(&self) -> String {
        toml::Value::String(self.clone()).to_string()
    }
}

impl Kind for Vec<String> {
    fn toml(&self) -> String {
        toml::Value::from(self.clone()).to_string()
    }
}

impl Kind for std::path::PathBuf {
    fn toml(&self) -> String {
        self.display().to_string().toml()
    }
}

impl<T: Kind> Kind for Option<T> {
    fn toml(&self) -> String {
        self.as_ref().map(Kind::toml).unwrap_or_default()
    }

    fn number(&self) -> Option<u32> {
        self.as_ref().and_then(Kind::number)
    }
}

pub(super) fn check_bounds(
    prefix: &str,
    key: &str,
    value: Option<u32>,
    bounds: RangeInclusive<u32>,
    faults: &mut Vec<Fault>,
) {
    if let Some(value) = value
        && !bounds.contains(&value)
    {
        let text = format!("{value} is not between {} and {}", bounds.start(), bounds.end());
        faults.push(Fault::new(&format!("{prefix}.{key}"), text));
    }
}

/// Declares a tab: `/// help` then `key: type = default` and, for numbers, `, bounds`.
macro_rules! tab {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $help:literal])+
                $(#[secret $secret:tt])?
                $key:ident: $kind:ty = $default:expr $(, in $bounds:expr)?;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $help])+ pub $key: $kind, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $name {
            /// What is known of each field.
            pub const FIELDS: &'static [$crate::settings::Field] = &[
                $( $crate::settings::Field {
                    key: stringify!($key),
                    help: concat!($($help),+),
                    bounds: $crate::settings::table::bounds_of!($($bounds)?),
                    secret: $crate::settings::table::is_secret!($($secret)?),
                    default: || {
                        let value: $kind = $default;
                        $crate::settings::table::Kind::toml(&value)
                    },
                }, )+
            ];

            /// Checks the bounds of the numbers.
            #[allow(unused_variables, clippy::ptr_arg, reason = "a tab may have no numbers")]
            pub(super) fn check(&self, prefix: &str, faults: &mut Vec<$crate::settings::Fault>) {
                $( $(
                    let value = $crate::settings::table::Kind::number(&self.$key);
                    $crate::settings::table::check_bounds(prefix, stringify!($key), value, $bounds, faults);
                )? )+
            }
        }
    };
}

macro_rules! bounds_of {
    () => {
        None
    };
    ($bounds:expr) => {
        Some((*$bounds.start(), *$bounds.end()))
    };
}

macro_rules! is_secret {
    () => {
        false
    };
    ($secret:tt) => {
        true
    };
}

pub(super) use {bounds_of, is_secret, tab};
