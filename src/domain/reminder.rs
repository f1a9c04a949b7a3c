//! When someone is reminded of something: to enroll, or to change a password that is about to run out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{account::Account, clock::Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What someone was reminded of, and when.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reminded {
    /// When it was last looked whether there is something to be reminded of.
    pub looked_at: Option<Timestamp>,
    /// When last reminded to enroll.
    pub enroll_at: Option<Timestamp>,
    /// When last reminded of the password.
    pub expiry_at: Option<Timestamp>,
}

impl Reminded {
    /// Whether a day has gone by since the last look: nobody is bothered, and no controller asked, more often.
    pub fn is_to_be_looked_at(&self, now: Timestamp) -> bool {
        self.looked_at.is_none_or(|last| now.since(last) >= DAY)
    }
}

/// Whether so many days have gone by since the last reminder.
pub fn is_due(last: Option<Timestamp>, every_days: u32, now: Timestamp) -> bool {
    // A round that comes a little earlier than the day before's is not another day's.
    last.is_none_or(|last| now.since(last) + DAY / 24 >= DAY * every_days)
}

/// In how many days the password runs out, counted up; `None` if it never does, has done so already, or is to be
/// changed in any case.
pub fn days_left(account: &Account, now: Timestamp) -> Option<u32> {
    let lasts = account.policy.maximum_age?;
    if account.password_never_expires || account.password_last_set == 0 {
        return None;
    }
    let left = (Timestamp::from_filetime(account.password_last_set) + lasts).since(now);
    (!left.is_zero()).then(|| u32::try_from(left.as_secs().div_ceil(DAY.as_secs())).unwrap_or(u32::MAX))
}
