//! The audit log: events, each sealed together with the one before it under a key that is not in the database. Whoever
//! changes, takes out or adds one without the key breaks the chain from there on (SPEC R7.6; OWASP ASVS 5.0, V16.4).
//!
//! It must not know what the events are of.

mod entry;
mod search;

use std::{fmt, sync::Arc};

use super::{
    Error, Store,
    engine::{Batch, Direction},
    record::{self, Space},
};
use crate::domain::{audit::Event, secret::Key};
use entry::NOTHING;
pub use entry::Seal;
pub use search::Counts;

/// So many records are read or written at a time.
const PAGE: usize = 500;
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

/// Goes along the chain, record by record.
struct Walk<'a> {
    key: &'a Key,
    head: Option<Head>,
}

impl Walk<'_> {
    /// The seal before the next event, and its number.
    fn next(&self) -> (u64, Seal) {
        self.head.map_or((1, NOTHING), |head| (head.number + 1, head.seal))
    }

    /// Takes the next record; why it is not as it was written, if it is not.
    fn step(&mut self, number: Option<u64>, record: &[u8]) -> Result<(), String> {
        let (wanted, before) = self.next();
        if number != Some(wanted) {
            let found = number.map_or_else(|| "another key".to_owned(), |number| format!("event {number}"));
            return Err(format!("it is missing; {found} comes next"));
        }
        let (seal, entry) = entry::parts(record).map_err(|error| error.to_string())?;
        if entry::seal(self.key, wanted, &before, entry) != seal {
            return Err("its seal does not fit: it, or the one before it, was changed".into());
        }
        entry::read(entry).map_err(|error| error.to_string())?;
        self.head = Some(Head { number: wanted, seal });
        Ok(())
    }
}

impl Store {
    /// Opens the log under its key: from now on events can be written. What an older program left unsealed is sealed
    /// first, but only as long as nothing `was_sealed` before: afterwards an event without a seal is a forged one, and
    /// stays without, for all to see who verify the log.
    pub async fn keep_log(&self, key: &Key, was_sealed: bool) -> Result<(), Error> {
        if !was_sealed {
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
    async fn seal_older(&self, key: &Key) -> Result<(), Error> {
        let (from, to) = record::space_bounds(Space::Audit);
        let last = self.engine.scan(from.clone(), to.clone(), Direction::Backward, 1).await?;
        // They are sealed from the first on, so that the last tells whether any is left.
        if !last.iter().any(|(_, record)| record::is_plain(record)) {
            return Ok(());
        }
        tracing::info!("the audit log of an older program is sealed");
        let mut walk = Walk { key, head: None };
        let mut from = from;
        loop {
            let rows = self.engine.scan(from, to.clone(), Direction::Forward, FEW).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = std::ops::Bound::Excluded(last.clone());
            let mut batch = Batch::new();
            for (known, raw) in rows {
                if !record::is_plain(&raw) {
                    walk.step(record::number_of(&known), &raw).map_err(Error::Damaged)?;
                    continue;
                }
                let event: Event = record::decode(&raw)?;
                let (number, before) = walk.next();
                let bytes = entry::write(&event);
                let seal = entry::seal(key, number, &before, &bytes);
                walk.head = Some(Head { number, seal });
                let own = record::numbered_key(Space::Audit, number);
                if own != known {
                    batch = batch.remove(known);
                }
                batch = batch.put(own, entry::record(&seal, &bytes));
            }
            if !batch.is_empty() {
                self.engine.commit(batch).await?;
            }
        }
    }

    /// The end of the log.
    pub async fn head(&self) -> Result<Option<Head>, Error> {
        let (from, to) = record::space_bounds(Space::Audit);
        let rows = self.engine.scan(from, to, Direction::Backward, 1).await?;
        let Some((known, record)) = rows.first() else { return Ok(None) };
        let number =
            record::number_of(known).ok_or_else(|| Error::Damaged("a key of the audit log".into()))?;
        Ok(Some(Head { number, seal: entry::parts(record)?.0 }))
    }

    /// Whether an end of the log that was noted once is still in it.
    pub async fn holds(&self, noted: Head) -> Result<bool, Error> {
        let found = self.engine.find(&record::numbered_key(Space::Audit, noted.number)).await?;
        Ok(match found {
            // One that can't be read is not the one that was there.
            Some(record) => entry::parts(&record).is_ok_and(|(seal, _)| seal == noted.seal),
            None => false,
        })
    }

    /// The latest audit events, newest first.
    pub async fn latest_events(&self, limit: usize) -> Result<Vec<Event>, Error> {
        let (from, to) = record::space_bounds(Space::Audit);
        let rows = self.engine.scan(from, to, Direction::Backward, limit).await?;
        rows.iter().map(|(_, record)| entry::read(entry::parts(record)?.1)).collect()
    }

    /// Goes along the whole chain. `noted` is an end of it that was noted elsewhere: all up to there must be there still.
    pub async fn verify_log(&self, key: &Key, noted: Option<Head>) -> Result<Verified, Error> {
        let (mut from, to) = record::space_bounds(Space::Audit);
        let mut walk = Walk { key, head: None };
        loop {
            let rows = self.engine.scan(from, to.clone(), Direction::Forward, PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            from = std::ops::Bound::Excluded(last.clone());
            for (known, record) in &rows {
                let number = walk.next().0;
                if let Err(why) = walk.step(record::number_of(known), record) {
                    return Ok(Verified::Broken { number, why });
                }
                let here = walk.head;
                if let Some(noted) = noted.filter(|noted| noted.number == number && Some(*noted) != here) {
                    let why = "the log was another one when its end was noted here".to_owned();
                    return Ok(Verified::Broken { number: noted.number, why });
                }
            }
        }
        let (next, _) = walk.next();
        Ok(match noted {
            Some(noted) if noted.number >= next => {
                let why = format!("the log ends before it, but went on to event {} once", noted.number);
                Verified::Broken { number: next, why }
            }
            _ => Verified::Whole(walk.head),
        })
    }
}

/// Writes an event's bytes for the log.
pub(super) fn bytes_of(event: &Event) -> Vec<u8> {
    entry::write(event)
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::store::engine::{Engine, Options, SledEngine};

    fn key() -> Key {
        Key::new([9; 32])
    }

    async fn open(folder: &std::path::Path) -> (Arc<dyn Engine>, Store) {
        reopen(folder, false).await
    }

    async fn reopen(folder: &std::path::Path, was_sealed: bool) -> (Arc<dyn Engine>, Store) {
        let options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };
        let engine: Arc<dyn Engine> = Arc::new(SledEngine::open(folder, &options).unwrap());
        let store = Store::open(Arc::clone(&engine)).await.unwrap();
        store.keep_log(&key(), was_sealed).await.unwrap();
        (engine, store)
    }

    async fn with_events(count: i64) -> (tempfile::TempDir, Arc<dyn Engine>, Store) {
        let folder = tempfile::tempdir().unwrap();
        let (engine, store) = open(folder.path()).await;
        for at in 0..count {
            store.batch().event(&entry::tests::sample(at)).commit().await.unwrap();
        }
        (folder, engine, store)
    }

    fn at(number: u64) -> Vec<u8> {
        record::numbered_key(Space::Audit, number)
    }

    async fn broken(store: &Store, noted: Option<Head>) -> Option<(u64, String)> {
        match store.verify_log(&key(), noted).await.unwrap() {
            Verified::Whole(_) => None,
            Verified::Broken { number, why } => Some((number, why)),
        }
    }

    #[tokio::test]
    async fn a_log_that_nobody_touched_is_whole_after_a_restart_as_well() {
        let (folder, engine, store) = with_events(30).await;
        let head = store.head().await.unwrap();
        assert_eq!(store.verify_log(&key(), None).await.unwrap(), Verified::Whole(head));
        assert_eq!(Head::parse(&head.unwrap().to_string()), head);
        drop((engine, store));
        let (_engine, store) = open(folder.path()).await;
        store.batch().event(&entry::tests::sample(30)).commit().await.unwrap();
        assert_eq!(broken(&store, head).await, None);
        assert!(store.holds(head.unwrap()).await.unwrap());
        let latest = store.latest_events(2).await.unwrap();
        assert_eq!(latest, [entry::tests::sample(30), entry::tests::sample(29)]);
        // Under another key nothing fits.
        let other = store.verify_log(&Key::new([8; 32]), None).await.unwrap();
        assert!(matches!(other, Verified::Broken { number: 1, .. }), "{other:?}");
    }

    #[tokio::test]
    async fn the_first_event_that_was_changed_taken_out_or_put_in_is_named() {
        let (_folder, engine, store) = with_events(20).await;
        let original = engine.find(&at(7)).await.unwrap().unwrap();
        for byte in [0, 5, 40, original.len() - 1] {
            let mut other = original.clone();
            other[byte] ^= 1;
            engine.commit(Batch::new().put(at(7), other)).await.unwrap();
            assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(7), "byte {byte}");
        }
        // Another event with the seal of the one before, or a copy of another record.
        for forged in [
            entry::record(&entry::parts(&original).unwrap().0, &entry::write(&entry::tests::sample(3))),
            engine.find(&at(8)).await.unwrap().unwrap(),
        ] {
            engine.commit(Batch::new().put(at(7), forged)).await.unwrap();
            assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(7));
        }
        engine.commit(Batch::new().remove(at(7))).await.unwrap();
        let (number, why) = broken(&store, None).await.unwrap();
        assert!(number == 7 && why.contains("event 8 comes next"), "{why}");
        engine.commit(Batch::new().put(at(7), original)).await.unwrap();
        assert_eq!(broken(&store, None).await, None);
    }

    #[tokio::test]
    async fn a_log_that_was_cut_or_rolled_back_is_noticed_by_what_was_noted() {
        let (_folder, engine, store) = with_events(20).await;
        let head = store.head().await.unwrap().unwrap();
        for number in [20, 19] {
            engine.commit(Batch::new().remove(at(number))).await.unwrap();
        }
        assert_eq!(broken(&store, None).await, None, "alone it can't be seen");
        let (number, why) = broken(&store, Some(head)).await.unwrap();
        assert!(number == 19 && why.contains("event 20"), "{why}");
        assert!(!store.holds(head).await.unwrap());
        // Nor does it help to write others in their place with the key.
        let (_other_folder, _other, other) = with_events(25).await;
        let wrong = Head { number: 20, seal: [1; 32] };
        assert_eq!(broken(&other, Some(wrong)).await.map(|(number, _)| number), Some(20));
    }

    #[tokio::test]
    async fn what_an_older_program_wrote_is_sealed_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        {
            let (engine, _store) = open(folder.path()).await;
            // Of its numbers some were given to batches that failed.
            for (number, event) in
                [(1, 0), (2, 1), (5, 2), (60, 3)].into_iter().chain((61..120).map(|n| (n, 9)))
            {
                let plain = record::encode(&entry::tests::sample(event)).unwrap();
                engine.commit(Batch::new().put(at(number), plain)).await.unwrap();
            }
        }
        let (engine, store) = open(folder.path()).await;
        assert_eq!(store.head().await.unwrap().unwrap().number, 63);
        assert_eq!(broken(&store, None).await, None);
        let rows =
            engine.scan(Bound::Included(at(1)), Bound::Included(at(4)), Direction::Forward, 9).await.unwrap();
        let events: Vec<_> =
            rows.iter().map(|(_, record)| entry::read(entry::parts(record).unwrap().1).unwrap()).collect();
        assert_eq!(events, (0..4).map(entry::tests::sample).collect::<Vec<_>>());
        store.batch().event(&entry::tests::sample(4)).commit().await.unwrap();
        assert_eq!(broken(&store, None).await, None);
    }

    #[tokio::test]
    async fn an_event_without_a_seal_is_not_sealed_for_who_forged_it() {
        for number in [3, 5, 6] {
            let (folder, engine, store) = with_events(5).await;
            let head = store.head().await.unwrap().unwrap();
            let forged = record::encode(&entry::tests::sample(9)).unwrap();
            engine.commit(Batch::new().put(at(number), forged)).await.unwrap();
            drop((engine, store));
            let (_engine, store) = reopen(folder.path(), true).await;
            store.batch().event(&entry::tests::sample(6)).commit().await.unwrap();
            assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(number));
            assert_eq!(store.holds(head).await.unwrap(), number != 5, "event {number}");
        }
    }
}
