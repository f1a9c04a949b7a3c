//! Which accounts are served at all, and who may do what.

use super::{
    account::{Account, AccountKind},
    refusal::Refusal,
};

/// Refuses privileged accounts, machines, Regain's own account, disabled and expired accounts, whatever the
/// directory's own rights say (Samba, for one, lets a delegated account reset an administrator).
pub fn require_served(account: &Account) -> Result<(), Refusal> {
    if account.kind != AccountKind::Person {
        Err(Refusal::AccountNotServed)
    } else if account.privileged {
        Err(Refusal::AccountPrivileged)
    } else if account.disabled {
        Err(Refusal::AccountDisabled)
    } else if account.expired {
        Err(Refusal::AccountExpired)
    } else {
        Ok(())
    }
}

/// Who may do a thing; groups by their SIDs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule<'a> {
    /// Everyone.
    Everyone,
    /// Only members of these groups.
    Members(&'a [String]),
    /// Everyone but members of these groups.
    Others(&'a [String]),
}

/// Refuses an account that the rule leaves out. Nested groups and the primary group count: the directory has told all
/// the groups of the account (MS-ADTS 3.1.1.4.5.19, tokenGroups). Every account is in one at least; if none was told,
/// it isn't known which, and nobody is let in.
pub fn require_permitted(rule: Rule<'_>, account: &Account) -> Result<(), Refusal> {
    let is_in = |groups: &[String]| {
        let mut own = account.group_sids.iter();
        own.any(|own| groups.iter().any(|group| group.eq_ignore_ascii_case(own)))
    };
    let permitted = match rule {
        Rule::Everyone => true,
        Rule::Members(groups) => is_in(groups),
        Rule::Others(groups) => !account.group_sids.is_empty() && !is_in(groups),
    };
    if permitted { Ok(()) } else { Err(Refusal::NotPermitted) }
}

/// Whether a text is a security identifier (MS-DTYP 2.4.2.1): revision 1, an authority, one to fifteen sub-authorities.
pub fn is_sid(text: &str) -> bool {
    let mut parts = text.split('-');
    let head = (parts.next(), parts.next());
    let numbers: Vec<Option<u64>> = parts.map(|part| part.parse().ok()).collect();
    matches!(head, (Some("S" | "s"), Some("1")))
        && (2..=16).contains(&numbers.len())
        && numbers[0].is_some_and(|authority| authority < 1 << 48)
        && numbers[1..].iter().all(|number| number.is_some_and(|number| u32::try_from(number).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_are_told_from_other_text() {
        for sid in ["S-1-5-21-1004336348-1177238915-682003330-512", "s-1-5-32-545", "S-1-1-0"] {
            assert!(is_sid(sid), "{sid}");
        }
        for other in [
            "",
            "S-1",
            "S-1-5",
            "S-2-5-21-1",
            "CORP\\Staff",
            "S-1-5-21-x",
            "S-1-5-21-4294967296",
            "S-1-5-21-1 ",
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        ] {
            assert!(!is_sid(other), "{other}");
        }
    }
}
