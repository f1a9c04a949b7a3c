//! JSON Lines: an object a line, with all columns' keys in their order. Times are RFC 3339, empty cells `null`.

use std::io::{self, Write as _};

use super::{Cell, Encoder, Table};

pub(super) struct JsonLines(pub(super) Table);

impl Encoder for JsonLines {
    fn head(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        for (number, (cell, column)) in row.iter().zip(&self.0.columns).enumerate() {
            write!(out, "{}\"{}\":", if number == 0 { '{' } else { ',' }, column.key)?;
            match cell {
                Cell::Text(text) => serde_json::to_writer(&mut *out, text)?,
                Cell::At(time) => write!(out, "\"{time}\"")?,
                Cell::Number(number) => write!(out, "{number}")?,
                Cell::Flag(is_set) => write!(out, "{is_set}")?,
                Cell::Empty => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn tail(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}
