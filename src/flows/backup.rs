//! Making a backup while the program serves, for the console or each day into a folder, and writing down that it was made.

use std::path::Path;

use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::{Error, Services, note, operators, rounds};
use crate::{
    domain::{
        audit::{Action, Event, Outcome},
        backup::{Made, Report},
        message::Topic,
    },
    settings::Backup,
    store::{
        Found,
        backup::{Fault, examine, prune},
    },
};

/// Where backups are made.
#[derive(Default)]
pub struct Desk {
    /// How far the one of each day is.
    pub daily: rounds::Desk,
    /// One is made at a time.
    turn: tokio::sync::Mutex<()>,
}

/// Makes one for who asks on the console; how many records are in it.
pub async fn for_console(services: &Services, out: mpsc::Sender<Vec<u8>>) -> Result<u64, Fault> {
    let Ok(_turn) = services.backup.turn.try_lock() else {
        return Err(Fault::Trouble("another backup is being made; try again when it is done".into()));
    };
    let made = services.store.back_up(&services.keys, services.now(), out, &|_| ()).await;
    if let Err(error) = &made {
        tracing::error!(%error, "a backup could not be made");
    }
    let told = made.as_ref().map(|records| format!("{records} records")).map_err(ToString::to_string);
    note(services, event(services, told, "console"), None).await;
    made
}

/// What is remembered of those that are made each day.
pub async fn last(services: &Services) -> Result<Report, Error> {
    Ok(services.store.find::<Report>(&()).await?.map(Found::into_inner).unwrap_or_default())
}

/// Whether today's is due.
pub async fn is_due(services: &Services) -> Result<bool, Error> {
    let settings = services.settings.load_full();
    Ok(settings.backup.folder.is_some() && last(services).await?.is_due(settings.backup.hour, services.now()))
}

/// Why none can be made in a folder, if none can.
pub async fn trouble_in(folder: &Path) -> Option<String> {
    let folder = folder.to_owned();
    match spawn_blocking(move || examine(&folder)).await {
        Ok(result) => result.err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Makes one in the folder of the settings, if they name one, and removes those that are too many.
pub async fn round(services: &Services, stop: &CancellationToken) -> Result<(), Error> {
    let (under_way, _) = services.backup.daily.begin();
    let settings = services.settings.load_full();
    let Backup { folder: Some(folder), keep, .. } = &settings.backup else { return Ok(()) };
    let _turn = services.backup.turn.lock().await;
    let progress = |file: &str, records| under_way.is_at(file, records);
    let made = services.store.back_up_into(&services.keys, services.now(), folder, &progress);
    // Stopped: it is made after the next start.
    let Some(made) = stop.run_until_cancelled(made).await else { return Ok(()) };
    let before = last(services).await?;
    let mut report = Report { tried_at: Some(services.now()), is_made: made.is_ok(), fault: None, ..before };
    let told = match made {
        Ok(made) => {
            let (keys, folder, keep) = (services.keys.clone(), folder.clone(), *keep as usize);
            let pruned = spawn_blocking(move || prune(&keys, &folder, keep)).await;
            let pruned = pruned
                .map_err(|error| error.to_string())
                .and_then(|it| it.map_err(|error| error.to_string()));
            report.fault = pruned.err().map(|error| format!("older ones can't be removed: {error}"));
            let told = format!("{} records in {}", made.records, made.file);
            (report.made, report.told_at) = (Some(made), None);
            Ok(told)
        }
        Err(fault) => {
            report.fault = Some(fault.to_string());
            Err(fault.to_string())
        }
    };
    if let Some(fault) = &report.fault {
        tracing::error!(fault, folder = %folder.display(), "there was trouble with the backup of the day");
    }
    let event = event(services, told, "job");
    let batch = |report: &Report| services.store.batch().put(&(), report).event(&event);
    if report.is_news(services.now()) {
        let told = Report { told_at: Some(services.now()), ..report.clone() };
        if let Some(batch) = operators::tell(services, batch(&told), Topic::BackupFailed, 0)? {
            return Ok(batch.commit().await?);
        }
    }
    Ok(batch(&report).commit().await?)
}

/// The last one that was made of those of each day, if any was; nothing if none are made.
pub async fn last_made(services: &Services) -> Result<Option<Option<Made>>, Error> {
    if services.settings.load().backup.folder.is_none() {
        return Ok(None);
    }
    Ok(Some(last(services).await?.made))
}

fn event(services: &Services, made: Result<String, String>, source: &str) -> Event {
    let (outcome, detail) = match made {
        Ok(detail) => (Outcome::Success, detail),
        Err(error) => (Outcome::Failure, error),
    };
    Event {
        at: services.now(),
        outcome,
        source: source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Backup,
        detail,
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    }
}
