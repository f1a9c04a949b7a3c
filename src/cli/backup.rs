//! `regain backup` and `regain restore`

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;

use super::{ConfigArguments, Failure, require_owner, say};
use crate::{
    app::{self, control},
    config::Config,
    domain::{
        audit::{Action, Event, Outcome},
        clock::{Clock as _, SystemClock},
    },
    store::{
        Store,
        audit::Head,
        backup::{Comparison, Contents, Fault, Whole, compare},
        keyring::Keyring,
    },
};

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The file that is written; an existing one is replaced when the new one is whole. "-": to standard output.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The backup.
    file: PathBuf,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
    /// Carry nothing over from the present data: neither counts nor lockouts nor events. Only for when it can't be read any
    /// more.
    #[arg(long)]
    discard_present: bool,
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure(error.to_string())
}

/// Where a backup goes.
enum Output {
    File(Whole),
    Standard(io::Stdout),
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out.write_all(bytes),
        }
    }
}

/// Makes a backup.
pub(super) async fn run(arguments: &BackupArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let file = &arguments.file;
    let shown = |error: io::Error| Failure(format!("{}: {error}", file.display()));
    let mut output = if file.as_os_str() == "-" {
        Output::Standard(io::stdout())
    } else {
        Output::File(Whole::begin(file).map_err(shown)?)
    };
    let (mut bytes, mut told_at) = (0_u64, SystemClock.now());
    let is_shown = io::stderr().is_terminal();
    let mut take = |piece: &[u8]| {
        bytes += piece.len() as u64;
        let now = SystemClock.now();
        if is_shown && now.since(told_at).as_secs() >= 1 {
            told_at = now;
            let _ = write!(io::stderr(), "\r{} MiB", bytes >> 20);
        }
        output.write(piece)
    };
    let records = match control::fetch(&config.data, &mut take).await.map_err(|error| failed(&error))? {
        Some(records) => records,
        None => alone(&config, &mut take).await?,
    };
    if is_shown {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    match output {
        Output::File(file) => file.end().map_err(shown)?,
        Output::Standard(mut out) => return out.flush().map_err(shown),
    }
    say(&format!("{records} records were written to {} ({bytes} bytes).", file.display()));
    say(&format!(
        "Keep {} apart from it: without that file the backup can't be put back, with it anybody can read it.",
        config.secret_path().display()
    ));
    Ok(())
}

/// No program serves: the store is opened here.
async fn alone(config: &Config, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> Result<u64, Failure> {
    require_owner(config)?;
    let (store, keys) = app::open_present(config).await.map_err(|error| failed(&error))?;
    let (out, mut pieces) = tokio::sync::mpsc::channel(4);
    let made = store.back_up(&keys, SystemClock.now(), out, &|_| ());
    let taken = async move {
        while let Some(piece) = pieces.recv().await {
            take(&piece)?;
        }
        Ok::<_, io::Error>(())
    };
    // What can't be taken any more ends the other, too: with this one its way out is gone.
    let (made, taken) = tokio::join!(made, taken);
    taken.map_err(|error| failed(&error))?;
    let records = made.map_err(|error| failed(&error))?;
    let event = Event {
        at: SystemClock.now(),
        outcome: Outcome::Success,
        source: "console".into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Backup,
        detail: format!("{records} records"),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    };
    store.batch().event(&event).commit().await.map_err(|error| failed(&error))?;
    Ok(records)
}

/// Puts a backup back.
pub(super) async fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    app::make_folder(&config.data).map_err(|error| failed(&error))?;
    require_owner(&config)?;
    let file = File::open(&arguments.file)
        .map_err(|error| Failure(format!("{}: {error}", arguments.file.display())))?;
    let keys = Keyring::of_file(&config.secret_path()).map_err(|error| {
        Failure(format!("{error}\nthe secret file that belongs to the backup has to be in its place first"))
    })?;
    let is_there = config.data.join("db").exists() || config.data.join("restore.ready").exists();
    let present = match is_there {
        true if arguments.discard_present => None,
        true => Some(open(&config).await?),
        false => None,
    };
    if is_there && present.is_none() {
        // Nor may a program have it open that serves.
        app::require_unused(&config).map_err(|error| failed(&error))?;
    }
    let now = SystemClock.now();
    let restore = compare(&config.data, &file, &keys, present.as_ref(), now).await;
    let restore = restore.map_err(|error: Fault| failed(&error))?;
    tell(&config, &restore.comparison, is_there);
    if !arguments.yes && !confirmed() {
        restore.give_up();
        return Err(Failure("nothing was changed".into()));
    }
    drop(present);
    let noted = std::fs::read_to_string(config.head_path()).ok().and_then(|text| Head::parse(&text));
    let (aside, head) =
        restore.put_in_place(&keys, "console", noted, now).await.map_err(|error| failed(&error))?;
    if let Some(head) = head {
        app::write_head(&config, head).map_err(|error| failed(&error))?;
    }
    say("The backup is in place.");
    if is_there {
        say(&format!("What it replaced is kept in {}; remove it when all is well.", aside.display()));
    }
    Ok(())
}

async fn open(config: &Config) -> Result<Store, Failure> {
    let unread = |error: &dyn std::fmt::Display| {
        Failure(format!(
            "{error}\nIf the present data can't be read any more, --discard-present restores without it: lockouts and \
             events since the backup are lost then."
        ))
    };
    let store = app::open_store(config).await.map_err(|error| unread(&error))?;
    if store.older().await.map_err(|error| unread(&error))?.is_some() {
        let text = "the present data is in an older program's form; start Regain once, so that it is brought to the \
                    present one";
        return Err(unread(&text));
    }
    Keyring::open(&config.secret_path(), &store).await.map_err(|error| unread(&error))?;
    Ok(store)
}

fn tell(config: &Config, comparison: &Comparison, is_there: bool) {
    let head = &comparison.head;
    say(&format!("The backup was made at {} by Regain {} (format {}).", head.made_at, head.by, head.format));
    let line = |title: &str, contents: &Contents| {
        let Contents { enrollments, administrators, tokens, settings, last_event } = contents;
        say(&format!(
            "  {title}: {enrollments} enrollments, {administrators} administrators' second factors, {tokens} API tokens, \
             {settings} changed tabs of settings, events up to {last_event}"
        ));
    };
    say(&format!("In {}", config.data.display()));
    match &comparison.now {
        Some(now) => line("there is now  ", now),
        None if is_there => say("  there is now  : data that is not looked at"),
        None => say("  there is now  : nothing"),
    }
    line("there would be", &comparison.after);
    say(if comparison.keeps_log {
        "The audit log stays as it is now. Lockouts stay as they are now, or as they were if that is more."
    } else {
        "The audit log is that of the backup; one that is there now is kept aside with what is replaced."
    });
    say(
        "Everybody has to begin anew what they are in the middle of; nobody stays signed in to the admin panel.",
    );
}

fn confirmed() -> bool {
    let _ = write!(io::stdout(), "Put the backup in place? Type yes: ").and_then(|()| io::stdout().flush());
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim() == "yes"
}
