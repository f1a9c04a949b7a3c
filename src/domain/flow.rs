//! Where a person is in a flow: what is kept between two pages.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    account::{AccountKey, DomainName},
    clock::Timestamp,
    code::CodeHash,
    contact::EmailAddress,
    enrollment::{Question, Stamp},
    lockout::Subject,
};

/// The things a person can do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Give questions and answers.
    Enroll,
    /// Get a new password without knowing the old one.
    Reset,
    /// End a lockout of the directory.
    Unlock,
    /// Change a known password.
    Change,
}

impl Kind {
    /// All four, in the order of the menu.
    pub const ALL: [Self; 4] = [Self::Reset, Self::Unlock, Self::Change, Self::Enroll];

    /// The word in paths, texts and the contract of the pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Reset => "reset",
            Self::Unlock => "unlock",
            Self::Change => "change",
        }
    }

    /// The kind of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest a flow may take, whatever the idle timeout says.
pub const LONGEST_FLOW: Duration = Duration::from_secs(30 * 60);

/// The shortest idle timeout while someone looks after their ways of proving: an app is installed, codes are printed.
pub const METHODS_IDLE: Duration = Duration::from_secs(15 * 60);

/// A flow under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// Tells this flow from an earlier one in the same browser; part of every form's token.
    pub nonce: [u8; 8],
    /// When it began.
    pub started_at: Timestamp,
    /// When the person last did something.
    pub touched_at: Timestamp,
    /// The name as typed, for showing and for the audit log.
    pub username: String,
    /// The domain it was looked for in.
    pub domain: DomainName,
    /// What was proved so far.
    #[serde(default)]
    pub proved: Vec<Factor>,
    /// Against which enrollment; none if there was none.
    #[serde(default)]
    pub stamp: Option<Stamp>,
    /// No code could be sent, for want of an address.
    #[serde(default)]
    pub no_address: bool,
    /// Steps that were left for another way of proving, and can be come back to.
    #[serde(default)]
    pub parked: Vec<Step>,
    /// The step.
    pub step: Step,
}

impl Flow {
    /// Whether it went on under a new session a moment ago.
    pub fn has_just_moved(&self, now: Timestamp) -> bool {
        self.step == Step::Moved && now.since(self.touched_at) < Duration::from_secs(10)
    }

    /// The mark it leaves behind when it goes on under a new session.
    #[must_use]
    pub fn moved(&self, now: Timestamp) -> Self {
        Self { step: Step::Moved, touched_at: now, ..self.clone() }
    }

    /// Keeps the step, to be come back to.
    pub fn park(&mut self) {
        self.parked.push(self.step.clone());
    }

    /// The step that was left at which that is proved.
    pub fn parked(&self, factor: Factor) -> Option<&Step> {
        self.parked.iter().find(|step| step.factor() == Some(factor))
    }

    /// Takes that step out.
    pub fn unpark(&mut self, factor: Factor) -> Option<Step> {
        let index = self.parked.iter().position(|step| step.factor() == Some(factor))?;
        Some(self.parked.remove(index))
    }

    /// Whether it has ended by idling or by its greatest length. `idle` zero is no idle timeout.
    pub fn is_over(&self, idle: Duration, now: Timestamp) -> bool {
        if idle.is_zero() {
            return now.since(self.started_at) > LONGEST_FLOW;
        }
        let idle = match self.step {
            Step::Methods(_) => idle.max(METHODS_IDLE),
            _ => idle,
        };
        now.since(self.started_at) > LONGEST_FLOW || now.since(self.touched_at) > idle
    }
}

/// What a person can prove themselves with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// Answers to the questions.
    Questions,
    /// A code that was sent.
    Code,
    /// A passkey.
    Passkey,
    /// An authenticator app.
    App,
    /// A recovery code saved before.
    RecoveryCode,
}

impl Factor {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Questions, Self::Code, Self::Passkey, Self::App, Self::RecoveryCode];

    /// Its name among texts and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Questions => "questions",
            Self::Code => "code",
            Self::Passkey => "passkey",
            Self::App => "app",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// The one of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.as_str() == word)
    }

    /// Whether it is something the person holds: to ask for it shows nothing of an account and sends nothing.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Passkey | Self::App | Self::RecoveryCode)
    }
}

/// The step a flow stands at. Steps that need a proof can only be reached through the function that takes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A question is asked.
    Question(Questions),
    /// A verification code is wanted.
    Code(Awaited),
    /// Something the person holds is wanted.
    Held(Held),
    /// Reset: all was proven, a new password is wanted.
    NewPassword {
        /// Whose.
        account: AccountKey,
        /// When it was proved: an enrollment or a reset since then ends it.
        proved_at: Timestamp,
    },
    /// Enroll: the password was proven, questions and answers are wanted.
    Questions {
        /// Whose.
        account: AccountKey,
        /// pwdLastSet when it was proven: with another password it has to be proven anew.
        #[serde(default)]
        password_set: i64,
    },
    /// Enroll: the ways of proving oneself, to be added to and taken from.
    Methods(Methods),
    /// Change: the old and the new password are wanted. Nothing is proven.
    Credentials,
    /// A write to the directory was sent and its result is not yet known here.
    Writing(Writing),
    /// It is done.
    Finished(Ending),
    /// It goes on under a new session, since something was proved. What comes late under the old one (a double click)
    /// is led to the page and does nothing.
    Moved,
}

impl Step {
    /// What is to be proved at it.
    pub const fn factor(&self) -> Option<Factor> {
        match self {
            Self::Question(_) => Some(Factor::Questions),
            Self::Code(_) => Some(Factor::Code),
            Self::Held(held) => Some(held.factor),
            _ => None,
        }
    }

    /// Who is counted against.
    pub const fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Question(questions) => Some(&questions.subject),
            Self::Code(awaited) => Some(&awaited.subject),
            Self::Held(held) => Some(&held.subject),
            _ => None,
        }
    }

    /// The marks of what was typed at it and was wrong.
    pub const fn tried_mut(&mut self) -> Option<&mut Vec<[u8; 8]>> {
        match self {
            Self::Question(questions) => Some(&mut questions.tried),
            Self::Code(awaited) => Some(&mut awaited.tried),
            Self::Held(held) => Some(&mut held.tried),
            _ => None,
        }
    }
}

/// The question step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Questions {
    /// Who is counted against.
    pub subject: Subject,
    /// The question. It is kept here, not only in an enrollment, so that showing it takes the same steps for every
    /// name.
    pub question: Question,
    /// How many there are; for the first question how many are usual, since who has answered none may not know.
    pub total: usize,
    /// Whether an answer can be right.
    pub asked: Asked,
    /// Marks of the wrong answers given to this question: the same one again (a reload, a double click) is neither
    /// tried nor counted twice.
    pub tried: Vec<[u8; 8]>,
}

/// What stands behind a question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A question of an enrollment.
    Enrolled {
        /// Whose enrollment.
        account: AccountKey,
        /// Which enrollment: enrolling again in the meantime ends the flow.
        enrolled_at: Timestamp,
        /// Which of its questions, from 0.
        index: usize,
    },
    /// A question for a name that has none; no answer is right.
    Decoy,
}

/// The code step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Awaited {
    /// Who is counted against.
    pub subject: Subject,
    /// Whose code was sent. Without it none was, and none is right.
    pub account: Option<AccountKey>,
    /// Which enrollment the code was sent for; none if it is to make one.
    pub enrolled_at: Option<Timestamp>,
    /// The hash of the code; for one that was not sent, of none.
    pub hash: CodeHash,
    /// A keyed hash of where it was sent.
    pub destination: [u8; 16],
    /// Where it was sent, masked; only if something was proved before.
    pub shown: Vec<String>,
    /// When.
    pub sent_at: Timestamp,
    /// From when on it is too old.
    pub expires_at: Option<Timestamp>,
    /// How many came before it in this flow.
    pub resent: u32,
    /// Marks of the wrong codes typed: the same one again (a reload, a double click) is neither tried nor counted
    /// twice.
    pub tried: Vec<[u8; 8]>,
}

/// The step at which something is wanted that the person holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Who is counted against.
    pub subject: Subject,
    /// What is wanted.
    pub factor: Factor,
    /// What a passkey is to sign.
    pub challenge: Option<Challenge>,
    /// Marks of the wrong ones given: the same code again (a reload, a double click) is neither tried nor counted twice.
    pub tried: Vec<[u8; 8]>,
}

/// A passkey's challenge, good for one try.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// What the browser is given, as JSON (WebAuthn Level 3, 5.1).
    pub options: String,
    /// What its answer is compared with.
    pub state: String,
}

/// The step at which a person who has proved the password looks after their ways of proving themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Methods {
    /// Whose.
    pub account: AccountKey,
    /// pwdLastSet when the password was proved: with another one it has to be proved anew.
    pub password_set: i64,
    /// What is being added.
    pub adding: Option<Adding>,
    /// What was done last, to be said.
    pub done: Option<MethodChange>,
    /// Whether the person has just enrolled; true within if that ended a Regain lockout.
    pub enrolled: Option<bool>,
    /// Counts the forms, so that none is taken twice.
    pub turn: u32,
}

/// What is being added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adding {
    /// The e-mail address, once a code that was sent there is typed.
    Address(Box<NewAddress>),
    /// An authenticator app, once it shows a right code: its secret, sealed.
    App(String),
    /// A passkey.
    Passkey(Challenge),
    /// Recovery codes, once the person says they are kept: the codes, sealed.
    RecoveryCodes(String),
}

/// An e-mail address that is to be confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewAddress {
    /// The address.
    pub address: EmailAddress,
    /// The code that was sent there.
    pub awaited: Awaited,
}

/// What was done with the ways of proving oneself. The word is the detail in the audit log and the key among the texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodChange {
    /// The e-mail address was confirmed.
    AddressConfirmed,
    /// An authenticator app was added.
    AppAdded,
    /// It was removed.
    AppRemoved,
    /// A passkey was added.
    PasskeyAdded,
    /// One was removed.
    PasskeyRemoved,
    /// Recovery codes were made.
    RecoveryCodesMade,
    /// They were made void.
    RecoveryCodesRemoved,
}

impl MethodChange {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AddressConfirmed,
        Self::AppAdded,
        Self::AppRemoved,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::RecoveryCodesMade,
        Self::RecoveryCodesRemoved,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressConfirmed => "address_confirmed",
            Self::AppAdded => "app_added",
            Self::AppRemoved => "app_removed",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::RecoveryCodesRemoved => "recovery_codes_removed",
        }
    }
}

/// A write under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Writing {
    /// On which account.
    pub account: AccountKey,
    /// What is written.
    pub what: Write,
    /// Since when.
    pub since: Timestamp,
}

/// What is written, with what is needed to find out later whether it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// A reset; pwdLastSet before it, and whether pwdLastSet is 0 after it.
    Reset {
        /// pwdLastSet before.
        before: i64,
        /// When the account was proved.
        proved_at: Timestamp,
        /// Whether a change at next logon is demanded.
        must_change: bool,
    },
    /// A change; pwdLastSet before it.
    Change {
        /// pwdLastSet before.
        before: i64,
    },
    /// An unlock.
    Unlock,
}

/// How a flow ended well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Enrolled; true if that ended a Regain lockout.
    Enrolled {
        /// A Regain lockout was ended.
        cleared_lockout: bool,
    },
    /// The ways of proving oneself were looked after.
    MethodsKept,
    /// They were, but are too few for a reset.
    MethodsMissing,
    /// The password was reset.
    Reset {
        /// It must be changed at next logon.
        must_change: bool,
    },
    /// The account was unlocked; false if it was not locked.
    Unlocked {
        /// It had been locked.
        was_locked: bool,
    },
    /// The password was changed.
    Changed,
}
