//! Who an account is: the names people type, the identity that stays, and what the directory says of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{clock::Timestamp, field::Problem, password_rules::PasswordPolicy};

/// A domain's identity inside Regain: its DNS name in lower case (`corp.example`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DomainName(String);

impl DomainName {
    /// From a DNS name; case and a trailing dot are not kept.
    pub fn new(dns_name: &str) -> Self {
        Self(dns_name.trim_end_matches('.').to_lowercase())
    }

    /// The DNS name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A domain as people and directories call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// Its identity: the DNS name.
    pub name: DomainName,
    /// Its NetBIOS name, as in `CORP\mary`; what pages show.
    pub netbios: String,
}

impl Domain {
    /// Whether `typed` names this domain, by either of its names.
    pub fn is_called(&self, typed: &str) -> bool {
        DomainName::new(typed) == self.name || typed.to_lowercase() == self.netbios.to_lowercase()
    }
}

/// The identity of an account that outlives renames and moves: objectGUID (MS-ADTS 3.1.1.1.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ObjectGuid(Uuid);

impl ObjectGuid {
    /// From the bytes of the attribute (the first three fields little-endian).
    pub fn from_directory(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice_le(bytes).ok().map(Self)
    }

    /// The bytes of the attribute.
    pub const fn directory_bytes(&self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// From sixteen bytes in the order they are written.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// From its text with hyphens, as [`Self`] is shown.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self).filter(|guid| guid.to_string().eq_ignore_ascii_case(text))
    }

    /// The sixteen bytes in the order they are written.
    pub const fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ObjectGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The key of all that Regain keeps of an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AccountKey {
    /// The domain the account lives in.
    pub domain: DomainName,
    /// Its objectGUID there.
    pub guid: ObjectGuid,
}

/// A name as typed, understood: what to look for in one domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogonName {
    /// sAMAccountName, as in `mary` or `CORP\mary`.
    Sam(String),
    /// User principal name, as in `mary@corp.example`. `sam` is the part before the @ when the part after it names
    /// the domain itself: then it is also the implicit UPN of that sAMAccountName (MS-ADTS 5.1.1.1.1).
    Upn {
        /// The whole name.
        full: String,
        /// The sAMAccountName it stands for, if the suffix is the domain's own.
        sam: Option<String>,
    },
}

impl LogonName {
    /// The most characters a name may have: userPrincipalName allows 1024, sAMAccountName 256 in the schema
    /// (MS-ADA3); nobody logs on with more than this.
    pub const MAXIMUM_CHARACTERS: usize = 256;

    /// Understands what was typed into the two boxes. The name wins over the domain box where it carries a domain
    /// of its own: `CORP\mary` always, `mary@corp.example` when `domains` has that suffix. `typed_domain` may be
    /// empty; then the first domain is meant.
    pub fn parse(
        typed_name: &str,
        typed_domain: &str,
        domains: &[Domain],
    ) -> Result<(DomainName, Self), (NameFault, Problem)> {
        let of_name = |problem| (NameFault::Username, problem);
        if typed_name.trim().is_empty() {
            return Err(of_name(Problem::FieldEmpty));
        }
        if typed_name.chars().count() > Self::MAXIMUM_CHARACTERS {
            return Err(of_name(Problem::FieldTooLong));
        }
        if typed_name.chars().chain(typed_domain.chars()).any(char::is_control) {
            return Err(of_name(Problem::FieldHasControlCharacters));
        }
        let called = |name: &str| domains.iter().find(|domain| domain.is_called(name.trim()));
        // A leading blank is a slip of the hand; a trailing one can be part of a sAMAccountName.
        let name = typed_name.trim_start();
        if let Some((prefix, sam)) = name.split_once('\\') {
            let domain = called(prefix).ok_or((NameFault::Username, Problem::DomainUnknown))?;
            if sam.trim().is_empty() || sam.contains('\\') {
                return Err(of_name(Problem::UsernameMalformed));
            }
            return Ok((domain.name.clone(), Self::Sam(sam.to_owned())));
        }
        if let Some((sam, suffix)) = name.rsplit_once('@')
            && let Some(domain) = called(suffix)
            && !sam.trim().is_empty()
        {
            let full = format!("{sam}@{}", suffix.trim());
            return Ok((domain.name.clone(), Self::Upn { full, sam: Some(sam.to_owned()) }));
        }
        let domain = if typed_domain.trim().is_empty() { domains.first() } else { called(typed_domain) }
            .ok_or((NameFault::Domain, Problem::DomainUnknown))?;
        let name = if name.contains('@') {
            Self::Upn { full: name.trim_end().to_owned(), sam: None }
        } else {
            Self::Sam(name.to_owned())
        };
        Ok((domain.name.clone(), name))
    }

    /// One spelling for all ways of typing the same unknown name. It folds case only, as directories do: folding more
    /// would make two spellings one only where no account exists, and so tell where one does.
    pub fn canonical(&self) -> String {
        let name = match self {
            Self::Sam(name) | Self::Upn { sam: Some(name), .. } => name,
            Self::Upn { full, sam: None } => full,
        };
        name.trim().chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    }

    /// The name as people write it.
    pub fn as_typed(&self) -> &str {
        match self {
            Self::Sam(name) => name,
            Self::Upn { full, .. } => full,
        }
    }
}

/// Which of the two boxes is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// The username box.
    Username,
    /// The domain box.
    Domain,
}

/// What sort of object the account is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountKind {
    /// A person's account.
    Person,
    /// A computer, a managed service account or a trust.
    Machine,
    /// The account Regain itself binds with.
    ServiceAccount,
}

/// An account as the directory describes it at one moment.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in the directory")]
pub struct Account {
    /// Domain and objectGUID.
    pub key: AccountKey,
    /// NetBIOS name of the domain, for showing.
    pub netbios: String,
    /// The distinguished name at that moment; binds use it, writes prefer the GUID.
    pub distinguished_name: String,
    /// objectSid as text (`S-1-5-21-…`).
    pub sid: String,
    /// sAMAccountName.
    pub sam_account_name: String,
    /// userPrincipalName.
    pub user_principal_name: Option<String>,
    /// displayName.
    pub display_name: Option<String>,
    /// The e-mail attribute.
    pub mail: Option<String>,
    /// The mobile number attribute.
    pub mobile: Option<String>,
    /// preferredLanguage.
    pub preferred_language: Option<String>,
    /// What sort of object it is.
    pub kind: AccountKind,
    /// userAccountControl ACCOUNTDISABLE.
    pub disabled: bool,
    /// accountExpires has passed.
    pub expired: bool,
    /// adminCount is 1, or it is a member of one of the protected groups (MS-ADTS 3.1.1.6.1.1).
    pub privileged: bool,
    /// userAccountControl DONT_EXPIRE_PASSWORD.
    pub password_never_expires: bool,
    /// Locked out now (msDS-User-Account-Control-Computed bit 0x10), not merely lockoutTime ≠ 0.
    pub locked: bool,
    /// badPwdCount of the controller that was asked.
    pub bad_password_count: u32,
    /// badPasswordTime.
    pub bad_password_time: Option<Timestamp>,
    /// pwdLastSet as a FILETIME; 0 means the password must be changed at next logon.
    pub password_last_set: i64,
    /// tokenGroups: every security group incl. nested and primary ones, as text SIDs.
    pub group_sids: Vec<String>,
    /// Whether the controller can enforce history and minimum age at a reset (the policy-hints control).
    pub enforces_history: bool,
    /// The password and lockout policy that applies to this account.
    pub policy: PasswordPolicy,
}

impl Account {
    /// `CORP\mary`.
    pub fn qualified_name(&self) -> String {
        format!("{}\\{}", self.netbios, self.sam_account_name)
    }

    /// badPwdCount as it counts now: zero once the observation window has passed since the last bad password.
    pub fn effective_bad_password_count(&self, now: Timestamp) -> u32 {
        match self.bad_password_time {
            Some(last) if now.since(last) <= self.policy.observation_window => self.bad_password_count,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains() -> Vec<Domain> {
        vec![
            Domain { name: DomainName::new("corp.example"), netbios: "CORP".into() },
            Domain { name: DomainName::new("lab.example"), netbios: "LAB".into() },
        ]
    }

    fn parse(name: &str, domain: &str) -> Result<(DomainName, LogonName), (NameFault, Problem)> {
        LogonName::parse(name, domain, &domains())
    }

    #[test]
    fn every_way_of_typing_a_name_and_domain_is_understood() {
        let corp = DomainName::new("corp.example");
        let lab = DomainName::new("LAB.example.");
        let sam = |name: &str| LogonName::Sam(name.into());
        for (name, domain, expected_domain) in [
            ("mary", "", &corp),
            ("mary", "corp", &corp),
            ("mary", "Corp.Example", &corp),
            ("mary", "LAB", &lab),
            ("LAB\\mary", "CORP", &lab),
            ("lab.example\\mary", "CORP", &lab),
            ("  mary", " lab ", &lab),
        ] {
            assert_eq!(parse(name, domain), Ok((expected_domain.clone(), sam("mary"))), "{name} {domain}");
        }
        let upn = |full: &str| LogonName::Upn { full: full.into(), sam: Some("mary".into()) };
        assert_eq!(parse("mary@LAB.example", "CORP"), Ok((lab.clone(), upn("mary@LAB.example"))));
        assert_eq!(parse("mary@lab", "CORP"), Ok((lab, upn("mary@lab"))));
        let foreign = LogonName::Upn { full: "first.last@mail.example".into(), sam: None };
        assert_eq!(parse("first.last@mail.example", "CORP"), Ok((corp, foreign)));
    }

    #[test]
    fn a_trailing_blank_stays_for_the_directory_to_judge() {
        assert_eq!(parse("trail ", "CORP").unwrap().1, LogonName::Sam("trail ".into()));
    }

    #[test]
    fn faults_name_their_box() {
        assert_eq!(parse("", "CORP"), Err((NameFault::Username, Problem::FieldEmpty)));
        assert_eq!(parse("mary", "NOPE"), Err((NameFault::Domain, Problem::DomainUnknown)));
        assert_eq!(parse("NOPE\\mary", "CORP"), Err((NameFault::Username, Problem::DomainUnknown)));
        assert_eq!(parse("CORP\\", "CORP"), Err((NameFault::Username, Problem::UsernameMalformed)));
        assert_eq!(parse("a\0b", "CORP"), Err((NameFault::Username, Problem::FieldHasControlCharacters)));
        assert_eq!(parse(&"x".repeat(257), ""), Err((NameFault::Username, Problem::FieldTooLong)));
    }

    #[test]
    fn unknown_names_have_one_spelling() {
        for (name, domain) in [("Nobody", "CORP"), ("CORP\\NOBODY ", ""), ("nobody@corp.example", "LAB")] {
            assert_eq!(parse(name, domain).unwrap().1.canonical(), "nobody");
        }
    }
}
