//! A few hundred rows of a table, column by column: what is alike is kept once, a question is put to each word once, and
//! only to the columns that it is about.
//!
//! It must not know which tables there are.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Error,
    bytes::{Reader, Writer},
};
use crate::domain::{
    clock::Timestamp,
    filter::{Column, Filter, Key, Test},
};

/// The most rows of a sheet.
pub const MOST_ROWS: usize = 512;

/// How a column is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Texts.
    Texts,
    /// Identities of 16 bytes.
    Ids,
    /// Milliseconds since 1970.
    Times,
}

/// What is kept of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Value<'a> {
    /// Nothing, which is not an empty text.
    Nothing,
    /// A text.
    Text(&'a str),
    /// An identity.
    Id(&'a [u8; 16]),
    /// A time.
    Time(Timestamp),
}

impl<'a> Value<'a> {
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn id(self) -> Option<&'a [u8; 16]> {
        match self {
            Self::Id(id) => Some(id),
            _ => None,
        }
    }

    pub fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            _ => None,
        }
    }

    fn passes(self, test: &Test) -> bool {
        match self {
            Self::Nothing => test.passes_text(None),
            Self::Text(text) => test.passes_text(Some(text)),
            Self::Id(id) => test.passes_text(Some(&Uuid::from_bytes(*id).to_string())),
            Self::Time(time) => test.passes_time(Some(time)),
        }
    }

    /// What its row is put in order by.
    pub fn key(self) -> Key<'a> {
        match self {
            Self::Nothing => Key::Empty,
            Self::Text(text) => Key::text(text),
            Self::Id(id) => Key::Text(Uuid::from_bytes(*id).to_string().into()),
            Self::Time(time) => Key::Time(time),
        }
    }
}

/// Writes a sheet of so many rows.
pub fn write<'a>(layout: &[Layout], rows: usize, value: impl Fn(usize, usize) -> Value<'a>) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(rows as u64);
    for (column, layout) in layout.iter().enumerate() {
        let mut part = Writer::default();
        let values = (0..rows).map(|row| value(row, column));
        match layout {
            Layout::Texts | Layout::Ids => write_words(&mut part, values),
            Layout::Times => write_times(&mut part, values),
        }
        out.text(&part.0);
    }
    out.0
}

/// Each word once, in the order in which they are met; then the place of each row's word among them.
fn write_words<'a>(out: &mut Writer, values: impl Iterator<Item = Value<'a>>) {
    let mut places: HashMap<Value<'a>, usize> = HashMap::new();
    let mut words = Vec::new();
    let codes: Vec<usize> = values
        .map(|value| {
            *places.entry(value).or_insert_with(|| {
                words.push(value);
                words.len() - 1
            })
        })
        .collect();
    out.number(words.len() as u64);
    for word in &words {
        match word {
            Value::Text(text) => {
                out.number(text.len() as u64 + 1);
                out.bytes(text.as_bytes());
            }
            Value::Id(id) => {
                out.number(1);
                out.bytes(&id[..]);
            }
            Value::Nothing | Value::Time(_) => out.number(0),
        }
    }
    for code in codes {
        let [low, high, ..] = code.to_le_bytes();
        match words.len() {
            0 | 1 => {}
            2..=256 => out.byte(low),
            _ => out.bytes(&[low, high]),
        }
    }
}

/// Which rows have one; then how much later each is than the one before.
fn write_times<'a>(out: &mut Writer, values: impl Iterator<Item = Value<'a>>) {
    let times: Vec<_> = values.map(Value::time).collect();
    for eight in times.chunks(8) {
        out.byte(eight.iter().enumerate().fold(0, |bits, (at, time)| bits | u8::from(time.is_some()) << at));
    }
    let mut before = 0_i64;
    for time in times.into_iter().flatten() {
        out.signed(time.millis().wrapping_sub(before));
        before = time.millis();
    }
}

/// A sheet that is read.
pub struct Sheet<'a> {
    rows: usize,
    layout: &'static [Layout],
    columns: Vec<&'a [u8]>,
}

/// One column of it.
pub struct Values<'a> {
    words: Vec<Value<'a>>,
    codes: Codes<'a>,
}

/// Which word is in each row.
#[derive(Clone, Copy)]
enum Codes<'a> {
    /// Each has its own.
    Own,
    /// All have the first.
    First,
    /// A byte each.
    Bytes(&'a [u8]),
    /// Two bytes each, the lower first.
    Pairs(&'a [u8]),
}

impl Codes<'_> {
    /// That of a row; beyond all words if there is no such row.
    fn at(self, row: usize) -> usize {
        let code = match self {
            Self::Own => return row,
            Self::First => return 0,
            Self::Bytes(bytes) => bytes.get(row).map(|byte| usize::from(*byte)),
            Self::Pairs(bytes) => {
                let pair = bytes.get(2 * row..).and_then(<[u8]>::first_chunk);
                pair.map(|pair| u16::from_le_bytes(*pair).into())
            }
        };
        code.unwrap_or(usize::MAX)
    }
}

impl<'a> Values<'a> {
    /// What is in a row.
    pub fn of(&self, row: usize) -> Value<'a> {
        self.words.get(self.codes.at(row)).copied().unwrap_or(Value::Nothing)
    }

    fn select(&self, rows: usize, test: &Test) -> Rows {
        let passes: Vec<bool> = self.words.iter().map(|word| word.passes(test)).collect();
        let mut selected = Rows::NONE;
        if passes.iter().all(|passes| *passes) {
            return Rows::first(rows);
        }
        if passes.contains(&true) {
            (0..rows).filter(|row| passes[self.codes.at(*row)]).for_each(|row| selected.add(row));
        }
        selected
    }
}

impl<'a> Sheet<'a> {
    /// Reads a sheet.
    pub fn open(bytes: &'a [u8], layout: &'static [Layout]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let rows = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        if rows > MOST_ROWS {
            return Err(Error::Damaged("a sheet has too many rows".into()));
        }
        let columns = layout.iter().map(|_| reader.text()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { rows, layout, columns })
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// One of its columns.
    pub fn column(&self, at: usize) -> Result<Values<'a>, Error> {
        let layout = self.layout[at];
        let mut reader = Reader(self.columns[at]);
        if layout == Layout::Times {
            let bits = reader.bytes(self.rows.div_ceil(8))?;
            let mut before = 0_i64;
            let words = (0..self.rows)
                .map(|row| {
                    if bits[row / 8] >> (row % 8) & 1 == 0 {
                        return Ok(Value::Nothing);
                    }
                    before = before.wrapping_add(reader.signed()?);
                    Ok(Value::Time(Timestamp::from_millis(before)))
                })
                .collect::<Result<_, Error>>()?;
            reader.end()?;
            return Ok(Values { words, codes: Codes::Own });
        }
        let count = reader.count()?;
        let mut words = Vec::with_capacity(count);
        for _ in 0..count {
            words.push(match usize::try_from(reader.number()?).unwrap_or(usize::MAX) {
                0 => Value::Nothing,
                _ if layout == Layout::Ids => {
                    Value::Id(reader.bytes(16)?.try_into().map_err(|_| Error::Damaged("an identity".into()))?)
                }
                length => {
                    let text = std::str::from_utf8(reader.bytes(length - 1)?);
                    Value::Text(text.map_err(|_| Error::Damaged("a text is not in UTF-8".into()))?)
                }
            });
        }
        let codes = match count {
            0 | 1 => Codes::First,
            2..=256 => Codes::Bytes(reader.bytes(self.rows)?),
            _ => Codes::Pairs(reader.bytes(2 * self.rows)?),
        };
        reader.end()?;
        if (0..self.rows).any(|row| codes.at(row) >= count) {
            return Err(Error::Damaged("a sheet names a word that it does not have".into()));
        }
        Ok(Values { words, codes })
    }

    /// The rows that pass a filter; its columns are the first of the sheet's.
    pub fn select<C: Column>(&self, filter: &Filter<C>) -> Result<Rows, Error> {
        Ok(match filter {
            Filter::All(parts) => {
                let mut rows = Rows::first(self.rows);
                for part in parts {
                    if rows.is_empty() {
                        break;
                    }
                    rows.keep(self.select(part)?);
                }
                rows
            }
            Filter::Any(parts) => {
                let mut rows = Rows::NONE;
                for part in parts {
                    rows.join(self.select(part)?);
                }
                rows
            }
            Filter::Not(part) => {
                let mut rows = Rows::first(self.rows);
                rows.drop(self.select(part)?);
                rows
            }
            Filter::Is(column, test) => {
                let at = C::ALL.iter().position(|one| one == column).unwrap_or_default();
                self.column(at)?.select(self.rows, test)
            }
        })
    }
}

/// Some rows of a sheet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rows([u64; MOST_ROWS / 64]);

impl Rows {
    const NONE: Self = Self([0; MOST_ROWS / 64]);

    /// The first so many.
    pub fn first(count: usize) -> Self {
        let mut rows = Self::NONE;
        (0..count).for_each(|row| rows.add(row));
        rows
    }

    fn add(&mut self, row: usize) {
        self.0[row / 64] |= 1 << (row % 64);
    }

    fn keep(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own &= other);
    }

    fn join(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
    }

    fn drop(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own &= !other);
    }

    pub fn is_empty(self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    pub fn count(self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    /// From the last to the first.
    pub fn backward(self) -> impl Iterator<Item = usize> {
        (0..MOST_ROWS).rev().filter(move |row| self.0[row / 64] >> (row % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::{Kind, Pattern, parse_time};

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Of {
        Name,
        Account,
        At,
    }

    impl Column for Of {
        const ALL: &'static [Self] = &[Self::Name, Self::Account, Self::At];
        fn key(self) -> &'static str {
            ["name", "account", "at"][self as usize]
        }
        fn kind(self) -> Kind {
            if self == Self::At { Kind::Time } else { Kind::Text }
        }
    }

    const LAYOUT: &[Layout] = &[Layout::Texts, Layout::Ids, Layout::Times];

    struct Line {
        name: Option<String>,
        account: Option<[u8; 16]>,
        at: Option<Timestamp>,
    }

    fn lines(count: usize, names: usize) -> Vec<Line> {
        let line = |at: usize| Line {
            name: (!at.is_multiple_of(5))
                .then(|| if at.is_multiple_of(7) { String::new() } else { format!("Näme{}", at % names) }),
            account: (!at.is_multiple_of(3)).then(|| [u8::try_from(at % 251).unwrap(); 16]),
            at: (!at.is_multiple_of(4))
                .then(|| Timestamp::from_millis(1_700_000_000_000 - 1000 * i64::try_from(at).unwrap())),
        };
        (0..count).map(line).collect()
    }

    fn sheet_of(lines: &[Line]) -> Vec<u8> {
        write(LAYOUT, lines.len(), |row, column| {
            let line = &lines[row];
            match column {
                0 => line.name.as_deref().map_or(Value::Nothing, Value::Text),
                1 => line.account.as_ref().map_or(Value::Nothing, Value::Id),
                _ => line.at.map_or(Value::Nothing, Value::Time),
            }
        })
    }

    #[test]
    fn a_sheet_comes_back_as_it_was() {
        for (count, names) in [(0, 1), (1, 1), (9, 1), (300, 3), (512, 250), (512, 511)] {
            let lines = lines(count, names);
            let bytes = sheet_of(&lines);
            let sheet = Sheet::open(&bytes, LAYOUT).unwrap();
            assert_eq!(sheet.rows(), count);
            let [names, accounts, times] = [0, 1, 2].map(|at| sheet.column(at).unwrap());
            for (row, line) in lines.iter().enumerate() {
                assert_eq!(names.of(row).text(), line.name.as_deref());
                assert_eq!(accounts.of(row).id(), line.account.as_ref());
                assert_eq!(times.of(row).time(), line.at);
            }
        }
    }

    #[test]
    fn a_filter_selects_the_rows_that_pass_it() {
        let lines = lines(500, 40);
        let bytes = sheet_of(&lines);
        let sheet = Sheet::open(&bytes, LAYOUT).unwrap();
        let account = Uuid::from_bytes([4; 16]).to_string();
        for text in [
            "",
            "name like näme1*",
            "name unlike *1",
            "name empty and not account empty",
            "at before 2023-11-14T22:10Z or name in (NÄME3, näme4)",
            "at given and not (account given or name like *)",
            &format!("account like {account}"),
        ] {
            let filter = Filter::<Of>::parse(text).unwrap();
            let passes = |row: usize| {
                let line = &lines[row];
                filter.passes(&mut |column, test: &Test| match column {
                    Of::Name => test.passes_text(line.name.as_deref()),
                    Of::Account => {
                        let id = line.account.map(|id| Uuid::from_bytes(id).to_string());
                        test.passes_text(id.as_deref())
                    }
                    Of::At => test.passes_time(line.at),
                })
            };
            let expected: Vec<_> = (0..lines.len()).rev().filter(|row| passes(*row)).collect();
            let selected = sheet.select(&filter).unwrap();
            assert_eq!(selected.backward().collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(selected.count(), expected.len() as u64);
            assert!(!expected.is_empty(), "{text}");
        }
        let nobody = Filter::Is(Of::Name, Test::Like(Pattern::parse("nobody")));
        assert!(sheet.select(&nobody).unwrap().is_empty());
        let late = Filter::Is(Of::At, Test::From(parse_time("2030-01-01").unwrap()));
        assert!(sheet.select(&late).unwrap().is_empty());
    }

    #[test]
    fn what_was_cut_or_forged_is_an_error() {
        let bytes = sheet_of(&lines(20, 10));
        for cut in 0..bytes.len() {
            assert!(Sheet::open(&bytes[..cut], LAYOUT).is_err(), "{cut} bytes of it");
        }
        for at in 0..bytes.len() {
            for forged in [0, 1, 0x7f, 0x80, 0xff] {
                let mut other = bytes.clone();
                other[at] = forged;
                // Whatever comes of it: no panic, and no endless memory.
                if let Ok(sheet) = Sheet::open(&other, LAYOUT) {
                    let _ = sheet
                        .select(&Filter::<Of>::parse("name like a* or account given or at given").unwrap());
                }
            }
        }
    }
}
