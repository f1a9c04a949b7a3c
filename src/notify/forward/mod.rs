//! Events of the audit log, sent on to where others watch: a syslog server, a webhook.
//!
//! Must not know which events were sent on before.

mod syslog;
mod webhook;

use super::Standing;
use crate::{
    domain::{audit::Numbered, clock::Timestamp},
    settings::Settings,
};
pub use syslog::Connection;

/// The longest time for one attempt, in seconds.
const LIMIT: u64 = 20;

/// Where events are sent on to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A syslog server.
    Syslog,
    /// A webhook.
    Webhook,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Syslog, Self::Webhook];

    /// Its name in the store and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Webhook => "webhook",
        }
    }

    /// Whether events go that way.
    pub const fn is_on(self, settings: &Settings) -> bool {
        match self {
            Self::Syslog => settings.audit.syslog_server.is_some(),
            Self::Webhook => settings.audit.webhook_url.is_some(),
        }
    }

    /// So many events are sent at once, at most.
    pub const fn most(self) -> usize {
        match self {
            Self::Syslog => 200,
            Self::Webhook => 50,
        }
    }

    /// Looks whether they would arrive, as far as can be seen without sending one.
    pub async fn examine(self, settings: &Settings) -> Standing {
        match self {
            _ if !self.is_on(settings) => Standing::Off,
            Self::Syslog => syslog::examine(&settings.audit).await.into(),
            Self::Webhook => webhook::examine(&settings.audit).await.into(),
        }
    }

    /// Sends some events; why they have to be sent again, if they have to be. `connection` is kept from one time to the
    /// next.
    pub async fn send(
        self,
        settings: &Settings,
        host: &str,
        events: &[Numbered],
        now: Timestamp,
        connection: &mut Option<Connection>,
    ) -> Result<(), String> {
        match self {
            Self::Syslog => syslog::send(&settings.audit, host, events, connection).await,
            Self::Webhook => webhook::send(&settings.audit, events, now).await,
        }
    }
}
