//! Telling people: messages are composed from templates and handed to who delivers them.
//!
//! It must not know when something is told, nor what is queued.

mod compose;
mod macros;
mod mail;
mod network;
mod sms;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{domain::message::Message, render::Renderer, settings::Settings};
use mail::Post;

/// Why a message was not composed or delivered. Its text is for log and audit: no address, no code, nothing of the
/// message, and of a reply only its numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// It never will.
    #[error("{0}")]
    Never(String),
}

/// Composes and delivers.
pub struct Notifier {
    renderer: Arc<Renderer>,
    post: Post,
    /// What was sent, in the demo, which sends nothing.
    kept: Option<Mutex<VecDeque<Message>>>,
}

/// So many messages the demo keeps.
const KEPT: usize = 200;

impl Notifier {
    /// One that delivers as the settings say.
    pub fn new(renderer: Arc<Renderer>) -> Self {
        Self { renderer, post: Post::default(), kept: None }
    }

    /// One that keeps what it is to deliver.
    pub fn of_demo(renderer: Arc<Renderer>) -> Self {
        Self { kept: Some(Mutex::default()), ..Self::new(renderer) }
    }

    /// Delivers a message. May be dropped half-way, but then it isn't known whether the message was delivered.
    pub async fn send(&self, settings: &Settings, message: &Message) -> Result<(), Fault> {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT - 1);
            kept.push_front(message.clone());
            return Ok(());
        }
        match message {
            Message::Mail(mail) => self.post.deliver(settings, mail).await,
            Message::Sms(message) => sms::deliver(&settings.sms, message).await,
        }
    }

    /// What the demo would have sent, the latest first.
    pub fn kept(&self) -> Option<Vec<Message>> {
        let kept = self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(kept.iter().cloned().collect())
    }
}
