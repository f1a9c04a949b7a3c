//! Points in time and where they come from. The only module that reads the system's clock.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// 100 ns intervals between 1601-01-01 (the FILETIME epoch, MS-DTYP 2.3.3) and 1970-01-01.
const FILETIME_AT_UNIX_EPOCH: i64 = 116_444_736_000_000_000;

/// A point in time: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// From a FILETIME, the 100 ns count that Active Directory keeps its times in.
    pub const fn from_filetime(filetime: i64) -> Self {
        Self((filetime - FILETIME_AT_UNIX_EPOCH) / 10_000)
    }

    /// As a FILETIME.
    pub const fn filetime(self) -> i64 {
        self.0 * 10_000 + FILETIME_AT_UNIX_EPOCH
    }

    /// How long before `self` the `earlier` time was; zero if it was not before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, clock) = (moment.date(), moment.time());
        write!(
            f,
            "{date}T{:02}:{:02}:{:02}.{:03}Z",
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.millisecond()
        )
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filetime_converts_both_ways() {
        let moment = Timestamp::from_filetime(133_500_000_000_000_000);
        assert_eq!(moment.to_string(), "2024-01-17T21:20:00.000Z");
        assert_eq!(moment.filetime(), 133_500_000_000_000_000);
    }

    #[test]
    fn since_never_goes_below_zero() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Duration::from_millis(4));
    }
}
