//! Telling people: messages are composed from templates and handed to who delivers them.
//!
//! It must not know when something is told, nor what is queued.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    domain::{
        clock::Timestamp,
        contact::{EmailAddress, PhoneNumber},
        message::{Channel, Facts, Mail, Message, Sms, Topic},
    },
    render::Renderer,
    settings::Settings,
};

/// Why a message was not delivered.
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
    /// What was sent, in the demo, which sends nothing.
    kept: Option<Mutex<VecDeque<Kept>>>,
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
    pub const fn new(renderer: Arc<Renderer>) -> Self {
        Self { renderer, kept: None }
    }

    /// One that keeps what it is to deliver.
    pub fn of_demo(renderer: Arc<Renderer>) -> Self {
        Self { renderer, kept: Some(Mutex::default()) }
    }

    /// Whether messages of that channel go anywhere.
    pub const fn delivers(&self, _settings: &Settings, _channel: Channel) -> bool {
        self.kept.is_some()
    }

    /// Composes an e-mail in these languages, one after the other.
    pub fn mail(
        &self,
        _settings: &Settings,
        topic: Topic,
        languages: &[String],
        (id, to): ([u8; 16], EmailAddress),
        facts: &Facts,
    ) -> Result<Mail, Fault> {
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{} {facts:?} {languages:?} {:?}", topic.as_str(), facts.code);
        Ok(Mail { id, to, subject: topic.as_str().into(), text, html: None })
    }

    /// Composes a text message.
    pub fn sms(
        &self,
        _settings: &Settings,
        topic: Topic,
        language: &str,
        to: PhoneNumber,
        facts: &Facts,
    ) -> Result<Sms, Fault> {
        let code = facts.code.clone().unwrap_or_default();
        let text = format!("{} {code}", topic.as_str());
        let (user, domain) = (facts.user.clone(), facts.domain.clone());
        Ok(Sms { to, text, code, user, domain, language: language.to_owned() })
    }

    /// Delivers a message.
    pub async fn send(&self, _settings: &Settings, message: &Message, now: Timestamp) -> Result<(), Fault> {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT - 1);
            kept.push_front(Kept { at: now, message: message.clone() });
            return Ok(());
        }
        Err(Fault::Later("not there yet".into()))
    }

    /// What the demo would have sent, the latest first.
    pub fn kept(&self) -> Option<Vec<Kept>> {
        let kept = self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(kept.iter().cloned().collect())
    }
}
