//! Exports, opened again by programs that know nothing of ours: the readers of Python, and openpyxl for workbooks.

use std::{fs, io, path::Path, process::Command};

use futures_util::{TryStreamExt as _, stream};
use regain::{
    domain::clock::Timestamp,
    report::export::{self, Cell, Column, Format, Kind, Table},
};
use serde_json::{Value, json};

const AT: i64 = 1_764_108_000_250;
const AT_WORDS: &str = "2025-11-25T22:00:00.250Z";

/// What somebody might write into a cell, and what it is where cells have no types. (What XML can't hold is U+FFFD.)
const HOSTILE: [(&str, &str); 32] = [
    ("=1+1", "'=1+1"),
    ("=HYPERLINK(\"http://x.example\";\"open\")", "'=HYPERLINK(\"http://x.example\";\"open\")"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t'=1"),
    ("\r=1", "'\r'=1"),
    ("\n=1", "'\n'=1"),
    ("＝1", "'＝1"),
    ("＋1", "'＋1"),
    ("－1", "'－1"),
    ("＠a", "'＠a"),
    (" =1", " '=1"),
    ("\u{202e}=1", "\u{202e}'=1"),
    (";=1+1", ";'=1+1"),
    ("a;=1+1;b", "a;'=1+1;b"),
    ("a,\"=1\"", "a,\"'=1\""),
    ("\"", "\""),
    ("\"\"\",\"\r\n\"=1", "\"\"\",\"\r\n\"'=1"),
    ("'=1", "'=1"),
    ("]]><b>&amp;&#61;1", "]]><b>&amp;&#61;1"),
    ("</td></script><script>alert(1)</script>", "</td></script><script>alert(1)</script>"),
    ("<!-- --><?x y?><![CDATA[", "<!-- --><?x y?><![CDATA["),
    ("a\tb\nc\rd\r\ne", "a\tb\nc\rd\r\ne"),
    (" spaces \u{a0}", " spaces \u{a0}"),
    ("_x0041__x000D_", "_x0041__x000D_"),
    ("CORP\\mary\\n", "CORP\\mary\\n"),
    ("😀 é e\u{301} שלום \u{200f}عربي", "😀 é e\u{301} שלום \u{200f}عربي"),
    ("007", "007"),
    ("2026-11-25", "2026-11-25"),
    ("null", "null"),
    ("\0=1 \u{1}\u{b}\u{1b}\u{7f}\u{fffe}", "\u{fffd}=1 \u{fffd}\u{fffd}\u{fffd}\u{7f}\u{fffd}"),
];

fn column(key: &'static str, title: &str, kind: Kind) -> Column {
    Column { key, title: title.to_owned(), kind }
}

fn table(is_right_to_left: bool) -> Table {
    Table {
        title: "Users & \"others\"".into(),
        language: if is_right_to_left { "ar" } else { "en" }.into(),
        is_right_to_left,
        columns: vec![
            column("user", "User", Kind::Text),
            column("reset", "Last reset", Kind::At),
            column("count", "Count", Kind::Number),
            column("locked", "<Locked>", Kind::Flag),
        ],
        yes: "yes".into(),
        no: "no".into(),
    }
}

/// Hostile texts, long ones, nothing at all, and so many rows that there are many chunks.
fn texts() -> Vec<String> {
    let hostile = HOSTILE.iter().map(|(text, _)| (*text).to_owned());
    let long = ["x".repeat(32_767), "é".repeat(32_768), "😀".repeat(20_000), String::new()];
    let many = (0..3000).map(|number| format!("user {number}"));
    hostile.chain(long).chain(many).collect()
}

/// An empty row, and then one for each text.
fn rows() -> Vec<Vec<Cell>> {
    let full = texts().into_iter().enumerate().map(|(number, text)| {
        let number = i64::try_from(number).unwrap();
        let at = Timestamp::from_millis(AT + number * 60_000);
        vec![Cell::Text(text), Cell::At(at), Cell::Number(1 - number), Cell::Flag(number % 2 == 0)]
    });
    [vec![Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]].into_iter().chain(full).collect()
}

async fn write(folder: &Path, format: Format, table: Table, rows: Vec<Vec<Cell>>) -> Value {
    let pages: Vec<_> = rows.chunks(100).map(|page| Ok::<_, io::Error>(page.to_vec())).collect();
    let chunks = export::begin(table, format, stream::iter(pages)).await.unwrap();
    let file = folder.join("export").with_extension(format.as_str());
    fs::write(&file, chunks.try_concat().await.unwrap()).unwrap();
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports/read.py");
    let python =
        Command::new("/usr/bin/python3").arg(reader).arg(format.as_str()).arg(&file).output().unwrap();
    let errors = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success(), "{format:?}: {errors}");
    serde_json::from_slice(&python.stdout).unwrap()
}

/// What the reader is to get back of a row.
fn expected(format: Format, number: usize, text: &str) -> Value {
    let guarded = || HOSTILE.get(number).map_or(text, |(_, guarded)| guarded).to_owned();
    let text = match format {
        Format::Csv | Format::Html => guarded(),
        Format::Text => guarded().replace('\t', "␉").replace('\n', "␊").replace('\r', "␍"),
        // Signs that XML can't hold are in the last of the hostile ones only, which begins as no formula.
        Format::Xlsx | Format::Xml if number + 1 == HOSTILE.len() => guarded(),
        Format::Xlsx if text.starts_with('é') => "é".repeat(32_766) + "…",
        Format::Xlsx if text.starts_with('😀') && number >= HOSTILE.len() => "😀".repeat(16_383) + "…",
        Format::Xlsx | Format::Xml | Format::JsonLines => text.to_owned(),
    };
    let row = i64::try_from(number).unwrap();
    let at = Timestamp::from_millis(AT + row * 60_000).to_string();
    let (count, is_locked) = (1 - row, number.is_multiple_of(2));
    match format {
        Format::Xlsx | Format::JsonLines => json!([text, at, count, is_locked]),
        Format::Xml => json!([text, at, count.to_string(), is_locked.to_string()]),
        Format::Csv | Format::Html | Format::Text => {
            json!([text, at, count.to_string(), if is_locked { "yes" } else { "no" }])
        }
    }
}

#[tokio::test]
async fn every_cell_is_read_again_by_other_programs_and_none_is_a_formula() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let read = write(folder.path(), format, table(false), rows()).await;
        let rows = read["rows"].as_array().unwrap();
        let texts = texts();
        assert_eq!(rows.len(), texts.len() + 1, "{format:?}");
        for (number, (row, text)) in rows[1..].iter().zip(&texts).enumerate() {
            let mut row = row.clone();
            if format == Format::Xlsx && text.is_empty() {
                // openpyxl takes an empty text for nothing.
                row[0] = row[0].as_str().unwrap_or_default().into();
            }
            assert_eq!(row, expected(format, number, text), "{format:?}, row {number}");
        }
        let empty = match format {
            Format::Csv | Format::Html | Format::Text => json!(["", "", "", ""]),
            Format::Xlsx | Format::Xml | Format::JsonLines => json!([null, null, null, null]),
        };
        assert_eq!(rows[0], empty, "{format:?}");
        assert_eq!(rows[1][1], AT_WORDS, "{format:?}");
        let columns = match format {
            Format::JsonLines => json!(["user", "reset", "count", "locked"]),
            _ => json!(["User", "Last reset", "Count", "<Locked>"]),
        };
        assert_eq!(read["columns"], columns, "{format:?}");
        if !matches!(format, Format::Csv | Format::JsonLines) {
            assert_eq!(read["title"], "Users & \"others\"", "{format:?}");
        }
        if matches!(format, Format::Xlsx | Format::Html | Format::Xml) {
            assert_eq!(read["language"], "en", "{format:?}");
        }
    }
}

#[tokio::test]
async fn a_workbook_looks_as_people_expect_one() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = HOSTILE.iter().map(|(text, _)| vec![Cell::Text((*text).to_owned())]).collect();
    let book = write(folder.path(), Format::Xlsx, table(true), rows).await;
    assert_eq!(book["first"], "[Content_Types].xml");
    assert_eq!(book["sheets"], json!(["1"]));
    assert_eq!(book["frozen"], "A2");
    assert_eq!(book["filter"], format!("A1:D{}", HOSTILE.len() + 1));
    assert_eq!(book["is_bold"], true);
    assert_eq!(book["is_right_to_left"], true);
    // What looks like a formula stays a text also when it is edited.
    let quoted = book["quoted"].as_array().unwrap();
    for evil in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", " =1"] {
        assert!(quoted.contains(&json!(evil)), "{evil}: {quoted:?}");
    }
    assert!(!quoted.contains(&json!("CORP\\mary\\n")));
}

#[tokio::test]
async fn files_without_rows_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let read = write(folder.path(), format, table(true), Vec::new()).await;
        assert_eq!(read["rows"], json!([]), "{format:?}");
        let columns = read["columns"].as_array().unwrap().len();
        assert_eq!(columns, if format == Format::JsonLines { 0 } else { 4 }, "{format:?}");
        if format == Format::Html {
            assert_eq!(read["direction"], "rtl");
        }
    }
}
