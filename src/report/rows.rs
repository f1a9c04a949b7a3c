//! Rows of the console's tables, page by page, for [`export`].

use std::borrow::Borrow;

use futures_util::stream::{self, Stream};

use super::export::{self, Column};
use crate::{
    domain::{
        audit::{EventColumn, Numbered},
        filter::{self, Found, Kind, Row, Search},
        user::{User, UserColumn},
    },
    store::{self, Store},
};

/// A table whose rows can be read.
pub trait Source: Send + Sync {
    /// Its rows.
    type Row: Row<Column: Send> + Send;

    /// So many rows are read at a time. Where each page is looked for among all rows, it had better be a large one.
    fn page_size(by: <Self::Row as Row>::Column) -> usize;

    /// A page of them.
    fn page(
        &self,
        search: &Search<<Self::Row as Row>::Column>,
    ) -> impl Future<Output = Result<Found<Self::Row>, store::Error>> + Send;
}

/// The audit log.
pub struct Events<S>(pub S);

impl<S: Borrow<Store> + Send + Sync> Source for Events<S> {
    type Row = Numbered;

    fn page_size(by: EventColumn) -> usize {
        if by == EventColumn::At { 4_000 } else { 20_000 }
    }

    async fn page(&self, search: &Search<EventColumn>) -> Result<Found<Numbered>, store::Error> {
        self.0.borrow().search_events(search, &|_, _| {}).await
    }
}

/// Those who enrolled.
pub struct Users<S>(pub S);

impl<S: Borrow<Store> + Send + Sync> Source for Users<S> {
    type Row = User;

    fn page_size(_by: UserColumn) -> usize {
        20_000
    }

    async fn page(&self, search: &Search<UserColumn>) -> Result<Found<User>, store::Error> {
        self.0.borrow().search_users(search, &|_, _| {}).await
    }
}

/// The columns of an export, with the titles that people know them by.
pub fn columns<C: filter::Column>(columns: &[C], title: impl Fn(C) -> String) -> Vec<Column> {
    let column = |column: &C| Column {
        key: column.key(),
        title: title(*column),
        kind: if column.kind() == Kind::Time { export::Kind::At } else { export::Kind::Text },
    };
    columns.iter().map(column).collect()
}

/// All rows that a search finds, from its first page on, and of each these columns.
pub fn rows<S: Source>(
    source: S,
    search: Search<<S::Row as Row>::Column>,
    columns: Vec<<S::Row as Row>::Column>,
) -> impl Stream<Item = Result<Vec<Vec<export::Cell>>, store::Error>> + Send {
    let search = Search { limit: S::page_size(search.by), ..search };
    stream::try_unfold(Some((source, search, columns)), |state| async move {
        let Some((source, search, columns)) = state else { return Ok(None) };
        let found = source.page(&search).await?;
        let page =
            found.rows.iter().map(|row| columns.iter().map(|column| cell(row.cell(*column))).collect());
        let page: Vec<Vec<_>> = page.collect();
        let next = found.next.map(|next| (source, Search { after: Some(next), ..search }, columns));
        Ok(Some((page, next)))
    })
}

fn cell(cell: filter::Cell) -> export::Cell {
    match cell {
        filter::Cell::Empty => export::Cell::Empty,
        filter::Cell::Time(time) => export::Cell::At(time),
        filter::Cell::Text(text) => export::Cell::Text(text),
    }
}
