//! What is written down of everything that happens.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{account::ObjectGuid, clock::Timestamp};

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not.
    Failure,
    /// It is about to be done in the directory; its result follows in an event of its own.
    Intent,
}

impl Outcome {
    /// All of them, in the order of their numbers in the store: new ones go to the end.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Intent];
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Enroll.
    Enroll,
    /// Reset.
    Reset,
    /// Unlock.
    Unlock,
    /// Change.
    Change,
    /// The Regain lockout began.
    Lockout,
    /// A way of proving oneself was added or taken away.
    Methods,
    /// A verification code was sent, or could not be.
    CodeSent,
    /// A message was sent, or could not be.
    Message,
    /// Someone signed in to the admin panel.
    SignIn,
    /// Someone's way into the admin panel was changed: an invitation, a second factor, a session.
    Access,
    /// A setting was changed.
    Setting,
    /// The program started.
    Start,
}

impl Action {
    /// All of them, in the order of their numbers in the store: new ones go to the end.
    pub const ALL: [Self; 12] = [
        Self::Enroll,
        Self::Reset,
        Self::Unlock,
        Self::Change,
        Self::Lockout,
        Self::Methods,
        Self::CodeSent,
        Self::Message,
        Self::SignIn,
        Self::Access,
        Self::Setting,
        Self::Start,
    ];
}

/// One event: the columns of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Date and time.
    pub at: Timestamp,
    /// Success or failure.
    pub outcome: Outcome,
    /// Where it came from: `web`, `admin`, `import`, `job`, later also `api`.
    pub source: String,
    /// The user as the directory calls them, or as typed if there is no such account.
    pub user: String,
    /// The domain.
    pub domain: String,
    /// The event.
    pub action: Action,
    /// Why, as a code: a refusal's, a problem's, or empty.
    pub detail: String,
    /// The visitor's address.
    pub source_ip: Option<IpAddr>,
    /// Who did it, when that is not the user: an administrator.
    pub source_user: Option<String>,
    /// The account's objectGUID, if there is one.
    pub account: Option<ObjectGuid>,
    /// The reference number that the visitor was shown.
    pub reference: Option<String>,
}
