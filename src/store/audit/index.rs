//! Which blocks there are: events that are no longer the latest are packed into blocks, and the oldest blocks dropped when
//! their time is over.

use std::{
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    Error, FEW, Seal, Store,
    block::{self, Header, Sealed},
    entry::{self, NOTHING},
};
use crate::{
    domain::{clock::Timestamp, secret::Key},
    store::{
        engine::{Batch, Direction, Engine},
        keyring::keyed_hash,
        record::{self, Kept, LogStart, Space},
        sheet::MOST_ROWS,
    },
};

/// So many of the latest events stay records of their own, at least: the last must, as the next is linked to it.
const LATEST: u64 = 512;
/// Headers read at a time.
const HEADERS: usize = 200;

/// The headers of all blocks, in their order.
pub type Headers = Arc<Vec<Arc<Header>>>;

/// What is known of the blocks.
#[derive(Default)]
pub struct Index(RwLock<Headers>);

impl Index {
    /// Reads all headers.
    pub async fn open(engine: &dyn Engine) -> Result<Self, Error> {
        let (mut from, to) = record::space_bounds(Space::AuditHeaders);
        let mut headers: Vec<Arc<Header>> = Vec::new();
        loop {
            let rows = engine.scan(from, to.clone(), Direction::Forward, HEADERS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            for (_, bytes) in &rows {
                headers.push(Arc::new(Header::read(bytes)?));
            }
        }
        Ok(Self(RwLock::new(Arc::new(headers))))
    }

    /// Those that there are now.
    pub fn now(&self) -> Headers {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, headers: Vec<Arc<Header>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(headers);
    }
}

/// The number of the last event in a block.
pub fn packed(headers: &[Arc<Header>]) -> u64 {
    headers.last().map_or(0, |header| header.last())
}

impl LogStart {
    /// The mark of a log whose first events were dropped.
    fn of(key: &Key, number: u64, before: Seal) -> Self {
        Self { number, before, seal: Self::seal(key, number, &before) }
    }

    fn seal(key: &Key, number: u64, before: &Seal) -> Seal {
        keyed_hash(key, &[b"start", &number.to_be_bytes(), before])
    }

    /// Whether it is as it was written.
    pub(super) fn holds(&self, key: &Key) -> bool {
        Self::seal(key, self.number, &self.before) == self.seal
    }
}

impl Store {
    /// The events that are in no block, in their order, as records.
    pub(super) async fn latest_records(&self) -> Result<(Headers, Vec<(u64, Vec<u8>)>), Error> {
        let mut from = Bound::Included(record::numbered_key(Space::Audit, packed(&self.log.now()) + 1));
        let (_, to) = record::space_bounds(Space::Audit);
        let mut records = Vec::new();
        loop {
            let rows = self.engine.scan(from, to.clone(), Direction::Forward, MOST_ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            for (key, bytes) in rows {
                let number =
                    record::number_of(&key).ok_or_else(|| Error::Damaged("a key of the audit log".into()))?;
                records.push((number, bytes));
            }
        }
        // What was packed meanwhile is in one of these blocks.
        let headers = self.log.now();
        let packed = packed(&headers);
        records.retain(|(number, _)| *number > packed);
        Ok((headers, records))
    }

    /// Packs the oldest of the events that are in no block, if there are enough of them; whether it did.
    pub async fn pack_log(&self) -> Result<bool, Error> {
        let headers = self.log.now();
        let packed = packed(&headers);
        self.remove_packed(packed).await?;
        let end = self.head().await?.map_or(0, |head| head.number);
        if end < packed + LATEST + MOST_ROWS as u64 {
            return Ok(false);
        }
        let first = if packed == 0 { self.first_event().await? } else { packed + 1 };
        let from = Bound::Included(record::numbered_key(Space::Audit, first));
        let (_, to) = record::space_bounds(Space::Audit);
        let rows = self.engine.scan(from, to, Direction::Forward, MOST_ROWS).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (number, (key, bytes)) in (first..).zip(&rows) {
            if record::number_of(key) != Some(number) {
                return Err(Error::Damaged(format!("event {number} of the audit log is missing")));
            }
            let (seal, entry) = entry::parts(bytes)?;
            let event = entry::read(entry)?;
            events.push(Sealed { seal, event });
        }
        let before = match headers.last() {
            Some(last) => last.seal,
            None => self.log_start().await?.map_or(NOTHING, |start| start.before),
        };
        let (header, body) = block::make(first, before, &events)?;
        let [header_key, body_key] = keys(first);
        let batch = Batch::new()
            .expect_absent(header_key.clone())
            .put(header_key, header.write())
            .put(body_key, body);
        match self.engine.commit(batch).await {
            Ok(()) => {}
            // It was there already: a batch that was said to have failed may have been written all the same.
            Err(crate::store::engine::Error::Conflict) => {
                let found = Index::open(self.engine.as_ref()).await?;
                self.log.set(found.now().to_vec());
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        }
        let packed = header.last();
        let mut all = headers.to_vec();
        all.push(Arc::new(header));
        self.log.set(all);
        self.remove_packed(packed).await?;
        Ok(true)
    }

    /// Removes the records of events that are in a block.
    async fn remove_packed(&self, packed: u64) -> Result<(), Error> {
        let (from, _) = record::space_bounds(Space::Audit);
        let to = Bound::Included(record::numbered_key(Space::Audit, packed));
        loop {
            let rows = self.engine.scan(from.clone(), to.clone(), Direction::Forward, FEW).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let batch = rows.into_iter().fold(Batch::new(), |batch, (key, _)| batch.remove(key));
            self.engine.commit(batch).await?;
        }
    }

    /// Where the log begins, if its first events were dropped.
    pub(super) async fn log_start(&self) -> Result<Option<LogStart>, Error> {
        Ok(self.find::<LogStart>(&()).await?.map(super::super::Found::into_inner))
    }

    /// The number of the first event that there is.
    pub(super) async fn first_event(&self) -> Result<u64, Error> {
        Ok(self.log_start().await?.map_or(1, |start| start.number))
    }

    /// Drops blocks of events that were all before that time, from the first on, and marks under the key where the log
    /// begins now. The number of events that were dropped.
    pub async fn drop_events(&self, key: &Key, before: Timestamp) -> Result<u64, Error> {
        let mut dropped = 0;
        loop {
            let headers = self.log.now();
            // Removals are held to few for the engine's sake; each block is two.
            let over: Vec<_> =
                headers.iter().take(FEW / 2).take_while(|header| header.latest < before).collect();
            let Some(last) = over.last() else { return Ok(dropped) };
            let start = LogStart::of(key, last.last() + 1, last.seal);
            let mut batch = Batch::new().put(LogStart::key(&()), record::encode(&start)?);
            for header in &over {
                dropped += u64::from(header.count);
                for key in keys(header.first) {
                    batch = batch.remove(key);
                }
            }
            self.engine.commit(batch).await?;
            self.log.set(headers[over.len()..].to_vec());
        }
    }
}

/// The keys of the block that begins with that event: its header's and its body's.
pub(super) fn keys(first: u64) -> [Vec<u8>; 2] {
    [Space::AuditHeaders, Space::AuditBodies].map(|space| record::numbered_key(space, first))
}
