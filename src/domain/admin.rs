//! Who may use the admin panel, and as what.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    account::{Account, AccountKey},
    clock::Timestamp,
    enrollment::{App, Passkey},
    flow::Challenge,
    slow_hash::SlowHash,
};

/// What someone may do in the panel. A greater one may all that a lesser one may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See, and change nothing.
    Auditor,
    /// See users and events, clear a Regain lockout, delete an enrollment.
    HelpDesk,
    /// Everything.
    Administrator,
}

impl Role {
    /// The word among the texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::HelpDesk => "help_desk",
            Self::Administrator => "administrator",
        }
    }
}

/// Who it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AdminId {
    /// The one account of Regain itself, for the day no directory answers.
    Local,
    /// An account of a directory.
    Account(AccountKey),
}

/// The account of Regain itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocalAdmin {
    /// Its name.
    pub name: String,
    /// The hash of its password.
    pub hash: SlowHash,
    /// When it was made.
    pub made_at: Timestamp,
}

impl LocalAdmin {
    /// The fewest characters of its password.
    pub const LEAST_CHARACTERS: usize = 12;
    /// The most characters of its name.
    pub const MOST_CHARACTERS: usize = 64;
}

/// An administrator's second factor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The name of its owner when last seen, for showing only.
    #[serde(default)]
    pub name: String,
    /// The authenticator app: the way that needs no script, and is always there.
    pub app: App,
    /// The passkeys, in the order in which they were added.
    #[serde(default)]
    pub passkeys: Vec<Passkey>,
}

/// A link that lets its finder make the account of Regain itself, once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetupLink {
    /// SHA-256 of the token in it.
    pub hash: [u8; 32],
    /// Until when.
    pub until: Timestamp,
}

impl SetupLink {
    /// So long a link is good.
    pub const LIFE: Duration = Duration::from_secs(60 * 60);
}

/// A link by which someone who may use the panel sets up their first second factor, once. It opens nothing without their
/// password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// For whom, as `CORP\mary` or `mary@corp.example`; `None` for whoever may use the panel.
    pub name: Option<String>,
    /// Who made it.
    pub by: String,
    /// Until when.
    pub until: Timestamp,
}

impl Invitation {
    /// So long it is good.
    pub const LIFE: Duration = Duration::from_secs(60 * 60);

    /// Whether that account is meant.
    pub fn is_for(&self, account: &Account) -> bool {
        let Some(name) = self.name.as_deref().map(str::to_lowercase) else { return true };
        let names = [Some(account.qualified_name()), account.user_principal_name.clone()];
        names.into_iter().flatten().any(|own| own.to_lowercase() == name)
    }
}

/// A session of the panel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdminSession {
    /// Whose.
    pub who: AdminId,
    /// The name, for showing and for the audit log.
    pub name: String,
    /// What they may do, as of the last look.
    pub role: Role,
    /// How far they have come.
    pub stage: Stage,
    /// When it began.
    pub began_at: Timestamp,
    /// When they last did something.
    pub touched_at: Timestamp,
    /// When they last showed a code of their app.
    pub proved_at: Timestamp,
    /// When the account of Regain itself was made that it belongs to: made anew, it is another one.
    pub local_made_at: Option<Timestamp>,
    /// When it was last made sure that they still may.
    pub checked_at: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// The hash of the token of the invitation they came by.
    #[serde(default)]
    pub invitation: Option<[u8; 32]>,
    /// What a passkey is to sign, once.
    #[serde(default)]
    pub asked: Option<Challenge>,
    /// What a new passkey is to be made for.
    #[serde(default)]
    pub adding: Option<Challenge>,
}

/// How far someone has come who signs in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The password was right; the code of the app is wanted.
    Code,
    /// The password was right, and there is no app yet: its secret, sealed.
    NewApp(String),
    /// By the link: the account of Regain itself is made as soon as its app shows a right code.
    NewLocal {
        /// The account.
        admin: LocalAdmin,
        /// The app's secret, sealed.
        sealed: String,
        /// The hash of the link's token.
        link: [u8; 32],
    },
    /// Signed in.
    Signed,
}

impl AdminSession {
    /// What is not finished within so long is given up.
    const SIGN_IN: Duration = Duration::from_secs(10 * 60);
    /// So far a clock may be set back without ending sessions.
    const CLOCK: Duration = Duration::from_secs(60);
    /// So long a proof is fresh enough for what decides who is let in.
    const FRESH: Duration = Duration::from_secs(5 * 60);

    /// Whether the code of the app was shown a short while ago.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.proved_at <= now && now.since(self.proved_at) <= Self::FRESH
    }

    /// Whether it has ended by idling or by its length.
    pub fn is_over(&self, idle: Duration, longest: Duration, now: Timestamp) -> bool {
        let (idle, longest) =
            if self.stage == Stage::Signed { (idle, longest) } else { (Self::SIGN_IN, Self::SIGN_IN) };
        // From a future that the clock has come back from, it would never end.
        let is_ahead = self.touched_at > now + Self::CLOCK;
        is_ahead || now.since(self.touched_at) > idle || now.since(self.began_at) > longest
    }
}
