//! A person who enrolled, as the console lists them.

use super::{
    account::AccountKey,
    clock::Timestamp,
    filter::{Cell, Column, Kind, Row},
};

/// How it stands with someone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Enrolled.
    Enrolled,
    /// By a code alone, without questions.
    Automatic,
    /// Locked out of Regain.
    Locked,
    /// Both.
    AutomaticLocked,
}

impl State {
    const WORDS: [&'static str; 4] = ["enrolled", "automatic", "locked", "automatic_locked"];

    /// Its word in filters, exports, and among the texts.
    pub const fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// A row of the users' table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Who it is.
    pub account: AccountKey,
    /// sAMAccountName when last seen.
    pub name: String,
    /// The address given to Regain.
    pub email: Option<String>,
    /// Whether it came from a code alone.
    pub is_automatic: bool,
    /// Since when they are locked out of Regain, whatever the settings say of that now.
    pub locked_at: Option<Timestamp>,
    /// When they last enrolled.
    pub enrolled_at: Timestamp,
    /// When the password was last reset here.
    pub reset_at: Option<Timestamp>,
    /// When the account was last unlocked here.
    pub unlocked_at: Option<Timestamp>,
    /// When the password was last changed here.
    pub changed_at: Option<Timestamp>,
}

impl User {
    /// How it stands with them.
    pub const fn state(&self) -> State {
        match (self.is_automatic, self.locked_at.is_some()) {
            (false, false) => State::Enrolled,
            (true, false) => State::Automatic,
            (false, true) => State::Locked,
            (true, true) => State::AutomaticLocked,
        }
    }
}

/// The columns of the users' table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserColumn {
    /// sAMAccountName.
    User,
    /// The domain's DNS name.
    Domain,
    /// The address given to Regain.
    Email,
    /// The last time of each.
    Enrolled,
    /// The last reset.
    Reset,
    /// The last unlock.
    Unlocked,
    /// The last change.
    Changed,
    /// How it stands with them.
    State,
    /// The account's objectGUID.
    Account,
}

impl Column for UserColumn {
    const ALL: &'static [Self] = &[
        Self::User,
        Self::Domain,
        Self::Email,
        Self::Enrolled,
        Self::Reset,
        Self::Unlocked,
        Self::Changed,
        Self::State,
        Self::Account,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Domain => "domain",
            Self::Email => "email",
            Self::Enrolled => "enrolled",
            Self::Reset => "reset",
            Self::Unlocked => "unlocked",
            Self::Changed => "changed",
            Self::State => "state",
            Self::Account => "account",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Enrolled | Self::Reset | Self::Unlocked | Self::Changed => Kind::Time,
            Self::State => Kind::Words(&State::WORDS),
            Self::User | Self::Domain | Self::Email | Self::Account => Kind::Text,
        }
    }
}

impl Row for User {
    type Column = UserColumn;

    fn cell(&self, column: UserColumn) -> Cell {
        match column {
            UserColumn::User => Cell::text(&self.name),
            UserColumn::Domain => Cell::text(self.account.domain.as_str()),
            UserColumn::Email => Cell::text(self.email.as_deref().unwrap_or_default()),
            UserColumn::Enrolled => Cell::Time(self.enrolled_at),
            UserColumn::Reset => Cell::time(self.reset_at),
            UserColumn::Unlocked => Cell::time(self.unlocked_at),
            UserColumn::Changed => Cell::time(self.changed_at),
            UserColumn::State => Cell::text(self.state().as_str()),
            UserColumn::Account => Cell::Text(self.account.guid.to_string()),
        }
    }

    fn identity(&self) -> Vec<u8> {
        [self.account.domain.as_str().as_bytes(), &[0], self.account.guid.bytes()].concat()
    }
}
