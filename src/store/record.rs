//! How records become bytes: a version byte, then JSON; and how keys are made: a letter for the kind, then the key.

use std::ops::Bound;

use serde::{Serialize, de::DeserializeOwned};

use super::Error;
use crate::domain::{
    account::{AccountKey, DomainName, ObjectGuid},
    admin::{AdminId, AdminSession, Invitation, LocalAdmin, SecondFactor, SetupLink},
    api_token::ApiToken,
    backup,
    caps::Sent,
    clock::Timestamp,
    coverage::Coverage,
    enrollment::Enrollment,
    flow::Flow,
    flow::Kind,
    import::Summary,
    lockout::Subject,
    lockout::Tally,
    message::Errand,
    purge::{self, Missed},
    reminder::Reminded,
    saved_view::{Shelf, ShelfKey},
    set_up::DomainDraft,
};

/// The version byte all records of this program begin with. A record that needs another form gets the next number
/// and a migration.
const VERSION: u8 = 1;

/// The kinds of records, each with a letter of its own at the head of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Audit events.
    Audit,
    /// Headers of blocks of them.
    AuditHeaders,
    /// Bodies of the blocks.
    AuditBodies,
    /// Headers of blocks of those who enrolled.
    UserHeaders,
    /// Bodies of the blocks.
    UserBodies,
    /// Marks of those of whom something was written since the blocks were.
    UserMarks,
    /// Enrollments.
    Enrollments,
    /// Flows under way.
    Flows,
    /// Counts.
    Tallies,
    /// What is yet to be told.
    Outbox,
    /// When messages were sent to whom.
    Sent,
    /// Who was reminded of what.
    Reminded,
    /// What was changed of the settings.
    Settings,
    /// Administrators.
    Admins,
    /// Their sessions.
    AdminSessions,
    /// Links by which they set up a second factor.
    Invitations,
    /// Accounts that were not found any more.
    Missed,
    /// Tokens of the API.
    ApiTokens,
    /// What is kept of ordering certificates.
    Certificates,
    /// Single values of the store itself.
    Meta,
}

impl Space {
    pub(super) const fn letter(self) -> u8 {
        match self {
            Self::Audit => b'a',
            Self::AuditHeaders => b'h',
            Self::AuditBodies => b'b',
            Self::UserHeaders => b'v',
            Self::UserBodies => b'u',
            Self::UserMarks => b'w',
            Self::Enrollments => b'e',
            Self::Flows => b'f',
            Self::Tallies => b't',
            Self::Outbox => b'o',
            Self::Sent => b's',
            Self::Reminded => b'r',
            Self::Settings => b'c',
            Self::Admins => b'd',
            Self::AdminSessions => b'p',
            Self::Invitations => b'i',
            Self::Missed => b'g',
            Self::ApiTokens => b'k',
            Self::Certificates => b'l',
            Self::Meta => b'm',
        }
    }
}

/// A kind of record.
pub trait Kept: Serialize + DeserializeOwned + Send + Sync {
    /// Where it is kept.
    const SPACE: Space;
    /// What it is kept under.
    type Key;
    /// The key's bytes.
    fn key(key: &Self::Key) -> Vec<u8>;
    /// Between which keys all of this kind lie, and no others.
    fn bounds() -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        space_bounds(Self::SPACE)
    }
}

/// The tag of subjects that don't exist.
const UNKNOWN: u8 = b'u';

/// Whether the key of a tally is one of a name that doesn't exist.
pub fn is_unknown_subject(key: &[u8]) -> bool {
    key.get(1) == Some(&UNKNOWN)
}

/// A browser's session (as the hash of its cookie) and one of its flows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionKey {
    /// SHA-256 of the cookie's secret.
    pub session: [u8; 32],
    /// The flow.
    pub kind: Kind,
}

impl Kept for Enrollment {
    const SPACE: Space = Space::Enrollments;
    type Key = AccountKey;
    fn key(key: &AccountKey) -> Vec<u8> {
        account_key(Self::SPACE, b'k', key)
    }
}

impl Kept for Tally {
    const SPACE: Space = Space::Tallies;
    type Key = Subject;
    fn key(key: &Subject) -> Vec<u8> {
        match key {
            Subject::Known(account) => account_key(Self::SPACE, b'k', account),
            Subject::Unknown { domain, name } => key_of(Self::SPACE, UNKNOWN, domain.as_str(), name),
        }
    }
}

impl Kept for Flow {
    const SPACE: Space = Space::Flows;
    type Key = SessionKey;
    fn key(key: &SessionKey) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(key.session);
        bytes.extend(key.kind.as_str().as_bytes());
        bytes
    }
}

impl Kept for Errand {
    const SPACE: Space = Space::Outbox;
    type Key = u64;
    fn key(number: &u64) -> Vec<u8> {
        numbered_key(Self::SPACE, *number)
    }
}

impl Kept for Sent {
    const SPACE: Space = Space::Sent;
    /// The keyed hash of a recipient.
    type Key = [u8; 16];
    fn key(recipient: &[u8; 16]) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(recipient);
        bytes
    }
}

impl Kept for Reminded {
    const SPACE: Space = Space::Reminded;
    type Key = AccountKey;
    fn key(key: &AccountKey) -> Vec<u8> {
        account_key(Self::SPACE, b'k', key)
    }
}

impl Kept for Missed {
    const SPACE: Space = Space::Missed;
    type Key = AccountKey;
    fn key(key: &AccountKey) -> Vec<u8> {
        account_key(Self::SPACE, b'k', key)
    }
}

/// The mark by which the right pepper is recognised.
#[derive(Serialize, serde::Deserialize)]
pub(super) struct PepperMark(pub [u8; 32]);

impl Kept for PepperMark {
    const SPACE: Space = Space::Meta;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(b"pepper");
        bytes
    }
}

/// Where the audit log begins, once its first events were dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub(super) struct LogStart {
    /// The number of its first event.
    pub number: u64,
    /// The seal of the event before.
    pub before: [u8; 32],
    /// The seal over both.
    pub seal: [u8; 32],
}

impl Kept for LogStart {
    const SPACE: Space = Space::Meta;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(b"log start");
        bytes
    }
}

/// That those who enrolled are in an index, and of which version it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub(super) struct UsersIndexed(pub u32);

impl Kept for UsersIndexed {
    const SPACE: Space = Space::Meta;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(b"users indexed");
        bytes
    }
}

/// The number of the last event that was sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Forwarded(pub u64);

impl Kept for Forwarded {
    const SPACE: Space = Space::Meta;
    /// Which way.
    type Key = String;
    fn key(way: &String) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(b"forwarded ");
        bytes.extend(way.as_bytes());
        bytes
    }
}

/// What was changed of one tab of the settings, as TOML, secrets sealed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize)]
pub struct ChangedTab(pub String);

impl Kept for ChangedTab {
    const SPACE: Space = Space::Settings;
    /// The tab's key.
    type Key = String;
    fn key(tab: &String) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter(), b't'];
        bytes.extend(tab.as_bytes());
        bytes
    }
}

/// How often the settings were changed: who changes them says which version was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize)]
pub struct SettingsVersion(pub u64);

impl Kept for SettingsVersion {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'v']
    }
}

impl Kept for Summary {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'i']
    }
}

impl Kept for Shelf {
    const SPACE: Space = Space::Settings;
    type Key = ShelfKey;
    fn key(key: &ShelfKey) -> Vec<u8> {
        let table = [key.table.as_bytes(), &[0]].concat();
        let head = |letter| [&[Self::SPACE.letter(), letter], table.as_slice()].concat();
        match &key.owner {
            None => head(b's'),
            Some(AdminId::Local) => head(b'l'),
            Some(AdminId::Account(account)) => [
                head(b'o'),
                account.domain.as_str().as_bytes().to_vec(),
                vec![0],
                account.guid.bytes().to_vec(),
            ]
            .concat(),
        }
    }
}

impl Kept for purge::Report {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'p']
    }
}

impl Kept for backup::Report {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'b']
    }
}

impl Kept for Coverage {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'n']
    }
}

impl Kept for DomainDraft {
    const SPACE: Space = Space::Settings;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'd']
    }
}

/// The key of a kind of record among the administrators', all of whose keys begin with a letter of its own.
fn admin_key(letter: u8, rest: &[u8]) -> Vec<u8> {
    [&[Space::Admins.letter(), letter], rest].concat()
}

impl Kept for LocalAdmin {
    const SPACE: Space = Space::Admins;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        admin_key(b'l', &[])
    }
}

impl Kept for SetupLink {
    const SPACE: Space = Space::Admins;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        admin_key(b'i', &[])
    }
}

impl Kept for SecondFactor {
    const SPACE: Space = Space::Admins;
    type Key = AdminId;
    fn key(who: &AdminId) -> Vec<u8> {
        match who {
            AdminId::Local => admin_key(b'f', &[]),
            AdminId::Account(key) => account_key(Self::SPACE, b'a', key),
        }
    }
    fn bounds() -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(admin_key(b'a', &[])), Bound::Included(admin_key(b'f', &[])))
    }
}

/// Whose second factor is kept under that key.
pub fn owner_of_factor(key: &[u8]) -> Option<AdminId> {
    let (_, rest) = key.split_first()?;
    match rest.split_first()? {
        (b'f', []) => Some(AdminId::Local),
        (b'a', rest) => account_of(rest).map(AdminId::Account),
        _ => None,
    }
}

/// The account whose record, of a kind that is kept by account, is kept under that key.
pub fn owner(key: &[u8]) -> Option<AccountKey> {
    account_of(key.get(2..)?)
}

/// The keys before and behind all records that are kept, in a kind that is kept by account, of accounts of that domain.
pub fn around_domain<R: Kept<Key = AccountKey>>(domain: &DomainName) -> (Vec<u8>, Vec<u8>) {
    let head = |end: u8| [&[R::SPACE.letter(), b'k'], domain.as_str().as_bytes(), &[end]].concat();
    (head(0), head(1))
}

fn account_of(bytes: &[u8]) -> Option<AccountKey> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let domain = DomainName::new(std::str::from_utf8(&bytes[..end]).ok()?);
    let guid = ObjectGuid::from_bytes(bytes[end + 1..].try_into().ok()?);
    Some(AccountKey { domain, guid })
}

impl Kept for Invitation {
    const SPACE: Space = Space::Invitations;
    /// SHA-256 of the token in it.
    type Key = [u8; 32];
    fn key(hash: &[u8; 32]) -> Vec<u8> {
        [&[Self::SPACE.letter()], &hash[..]].concat()
    }
}

impl Kept for ApiToken {
    const SPACE: Space = Space::ApiTokens;
    /// SHA-256 of its random bits.
    type Key = [u8; 32];
    fn key(hash: &[u8; 32]) -> Vec<u8> {
        [&[Self::SPACE.letter()], &hash[..]].concat()
    }
}

impl Kept for AdminSession {
    const SPACE: Space = Space::AdminSessions;
    /// SHA-256 of the cookie's secret.
    type Key = [u8; 32];
    fn key(session: &[u8; 32]) -> Vec<u8> {
        [&[Self::SPACE.letter()], &session[..]].concat()
    }
}

/// Since when no questions are asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct QuestionsOff(pub Timestamp);

impl Kept for QuestionsOff {
    const SPACE: Space = Space::Meta;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        let mut bytes = vec![Self::SPACE.letter()];
        bytes.extend(b"questions off");
        bytes
    }
}

fn account_key(space: Space, tag: u8, key: &AccountKey) -> Vec<u8> {
    key_of(space, tag, key.domain.as_str(), key.guid.bytes())
}

/// Letter, tag, domain, NUL (which no DNS name has), identity.
fn key_of(space: Space, tag: u8, domain: &str, identity: &[u8; 16]) -> Vec<u8> {
    let mut bytes = vec![space.letter(), tag];
    bytes.extend(domain.as_bytes());
    bytes.push(0);
    bytes.extend(identity);
    bytes
}

/// Whether a record is one of JSON, as all are but those of the audit log; once those were, too.
pub(super) fn is_plain(record: &[u8]) -> bool {
    record.first() == Some(&VERSION)
}

pub(super) fn space_bounds(space: Space) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (Bound::Included(vec![space.letter()]), Bound::Excluded(vec![space.letter() + 1]))
}

/// The key of a record that is numbered in the order of writing.
pub(super) fn numbered_key(space: Space, number: u64) -> Vec<u8> {
    let mut bytes = vec![space.letter()];
    bytes.extend(number.to_be_bytes());
    bytes
}

pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn encode<R: Serialize>(record: &R) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(|e| Error::Damaged(e.to_string()))?;
    Ok(bytes)
}

pub(super) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, Error> {
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|e| Error::Damaged(e.to_string())),
        Some((version, _)) => Err(Error::Damaged(format!(
            "version {version} is not known to this program; it may be a newer one's"
        ))),
        None => Err(Error::Damaged("empty".into())),
    }
}
