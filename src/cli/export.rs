//! `regain export`

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, path::PathBuf, pin::pin};

use clap::{Args, ValueEnum};
use futures_util::{Stream, StreamExt as _};
use tempfile::NamedTempFile;

use super::{ConfigArguments, Failure, open_store, say};
use crate::{
    domain::{
        audit::EventColumn,
        clock::{Clock as _, SystemClock},
        filter::{Column, Filter, Search},
        user::UserColumn,
    },
    report::{
        export::{self, Cell, Format, Table},
        rows::{self, Events, Users},
    },
    store,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The audit log.
    Events,
    /// Those who enrolled.
    Users,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    what: What,
    #[command(flatten)]
    config: ConfigArguments,
    /// The file that is written; an existing one is replaced when the new one is whole. "-": to standard output.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// csv, xlsx, html, txt, xml or jsonl; without it what the file's name ends with.
    #[arg(long, short, value_parser = format)]
    format: Option<Format>,
    /// Which rows, as the panel shows it: 'outcome in (failure) and at within last_7_days'. Without it all.
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// The columns and their order, as "at,user,event". Without it all.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// The column by which the rows are in order; with a "-" before it the last comes first. Without it "-at" or "user".
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
}

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| {
        let known: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
        format!("expected {}", known.join(", "))
    })
}

/// What was asked for, of one table.
struct Asked<C> {
    search: Search<C>,
    columns: Vec<C>,
}

impl ExportArguments {
    fn asked<C: Column>(&self, usual: &str) -> Result<Asked<C>, Failure> {
        let known = || C::ALL.iter().map(|column| column.key()).collect::<Vec<_>>().join(", ");
        let column = |key: &str| {
            C::of(key).ok_or_else(|| Failure(format!("there is no column \"{key}\"; there are {}", known())))
        };
        let filter = Filter::parse(&self.filter).map_err(|error| Failure(format!("--filter: {error}")))?;
        let sort = self.sort.as_deref().unwrap_or(usual);
        let search = Search {
            filter: filter.at(SystemClock.now()),
            by: column(sort.trim_start_matches('-'))?,
            is_descending: sort.starts_with('-'),
            after: None,
            limit: 0,
        };
        let columns = if self.columns.is_empty() {
            C::ALL.to_vec()
        } else {
            self.columns.iter().map(|key| column(key.trim())).collect::<Result<_, _>>()?
        };
        Ok(Asked { search, columns })
    }

    fn format(&self) -> Result<Format, Failure> {
        let by_name = || Format::named(self.output.extension()?.to_str()?);
        self.format
            .or_else(by_name)
            .ok_or_else(|| Failure("say which format it is to be: --format csv".into()))
    }
}

/// Writes an export.
pub(super) async fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let format = arguments.format()?;
    match arguments.what {
        What::Events => {
            let asked = arguments.asked::<EventColumn>("-at")?;
            let store = open_store(&arguments.config.load()?).await?;
            let titles = rows::columns(&asked.columns, |column| column.key().to_owned());
            let found = rows::rows(Events(store), asked.search, asked.columns);
            write(arguments, table("Audit log", titles), format, found).await
        }
        What::Users => {
            let asked = arguments.asked::<UserColumn>("user")?;
            let store = open_store(&arguments.config.load()?).await?;
            let titles = rows::columns(&asked.columns, |column| column.key().to_owned());
            let found = rows::rows(Users(store), asked.search, asked.columns);
            write(arguments, table("Users", titles), format, found).await
        }
    }
}

fn table(title: &str, columns: Vec<export::Column>) -> Table {
    Table {
        title: title.into(),
        language: "en".into(),
        is_right_to_left: false,
        columns,
        yes: "yes".into(),
        no: "no".into(),
    }
}

async fn write(
    arguments: &ExportArguments,
    table: Table,
    format: Format,
    rows: impl Stream<Item = Result<Vec<Vec<Cell>>, store::Error>> + Send,
) -> Result<(), Failure> {
    let output = &arguments.output;
    let fails = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", output.display()));
    let count = std::sync::atomic::AtomicUsize::new(0);
    let counted = rows.inspect(|page| {
        let more = page.as_ref().map_or(0, Vec::len);
        count.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    });
    let mut chunks =
        pin!(export::begin(table, format, counted).await.map_err(|error| Failure(error.to_string()))?);
    if output.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        while let Some(chunk) = chunks.next().await {
            out.write_all(&chunk.map_err(|error| fails(&error))?).map_err(|error| fails(&error))?;
        }
        return out.flush().map_err(|error| fails(&error));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), PathBuf::from);
    // There are names and addresses in it: it is for its owner only, as temporary files are.
    let mut file = NamedTempFile::new_in(folder).map_err(|error| fails(&error))?;
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk.map_err(|error| fails(&error))?).map_err(|error| fails(&error))?;
    }
    let private = std::fs::Permissions::from_mode(0o600);
    file.as_file().set_permissions(private).map_err(|error| fails(&error))?;
    file.as_file().sync_all().map_err(|error| fails(&error))?;
    file.persist(output).map_err(|error| fails(&error))?;
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    say(&format!("{count} rows were written to {}.", output.display()));
    Ok(())
}
