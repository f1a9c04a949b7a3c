//! Search filters: the only place where typed text meets LDAP's filter grammar (RFC 4515).

use std::fmt::Write as _;

use ldap3::ldap_escape;

use super::super::Groups;
use crate::domain::account::{LogonName, ObjectGuid};

/// Every object that has an account's attributes, computers and managed service accounts included: what they are
/// is told by the entry, so that they can be refused by name.
const ACCOUNTS: &str = "(objectClass=user)";

/// People's accounts, disabled ones too: sAMAccountType is SAM_NORMAL_USER_ACCOUNT (MS-ADTS 2.2.15), which also is
/// indexed.
pub const PEOPLE: &str = "(sAMAccountType=805306368)";

/// Security groups: groupType with SECURITY_ENABLED in it (MS-ADTS 2.2.12), by the rule LDAP_MATCHING_RULE_BIT_AND.
const GROUPS: &str = "(groupType:1.2.840.113556.1.4.803:=2147483648)";

/// The filter that finds objects by their objectGUIDs, of which there must be one at least.
pub fn by_guids(guids: &[ObjectGuid]) -> String {
    let mut filter = "(|".to_owned();
    for guid in guids {
        filter += "(objectGUID=";
        for byte in guid.directory_bytes() {
            // Windows takes the bytes only, Samba the usual spelling as well.
            let _ = write!(filter, "\\{byte:02x}");
        }
        filter.push(')');
    }
    filter + ")"
}

/// The filter that finds groups.
pub fn groups(wanted: Groups<'_>) -> String {
    match wanted {
        Groups::Named(part) => {
            let part = ldap_escape(part);
            format!("(&{GROUPS}(|(sAMAccountName=*{part}*)(cn=*{part}*)(description=*{part}*)))")
        }
        Groups::WithSid(sid) => format!("(&{GROUPS}(objectSid={}))", ldap_escape(sid)),
    }
}

/// The filter that finds what the forest knows of the domain with that naming context.
pub fn partition(context: &str) -> String {
    format!("(&(objectClass=crossRef)(nCName={}))", ldap_escape(context))
}

/// The filter that finds the accounts of a name. May match more than is meant, see [`super::super::matching`].
pub fn by_name(name: &LogonName) -> String {
    let sam = |name: &str| format!("(sAMAccountName={})", ldap_escape(name));
    match name {
        LogonName::Sam(name) => format!("(&{ACCOUNTS}{})", sam(name)),
        // A sAMAccountName may hold an @, so the whole may be one.
        LogonName::Upn { full, sam: implicit } => format!(
            "(&{ACCOUNTS}(|(userPrincipalName={}){}{}))",
            ldap_escape(full.as_str()),
            sam(full),
            implicit.as_deref().map(sam).unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_never_becomes_grammar() {
        for (typed, escaped) in [
            ("*", "\\2a"),
            (")(objectClass=*", "\\29\\28objectClass=\\2a"),
            ("\\2a", "\\5c2a"),
            ("trail ", "trail "),
            ("müller", "müller"),
        ] {
            let filter = by_name(&LogonName::Sam(typed.into()));
            assert_eq!(filter, format!("(&(objectClass=user)(sAMAccountName={escaped}))"));
            assert!(groups(Groups::Named(typed)).contains(&format!("(cn=*{}*)", ldap_escape(typed))));
            assert!(groups(Groups::WithSid(typed)).ends_with(&format!("(objectSid={escaped}))")));
        }
    }

    #[test]
    fn a_guid_is_looked_for_by_the_bytes_the_directory_keeps() {
        let guid =
            ObjectGuid::from_directory(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]).unwrap();
        let one = "(objectGUID=\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\0f\\10)";
        assert_eq!(by_guids(&[guid, guid]), format!("(|{one}{one})"));
    }

    #[test]
    fn a_upn_of_the_domain_is_also_a_logon_name() {
        let name = LogonName::Upn { full: "mary@corp.example".into(), sam: Some("mary".into()) };
        assert_eq!(
            by_name(&name),
            "(&(objectClass=user)(|(userPrincipalName=mary@corp.example)(sAMAccountName=mary@corp.example)\
             (sAMAccountName=mary)))"
        );
    }
}
