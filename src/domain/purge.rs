//! When what is kept of an account that is gone from the directory is removed: not before it was missed for some time
//! and on several days, and not when too many are missed at once. Then rather the directory hides something.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// On so many different days it has to be missed at least: a clock that jumps makes one day of it.
const FEWEST_DAYS: u32 = 3;
/// Up to so many may be missed at once, whatever their share.
const FEW: usize = 20;
/// Of more than those, one in so many.
const ONE_IN: usize = 5;
/// Where there are so many, not more than half of them are gone.
const SOME: usize = 5;

/// Since when an account is missed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missed {
    /// When it was missed first.
    pub since: Timestamp,
    /// When it was missed last, on another day than the times before.
    pub last: Timestamp,
    /// On how many days.
    pub days: u32,
}

impl Missed {
    /// Missed for the first time.
    pub const fn first(now: Timestamp) -> Self {
        Self { since: now, last: now, days: 1 }
    }

    /// Missed once more. It counts anew if the account `was_there` since, or the clock was put back behind the first time.
    #[must_use]
    pub fn again(&self, was_there: Timestamp, now: Timestamp) -> Self {
        if was_there >= self.since || self.since > now {
            return Self::first(now);
        }
        if self.last > now {
            return Self { last: now, ..self.clone() };
        }
        if day(now) == day(self.last) {
            return self.clone();
        }
        Self { last: now, days: self.days.saturating_add(1), ..self.clone() }
    }

    /// Whether it was missed long enough, and on enough days.
    pub fn is_ripe(&self, after_days: u32, now: Timestamp) -> bool {
        self.days >= FEWEST_DAYS && now.since(self.since) >= DAY * after_days
    }
}

/// The number of the day, in UTC.
fn day(at: Timestamp) -> i64 {
    at.millis().div_euclid(i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX))
}

/// Whether so many are missed of all that the directory is not believed.
pub const fn is_suspicious(missing: usize, all: usize) -> bool {
    (missing > FEW && missing * ONE_IN > all) || (missing * 2 > all && all >= SOME)
}

/// What the last look for accounts that are gone has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none if it was broken off, or is under way.
    pub ended: Option<Timestamp>,
    /// Each domain in which people have enrolled.
    pub domains: Vec<OfDomain>,
}

impl Report {
    /// Nothing yet.
    pub const fn begun(now: Timestamp) -> Self {
        Self { started: now, ended: None, domains: Vec::new() }
    }

    /// Whether it is time for another: a day later, or if the clock was put back before this one.
    pub fn is_old(&self, now: Timestamp) -> bool {
        now.since(self.started) >= DAY || self.started > now
    }
}

/// What was found in a domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OfDomain {
    /// Its DNS name.
    pub domain: String,
    /// Enrollments that were looked at.
    pub looked_at: usize,
    /// Accounts that were not found.
    pub missing: usize,
    /// Enrollments that were removed.
    pub purged: usize,
    /// Why not more was done, if it was not.
    pub skipped: Option<Skipped>,
}

/// Why nothing, or not all, was done in a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// It is not served any more.
    NotConfigured,
    /// The directory can't be reached, or does not show what it has.
    Unavailable,
    /// Too many accounts are missed at once.
    Suspicious,
    /// The program was stopped.
    Stopped,
    /// Something else is wrong; the log says what.
    Trouble,
}

impl Skipped {
    /// The key of the words for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Unavailable => "unavailable",
            Self::Suspicious => "suspicious",
            Self::Stopped => "stopped",
            Self::Trouble => "trouble",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const LONG_AGO: Timestamp = Timestamp::from_millis(0);

    /// Missed at these hours after the start.
    fn missed(hours: &[u32]) -> Missed {
        hours
            .iter()
            .fold(Missed::first(START), |missed, hours| missed.again(LONG_AGO, START + DAY / 24 * *hours))
    }

    #[test]
    fn it_has_to_be_missed_long_enough_and_on_three_days() {
        let week = START + DAY * 7;
        assert!(missed(&[24, 48, 168]).is_ripe(7, week));
        assert!(!missed(&[24, 48, 167]).is_ripe(7, START + DAY / 24 * 167));
        assert!(!missed(&[1, 2, 3, 168]).is_ripe(7, week), "the first three were one day");
        assert_eq!(missed(&[1, 2, 24, 25, 26]).days, 2);
        assert!(missed(&[24, 48]).is_ripe(1, START + DAY * 2));
    }

    #[test]
    fn a_clock_that_jumps_makes_no_week() {
        let year = 365 * 24;
        assert!(!missed(&[year]).is_ripe(7, START + DAY * 365));
        assert!(!missed(&[year, year + 1]).is_ripe(7, START + DAY * 366));
        // Put right again, it does not go on from the future.
        let back = missed(&[year, 24]);
        assert_eq!((back.days, back.last), (2, START + DAY));
        let from_future = Missed::first(START + DAY * 365).again(LONG_AGO, START);
        assert_eq!(from_future, Missed::first(START));
    }

    #[test]
    fn who_was_there_since_is_missed_anew() {
        let later = START + DAY * 9;
        assert_eq!(missed(&[24, 48]).again(START + DAY * 3, later), Missed::first(later));
    }

    #[test]
    fn too_many_at_once_are_not_believed() {
        for (missing, all, suspicious) in [
            (0, 0, false),
            (1, 1, false),
            (4, 4, false),
            (5, 5, true),
            (10, 20, false),
            (11, 20, true),
            (20, 40, false),
            (21, 104, true),
            (21, 105, false),
            (200_000, 1_000_000, false),
            (200_001, 1_000_000, true),
        ] {
            assert_eq!(is_suspicious(missing, all), suspicious, "{missing} of {all}");
        }
    }
}
