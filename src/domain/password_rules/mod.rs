//! The password rules of a domain or fine-grained policy, and the check that can be made before the directory is asked.

mod rules;

use std::time::Duration;

use super::{account::Account, field::Problem, secret::Password};

pub use rules::{LEAST_WORD, ROWS, Rule, Rules, keeps, strength};

/// The policy that applies to one account (the domain's, or the password settings object that wins: msDS-ResultantPSO).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// minPwdLength, in characters.
    pub minimum_length: u32,
    /// Three of five character classes and no account name (pwdProperties bit 1).
    pub complexity: bool,
    /// How many former passwords are refused.
    pub history_length: u32,
    /// How long a password must be kept.
    pub minimum_age: Duration,
    /// How long a password lasts; `None` is for ever.
    pub maximum_age: Option<Duration>,
    /// Wrong passwords until the directory locks the account; 0 never does.
    pub lockout_threshold: u32,
    /// After this time without a wrong password the directory counts from zero again.
    pub observation_window: Duration,
    /// How long the directory keeps an account locked; `None` is until someone unlocks it.
    pub lockout_duration: Option<Duration>,
    /// False when a fine-grained policy applies but its values may not be read: then these are the domain's.
    pub known: bool,
}

impl PasswordPolicy {
    /// A policy that demands nothing.
    pub const NONE: Self = Self {
        minimum_length: 0,
        complexity: false,
        history_length: 0,
        minimum_age: Duration::ZERO,
        maximum_age: None,
        lockout_threshold: 0,
        observation_window: Duration::ZERO,
        lockout_duration: None,
        known: true,
    };

    /// Checks what can be known without the directory: length, classes, names. History and age are its to judge.
    pub fn check(&self, password: &Password, account: &Account) -> Result<(), Problem> {
        let text = password.reveal();
        let length = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
        if length < self.minimum_length {
            return Err(Problem::PasswordTooShort { minimum: self.minimum_length });
        }
        if self.complexity {
            if contains_a_name(text, account) {
                return Err(Problem::PasswordContainsName);
            }
            if classes(text) < 3 {
                return Err(Problem::PasswordTooSimple);
            }
        }
        Ok(())
    }
}

/// How many of the five classes of the complexity rule occur: upper, lower, digit, symbol, other letters
/// ("Password must meet complexity requirements", MS-SAMR 3.1.1.7.2).
fn classes(text: &str) -> usize {
    let has = |class: fn(char) -> bool| usize::from(text.chars().any(class));
    has(char::is_uppercase)
        + has(char::is_lowercase)
        + has(|c| c.is_ascii_digit())
        + has(|c| !c.is_alphanumeric())
        + has(|c| c.is_alphabetic() && !c.is_uppercase() && !c.is_lowercase())
}

/// Whether a name of the account occurs, ignoring case.
fn contains_a_name(text: &str, account: &Account) -> bool {
    let text = text.to_lowercase();
    names_in(account).iter().any(|name| text.contains(name.as_str()))
}

/// The names that the complexity rule looks for, in small letters: the sAMAccountName and the parts of displayName
/// (split at the documented separators), of 3 characters or more (MS-SAMR 3.1.1.7.2).
fn names_in(account: &Account) -> Vec<String> {
    let parts =
        account.display_name.as_deref().unwrap_or_default().split([',', '.', '-', '_', ' ', '#', '\t']);
    std::iter::once(account.sam_account_name.as_str())
        .chain(parts)
        .filter(|name| name.chars().count() >= LEAST_WORD)
        .map(str::to_lowercase)
        .collect()
}
