//! Verification codes: how they are made, how what is typed is read, and what is kept of them.
//!
//! It must not know where a code goes, nor what it is good for.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{field::Problem, secret::SecretText};

/// The characters of a code that has digits only.
pub const DIGITS: &[u8] = b"0123456789";
/// Digits and letters without those that look alike.
pub const DIGITS_AND_LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A code, as it was sent or as it was typed.
pub struct Code(Zeroizing<String>);

impl Code {
    /// The most characters that are read of what was typed.
    pub const MAXIMUM_CHARACTERS: usize = 64;
    /// So many random bytes are enough for the longest code: more than 50 of them would have to be thrown away.
    pub const RANDOM_BYTES: usize = 64;

    /// A code of that length from random bytes. Each character is as likely as any other: bytes that would favour some
    /// are left out. `None` if too few are left.
    pub fn make(length: usize, characters: &[u8], random: &[u8; Self::RANDOM_BYTES]) -> Option<Self> {
        let fair = 256 - 256 % characters.len();
        let mut code = Zeroizing::new(String::with_capacity(length));
        for byte in random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair).take(length) {
            code.push(char::from(characters[byte % characters.len()]));
        }
        (code.len() == length).then_some(Self(code))
    }

    /// Reads what was typed: blanks and hyphens, with which people group a code, don't count, nor does case.
    pub fn parse(typed: &SecretText) -> Result<Self, Problem> {
        if typed.reveal().chars().count() > Self::MAXIMUM_CHARACTERS {
            return Err(Problem::FieldTooLong);
        }
        let is_filler =
            |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
        let mut code = Zeroizing::new(String::with_capacity(4 * Self::MAXIMUM_CHARACTERS));
        code.extend(typed.reveal().nfkc().filter(|c| !is_filler(*c)).map(|c| c.to_ascii_uppercase()));
        if code.is_empty() { Err(Problem::FieldEmpty) } else { Ok(Self(code)) }
    }

    /// The code itself, for the message it goes out with.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(…)")
    }
}

/// What is kept of a code: a keyed hash of it and of all it is bound to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeHash([u8; 32]);

impl CodeHash {
    /// From the bytes of a keyed hash; random ones for a code that nobody can know.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether they are the same; takes as long in any case.
    pub fn matches(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl std::fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Result<String, Problem> {
        Code::parse(&SecretText::new(text.to_owned())).map(|code| code.reveal().to_owned())
    }

    #[test]
    fn a_code_is_as_long_as_wanted_and_made_of_its_characters() {
        for characters in [DIGITS, DIGITS_AND_LETTERS] {
            for length in 4..=12 {
                let mut random = [0; Code::RANDOM_BYTES];
                aws_lc_rs::rand::fill(&mut random).unwrap();
                let code = Code::make(length, characters, &random).unwrap();
                assert_eq!(code.reveal().len(), length);
                assert!(code.reveal().bytes().all(|byte| characters.contains(&byte)));
                assert_eq!(typed(code.reveal()).unwrap(), code.reveal());
            }
        }
    }

    #[test]
    fn no_character_is_likelier_than_another() {
        for characters in [DIGITS, DIGITS_AND_LETTERS] {
            let mut counts = vec![0; characters.len()];
            for byte in 0..=255 {
                if let Some(code) = Code::make(1, characters, &[byte; Code::RANDOM_BYTES]) {
                    let at = characters.iter().position(|c| *c == code.reveal().as_bytes()[0]).unwrap();
                    counts[at] += 1;
                }
            }
            assert!(counts.iter().all(|count| *count == counts[0] && *count > 0), "{counts:?}");
        }
    }

    #[test]
    fn random_bytes_that_are_not_fair_make_no_code() {
        assert!(Code::make(6, DIGITS, &[255; Code::RANDOM_BYTES]).is_none());
    }

    #[test]
    fn characters_that_look_alike_are_not_used() {
        assert!(!DIGITS_AND_LETTERS.iter().any(|c| b"01IO".contains(c)));
    }

    #[test]
    fn blanks_hyphens_and_case_do_not_count() {
        for text in ["ABC234", "abc-234", " AbC 234 ", "a b c 2 3 4", "ABC\u{a0}\u{2011}234", "ＡＢＣ２３４"]
        {
            assert_eq!(typed(text).unwrap(), "ABC234", "{text}");
        }
        for text in ["", "  ", " - - "] {
            assert_eq!(typed(text), Err(Problem::FieldEmpty));
        }
        assert_eq!(typed(&"1".repeat(65)), Err(Problem::FieldTooLong));
        assert_ne!(typed("ABC2340").unwrap(), typed("ABC234").unwrap());
    }

    #[test]
    fn neither_a_code_nor_its_hash_is_in_debug_output() {
        let code = Code::parse(&SecretText::new("482913".into())).unwrap();
        assert_eq!(format!("{code:?} {:?}", CodeHash::new([1; 32])), "Code(…) CodeHash(…)");
        assert!(CodeHash::new([1; 32]).matches(&CodeHash::new([1; 32])));
        assert!(!CodeHash::new([1; 32]).matches(&CodeHash::new([2; 32])));
    }
}
