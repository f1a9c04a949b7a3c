//! Whether messages would go out, for `regain check`: as far as can be seen without sending one.

use super::{mail, sms};
use crate::{domain::message::Channel, settings::Settings};

/// What was found of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing goes out this way.
    Off,
    /// It would work, as far as can be seen; how.
    Good(String),
    /// It would not, and why.
    Bad(String),
}

impl From<Result<String, String>> for Standing {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(text) => Self::Good(text),
            Err(text) => Self::Bad(text),
        }
    }
}

/// Looks at a channel.
pub async fn examine(settings: &Settings, channel: Channel) -> Standing {
    match channel {
        Channel::Mail => mail::examine(&settings.mail).await,
        Channel::Sms => sms::examine(&settings.sms),
    }
}
