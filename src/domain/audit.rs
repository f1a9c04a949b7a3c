//! What is written down of everything that happens.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    account::ObjectGuid,
    clock::Timestamp,
    filter::{Cell, Column, Kind, Row},
};

/// The words of all variants, in their order.
macro_rules! words {
    ($of:ident) => {{
        let mut words = [""; $of::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = $of::ALL[at].as_str();
            at += 1;
        }
        words
    }};
}

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
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

    /// Its word in filters, exports, and among the texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Intent => "intent",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
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
    /// Events were dropped, as their time was over.
    Retention,
    /// A token of the API was made or taken back.
    Token,
    /// Somebody's Regain lockout was ended for them.
    LockoutCleared,
    /// Somebody's enrollment was deleted.
    EnrollmentDeleted,
    /// A table was exported.
    Export,
    /// The log was verified.
    Verify,
    /// A backup was made, or could not be.
    Backup,
    /// A backup was put back.
    Restore,
}

impl Action {
    /// All of them, in the order of their numbers in the store: new ones go to the end.
    pub const ALL: [Self; 20] = [
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
        Self::Retention,
        Self::Token,
        Self::LockoutCleared,
        Self::EnrollmentDeleted,
        Self::Export,
        Self::Verify,
        Self::Backup,
        Self::Restore,
    ];

    /// Its word in filters, exports, and among the texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Reset => "reset",
            Self::Unlock => "unlock",
            Self::Change => "change",
            Self::Lockout => "lockout",
            Self::Methods => "methods",
            Self::CodeSent => "code_sent",
            Self::Message => "message",
            Self::SignIn => "sign_in",
            Self::Access => "access",
            Self::Setting => "setting",
            Self::Start => "start",
            Self::Retention => "retention",
            Self::Token => "token",
            Self::LockoutCleared => "lockout_cleared",
            Self::EnrollmentDeleted => "enrollment_deleted",
            Self::Export => "export",
            Self::Verify => "verify",
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }
}

/// One event: the columns of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Date and time.
    pub at: Timestamp,
    /// Success or failure.
    pub outcome: Outcome,
    /// Where it came from: `web`, `admin`, `import`, `job`, `api`.
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
    /// Who did it, when that is not the user: an administrator, or the name of a token.
    pub source_user: Option<String>,
    /// The account's objectGUID, if there is one.
    pub account: Option<ObjectGuid>,
    /// The reference number that the visitor was shown.
    pub reference: Option<String>,
}

/// An event of the log, with its number there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Numbered {
    /// Its number, from 1.
    pub number: u64,
    /// The event.
    pub event: Event,
}

/// The columns of the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventColumn {
    /// Date and time.
    At,
    /// Success or failure.
    Outcome,
    /// The event.
    Action,
    /// Where it came from.
    Source,
    /// The user.
    User,
    /// The domain.
    Domain,
    /// Why.
    Detail,
    /// The visitor's address.
    SourceIp,
    /// Who did it.
    SourceUser,
    /// The account's objectGUID.
    Account,
    /// The reference number.
    Reference,
}

/// The words of the outcomes.
const OUTCOMES: [&str; Outcome::ALL.len()] = words!(Outcome);
/// The words of the events.
const ACTIONS: [&str; Action::ALL.len()] = words!(Action);

impl Column for EventColumn {
    const ALL: &'static [Self] = &[
        Self::At,
        Self::Outcome,
        Self::Action,
        Self::Source,
        Self::User,
        Self::Domain,
        Self::Detail,
        Self::SourceIp,
        Self::SourceUser,
        Self::Account,
        Self::Reference,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::At => "at",
            Self::Outcome => "outcome",
            Self::Action => "event",
            Self::Source => "source",
            Self::User => "user",
            Self::Domain => "domain",
            Self::Detail => "detail",
            Self::SourceIp => "source_ip",
            Self::SourceUser => "source_user",
            Self::Account => "account",
            Self::Reference => "reference",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::At => Kind::Time,
            Self::Outcome => Kind::Words(&OUTCOMES),
            Self::Action => Kind::Words(&ACTIONS),
            _ => Kind::Text,
        }
    }
}

impl Row for Numbered {
    type Column = EventColumn;

    fn cell(&self, column: EventColumn) -> Cell {
        let event = &self.event;
        match column {
            EventColumn::At => Cell::Time(event.at),
            EventColumn::Outcome => Cell::text(event.outcome.as_str()),
            EventColumn::Action => Cell::text(event.action.as_str()),
            EventColumn::Source => Cell::text(&event.source),
            EventColumn::User => Cell::text(&event.user),
            EventColumn::Domain => Cell::text(&event.domain),
            EventColumn::Detail => Cell::text(&event.detail),
            EventColumn::SourceIp => event.source_ip.map_or(Cell::Empty, |ip| Cell::Text(ip.to_string())),
            EventColumn::SourceUser => Cell::text(event.source_user.as_deref().unwrap_or_default()),
            EventColumn::Account => event.account.map_or(Cell::Empty, |guid| Cell::Text(guid.to_string())),
            EventColumn::Reference => Cell::text(event.reference.as_deref().unwrap_or_default()),
        }
    }

    fn identity(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }
}
