//! Regain's own rules for new passwords, on top of the directory's: any number of sets, each for everybody or for some groups.

use std::path::PathBuf;

use super::{
    Fault,
    permissions::{Audience, sid},
    table::tab,
};
use crate::domain::{
    account::Account,
    password_rules::{LEAST_WORD, Rule, Rules},
    permission,
};

tab! {
    /// A set of rules. All sets that are for somebody hold together: of two rules of a kind the stricter one.
    pub struct PasswordRules {
        /// What the set is called, for administrators.
        name: String = "Rules".into(), as super::form::name;
        /// For whom it is: "everyone", "members" of the groups only, or "others": everyone but the members of the groups.
        audience: Audience = Audience::Everyone;
        /// The groups of Active Directory, by their SIDs, such as "S-1-5-21-1004336348-1177238915-682003330-1109".
        groups: Vec<String> = Vec::new(), as sid, of Groups;
        /// The least number of characters; 0 for no rule. Characters are counted, not bytes: each letter of any script is
        /// one.
        minimum_length: u32 = 0, in 0..=127;
        /// The most characters; 0 for no rule. Only needed where another system with the same password can't take more.
        maximum_length: u32 = 0, in 0..=127;
        /// So many of these four: capital letters, small letters, digits, special characters; 0 for no rule.
        classes: u32 = 0, in 0..=4;
        /// The least number of capital letters.
        capital_letters: u32 = 0, in 0..=20;
        /// The least number of small letters.
        small_letters: u32 = 0, in 0..=20;
        /// The least number of digits.
        digits: u32 = 0, in 0..=20;
        /// The least number of characters that are neither letters nor digits.
        special_characters: u32 = 0, in 0..=20;
        /// Nothing of the person's user name, name or e-mail address (of 3 letters or more) may be in it.
        forbid_names: bool = false;
        /// Words of 3 letters or more that may not be in it, such as the company's name. Capitals are ignored, and so are
        /// digits and marks in the place of letters (c0nt0$0).
        forbidden_words: Vec<String> = Vec::new(), as word;
        /// The most neighbours in a row, of the alphabet, of digits or of a keyboard, such as abcd, 4321 or qwer; 0 for no
        /// rule.
        longest_sequence: u32 = 0, in 0..=20;
        /// The most times the same character may stand in a row; 0 for no rule.
        longest_repeat: u32 = 0, in 0..=20;
        /// At a change of a password: so many characters must be other than in the old one, put in, taken out or exchanged;
        /// 0 for no rule. At a reset nobody knows the old one.
        different_characters: u32 = 0, in 0..=20;
        /// How hard to guess it must be, from 0 (no rule) to 4 (very hard), as zxcvbn judges it: by words, names, dates,
        /// keyboards and what attackers try first.
        least_strength: u32 = 0, in 0..=4;
        /// Passwords that were stolen elsewhere are refused: those in the file of breached_passwords_file in the Security
        /// tab.
        forbid_breached: bool = false;
    }
}

/// A word that is looked for in passwords.
fn word(text: &str) -> Result<(), String> {
    if text.chars().count() < LEAST_WORD || text.chars().count() > 64 {
        return Err(format!("needs {LEAST_WORD} to 64 letters"));
    }
    Ok(())
}

impl PasswordRules {
    /// What it asks for, to be told to administrators.
    pub fn told(&self) -> Rules {
        let mut rules = Rules::default();
        for rule in self.rules().chain(self.forbid_names.then_some(Rule::NoName)) {
            rules.add(rule);
        }
        rules.forbid(&self.forbidden_words);
        rules
    }

    fn audience(&self) -> permission::Rule<'_> {
        match self.audience {
            Audience::Everyone => permission::Rule::Everyone,
            Audience::Members => permission::Rule::Members(&self.groups),
            Audience::Others => permission::Rule::Others(&self.groups),
        }
    }

    /// Whether it is for that account; nobody's in particular, if there is none.
    fn is_for(&self, account: Option<&Account>) -> bool {
        match account {
            Some(account) => permission::require_permitted(self.audience(), account).is_ok(),
            None => self.audience == Audience::Everyone,
        }
    }

    /// The rules it has, without names and words.
    fn rules(&self) -> impl Iterator<Item = Rule> {
        [
            (self.minimum_length, Rule::MinimumLength as fn(u32) -> Rule),
            (self.maximum_length, Rule::MaximumLength),
            (self.classes, Rule::Classes),
            (self.capital_letters, Rule::Capitals),
            (self.small_letters, Rule::Smalls),
            (self.digits, Rule::Digits),
            (self.special_characters, Rule::Specials),
            (self.longest_sequence, Rule::Sequence),
            (self.longest_repeat, Rule::Repeat),
            (self.different_characters, Rule::Different),
            (self.least_strength, Rule::Strength),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, rule)| rule(count))
        .chain(self.forbid_breached.then_some(Rule::Breached))
    }

    pub(super) fn check_needs(&self, key: &str, breached: Option<&PathBuf>, faults: &mut Vec<Fault>) {
        let mut fault = |field: &str, text: &str| faults.push(Fault::new(&format!("{key}.{field}"), text));
        if self.audience != Audience::Everyone && self.groups.is_empty() {
            fault(
                "audience",
                "needs groups: with \"members\" it would be for nobody, with \"others\" for everybody",
            );
        }
        let needed = self.capital_letters + self.small_letters + self.digits + self.special_characters;
        if self.maximum_length > 0 && self.maximum_length < self.minimum_length.max(needed) {
            fault("maximum_length", "is less than the other rules ask for: no password could keep them all");
        }
        if self.forbid_breached && breached.is_none() {
            fault(
                "forbid_breached",
                "true, but there is no list: set settings.security.breached_passwords_file in the configuration file",
            );
        }
    }
}

/// The rules of all sets that are for an account, and nobody's in particular if there is none, added to the directory's.
pub fn add_all(sets: &[PasswordRules], rules: &mut Rules, account: Option<&Account>) {
    let mut forbids_names = false;
    for set in sets.iter().filter(|set| set.is_for(account)) {
        for rule in set.rules() {
            rules.add(rule);
        }
        rules.forbid(&set.forbidden_words);
        forbids_names |= set.forbid_names;
    }
    if let Some(account) = account {
        rules.about(account, forbids_names);
    } else if forbids_names {
        rules.add(Rule::NoName);
    }
}
