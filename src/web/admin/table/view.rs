//! What an address says of a table: which rows, in which order, which columns. What it doesn't say is as usual.

use super::Table;
use crate::domain::{
    clock::Timestamp,
    filter::{Column, Filter, Place, Search, Wrong},
};

/// How many rows a page may have.
pub(super) const SIZES: [usize; 3] = [25, 50, 100];
/// So many if nobody says.
const USUAL: usize = 50;
/// The most characters of the query of an address; the guard takes little more.
pub(super) const LONGEST_QUERY: usize = 1900;

/// The names and values behind the question mark of an address.
pub(in crate::web::admin) struct Asked(Vec<(String, String)>);

impl Asked {
    /// Of a request.
    pub(in crate::web::admin) fn of(request: &poem::Request) -> Self {
        Self::of_text(request.uri().query().unwrap_or_default())
    }

    /// Of the text of them.
    pub(super) fn of_text(query: &str) -> Self {
        Self(serde_urlencoded::from_str(query).unwrap_or_default())
    }

    /// The first value of that name; without one, the empty text.
    pub(in crate::web::admin) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has_any_of(&self, prefix: &str) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with(prefix))
    }
}

/// A view of a table.
pub(super) struct View<T: Table> {
    pub filter: Filter<T::Column>,
    pub by: T::Column,
    pub is_descending: bool,
    pub columns: Vec<T::Column>,
    pub rows: usize,
    pub after: Option<Place>,
    /// Until when it goes on by itself.
    pub live: Option<Timestamp>,
}

impl<T: Table> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            filter: self.filter.clone(),
            columns: self.columns.clone(),
            after: self.after.clone(),
            ..*self
        }
    }
}

impl<T: Table> View<T> {
    /// The usual one.
    pub(super) fn usual() -> Self {
        Self {
            filter: Filter::EVERYTHING,
            by: T::BY,
            is_descending: T::IS_DESCENDING,
            columns: T::SHOWN.to_vec(),
            rows: USUAL,
            after: None,
            live: None,
        }
    }

    /// What an address asks for, and what is wrong with its filter, if something is.
    pub(super) fn read(asked: &Asked) -> (Self, Option<Wrong>) {
        let mut view = Self::usual();
        let (filter, wrong) = match Filter::parse(asked.text("q")) {
            Ok(filter) => (filter, None),
            Err(wrong) => (Filter::EVERYTHING, Some(wrong)),
        };
        view.filter = filter;
        if let Some(column) = T::Column::of(asked.text("sort")) {
            view.by = column;
            view.is_descending = asked.text("desc") == "1";
        }
        let mut columns = Vec::new();
        for column in asked.text("cols").split(',').filter_map(T::Column::of) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        if !columns.is_empty() {
            view.columns = columns;
        }
        view.rows = asked.text("rows").parse().ok().filter(|rows| SIZES.contains(rows)).unwrap_or(USUAL);
        view.after = Place::parse(asked.text("after"));
        view.live = asked.text("live").parse().ok().map(Timestamp::from_millis);
        (view, wrong)
    }

    /// What its address says, as names and values.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if !self.filter.is_everything() {
            pairs.push(("q", self.filter.to_string()));
        }
        if self.by != T::BY || self.is_descending != T::IS_DESCENDING {
            pairs.push(("sort", self.by.key().to_owned()));
            pairs.push(("desc", u8::from(self.is_descending).to_string()));
        }
        if self.columns != T::SHOWN {
            let keys: Vec<_> = self.columns.iter().map(|column| column.key()).collect();
            pairs.push(("cols", keys.join(",")));
        }
        if self.rows != USUAL {
            pairs.push(("rows", self.rows.to_string()));
        }
        if let Some(after) = &self.after {
            pairs.push(("after", after.to_string()));
        }
        if let Some(live) = self.live {
            pairs.push(("live", live.millis().to_string()));
        }
        pairs
    }

    /// What is behind the question mark of its address, with more behind it.
    pub(super) fn query(&self, more: &[(&str, &str)]) -> String {
        let pairs = self.pairs();
        let own = pairs.iter().map(|(name, value)| (*name, value.as_str()));
        serde_urlencoded::to_string(own.chain(more.iter().copied()).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Its address.
    pub(super) fn href(&self) -> String {
        self.href_with(&[])
    }

    /// Its address, with more behind it.
    pub(super) fn href_with(&self, more: &[(&str, &str)]) -> String {
        address(&format!("/admin/{}", T::KEY), &self.query(more))
    }

    /// From its first row on, standing still.
    #[must_use]
    pub(super) fn first(&self) -> Self {
        Self { after: None, live: None, ..self.clone() }
    }

    /// Of other rows.
    #[must_use]
    pub(super) fn of(&self, filter: Filter<T::Column>) -> Self {
        Self { filter, ..self.first() }
    }

    /// In the order of a column; if it is in that order, the other way round.
    #[must_use]
    pub(super) fn sorted(&self, by: T::Column) -> Self {
        let is_descending =
            if by == self.by { !self.is_descending } else { by.kind() == crate::domain::filter::Kind::Time };
        Self { by, is_descending, ..self.first() }
    }

    /// The rows that are asked for.
    pub(super) fn search(&self, now: Timestamp) -> Search<T::Column> {
        Search {
            filter: self.filter.at(now),
            by: self.by,
            is_descending: self.is_descending,
            after: self.after.clone(),
            limit: self.rows,
        }
    }

    /// Whether its address would be too long to be asked for, or its filter to be read again.
    pub(super) fn is_too_long(&self) -> bool {
        self.query(&[]).len() > LONGEST_QUERY || Filter::<T::Column>::parse(&self.filter.to_string()).is_err()
    }
}

/// An address with a query behind it, if there is one.
pub(super) fn address(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::{super::events::Events, *};

    fn read(query: &str) -> (View<Events>, Option<Wrong>) {
        View::read(&Asked::of_text(query))
    }

    #[test]
    fn an_address_comes_back_as_it_was() {
        for query in [
            "",
            "q=user+like+*ali*",
            "q=event+in+%28reset%29&sort=user&desc=0&cols=user%2Cat&rows=100",
            "sort=at&desc=0",
            "after=0000000000000005.t17&live=5",
        ] {
            assert_eq!(read(query).0.query(&[]), query);
        }
    }

    #[test]
    fn what_makes_no_sense_is_as_usual() {
        let hostile = "sort=drop&desc=x&cols=a,b,%00,at,at&rows=999999999&after=zz&live=x&q=%22";
        let (view, wrong) = read(hostile);
        assert!(wrong.is_some());
        assert_eq!(view.query(&[]), "cols=at");
        assert_eq!(view.sorted(view.by).query(&[]), "sort=at&desc=0&cols=at");
    }
}
