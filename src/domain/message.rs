//! What people are told outside the pages: by e-mail or text message.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    account::{AccountKey, DomainName},
    audit::{Action, Event, Outcome},
    clock::Timestamp,
    contact::{EmailAddress, PhoneNumber},
};

/// What a message is about. Each has templates of its own, and a switch in the settings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A verification code.
    Code,
    /// A code that confirms the address it is sent to.
    Confirmation,
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
    /// The ways of proving oneself were changed.
    Methods,
    /// An app for signing in to the admin panel was set up.
    AdminAccess,
    /// As many text messages were sent as may be.
    TextMessageCap,
    /// Sent on request, to see whether it arrives.
    Trial,
    /// Not enrolled yet.
    EnrollReminder,
    /// The password is about to run out.
    ExpiryReminder,
    /// The certificate of the pages is about to run out.
    CertificateExpiry,
    /// A backup could not be made by itself.
    BackupFailed,
}

impl Topic {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::Code,
        Self::Confirmation,
        Self::Enroll,
        Self::EnrollFailed,
        Self::Reset,
        Self::ResetFailed,
        Self::Unlock,
        Self::UnlockFailed,
        Self::Change,
        Self::ChangeFailed,
        Self::Lockout,
        Self::Methods,
        Self::AdminAccess,
        Self::TextMessageCap,
        Self::Trial,
        Self::EnrollReminder,
        Self::ExpiryReminder,
        Self::CertificateExpiry,
        Self::BackupFailed,
    ];

    /// The alert about an event; `None` if there is none.
    pub const fn of(action: Action, outcome: Outcome) -> Option<Self> {
        Some(match (action, outcome) {
            (_, Outcome::Intent)
            | (
                Action::Start
                | Action::Retention
                | Action::Verify
                | Action::Backup
                | Action::Restore
                | Action::Message
                | Action::CodeSent
                | Action::Setting
                | Action::SignIn
                | Action::Access
                | Action::Token
                | Action::LockoutCleared
                | Action::Export,
                _,
            )
            | (Action::Lockout | Action::Methods | Action::EnrollmentDeleted, Outcome::Failure) => {
                return None;
            }
            (Action::Enroll, Outcome::Success) => Self::Enroll,
            (Action::Enroll, Outcome::Failure) => Self::EnrollFailed,
            (Action::Reset, Outcome::Success) => Self::Reset,
            (Action::Reset, Outcome::Failure) => Self::ResetFailed,
            (Action::Unlock, Outcome::Success) => Self::Unlock,
            (Action::Unlock, Outcome::Failure) => Self::UnlockFailed,
            (Action::Change, Outcome::Success) => Self::Change,
            (Action::Change, Outcome::Failure) => Self::ChangeFailed,
            (Action::Lockout, Outcome::Success) => Self::Lockout,
            // What one could prove oneself with is gone.
            (Action::Methods | Action::EnrollmentDeleted, Outcome::Success) => Self::Methods,
        })
    }

    /// Its name among templates and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Confirmation => "confirmation",
            Self::Enroll => "enroll",
            Self::EnrollFailed => "enroll_failed",
            Self::Reset => "reset",
            Self::ResetFailed => "reset_failed",
            Self::Unlock => "unlock",
            Self::UnlockFailed => "unlock_failed",
            Self::Change => "change",
            Self::ChangeFailed => "change_failed",
            Self::Lockout => "lockout",
            Self::Methods => "methods",
            Self::AdminAccess => "admin_access",
            Self::TextMessageCap => "text_message_cap",
            Self::Trial => "trial",
            Self::EnrollReminder => "enroll_reminder",
            Self::ExpiryReminder => "expiry_reminder",
            Self::CertificateExpiry => "certificate_expiry",
            Self::BackupFailed => "backup_failed",
        }
    }
}

impl Topic {
    /// Whether it brings a code.
    pub const fn has_code(self) -> bool {
        matches!(self, Self::Code | Self::Confirmation)
    }

    /// Whether it is for those who run this, and not for the person it is about.
    pub const fn is_alarm(self) -> bool {
        matches!(self, Self::TextMessageCap | Self::Trial | Self::CertificateExpiry | Self::BackupFailed)
    }

    /// The folder of its templates.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Code | Self::Confirmation => "code",
            Self::TextMessageCap | Self::Trial => "alarm",
            Self::CertificateExpiry | Self::BackupFailed => "upkeep",
            other => other.as_str(),
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
    /// `[CODE]`, for the topics that have one.
    pub code: Option<String>,
    /// For how many minutes the code is good; 0 without end.
    pub minutes: u32,
    /// `[DAYS]`: in how many days the password runs out.
    pub days: u32,
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

impl Mail {
    /// One mail that says it in two languages; as text only.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        if self.subject == other.subject && self.text == other.text {
            return self;
        }
        Self {
            subject: format!("{} / {}", self.subject, other.subject),
            text: format!("{}\n\n-----\n\n{}", self.text.trim_end(), other.text),
            html: None,
            ..self
        }
    }
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
    /// Which way it goes.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
        }
    }

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
    /// The account; none if it is about this machine.
    pub account: Option<AccountKey>,
    /// sAMAccountName.
    pub user: String,
    /// What it is about.
    pub topic: Topic,
    /// From where it was asked for.
    pub source_ip: Option<IpAddr>,
}

impl Concern {
    /// Whom and what an event is about, if people are told of such events.
    pub fn of(event: &Event) -> Option<Self> {
        let guid = event.account?;
        let topic = Topic::of(event.action, event.outcome)?;
        let account = AccountKey { domain: DomainName::new(&event.domain), guid };
        Some(Self { account: Some(account), user: event.user.clone(), topic, source_ip: event.source_ip })
    }

    /// The domain.
    pub fn domain(&self) -> Option<&DomainName> {
        self.account.as_ref().map(|account| &account.domain)
    }
}

/// Something that is yet to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Errand {
    /// Whom and what it is about.
    pub concern: Concern,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// After this it is not told any more.
    pub expires_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Not before this.
    pub due_at: Timestamp,
    /// What is to be done.
    pub task: Task,
}

impl Errand {
    /// Whom a message goes to; not known yet of an alert.
    pub const fn recipient(&self) -> Option<[u8; 16]> {
        match &self.task {
            Task::Send { recipient, .. } => Some(*recipient),
            Task::Alert { .. } => None,
        }
    }
}

/// What is to be done about something that is yet to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Find out who is to be told of it, and in which language.
    Alert {
        /// The language of the page, which anyone may have chosen.
        page_language: Option<String>,
        /// An address that was the person's until then: who reads it is told as well.
        #[serde(default)]
        former_address: Option<EmailAddress>,
    },
    /// Send a message.
    Send {
        /// Which way.
        channel: Channel,
        /// A keyed hash of the recipient: what goes to one goes in order.
        recipient: [u8; 16],
        /// The [`Message`], sealed.
        sealed: String,
    },
}

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// By e-mail.
    Mail,
    /// By text message.
    Sms,
}

impl Channel {
    /// Its name in settings and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Sms => "sms",
        }
    }
}
