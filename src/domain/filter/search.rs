//! A page of a table: which rows, in which order, from where on.

use std::{borrow::Cow, cmp::Ordering, collections::BinaryHeap, fmt, fmt::Write as _};

use super::{Column, Filter, Test};
use crate::domain::clock::Timestamp;

/// A cell of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cell {
    /// There is nothing in it.
    Empty,
    /// A time.
    Time(Timestamp),
    /// A text.
    Text(String),
}

impl Cell {
    /// A text; an empty one is an empty cell.
    pub fn text(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }

    /// A time, if there is one.
    pub fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Empty, Self::Time)
    }

    /// Whether it passes.
    pub fn passes(&self, test: &Test) -> bool {
        match self {
            Self::Empty => test.passes_text(None),
            Self::Time(time) => test.passes_time(Some(*time)),
            Self::Text(text) => test.passes_text(Some(text)),
        }
    }

    /// By what rows are put in order: text without regard to case, what is empty first.
    #[must_use]
    pub fn for_order(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.to_lowercase()),
            other => other,
        }
    }
}

/// A text in small letters; most are, and stay where they are.
pub fn small(text: &str) -> Cow<'_, str> {
    let is_small = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_small { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// What a row is put in order by, as [`Cell::for_order`] has it, but made without a copy where that can be.
pub enum Key<'a> {
    /// There is nothing in the cell.
    Empty,
    /// A time.
    Time(Timestamp),
    /// A text, in [small letters](small).
    Text(Cow<'a, str>),
}

impl<'a> Key<'a> {
    /// That of a text; an empty one is an empty cell.
    pub fn text(text: &'a str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(small(text)) }
    }

    fn into_cell(self) -> Cell {
        match self {
            Self::Empty => Cell::Empty,
            Self::Time(time) => Cell::Time(time),
            Self::Text(text) => Cell::Text(text.into_owned()),
        }
    }

    /// As its cell compares.
    fn compare(&self, cell: &Cell) -> Ordering {
        match (self, cell) {
            (Self::Empty, Cell::Empty) => Ordering::Equal,
            (Self::Time(own), Cell::Time(other)) => own.cmp(other),
            (Self::Text(own), Cell::Text(other)) => own.as_ref().cmp(other),
            (Self::Empty, _) | (Self::Time(_), Cell::Text(_)) => Ordering::Less,
            (Self::Time(_) | Self::Text(_), _) => Ordering::Greater,
        }
    }
}

/// A row of a table.
pub trait Row {
    /// The table's columns.
    type Column: Column;

    /// What is in a column.
    fn cell(&self, column: Self::Column) -> Cell;

    /// What tells it from all other rows, and puts those in order that are alike.
    fn identity(&self) -> Vec<u8>;
}

/// Which rows, in which order, from where on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search<C> {
    /// Which rows.
    pub filter: Filter<C>,
    /// The column by which they are in order.
    pub by: C,
    /// Whether the last comes first.
    pub is_descending: bool,
    /// The last row of the page before.
    pub after: Option<Place>,
    /// The most rows.
    pub limit: usize,
}

/// A row's place in an order. Shown, it is what an address says of where the next page begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// What is in the column of the order.
    pub cell: Cell,
    /// The row's identity.
    pub identity: Vec<u8>,
}

impl Place {
    /// Understands what [`Self`] is shown as.
    pub fn parse(text: &str) -> Option<Self> {
        let (identity, cell) = text.split_once('.')?;
        if identity.len() % 2 == 1 || !identity.is_ascii() {
            return None;
        }
        let byte = |at| u8::from_str_radix(identity.get(at..at + 2)?, 16).ok();
        let identity = (0..identity.len()).step_by(2).map(byte).collect::<Option<_>>()?;
        let cell = match cell.chars().next() {
            None => Cell::Empty,
            Some('t') => Cell::Time(Timestamp::from_millis(cell[1..].parse().ok()?)),
            Some('x') => Cell::Text(cell[1..].to_owned()),
            Some(_) => return None,
        };
        Some(Self { cell, identity })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.identity {
            write!(f, "{byte:02x}")?;
        }
        f.write_char('.')?;
        match &self.cell {
            Cell::Empty => Ok(()),
            Cell::Time(time) => write!(f, "t{}", time.millis()),
            Cell::Text(text) => write!(f, "x{text}"),
        }
    }
}

/// A page of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<R> {
    /// The rows, in their order.
    pub rows: Vec<R>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
    /// How many rows pass the filter, if all of them were looked at.
    pub matches: Option<u64>,
}

/// Puts rows that pass in order, as many as are wanted, however many are offered.
pub struct Page<R> {
    after: Option<Place>,
    is_descending: bool,
    limit: usize,
    /// One more than are wanted: then it is known whether there is a next page.
    best: BinaryHeap<Placed<R>>,
}

struct Placed<R> {
    place: Place,
    is_descending: bool,
    row: R,
}

impl<R> Ord for Placed<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.place, &other.place, self.is_descending)
    }
}

impl<R> PartialOrd for Placed<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Placed<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R> Eq for Placed<R> {}

fn compare(one: &Place, other: &Place, is_descending: bool) -> Ordering {
    if is_descending { other.cmp(one) } else { one.cmp(other) }
}

impl<R> Page<R> {
    /// With nothing on it.
    pub fn of<C>(search: &Search<C>) -> Self {
        Self {
            after: search.after.clone(),
            is_descending: search.is_descending,
            limit: search.limit,
            best: BinaryHeap::new(),
        }
    }

    /// Offers a row that passes the filter; it is made only if it has a place on the page. `key` is that of the
    /// column of the order.
    pub fn offer<E>(
        &mut self,
        key: Key<'_>,
        identity: impl FnOnce() -> Vec<u8>,
        row: impl FnOnce() -> Result<R, E>,
    ) -> Result<(), E> {
        let worst = self.best.peek().filter(|_| self.best.len() > self.limit).map(|worst| &worst.place);
        // Of most rows the cell alone tells.
        let (late, early) = if self.is_descending {
            (Ordering::Less, Ordering::Greater)
        } else {
            (Ordering::Greater, Ordering::Less)
        };
        let is_beyond = |bound: &Place| key.compare(&bound.cell) == late;
        let is_passed = |bound: &Place| key.compare(&bound.cell) == early;
        if worst.is_some_and(is_beyond) || self.after.as_ref().is_some_and(is_passed) {
            return Ok(());
        }
        let place = Place { cell: key.into_cell(), identity: identity() };
        let is_before = |place: &Place, bound| compare(place, bound, self.is_descending) != Ordering::Greater;
        if self.after.as_ref().is_some_and(|after| is_before(&place, after))
            || worst.is_some_and(|worst| !is_before(&place, worst))
        {
            return Ok(());
        }
        self.best.push(Placed { place, is_descending: self.is_descending, row: row()? });
        if self.best.len() > self.limit.saturating_add(1) {
            self.best.pop();
        }
        Ok(())
    }

    /// What is in the order's column of the last row, if there are as many as are wanted and one more: only a row that
    /// comes before it would still change the page.
    pub fn last(&self) -> Option<&Cell> {
        self.best.peek().filter(|_| self.best.len() > self.limit).map(|last| &last.place.cell)
    }

    /// The page.
    pub fn finish(self, matches: Option<u64>) -> Found<R> {
        let mut placed = self.best.into_sorted_vec();
        let is_more = placed.len() > self.limit;
        placed.truncate(self.limit);
        let next = placed.last().filter(|_| is_more).map(|last| last.place.clone());
        Found { rows: placed.into_iter().map(|placed| placed.row).collect(), next, matches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::tests::Some as Columns;

    #[test]
    fn a_key_compares_as_its_cell_does() {
        let time = |millis| Cell::Time(Timestamp::from_millis(millis));
        let cells = ["", "a", "B", "ä", "Ä", "ẞ", "10.0.0.1", "İ"].map(Cell::text);
        let cells: Vec<_> = cells.into_iter().chain([time(1), time(2)]).collect();
        let key = |cell: &Cell| match cell {
            Cell::Empty => Key::Empty,
            Cell::Time(time) => Key::Time(*time),
            Cell::Text(text) => Key::Text(small(text).into_owned().into()),
        };
        for one in &cells {
            assert_eq!(key(one).into_cell(), one.clone().for_order());
            for other in &cells {
                let other = other.clone().for_order();
                assert_eq!(
                    key(one).compare(&other),
                    one.clone().for_order().cmp(&other),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    fn page(after: Option<Place>, is_descending: bool, rows: &[(&str, u8)]) -> Found<String> {
        let search = Search { filter: Filter::EVERYTHING, by: Columns::User, is_descending, after, limit: 2 };
        let mut page = Page::of(&search);
        for (name, number) in rows {
            let row = || Ok::<_, ()>(format!("{name}{number}"));
            page.offer(Key::text(name), || vec![*number], row).unwrap();
        }
        page.finish(Some(rows.len() as u64))
    }

    #[test]
    fn pages_follow_one_another_and_leave_nothing_out() {
        let rows = [("b", 1), ("A", 2), ("", 3), ("a", 4), ("c", 5)];
        for (is_descending, expected) in
            [(false, ["3", "A2", "a4", "b1", "c5"]), (true, ["c5", "b1", "a4", "A2", "3"])]
        {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let found = page(after, is_descending, &rows);
                assert_eq!(found.matches, Some(5));
                all.extend(found.rows);
                match found.next {
                    Some(next) => after = Place::parse(&next.to_string()),
                    None => break,
                }
                assert!(after.is_some() && all.len() <= 5);
            }
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn a_place_is_told_as_text() {
        for cell in [Cell::Empty, Cell::Time(Timestamp::from_millis(-5)), Cell::Text("x.y é".into())] {
            let place = Place { cell, identity: vec![0, 255, 16] };
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for wrong in ["", "0", "0.x", "zz.x", "00.q", "00.tx", "é0.x"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }
}
