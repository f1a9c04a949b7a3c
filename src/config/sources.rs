//! Where each key comes from: the line of the file, or the variable.

use std::{collections::BTreeMap, fmt, path::Path};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::error_text;
use crate::settings::table::join;

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file and a line in it, counted from 1.
    Line(String, usize),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Where each key comes from, by its path: `settings.domain.0.dns_name`.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Where this key is fixed; `None` if it is not.
    pub fn find(&self, key: &str) -> Option<&Source> {
        self.0.get(key)
    }

    /// All keys in this one, by their names in it, and where they are fixed.
    pub fn within<'a>(&'a self, key: &str) -> impl Iterator<Item = (&'a str, &'a Source)> {
        let prefix = format!("{key}.");
        self.0.iter().filter_map(move |(known, source)| Some((known.strip_prefix(&prefix)?, source)))
    }

    /// Where this key is fixed, or else what it is in.
    pub(super) fn nearest(&self, key: &str) -> Option<&Source> {
        self.find(key).or_else(|| self.nearest(key.rsplit_once('.')?.0))
    }

    pub(super) fn insert(&mut self, key: &str, source: Source) {
        self.0.insert(key.to_owned(), source);
    }

    /// Forgets what is in this key.
    pub(super) fn forget_within(&mut self, key: &str) {
        let prefix = format!("{key}.");
        self.0.retain(|known, _| !known.starts_with(&prefix));
    }
}

/// Reads a file of TOML; the error names it and the line.
pub(super) fn read(path: &Path, text: &str, sources: &mut Sources) -> Result<Table, String> {
    let file = path.display().to_string();
    let line = |offset: usize| text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1;
    let place = |offset: usize| Source::Line(file.clone(), line(offset));
    let parsed = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        format!("{}: {}", place(start), error_text(&error))
    })?;
    let mut table = Table::new();
    for (key, value) in parsed.into_inner() {
        let converted = convert(key.get_ref(), value.into_inner(), key.span().start, &place, sources)?;
        table.insert(key.into_inner().into_owned(), converted);
    }
    Ok(table)
}

fn convert(
    path: &str,
    value: DeValue<'_>,
    start: usize,
    place: &impl Fn(usize) -> Source,
    sources: &mut Sources,
) -> Result<Value, String> {
    sources.insert(path, place(start));
    let too_much = || format!("{}: {path}: is no number that can be used", place(start));
    Ok(match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(on) => Value::Boolean(on),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(number.map_err(|_| too_much())?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().map_err(|_| too_much())?),
        DeValue::Datetime(moment) => Value::Datetime(moment),
        DeValue::Array(list) => {
            let items = list.into_iter().enumerate().map(|(index, item)| {
                let start = item.span().start;
                convert(&format!("{path}.{index}"), item.into_inner(), start, place, sources)
            });
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let fields = table.into_iter().map(|(key, value)| {
                let path = join(path, key.get_ref());
                let value = convert(&path, value.into_inner(), key.span().start, place, sources)?;
                Ok((key.into_inner().into_owned(), value))
            });
            Value::Table(fields.collect::<Result<_, String>>()?)
        }
    })
}
