//! What is done once a day or when somebody asks: where it is seen how far it is, and, where it goes over a domain's
//! accounts, how gently the directory is asked.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{directory::Directory, domain::refusal::Service};

/// So long the directory is left alone after each hundred accounts.
const PAUSE: Duration = Duration::from_millis(250);

/// Where it is seen how far a round is, and where one is asked for.
#[derive(Default)]
pub struct Desk {
    progress: Mutex<Option<Progress>>,
    is_awaited: AtomicBool,
    asked: Notify,
}

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// What is worked at: a domain, or the file of a backup.
    pub at: String,
    /// How much of it is done: accounts, or records.
    pub done: u64,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, if it is under way.
    pub fn progress(&self) -> Option<Progress> {
        self.lock().clone()
    }

    /// Asks for a round now. One that is under way is the one that is asked for.
    pub fn ask(&self) {
        if self.progress().is_none() {
            self.is_awaited.store(true, Ordering::Relaxed);
            self.asked.notify_one();
        }
    }

    /// Whether one was asked for that has not begun yet.
    pub fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// Waits until one is asked for.
    pub async fn is_asked(&self) {
        self.asked.notified().await;
    }

    /// A round is under way as long as what is returned lives; and whether somebody asked for it.
    pub(super) fn begin(&self) -> (UnderWay<'_>, bool) {
        let was_asked = self.is_awaited.swap(false, Ordering::Relaxed);
        *self.lock() = Some(Progress::default());
        (UnderWay(self), was_asked)
    }
}

/// A round that is under way.
pub(super) struct UnderWay<'a>(&'a Desk);

impl UnderWay<'_> {
    pub(super) fn is_at(&self, at: &str, done: u64) {
        *self.0.lock() = Some(Progress { at: at.to_owned(), done });
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Leaves the directory alone for a moment; whether the round goes on after it.
pub(super) async fn pause(stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some()
}

/// An error unless the directory answers, and shows what it has.
pub(super) async fn require_sound(directory: &dyn Directory) -> Result<(), Error> {
    directory.probe().await.map_err(unavailable)
}

/// Whatever went wrong there, the directory has not said what it was asked.
#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn unavailable(error: crate::directory::Error) -> Error {
    Error::Unavailable(Service::Directory, error.to_string())
}
