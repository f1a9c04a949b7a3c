//! Coverage: how many have enrolled of the people who may.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was counted last, domain by domain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Each domain that was served then, in the order of the settings.
    pub domains: Vec<OfDomain>,
}

/// How it stands in a domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OfDomain {
    /// Its DNS name.
    pub domain: String,
    /// What was counted; none if it never could be.
    pub count: Option<Count>,
    /// Since when it can't be counted, if it can't.
    pub failing_since: Option<Timestamp>,
}

/// Of people who are served and may enroll.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Count {
    /// When it was begun to count them.
    pub at: Timestamp,
    /// How many there are.
    pub permitted: usize,
    /// How many of them have enrolled.
    pub enrolled: usize,
}

impl Count {
    /// Whether it is time to count again: a day later, or if the clock was put back before this time.
    pub fn is_old(&self, now: Timestamp) -> bool {
        now.since(self.at) >= DAY || self.at > now
    }

    /// The share that has enrolled in percent, rounded down, so that all are only 100 % if they are all; none if nobody may.
    pub const fn percent(&self) -> Option<usize> {
        (self.enrolled * 100).checked_div(self.permitted)
    }
}

impl Coverage {
    /// How it stands in that domain.
    pub fn of(&self, domain: &str) -> Option<&OfDomain> {
        self.domains.iter().find(|of| of.domain == domain)
    }

    /// The sum over the domains that could be counted, as old as the oldest of them.
    pub fn total(&self) -> Option<Count> {
        self.domains.iter().filter_map(|of| of.count).reduce(|sum, count| Count {
            at: sum.at.min(count.at),
            permitted: sum.permitted + count.permitted,
            enrolled: sum.enrolled + count.enrolled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    const fn count(permitted: usize, enrolled: usize) -> Count {
        Count { at: NOON, permitted, enrolled }
    }

    #[test]
    fn the_share_is_never_made_more_than_it_is() {
        for (permitted, enrolled, percent) in
            [(0, 0, None), (3, 2, Some(66)), (1000, 999, Some(99)), (5, 5, Some(100)), (5, 0, Some(0))]
        {
            assert_eq!(count(permitted, enrolled).percent(), percent);
        }
    }

    #[test]
    fn a_count_is_old_after_a_day_or_when_it_comes_from_the_future() {
        for (now, is_old) in
            [(NOON, false), (NOON + DAY / 2, false), (NOON + DAY, true), (Timestamp::from_millis(0), true)]
        {
            assert_eq!(count(1, 1).is_old(now), is_old);
        }
    }

    #[test]
    fn domains_that_were_never_counted_are_not_in_the_sum() {
        let of = |count| OfDomain { domain: String::new(), count, failing_since: None };
        assert_eq!(Coverage { domains: vec![of(None)] }.total(), None);
        let earlier = Count { at: Timestamp::from_millis(1), ..count(10, 4) };
        let total = Coverage { domains: vec![of(Some(count(2, 1))), of(None), of(Some(earlier))] }.total();
        assert_eq!(total, Some(Count { at: earlier.at, permitted: 12, enrolled: 5 }));
    }
}
