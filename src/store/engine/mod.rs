//! The engine under the store: ordered keys and values, and one atomic batch with preconditions that is durable when it
//! returns. The interface is async and says nothing of the engine behind it, so that another can take its place.

mod copy;
mod follow;
mod on_sled;
mod sentinel;
mod space;
mod swap;

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;

pub use copy::copy_closed;
pub use follow::{Follower, Written};
pub use on_sled::{Options, SledEngine};
pub use swap::{put_in_place, require_unused};

/// The largest key, in bytes: a DNS name and an identity fit.
pub const MAXIMUM_KEY: usize = 320;

/// The largest value, in bytes. What is larger belongs into several records, or into a file.
pub const MAXIMUM_VALUE: usize = 48 * 1024;

/// Whether the engine can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It can.
    Writable,
    /// It can be read from only, and why. It gets better by itself.
    ReadOnly(String),
    /// It can't, and why. It is tried again by itself.
    Failed(String),
}

/// The room it takes, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Taken on the disk.
    pub taken: u64,
    /// Left there for this user.
    pub left: u64,
}

/// Why the engine could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A precondition doesn't hold; nothing was written.
    #[error("a precondition does not hold")]
    Conflict,
    /// There is no room; nothing was written.
    #[error("read-only: {0}")]
    ReadOnly(String),
    /// It can't be used now. If a batch was being written, it may or may not be there later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The data is damaged. Nothing is written any more; only another start, on sound data, helps.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A key or a value is too large: so many bytes.
    #[error("a key or value of {0} bytes is too large")]
    TooLarge(usize),
}

/// Makes the record of an entry of the log: of its number, the record before it (none before the first), and itself.
pub type Link = Arc<dyn Fn(u64, Option<&[u8]>, &[u8]) -> Vec<u8> + Send + Sync>;

/// An ordered store of keys and values.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The value of a key. It may be one that is not durable yet; whoever acts on it does so in a batch of their
    /// own, which becomes durable later than the one it was read from.
    async fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// For each of these the values of all keys that begin with it, one behind the other.
    async fn join(&self, prefixes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error>;

    /// The records between two keys in order, `limit` at most.
    async fn scan(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error>;

    /// Of the records whose keys are this letter and a number (8 bytes, big-endian), the one of the largest number.
    async fn last_numbered(&self, letter: u8) -> Result<Option<(Vec<u8>, Vec<u8>)>, Error>;

    /// Writes a batch if all its preconditions hold: all of it, or nothing. Durable when it returns, which it does
    /// even if the disk doesn't answer: with [`Error::Unavailable`].
    async fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// What entries that are appended from now on are written as: under `letter` and their number (8 bytes, big-endian),
    /// consecutive from 1 in the order in which their batches are carried out. There is one log, and it is named once.
    fn keep_log(&self, letter: u8, link: Link);

    /// Follows what is written from now on. What was carried out before a batch is answered was handed over by then, even if
    /// that batch is refused for want of room.
    fn follow(&self) -> Follower;

    /// Whether it can be used.
    fn condition(&self) -> Condition;

    /// The room it takes and has.
    async fn room(&self) -> Result<Room, Error>;
}

/// What is to be written together. At most some fifty removals: sled holds on to the memory of large batches.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    expected: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    appended: Vec<Vec<u8>>,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it neither expects nor writes anything.
    pub const fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.writes.is_empty() && self.appended.is_empty()
    }

    /// The keys that are written.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.writes.iter().map(|(key, _)| &key[..])
    }

    /// The key must not be there.
    #[must_use]
    pub fn expect_absent(mut self, key: Vec<u8>) -> Self {
        self.expected.push((key, None));
        self
    }

    /// The key must have this value.
    #[must_use]
    pub fn expect_value(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.expected.push((key, Some(value)));
        self
    }

    /// Writes a value.
    #[must_use]
    pub fn put(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.writes.push((key, Some(value)));
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn remove(mut self, key: Vec<u8>) -> Self {
        self.writes.push((key, None));
        self
    }

    /// Appends an entry to the log.
    #[must_use]
    pub fn append(mut self, entry: Vec<u8>) -> Self {
        self.appended.push(entry);
        self
    }
}
