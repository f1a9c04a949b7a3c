//! Passwords and lockouts as attribute changes: what a write sends (MS-ADTS 3.1.1.3.1.5, unicodePwd).
//!
//! The encoded passwords made here move into ldap3, which copies them into its send buffer and wipes nothing;
//! they live until the request is sent.

use std::collections::HashSet;

use ldap3::Mod;

use crate::domain::secret::Password;

/// A write to one account: each is a single modify, done whole or not at all.
pub enum Write<'a> {
    /// Old and new together, as a user does it.
    Change {
        /// The present password.
        old: &'a Password,
        /// The one wanted.
        new: &'a Password,
    },
    /// As an administrator does it; unlocks as well.
    Reset {
        /// The password wanted.
        new: &'a Password,
        /// Whether it must be changed at next logon.
        must_change: bool,
        /// Whether history is to be enforced.
        enforce_history: bool,
    },
    /// Ends a lockout.
    Unlock,
}

impl Write<'_> {
    /// The changes, in the order the directory wants them.
    pub fn modifications(&self) -> Vec<Mod<Vec<u8>>> {
        let replace =
            |attribute: &str, value: Vec<u8>| Mod::Replace(attribute.into(), HashSet::from([value]));
        match self {
            Self::Change { old, new } => vec![
                Mod::Delete("unicodePwd".into(), HashSet::from([unicode_pwd(old)])),
                Mod::Add("unicodePwd".into(), HashSet::from([unicode_pwd(new)])),
            ],
            Self::Reset { new, must_change, .. } => {
                let mut changes = vec![
                    replace("unicodePwd", unicode_pwd(new)),
                    // A reset alone leaves the account locked.
                    replace("lockoutTime", b"0".to_vec()),
                ];
                if *must_change {
                    changes.push(replace("pwdLastSet", b"0".to_vec()));
                }
                changes
            }
            Self::Unlock => vec![replace("lockoutTime", b"0".to_vec())],
        }
    }
}

/// The value of unicodePwd: the password in quotes, UTF-16LE.
fn unicode_pwd(password: &Password) -> Vec<u8> {
    let mut value = Vec::with_capacity(2 * (Password::MAXIMUM_UNITS + 2));
    let quote = u16::from(b'"');
    let units = std::iter::once(quote).chain(password.reveal().encode_utf16()).chain(std::iter::once(quote));
    units.for_each(|unit| value.extend(unit.to_le_bytes()));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::SecretText;

    fn password(text: &str) -> Password {
        Password::parse(SecretText::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_password_is_quoted_and_little_endian() {
        assert_eq!(unicode_pwd(&password("aß\"")), [0x22, 0, 0x61, 0, 0xdf, 0, 0x22, 0, 0x22, 0]);
        assert_eq!(unicode_pwd(&password("🔐")), [0x22, 0, 0x3d, 0xd8, 0x10, 0xdd, 0x22, 0]);
    }

    #[test]
    fn a_change_deletes_the_old_before_it_adds_the_new() {
        let (old, new) = (password("old"), password("new"));
        let changes = Write::Change { old: &old, new: &new }.modifications();
        assert!(matches!(&changes[..], [Mod::Delete(..), Mod::Add(..)]));
    }

    #[test]
    fn a_reset_unlocks_in_the_same_request() {
        let new = password("new");
        let reset = Write::Reset { new: &new, must_change: true, enforce_history: false };
        let attributes: Vec<_> = reset
            .modifications()
            .into_iter()
            .map(|change| match change {
                Mod::Replace(attribute, _) => String::from_utf8(attribute).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(attributes, ["unicodePwd", "lockoutTime", "pwdLastSet"]);
    }
}
