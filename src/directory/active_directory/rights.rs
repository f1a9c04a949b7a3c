//! Whether an access list lets the service account reset a password: reading it touches nobody's password, trying
//! would. The order of entries decides, as for the controller (MS-DTYP 2.5.3.2, MS-ADTS 5.1.3.3).

use super::sid;

/// The control access right "Reset Password", 00299570-246d-11d0-a768-00aa006e0529 (MS-ADTS 5.1.3.2.1).
const RESET_PASSWORD: [u8; 16] =
    [0x70, 0x95, 0x29, 0x00, 0x6d, 0x24, 0xd0, 0x11, 0xa7, 0x68, 0x00, 0xaa, 0x00, 0x6e, 0x05, 0x29];

const ACCESS_LIST_PRESENT: u16 = 0x4;
const CONTROL_ACCESS: u32 = 0x100;
const GENERIC_ALL: u32 = 0x1000_0000;
const INHERIT_ONLY: u8 = 0x8;
const OBJECT_TYPE_PRESENT: u32 = 1;
const INHERITED_TYPE_PRESENT: u32 = 2;

/// Whether `security_descriptor` grants "Reset Password" to one of `sids`; `None` if it can't be read.
pub fn may_reset_password(security_descriptor: &[u8], sids: &[String]) -> Option<bool> {
    let control = u16_at(security_descriptor, 2)?;
    let offset = usize::try_from(u32_at(security_descriptor, 16)?).ok()?;
    if control & ACCESS_LIST_PRESENT == 0 || offset == 0 {
        // No list at all keeps nobody out.
        return Some(true);
    }
    let list = security_descriptor.get(offset..)?;
    let mut rest = list.get(8..)?;
    for _ in 0..u16_at(list, 4)? {
        let (entry, after) = rest.split_at_checked(usize::from(u16_at(rest, 2)?))?;
        rest = after;
        if let Some(decided) = decision(entry, sids) {
            return Some(decided);
        }
    }
    Some(false)
}

/// Whether the entry grants or denies the right; `None` if it says nothing about it.
fn decision(entry: &[u8], sids: &[String]) -> Option<bool> {
    let (granted, of_object) = match entry.first()? {
        0 => (true, false),
        1 => (false, false),
        5 => (true, true),
        6 => (false, true),
        _ => return None,
    };
    if entry.get(1)? & INHERIT_ONLY != 0 || u32_at(entry, 4)? & (CONTROL_ACCESS | GENERIC_ALL) == 0 {
        return None;
    }
    let mut whose = entry.get(8..)?;
    if of_object {
        let present = u32_at(entry, 8)?;
        whose = whose.get(4..)?;
        if present & OBJECT_TYPE_PRESENT != 0 {
            let (right, after) = whose.split_at_checked(16)?;
            if right != RESET_PASSWORD {
                return None;
            }
            whose = after;
        }
        if present & INHERITED_TYPE_PRESENT != 0 {
            whose = whose.get(16..)?;
        }
    }
    // An entry may be padded after its SID.
    let length = 8 + 4 * usize::from(*whose.get(1)?);
    let whose = sid::text(whose.get(..length)?)?;
    let everyone = ["S-1-1-0", "S-1-5-11"];
    (everyone.contains(&whose.as_str()) || sids.contains(&whose)).then_some(granted)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE_PASSWORD: [u8; 16] =
        [0x53, 0x1a, 0x72, 0xab, 0x2f, 0x1e, 0xd0, 0x11, 0x98, 0x19, 0x00, 0xaa, 0x00, 0x40, 0x52, 0x9b];

    fn sid_bytes(last: u32) -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 5];
        bytes.extend(last.to_le_bytes());
        bytes
    }

    fn entry(kind: u8, flags: u8, mask: u32, right: Option<[u8; 16]>, whose: u32) -> Vec<u8> {
        let mut body = mask.to_le_bytes().to_vec();
        if kind >= 5 {
            body.extend(u32::from(right.is_some()).to_le_bytes());
            body.extend(right.iter().flatten());
        }
        body.extend(sid_bytes(whose));
        let mut entry = vec![kind, flags];
        entry.extend(u16::try_from(body.len() + 4).unwrap().to_le_bytes());
        entry.extend(body);
        entry
    }

    fn descriptor(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0];
        bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(entries.concat());
        bytes
    }

    fn may(entries: &[Vec<u8>]) -> Option<bool> {
        may_reset_password(&descriptor(entries), &["S-1-5-77".to_owned()])
    }

    #[test]
    fn only_the_right_granted_to_one_of_the_sids_counts() {
        assert_eq!(may(&[]), Some(false));
        assert_eq!(may(&[entry(5, 0, 0x100, Some(RESET_PASSWORD), 77)]), Some(true));
        assert_eq!(may(&[entry(5, 0, 0x100, Some(RESET_PASSWORD), 78)]), Some(false));
        assert_eq!(may(&[entry(5, 0, 0x100, Some(CHANGE_PASSWORD), 77)]), Some(false));
        assert_eq!(may(&[entry(5, 0, 0x20, Some(RESET_PASSWORD), 77)]), Some(false));
        assert_eq!(may(&[entry(5, 0, 0x100, None, 77)]), Some(true));
        assert_eq!(may(&[entry(0, 0, 0xf01ff, None, 77)]), Some(true));
        assert_eq!(may(&[entry(0, 0, 0x100, None, 11)]), Some(true));
    }

    #[test]
    fn the_first_entry_that_says_something_decides() {
        let granted = entry(5, 0, 0x100, Some(RESET_PASSWORD), 77);
        let denied = entry(6, 0, 0x100, Some(RESET_PASSWORD), 77);
        assert_eq!(may(&[denied.clone(), granted.clone()]), Some(false));
        assert_eq!(may(&[granted, denied]), Some(true));
    }

    #[test]
    fn entries_meant_for_children_only_say_nothing_here() {
        assert_eq!(may(&[entry(5, INHERIT_ONLY, 0x100, Some(RESET_PASSWORD), 77)]), Some(false));
    }

    #[test]
    fn broken_descriptors_are_not_judged() {
        let whole = descriptor(&[entry(5, 0, 0x100, Some(RESET_PASSWORD), 77)]);
        for length in 0..whole.len() {
            assert_ne!(
                may_reset_password(&whole[..length], &["S-1-5-77".to_owned()]),
                Some(true),
                "{length}"
            );
        }
    }
}
