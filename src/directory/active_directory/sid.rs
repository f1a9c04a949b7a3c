//! Security identifiers: their text form (MS-DTYP 2.4.2), and which of them make an account privileged.

/// The text of a binary SID (`S-1-5-21-…`); `None` if the bytes are not one.
pub fn text(bytes: &[u8]) -> Option<String> {
    let [revision, count, authority @ ..] = bytes else { return None };
    let (authority, rest) = authority.split_at_checked(6)?;
    if rest.len() != usize::from(*count) * 4 {
        return None;
    }
    let authority = authority.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let parts = rest.as_chunks::<4>().0.iter().map(|part| u32::from_le_bytes(*part).to_string());
    let parts: Vec<_> = [format!("S-{revision}"), authority.to_string()].into_iter().chain(parts).collect();
    Some(parts.join("-"))
}

/// Groups in every domain whose members are protected (MS-ADTS 3.1.1.6.1.1), and those of like power, by RID:
/// Enterprise Read-only Domain Controllers, Administrator and krbtgt themselves, Domain Admins, Domain
/// Controllers, Schema Admins, Enterprise Admins, Group Policy Creator Owners, Read-only Domain Controllers,
/// Key Admins, Enterprise Key Admins. All are below 1000, where no ordinary account is.
const PRIVILEGED_RELATIVE_IDS: [u32; 11] = [498, 500, 502, 512, 516, 518, 519, 520, 521, 526, 527];

/// The same among the groups that every controller has: Administrators, Account Operators, Server Operators,
/// Print Operators, Backup Operators, Replicator.
const PRIVILEGED_BUILTIN: [u32; 6] = [544, 548, 549, 550, 551, 552];

/// Whether the SID, of an account or of a group it is in, stands for power over the domain.
pub fn is_privileged(sid: &str) -> bool {
    let ends_with = |ids: &[u32]| {
        sid.rsplit_once('-').and_then(|(_, last)| last.parse().ok()).is_some_and(|id| ids.contains(&id))
    };
    (sid.starts_with("S-1-5-21-") && ends_with(&PRIVILEGED_RELATIVE_IDS))
        || (sid.starts_with("S-1-5-32-") && ends_with(&PRIVILEGED_BUILTIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_sids_become_text() {
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(text(&administrators).as_deref(), Some("S-1-5-32-544"));
        assert_eq!(text(&[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).as_deref(), Some("S-1-1-0"));
        for broken in [&[][..], &[1, 1], &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0], &administrators[..15]] {
            assert_eq!(text(broken), None);
        }
    }

    #[test]
    fn power_over_the_domain_is_recognised() {
        for sid in ["S-1-5-21-1-2-3-512", "S-1-5-21-9-9-9-519", "S-1-5-32-544", "S-1-5-32-548"] {
            assert!(is_privileged(sid), "{sid}");
        }
        for sid in ["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1512", "S-1-5-32-545", "S-1-5-11", "S-1-1-0"] {
            assert!(!is_privileged(sid), "{sid}");
        }
    }
}
