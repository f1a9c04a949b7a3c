//! The rules that a new password has to keep: those of the directory and Regain's own, as one list that is told, checked
//! in the page while somebody types, and checked here again.

use std::mem::discriminant;

use super::{PasswordPolicy, classes, names_in};
use crate::domain::{account::Account, field::Problem, secret::Password};

/// A rule for a new password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// At least so many characters (Unicode scalar values).
    MinimumLength(u32),
    /// At most so many characters.
    MaximumLength(u32),
    /// Three of the character classes, as the directory counts them (MS-SAMR 3.1.1.7.2).
    Complexity,
    /// At least so many of the character classes.
    Classes(u32),
    /// At least so many capital letters.
    Capitals(u32),
    /// At least so many small letters.
    Smalls(u32),
    /// At least so many digits.
    Digits(u32),
    /// At least so many characters that are neither letters nor digits.
    Specials(u32),
    /// No name of its owner.
    NoName,
    /// No word of the company's list.
    Words,
    /// At most so many neighbours of the alphabet or a keyboard in a row.
    Sequence(u32),
    /// The same character at most so many times in a row.
    Repeat(u32),
    /// At least so many characters other than in the present password (Levenshtein).
    Different(u32),
    /// Not to be guessed soon: the least score of zxcvbn, 0 to 4.
    Strength(u32),
    /// On no list of passwords that were stolen.
    Breached,
    /// None of the last so many. Only the directory can tell.
    History(u32),
    /// The present one is so many days old. Only the directory can tell.
    MinimumAge(u32),
}

impl Rule {
    /// Its words are among the texts under `rule.` and this.
    pub const fn key(self) -> &'static str {
        match self {
            Self::MinimumLength(_) => "minimum_length",
            Self::MaximumLength(_) => "maximum_length",
            Self::Complexity => "complexity",
            Self::Classes(_) => "classes",
            Self::Capitals(_) => "capitals",
            Self::Smalls(_) => "smalls",
            Self::Digits(_) => "digits",
            Self::Specials(_) => "specials",
            Self::NoName => "no_name",
            Self::Words => "words",
            Self::Sequence(_) => "sequence",
            Self::Repeat(_) => "repeat",
            Self::Different(_) => "different",
            Self::Strength(_) => "strength",
            Self::Breached => "breached",
            Self::History(_) => "history",
            Self::MinimumAge(_) => "minimum_age",
        }
    }

    /// The number in it.
    pub const fn count(self) -> Option<u32> {
        match self {
            Self::MinimumLength(count)
            | Self::MaximumLength(count)
            | Self::Classes(count)
            | Self::Capitals(count)
            | Self::Smalls(count)
            | Self::Digits(count)
            | Self::Specials(count)
            | Self::Sequence(count)
            | Self::Repeat(count)
            | Self::Different(count)
            | Self::Strength(count)
            | Self::History(count)
            | Self::MinimumAge(count) => Some(count),
            Self::Complexity | Self::NoName | Self::Words | Self::Breached => None,
        }
    }

    /// What is said to somebody whose password breaks it.
    pub const fn problem(self) -> Problem {
        match self {
            Self::MinimumLength(minimum) => Problem::PasswordTooShort { minimum },
            Self::MaximumLength(_) => Problem::PasswordOverMaximum,
            Self::Complexity => Problem::PasswordTooSimple,
            Self::NoName => Problem::PasswordContainsName,
            Self::Words => Problem::PasswordHasWord,
            Self::Different(_) => Problem::PasswordTooSimilar,
            Self::Strength(_) => Problem::PasswordTooWeak,
            Self::Breached => Problem::PasswordInBreach,
            Self::History(_) => Problem::PasswordInHistory,
            Self::MinimumAge(_) => Problem::PasswordTooYoung,
            Self::Classes(_)
            | Self::Capitals(_)
            | Self::Smalls(_)
            | Self::Digits(_)
            | Self::Specials(_)
            | Self::Sequence(_)
            | Self::Repeat(_) => Problem::PasswordBreaksRule { rule: self },
        }
    }

    /// The one of two of a kind that lets fewer passwords through.
    fn stricter(self, other: Self) -> Self {
        let is_upper_limit = matches!(self, Self::MaximumLength(_) | Self::Sequence(_) | Self::Repeat(_));
        if (other.count() > self.count()) == is_upper_limit { self } else { other }
    }
}

/// All rules for somebody's new password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    all: Vec<Rule>,
    /// What it must not contain, of its owner's names.
    names: Vec<String>,
    /// What it must not contain besides.
    words: Vec<String>,
}

/// Shorter names and words would be found in too many passwords.
pub const LEAST_WORD: usize = 3;

impl Rules {
    /// Those of a directory. `is_enforced`: history and minimum age, too.
    pub fn of(policy: &PasswordPolicy, is_enforced: bool) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        let mut rules = Self::default();
        if policy.minimum_length > 0 {
            rules.add(Rule::MinimumLength(policy.minimum_length));
        }
        if policy.complexity {
            rules.add(Rule::Complexity);
            rules.add(Rule::NoName);
        }
        if is_enforced && policy.history_length > 0 {
            rules.add(Rule::History(policy.history_length));
        }
        let days = policy.minimum_age.as_secs().div_ceil(DAY);
        if is_enforced && days > 0 {
            rules.add(Rule::MinimumAge(u32::try_from(days).unwrap_or(u32::MAX)));
        }
        rules
    }

    /// Adds one; of two of a kind the stricter one stays.
    pub fn add(&mut self, rule: Rule) {
        match self.all.iter_mut().find(|known| discriminant(*known) == discriminant(&rule)) {
            Some(known) => *known = known.stricter(rule),
            None => self.all.push(rule),
        }
    }

    /// Adds words that a password must not contain.
    pub fn forbid<'a>(&mut self, words: impl IntoIterator<Item = &'a String>) {
        self.words.extend(words.into_iter().map(|word| plain(word)));
        self.words.retain(|word| word.chars().count() >= LEAST_WORD);
        if !self.words.is_empty() {
            self.add(Rule::Words);
        }
    }

    /// For whom they are: what of an account's names a password must not contain. `all`: also those that only Regain
    /// looks at.
    pub fn about(&mut self, account: &Account, all: bool) {
        self.names = names_in(account);
        if all {
            self.add(Rule::NoName);
            let local = |address: &Option<String>| {
                let address = address.as_deref().unwrap_or_default();
                address.split('@').next().unwrap_or_default().to_lowercase()
            };
            self.names.extend([local(&account.user_principal_name), local(&account.mail)]);
            self.names.retain(|name| name.chars().count() >= LEAST_WORD);
        }
    }

    /// Takes out what is about the present password, where nobody knows it.
    pub fn forget_present(&mut self) {
        self.all.retain(|rule| !matches!(rule, Rule::Different(_)));
    }

    /// How hard to guess it must be, if that is a rule; see [`strength`].
    pub fn least_strength(&self) -> Option<u32> {
        self.all.iter().find_map(|rule| match rule {
            Rule::Strength(least) => Some(*least),
            _ => None,
        })
    }

    /// In the order they are told: what is about the whole first, what only the directory knows last.
    pub fn list(&self) -> impl Iterator<Item = Rule> + '_ {
        // A longest length that is shorter than the least would let nothing through.
        let least = self.all.iter().find_map(|rule| match rule {
            Rule::MinimumLength(least) => Some(*least),
            _ => None,
        });
        let is_complex = self.all.contains(&Rule::Complexity);
        let is_told = move |rule: &&Rule| match rule {
            Rule::MaximumLength(most) => least.is_none_or(|least| *most >= least),
            // The directory's own rule says so already.
            Rule::Classes(count) => !is_complex || *count > 3,
            _ => true,
        };
        let is_last = |rule: &&Rule| matches!(rule, Rule::History(_) | Rule::MinimumAge(_));
        let first = self.all.iter().filter(move |rule| !is_last(rule));
        first.chain(self.all.iter().filter(is_last)).filter(is_told).copied()
    }

    /// The names that a password must not contain.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Which of them a new password breaks, as far as that can be told without others' help. `old`: the present one, if it
    /// is known.
    pub fn broken(&self, new: &Password, old: Option<&Password>) -> Vec<Rule> {
        let text = new.reveal();
        let is_kept = |rule: Rule| match rule {
            Rule::Words => {
                let text = plain(text);
                !self.words.iter().any(|word| text.contains(word.as_str()))
            }
            Rule::NoName => {
                let text = text.to_lowercase();
                !self.names.iter().any(|name| text.contains(name.as_str()))
            }
            Rule::Different(least) => old.is_none_or(|old| is_different(text, old.reveal(), least)),
            rule => keeps(text, rule),
        };
        self.list().filter(|rule| !is_kept(*rule)).collect()
    }
}

/// How hard a password is to guess, from 0 to 4, as zxcvbn judges it (Wheeler, USENIX Security 2016), with words that a guesser
/// would try for this person. Of a long password the beginning is judged.
pub fn strength(password: &Password, guessed: &[&str]) -> u32 {
    const LONGEST: usize = 64;
    let text = password.reveal();
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    u32::from(u8::from(zxcvbn::zxcvbn(&text[..end], guessed).score()))
}

/// Whether a text keeps a rule that is about nothing else: what the page can check as well (`ui/assets/regain.js`).
pub fn keeps(text: &str, rule: Rule) -> bool {
    let count = |is_so: fn(char) -> bool| number(text.chars().filter(|c| is_so(*c)).count());
    match rule {
        Rule::MinimumLength(least) => count(|_| true) >= least,
        Rule::MaximumLength(most) => count(|_| true) <= most,
        Rule::Complexity => classes(text) >= 3,
        Rule::Classes(least) => number(classes(text)) >= least,
        Rule::Capitals(least) => count(char::is_uppercase) >= least,
        Rule::Smalls(least) => count(char::is_lowercase) >= least,
        Rule::Digits(least) => count(|c| c.is_ascii_digit()) >= least,
        Rule::Specials(least) => count(|c| !c.is_alphanumeric()) >= least,
        Rule::Sequence(most) => number(longest_sequence(text)) <= most,
        Rule::Repeat(most) => number(longest_run(text.chars(), |a, b| a == b)) <= most,
        Rule::NoName
        | Rule::Words
        | Rule::Different(_)
        | Rule::Strength(_)
        | Rule::Breached
        | Rule::History(_)
        | Rule::MinimumAge(_) => true,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How long the longest stretch is in which each character follows the one before it so.
fn longest_run(text: impl Iterator<Item = char>, follows: impl Fn(char, char) -> bool) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for character in text {
        run = if last.is_some_and(|last| follows(last, character)) { run + 1 } else { 1 };
        (longest, last) = (longest.max(run), Some(character));
    }
    longest
}

/// Keys that lie side by side, of the keyboards that begin with these letters, with and without shift.
pub const ROWS: [&str; 13] = [
    "1234567890",
    "!@#$%^&*()",
    "!\"§$%&/()=",
    "qwertyuiop",
    "qwertzuiopü",
    "azertyuiop",
    "asdfghjkl",
    "asdfghjklöä",
    "qsdfghjklm",
    "zxcvbnm",
    "yxcvbnm",
    "wxcvbn",
    "йцукенгшщзхъ",
];

/// The most neighbours in a row, of the alphabet, of digits or of a keyboard, in either direction; the case is ignored.
fn longest_sequence(text: &str) -> usize {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let is_next = |a: char, b: char| {
        u32::from(a) + 1 == u32::from(b)
            && (a.is_ascii_digit() && b.is_ascii_digit() || a.is_alphabetic() && b.is_alphabetic())
    };
    let longest = |follows: &dyn Fn(char, char) -> bool| {
        let forward = longest_run(text.iter().copied(), follows);
        forward.max(longest_run(text.iter().rev().copied(), follows))
    };
    let on_keyboard = ROWS.iter().map(|row| {
        let place = |key: char| row.chars().position(|known| known == key);
        longest(&|a, b| place(a).zip(place(b)).is_some_and(|(a, b)| a + 1 == b))
    });
    on_keyboard.fold(longest(&is_next), usize::max)
}

/// A word as it is looked for: in small letters, and with the letters that digits and marks often stand for.
fn plain(word: &str) -> String {
    let letter = |c: char| match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    word.chars().flat_map(char::to_lowercase).map(letter).collect()
}

/// Whether at least so many characters would have to be put in, taken out or changed to make one of the other
/// (Levenshtein), in either direction of writing; the case is ignored.
fn is_different(new: &str, old: &str, least: u32) -> bool {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (new, old) = (fold(new), fold(old));
    let reversed: Vec<_> = old.iter().rev().copied().collect();
    [old, reversed].iter().all(|old| number(distance(&new, old)) >= least)
}

fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], index + 1);
        for (at, b) in other.iter().enumerate() {
            let cost = corner + usize::from(a != b);
            corner = row[at + 1];
            row[at + 1] = cost.min(corner + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::SecretText;

    fn password(text: &str) -> Password {
        Password::parse(SecretText::new(text.to_owned())).unwrap()
    }

    fn broken(rules: &[Rule], text: &str) -> Vec<&'static str> {
        let mut all = Rules::default();
        for rule in rules {
            all.add(*rule);
        }
        all.broken(&password(text), None).into_iter().map(Rule::key).collect()
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        for text in ["пароль-1", "密码密码密码密码", "pässwörd", "🐈🐈🐈🐈🐈🐈🐈🐈"]
        {
            assert!(keeps(text, Rule::MinimumLength(8)) && keeps(text, Rule::MaximumLength(8)), "{text}");
            assert!(!keeps(text, Rule::MinimumLength(9)) && !keeps(text, Rule::MaximumLength(7)), "{text}");
        }
    }

    #[test]
    fn all_that_is_broken_is_told_at_once() {
        let rules =
            [Rule::MinimumLength(12), Rule::Capitals(1), Rule::Digits(2), Rule::Specials(1), Rule::Smalls(1)];
        assert_eq!(broken(&rules, "short1"), ["minimum_length", "capitals", "digits", "specials"]);
        assert_eq!(broken(&rules, "Long-enough-12"), [""; 0]);
    }

    #[test]
    fn the_stricter_of_two_stays_and_a_length_is_never_made_impossible() {
        let mut rules = Rules::default();
        for rule in [
            Rule::MinimumLength(8),
            Rule::MinimumLength(14),
            Rule::MinimumLength(10),
            Rule::Repeat(3),
            Rule::Repeat(2),
            Rule::MaximumLength(12),
            Rule::History(5),
        ] {
            rules.add(rule);
        }
        let list: Vec<_> = rules.list().collect();
        assert_eq!(list, [Rule::MinimumLength(14), Rule::Repeat(2), Rule::History(5)]);
        rules.add(Rule::MaximumLength(20));
        assert!(!rules.list().any(|rule| matches!(rule, Rule::MaximumLength(_))), "12 is the stricter one");
        rules.add(Rule::Complexity);
        rules.add(Rule::Classes(3));
        assert!(!rules.list().any(|rule| rule == Rule::Classes(3)), "the same twice");
        rules.add(Rule::Classes(4));
        assert!(rules.list().any(|rule| rule == Rule::Classes(4)));
    }

    #[test]
    fn neighbours_in_a_row_are_found_in_both_directions() {
        for (text, longest) in [
            ("abcd-x", 4),
            ("xDCBA", 4),
            ("a1234z", 4),
            ("9876", 4),
            ("qwert", 5),
            ("TREWQ", 5),
            ("qwertz", 6),
            ("azerty", 6),
            ("!@#$", 4),
            ("йцук", 4),
            ("абвг", 4),
            ("acegi", 1),
            ("aabbcc", 2),
            ("z{|", 1),
            ("", 0),
        ] {
            assert_eq!(longest_sequence(text), longest, "{text}");
        }
    }

    #[test]
    fn the_same_character_is_counted_in_a_row() {
        assert!(keeps("aabbaa", Rule::Repeat(2)) && !keeps("xaaax", Rule::Repeat(2)));
        assert!(keeps("aAa", Rule::Repeat(1)), "a capital is another character");
    }

    #[test]
    fn a_forbidden_word_is_found_behind_digits_and_marks() {
        let mut rules = Rules::default();
        rules.forbid(&["Contoso".to_owned(), "ab".to_owned()]);
        for text in ["xCONTOSOx", "C0nt0$0-2026"] {
            assert_eq!(rules.broken(&password(text), None), [Rule::Words], "{text}");
        }
        assert!(rules.broken(&password("con-toso-ab"), None).is_empty());
    }

    #[test]
    fn a_password_that_was_changed_a_little_is_the_old_one() {
        for (new, old, distance) in
            [("Winter-2025", "Winter-2026", 1), ("kitten", "sitting", 3), ("", "abc", 3)]
        {
            assert!(is_different(new, old, distance) && !is_different(new, old, distance + 1), "{new} {old}");
        }
        assert!(!is_different("6202-RETNIW", "Winter-2026", 1), "written from behind");
        let mut rules = Rules::default();
        rules.add(Rule::Different(4));
        assert!(rules.broken(&password("Winter-2026"), None).is_empty(), "nobody knows the old one");
        assert_eq!(
            rules.broken(&password("Winter-2027"), Some(&password("Winter-2026"))),
            [Rule::Different(4)]
        );
    }

    #[test]
    fn what_is_guessed_soon_is_weak() {
        let strength = |text: &str| strength(&password(text), &["mary", "regain"]);
        for weak in ["password1", "Mary-regain", "qwertyuiop", "19841984"] {
            assert!(strength(weak) < 3, "{weak}");
        }
        assert_eq!(strength("correct horse battery staple"), 4);
        assert_eq!(strength(&"ab".repeat(128)), strength(&"ab".repeat(64)));
    }

    #[test]
    fn long_passwords_are_judged_at_once() {
        let (long, other) = ("ab".repeat(128), "ba".repeat(128));
        assert!(!is_different(&long, &other, 4) && longest_sequence(&long) == 2);
    }
}
