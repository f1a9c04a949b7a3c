//! What people did in the last days, as bars; and what that saves.

use serde::Serialize;

use super::{Seat, table};
use crate::{
    domain::{
        audit::{Action, Outcome},
        filter::{date_of, day_of},
    },
    flows::Error,
    report::desk::{Question, Reply},
    store::audit::Counts,
};

/// How many days can be shown.
const SPANS: [i64; 4] = [7, 14, 30, 90];
/// So many if nobody says.
const USUAL: i64 = 14;
/// So many days are counted for what is saved.
const MONTH: i64 = 30;
const WEEK: i64 = 7;
/// What is shown, from the foot of a bar upwards.
const SHOWN: [Action; 4] = [Action::Reset, Action::Unlock, Action::Change, Action::Enroll];
/// The picture's height, and a day's width, in its own units.
const HEIGHT: u64 = 100;
const STEP: u64 = 12;

/// The chart and its figures.
#[derive(Serialize)]
pub(super) struct Chart {
    /// What bars are made of, in the order of [`SHOWN`].
    kinds: Vec<&'static str>,
    width: u64,
    height: u64,
    /// What the whole height stands for.
    top: u64,
    days: Vec<Day>,
    totals: Vec<u64>,
    spans: Vec<(i64, bool)>,
    figures: Vec<(&'static str, u64)>,
    /// Hours saved, in tenths.
    hours: String,
    minutes: u32,
}

#[derive(Serialize)]
struct Day {
    date: String,
    /// What stands below the bar, where there is room for it.
    label: String,
    href: String,
    counts: Vec<u64>,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Bar {
    kind: &'static str,
    x: u64,
    y: u64,
    height: u64,
}

/// How often something was done in some days.
fn count(counts: &Counts, days: std::ops::Range<i64>, action: Action) -> u64 {
    days.filter_map(|day| counts.get(&(day, action, Outcome::Success))).sum()
}

/// A round number that is no smaller.
fn round_up(number: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [1, 2, 5] {
            if number <= step * unit {
                return step * unit;
            }
        }
        unit *= 10;
    }
}

/// The chart of that many days up to today; `None` while the events are counted.
pub(super) async fn draw(seat: &Seat<'_>) -> Result<Option<Chart>, Error> {
    let services = &seat.site.services;
    let asked = table::Asked::of(seat.request);
    let shown = asked.text("days").parse().ok().filter(|days| SPANS.contains(days)).unwrap_or(USUAL);
    let today = day_of(services.clock.now());
    let first = today - shown.max(MONTH) + 1;
    let what = format!("days {first} {today}");
    let question = Question { who: seat.admin.who.clone(), what, is_aside: false };
    let own = std::sync::Arc::clone(services);
    let work = |_| async move { Ok(own.store.count_events(first..=today).await?) };
    Ok(match seat.site.desk.ask(question, table::WAIT, work).await? {
        Reply::Ready(counts) => {
            let minutes = services.settings.load().general.minutes_per_call;
            let decimal = seat.say("admin.table.decimal", &[]);
            Some(of(&counts, today, shown, (minutes, &decimal)))
        }
        Reply::UnderWay { .. } | Reply::Busy => None,
    })
}

fn of(counts: &Counts, today: i64, shown: i64, (minutes, decimal): (u32, &str)) -> Chart {
    let begin = today - shown + 1;
    let days: Vec<_> = (begin..=today).collect();
    let of_day = |day: i64| SHOWN.map(|action| count(counts, day..day + 1, action));
    let top = round_up(days.iter().map(|day| of_day(*day).iter().sum()).max().unwrap_or(0).max(1));
    let every = match shown {
        ..=14 => 1,
        15..=30 => 5,
        _ => 15,
    };
    let drawn = days.iter().zip(0..).map(|(day, at)| {
        let date = date_of(*day);
        let numbers = of_day(*day);
        let mut below = 0;
        let bars = numbers.iter().zip(SHOWN).filter_map(|(number, action)| {
            // From the sums, so that nothing is lost by rounding.
            let foot = below * HEIGHT / top;
            below += number;
            let height = below * HEIGHT / top - foot;
            let bar = Bar { kind: action.as_str(), x: at * STEP + 2, y: HEIGHT - foot - height, height };
            (height > 0).then_some(bar)
        });
        Day {
            label: if (today - day) % every == 0 {
                format!("{:02}-{:02}", u8::from(date.month()), date.day())
            } else {
                String::new()
            },
            date: date.to_string(),
            href: table::day(*day),
            bars: bars.collect(),
            counts: numbers.to_vec(),
        }
    });
    let both = |days: std::ops::Range<i64>| {
        count(counts, days.clone(), Action::Reset) + count(counts, days, Action::Unlock)
    };
    let week = today + 1 - WEEK..today + 1;
    let before = week.start - WEEK..week.start;
    let saved = both(today + 1 - MONTH..today + 1);
    let figures = vec![
        ("resets", count(counts, week.clone(), Action::Reset)),
        ("resets_before", count(counts, before.clone(), Action::Reset)),
        ("unlocks", count(counts, week, Action::Unlock)),
        ("unlocks_before", count(counts, before, Action::Unlock)),
        ("saved", saved),
    ];
    let tenths = saved * u64::from(minutes) / 6;
    Chart {
        kinds: SHOWN.iter().map(|action| action.as_str()).collect(),
        width: u64::try_from(shown).unwrap_or_default() * STEP,
        height: HEIGHT,
        top,
        days: drawn.collect(),
        totals: SHOWN.iter().map(|action| count(counts, begin..today + 1, *action)).collect(),
        spans: SPANS.iter().map(|span| (*span, *span == shown)).collect(),
        figures,
        hours: format!("{}{decimal}{}", tenths / 10, tenths % 10),
        minutes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_stacked_without_gaps_and_figures_are_of_their_days() {
        let mut counts = Counts::new();
        for (day, action, outcome, number) in [
            (100, Action::Reset, Outcome::Success, 3),
            (100, Action::Unlock, Outcome::Success, 4),
            (100, Action::Reset, Outcome::Failure, 50),
            (90, Action::Reset, Outcome::Success, 7),
            (72, Action::Unlock, Outcome::Success, 1),
            (60, Action::Reset, Outcome::Success, 99),
        ] {
            counts.insert((day, action, outcome), number);
        }
        let chart = of(&counts, 100, 14, (10, "."));
        assert_eq!((chart.days.len(), chart.top, chart.width), (14, 10, 14 * STEP));
        let bars: Vec<_> = chart.days[13].bars.iter().map(|bar| (bar.kind, bar.y, bar.height)).collect();
        assert_eq!(bars, [("reset", 70, 30), ("unlock", 30, 40)]);
        assert_eq!(chart.totals, [10, 4, 0, 0]);
        let figures: Vec<_> = chart.figures.iter().map(|(_, number)| *number).collect();
        assert_eq!(figures, [3, 7, 4, 0, 15]);
        assert_eq!(chart.hours, "2.5");
        assert!(chart.days[13].href.starts_with("/admin/events?q=at+from+1970-04-11"));
        assert!(of(&Counts::new(), 100, 90, (0, ".")).days.iter().all(|day| day.bars.is_empty()));
    }

    #[test]
    fn the_top_is_a_round_number() {
        for (number, top) in [(1, 1), (3, 5), (11, 20), (99, 100), (501, 1000)] {
            assert_eq!(round_up(number), top);
        }
    }
}
