//! Rows of the console's tables, page by page, for [`export`].

use std::{borrow::Borrow, vec};

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

/// So many rows are made cells of at a time: of a whole page they would take as much room as its rows.
const FEW: usize = 500;

/// What is left of a page, and where the next one begins.
struct Reading<S: Source> {
    source: S,
    search: Search<<S::Row as Row>::Column>,
    columns: Vec<<S::Row as Row>::Column>,
    page: vec::IntoIter<S::Row>,
    is_more: bool,
}

/// All rows that a search finds, from its first page on, and of each these columns.
pub fn rows<S: Source>(
    source: S,
    search: Search<<S::Row as Row>::Column>,
    columns: Vec<<S::Row as Row>::Column>,
) -> impl Stream<Item = Result<Vec<Vec<export::Cell>>, store::Error>> + Send {
    let search = Search { limit: S::page_size(search.by), ..search };
    let reading = Reading { source, search, columns, page: Vec::new().into_iter(), is_more: true };
    stream::try_unfold(reading, |mut reading| async move {
        if reading.page.len() == 0 && reading.is_more {
            // What is left of the last page is let go before the next one is read.
            reading.page = Vec::new().into_iter();
            let found = reading.source.page(&reading.search).await?;
            reading.page = found.rows.into_iter();
            reading.is_more = found.next.is_some();
            reading.search.after = found.next;
        }
        let of = |row: S::Row| reading.columns.iter().map(|column| cell(row.cell(*column))).collect();
        let few: Vec<Vec<_>> = reading.page.by_ref().take(FEW).map(of).collect();
        Ok((!few.is_empty()).then_some((few, reading)))
    })
}

fn cell(cell: filter::Cell) -> export::Cell {
    match cell {
        filter::Cell::Empty => export::Cell::Empty,
        filter::Cell::Time(time) => export::Cell::At(time),
        filter::Cell::Text(text) => export::Cell::Text(text),
    }
}
