//! Tables as files, written while their rows are read: neither a file nor a table is ever held as a whole. It must not
//! know what the rows are about, nor where the bytes go.
//!
//! Cells of CSV, HTML and text have no types, and spreadsheets open all three: there a text that would become a formula
//! gets an apostrophe before it ([`sheet::harmless`]). XLSX, XML and JSON Lines say what is
//! a text, and have it to the letter. What XML can't hold is U+FFFD in all but JSON Lines.

mod csv;
mod html;
mod json_lines;
mod markup;
mod text;
mod xlsx;
mod xml;

use std::{borrow::Cow, error::Error, io, mem, pin::Pin, vec};

use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::task::yield_now;

use crate::domain::{clock::Timestamp, sheet};

/// The bytes of a chunk, of which the last row may make a few more; and of the cells that are encoded at one go, so that
/// other tasks get their turn.
const CHUNK: usize = 32 * 1024;

/// What a table can be written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Cells between commas (RFC 4180), after a byte order mark.
    Csv,
    /// A workbook (ISO/IEC 29500) whose cells have types.
    Xlsx,
    /// A page for people, to read or to print.
    Html,
    /// Lines of cells between tabs, for people.
    Text,
    /// Elements that are named after the columns.
    Xml,
    /// An object in each line.
    JsonLines,
}

impl Format {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 6] = [Self::Csv, Self::Xlsx, Self::Html, Self::Text, Self::Xml, Self::JsonLines];

    /// Its name in addresses and commands, and at the end of a file's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
            Self::Text => "txt",
            Self::Xml => "xml",
            Self::JsonLines => "jsonl",
        }
    }

    /// The format of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// The media type of the files.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Xml => "application/xml",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

/// What stands around the rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it is, as people call it.
    pub title: String,
    /// The language of its words (BCP 47).
    pub language: String,
    /// Whether that is written from right to left.
    pub is_right_to_left: bool,
    /// From the first to the last.
    pub columns: Vec<Column>,
    /// A set flag, as people call it.
    pub yes: String,
    /// A flag that is not set.
    pub no: String,
}

impl Table {
    fn titles(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.title.as_str())
    }

    /// A cell as people read it, harmless to spreadsheets. Times are in UTC (RFC 3339). A number below zero is one to
    /// them, too.
    fn words<'a>(&'a self, cell: &'a Cell) -> Cow<'a, str> {
        match cell {
            Cell::Text(text) => sheet::harmless(text),
            Cell::At(time) => time.to_string().into(),
            Cell::Number(number) => number.to_string().into(),
            Cell::Flag(is_set) => sheet::harmless(if *is_set { &self.yes } else { &self.no }),
            Cell::Empty => "".into(),
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// What programs know it by: a lower-case letter, and then such letters, digits or `_`. It never changes.
    pub key: &'static str,
    /// What people know it by.
    pub title: String,
    /// What its cells hold, if anything.
    pub kind: Kind,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Words.
    Text,
    /// A point in time.
    At,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
}

impl Kind {
    /// Its name for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::At => "time",
            Self::Number => "number",
            Self::Flag => "flag",
        }
    }
}

/// A cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Words; those of anybody.
    Text(String),
    /// A point in time.
    At(Timestamp),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Nothing.
    Empty,
}

/// One format.
trait Encoder: Send {
    /// Appends what stands before the rows.
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
    /// Appends a row, which has a cell for each column; or keeps a little of it for later.
    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()>;
    /// Appends what was kept, and what stands behind the rows.
    fn tail(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Begins to write a table whose rows come some at a time, and returns the chunks of the file. It holds no more rows than come.
///
/// # Errors
/// An error of the first page is returned as it is: nothing was written then. A later one ends the chunks with an error:
/// without that, a file is whole.
pub async fn begin<R, E>(
    table: Table,
    format: Format,
    rows: R,
) -> Result<impl Stream<Item = io::Result<Vec<u8>>> + Send, E>
where
    R: Stream<Item = Result<Vec<Vec<Cell>>, E>> + Send,
    E: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let mut rows = Box::pin(rows);
    let page = rows.next().await.transpose()?.unwrap_or_default().into_iter();
    let width = table.columns.len();
    let encoder: Box<dyn Encoder> = match format {
        Format::Csv => Box::new(csv::Csv(table)),
        Format::Xlsx => Box::new(xlsx::Workbook::of(table)),
        Format::Html => Box::new(html::Html(table)),
        Format::Text => Box::new(text::Text(table)),
        Format::Xml => Box::new(xml::Xml(table)),
        Format::JsonLines => Box::new(json_lines::JsonLines(table)),
    };
    let export = Export { encoder, width, rows, page, chunk: Vec::new(), stage: Stage::Head };
    Ok(stream::try_unfold(export, Export::next))
}

enum Stage {
    Head,
    Rows,
    Over,
}

/// A file that is being written.
struct Export<R> {
    encoder: Box<dyn Encoder>,
    width: usize,
    rows: Pin<Box<R>>,
    /// What is left of the page that was read last.
    page: vec::IntoIter<Vec<Cell>>,
    chunk: Vec<u8>,
    stage: Stage,
}

impl<R, E> Export<R>
where
    R: Stream<Item = Result<Vec<Vec<Cell>>, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    async fn next(mut self) -> io::Result<Option<(Vec<u8>, Self)>> {
        loop {
            match self.stage {
                Stage::Head => {
                    self.encoder.head(&mut self.chunk)?;
                    self.stage = Stage::Rows;
                }
                Stage::Rows => self.some_rows().await?,
                Stage::Over => return Ok(None),
            }
            if self.chunk.len() >= CHUNK || matches!(self.stage, Stage::Over) {
                return Ok(Some((mem::take(&mut self.chunk), self)));
            }
        }
    }

    /// Encodes as much as other tasks can wait for.
    async fn some_rows(&mut self) -> io::Result<()> {
        yield_now().await;
        let mut weight = 0;
        while weight < CHUNK {
            let Some(mut row) = self.page.next() else {
                let Some(page) = self.rows.next().await else {
                    self.encoder.tail(&mut self.chunk)?;
                    self.stage = Stage::Over;
                    break;
                };
                self.page = page.map_err(io::Error::other)?.into_iter();
                continue;
            };
            row.resize(self.width, Cell::Empty);
            self.encoder.row(&row, &mut self.chunk)?;
            weight += row.iter().map(weight_of).sum::<usize>();
        }
        Ok(())
    }
}

/// About how many bytes a cell becomes before it is packed.
fn weight_of(cell: &Cell) -> usize {
    32 + if let Cell::Text(text) = cell { text.len() } else { 0 }
}
