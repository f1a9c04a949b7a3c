//! The audit log: events, each sealed together with the one before it under a key that is not in the database. Whoever
//! changes, takes out or adds one without the key breaks the chain from there on (SPEC R7.6; OWASP ASVS 5.0, V16.4).
//!
//! It must not know what the events are of.

mod block;
mod entry;
mod index;
mod search;

use std::{fmt, ops::Bound, sync::Arc};

use super::{
    Error, Store,
    engine::Batch,
    record::{self, LogStart, Space},
};
use crate::domain::{audit::Event, secret::Key};
use block::{Block, Header, Sealed};
use entry::NOTHING;
pub use entry::Seal;
pub use index::Index;
use index::body_prefix;
pub use search::{Counts, Progress};

/// So many records are read or written at a time.
const FEW: usize = 25;

/// The end of the log: of so many events, with the seal of the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the last event, from 1.
    pub number: u64,
    /// Its seal.
    pub seal: Seal,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, data_encoding::HEXLOWER.encode(&self.seal))
    }
}

impl Head {
    /// Of the last record of the log, and its key.
    pub(super) fn of_record(key: &[u8], record: &[u8]) -> Result<Self, Error> {
        let number = record::number_of(key).ok_or_else(|| Error::Damaged("a key of the audit log".into()))?;
        Ok(Self { number, seal: entry::parts(record)?.0 })
    }

    /// What [`Self`] is shown as.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, seal) = text.trim().split_once(' ')?;
        let seal = data_encoding::HEXLOWER.decode(seal.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { number: number.parse().ok()?, seal })
    }
}

/// What was found when the chain was gone along.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verified {
    /// All of it holds; it ends there.
    Whole(Option<Head>),
    /// This is the first event that is not as it was written, and why.
    Broken {
        /// Its number.
        number: u64,
        /// What is wrong, in words.
        why: String,
    },
}

/// Goes along the chain, event by event.
struct Walk<'a> {
    key: &'a Key,
    /// The number of the next event, and the seal before it.
    number: u64,
    before: Seal,
    noted: Option<Head>,
}

impl<'a> Walk<'a> {
    fn new(key: &'a Key, start: Option<&LogStart>, noted: Option<Head>) -> Self {
        let (number, before) = start.map_or((1, NOTHING), |start| (start.number, start.before));
        Self { key, number, before, noted }
    }

    /// The last event.
    fn head(&self) -> Option<Head> {
        (self.number > 1).then(|| Head { number: self.number - 1, seal: self.before })
    }

    /// Takes the bytes of the next event. `fits` tells whether a seal is the one that was kept of it.
    fn step(&mut self, entry: &[u8], fits: impl FnOnce(&Seal) -> bool) -> Result<(), String> {
        let seal = entry::seal(self.key, self.number, &self.before, entry);
        if !fits(&seal) {
            return Err("its seal does not fit: it, or the one before it, was changed".into());
        }
        let here = Head { number: self.number, seal };
        if self.noted.is_some_and(|noted| noted.number == here.number && noted != here) {
            return Err("the log was another one when its end was noted here".into());
        }
        (self.number, self.before) = (self.number + 1, seal);
        Ok(())
    }

    /// Takes the next record.
    fn record(&mut self, number: Option<u64>, record: &[u8]) -> Result<(), String> {
        if number != Some(self.number) {
            return Err(missing(number));
        }
        let (seal, entry) = entry::parts(record).map_err(|error| error.to_string())?;
        self.step(entry, |own| *own == seal)?;
        entry::read(entry).map(drop).map_err(|error| error.to_string())
    }

    /// Takes the next block.
    fn block(&mut self, number: Option<u64>, header: &[u8], body: &[u8]) -> Result<(), String> {
        if number != Some(self.number) {
            return Err(missing(number));
        }
        let told = |error: Error| error.to_string();
        let header_read = Header::read(header).map_err(told)?;
        if body.is_empty() {
            return Err("it is missing: of its block there is only the header".into());
        }
        let block = Block::open(&header_read, body).map_err(told)?;
        if header_read.first != self.number || header_read.before != self.before {
            return Err("its block does not follow on the one before".into());
        }
        let events = block.events().map_err(told)?;
        let mut sealed = Vec::with_capacity(block.sheet().rows());
        for row in 0..block.sheet().rows() {
            let event = events.read(row).map_err(told)?.event;
            self.step(&entry::write(&event), |own| block.had(row, own))?;
            sealed.push(Sealed { seal: self.before, event });
        }
        // Whoever changes the header changes what is found and counted.
        let (made, _) = block::make(header_read.first, header_read.before, &sealed).map_err(told)?;
        if made.write() == header {
            Ok(())
        } else {
            Err("the header of the block before it was changed".into())
        }
    }
}

fn missing(number: Option<u64>) -> String {
    let found = number.map_or_else(|| "another key".to_owned(), |number| format!("event {number}"));
    format!("it is missing; {found} comes next")
}

impl Store {
    /// Opens the log under its key: from now on events can be written. What an older program left unsealed is sealed
    /// first, but only as long as nothing `was_sealed` before: afterwards an event without a seal is a forged one, and
    /// stays without, for all to see who verify the log.
    pub async fn keep_log(&self, key: &Key, was_sealed: bool) -> Result<(), Error> {
        if !was_sealed && self.log.now().is_empty() {
            self.seal_older(key).await?;
        }
        let key = Key::new(*key.reveal());
        let link = move |number, before: Option<&[u8]>, bytes: &[u8]| {
            // One that can't be read has no seal; that it can't is found where the log is verified.
            let before =
                before.and_then(|record| entry::parts(record).ok()).map_or(NOTHING, |(seal, _)| seal);
            entry::record(&entry::seal(&key, number, &before, bytes), bytes)
        };
        self.engine.keep_log(Space::Audit.letter(), Arc::new(link));
        Ok(())
    }

    /// Seals events that were written as plain records, in their order, and closes the gaps between their numbers. It
    /// can be broken off and gone on with.
    pub(super) async fn seal_older(&self, key: &Key) -> Result<(), Error> {
        let (from, to) = record::space_bounds(Space::Audit);
        let last = self.engine.last_numbered(Space::Audit.letter()).await?;
        // They are sealed from the first on, so that the last tells whether any is left.
        if !last.iter().any(|(_, record)| record::is_plain(record)) {
            return Ok(());
        }
        tracing::info!("the audit log of an older program is sealed");
        let mut walk = Walk::new(key, None, None);
        let mut from = from;
        loop {
            let rows = self.engine.scan(from, to.clone(), FEW).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            let mut batch = Batch::new();
            for (known, raw) in rows {
                if !record::is_plain(&raw) {
                    walk.record(record::number_of(&known), &raw).map_err(Error::Damaged)?;
                    continue;
                }
                let event: Event = record::decode(&raw)?;
                let own = record::numbered_key(Space::Audit, walk.number);
                let bytes = entry::write(&event);
                walk.step(&bytes, |_| true).map_err(Error::Damaged)?;
                if own != known {
                    batch = batch.remove(known);
                }
                batch = batch.put(own, entry::record(&walk.before, &bytes));
            }
            if !batch.is_empty() {
                self.engine.commit(batch).await?;
            }
        }
    }

    /// The end of the log.
    pub async fn head(&self) -> Result<Option<Head>, Error> {
        let last = self.engine.last_numbered(Space::Audit.letter()).await?;
        last.map(|(known, record)| Head::of_record(&known, &record)).transpose()
    }

    /// Whether an end of the log that was noted once is still in it, or was dropped by now as its time was over.
    pub async fn holds(&self, key: &Key, noted: Head) -> Result<bool, Error> {
        if let Some(start) = self.log_start().await?
            && noted.number < start.number
        {
            return Ok(start.holds(key));
        }
        if let Some(header) = self.log.now().iter().find(|header| header.last() >= noted.number) {
            let body = self.engine.join(vec![body_prefix(header.first)]).await?.concat();
            // One that can't be read is not the one that was there.
            return Ok(noted.number >= header.first && {
                let row = usize::try_from(noted.number - header.first).unwrap_or(usize::MAX);
                Block::open(header, &body).is_ok_and(|block| block.had(row, &noted.seal))
            });
        }
        let found = self.engine.find(&record::numbered_key(Space::Audit, noted.number)).await?;
        Ok(found.is_some_and(|record| entry::parts(&record).is_ok_and(|(seal, _)| seal == noted.seal)))
    }

    /// Goes along the whole chain. `noted` is an end of it that was noted elsewhere: all up to there must be there still.
    /// It can be done while events are written and dropped; `progress` is told how far it has come.
    pub async fn verify_log(
        &self,
        key: &Key,
        noted: Option<Head>,
        progress: Progress<'_>,
    ) -> Result<Verified, Error> {
        loop {
            let first = self.first_event().await?;
            let found = self.walk_log(key, noted, progress).await?;
            // What was dropped meanwhile is not missing. Nobody else moves the start: it is sealed.
            if matches!(found, Verified::Whole(_)) || self.first_event().await? == first {
                return Ok(found);
            }
        }
    }

    async fn walk_log(
        &self,
        key: &Key,
        noted: Option<Head>,
        progress: Progress<'_>,
    ) -> Result<Verified, Error> {
        let start = self.log_start().await?;
        let mut walk = Walk::new(
            key,
            start.as_ref(),
            noted.filter(|noted| {
                // What is no longer there can't be looked at.
                start.as_ref().is_none_or(|start| noted.number >= start.number)
            }),
        );
        let broken = |number, why| Ok(Verified::Broken { number, why });
        if start.is_some_and(|start| !start.holds(key)) {
            return broken(walk.number, "the mark of where the log begins was changed".into());
        }
        let total = self.head().await?.map_or(0, |head| head.number).saturating_sub(walk.number - 1);
        let first = walk.number;
        let (mut from_header, headers) = record::space_bounds(Space::AuditHeaders);
        loop {
            let rows = self.engine.scan(from_header.clone(), headers.clone(), FEW).await?;
            let prefixes =
                rows.iter().map(|(known, _)| body_prefix(record::number_of(known).unwrap_or_default()));
            let bodies = self.engine.join(prefixes.collect()).await?;
            for ((known, header), body) in rows.iter().zip(&bodies) {
                if let Err(why) = walk.block(record::number_of(known), header, body) {
                    return broken(walk.number, why);
                }
                from_header = Bound::Excluded(known.clone());
                tokio::task::yield_now().await;
            }
            progress(walk.number - first, total);
            if !rows.is_empty() {
                continue;
            }
            let (headers, records) = self.latest_records().await?;
            // More may be in blocks by now.
            if index::packed(&headers) >= walk.number {
                continue;
            }
            for (number, record) in &records {
                if let Err(why) = walk.record(Some(*number), record) {
                    return broken(walk.number, why);
                }
            }
            break;
        }
        Ok(match walk.noted {
            Some(noted) if noted.number >= walk.number => {
                let why = format!("the log ends before it, but went on to event {} once", noted.number);
                Verified::Broken { number: walk.number, why }
            }
            _ => Verified::Whole(walk.head()),
        })
    }
}

/// Writes an event's bytes for the log.
pub(super) fn bytes_of(event: &Event) -> Vec<u8> {
    entry::write(event)
}

#[cfg(test)]
mod tests;
