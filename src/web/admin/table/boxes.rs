//! The filter row: a box below each column's name. What it can say is a condition of the filter; all else of the filter stays
//! beside it.

use serde::Serialize;

use super::condition::plain;
use crate::domain::{
    clock::Timestamp,
    filter::{Column, DAY, Filter, Kind, Pattern, Span, Test, date_of, day_of, parse_time, start_of},
};

/// What stands in a box.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Content {
    /// The text; of a list the words with commas between them; of days the span, or `own`.
    pub value: String,
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

/// The parts that all have to let a row through.
fn parts<C: Column>(filter: &Filter<C>) -> Vec<Filter<C>> {
    match filter {
        Filter::All(all) => all.iter().flat_map(parts).collect(),
        one => vec![one.clone()],
    }
}

/// The filter of parts that all have to let a row through.
fn whole<C: Column>(mut parts: Vec<Filter<C>>) -> Filter<C> {
    if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) }
}

/// What the boxes say of a filter, by column, and what they can't. `is_listed` are the columns with a list of values.
pub(super) fn split<C: Column>(
    filter: &Filter<C>,
    is_listed: impl Fn(C) -> bool,
) -> (Vec<(C, Content)>, Filter<C>) {
    let (mut boxes, mut rest) = (Vec::<(C, Content)>::new(), Vec::new());
    for part in parts(filter) {
        let said = match &part {
            Filter::Is(column, test) => {
                let known = boxes.iter().position(|(known, _)| known == column);
                let before = known.map(|at| boxes[at].1.clone());
                say(*column, test, before, is_listed(*column)).map(|content| (known, *column, content))
            }
            _ => None,
        };
        match said {
            Some((Some(at), _, content)) => boxes[at].1 = content,
            Some((None, column, content)) => boxes.push((column, content)),
            None => rest.push(part),
        }
    }
    (boxes, whole(rest))
}

/// What a box says of a test, given what it said before; `None` if it can't.
fn say<C: Column>(column: C, test: &Test, before: Option<Content>, is_listed: bool) -> Option<Content> {
    let of = |value: String| Content { value, ..Content::default() };
    if column.kind() == Kind::Time {
        let day = |time: Timestamp| (time.millis().rem_euclid(DAY) == 0).then(|| day_of(time));
        let mut content = before.unwrap_or_default();
        match test {
            Test::Within(span) if content == Content::default() => content.value = span.as_str().into(),
            Test::From(time) if content.from.is_empty() && ["", "own"].contains(&content.value.as_str()) => {
                content.from = date_of(day(*time)?).to_string();
                content.value = "own".into();
            }
            Test::Before(time) if content.to.is_empty() && ["", "own"].contains(&content.value.as_str()) => {
                content.to = date_of(day(*time)? - 1).to_string();
                content.value = "own".into();
            }
            _ => return None,
        }
        return Some(content);
    }
    if before.is_some() {
        return None;
    }
    if is_listed {
        return match test {
            Test::In(values) if !values.iter().any(|value| value.contains(',')) => Some(of(values.join(","))),
            _ => None,
        };
    }
    match test {
        Test::Empty => Some(of("=".into())),
        Test::In(values) => match values.as_slice() {
            [only] if !only.trim().is_empty() => Some(of(format!("={only}"))),
            _ => None,
        },
        Test::Like(pattern) => {
            let text = pattern.as_str();
            let inner = text.strip_prefix('*').and_then(|it| it.strip_suffix('*')).and_then(plain);
            let contained = inner.filter(|it| !it.trim().is_empty() && !it.contains(['*', '?', '=']));
            // Without a wildcard it would be read otherwise.
            contained.or_else(|| plain(text).is_none().then(|| text.to_owned())).map(of)
        }
        _ => None,
    }
}

/// What a box asks for; `None` for nothing.
fn ask<C: Column>(column: C, content: &Content, is_listed: bool) -> Vec<Filter<C>> {
    let is = |test| vec![Filter::Is(column, test)];
    let value = content.value.trim();
    if column.kind() == Kind::Time {
        if let Some(span) = Span::of(value) {
            return is(Test::Within(span));
        }
        let from = parse_time(&content.from).map(Test::From);
        let next = |time: Timestamp| Timestamp::from_millis(time.millis().saturating_add(DAY));
        let before = parse_time(&content.to).map(|time| Test::Before(next(time)));
        return from.into_iter().chain(before).map(|test| Filter::Is(column, test)).collect();
    }
    if value.is_empty() {
        return Vec::new();
    }
    if is_listed {
        return is(Test::In(value.split(',').map(str::to_owned).collect()));
    }
    if let Some(exactly) = value.strip_prefix('=') {
        let exactly = exactly.trim();
        return is(if exactly.is_empty() { Test::Empty } else { Test::In(vec![exactly.to_owned()]) });
    }
    let pattern =
        if value.contains(['*', '?']) { value.to_owned() } else { format!("*{}*", Pattern::escape(value)) };
    is(Test::Like(Pattern::parse(&pattern)))
}

/// The filter with what now stands in the boxes in the place of what they said before.
pub(super) fn join<C: Column>(
    filter: &Filter<C>,
    contents: &[(C, Content)],
    is_listed: impl Fn(C) -> bool,
) -> Filter<C> {
    let (before, rest) = split(filter, &is_listed);
    let mut all = Vec::new();
    for column in C::ALL {
        // A column that isn't shown has no box, and keeps what it was asked.
        let content = contents.iter().chain(&before).find(|(known, _)| known == column);
        all.extend(content.into_iter().flat_map(|(_, content)| ask(*column, content, is_listed(*column))));
    }
    all.extend(parts(&rest));
    whole(all)
}

/// The part of a filter that is about that column alone and that the boxes can't say, and the filter without all that is
/// about that column alone.
pub(super) fn without<C: Column>(filter: &Filter<C>, column: C) -> (Vec<Filter<C>>, Filter<C>) {
    let (own, rest) = parts(filter).into_iter().partition(|part| is_about(part, column));
    (own, whole(rest))
}

fn is_about<C: Column>(filter: &Filter<C>, column: C) -> bool {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => {
            !parts.is_empty() && parts.iter().all(|part| is_about(part, column))
        }
        Filter::Not(part) => is_about(part, column),
        Filter::Is(it, _) => *it == column,
    }
}

/// A day, and the one after it, as an address asks for it.
pub(super) fn on_day<C: Column>(column: C, day: i64) -> Filter<C> {
    Filter::All(vec![
        Filter::Is(column, Test::From(start_of(day))),
        Filter::Is(column, Test::Before(start_of(day + 1))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::EventColumn as Event;

    fn is_listed(column: Event) -> bool {
        matches!(column, Event::Outcome | Event::Action | Event::Domain)
    }

    fn parse(text: &str) -> Filter<Event> {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn what_boxes_say_stays_when_nothing_is_typed() {
        for text in [
            "",
            "user like *ali*",
            "user like ali*",
            "user in (ali)",
            "user empty",
            "at within today",
            "at from 2026-11-01 and at before 2026-11-05",
            "outcome in (failure, intent)",
            "at from 2026-11-01 and (user like a* or user like b*)",
            "at from 2026-11-01T10:00Z",
            "user like *ali* and user like *b*",
            "user like alice",
            "user like *",
            "user like \"*=x*\"",
            "domain like *x*",
            "not user in (x)",
        ] {
            let filter = parse(text);
            let (boxes, _) = split(&filter, is_listed);
            assert_eq!(join(&filter, &boxes, is_listed).to_string(), text, "{boxes:?}");
            assert_eq!(join(&filter, &[], is_listed).to_string(), text, "no box is shown");
        }
    }

    #[test]
    fn what_is_typed_is_contained_unless_it_has_wildcards() {
        let typed = |column, value: &str| {
            let content = Content { value: value.into(), ..Content::default() };
            join(&parse("user like *old* and not detail empty"), &[(column, content)], is_listed).to_string()
        };
        assert_eq!(typed(Event::User, " Ali "), "user like *Ali* and not detail empty");
        assert_eq!(typed(Event::User, "a?i*"), "user like a?i* and not detail empty");
        assert_eq!(typed(Event::User, r"CORP\ali"), r"user like *CORP\\ali* and not detail empty");
        assert_eq!(typed(Event::User, "=ali"), "user in (ali) and not detail empty");
        assert_eq!(typed(Event::User, "="), "user empty and not detail empty");
        assert_eq!(typed(Event::User, ""), "not detail empty");
        assert_eq!(
            typed(Event::Outcome, "failure"),
            "outcome in (failure) and user like *old* and not detail empty"
        );
        let days = Content { value: "own".into(), from: "2026-11-01".into(), to: "2026-11-05".into() };
        let filter = join(&Filter::EVERYTHING, &[(Event::At, days)], is_listed);
        assert_eq!(filter.to_string(), "at from 2026-11-01 and at before 2026-11-06");
        assert_eq!(split(&filter, is_listed).0[0].1.to, "2026-11-05");
    }

    #[test]
    fn what_is_about_one_column_alone_is_found() {
        let filter =
            parse("user like a* and (user like b* or not user empty) and (user like c* or detail empty)");
        let (own, rest) = without(&filter, Event::User);
        assert_eq!(own.len(), 2);
        assert_eq!(rest.to_string(), "user like c* or detail empty");
    }
}
