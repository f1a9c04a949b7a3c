//! What is done once a day or when an administrator asks for it, as its page shows it: how far it is, and a button.

use serde::Serialize;

use super::Seat;
use crate::{flows::rounds::Desk, web::form::Form};

/// How far it is.
#[derive(Serialize)]
pub(super) struct Round {
    pub(super) is_under_way: bool,
    progress: String,
}

impl Round {
    /// `progress` is the text that says how far it is.
    pub(super) fn of(seat: &Seat<'_>, desk: &Desk, progress: &str) -> Self {
        let text = |key: &str, values: &[(&str, &str)]| seat.say(key, values);
        let (now, is_asked) = (desk.progress(), desk.is_awaited());
        let is_under_way = now.is_some() || is_asked;
        let progress = match now {
            None if is_asked => text("admin.round.asked", &[]),
            Some(now) if !now.at.is_empty() => {
                text(progress, &[("domain", &now.at), ("count", &now.done.to_string())])
            }
            _ => text("admin.round.begins", &[]),
        };
        Self { is_under_way, progress }
    }
}

/// Asks for a round if that is what a form says, and nothing else; whether it was.
pub(super) fn is_asked_for(mut form: Form, desk: &Desk) -> bool {
    let is_run = form.take("action").is_ok_and(|action| action.reveal() == "run") && form.finish().is_none();
    if is_run {
        desk.ask();
    }
    is_run
}
