//! How many messages go to one recipient, and how many all together: they cost money, and bother people.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When messages went out within the last day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    times: Vec<Timestamp>,
}

impl Sent {
    /// Spends one message, if fewer than the caps went out within the last hour and day; a cap of 0 is none.
    pub fn spend(&mut self, in_an_hour: u32, in_a_day: u32, now: Timestamp) -> bool {
        // What has no cap isn't counted: there would be no end to it.
        if in_an_hour == 0 && in_a_day == 0 {
            return true;
        }
        let kept = if in_a_day == 0 { HOUR } else { DAY };
        // What lies ahead was noted by a clock that was wrong, and would count until then.
        self.times.retain(|sent| now.since(*sent) < kept && sent.since(now) < HOUR);
        let day = self.times.len();
        let hour = self.times.iter().filter(|sent| now.since(**sent) < HOUR).count();
        let below = |count: usize, cap: u32| cap == 0 || count < cap as usize;
        let granted = below(hour, in_an_hour) && below(day, in_a_day);
        if granted {
            self.times.push(now);
        }
        granted
    }

    /// Whether it tells nothing any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.times.iter().all(|sent| now.since(*sent) >= DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_by_the_hour_and_by_the_day_and_end_with_them() {
        let mut sent = Sent::default();
        let start = Timestamp::from_millis(1_000_000_000_000);
        let grants = |sent: &mut Sent, now| (0..10).filter(|_| sent.spend(3, 5, now)).count();
        assert_eq!(grants(&mut sent, start), 3);
        assert_eq!(grants(&mut sent, start + HOUR), 2, "five a day");
        assert_eq!(grants(&mut sent, start + HOUR * 2), 0);
        assert!(!sent.is_over(start + DAY));
        assert_eq!(grants(&mut sent, start + DAY), 3, "the first three are forgotten");
        assert!(sent.is_over(start + DAY * 3));
        assert!(sent.spend(3, 5, start), "a clock that was days ahead holds nothing up");
        let mut uncapped = Sent::default();
        assert!((0..5000).all(|_| uncapped.spend(0, 0, start)));
        assert_eq!(uncapped, Sent::default(), "a record has no room for all of them");
    }
}
