//! The store: what Regain remembers. Typed records over an [`engine`]; what one step of a flow writes is one
//! [`Batch`], durable when its commit returns.
//!
//! It must not know what the records are for.

pub mod audit;
pub mod backup;
mod bloom;
mod bytes;
mod certificate;
pub mod engine;
pub mod keyring;
mod migrations;
mod pieces;
mod record;
pub mod seal;
mod sheet;
pub mod users;
mod written;

use std::{
    ops::{Bound, Deref},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use certificate::{SealedAccount, SealedCertificate};
use engine::Engine;
pub use engine::Room;
pub use migrations::{Older, copy_name};
pub use record::{
    ChangedTab, Forwarded, Kept, QuestionsOff, SessionKey, SettingsVersion, Space, around_domain,
    is_unknown_subject, owner, owner_of_factor,
};
use tokio::sync::Notify;

use crate::domain::{
    audit::{Action, Event, Outcome},
    message::Errand,
};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote in between; nothing was written. Read again and decide again.
    #[error("changed in the meantime")]
    Conflict,
    /// There is no room on the disk; reading still works.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// It can't be used now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A record can't be understood.
    #[error("damaged record: {0}")]
    Damaged(String),
    /// A newer program has been at work here.
    #[error("{0}")]
    Newer(String),
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Conflict => Self::Conflict,
            engine::Error::ReadOnly(why) => Self::ReadOnly(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// A record as it was read; writing it back succeeds only if nobody else wrote it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<R> {
    record: R,
    raw: Vec<u8>,
}

impl<R> Found<R> {
    /// Gives up the right to write it back.
    pub fn into_inner(self) -> R {
        self.record
    }

    /// As it is to be, with the right to put it in the place of what was read.
    #[must_use]
    pub fn revised(mut self, revise: impl FnOnce(&mut R)) -> Self {
        revise(&mut self.record);
        self
    }
}

impl<R> Deref for Found<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.record
    }
}

/// The store.
pub struct Store {
    engine: Arc<dyn Engine>,
    log: audit::Index,
    users: users::Index,
    next_errand: AtomicU64,
    /// Tells the marks of one person from each other.
    next_mark: AtomicU64,
    /// Told when an errand was written.
    errands: Notify,
    written: written::Written,
}

impl Store {
    /// Takes an engine over and finds out where the outbox goes on. Events can be written once the
    /// log is open, too: [`Store::keep_log`].
    pub async fn open(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        migrations::refuse_newer(engine.as_ref()).await?;
        let last = engine.last_numbered(Space::Outbox.letter()).await?;
        let next = last.and_then(|(key, _)| record::number_of(&key)).map_or(1, |last| last + 1);
        let log = audit::Index::open(engine.as_ref()).await?;
        let users = match users::Index::open(engine.as_ref()).await {
            // It can be made anew, and is when it is needed.
            Err(Error::Damaged(_)) => users::Index::unread(),
            result => result?,
        };
        // From somewhere else at each start: a mark of the run before must not be taken for one of this.
        let mut first_mark = [0; 8];
        aws_lc_rs::rand::fill(&mut first_mark).map_err(|_| Error::Unavailable("no random numbers".into()))?;
        Ok(Self {
            engine,
            log,
            users,
            next_errand: AtomicU64::new(next),
            next_mark: AtomicU64::new(u64::from_le_bytes(first_mark)),
            errands: Notify::new(),
            written: written::Written::default(),
        })
    }

    /// The engine's condition in words, if it can't be written to.
    pub fn trouble(&self) -> Option<String> {
        match self.engine.condition() {
            engine::Condition::Writable => None,
            engine::Condition::ReadOnly(why) | engine::Condition::Failed(why) => Some(why),
        }
    }

    /// The room it takes and has on the disk.
    pub async fn room(&self) -> Result<Room, Error> {
        Ok(self.engine.room().await?)
    }

    /// The record of that key.
    pub async fn find<R: Kept>(&self, key: &R::Key) -> Result<Option<Found<R>>, Error> {
        let Some(raw) = self.engine.find(&R::key(key)).await? else { return Ok(None) };
        Ok(Some(Found { record: record::decode(&raw)?, raw }))
    }

    /// The next records of a kind behind `after` (a raw key that an earlier call gave), `limit` at most; none only at
    /// the end. One that can't be understood is left where it is, and holds up none of the others.
    pub async fn page<R: Kept>(
        &self,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Found<R>)>, Error> {
        let (mut from, to) = R::bounds();
        if let Some(after) = after {
            from = Bound::Excluded(after);
        }
        loop {
            let rows = self.engine.scan(from, to.clone(), limit).await?;
            let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
            from = Bound::Excluded(last.clone());
            let mut page = Vec::with_capacity(rows.len());
            for (key, raw) in rows {
                match record::decode(&raw) {
                    Ok(record) => page.push((key, Found { record, raw })),
                    Err(error) => tracing::error!(%error, space = ?R::SPACE, "a record is passed over"),
                }
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Waits until something that is yet to be told was written.
    pub async fn errand_written(&self) {
        self.errands.notified().await;
    }

    /// How many events of each kind were written since the program began.
    pub fn events_written(&self) -> impl Iterator<Item = (Action, Outcome, u64)> {
        self.written.all()
    }

    /// Begins a batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            store: self,
            writes: engine::Batch::new(),
            fault: None,
            has_errand: false,
            events: Vec::new(),
        }
    }
}

/// What one step writes: all of it or nothing.
#[must_use = "nothing is written until it is committed"]
pub struct Batch<'a> {
    store: &'a Store,
    writes: engine::Batch,
    fault: Option<Error>,
    has_errand: bool,
    events: Vec<(Action, Outcome)>,
}

impl Batch<'_> {
    /// A record that must not exist yet.
    pub fn insert<R: Kept>(mut self, key: &R::Key, record: &R) -> Self {
        self.writes = self.writes.expect_absent(R::key(key));
        self.put(key, record)
    }

    /// A record in the place of the one that was found.
    pub fn replace<R: Kept>(mut self, key: &R::Key, found: &Found<R>, record: &R) -> Self {
        self.writes = self.writes.expect_value(R::key(key), found.raw.clone());
        self.put(key, record)
    }

    /// [`Self::replace`] if there was one, else [`Self::insert`].
    pub fn write<R: Kept>(self, key: &R::Key, found: Option<&Found<R>>, record: &R) -> Self {
        match found {
            Some(found) => self.replace(key, found, record),
            None => self.insert(key, record),
        }
    }

    /// A record in the place of whatever is there.
    pub fn put<R: Kept>(mut self, key: &R::Key, record: &R) -> Self {
        match record::encode(record) {
            Ok(raw) => self.writes = self.writes.put(R::key(key), raw),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Removes the record that was found.
    pub fn remove<R: Kept>(self, key: &R::Key, found: &Found<R>) -> Self {
        self.remove_raw(R::key(key), found)
    }

    /// Removes a record that [`Store::page`] gave.
    pub fn remove_raw<R>(mut self, key: Vec<u8>, found: &Found<R>) -> Self {
        self.writes = self.writes.expect_value(key.clone(), found.raw.clone()).remove(key);
        self
    }

    /// A record in the place of one that [`Store::page`] gave.
    pub fn replace_raw<R: Kept>(mut self, key: Vec<u8>, found: &Found<R>, record: &R) -> Self {
        self.writes = self.writes.expect_value(key.clone(), found.raw.clone());
        match record::encode(record) {
            Ok(raw) => self.writes = self.writes.put(key, raw),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// An event of the audit log.
    pub fn event(mut self, event: &Event) -> Self {
        self.writes = self.writes.append(audit::bytes_of(event));
        self.events.push((event.action, event.outcome));
        self
    }

    /// Something that is yet to be told, after all that waits already.
    pub fn errand(mut self, errand: &Errand) -> Self {
        self.has_errand = true;
        let number = self.store.next_errand.fetch_add(1, Ordering::Relaxed);
        self.put(&number, errand)
    }

    /// Writes it; durable when this returns.
    pub async fn commit(self) -> Result<(), Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.writes.is_empty() {
            return Ok(());
        }
        let marks: Vec<_> = self.writes.keys().filter_map(users::mark_of).collect();
        let writes = marks.into_iter().fold(self.writes, |writes, mark| {
            let number = self.store.next_mark.fetch_add(1, Ordering::Relaxed);
            writes.put(mark, number.to_be_bytes().to_vec())
        });
        self.store.engine.commit(writes).await?;
        for (action, outcome) in self.events {
            self.store.written.add(action, outcome);
        }
        if self.has_errand {
            self.store.errands.notify_one();
        }
        Ok(())
    }
}
