//! `regain audit`

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicI64, Ordering},
};

use clap::{Args, Subcommand};

use super::{ConfigArguments, Failure, open_store, say};
use crate::{
    domain::clock::{Clock as _, SystemClock},
    store::{
        audit::{Head, Verified},
        keyring::Keyring,
    },
};

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go along the chain of seals of the audit log, and name the first event that is not as it was written. Regain must
    /// not be running.
    Verify {
        #[command(flatten)]
        config: ConfigArguments,
        /// An end of the log that was noted before, as this command prints it: "NUMBER SEAL". Without it the one in the
        /// file audit.head beside the secret file is taken.
        #[arg(long, value_name = "HEAD", value_parser = head)]
        head: Option<Head>,
    },
}

fn head(text: &str) -> Result<Head, String> {
    Head::parse(text)
        .ok_or_else(|| "expected a number and 64 hexadecimal digits, with a space between".into())
}

/// True if the chain is whole.
pub(super) async fn run(arguments: &AuditArguments) -> Result<bool, Failure> {
    let fails = |error: &dyn std::fmt::Display| Failure(error.to_string());
    let Command::Verify { config, head } = &arguments.command;
    let config = config.load()?;
    let store = open_store(&config).await?;
    let keys = Keyring::open(&config.secret_path(), &store).await.map_err(|e| fails(&e))?;
    let file = config.head_path();
    let noted = match head {
        Some(head) => Some(*head),
        None => match fs::read_to_string(&file) {
            Ok(text) => {
                let noted = Head::parse(&text);
                Some(noted.ok_or_else(|| Failure(format!("{}: not an end of a log", file.display())))?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure(format!("{}: {error}", file.display()))),
        },
    };
    if noted.is_none() {
        say(&format!(
            "{} is not there: whether events at the end are missing can't be seen.",
            file.display()
        ));
    }
    let progress = Progress::new();
    let verified = store.verify_log(&keys.audit, noted, &|done, total| progress.tell(done, total)).await;
    progress.end();
    match verified.map_err(|e| fails(&e))? {
        Verified::Whole(None) => say("The audit log is empty."),
        Verified::Whole(Some(end)) => {
            let first = store.first_event().await.map_err(|e| fails(&e))?;
            if first > 1 {
                say(&format!("The events before event {first} were dropped when their days were over."));
            }
            let count = end.number + 1 - first;
            say(&format!("All {count} events are as they were written. The log ends at\n  {end}"));
        }
        Verified::Broken { number, why } => {
            say(&format!("Event {number} is not as it was written: {why}."));
            return Ok(false);
        }
    }
    Ok(true)
}

/// How far it is, for who waits at a terminal: a line that is written anew every second.
struct Progress {
    is_shown: bool,
    told_at: AtomicI64,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
            told_at: AtomicI64::new(SystemClock.now().millis()),
        }
    }

    fn tell(&self, done: u64, total: u64) {
        let now = SystemClock.now().millis();
        if self.is_shown && now - self.told_at.load(Ordering::Relaxed) >= 1000 {
            self.told_at.store(now, Ordering::Relaxed);
            Self::write(&format!("\r{done} of {total} events"));
        }
    }

    /// Takes the line away.
    fn end(&self) {
        if self.is_shown {
            Self::write("\r\u{1b}[K");
        }
    }

    fn write(text: &str) {
        let mut terminal = std::io::stderr().lock();
        let _ = write!(terminal, "{text}").and_then(|()| terminal.flush());
    }
}
