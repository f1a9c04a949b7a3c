//! The directory: where accounts live. [`Directory`] is one domain as the flows see it; behind it stand
//! [`active_directory`] (the only place that names ldap3) and [`demo`], and both pass the same contract suite.
//!
//! It answers questions and carries out writes; it must not know who may do what: the flows decide that.

pub mod active_directory;
pub mod demo;
mod matching;

use async_trait::async_trait;

pub use crate::domain::finding::{Finding, Verdict};
use crate::domain::{
    account::{Account, Domain, LogonName, ObjectGuid},
    password_rules::PasswordPolicy,
    secret::Password,
};

/// The most objectGUIDs that are asked about at a time.
pub const MOST_ASKED: usize = 100;

/// One domain of accounts.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The domain's names.
    fn domain(&self) -> &Domain;

    /// The one account of that name; `None` if there is none, or more than one.
    async fn find(&self, name: &LogonName) -> Result<Option<Account>, Error>;

    /// The account of that objectGUID as it is now; `None` if it can't be seen. Also how [`Error::OutcomeUnknown`]
    /// is settled: `password_last_set` and `locked` tell whether the write was carried out.
    async fn load(&self, guid: ObjectGuid) -> Result<Option<Account>, Error>;

    /// The objectGUIDs of all people's accounts, each once, in no order. Disabled ones are among them, computers and
    /// managed service accounts are not. All of them or an error: never a part.
    async fn list(&self) -> Result<Vec<ObjectGuid>, Error>;

    /// Those of the objectGUIDs, [`MOST_ASKED`] at most, that objects of the domain have, wherever in it they are. All of
    /// them or an error: never a part. The others were not seen, which may have other causes than that they are gone:
    /// [`Self::probe`] and [`Self::load`] tell more.
    async fn existing(&self, guids: &[ObjectGuid]) -> Result<Vec<ObjectGuid>, Error>;

    /// An error unless the directory answers, and shows what it has: the service account has to find itself in it.
    async fn probe(&self) -> Result<(), Error>;

    /// The domain's password policy: that of everybody for whom there is no fine-grained one.
    async fn policy(&self) -> Result<PasswordPolicy, Error>;

    /// The security groups that are looked for, by name, at most [`Group::MOST`]. Nested ones and those that every
    /// controller has are among them.
    async fn find_groups(&self, wanted: Groups<'_>) -> Result<Vec<Group>, Error>;

    /// Whether this is the account's password. A wrong one counts towards the lockout in the directory.
    /// The check runs on a connection of its own and never leaves an identity behind. It is made once: after
    /// [`Error::Unavailable`] a wrong password may still have been counted.
    async fn verify_password(&self, account: &Account, password: &Password) -> Result<PasswordCheck, Error>;

    /// A real change: old and new together, so that all rules of the directory apply.
    /// A wrong old password counts towards the lockout.
    async fn change_password(&self, account: &Account, old: &Password, new: &Password) -> Result<(), Error>;

    /// Sets a new password, unlocks, and optionally demands a change at next logon; all of it or nothing.
    async fn reset_password(
        &self,
        account: &Account,
        new: &Password,
        options: ResetOptions,
    ) -> Result<(), Error>;

    /// Ends a lockout; does no harm to an account that is not locked.
    async fn unlock(&self, account: &Account) -> Result<(), Error>;

    /// Looks at connection, certificate, service account and rights, for `regain check`: one finding a line.
    async fn examine(&self) -> Vec<Finding>;

    /// Its controllers, and whether each answered when it was last asked; nobody is asked for this.
    fn controllers(&self) -> Vec<(String, bool)>;

    /// Which controllers there are and what certificates they show, before anybody is trusted with a password.
    async fn survey(&self) -> Result<Vec<Seen>, Error>;

    /// The domain's names as the directory itself has them.
    async fn names(&self) -> Result<Domain, Error>;
}

/// Which groups are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Groups<'a> {
    /// Those that have this in their name or description, in whatever case; nothing finds nothing.
    Named(&'a str),
    /// The one of this SID.
    WithSid(&'a str),
}

/// A security group, as those see it who choose one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The SID: what is kept of it.
    pub sid: String,
    /// sAMAccountName.
    pub name: String,
    /// What it is for, in the words of those who made it.
    pub description: String,
    /// Where it is.
    pub distinguished_name: String,
}

impl Group {
    /// The most that are shown of a search.
    pub const MOST: usize = 50;
}

/// What a check of a password told. All but the last two prove that the password is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordCheck {
    /// Right, and good for logging on.
    Right,
    /// Right, but expired or to be changed at next logon.
    RightButMustChange,
    /// Right, but the account is disabled.
    RightButDisabled,
    /// Right, but the account has expired.
    RightButAccountExpired,
    /// Right, but not at this hour or from this computer; of no concern to Regain.
    RightButRestricted,
    /// Wrong, or the name is unknown to the directory.
    Wrong,
    /// The account is locked out; the directory did not look at the password.
    LockedOut,
}

/// What else a reset does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResetOptions {
    /// Demand a change at next logon (pwdLastSet = 0).
    pub must_change_at_logon: bool,
    /// Enforce password history and minimum age where the controller offers it (MS-ADTS 3.1.1.3.4.1.27).
    pub enforce_history: bool,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory refused: nothing was changed.
    #[error("the directory refused: {0:?} ({1})")]
    Refused(Refused, String),
    /// It could not be reached or was too slow, and nothing was changed.
    #[error("the directory is unavailable: {0}")]
    Unavailable(String),
    /// A write was sent and its answer never came: it may or may not have been carried out.
    #[error("the outcome of a write is unknown: {0}")]
    OutcomeUnknown(String),
    /// An answer that makes no sense; nothing was changed.
    #[error("unexpected answer of the directory: {0}")]
    Unexpected(String),
}

/// The reasons of a refusal that mean something to Regain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The old password of a change is wrong.
    WrongPassword,
    /// The account is locked out.
    LockedOut,
    /// The new password breaks the policy; which rule, if the directory told.
    Policy(Option<Rule>),
    /// The service account lacks a right.
    InsufficientRights,
    /// The account may not change its own password.
    MayNotChange,
    /// The account is gone.
    Gone,
}

/// A rule that a new password can break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Too short.
    Length,
    /// Too few character classes.
    Complexity,
    /// Used before.
    History,
    /// The present one is too young.
    MinimumAge,
}

/// A controller, as it looks from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// `dc1.corp.example:636`.
    pub controller: String,
    /// Its certificate and those above it, as it shows them.
    pub chain: Vec<Certificate>,
    /// How that stands, in words.
    pub finding: Finding,
}

/// A certificate that a controller shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends.
    pub ends: String,
    /// SHA-256 of all of it, as two hexadecimal digits each with colons between them.
    pub fingerprint: String,
    /// Whether it may issue others.
    pub is_authority: bool,
    /// All of it, in PEM.
    pub pem: String,
}
