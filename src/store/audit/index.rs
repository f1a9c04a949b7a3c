//! Which blocks there are: events that are no longer the latest are packed into blocks, and the oldest blocks dropped when
//! their time is over.

use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Error, FEW, Seal, Store, Walk,
    block::{self, Block, Header, Sealed},
    entry::{self, NOTHING},
};
use crate::{
    domain::{
        clock::Timestamp,
        filter::{day_of, start_of},
        secret::Key,
    },
    store::{
        engine::{Batch, Engine},
        keyring::keyed_hash,
        pieces,
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
pub struct Index {
    headers: RwLock<Headers>,
    /// Whether something was written, or not, nobody knows.
    is_doubtful: AtomicBool,
}

impl Index {
    /// Reads all headers.
    pub async fn open(engine: &dyn Engine) -> Result<Self, Error> {
        let (mut from, to) = record::space_bounds(Space::AuditHeaders);
        let mut headers: Vec<Arc<Header>> = Vec::new();
        loop {
            let rows = engine.scan(from, to.clone(), HEADERS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            for (_, bytes) in &rows {
                headers.push(Arc::new(Header::read(bytes)?));
            }
        }
        Ok(Self { headers: RwLock::new(Arc::new(headers)), ..Self::default() })
    }

    /// Those that there are now.
    pub fn now(&self) -> Headers {
        Arc::clone(&self.headers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, headers: Vec<Arc<Header>>) {
        *self.headers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(headers);
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
    /// Writes what changes the blocks.
    async fn commit_blocks(&self, batch: Batch) -> Result<(), Error> {
        let result = self.engine.commit(batch).await;
        if result.is_err() {
            self.log.is_doubtful.store(true, Ordering::Relaxed);
        }
        Ok(result?)
    }

    /// Finds out which blocks there are, if that is in doubt.
    async fn settle_blocks(&self) -> Result<(), Error> {
        if self.log.is_doubtful.load(Ordering::Relaxed) {
            // Answered after all that was left in the queue.
            let _ = self.engine.commit(Batch::new().expect_absent(vec![Space::AuditHeaders.letter()])).await;
            let found = Index::open(self.engine.as_ref()).await?;
            self.log.set(found.now().to_vec());
            self.log.is_doubtful.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The events that are in no block, in their order, as records.
    pub(super) async fn latest_records(&self) -> Result<(Headers, Vec<(u64, Vec<u8>)>), Error> {
        // Records whose time is over may be there still.
        let first = self.first_event().await?.max(packed(&self.log.now()) + 1);
        let mut from = Bound::Included(record::numbered_key(Space::Audit, first));
        let (_, to) = record::space_bounds(Space::Audit);
        let mut records = Vec::new();
        loop {
            let rows = self.engine.scan(from, to.clone(), MOST_ROWS).await?;
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
        self.settle_blocks().await?;
        let headers = self.log.now();
        let first = match headers.last() {
            Some(last) => last.last() + 1,
            None => self.first_event().await?,
        };
        self.remove_before(first).await?;
        let end = self.head().await?.map_or(0, |head| head.number);
        if end + 1 < first + LATEST + MOST_ROWS as u64 {
            return Ok(false);
        }
        let from = Bound::Included(record::numbered_key(Space::Audit, first));
        let (_, to) = record::space_bounds(Space::Audit);
        let rows = self.engine.scan(from, to, MOST_ROWS).await?;
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
        let batch = put_block(Batch::new().expect_absent(header_key(first)), &header, &body);
        self.commit_blocks(batch).await?;
        let next = header.last() + 1;
        let mut all = headers.to_vec();
        all.push(Arc::new(header));
        self.log.set(all);
        self.remove_before(next).await?;
        Ok(true)
    }

    /// Removes the records of events that are in a block, or whose time is over.
    async fn remove_before(&self, number: u64) -> Result<(), Error> {
        let (from, _) = record::space_bounds(Space::Audit);
        let to = Bound::Excluded(record::numbered_key(Space::Audit, number));
        loop {
            let rows = self.engine.scan(from.clone(), to.clone(), FEW).await?;
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

    /// The number of the first event that is there, if there are any: those before it were dropped.
    pub async fn first_event(&self) -> Result<u64, Error> {
        Ok(self.log_start().await?.map_or(1, |start| start.number))
    }

    /// Drops the first events as far as all of them were before that time, and marks under the key where the log begins
    /// now. The last event of all stays. The number of events that were dropped.
    pub async fn drop_events(&self, key: &Key, before: Timestamp) -> Result<u64, Error> {
        self.settle_blocks().await?;
        let mut dropped = 0;
        loop {
            let headers = self.log.now();
            // Removals are held to few for the engine's sake.
            let over: Vec<_> = headers.iter().take(2).take_while(|header| header.latest < before).collect();
            let Some(last) = over.last() else { break };
            let start = LogStart::of(key, last.last() + 1, last.seal);
            let mut batch = Batch::new().put(LogStart::key(&()), record::encode(&start)?);
            for header in &over {
                dropped += u64::from(header.count);
                batch = remove_block(batch, header);
            }
            self.commit_blocks(batch).await?;
            self.log.set(headers[over.len()..].to_vec());
        }
        let headers = self.log.now();
        Ok(dropped
            + match headers.first() {
                Some(header) if header.earliest < before => self.drop_part(key, header, before).await?,
                Some(_) => 0,
                None => self.drop_records(key, before).await?,
            })
    }

    /// Drops the first events of the first block.
    async fn drop_part(&self, key: &Key, header: &Header, before: Timestamp) -> Result<u64, Error> {
        let body = self.engine.join(vec![body_prefix(header.first)]).await?.concat();
        let (start, rest, body) = {
            let block = Block::open(header, &body)?;
            let events = block.events()?;
            let mut walk = Walk { key, number: header.first, before: header.before, noted: None };
            let (mut start, mut sealed) = (None, Vec::new());
            for row in 0..block.sheet().rows() {
                let event = events.read(row)?.event;
                if start.is_none() && event.at >= before {
                    start = Some(LogStart::of(key, walk.number, walk.before));
                }
                walk.step(&entry::write(&event), |seal| block.had(row, seal)).map_err(Error::Damaged)?;
                if start.is_some() {
                    sealed.push(Sealed { seal: walk.before, event });
                }
            }
            let Some(start) = start.filter(|start| start.number > header.first) else { return Ok(0) };
            let (rest, body) = block::make(start.number, start.before, &sealed)?;
            (start, rest, body)
        };
        let batch = Batch::new().put(LogStart::key(&()), record::encode(&start)?);
        self.commit_blocks(put_block(remove_block(batch, header), &rest, &body)).await?;
        let mut headers = self.log.now().to_vec();
        headers[0] = Arc::new(rest);
        self.log.set(headers);
        Ok(start.number - header.first)
    }

    /// Drops the first events of those that are in no block, while there are no blocks.
    async fn drop_records(&self, key: &Key, before: Timestamp) -> Result<u64, Error> {
        let (_, records) = self.latest_records().await?;
        let mut start = None;
        // The next event is linked to the last.
        for (number, record) in &records[..records.len().saturating_sub(1)] {
            let (seal, entry) = entry::parts(record)?;
            if entry::read(entry)?.at >= before {
                break;
            }
            start = Some(LogStart::of(key, number + 1, seal));
        }
        let (Some(start), Some((first, _))) = (start, records.first()) else { return Ok(0) };
        self.engine.commit(Batch::new().put(LogStart::key(&()), record::encode(&start)?)).await?;
        self.remove_before(start.number).await?;
        Ok(start.number - first)
    }

    /// When `days` had passed since, by the clock and by what else tells that time has passed: a clock that was set ahead
    /// by years is not enough to drop the log, there must have been events on a tenth of as many days since.
    pub async fn end_of_days(&self, days: u32, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let with_events: BTreeSet<i64> =
            self.count_events(i64::MIN..=i64::MAX).await?.into_keys().map(|(day, _, _)| day).collect();
        let by_clock = day_of(now) - i64::from(days);
        let since = with_events.iter().rev().nth(days.div_ceil(10) as usize).copied();
        Ok(since.map(|day| start_of(by_clock.min(day + 1))))
    }
}

/// The key of the header of the block that begins with that event.
fn header_key(first: u64) -> Vec<u8> {
    record::numbered_key(Space::AuditHeaders, first)
}

/// What the keys of the body of that block begin with.
pub(super) fn body_prefix(first: u64) -> Vec<u8> {
    pieces::prefix(Space::AuditBodies, &first.to_be_bytes())
}

/// Writes a block.
pub(super) fn put_block(batch: Batch, header: &Header, body: &[u8]) -> Batch {
    let batch = batch.put(header_key(header.first), header.write());
    pieces::put(batch, Space::AuditBodies, &header.first.to_be_bytes(), 0, body)
}

/// Removes a block.
pub(super) fn remove_block(batch: Batch, header: &Header) -> Batch {
    let batch = batch.remove(header_key(header.first));
    pieces::remove(batch, Space::AuditBodies, &header.first.to_be_bytes(), header.size as usize)
}

#[cfg(feature = "testing")]
impl Store {
    /// Fills an empty log with events as if they had been written one after the other, and packed: for benchmarks, which
    /// need millions of them.
    pub async fn fill_log(
        &self,
        key: &Key,
        events: impl Iterator<Item = crate::domain::audit::Event>,
    ) -> Result<(), Error> {
        let mut events = events.peekable();
        let (mut number, mut before) = (1, NOTHING);
        let mut headers = Vec::new();
        while events.peek().is_some() {
            let mut batch = Batch::new();
            for _ in 0..FEW {
                let (first, seal_before) = (number, before);
                let mut sealed = Vec::with_capacity(MOST_ROWS);
                for event in events.by_ref().take(MOST_ROWS) {
                    before = entry::seal(key, number, &before, &entry::write(&event));
                    number += 1;
                    sealed.push(Sealed { seal: before, event });
                }
                let is_last = events.peek().is_none();
                if is_last {
                    for (number, one) in (first..).zip(&sealed) {
                        let record = entry::record(&one.seal, &entry::write(&one.event));
                        batch = batch.put(record::numbered_key(Space::Audit, number), record);
                    }
                    break;
                }
                let (header, body) = block::make(first, seal_before, &sealed)?;
                if usize::from(header.count) < sealed.len() {
                    return Err(Error::Damaged("these events have no room in a block".into()));
                }
                batch = put_block(batch, &header, &body);
                headers.push(Arc::new(header));
            }
            self.engine.commit(batch).await?;
        }
        self.log.set(headers);
        Ok(())
    }
}
