//! What Regain knows of a person who enrolled, and which question a stranger is shown.

use serde::{Deserialize, Serialize};

use super::{
    answer::AnswerHash, clock::Timestamp, code::CodeHash, contact::EmailAddress, field::Problem, flow::Factor,
};

/// A question in the words in which it was chosen or written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Question(String);

impl Question {
    /// The most characters a question may have.
    pub const MAXIMUM_CHARACTERS: usize = 200;

    /// A question from the list.
    pub fn choose<'a>(text: &str, mut lists: impl Iterator<Item = &'a String>) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::QuestionNotChosen);
        }
        if lists.any(|listed| listed == text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::QuestionUnknown)
        }
    }

    /// A question in the user's own words: ten letters or digits at least.
    pub fn write(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Problem::FieldEmpty);
        }
        if text.chars().count() > Self::MAXIMUM_CHARACTERS {
            return Err(Problem::FieldTooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(Problem::FieldHasControlCharacters);
        }
        if text.chars().filter(|c| c.is_alphanumeric()).count() < 10 {
            return Err(Problem::QuestionTooShort);
        }
        Ok(Self(text.to_owned()))
    }

    /// The question shown for a name that has none, always the same for the same name: the one whose `rank` is
    /// highest, so that editing the list moves as few names as possible.
    pub fn decoy<'a, R: Ord>(list: &'a [String], rank: impl Fn(&'a str) -> R) -> Self {
        Self(list.iter().map(String::as_str).max_by_key(|text| rank(text)).unwrap_or_default().to_owned())
    }

    /// The question's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A question with the hash of its answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnrolledQuestion {
    /// The question.
    pub question: Question,
    /// The keyed hash of the answer.
    pub hash: AnswerHash,
}

/// An enrollment; kept under the account's domain and objectGUID.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enrollment {
    /// sAMAccountName when last seen, for showing only.
    pub account_name: String,
    /// Questions and answers, in the order in which they are asked.
    pub questions: Vec<EnrolledQuestion>,
    /// Whether it came from a reset or unlock with a code alone. It has no questions then.
    #[serde(default)]
    pub automatic: bool,
    /// The address given to Regain.
    pub email: Option<EmailAddress>,
    /// Whether a code that was sent there came back.
    #[serde(default)]
    pub email_confirmed: bool,
    /// The authenticator app.
    #[serde(default)]
    pub app: Option<App>,
    /// The passkeys, in the order in which they were added.
    #[serde(default)]
    pub passkeys: Vec<Passkey>,
    /// The recovery codes that are left.
    #[serde(default)]
    pub recovery_codes: Option<RecoveryCodes>,
    /// The language last used in a flow that succeeded.
    pub language: Option<String>,
    /// When the person last enrolled.
    pub enrolled_at: Timestamp,
    /// Counts the enrollments and the changes to the ways of proving oneself.
    #[serde(default)]
    pub revision: u32,
    /// When the password was last reset here.
    pub reset_at: Option<Timestamp>,
    /// When the account was last unlocked here.
    pub unlocked_at: Option<Timestamp>,
    /// When the password was last changed here.
    pub changed_at: Option<Timestamp>,
}

impl Enrollment {
    /// With nothing in it.
    pub const fn blank(account_name: String, enrolled_at: Timestamp) -> Self {
        Self {
            account_name,
            questions: Vec::new(),
            automatic: false,
            email: None,
            email_confirmed: false,
            app: None,
            passkeys: Vec::new(),
            recovery_codes: None,
            language: None,
            enrolled_at,
            revision: 0,
            reset_at: None,
            unlocked_at: None,
            changed_at: None,
        }
    }

    /// When the account was last there, as far as this tells.
    pub fn last_used_at(&self) -> Timestamp {
        let used = [self.reset_at, self.unlocked_at, self.changed_at];
        used.into_iter().flatten().fold(self.enrolled_at, Timestamp::max)
    }

    /// What is proved against this is worth nothing against another.
    pub const fn stamp(&self) -> Stamp {
        Stamp { enrolled_at: self.enrolled_at, revision: self.revision }
    }

    /// Whether the person has chosen this way. Recovery codes are chosen even when all are used.
    pub fn has_chosen(&self, factor: Factor) -> bool {
        self.has(factor) || (factor == Factor::RecoveryCode && self.recovery_codes.is_some())
    }

    /// Whether the person can prove themselves so with what is kept here; a code that is sent is not.
    pub fn has(&self, factor: Factor) -> bool {
        match factor {
            Factor::Questions => !self.questions.is_empty(),
            Factor::Code => false,
            Factor::Passkey => !self.passkeys.is_empty(),
            Factor::App => self.app.is_some(),
            Factor::RecoveryCode => self.recovery_codes.as_ref().is_some_and(|codes| !codes.left.is_empty()),
        }
    }
}

/// Which enrollment it is, and in which state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    enrolled_at: Timestamp,
    revision: u32,
}

/// An authenticator app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct App {
    /// Its secret, sealed.
    pub sealed: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// The step of the code that was taken last: neither it nor one before it is taken again (RFC 6238 5.2).
    pub last_step: u64,
}

/// A passkey.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Passkey {
    /// Its credential ID, as base64url.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Public key, counter and what else is needed to know it again, as JSON.
    pub credential: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

impl Passkey {
    /// The most that one person may have.
    pub const MOST: usize = 10;
    /// The most characters of a name.
    pub const MAXIMUM_CHARACTERS: usize = 40;
}

/// Recovery codes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecoveryCodes {
    /// Keyed hashes of those not yet used.
    pub left: Vec<CodeHash>,
    /// When they were made.
    pub made_at: Timestamp,
}

impl RecoveryCodes {
    /// So many are made at a time.
    pub const NUMBER: usize = 8;
    /// Characters of one, 75 random bits; NIST SP 800-63B-4 4.2.1.1 asks for 64.
    pub const LENGTH: usize = 15;
}
