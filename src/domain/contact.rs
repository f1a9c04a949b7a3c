//! Where a person can be reached.

use serde::{Deserialize, Serialize};

use super::field::Problem;

/// An e-mail address that can go into an envelope: one `@`, a domain, no blanks or control characters
/// (a working subset of RFC 5321 4.1.2; whether it is delivered, only a delivery tells).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The longest address of RFC 5321 4.5.3.1.3, without the angle brackets.
    pub const MAXIMUM_OCTETS: usize = 254;

    /// Understands an address as typed.
    pub fn parse(typed: &str) -> Result<Self, Problem> {
        let text = typed.trim();
        if text.is_empty() {
            return Err(Problem::FieldEmpty);
        }
        let sound = text.len() <= Self::MAXIMUM_OCTETS
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.len() <= 64
                    && !local.starts_with('.')
                    && !local.ends_with('.')
                    && !local.contains("..")
                    && domain.split('.').all(|label| {
                        !label.is_empty()
                            && !label.starts_with('-')
                            && !label.ends_with('-')
                            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                    })
            })
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "()<>[]:;,\\\"".contains(c))
            && text.matches('@').count() == 1;
        if sound { Ok(Self(text.to_owned())) } else { Err(Problem::EmailMalformed) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// So that its owner knows which it is, and nobody learns it: `m•••@c•••.example`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or((&self.0, ""));
        let (name, top) =
            domain.rsplit_once('.').map_or((domain, String::new()), |(name, top)| (name, format!(".{top}")));
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        format!("{}•••@{}•••{top}", first(local), first(name))
    }
}

/// A telephone number in the international form: `+` and eight to fifteen digits (E.164).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Understands a number as directories have it: blanks, dots, hyphens, slashes and brackets may be in it, and
    /// `00` may stand for `+`. One without a country can't be called from everywhere, and is none.
    pub fn parse(written: &str) -> Option<Self> {
        let bare: String =
            written.chars().filter(|c| !c.is_whitespace() && !".-/()\u{a0}".contains(*c)).collect();
        let digits = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00"))?;
        let sound = (8..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        sound.then(|| Self(format!("+{digits}")))
    }

    /// The number: `+` and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// So that its owner knows which it is, and nobody learns it: `•••• 42`.
    pub fn masked(&self) -> String {
        format!("•••• {}", &self.0[self.0.len() - 2..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_called_from_everywhere_or_not_at_all() {
        for written in ["+491701234567", "+49 170 1234567", "0049 (170) 123-4567", " +49/170.123 45 67 "] {
            assert_eq!(PhoneNumber::parse(written).unwrap().as_str(), "+491701234567", "{written}");
        }
        for none in [
            "",
            "+",
            "0170 1234567",
            "+49170;touch x",
            "$(id)",
            "--help",
            "+0123456789",
            "+4917012345678901",
            "+٤٩١٧٠١٢٣٤٥",
        ] {
            assert_eq!(PhoneNumber::parse(none), None, "{none}");
        }
    }

    #[test]
    fn masked_contacts_are_known_by_their_owners_only() {
        for (address, masked) in [
            ("mary@corp.example", "m•••@c•••.example"),
            ("m@corp.example", "m•••@c•••.example"),
            ("ü@mail.münchen.example", "ü•••@m•••.example"),
            ("root@localhost", "r•••@l•••"),
        ] {
            assert_eq!(EmailAddress::parse(address).unwrap().masked(), masked);
        }
        assert_eq!(PhoneNumber::parse("+49 170 1234542").unwrap().masked(), "•••• 42");
    }

    #[test]
    fn addresses_are_told_from_other_text() {
        for good in
            ["mary@corp.example", " first.last+tag@mail.example ", "o'brien@x.example", "ü@münchen.example"]
        {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "mary",
            "@corp.example",
            "mary@",
            "a b@c.example",
            "a@b@c",
            "a@c\r\nBcc: x@y",
            "<a@b.c>",
            "a..b@c.d",
            "a@-b.c",
        ] {
            assert_eq!(EmailAddress::parse(bad).err(), Some(Problem::EmailMalformed), "{bad}");
        }
    }
}
