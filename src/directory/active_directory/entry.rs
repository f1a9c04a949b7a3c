//! Attributes as the directory gives them, and what they say of an account.

use std::collections::HashMap;

use ldap3::SearchEntry;

use super::{super::Error, sid};
use crate::domain::{
    account::{Account, AccountKey, AccountKind, Domain, ObjectGuid},
    clock::Timestamp,
    password_rules::PasswordPolicy,
};

/// userAccountControl flags (MS-ADTS 2.2.16).
mod flag {
    pub const ACCOUNT_DISABLED: i64 = 0x2;
    pub const INTERDOMAIN_TRUST: i64 = 0x800;
    pub const WORKSTATION_TRUST: i64 = 0x1000;
    pub const SERVER_TRUST: i64 = 0x2000;
    pub const PASSWORD_NEVER_EXPIRES: i64 = 0x1_0000;
    /// In msDS-User-Account-Control-Computed only.
    pub const LOCKED_OUT: i64 = 0x10;
}

/// accountExpires of an account that never does (MS-ADA1 2.3); 0 says the same.
const NEVER: i64 = i64::MAX;

/// An entry with its attributes as bytes.
pub struct Entry {
    /// The distinguished name.
    pub dn: String,
    /// Values by attribute, its name in lower case.
    attributes: HashMap<String, Vec<Vec<u8>>>,
}

impl From<SearchEntry> for Entry {
    fn from(entry: SearchEntry) -> Self {
        let mut attributes: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        // Binary values that happen to be UTF-8 come as text.
        let as_text = entry
            .attrs
            .into_iter()
            .map(|(name, values)| (name, values.into_iter().map(String::into_bytes).collect::<Vec<_>>()));
        for (name, values) in as_text.chain(entry.bin_attrs) {
            attributes.entry(name.to_ascii_lowercase()).or_default().extend(values);
        }
        Self { dn: entry.dn, attributes }
    }
}

impl Entry {
    /// All values of an attribute.
    pub fn all(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.get(&name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The only or first value.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.all(name).first().map(Vec::as_slice)
    }

    /// The value as text; none if it is empty or isn't text.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = std::str::from_utf8(self.bytes(name)?).ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The value as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        std::str::from_utf8(self.bytes(name)?).ok()?.parse().ok()
    }

    /// The values as SIDs.
    pub fn sids(&self, name: &str) -> Vec<String> {
        self.all(name).iter().filter_map(|value| sid::text(value)).collect()
    }

    /// Whether one of the values is this, but for case.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|present| present.eq_ignore_ascii_case(value.as_bytes()))
    }
}

/// What is asked of an account, besides the two contact attributes.
pub const ACCOUNT_ATTRIBUTES: [&str; 17] = [
    "objectGUID",
    "objectSid",
    "objectClass",
    "sAMAccountName",
    "userPrincipalName",
    "displayName",
    "preferredLanguage",
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "accountExpires",
    "adminCount",
    "badPwdCount",
    "badPasswordTime",
    "pwdLastSet",
    "tokenGroups",
    "msDS-ResultantPSO",
    "distinguishedName",
];

/// What the reading of an account needs to know besides its entry.
pub struct Context<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// The attribute with the e-mail address.
    pub mail_attribute: &'a str,
    /// The attribute with the mobile number.
    pub mobile_attribute: &'a str,
    /// SIDs of the connection's own identity.
    pub own_sids: &'a [String],
    /// Whether the controller offers policy hints.
    pub policy_hints: bool,
    /// The name that identity was given by.
    pub service_account: &'a str,
    /// The policy that applies.
    pub policy: PasswordPolicy,
    /// The present moment.
    pub now: Timestamp,
}

/// The account an entry describes.
pub fn account(entry: &Entry, context: Context<'_>) -> Result<Account, Error> {
    let unreadable = |name: &str| {
        Error::Unexpected(format!("{} of {} can't be read; may the service account read it?", name, entry.dn))
    };
    let guid = entry.bytes("objectGUID").and_then(ObjectGuid::from_directory);
    let sid = entry.bytes("objectSid").and_then(sid::text).ok_or_else(|| unreadable("objectSid"))?;
    let control = entry.number("userAccountControl").ok_or_else(|| unreadable("userAccountControl"))?;
    let computed = entry.number("msDS-User-Account-Control-Computed").unwrap_or(0);
    let expires = entry.number("accountExpires").unwrap_or(0);
    let group_sids = entry.sids("tokenGroups");
    Ok(Account {
        key: AccountKey {
            domain: context.domain.name.clone(),
            guid: guid.ok_or_else(|| unreadable("objectGUID"))?,
        },
        netbios: context.domain.netbios.clone(),
        distinguished_name: entry.dn.clone(),
        sam_account_name: entry.text("sAMAccountName").ok_or_else(|| unreadable("sAMAccountName"))?,
        user_principal_name: entry.text("userPrincipalName"),
        display_name: entry.text("displayName"),
        mail: entry.text(context.mail_attribute),
        mobile: entry.text(context.mobile_attribute),
        preferred_language: entry.text("preferredLanguage"),
        kind: kind(entry, control, context.own_sids.contains(&sid) || is_named(entry, &context)),
        disabled: control & flag::ACCOUNT_DISABLED != 0,
        expired: expires != 0 && expires != NEVER && Timestamp::from_filetime(expires) <= context.now,
        // Every account has at least its primary group. Without any shown, nobody can tell that it has no power.
        privileged: entry.number("adminCount").unwrap_or(0) > 0
            || group_sids.is_empty()
            || group_sids.iter().chain(std::iter::once(&sid)).any(|sid| sid::is_privileged(sid)),
        password_never_expires: control & flag::PASSWORD_NEVER_EXPIRES != 0,
        locked: computed & flag::LOCKED_OUT != 0,
        bad_password_count: entry
            .number("badPwdCount")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
        bad_password_time: entry
            .number("badPasswordTime")
            .filter(|time| *time > 0)
            .map(Timestamp::from_filetime),
        password_last_set: entry.number("pwdLastSet").unwrap_or(0),
        sid,
        group_sids,
        enforces_history: context.policy_hints,
        policy: context.policy,
    })
}

/// Whether the entry bears the service account's name, in any of its forms.
fn is_named(entry: &Entry, context: &Context<'_>) -> bool {
    let name = context.service_account;
    let sam = match (name.split_once('\\'), name.rsplit_once('@')) {
        (Some((domain, sam)), _) if context.domain.is_called(domain) => sam,
        (None, Some((sam, domain))) if context.domain.is_called(domain) => sam,
        _ => name,
    };
    entry.has("sAMAccountName", sam)
        || entry.has("userPrincipalName", name)
        || entry.dn.eq_ignore_ascii_case(name)
}

fn kind(entry: &Entry, control: i64, is_own: bool) -> AccountKind {
    // Managed service accounts are a subclass of computer (MS-ADSC 2.174, 2.176).
    let is_machine = control & (flag::INTERDOMAIN_TRUST | flag::WORKSTATION_TRUST | flag::SERVER_TRUST) != 0
        || entry.has("objectClass", "computer");
    if is_own {
        AccountKind::ServiceAccount
    } else if is_machine {
        AccountKind::Machine
    } else {
        AccountKind::Person
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::DomainName;

    fn entry(changes: &[(&str, &[u8])]) -> Entry {
        let mut attributes: HashMap<String, Vec<Vec<u8>>> = [
            ("objectguid", b"0123456789abcdef".to_vec()),
            ("objectsid", sid_bytes(1104)),
            ("samaccountname", b"alice".to_vec()),
            ("useraccountcontrol", b"512".to_vec()),
            ("tokengroups", sid_bytes(513)),
        ]
        .map(|(name, value)| (name.to_owned(), vec![value]))
        .into();
        for (name, value) in changes {
            attributes.insert((*name).to_owned(), vec![value.to_vec()]);
        }
        Entry { dn: "CN=alice".into(), attributes }
    }

    fn sid_bytes(relative_id: u32) -> Vec<u8> {
        let mut bytes = vec![1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0];
        bytes.extend(relative_id.to_le_bytes());
        bytes
    }

    fn read(entry: &Entry) -> Result<Account, Error> {
        let domain = Domain { name: DomainName::new("corp.example"), netbios: "CORP".into() };
        account(
            entry,
            Context {
                domain: &domain,
                mail_attribute: "mail",
                mobile_attribute: "mobile",
                own_sids: &["S-1-5-21-1999".into()],
                policy_hints: true,
                service_account: "CORP\\svc",
                policy: PasswordPolicy::NONE,
                now: Timestamp::from_millis(1_800_000_000_000),
            },
        )
    }

    #[test]
    fn power_is_told_by_admin_count_by_group_or_by_the_account_itself() {
        assert!(!read(&entry(&[])).unwrap().privileged);
        assert!(read(&entry(&[("admincount", b"1")])).unwrap().privileged);
        assert!(read(&entry(&[("tokengroups", &sid_bytes(512))])).unwrap().privileged);
        assert!(read(&entry(&[("objectsid", &sid_bytes(500))])).unwrap().privileged);
    }

    #[test]
    fn an_account_whose_groups_are_hidden_is_taken_for_privileged() {
        let mut hidden = entry(&[]);
        hidden.attributes.remove("tokengroups");
        assert!(read(&hidden).unwrap().privileged);
    }

    #[test]
    fn machines_trusts_and_the_service_account_are_no_persons() {
        for (name, value, kind) in [
            ("useraccountcontrol", b"512".to_vec(), AccountKind::Person),
            ("useraccountcontrol", b"4096".to_vec(), AccountKind::Machine),
            ("useraccountcontrol", b"532480".to_vec(), AccountKind::Machine),
            ("useraccountcontrol", b"2080".to_vec(), AccountKind::Machine),
            ("objectclass", b"computer".to_vec(), AccountKind::Machine),
            ("objectsid", sid_bytes(1999), AccountKind::ServiceAccount),
            ("samaccountname", b"SVC".to_vec(), AccountKind::ServiceAccount),
        ] {
            assert_eq!(read(&entry(&[(name, &value)])).unwrap().kind, kind, "{name}");
        }
    }

    #[test]
    fn states_are_read_from_their_flags_and_times() {
        let locked = [("msds-user-account-control-computed", &b"16"[..]), ("lockouttime", b"1")];
        assert!(read(&entry(&locked)).unwrap().locked);
        assert!(!read(&entry(&[("lockouttime", b"133500000000000000")])).unwrap().locked);
        assert!(read(&entry(&[("useraccountcontrol", b"514")])).unwrap().disabled);
        assert!(read(&entry(&[("useraccountcontrol", b"66048")])).unwrap().password_never_expires);
        for (expires, expired) in
            [("0", false), ("9223372036854775807", false), ("1", true), ("200000000000000000", false)]
        {
            let account = read(&entry(&[("accountexpires", expires.as_bytes())])).unwrap();
            assert_eq!(account.expired, expired, "{expires}");
        }
    }

    #[test]
    fn what_must_be_known_and_is_hidden_is_an_error() {
        for name in ["objectguid", "objectsid", "samaccountname", "useraccountcontrol"] {
            let mut hidden = entry(&[]);
            hidden.attributes.remove(name);
            assert!(matches!(read(&hidden), Err(Error::Unexpected(_))), "{name}");
        }
    }
}
