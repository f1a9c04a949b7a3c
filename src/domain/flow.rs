//! Where a person is in a flow: what is kept between two pages.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    account::{AccountKey, DomainName},
    clock::Timestamp,
    code::CodeHash,
    enrollment::Question,
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

    /// Whether it has ended by idling or by its greatest length. `idle` zero is no idle timeout.
    pub fn is_over(&self, idle: Duration, now: Timestamp) -> bool {
        now.since(self.started_at) > LONGEST_FLOW || (!idle.is_zero() && now.since(self.touched_at) > idle)
    }
}

/// What a person can prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// That the questions are answered.
    Questions,
    /// That a code arrived.
    Code,
}

/// The step a flow stands at. Steps that need a proof can only be reached through the function that takes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A question is asked.
    Question(Questions),
    /// A verification code is wanted.
    Code(Awaited),
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
    },
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
