//! Exports: tables as files of each format, byte by byte, and what becomes of trouble on the way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flate2::{Decompress, FlushDecompress, Status};
use futures_util::{
    Stream, TryStreamExt as _,
    stream::{self, StreamExt as _},
};
use regain::{
    domain::clock::Timestamp,
    report::export::{self, Cell, Column, Format, Kind, Table},
};

type Page = Vec<Vec<Cell>>;

fn column(key: &'static str, title: &str, kind: Kind) -> Column {
    Column { key, title: title.to_owned(), kind }
}

fn table() -> Table {
    Table {
        title: "R&D <users>".into(),
        language: "en".into(),
        is_right_to_left: false,
        columns: vec![
            column("user", "User", Kind::Text),
            column("reset", "Last \"reset\"", Kind::At),
            column("count", "=Count", Kind::Number),
            column("locked", "Locked", Kind::Flag),
        ],
        yes: "yes".into(),
        no: "-no".into(),
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// The file of a table with these rows.
async fn file(format: Format, pages: Vec<Page>) -> Vec<u8> {
    let rows = stream::iter(pages.into_iter().map(Ok::<_, io::Error>));
    export::begin(table(), format, rows).await.unwrap().try_concat().await.unwrap()
}

async fn words(format: Format, rows: &[Vec<Cell>]) -> String {
    String::from_utf8(file(format, vec![rows.to_vec()]).await).unwrap()
}

/// The text of an entry of a ZIP file, found by the list at its end.
fn entry(archive: &[u8], name: &str) -> String {
    let number = |at: usize, bytes: usize| {
        archive[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = archive.len() - 22;
    assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
    let mut at = number(end + 16, 4);
    for _ in 0..number(end + 10, 2) {
        let named = &archive[at + 46..][..number(at + 28, 2)];
        if named == name.as_bytes() {
            let (packed, plain, local) = (number(at + 20, 4), number(at + 24, 4), number(at + 42, 4));
            let from = local + 30 + number(local + 26, 2);
            let mut text = Vec::with_capacity(plain + 1);
            let data = &archive[from..from + packed];
            let status = Decompress::new(false).decompress_vec(data, &mut text, FlushDecompress::Finish);
            assert_eq!(status.unwrap(), Status::StreamEnd);
            return String::from_utf8(text).unwrap();
        }
        at += 46 + named.len();
    }
    panic!("{name} is not in the file");
}

fn rows() -> Page {
    vec![
        vec![
            text("mary"),
            Cell::At(Timestamp::from_millis(1_764_108_000_250)),
            Cell::Number(-12),
            Cell::Flag(true),
        ],
        vec![text("=1+1\t<b>]]>\"\r\n\u{1}😀"), Cell::Empty, Cell::Empty, Cell::Flag(false)],
        vec![text("")],
    ]
}

#[tokio::test]
async fn csv_is_as_spreadsheets_read_it() {
    assert_eq!(
        words(Format::Csv, &rows()).await,
        "\u{feff}\"User\",\"Last \"\"reset\"\"\",\"'=Count\",\"Locked\"\r\n\
         \"mary\",2025-11-25T22:00:00.250Z,-12,\"yes\"\r\n\
         \"'=1+1\t<b>]]>\"\"\r\n\u{fffd}😀\",,,\"'-no\"\r\n\
         \"\",,,\r\n"
    );
}

#[tokio::test]
async fn text_has_a_line_for_each_row() {
    assert_eq!(
        words(Format::Text, &rows()).await,
        "\u{feff}R&D <users>\r\n\r\nUser\tLast \"reset\"\t'=Count\tLocked\r\n\
         mary\t2025-11-25T22:00:00.250Z\t-12\tyes\r\n\
         '=1+1␉<b>]]>\"␍␊\u{fffd}😀\t\t\t'-no\r\n\
         \t\t\t\r\n"
    );
}

#[tokio::test]
async fn html_is_a_page_in_which_nothing_of_others_is_markup() {
    let page = words(Format::Html, &rows()).await;
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">"), "{page}");
    assert!(page.contains("<title>R&amp;D &lt;users&gt;</title>"), "{page}");
    let (_, body) = page.split_once("<body>").unwrap();
    assert_eq!(
        body,
        "\n<table>\n<caption>R&amp;D &lt;users&gt;</caption>\n<thead>\n\
         <tr><th scope=\"col\">User</th><th scope=\"col\">Last &quot;reset&quot;</th>\
         <th scope=\"col\">'=Count</th><th scope=\"col\">Locked</th></tr>\n</thead>\n<tbody>\n\
         <tr><td>mary</td><td>2025-11-25T22:00:00.250Z</td><td class=\"n\">-12</td><td>yes</td></tr>\n\
         <tr><td>'=1+1&#9;&lt;b&gt;]]&gt;&quot;&#13;&#10;\u{fffd}😀</td><td></td><td class=\"n\"></td><td>'-no</td></tr>\n\
         <tr><td></td><td></td><td class=\"n\"></td><td></td></tr>\n\
         </tbody>\n</table>\n</body>\n</html>\n"
    );
}

#[tokio::test]
async fn xml_has_texts_to_the_letter_and_leaves_out_what_is_empty() {
    assert_eq!(
        words(Format::Xml, &rows()).await,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<export title=\"R&amp;D &lt;users&gt;\" xml:lang=\"en\">\n\
         <columns>\n<column key=\"user\" title=\"User\" kind=\"text\"/>\n\
         <column key=\"reset\" title=\"Last &quot;reset&quot;\" kind=\"time\"/>\n\
         <column key=\"count\" title=\"=Count\" kind=\"number\"/>\n\
         <column key=\"locked\" title=\"Locked\" kind=\"flag\"/>\n</columns>\n\
         <row><user>mary</user><reset>2025-11-25T22:00:00.250Z</reset><count>-12</count><locked>true</locked></row>\n\
         <row><user>=1+1&#9;&lt;b&gt;]]&gt;&quot;&#13;&#10;\u{fffd}😀</user><locked>false</locked></row>\n\
         <row><user></user></row>\n</export>\n"
    );
}

#[tokio::test]
async fn json_lines_have_all_keys_and_types() {
    assert_eq!(
        words(Format::JsonLines, &rows()).await,
        "{\"user\":\"mary\",\"reset\":\"2025-11-25T22:00:00.250Z\",\"count\":-12,\"locked\":true}\n\
         {\"user\":\"=1+1\\t<b>]]>\\\"\\r\\n\\u0001😀\",\"reset\":null,\"count\":null,\"locked\":false}\n\
         {\"user\":\"\",\"reset\":null,\"count\":null,\"locked\":null}\n"
    );
}

#[tokio::test]
async fn a_workbook_has_typed_cells_and_no_formula() {
    let book = file(Format::Xlsx, vec![rows()]).await;
    let sheet = entry(&book, "xl/worksheets/sheet1.xml");
    let (_, cells) = sheet.split_once("<sheetData>").unwrap();
    let string = |place: &str, style: &str, text: &str| {
        format!("<c r=\"{place}\"{style} t=\"inlineStr\"><is><t xml:space=\"preserve\">{text}</t></is></c>")
    };
    let (bold, quoted) = (" s=\"1\"", " s=\"3\"");
    let expected = [
        "<row r=\"1\">".to_owned(),
        string("A1", bold, "User"),
        string("B1", bold, "Last &quot;reset&quot;"),
        string("C1", bold, "=Count"),
        string("D1", bold, "Locked"),
        "</row><row r=\"2\">".to_owned(),
        string("A2", "", "mary"),
        "<c r=\"B2\" s=\"2\"><v>45986.91666956019</v></c><c r=\"C2\"><v>-12</v></c>".to_owned(),
        "<c r=\"D2\" t=\"b\"><v>1</v></c></row><row r=\"3\">".to_owned(),
        string("A3", quoted, "=1+1&#9;&lt;b&gt;]]&gt;&quot;&#13;&#10;\u{fffd}😀"),
        "<c r=\"D3\" t=\"b\"><v>0</v></c></row><row r=\"4\">".to_owned(),
        string("A4", "", ""),
        "</row></sheetData><autoFilter ref=\"A1:D4\"/></worksheet>".to_owned(),
    ];
    assert_eq!(cells, expected.concat());
    assert_eq!(entry(&book, "xl/workbook.xml").matches("<sheet name=").count(), 1);
}

#[tokio::test]
async fn what_a_spreadsheet_would_round_stays_to_the_letter() {
    let ancient = Cell::At(Timestamp::from_millis(-11_644_473_600_000));
    let row = vec![Cell::Number(i64::MIN), ancient, Cell::Number(999_999_999_999_999), Cell::Empty];
    let sheet = entry(&file(Format::Xlsx, vec![vec![row]]).await, "xl/worksheets/sheet1.xml");
    for words in [">-9223372036854775808</t>", ">1601-01-01T00:00:00.000Z</t>", "<v>999999999999999</v>"] {
        assert!(sheet.contains(words), "{words}: {sheet}");
    }
}

#[tokio::test]
async fn no_text_begins_as_a_formula_where_cells_have_no_types() {
    let evil = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "＋1",
        "－1",
        "＠a",
        " =1",
        "\u{200e}=1",
        "\u{202b}-1",
        ";=1",
        "a,\"=1",
        "\"=1",
        "\0=1",
    ];
    for evil in evil {
        let row = vec![text(evil), Cell::Empty, Cell::Empty, Cell::Empty];
        for format in [Format::Csv, Format::Text, Format::Html] {
            let file = words(format, std::slice::from_ref(&row)).await;
            let behind_head = match format {
                Format::Html => file.split_once("<tbody>\n<tr><td>").unwrap().1,
                Format::Csv => file.split_once("\r\n\"").unwrap().1,
                _ => file.splitn(4, "\r\n").nth(3).unwrap(),
            };
            let is_marked = behind_head.contains('\'') || behind_head.starts_with('\u{fffd}');
            assert!(is_marked, "{format:?}: {evil:?} became {behind_head:?}");
            let first = behind_head.chars().next().unwrap();
            assert!(!"=+-@＝＋－＠\t\r\n".contains(first), "{format:?}: {evil:?} became {behind_head:?}");
        }
    }
}

#[tokio::test]
async fn a_table_without_rows_is_a_whole_file_too() {
    for pages in [vec![], vec![vec![], vec![]]] {
        assert_eq!(words(Format::JsonLines, &[]).await, "");
        let xml = String::from_utf8(file(Format::Xml, pages.clone()).await).unwrap();
        assert!(xml.ends_with("</columns>\n</export>\n"), "{xml}");
        let html = String::from_utf8(file(Format::Html, pages.clone()).await).unwrap();
        assert!(html.ends_with("<tbody>\n</tbody>\n</table>\n</body>\n</html>\n"), "{html}");
        let sheet = entry(&file(Format::Xlsx, pages).await, "xl/worksheets/sheet1.xml");
        assert!(sheet.ends_with("</row></sheetData><autoFilter ref=\"A1:D1\"/></worksheet>"), "{sheet}");
    }
}

/// So many pages of a hundred rows; how many were read is counted.
fn pages(
    count: usize,
    read: &Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Page, io::Error>> + Send + use<> {
    let read = Arc::clone(read);
    stream::iter(0..count).map(move |page| {
        read.fetch_add(1, Ordering::Relaxed);
        Ok((0..100).map(|row| vec![text(&format!("user {page} {row}"))]).collect())
    })
}

#[tokio::test]
async fn an_error_of_the_first_page_comes_before_a_byte() {
    for format in Format::ALL {
        let rows = stream::iter([Err::<Page, _>(io::Error::other("the store is away"))]);
        let error = export::begin(table(), format, rows).await.err().unwrap();
        assert_eq!(error.to_string(), "the store is away");
    }
}

#[tokio::test]
async fn a_later_error_breaks_the_file_off() {
    for format in Format::ALL {
        let broken = stream::iter([Err(io::Error::other("the store is away"))]);
        let rows = pages(200, &Arc::default()).chain(broken).chain(pages(1, &Arc::default()));
        let mut chunks = Box::pin(export::begin(table(), format, rows).await.unwrap());
        let mut sound = 0;
        let error = loop {
            match chunks.next().await.unwrap() {
                Ok(_) => sound += 1,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("the store is away"), "{format:?}: {error}");
        assert!(sound > 0, "{format:?}");
        assert!(chunks.next().await.is_none(), "{format:?} goes on after an error");
    }
}

#[tokio::test]
async fn rows_are_read_as_they_are_written() {
    for format in Format::ALL {
        let read = Arc::default();
        let mut chunks = Box::pin(export::begin(table(), format, pages(1000, &read)).await.unwrap());
        let mut length = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= 64 * 1024, "{format:?}: a chunk of {}", chunk.len());
            if length == 0 {
                let first = read.load(Ordering::Relaxed);
                assert!(first < 200, "{format:?}: {first} pages were read for the first chunk");
            }
            length += chunk.len();
        }
        assert_eq!(read.load(Ordering::Relaxed), 1000);
        assert!(length > 100_000, "{format:?}: {length}");
    }
}

#[tokio::test]
async fn pages_leave_no_trace_in_the_file() {
    let rows: Vec<_> = (0..700).map(|row| vec![text(&"x".repeat(row))]).collect();
    for format in Format::ALL {
        let whole = file(format, vec![rows.clone()]).await;
        let in_pages = file(format, rows.chunks(7).map(<[_]>::to_vec).collect()).await;
        assert!(whole == in_pages, "{format:?}");
    }
}

#[test]
fn each_format_is_found_by_its_name() {
    for format in Format::ALL {
        assert_eq!(Format::named(format.as_str()), Some(format));
    }
    assert_eq!(Format::named("xls"), None);
}
