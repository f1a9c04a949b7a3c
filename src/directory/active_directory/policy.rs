//! Password policies: the domain's own attributes and password settings objects (MS-ADTS 3.1.1.4.5.36 chooses which
//! applies; msDS-ResultantPSO tells).

use std::time::Duration;

use super::entry::Entry;
use crate::domain::password_rules::PasswordPolicy;

/// What is read of the domain's head.
pub const DOMAIN_ATTRIBUTES: [&str; 8] = [
    "minPwdLength",
    "pwdProperties",
    "pwdHistoryLength",
    "minPwdAge",
    "maxPwdAge",
    "lockoutThreshold",
    "lockOutObservationWindow",
    "lockoutDuration",
];

/// What is read of a password settings object.
pub const SETTINGS_ATTRIBUTES: [&str; 8] = [
    "msDS-MinimumPasswordLength",
    "msDS-PasswordComplexityEnabled",
    "msDS-PasswordHistoryLength",
    "msDS-MinimumPasswordAge",
    "msDS-MaximumPasswordAge",
    "msDS-LockoutThreshold",
    "msDS-LockoutObservationWindow",
    "msDS-LockoutDuration",
];

/// pwdProperties: DOMAIN_PASSWORD_COMPLEX.
const COMPLEX: i64 = 1;

/// The domain's policy; `known` is false if it is hidden.
pub fn of_domain(entry: &Entry) -> PasswordPolicy {
    PasswordPolicy {
        minimum_length: count(entry, "minPwdLength"),
        complexity: entry.number("pwdProperties").unwrap_or(0) & COMPLEX != 0,
        history_length: count(entry, "pwdHistoryLength"),
        minimum_age: span(entry, "minPwdAge").unwrap_or_default(),
        maximum_age: span(entry, "maxPwdAge"),
        lockout_threshold: count(entry, "lockoutThreshold"),
        observation_window: span(entry, "lockOutObservationWindow").unwrap_or_default(),
        lockout_duration: span(entry, "lockoutDuration"),
        known: entry.number("minPwdLength").is_some(),
    }
}

/// The policy of a password settings object; `None` if it may not be read, which shows as an entry without
/// attributes.
pub fn of_settings(entry: &Entry) -> Option<PasswordPolicy> {
    entry.number("msDS-MinimumPasswordLength")?;
    Some(PasswordPolicy {
        minimum_length: count(entry, "msDS-MinimumPasswordLength"),
        complexity: entry.has("msDS-PasswordComplexityEnabled", "TRUE"),
        history_length: count(entry, "msDS-PasswordHistoryLength"),
        minimum_age: span(entry, "msDS-MinimumPasswordAge").unwrap_or_default(),
        maximum_age: span(entry, "msDS-MaximumPasswordAge"),
        lockout_threshold: count(entry, "msDS-LockoutThreshold"),
        observation_window: span(entry, "msDS-LockoutObservationWindow").unwrap_or_default(),
        lockout_duration: span(entry, "msDS-LockoutDuration"),
        known: true,
    })
}

fn count(entry: &Entry, name: &str) -> u32 {
    entry.number(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// A span is a negative count of 100 ns; zero and the lowest number both stand for "never".
fn span(entry: &Entry, name: &str) -> Option<Duration> {
    match entry.number(name)? {
        0 | i64::MIN => None,
        ticks => Some(Duration::from_nanos(ticks.unsigned_abs().saturating_mul(100))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ldap3::SearchEntry;

    use super::*;

    fn entry(attributes: &[(&str, &str)]) -> Entry {
        let attrs = attributes.iter().map(|(name, value)| ((*name).into(), vec![(*value).into()])).collect();
        Entry::from(SearchEntry { dn: "DC=corp".into(), attrs, bin_attrs: HashMap::new() })
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_domains_policy_is_read_from_its_head() {
        let policy = of_domain(&entry(&[
            ("minPwdLength", "8"),
            ("pwdProperties", "17"),
            ("pwdHistoryLength", "3"),
            ("minPwdAge", "-864000000000"),
            ("maxPwdAge", "-36288000000000"),
            ("lockoutThreshold", "5"),
            ("lockOutObservationWindow", "-18000000000"),
            ("lockoutDuration", "-9223372036854775808"),
        ]));
        assert_eq!(
            policy,
            PasswordPolicy {
                minimum_length: 8,
                complexity: true,
                history_length: 3,
                minimum_age: DAY,
                maximum_age: Some(42 * DAY),
                lockout_threshold: 5,
                observation_window: Duration::from_secs(1800),
                lockout_duration: None,
                known: true,
            }
        );
        assert!(!of_domain(&entry(&[])).known);
    }

    #[test]
    fn a_settings_object_that_may_not_be_read_is_none() {
        assert_eq!(of_settings(&entry(&[])), None);
        let settings =
            entry(&[("msDS-MinimumPasswordLength", "14"), ("msDS-PasswordComplexityEnabled", "TRUE")]);
        let policy = of_settings(&settings).unwrap();
        assert_eq!((policy.minimum_length, policy.complexity, policy.maximum_age), (14, true, None));
    }
}
