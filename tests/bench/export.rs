//! Exports of a large table, in the process of the benchmark: the rows are made up as they are asked for.

use std::{convert::Infallible, fs, pin::pin, time::Instant};

use futures_util::stream::{self, StreamExt as _};
use regain::{
    domain::clock::Timestamp,
    report::export::{self, Cell, Column, Format, Kind, Table},
};

use super::server::memory;

/// Rows, of nine columns each.
pub const ROWS: usize = 1_000_000;
const PAGE: usize = 500;

/// What an export cost.
pub struct Cost {
    /// Rows a second.
    pub rate: f64,
    /// MiB of the file.
    pub size: f64,
    /// MiB by which the process was larger at most than before.
    pub growth: f64,
}

/// The audit log's columns, about.
fn table() -> Table {
    let columns = [
        ("at", Kind::At),
        ("outcome", Kind::Text),
        ("source", Kind::Text),
        ("user", Kind::Text),
        ("domain", Kind::Text),
        ("event", Kind::Text),
        ("address", Kind::Text),
        ("number", Kind::Number),
        ("automatic", Kind::Flag),
    ];
    Table {
        title: "Audit log".into(),
        language: "en".into(),
        is_right_to_left: false,
        columns: columns.map(|(key, kind)| Column { key, title: key.into(), kind }).into(),
        yes: "yes".into(),
        no: "no".into(),
    }
}

fn row(number: usize) -> Vec<Cell> {
    let text = |text: String| Cell::Text(text);
    let count = i64::try_from(number).unwrap();
    vec![
        Cell::At(Timestamp::from_millis(1_764_108_000_000 + count * 7919)),
        text(if number.is_multiple_of(7) { "failure" } else { "success" }.into()),
        text("web".into()),
        text(format!("user{}@corp.example", number * 7919 % 50_000)),
        text("CORP".into()),
        text(["reset", "unlock", "change", "enroll"][number % 4].into()),
        text(format!("10.{}.{}.{}", number % 3, number / 251 % 256, number * 31 % 256)),
        Cell::Number(count),
        if number.is_multiple_of(5) { Cell::Empty } else { Cell::Flag(number.is_multiple_of(2)) },
    ]
}

/// Exports the table and throws the file away.
pub async fn export(format: Format) -> Cost {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, began) = (memory("self", "VmRSS:"), Instant::now());
    let pages =
        (0..ROWS / PAGE).map(|page| Ok::<_, Infallible>((page * PAGE..(page + 1) * PAGE).map(row).collect()));
    let Ok(chunks) = export::begin(table(), format, stream::iter(pages)).await;
    let (mut chunks, mut size) = (pin!(chunks), 0);
    while let Some(chunk) = chunks.next().await {
        size += chunk.unwrap().len();
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are small")]
    Cost {
        rate: ROWS as f64 / began.elapsed().as_secs_f64(),
        size: size as f64 / f64::from(1 << 20),
        growth: memory("self", "VmHWM:") - before,
    }
}
