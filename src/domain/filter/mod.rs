//! What is asked of a table of the console: which of its rows. A [`Filter`] has one form as text, which stands in addresses
//! and on the command line ([`Filter::parse`], and [`Display`](std::fmt::Display)).
//!
//! It must not know which tables there are, nor where their rows are kept.

mod pattern;
mod search;
mod span;
mod text;

use std::fmt::Debug;

pub use pattern::Pattern;
pub use search::{Cell, Found, Key, Page, Place, Row, Search};
pub use span::{DAY, Span, date_of, day_of, parse_time, start_of};
pub use text::Wrong;

use super::clock::Timestamp;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text of any kind.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A point in time.
    Time,
}

/// The columns of a table.
pub trait Column: Copy + Eq + Debug + Send + Sync + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its name in filters, addresses and exports.
    fn key(self) -> &'static str;

    /// What it holds.
    fn kind(self) -> Kind;

    /// The column of that name.
    fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|column| column.key() == key)
    }
}

/// Which rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter<C> {
    /// Those that all of these let through; of none, every row.
    All(Vec<Self>),
    /// Those that one of these lets through; of none, no row. That one has no form as text.
    Any(Vec<Self>),
    /// Those that it does not let through.
    Not(Box<Self>),
    /// Those whose cell of that column passes.
    Is(C, Test),
}

/// What a cell has to pass. Text is compared without regard to case. An empty cell passes [`Test::Empty`], [`Test::Unlike`]
/// and no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// It fits the pattern.
    Like(Pattern),
    /// It does not.
    Unlike(Pattern),
    /// It is one of these.
    In(Vec<String>),
    /// It is earlier.
    Before(Timestamp),
    /// It is then or later.
    From(Timestamp),
    /// It is within these days; which ones they are depends on today.
    Within(Span),
    /// There is nothing in it.
    Empty,
    /// There is something in it.
    Given,
}

impl<C: Column> Filter<C> {
    /// The filter that lets everything through.
    pub const EVERYTHING: Self = Self::All(Vec::new());

    /// Whether it lets everything through.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.iter().all(Self::is_everything))
    }

    /// Both this and that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (this, other) if this.is_everything() => other,
            (this, other) if other.is_everything() => this,
            (Self::All(mut parts), other) => {
                parts.push(other);
                Self::All(parts)
            }
            (this, other) => Self::All(vec![this, other]),
        }
    }

    /// The same with the days that are meant at `now` in the place of [`Test::Within`].
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        match self {
            Self::All(parts) => Self::All(parts.iter().map(|part| part.at(now)).collect()),
            Self::Any(parts) => Self::Any(parts.iter().map(|part| part.at(now)).collect()),
            Self::Not(part) => Self::Not(Box::new(part.at(now))),
            Self::Is(column, Test::Within(span)) => {
                let (from, before) = span.bounds(now);
                Self::All(vec![Self::Is(*column, Test::From(from)), Self::Is(*column, Test::Before(before))])
            }
            Self::Is(..) => self.clone(),
        }
    }

    /// Whether some of many rows may pass, and whether some may not, given the same of their cells.
    pub fn may(&self, cells: &impl Fn(C, &Test) -> (bool, bool)) -> (bool, bool) {
        match self {
            Self::All(parts) => parts.iter().fold((true, false), |(passes, fails), part| {
                let may = part.may(cells);
                (passes && may.0, fails || may.1)
            }),
            Self::Any(parts) => parts.iter().fold((false, true), |(passes, fails), part| {
                let may = part.may(cells);
                (passes || may.0, fails && may.1)
            }),
            Self::Not(part) => {
                let (passes, fails) = part.may(cells);
                (fails, passes)
            }
            Self::Is(column, test) => cells(*column, test),
        }
    }

    /// Whether a row passes, given how one of its cells does.
    pub fn passes(&self, cell: &mut impl FnMut(C, &Test) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.passes(cell)),
            Self::Any(parts) => parts.iter().any(|part| part.passes(cell)),
            Self::Not(part) => !part.passes(cell),
            Self::Is(column, test) => cell(*column, test),
        }
    }
}

/// Whether two texts are the same but for their case.
fn is_same(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        one.eq_ignore_ascii_case(other)
    } else {
        one.to_lowercase() == other.to_lowercase()
    }
}

impl Test {
    /// Whether a text passes; `None` for an empty cell.
    pub fn passes_text(&self, text: Option<&str>) -> bool {
        let text = text.filter(|text| !text.is_empty());
        match (self, text) {
            (Self::Empty | Self::Unlike(_), None) | (Self::Given, Some(_)) => true,
            (Self::Like(pattern), Some(text)) => pattern.fits(text),
            (Self::Unlike(pattern), Some(text)) => !pattern.fits(text),
            (Self::In(words), Some(text)) => words.iter().any(|word| is_same(word, text)),
            _ => false,
        }
    }

    /// Whether a time passes; `None` for an empty cell.
    pub fn passes_time(&self, time: Option<Timestamp>) -> bool {
        match (self, time) {
            (Self::Empty, None) | (Self::Given, Some(_)) => true,
            (Self::Before(bound), Some(time)) => time < *bound,
            (Self::From(bound), Some(time)) => time >= *bound,
            _ => false,
        }
    }

    /// Whether a cell of that kind can be asked so.
    pub fn is_for(&self, kind: Kind) -> bool {
        match self {
            Self::Empty | Self::Given => true,
            Self::Before(_) | Self::From(_) | Self::Within(_) => kind == Kind::Time,
            Self::Like(_) | Self::Unlike(_) | Self::In(_) => kind != Kind::Time,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Columns for tests.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Some {
        At,
        User,
        Outcome,
    }

    impl Column for Some {
        const ALL: &'static [Self] = &[Self::At, Self::User, Self::Outcome];
        fn key(self) -> &'static str {
            match self {
                Self::At => "at",
                Self::User => "user",
                Self::Outcome => "outcome",
            }
        }
        fn kind(self) -> Kind {
            match self {
                Self::At => Kind::Time,
                Self::User => Kind::Text,
                Self::Outcome => Kind::Words(&["success", "failure"]),
            }
        }
    }

    fn like(text: &str) -> Test {
        Test::Like(Pattern::parse(text))
    }

    #[test]
    fn groups_join_what_is_in_them() {
        let user = |text: &str| Filter::Is(Some::User, like(text));
        let passes = |filter: &Filter<Some>, name: &str| {
            filter.passes(&mut |_, test: &Test| test.passes_text(Some(name).filter(|name| !name.is_empty())))
        };
        assert!(passes(&Filter::EVERYTHING, "alice") && !passes(&Filter::Any(vec![]), "alice"));
        let both = user("a*").and(user("*e"));
        assert!(passes(&both, "Alice") && !passes(&both, "Adam"));
        let either = Filter::Any(vec![user("a*"), user("b*")]);
        assert!(passes(&either, "Bob") && !passes(&either, "Carol"));
        let neither = Filter::Not(Box::new(either));
        assert!(passes(&neither, "Carol") && !passes(&neither, "bob") && passes(&neither, ""));
    }

    #[test]
    fn an_empty_cell_is_only_empty_and_unlike() {
        for (test, passes) in [
            (like("*"), false),
            (Test::Unlike(Pattern::parse("a")), true),
            (Test::In(vec![String::new()]), false),
            (Test::Empty, true),
            (Test::Given, false),
        ] {
            assert_eq!(test.passes_text(None), passes, "{test:?}");
            assert_eq!(test.passes_text(Some("")), passes, "{test:?}");
        }
        assert!(Test::Empty.passes_time(None) && !Test::From(Timestamp::from_millis(0)).passes_time(None));
    }

    #[test]
    fn days_are_those_of_now() {
        let now = parse_time("2026-11-25T14:30:00Z").unwrap();
        let today = Filter::Is(Some::At, Test::Within(Span::Today)).at(now);
        let passes = |text: &str| {
            let time = parse_time(text).unwrap();
            today.passes(&mut |_, test: &Test| test.passes_time(Some(time)))
        };
        assert!(passes("2026-11-25T00:00:00Z") && passes("2026-11-25T23:59:59.999Z"));
        assert!(!passes("2026-11-24T23:59:59.999Z") && !passes("2026-11-26"));
    }
}
