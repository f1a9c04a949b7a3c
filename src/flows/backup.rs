//! Making a backup while the program serves, for the console or into a folder, and writing down that it was made.

use tokio::sync::mpsc;

use super::{Services, note};
use crate::{
    domain::audit::{Action, Event, Outcome},
    store::backup::Fault,
};

/// Makes one for who asks on the console; how many records are in it. One at a time.
pub async fn for_console(services: &Services, out: mpsc::Sender<Vec<u8>>) -> Result<u64, Fault> {
    let Ok(_turn) = services.backup.try_lock() else {
        return Err(Fault::Trouble("another backup is being made; try again when it is done".into()));
    };
    let made = services.store.back_up(&services.keys, services.now(), out, &|_| ()).await;
    note(services, event(services, &made, "console"), None).await;
    made
}

fn event(services: &Services, made: &Result<u64, Fault>, source: &str) -> Event {
    let (outcome, detail) = match made {
        Ok(records) => (Outcome::Success, format!("{records} records")),
        Err(error) => {
            tracing::error!(%error, "a backup could not be made");
            (Outcome::Failure, error.to_string())
        }
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
