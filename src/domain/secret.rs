//! Secrets: they have no `Display`, `Serialize` or `Clone`, a redacted `Debug`, and are wiped when dropped.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::field::Problem;

/// Text that must never be shown, logged or kept: what a visitor typed into a password or answer field.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over; its memory is wiped when the value is dropped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// A password as it is sent to the directory: never empty (an empty one would be an unauthenticated bind,
/// RFC 4513 5.1.2), never trimmed, at most 256 UTF-16 units (the limit of unicodePwd, MS-ADTS 3.1.1.3.1.5).
pub struct Password(SecretText);

impl Password {
    /// The longest password Active Directory takes, in UTF-16 code units.
    pub const MAXIMUM_UNITS: usize = 256;

    /// Refuses what may not reach the directory: nothing, NUL, or too much.
    pub fn parse(text: SecretText) -> Result<Self, Problem> {
        if text.reveal().is_empty() {
            return Err(Problem::FieldEmpty);
        }
        if text.reveal().contains('\0') {
            return Err(Problem::FieldHasControlCharacters);
        }
        if text.reveal().encode_utf16().count() > Self::MAXIMUM_UNITS {
            return Err(Problem::PasswordTooLong);
        }
        Ok(Self(text))
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Compares two passwords of the same visitor (new and confirmed); not meant for guessing parties.
    pub fn same_as(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A key of fixed size, wiped when dropped.
#[derive(Zeroize)]
#[zeroize(drop)]
pub struct Key([u8; 32]);

impl Key {
    /// Takes the bytes over.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Password, Problem> {
        Password::parse(SecretText::new(text.to_owned()))
    }

    #[test]
    fn an_empty_password_never_gets_a_type() {
        assert_eq!(parse("").err(), Some(Problem::FieldEmpty));
    }

    #[test]
    fn blanks_and_any_unicode_are_kept_as_typed() {
        for text in [" ", " lead", "trail ", "\u{1F510} ключ", "\"quoted\""] {
            assert_eq!(parse(text).unwrap().reveal(), text);
        }
    }

    #[test]
    fn nul_and_excess_are_refused() {
        assert_eq!(parse("a\0b").err(), Some(Problem::FieldHasControlCharacters));
        assert_eq!(parse(&"x".repeat(257)).err(), Some(Problem::PasswordTooLong));
        assert!(parse(&"x".repeat(256)).is_ok());
    }

    #[test]
    fn debug_output_tells_nothing() {
        assert_eq!(format!("{:?}", parse("hunter2").unwrap()), "Password(…)");
    }
}
