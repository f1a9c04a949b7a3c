//! What people are told outside the pages: by e-mail or text message.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    account::{AccountKey, DomainName},
    audit::Outcome,
    clock::Timestamp,
    contact::{EmailAddress, PhoneNumber},
    flow::Kind,
};

/// What a message is about. Each has templates of its own, and a switch in the settings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A verification code.
    Code,
    /// Enrolled.
    Enroll,
    /// Tried to enroll in vain.
    EnrollFailed,
    /// The password was reset.
    Reset,
    /// Tried to reset in vain.
    ResetFailed,
    /// The account was unlocked.
    Unlock,
    /// Tried to unlock in vain.
    UnlockFailed,
    /// The password was changed.
    Change,
    /// Tried to change in vain.
    ChangeFailed,
    /// The Regain lockout began.
    Lockout,
}

impl Topic {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Code,
        Self::Enroll,
        Self::EnrollFailed,
        Self::Reset,
        Self::ResetFailed,
        Self::Unlock,
        Self::UnlockFailed,
        Self::Change,
        Self::ChangeFailed,
        Self::Lockout,
    ];

    /// The alert about how a flow went; `None` for what is only about to happen.
    pub const fn of(kind: Kind, outcome: Outcome) -> Option<Self> {
        Some(match (kind, outcome) {
            (_, Outcome::Intent) => return None,
            (Kind::Enroll, Outcome::Success) => Self::Enroll,
            (Kind::Enroll, Outcome::Failure) => Self::EnrollFailed,
            (Kind::Reset, Outcome::Success) => Self::Reset,
            (Kind::Reset, Outcome::Failure) => Self::ResetFailed,
            (Kind::Unlock, Outcome::Success) => Self::Unlock,
            (Kind::Unlock, Outcome::Failure) => Self::UnlockFailed,
            (Kind::Change, Outcome::Success) => Self::Change,
            (Kind::Change, Outcome::Failure) => Self::ChangeFailed,
        })
    }

    /// Its name among templates and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Enroll => "enroll",
            Self::EnrollFailed => "enroll_failed",
            Self::Reset => "reset",
            Self::ResetFailed => "reset_failed",
            Self::Unlock => "unlock",
            Self::UnlockFailed => "unlock_failed",
            Self::Change => "change",
            Self::ChangeFailed => "change_failed",
            Self::Lockout => "lockout",
        }
    }
}

/// What a message can tell, for the macros of its template.
#[derive(Clone)]
pub struct Facts {
    /// `[AD_USER]`: sAMAccountName.
    pub user: String,
    /// `[AD_DOMAIN]`: the NetBIOS name.
    pub domain: String,
    /// `[TIME]`.
    pub at: Timestamp,
    /// `[SOURCE_IP]`: where it came from.
    pub source_ip: Option<IpAddr>,
    /// `[CODE]`, for the topic that has one.
    pub code: Option<String>,
    /// For how many minutes the code is good; 0 without end.
    pub minutes: u32,
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("user", &self.user)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// An e-mail, ready to be sent. May have a code in it: it is kept sealed only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The left part of its Message-ID (RFC 5322 3.6.4): the same however often it is sent.
    pub id: String,
    /// The one recipient.
    pub to: EmailAddress,
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML, if the template has it.
    pub html: Option<String>,
}

/// A text message, ready to be sent. Has a code in it: it is kept sealed only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// The recipient.
    pub to: PhoneNumber,
    /// The text.
    pub text: String,
    /// `[CODE]`.
    pub code: String,
    /// `[USERNAME]`: sAMAccountName.
    pub user: String,
    /// `[DOMAIN]`: the NetBIOS name.
    pub domain: String,
    /// `[LANG]`: the language's code.
    pub language: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail(…)")
    }
}

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sms(…)")
    }
}

/// A message, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// By e-mail.
    Mail(Mail),
    /// By text message.
    Sms(Sms),
}

impl Message {
    /// Where it goes.
    pub fn to(&self) -> &str {
        match self {
            Self::Mail(mail) => mail.to.as_str(),
            Self::Sms(sms) => sms.to.as_str(),
        }
    }
}

/// Whom a message is about, for the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Concern {
    /// The account.
    pub account: AccountKey,
    /// sAMAccountName.
    pub user: String,
    /// What it is about.
    pub topic: Topic,
    /// From where it was asked for.
    pub source_ip: Option<IpAddr>,
}

impl Concern {
    /// The domain.
    pub const fn domain(&self) -> &DomainName {
        &self.account.domain
    }
}
