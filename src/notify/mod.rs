//! Telling people: messages are composed from templates and handed to who delivers them.
//!
//! It must not know when something is told, nor what is queued.

mod compose;
mod examine;
pub mod forward;
pub mod http;
mod macros;
mod mail;
mod network;
mod sms;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    domain::{
        clock::{Clock, Timestamp},
        message::{Channel, Message},
    },
    render::Renderer,
    settings::{MailDelivery, Settings, SmsDelivery},
};
pub use compose::is_template;
pub use examine::{Standing, examine};
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
    kept: Option<Shelf>,
}

/// What the demo keeps instead of sending.
struct Shelf {
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<Kept>>,
}

/// A message that the demo would have sent.
#[derive(Debug, Clone)]
pub struct Kept {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: Message,
}

/// So many messages the demo keeps.
const KEPT: usize = 200;

impl Notifier {
    /// One that delivers as the settings say.
    pub fn new(renderer: Arc<Renderer>) -> Self {
        Self { renderer, post: Post::default(), kept: None }
    }

    /// One that keeps what it is to deliver.
    pub fn of_demo(renderer: Arc<Renderer>, clock: Arc<dyn Clock>) -> Self {
        Self { kept: Some(Shelf { clock, kept: Mutex::default() }), ..Self::new(renderer) }
    }

    /// Whether this is the demo's, which sends nothing.
    pub const fn is_demo(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether messages of that channel go anywhere.
    pub fn delivers(&self, settings: &Settings, channel: Channel) -> bool {
        self.is_demo()
            || match channel {
                Channel::Mail => settings.mail.delivery != MailDelivery::None,
                Channel::Sms => settings.sms.delivery != SmsDelivery::None,
            }
    }

    /// Delivers a message. May be dropped half-way, but then it isn't known whether the message was delivered.
    pub async fn send(&self, settings: &Settings, message: &Message) -> Result<(), Fault> {
        if let Some(shelf) = &self.kept {
            let mut kept = shelf.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT - 1);
            kept.push_front(Kept { at: shelf.clock.now(), message: message.clone() });
            return Ok(());
        }
        match message {
            Message::Mail(mail) => self.post.deliver(settings, mail).await,
            Message::Sms(message) => sms::deliver(&settings.sms, message).await,
        }
    }

    /// What the demo would have sent, the latest first.
    pub fn kept(&self) -> Option<Vec<Kept>> {
        let kept = self.kept.as_ref()?.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Some(kept.iter().cloned().collect())
    }
}
