//! HTML: one page that needs nothing else, in the colours that its reader prefers, and in which nothing runs.

use std::io::{self, Write as _};

use super::{Cell, Encoder, Kind, Table, markup::Escaped};
use crate::domain::sheet;

pub(super) struct Html(pub(super) Table);

/// Each cell has a direction of its own, whatever marks of direction stand in it.
const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:14px/1.4 system-ui,sans-serif}\
    table{border-collapse:collapse}\
    caption{padding:.5em 0;font-size:1.25em;font-weight:600;text-align:start}\
    th,td{padding:.25em .5em;border:1px solid #8888;text-align:start;vertical-align:top}\
    thead th{position:sticky;top:0;background:Canvas}\
    td{unicode-bidi:plaintext;white-space:pre-wrap;overflow-wrap:anywhere;min-width:6em}\
    .n{text-align:end}";

impl Encoder for Html {
    fn head(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let language = Escaped(&self.0.language);
        let direction = if self.0.is_right_to_left { "rtl" } else { "ltr" };
        let title = sheet::harmless(&self.0.title);
        let title = Escaped(&title);
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"{language}\" dir=\"{direction}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n<table>\n<caption>{title}</caption>\n<thead>\n<tr>"
        )?;
        for title in self.0.titles() {
            write!(out, "<th scope=\"col\">{}</th>", Escaped(&sheet::harmless(title)))?;
        }
        out.extend_from_slice(b"</tr>\n</thead>\n<tbody>\n");
        Ok(())
    }

    fn row(&mut self, row: &[Cell], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"<tr>");
        for (cell, column) in row.iter().zip(&self.0.columns) {
            let class = if column.kind == Kind::Number { " class=\"n\"" } else { "" };
            write!(out, "<td{class}>{}</td>", Escaped(&self.0.words(cell)))?;
        }
        out.extend_from_slice(b"</tr>\n");
        Ok(())
    }

    fn tail(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"</tbody>\n</table>\n</body>\n</html>\n");
        Ok(())
    }
}
