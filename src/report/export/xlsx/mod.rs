//! XLSX (ISO/IEC 29500, transitional): a workbook that is packed while its rows come. The writers of others need a file
//! they can go back in, or keep all of it until the end.
//!
//! Texts stand in their cells as strings, so that none can be a formula; those that look like one stay texts also when
//! somebody edits them. Times are in UTC. What does not fit on a sheet goes on on the next.

mod zip;

use std::{
    borrow::Cow,
    io::{self, Write as _},
};

use zip::Zip;

use super::{Cell, Encoder, Kind, Table, markup::Escaped};
use crate::domain::{clock::Timestamp, sheet};

/// The rows that a sheet may have, its head included.
const MOST_ROWS: u32 = 1_048_576;
/// The bytes of a sheet, unpacked, after which another begins: far from where a ZIP would need its 64-bit form.
const MOST_BYTES: u64 = 2 << 30;
/// The UTF-16 units that a cell may have.
const MOST_UNITS: usize = 32_767;
/// The digits of a number that programs keep: they take it for floating point.
const MOST_EXACT: u64 = 999_999_999_999_999;
/// The bytes that are packed at one go.
const PORTION: usize = 32 * 1024;

/// Days between 1899-12-30, which counts from 1900-03-01 on as the day 0, and 1970-01-01.
const DAYS_TO_UNIX_EPOCH: f64 = 25_569.0;
const MILLIS_OF_A_DAY: f64 = 86_400_000.0;
/// 1900-03-01: before it, programs differ by the 29th of February that there was not.
const FIRST_TIME: Timestamp = Timestamp::from_millis(-2_203_891_200_000);
/// 9999-12-31, the last day that they know.
const LAST_TIME: Timestamp = Timestamp::from_millis(253_402_214_400_000);

/// The styles of cells, by their numbers in [`STYLES`].
const BOLD: u8 = 1;
const TIME: u8 = 2;
/// As if an apostrophe had been typed before the text.
const QUOTED: u8 = 3;

/// What is no other part is a sheet; so it need not be known here how many there will be.
const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/><Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>"#;

const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>"#;

const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font><font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#;

/// A workbook that is being written.
pub(super) struct Workbook {
    table: Table,
    zip: Zip,
    /// The letters of each column.
    letters: Vec<String>,
    /// The number of the sheet, from 1.
    sheet: u32,
    /// The rows of this sheet so far.
    rows: u32,
    /// The bytes of this sheet that are packed.
    packed: u64,
    /// What is not yet packed.
    plain: Vec<u8>,
    most_rows: u32,
    most_bytes: u64,
}

impl Workbook {
    pub(super) fn of(table: Table) -> Self {
        let letters = (0..table.columns.len()).map(letters_of).collect();
        Self {
            table,
            zip: Zip::new(),
            letters,
            sheet: 0,
            rows: 0,
            packed: 0,
            plain: Vec::new(),
            most_rows: MOST_ROWS,
            most_bytes: MOST_BYTES,
        }
    }

    fn part(&mut self, name: &str, text: &str, out: &mut Vec<u8>) -> io::Result<()> {
        self.zip.begin(name.to_owned(), out)?;
        self.zip.write(text.as_bytes(), out)?;
        self.zip.end(out)
    }

    fn begin_sheet(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.sheet += 1;
        (self.rows, self.packed) = (0, 0);
        self.zip.begin(format!("xl/worksheets/sheet{}.xml", self.sheet), out)?;
        let selected = if self.sheet == 1 { " tabSelected=\"1\"" } else { "" };
        let direction = if self.table.is_right_to_left { " rightToLeft=\"1\"" } else { "" };
        write!(
            self.plain,
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetViews>\
             <sheetView{direction}{selected} workbookViewId=\"0\"><pane ySplit=\"1\" topLeftCell=\"A2\" \
             activePane=\"bottomLeft\" state=\"frozen\"/></sheetView></sheetViews><cols>"
        )?;
        for (number, column) in (1..).zip(&self.table.columns) {
            let width = match column.kind {
                Kind::Text => 28,
                Kind::At => 20,
                Kind::Number | Kind::Flag => 12,
            };
            write!(
                self.plain,
                "<col min=\"{number}\" max=\"{number}\" width=\"{width}\" customWidth=\"1\"/>"
            )?;
        }
        self.plain.extend_from_slice(b"</cols><sheetData>");
        let titles: Vec<_> = self.table.titles().map(|title| Cell::Text(title.to_owned())).collect();
        self.put(&titles, Some(BOLD))
    }

    fn end_sheet(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let (rows, last) = (self.rows, self.letters.last().map_or("A", String::as_str));
        write!(self.plain, "</sheetData><autoFilter ref=\"A1:{last}{rows}\"/></worksheet>")?;
        self.pack(out)?;
        self.zip.end(out)
    }

    /// Adds a row to what is not yet packed.
    fn put(&mut self, cells: &[Cell], style: Option<u8>) -> io::Result<()> {
        self.rows += 1;
        let row = self.rows;
        write!(self.plain, "<row r=\"{row}\">")?;
        for (cell, letters) in cells.iter().zip(&self.letters) {
            let to = &mut self.plain;
            match cell {
                Cell::Text(text) => put_text(to, letters, row, text, style)?,
                Cell::At(time) if (FIRST_TIME..LAST_TIME).contains(time) => {
                    write!(to, "<c r=\"{letters}{row}\" s=\"{TIME}\"><v>{}</v></c>", days(*time))?;
                }
                Cell::At(time) => put_text(to, letters, row, &time.to_string(), style)?,
                Cell::Number(number) if number.unsigned_abs() <= MOST_EXACT => {
                    write!(to, "<c r=\"{letters}{row}\"><v>{number}</v></c>")?;
                }
                Cell::Number(number) => put_text(to, letters, row, &number.to_string(), style)?,
                Cell::Flag(is_set) => {
                    write!(to, "<c r=\"{letters}{row}\" t=\"b\"><v>{}</v></c>", u8::from(*is_set))?;
                }
                Cell::Empty => {}
            }
        }
        self.plain.extend_from_slice(b"</row>");
        Ok(())
    }

    fn pack(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.zip.write(&self.plain, out)?;
        self.packed += self.plain.len() as u64;
        self.plain.clear();
        Ok(())
    }
}

impl Encoder for Workbook {
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let (title, language) = (Escaped(&self.table.title), Escaped(&self.table.language));
        let properties = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<cp:coreProperties \
             xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
             xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>{title}</dc:title>\
             <dc:language>{language}</dc:language></cp:coreProperties>"
        );
        // Programs tell a workbook from other archives by its first entry.
        self.part("[Content_Types].xml", CONTENT_TYPES, out)?;
        self.part("_rels/.rels", RELATIONSHIPS, out)?;
        self.part("docProps/core.xml", &properties, out)?;
        self.part("xl/styles.xml", STYLES, out)?;
        self.begin_sheet(out)
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        if self.rows >= self.most_rows || self.packed >= self.most_bytes {
            self.end_sheet(out)?;
            self.begin_sheet(out)?;
        }
        self.put(row, None)?;
        if self.plain.len() >= PORTION {
            self.pack(out)?;
        }
        Ok(())
    }

    fn tail(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.end_sheet(out)?;
        let numbers = 1..=self.sheet;
        let sheets: String = numbers
            .clone()
            .map(|number| format!("<sheet name=\"{number}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>"))
            .collect();
        let relationships: String = numbers
            .map(|number| {
                format!(
                    "<Relationship Id=\"rId{number}\" Target=\"worksheets/sheet{number}.xml\" \
                     Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\"/>"
                )
            })
            .collect();
        let workbook = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
             xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
             <bookViews><workbookView/></bookViews><sheets>{sheets}</sheets></workbook>"
        );
        let relationships = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{relationships}\
             <Relationship Id=\"styles\" Target=\"styles.xml\" \
             Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles\"/></Relationships>"
        );
        self.part("xl/workbook.xml", &workbook, out)?;
        self.part("xl/_rels/workbook.xml.rels", &relationships, out)?;
        self.zip.finish(out)
    }
}

fn put_text(to: &mut Vec<u8>, letters: &str, row: u32, text: &str, style: Option<u8>) -> io::Result<()> {
    write!(to, "<c r=\"{letters}{row}\"")?;
    let quoted = || matches!(sheet::harmless(text), Cow::Owned(_)).then_some(QUOTED);
    if let Some(style) = style.or_else(quoted) {
        write!(to, " s=\"{style}\"")?;
    }
    let text = literal(cut(text));
    write!(to, " t=\"inlineStr\"><is><t xml:space=\"preserve\">{}</t></is></c>", Escaped(&text))
}

/// As much of a text as a cell may have; what was cut off is marked.
fn cut(text: &str) -> Cow<'_, str> {
    // A text has at least as many bytes as units.
    if text.len() <= MOST_UNITS || text.encode_utf16().count() <= MOST_UNITS {
        return text.into();
    }
    let mut units = 1;
    let fits = text.char_indices().find(|(_, sign)| {
        units += sign.len_utf16();
        units > MOST_UNITS
    });
    let end = fits.map_or(text.len(), |(at, _)| at);
    format!("{}…", &text[..end]).into()
}

/// A text in which nothing is taken for an escape: `_x0041_` would be shown as `A` (22.9.2.19, `ST_Xstring`).
fn literal(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut literal = String::new();
    let mut taken = 0;
    for (at, _) in text.match_indices("_x") {
        let rest = &text.as_bytes()[at + 2..];
        if rest.len() > 4 && rest[..4].iter().all(u8::is_ascii_hexdigit) && rest[4] == b'_' {
            literal += &text[taken..at];
            literal += "_x005F";
            taken = at;
        }
    }
    if taken == 0 && literal.is_empty() {
        return text;
    }
    literal += &text[taken..];
    literal.into()
}

/// Its number in the calendar of spreadsheets.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a spreadsheet's calendar fit")]
fn days(time: Timestamp) -> f64 {
    time.millis() as f64 / MILLIS_OF_A_DAY + DAYS_TO_UNIX_EPOCH
}

/// A, B … Z, AA, AB …
fn letters_of(column: usize) -> String {
    let last = char::from(b'A' + u8::try_from(column % 26).unwrap_or(0));
    if column < 26 { last.to_string() } else { format!("{}{last}", letters_of(column / 26 - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::export::Column;

    #[test]
    fn columns_are_called_as_in_spreadsheets() {
        let names = [0, 25, 26, 51, 52, 701, 702].map(letters_of);
        assert_eq!(names, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fits = "x".repeat(MOST_UNITS);
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&(fits.clone() + "y")), fits[1..].to_owned() + "…");
        // Of two units each: the last would be cut in half.
        let cut = cut(&"😀".repeat(20_000)).into_owned();
        assert_eq!((cut.encode_utf16().count(), cut.chars().last()), (MOST_UNITS, Some('…')));
        assert_eq!("é".repeat(MOST_UNITS), super::cut(&"é".repeat(MOST_UNITS)));
    }

    #[test]
    fn nothing_that_looks_like_an_escape_is_one() {
        for (text, written) in [
            ("_x0041_", "_x005F_x0041_"),
            ("a_x000D_b_x000d_", "a_x005F_x000D_b_x005F_x000d_"),
            ("_x0041", "_x0041"),
            ("_X0041_", "_X0041_"),
            ("_xé0_x_", "_xé0_x_"),
        ] {
            assert_eq!(literal(text.into()), written);
        }
    }

    #[test]
    fn times_have_the_numbers_of_the_calendar() {
        assert!((days(FIRST_TIME) - 61.0).abs() < f64::EPSILON);
        assert!((days(LAST_TIME) - 2_958_465.0).abs() < f64::EPSILON);
        assert_eq!(FIRST_TIME.to_string(), "1900-03-01T00:00:00.000Z");
        assert_eq!(LAST_TIME.to_string(), "9999-12-31T00:00:00.000Z");
    }

    #[test]
    fn what_does_not_fit_on_a_sheet_goes_on_on_the_next() {
        let column = Column { key: "number", title: "Number".into(), kind: Kind::Number };
        let table = Table {
            title: "Numbers".into(),
            language: "en".into(),
            is_right_to_left: false,
            columns: vec![column],
            yes: "yes".into(),
            no: "no".into(),
        };
        let sheets = |most_rows, most_bytes| {
            let mut workbook = Workbook { most_rows, most_bytes, ..Workbook::of(table.clone()) };
            let mut file = Vec::new();
            workbook.head(&mut file).unwrap();
            for number in 0..10_000 {
                workbook.row(&[Cell::Number(number)], &mut file).unwrap();
            }
            workbook.tail(&mut file).unwrap();
            workbook.sheet
        };
        assert_eq!(sheets(MOST_ROWS, MOST_BYTES), 1);
        assert_eq!(sheets(5001, MOST_BYTES), 2);
        assert_eq!(sheets(5000, MOST_BYTES), 3);
        assert!(sheets(MOST_ROWS, 100_000) > 2);
    }
}
