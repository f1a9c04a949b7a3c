//! `regain audit`

use std::fs;

use clap::{Args, Subcommand};

use super::{ConfigArguments, Failure, open_store, say};
use crate::store::{
    audit::{Head, Verified},
    keyring::Keyring,
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
    match store.verify_log(&keys.audit, noted, &|_, _| {}).await.map_err(|e| fails(&e))? {
        Verified::Whole(None) => say("The audit log is empty."),
        Verified::Whole(Some(end)) => {
            say(&format!("All {} events are as they were written. The log ends at\n  {end}", end.number));
        }
        Verified::Broken { number, why } => {
            say(&format!("Event {number} is not as it was written: {why}."));
            return Ok(false);
        }
    }
    Ok(true)
}
