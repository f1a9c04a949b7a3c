//! Which of the accounts that answer to a typed name is meant: the same rule for every directory.
//!
//! It must not know where the candidates came from.

use crate::domain::account::LogonName;

/// The one candidate that is meant. Directories compare loosely (case, trailing blanks, some accents), so several
/// may answer: then only the one that is spelt as typed is meant, and if that isn't exactly one, none is.
/// `names` gives a candidate's sAMAccountName and userPrincipalName.
pub fn the_one_meant<T>(
    name: &LogonName,
    mut candidates: Vec<T>,
    names: impl Fn(&T) -> (&str, Option<&str>),
) -> Option<T> {
    if candidates.len() > 1 {
        candidates.retain(|candidate| {
            let (sam, upn) = names(candidate);
            is_spelt(name, sam, upn)
        });
    }
    if candidates.len() == 1 { candidates.pop() } else { None }
}

/// Whether the names are what was typed, but for case.
fn is_spelt(name: &LogonName, sam: &str, upn: Option<&str>) -> bool {
    let same = |typed: &str, real: &str| typed.to_lowercase() == real.to_lowercase();
    match name {
        LogonName::Sam(typed) => same(typed, sam),
        LogonName::Upn { full, sam: typed_sam } => {
            upn.is_some_and(|upn| same(full, upn))
                || same(full, sam)
                || typed_sam.as_deref().is_some_and(|typed| same(typed, sam))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant<'a>(name: &LogonName, candidates: &[(&'a str, Option<&'a str>)]) -> Option<&'a str> {
        the_one_meant(name, candidates.to_vec(), |candidate| *candidate).map(|(sam, _)| sam)
    }

    #[test]
    fn a_single_candidate_is_trusted_to_the_directory() {
        assert_eq!(meant(&LogonName::Sam("alice ".into()), &[("alice", None)]), Some("alice"));
    }

    #[test]
    fn of_several_the_one_spelt_as_typed_is_meant() {
        let both = [("trail", None), ("trail ", None)];
        assert_eq!(meant(&LogonName::Sam("TRAIL ".into()), &both), Some("trail "));
        assert_eq!(meant(&LogonName::Sam("trail".into()), &both), Some("trail"));
        assert_eq!(meant(&LogonName::Sam("trail  ".into()), &both), None);
    }

    #[test]
    fn a_name_that_is_one_persons_upn_and_anothers_logon_name_means_nobody() {
        let name = LogonName::Upn { full: "mary@corp.example".into(), sam: Some("mary".into()) };
        let both = [("mary", Some("m.smith@corp.example")), ("mary2", Some("mary@corp.example"))];
        assert_eq!(meant(&name, &both), None);
        assert_eq!(meant(&name, &[]), None);
    }
}
