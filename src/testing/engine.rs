//! The real engine, misbehaving on order.

use std::{
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::store::engine::{Batch, Condition, Engine, Error, Follower, Link, Room, SledEngine};

/// How the store behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoreMood {
    /// As it should.
    #[default]
    Well,
    /// The disk is full: it can be read.
    ReadOnly,
    /// It can't be used at all.
    Failed,
    /// So many batches are still written, then the disk is full.
    ReadOnlyAfter(usize),
}

/// The engine, with moods that outlive it.
pub struct MoodyEngine {
    inner: SledEngine,
    mood: Arc<Mutex<StoreMood>>,
}

impl MoodyEngine {
    pub(super) const fn new(inner: SledEngine, mood: Arc<Mutex<StoreMood>>) -> Self {
        Self { inner, mood }
    }

    fn mood(&self) -> StoreMood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_readable(&self) -> Result<(), Error> {
        if self.mood() == StoreMood::Failed { Err(Error::Unavailable("as ordered".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Engine for MoodyEngine {
    async fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.require_readable()?;
        self.inner.find(key).await
    }

    async fn join(&self, prefixes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        self.require_readable()?;
        self.inner.join(prefixes).await
    }

    async fn scan(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        self.require_readable()?;
        self.inner.scan(from, to, limit).await
    }

    async fn last_numbered(&self, letter: u8) -> Result<Option<(Vec<u8>, Vec<u8>)>, Error> {
        self.require_readable()?;
        self.inner.last_numbered(letter).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        self.require_readable()?;
        {
            let mut mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner);
            match *mood {
                StoreMood::ReadOnly | StoreMood::ReadOnlyAfter(0) => {
                    return Err(Error::ReadOnly("as ordered".into()));
                }
                StoreMood::ReadOnlyAfter(left) => *mood = StoreMood::ReadOnlyAfter(left - 1),
                StoreMood::Well | StoreMood::Failed => {}
            }
        }
        self.inner.commit(batch).await
    }

    async fn room(&self) -> Result<Room, Error> {
        self.require_readable()?;
        self.inner.room().await
    }

    fn keep_log(&self, letter: u8, link: Link) {
        self.inner.keep_log(letter, link);
    }

    fn follow(&self) -> Follower {
        self.inner.follow()
    }

    fn condition(&self) -> Condition {
        match self.mood() {
            StoreMood::ReadOnly | StoreMood::ReadOnlyAfter(0) => Condition::ReadOnly("as ordered".into()),
            StoreMood::Failed => Condition::Failed("as ordered".into()),
            StoreMood::Well | StoreMood::ReadOnlyAfter(_) => self.inner.condition(),
        }
    }
}
