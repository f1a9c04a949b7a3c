//! Plain text: a byte order mark, the title, an empty line, the titles of the columns, and the rows. Lines end with CR
//! LF, and cells with a tab. Within a cell these are shown as their pictures (`␉`, `␊`, `␍`), so that a line is a row.

use std::{
    fmt,
    io::{self, Write as _},
};

use super::{Cell, Encoder, Table};
use crate::domain::sheet;

pub(super) struct Text(pub(super) Table);

impl Encoder for Text {
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        write!(out, "\u{feff}{}\r\n\r\n", OneLine(&sheet::harmless(&self.0.title)))?;
        for (number, title) in self.0.titles().enumerate() {
            write!(out, "{}{}", before(number), OneLine(&sheet::harmless(title)))?;
        }
        write!(out, "\r\n")
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        for (number, cell) in row.iter().enumerate() {
            write!(out, "{}{}", before(number), OneLine(&self.0.words(cell)))?;
        }
        write!(out, "\r\n")
    }

    fn tail(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

const fn before(number: usize) -> &'static str {
    if number == 0 { "" } else { "\t" }
}

/// A text without anything that a program takes for the end of a cell or of a line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut taken = 0;
        for (at, sign) in self.0.char_indices() {
            let picture = match sign {
                '\t' => "␉",
                '\n' => "␊",
                '\r' => "␍",
                '\u{85}' | '\u{2028}' | '\u{2029}' => "␤",
                _ => continue,
            };
            f.write_str(&self.0[taken..at])?;
            f.write_str(picture)?;
            taken = at + sign.len_utf8();
        }
        f.write_str(&self.0[taken..])
    }
}
