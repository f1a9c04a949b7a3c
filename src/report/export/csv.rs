//! CSV (RFC 4180). The byte order mark tells spreadsheets that it is UTF-8. Texts stand in quotation marks, and have line
//! breaks as they were.

use std::io::{self, Write as _};

use super::{Cell, Encoder, Table};
use crate::domain::sheet;

pub(super) struct Csv(pub(super) Table);

impl Encoder for Csv {
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice("\u{feff}".as_bytes());
        sheet::write_line(&self.0.titles().collect::<Vec<_>>(), out);
        Ok(())
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        for (number, cell) in row.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            match cell {
                Cell::Text(text) => sheet::write_cell(text, out),
                Cell::Flag(_) => sheet::write_cell(&self.0.words(cell), out),
                Cell::At(_) | Cell::Number(_) | Cell::Empty => write!(out, "{}", self.0.words(cell))?,
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn tail(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}
