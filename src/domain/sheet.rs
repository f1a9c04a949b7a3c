//! Tables as text (RFC 4180): read with their line numbers, strictly enough that nothing is lost silently; and written so
//! that no spreadsheet takes a cell for a formula.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use zeroize::Zeroizing;

/// The most bytes of one record: ten questions and answers fit many times over.
const LONGEST_RECORD: usize = 64 * 1024;
/// The most cells of one record.
pub const MOST_CELLS: usize = 64;
/// Put behind the text. Read as a record of its own it says that no quotation mark was left open before it.
const END: &[u8] = b"\n\x01\n";

/// Why a text is no table; `line` counts from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// This line is not UTF-8.
    NotText {
        /// The line.
        line: usize,
    },
    /// It is UTF-16, as spreadsheets write "Unicode text".
    Utf16,
    /// The quotation mark of this record is never closed.
    Unclosed {
        /// The line on which the record begins.
        line: usize,
    },
    /// A record is too long; mostly for a quotation mark that is never closed.
    TooLong {
        /// The line on which the record begins.
        line: usize,
    },
    /// A record has too many cells.
    TooManyCells {
        /// The line on which the record begins.
        line: usize,
    },
}

/// The records of a text, one after the other. Its memory is wiped.
pub struct Records<'a> {
    reader: Box<Reader>,
    input: &'a [u8],
    is_at_end: bool,
    /// Line breaks that were read.
    breaks: usize,
    bytes: Zeroizing<Vec<u8>>,
    ends: [usize; MOST_CELLS],
}

impl<'a> Records<'a> {
    /// Reads UTF-8, with or without a byte order mark. The first line tells whether cells end at commas, semicolons or
    /// tabs.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Fault::Utf16);
        }
        let input = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        if let Err(error) = std::str::from_utf8(input) {
            return Err(Fault::NotText { line: 1 + breaks_in(&input[..error.valid_up_to()]) });
        }
        let reader = ReaderBuilder::new().delimiter(delimiter(input)).build();
        Ok(Self {
            reader: Box::new(reader),
            input,
            is_at_end: false,
            breaks: 0,
            bytes: Zeroizing::new(vec![0; LONGEST_RECORD]),
            ends: [0; MOST_CELLS],
        })
    }

    /// The next record: the line on which it begins, and its cells. Empty lines are passed over.
    pub fn read(&mut self) -> Result<Option<(usize, Vec<&str>)>, Fault> {
        while let Some(rest) = self.input.strip_prefix(b"\n").or_else(|| self.input.strip_prefix(b"\r")) {
            self.breaks += usize::from(self.input[0] == b'\n');
            self.input = rest;
        }
        let line = self.breaks + 1;
        let (mut written, mut cells) = (0, 0);
        loop {
            let (result, read, more, ended) =
                self.reader.read_record(self.input, &mut self.bytes[written..], &mut self.ends[cells..]);
            self.breaks += breaks_in(&self.input[..read]);
            self.input = &self.input[read..];
            written += more;
            cells += ended;
            match result {
                ReadRecordResult::InputEmpty if self.is_at_end => return Err(Fault::Unclosed { line }),
                ReadRecordResult::InputEmpty => (self.input, self.is_at_end) = (END, true),
                ReadRecordResult::OutputFull => return Err(Fault::TooLong { line }),
                ReadRecordResult::OutputEndsFull => return Err(Fault::TooManyCells { line }),
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break,
            }
        }
        if self.is_at_end && self.input.len() < 2 {
            // The end was read; as part of something else, if a quotation mark was open.
            return if &self.bytes[..written] == b"\x01" && cells == 1 {
                Ok(None)
            } else {
                Err(Fault::Unclosed { line })
            };
        }
        let mut from = 0;
        let cells = self.ends[..cells].iter().map(|&end| {
            let cell = std::str::from_utf8(&self.bytes[from..end]);
            from = end;
            cell.map_err(|_| Fault::NotText { line })
        });
        Ok(Some((line, cells.collect::<Result<_, _>>()?)))
    }
}

fn breaks_in(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// What is most often in the first line, outside quotation marks.
fn delimiter(text: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for byte in text.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n')) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\r' | b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            other => counts.iter_mut().filter(|(sign, _)| sign == other).for_each(|(_, count)| *count += 1),
        }
    }
    let [comma, others @ ..] = counts;
    others.into_iter().fold(comma, |best, one| if one.1 > best.1 { one } else { best }).0
}

/// Appends one line of a table, each cell as [`write_cell`] does.
pub fn write_line(cells: &[&str], table: &mut Vec<u8>) {
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            table.push(b',');
        }
        write_cell(cell, table);
    }
    table.extend_from_slice(b"\r\n");
}

/// Appends one cell in quotation marks, as what is [`harmless`].
pub fn write_cell(cell: &str, table: &mut Vec<u8>) {
    table.push(b'"');
    for (number, part) in harmless(cell).split('"').enumerate() {
        if number > 0 {
            table.extend_from_slice(b"\"\"");
        }
        table.extend_from_slice(part.as_bytes());
    }
    table.push(b'"');
}

/// What may stand in a cell that has no type of its own. What a spreadsheet would take for a formula gets an apostrophe
/// before it (OWASP, "CSV injection"); also within a cell, behind what other countries' spreadsheets take for the end of
/// one. Signs that are no text are replaced: a spreadsheet might drop them, and see what stands behind.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    let (mut text, mut taken, mut may_begin) = (String::new(), 0, true);
    for (at, sign) in cell.char_indices() {
        let is_odd = at == 0 && matches!(sign, '\t' | '\r' | '\n');
        if is_odd || may_begin && "=+-@＝＋－＠".contains(sign) {
            text += &cell[taken..at];
            text.push('\'');
            taken = at;
        }
        if !is_text(sign) {
            text += &cell[taken..at];
            text.push(char::REPLACEMENT_CHARACTER);
            taken = at + sign.len_utf8();
        }
        may_begin = matches!(sign, ',' | ';' | '\t' | '\r' | '\n')
            || may_begin && (sign == '"' || sign.is_whitespace() || is_invisible(sign));
    }
    if taken == 0 && text.is_empty() {
        return Cow::Borrowed(cell);
    }
    text += &cell[taken..];
    Cow::Owned(text)
}

/// Whether it may stand in a text of XML 1.0 (production 2, `Char`), and so in any table.
pub const fn is_text(sign: char) -> bool {
    matches!(sign, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Marks of direction and the like, which nobody sees and a program may pass over.
const fn is_invisible(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<(usize, Vec<String>)>, Fault> {
        let mut records = Records::of(text.as_ref())?;
        let mut all = Vec::new();
        while let Some((line, cells)) = records.read()? {
            all.push((line, cells.into_iter().map(str::to_owned).collect()));
        }
        Ok(all)
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        read(text).unwrap().into_iter().map(|(_, cells)| cells).collect()
    }

    #[test]
    fn every_usual_form_of_a_table_is_read() {
        let expected = [["user", "answer 1"], ["mary", "St. John's"]];
        for text in [
            "user,answer 1\nmary,St. John's",
            "\u{feff}user;answer 1\r\nmary;St. John's\r\n",
            "user\tanswer 1\r\n\r\nmary\tSt. John's\r\n\r\n",
            "\r\n\"user\",\"answer 1\"\r\n\"mary\",\"St. John's\"",
            "\"user\";answer 1\nmary;\"St. John's\"\n",
        ] {
            assert_eq!(cells(text), expected, "{text:?}");
        }
        assert_eq!(cells("a,b\n\"x\r\ny\",\"say \"\"hi\"\"\"")[1], ["x\r\ny", "say \"hi\""]);
        assert!(cells("").is_empty() && cells("\r\n\n").is_empty());
    }

    #[test]
    fn each_record_has_the_line_on_which_it_begins() {
        let lines = |text: &str| read(text).unwrap().iter().map(|(line, _)| *line).collect::<Vec<_>>();
        assert_eq!(lines("a\r\nb\r\n\r\n\"x\r\ny\"\r\nz"), [1, 2, 4, 6]);
        assert_eq!(lines("\na\nb\n\n\nc\n"), [2, 3, 6]);
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        for (text, fault) in [
            (b"a\nb\xff\n".to_vec(), Fault::NotText { line: 2 }),
            (b"\xff\xfea\0".to_vec(), Fault::Utf16),
            (b"a\nb\n\"c\nd\ne".to_vec(), Fault::Unclosed { line: 3 }),
            (b"a\n\"c".to_vec(), Fault::Unclosed { line: 2 }),
            (b"a\n\"".to_vec(), Fault::Unclosed { line: 2 }),
            (b"a\n\"c\"\n\"\"\"\n".to_vec(), Fault::Unclosed { line: 3 }),
            ([b"a\n\"", vec![b'x'; 10 << 20].as_slice()].concat(), Fault::TooLong { line: 2 }),
            ([b"a\n", vec![b'x'; 10 << 20].as_slice()].concat(), Fault::TooLong { line: 2 }),
            ([b"a\n", vec![b','; 300].as_slice()].concat(), Fault::TooManyCells { line: 2 }),
        ] {
            assert_eq!(read(&text), Err(fault), "{:?}", String::from_utf8_lossy(&text[..text.len().min(20)]));
        }
        assert_eq!(read("a\n\x01\n").unwrap().len(), 2);
    }

    #[test]
    fn no_cell_that_is_written_becomes_a_formula() {
        let mut line = Vec::new();
        write_line(&["1", "a \"b\", c"], &mut line);
        assert_eq!(line, b"\"1\",\"a \"\"b\"\", c\"\r\n");
        for (evil, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("＝1", "'＝1"),
            // Where cells end at semicolons, quotation marks are none within a cell that did not begin with one.
            ("mary;=1+1;", "mary;'=1+1;"),
            ("mary;\"=1+1", "mary;\"'=1+1"),
            // Neither what is passed over nor what is dropped hides one.
            ("  =1", "  '=1"),
            ("\u{feff}\u{202a}=1", "\u{feff}\u{202a}'=1"),
            ("\0=1\u{7}", "\u{fffd}=1\u{fffd}"),
            ("\u{ffff}", "\u{fffd}"),
            ("a,b; c-d=e 😀", "a,b; c-d=e 😀"),
            ("", ""),
        ] {
            assert_eq!(harmless(evil), expected);
        }
    }
}
