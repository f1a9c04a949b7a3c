//! Verifying the audit log while the program serves: one at a time, in the background, and what came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Services, change_settings::Editor, note};
use crate::{
    domain::{
        audit::{Action, Event, Outcome},
        clock::Timestamp,
    },
    store::audit::{Head, Verified},
};

/// Where the log is verified.
#[derive(Default)]
pub struct Verification {
    desk: Mutex<Desk>,
    begun: Notify,
}

#[derive(Default)]
struct Desk {
    noted: Option<Head>,
    /// Whether the log was found to be another one than the one whose end was noted: that stays true.
    is_gone: bool,
    step: Step,
    asked_by: Option<Editor>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// It was not done in this run of the program.
    #[default]
    None,
    /// So many of so many events were looked at.
    Running(u64, u64),
    /// It was done.
    Ended {
        /// When.
        at: Timestamp,
        /// By whom.
        by: String,
        /// What was found; nothing if the store could not be read.
        found: Option<Verified>,
    },
}

impl Verification {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the end of the log that was noted outside the store: all up to there must be in it.
    pub fn note(&self, head: Head) {
        let mut desk = self.lock();
        if !desk.is_gone {
            desk.noted = Some(head);
        }
    }

    /// The log is not the one whose end this is: that is what a verification finds, however it goes on.
    pub fn misses(&self, head: Head) {
        let mut desk = self.lock();
        (desk.noted, desk.is_gone) = (Some(head), true);
    }

    /// How far it is.
    pub fn step(&self) -> Step {
        self.lock().step.clone()
    }

    /// Asks for it, unless it is under way.
    pub fn begin(&self, editor: Editor) {
        let mut desk = self.lock();
        if !matches!(desk.step, Step::Running(..)) {
            desk.step = Step::Running(0, 0);
            desk.asked_by = Some(editor);
            self.begun.notify_one();
        }
    }

    /// Waits until it is asked for.
    pub async fn is_asked(&self) {
        self.begun.notified().await;
    }
}

/// Verifies the log if that was asked for, and writes down what came of it.
pub async fn work(services: &Services) {
    let verification = &services.verification;
    let (editor, noted) = {
        let mut desk = verification.lock();
        let Some(editor) = desk.asked_by.take() else { return };
        (editor, desk.noted)
    };
    let progress = |done, total| verification.lock().step = Step::Running(done, total);
    let found = match services.store.verify_log(&services.keys.audit, noted, &progress).await {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::error!(%error, "the audit log could not be verified");
            None
        }
    };
    let at = services.now();
    let (outcome, detail) = match &found {
        Some(Verified::Whole(head)) => {
            (Outcome::Success, format!("whole up to event {}", head.map_or(0, |head| head.number)))
        }
        Some(Verified::Broken { number, why }) => {
            tracing::error!(event = number, why, "the audit log is not as it was written");
            (Outcome::Failure, format!("event {number}: {why}"))
        }
        None => (Outcome::Failure, "the log could not be read".to_owned()),
    };
    verification.lock().step = Step::Ended { at, by: editor.name.clone(), found };
    let event = Event {
        at,
        outcome,
        source: editor.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Verify,
        detail,
        source_ip: editor.address,
        source_user: Some(editor.name),
        account: None,
        reference: None,
    };
    note(services, event, None).await;
}
