//! XML 1.0: `<export>` with `<columns>`, and then each `<row>` with an element for each cell that is not empty, named by
//! its column's key. Times are RFC 3339, flags `true` or `false`.

use std::io::{self, Write as _};

use super::{Cell, Encoder, Table, markup::Escaped};

pub(super) struct Xml(pub(super) Table);

impl Encoder for Xml {
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let (title, language) = (Escaped(&self.0.title), Escaped(&self.0.language));
        write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<export title=\"{title}\" xml:lang=\"{language}\">\n<columns>\n"
        )?;
        for column in &self.0.columns {
            let (key, title, kind) = (column.key, Escaped(&column.title), column.kind.as_str());
            writeln!(out, "<column key=\"{key}\" title=\"{title}\" kind=\"{kind}\"/>")?;
        }
        out.extend_from_slice(b"</columns>\n");
        Ok(())
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"<row>");
        for (cell, column) in row.iter().zip(&self.0.columns) {
            let key = column.key;
            match cell {
                Cell::Text(text) => write!(out, "<{key}>{}</{key}>", Escaped(text))?,
                Cell::At(time) => write!(out, "<{key}>{time}</{key}>")?,
                Cell::Number(number) => write!(out, "<{key}>{number}</{key}>")?,
                Cell::Flag(is_set) => write!(out, "<{key}>{is_set}</{key}>")?,
                Cell::Empty => {}
            }
        }
        out.extend_from_slice(b"</row>\n");
        Ok(())
    }

    fn tail(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"</export>\n");
        Ok(())
    }
}
