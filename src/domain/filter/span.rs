//! Days, as they are asked for: today, the last seven. They begin at midnight UTC.

use time::{Date, Month, OffsetDateTime, Time};

use crate::domain::clock::Timestamp;

/// Milliseconds of a day.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// Some days, counted from today.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// Today.
    Today,
    /// Yesterday.
    Yesterday,
    /// Today and the six days before.
    Last7Days,
    /// Today and the 29 days before.
    Last30Days,
    /// This month.
    ThisMonth,
    /// The month before.
    LastMonth,
    /// This year.
    ThisYear,
}

impl Span {
    /// All of them, from the shortest to the longest.
    pub const ALL: [Self; 7] = [
        Self::Today,
        Self::Yesterday,
        Self::Last7Days,
        Self::Last30Days,
        Self::ThisMonth,
        Self::LastMonth,
        Self::ThisYear,
    ];

    /// Its word in filters, and among the texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Yesterday => "yesterday",
            Self::Last7Days => "last_7_days",
            Self::Last30Days => "last_30_days",
            Self::ThisMonth => "this_month",
            Self::LastMonth => "last_month",
            Self::ThisYear => "this_year",
        }
    }

    /// The span of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == word)
    }

    /// From when, and before when.
    pub fn bounds(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let today = day_of(now);
        let tomorrow = start_of(today + 1);
        let date = date_of(today);
        let month =
            |date: Date| date.replace_day(1).map_or(start_of(today), |first| start_of(day_number(first)));
        match self {
            Self::Today => (start_of(today), tomorrow),
            Self::Yesterday => (start_of(today - 1), start_of(today)),
            Self::Last7Days => (start_of(today - 6), tomorrow),
            Self::Last30Days => (start_of(today - 29), tomorrow),
            Self::ThisMonth => (month(date), tomorrow),
            Self::LastMonth => {
                let last = date.replace_day(1).ok().and_then(Date::previous_day).unwrap_or(date);
                (month(last), month(date))
            }
            Self::ThisYear => {
                let first = Date::from_ordinal_date(date.year(), 1).map_or(today, day_number);
                (start_of(first), tomorrow)
            }
        }
    }
}

/// The day of a time: days since 1970-01-01 UTC.
pub const fn day_of(time: Timestamp) -> i64 {
    time.millis().div_euclid(DAY)
}

/// When a day begins.
pub const fn start_of(day: i64) -> Timestamp {
    Timestamp::from_millis(day.saturating_mul(DAY))
}

fn day_number(date: Date) -> i64 {
    i64::from(date.to_julian_day()) - i64::from(OffsetDateTime::UNIX_EPOCH.date().to_julian_day())
}

/// The date of a day; its `Display` is `2026-11-25`.
pub fn date_of(day: i64) -> Date {
    let epoch = OffsetDateTime::UNIX_EPOCH.date();
    epoch.checked_add(time::Duration::days(day)).unwrap_or(epoch)
}

/// Understands `2026-11-25`, `2026-11-25T14:30`, with seconds and their fraction if there are any, with or without a `Z`
/// (RFC 3339; times are in UTC), and a blank in the place of the `T`.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.trim().split_once(['T', 't', ' ']).unwrap_or((text.trim(), "00:00"));
    let mut date = date.splitn(3, '-');
    let year = digits(date.next()?, 4)?;
    let month = Month::try_from(u8::try_from(digits(date.next()?, 2)?).ok()?).ok()?;
    let day = u8::try_from(digits(date.next()?, 2)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, day).ok()?;
    let clock = clock.strip_suffix(['Z', 'z']).unwrap_or(clock);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| u8::try_from(digits(part, 2)?).ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis = format!("{fraction:0<3}")[..3].parse().ok()?;
    let clock = Time::from_hms_milli(hour, minute, second, millis).ok()?;
    let moment = OffsetDateTime::new_utc(date, clock);
    Some(Timestamp::from_millis(moment.unix_timestamp() * 1000 + i64::from(moment.millisecond())))
}

fn digits(text: &str, count: usize) -> Option<u16> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_days() {
        let now = parse_time("2026-03-01T05:00:00Z").unwrap();
        for (span, from, before) in [
            (Span::Today, "2026-03-01", "2026-03-02"),
            (Span::Yesterday, "2026-02-28", "2026-03-01"),
            (Span::Last7Days, "2026-02-23", "2026-03-02"),
            (Span::Last30Days, "2026-01-31", "2026-03-02"),
            (Span::ThisMonth, "2026-03-01", "2026-03-02"),
            (Span::LastMonth, "2026-02-01", "2026-03-01"),
            (Span::ThisYear, "2026-01-01", "2026-03-02"),
        ] {
            assert_eq!(
                span.bounds(now),
                (parse_time(from).unwrap(), parse_time(before).unwrap()),
                "{span:?}"
            );
            assert_eq!(Span::of(span.as_str()), Some(span));
        }
    }

    #[test]
    fn times_are_read_as_they_are_shown() {
        let now = parse_time("2026-11-25T14:30:09.125Z").unwrap();
        assert_eq!(now.to_string(), "2026-11-25T14:30:09.125Z");
        assert_eq!(parse_time("2026-11-25 14:30").unwrap().to_string(), "2026-11-25T14:30:00.000Z");
        assert_eq!(date_of(day_of(now)).to_string(), "2026-11-25");
        for wrong in [
            "",
            "2026",
            "2026-02-30",
            "26-11-25",
            "2026-11-25T25:00",
            "2026-11-25T14",
            "2026-11-25T14:30:00.1x",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
        assert_eq!(day_of(Timestamp::from_millis(-1)), -1);
    }
}
