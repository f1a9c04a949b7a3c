//! Backups that are made by the clock: when one is due, and what is remembered of the last.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;
/// So long after one that failed it is tried again.
const RETRY: Duration = Duration::from_secs(60 * 60);
/// Those who run this are told of failures once in so long.
const TELL: Duration = Duration::from_secs(23 * 60 * 60);

/// What is remembered of the last backups that were not asked for on the console.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// When the last try ended.
    pub tried_at: Option<Timestamp>,
    /// Whether it made one.
    pub is_made: bool,
    /// What was wrong with it.
    pub fault: Option<String>,
    /// The last that was made.
    pub made: Option<Made>,
    /// When those who run this were told of a failure, since the last one that was made.
    pub told_at: Option<Timestamp>,
}

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Made {
    /// When it was begun.
    pub at: Timestamp,
    /// Its file.
    pub file: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many records are in it.
    pub records: u64,
}

impl Report {
    /// Whether one is due that is to be made each day at that hour (UTC).
    pub fn is_due(&self, hour: u32, now: Timestamp) -> bool {
        let today = now.millis().div_euclid(DAY) * DAY + i64::from(hour) * HOUR;
        let last = Timestamp::from_millis(if today > now.millis() { today - DAY } else { today });
        // From a future that the clock has come back from, none would ever be due.
        let is_since = |at: Timestamp| at >= last && at <= now + TELL;
        let is_made = self.made.as_ref().is_some_and(|made| is_since(made.at));
        let is_tried = self.tried_at.is_some_and(|at| now.since(at) < RETRY && at <= now + RETRY);
        !(is_made || is_tried && !self.is_made)
    }

    /// Whether those who run this are to be told that something was wrong.
    pub fn is_news(&self, now: Timestamp) -> bool {
        self.fault.is_some() && self.told_at.is_none_or(|told| now.since(told) >= TELL || told > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(20_000 * DAY + hours * HOUR)
    }

    fn made(hours: i64) -> Report {
        let made = Made { at: at(hours), file: String::new(), bytes: 1, records: 1 };
        Report { tried_at: Some(at(hours)), is_made: true, made: Some(made), ..Report::default() }
    }

    #[test]
    fn one_is_due_each_day_at_its_hour_and_whenever_it_was_missed() {
        assert!(Report::default().is_due(3, at(0)), "there is none at all");
        for (last, now, due) in
            [(-21, 2, false), (-21, 3, true), (3, 26, false), (3, 27, true), (3, 100, true), (100, 4, true)]
        {
            assert_eq!(made(last).is_due(3, at(now)), due, "{last} {now}");
        }
    }

    #[test]
    fn after_a_failure_it_is_tried_each_hour_and_told_once_a_day() {
        let failed = Report { fault: Some("full".into()), is_made: false, tried_at: Some(at(27)), ..made(3) };
        assert!(!failed.is_due(3, at(27)) && failed.is_due(3, at(28)));
        assert!(failed.is_news(at(27)));
        let told = Report { told_at: Some(at(27)), ..failed };
        assert!(!told.is_news(at(28)) && told.is_news(at(51)));
        assert!(!made(3).is_news(at(4)));
    }
}
