//! The engine on sled 0.34. The only place that names it.
//!
//! One thread writes. It takes all batches that wait, checks and applies each, then flushes sled and syncs its file:
//! sled's own flush is `sync_file_range`, which promises nothing after a power cut. Only then are they answered.
//! When sled fails (it never recovers from a full disk by itself) the thread closes it, waits for better times and
//! opens it again.

use std::{
    fs::File,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sled::Db;
use tokio::sync::oneshot;

use super::{
    Batch, Condition, Direction, Engine, Error, MAXIMUM_VALUE,
    sentinel::{self, Mark, Sentinel},
    space::Space,
};

/// Batches that are made durable together, at most.
const GROUP: usize = 256;
/// Batches that may wait.
const QUEUE: usize = 4096;
/// After so many batches the file beside the database is told how many there are.
const NOTE_EVERY: u64 = 1000;
/// How often a look is taken whether things are better.
const RETRY: Duration = Duration::from_secs(1);

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// sled's page cache, in bytes. Not a cap on memory: the page table takes some 45 MiB for a million records.
    pub cache: u64,
    /// The reserve for a full disk, in bytes.
    pub reserve: u64,
    /// With less than this left on the disk, in bytes, nothing is written any more.
    pub least_free: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: 16 << 20, reserve: 32 << 20, least_free: 16 << 20 }
    }
}

/// The engine.
pub struct SledEngine {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    db: RwLock<Option<Db>>,
    condition: RwLock<Condition>,
}

impl Shared {
    fn db(&self) -> Result<Db, Error> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner).clone();
        db.ok_or_else(|| match self.condition() {
            Condition::Writable => Error::Unavailable("it is being opened".into()),
            Condition::ReadOnly(why) | Condition::Failed(why) => Error::Unavailable(why),
        })
    }

    fn set_db(&self, db: Option<Db>) {
        let old = std::mem::replace(&mut *self.db.write().unwrap_or_else(PoisonError::into_inner), db);
        // A failed sled still tries to flush when it goes, and may panic over it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
    }

    fn condition(&self) -> Condition {
        self.condition.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_condition(&self, new: Condition) {
        let mut condition = self.condition.write().unwrap_or_else(PoisonError::into_inner);
        if *condition != new {
            match &new {
                Condition::Writable => tracing::info!("the store can be written to again"),
                Condition::ReadOnly(why) => tracing::error!(why, "the store is read-only"),
                Condition::Failed(why) => tracing::error!(why, "the store has failed; it is tried again"),
            }
            *condition = new;
        }
    }
}

struct Job {
    batch: Batch,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl SledEngine {
    /// Opens the database in a data folder, or makes one if the folder is new. Blocks.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, Error> {
        let space = Space::of(folder, options.reserve, options.least_free);
        let files =
            Files { path: folder.join("db"), cache: options.cache, sentinel: Sentinel::of(folder), space };
        let (db, file, mark) = files.space.with_reserve(|| files.open_first())?;
        let condition = match files.space.require() {
            Ok(()) => Condition::Writable,
            Err(why) => Condition::ReadOnly(why),
        };
        if let Condition::ReadOnly(why) = &condition {
            tracing::error!(why, "the store is read-only");
        }
        let shared = Arc::new(Shared { db: RwLock::new(Some(db)), condition: RwLock::new(condition) });
        let (queue, jobs) = sync_channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            files,
            file: Some(file),
            mark,
            noted: mark.batches,
            tried: Instant::now(),
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&jobs))
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self { shared, queue: Some(queue), writer: Some(writer) })
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.shared.set_db(None);
    }
}

#[async_trait]
impl Engine for SledEngine {
    async fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        // A point read is microseconds: not worth another thread.
        let found = self.shared.db()?.get(key).map_err(fault)?;
        Ok(found.map(|value| value.to_vec()))
    }

    async fn scan(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let db = self.shared.db()?;
        let scan = move || {
            let records = db.range::<Vec<u8>, _>((from, to));
            let read = |record: sled::Result<(sled::IVec, sled::IVec)>| {
                record.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(fault)
            };
            match direction {
                Direction::Forward => records.take(limit).map(read).collect(),
                Direction::Backward => records.rev().take(limit).map(read).collect(),
            }
        };
        tokio::task::spawn_blocking(scan).await.map_err(|e| Error::Unavailable(e.to_string()))?
    }

    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        if let Some(size) = batch
            .writes
            .iter()
            .filter_map(|(_, value)| value.as_ref())
            .map(Vec::len)
            .find(|n| *n > MAXIMUM_VALUE)
        {
            return Err(Error::TooLarge(size));
        }
        let (answer, result) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(|| Error::Unavailable("it is closed".into()))?;
        queue.try_send(Job { batch, answer }).map_err(|e| match e {
            TrySendError::Full(_) => Error::Unavailable("too many batches wait".into()),
            TrySendError::Disconnected(_) => Error::Unavailable("the writer has stopped".into()),
        })?;
        result.await.map_err(|_| Error::Unavailable("the writer has stopped".into()))?
    }

    fn condition(&self) -> Condition {
        self.shared.condition()
    }
}

fn fault(error: sled::Error) -> Error {
    match error {
        sled::Error::Corruption { .. } => Error::Damaged(error.to_string()),
        other => Error::Unavailable(other.to_string()),
    }
}

/// What is on the disk.
struct Files {
    path: PathBuf,
    cache: u64,
    sentinel: Sentinel,
    space: Space,
}

impl Files {
    /// Opens sled; a panic of its own at a damaged file becomes an error.
    fn open(&self) -> Result<(Db, File), Error> {
        let config = sled::Config::new()
            .path(&self.path)
            .cache_capacity(self.cache)
            // Nothing is left to be flushed by the way: every batch is.
            .flush_every_ms(None);
        let damaged = |text: &str| {
            Error::Damaged(format!(
                "the database in {} is damaged ({text}); restore the data folder from a backup. Keep the damaged files \
                 until that is done",
                self.path.display()
            ))
        };
        let opened =
            catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| damaged("it can't be read"))?;
        let db = opened.map_err(|error| match &error {
            sled::Error::Corruption { .. } => damaged("corruption"),
            sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => {
                Error::Unavailable(format!(
                    "the database in {} is in use by another process; only one may have it open",
                    self.path.display()
                ))
            }
            _ => Error::Unavailable(format!("{}: {error}", self.path.display())),
        })?;
        let io = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", self.path.display()));
        let file = File::open(self.path.join("db")).map_err(io)?;
        Ok((db, file))
    }

    fn mark_of(db: &Db) -> Result<Option<Mark>, Error> {
        let found = db.get(sentinel::KEY).map_err(fault)?;
        found
            .map(|bytes| Mark::parse(&bytes).ok_or_else(|| Error::Damaged("the mark of the database".into())))
            .transpose()
    }

    /// The first opening of this process: file and database must belong together; then the count of starts is raised
    /// in both.
    fn open_first(&self) -> Result<(Db, File, Mark), Error> {
        let io = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", self.path.display()));
        let fresh = !self.path.exists();
        let (db, file) = self.open()?;
        let known = self.sentinel.read().map_err(Error::Damaged)?;
        let mark = Self::mark_of(&db)?;
        let others = db.iter().keys().filter(|key| key.as_ref().is_ok_and(|key| key != sentinel::KEY));
        let empty = others.take(1).count() == 0;
        if let Err(text) = sentinel::judge(known, mark, empty) {
            drop(db);
            if fresh {
                // The empty database that was made just now would only confuse whoever comes to repair this.
                let _ = std::fs::remove_dir_all(&self.path);
            }
            return Err(Error::Damaged(text));
        }
        let install = match mark {
            Some(mark) => mark.install,
            None => {
                let mut id = [0; 16];
                aws_lc_rs::rand::fill(&mut id).map_err(|_| Error::Unavailable("no random numbers".into()))?;
                id
            }
        };
        // Counted from the file, which is written last: however often a start is broken off between the two, the
        // database is one ahead at most.
        let epoch = known.map_or(0, |mark| mark.epoch) + 1;
        let next = Mark { install, epoch, batches: mark.map_or(0, |mark| mark.batches) };
        db.insert(sentinel::KEY, next.bytes()).map_err(fault)?;
        sync(&db, &file)?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(io)?;
        self.sentinel.write(next).map_err(io)?;
        Ok((db, file, next))
    }
}

/// Makes everything applied durable.
fn sync(db: &Db, file: &File) -> Result<(), Error> {
    db.flush().map_err(fault)?;
    file.sync_data().map_err(|e| Error::Unavailable(format!("sync: {e}")))
}

/// The writing thread.
struct Writer {
    shared: Arc<Shared>,
    files: Files,
    file: Option<File>,
    /// What the database's mark must at least be.
    mark: Mark,
    /// How many batches the file beside it was told of.
    noted: u64,
    /// When the database was last opened, or tried to be.
    tried: Instant,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = if self.shared.condition() == Condition::Writable {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(RETRY)
            };
            match first {
                Ok(first) => {
                    let mut group = vec![first];
                    group.extend(jobs.try_iter().take(GROUP - 1));
                    self.write(group);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let (Ok(db), Some(file)) = (self.shared.db(), &self.file) {
            let _ = sync(&db, file);
            self.note();
        }
        self.shared.set_db(None);
    }

    /// Tells the file beside the database how many batches there are.
    fn note(&mut self) {
        match self.files.sentinel.write(self.mark) {
            Ok(()) => self.noted = self.mark.batches,
            Err(error) => tracing::warn!(%error, "store.id could not be brought up to date"),
        }
    }

    /// Writes a group and answers it.
    fn write(&mut self, group: Vec<Job>) {
        if self.shared.condition() != Condition::Writable {
            // Many may ask while it is down: opening it is not for each of them to try.
            if self.file.is_some() || self.tried.elapsed() >= RETRY {
                self.look();
            }
        }
        if self.shared.condition() == Condition::Writable
            && let Err(why) = self.files.space.require()
        {
            self.shared.set_condition(Condition::ReadOnly(why));
        }
        let refusal = match self.shared.condition() {
            Condition::Writable => None,
            Condition::ReadOnly(why) => Some(Error::ReadOnly(why)),
            Condition::Failed(why) => Some(Error::Unavailable(why)),
        };
        let db = self.shared.db();
        let (Ok(db), Some(file), None) = (db, &self.file, &refusal) else {
            let refusal = refusal.unwrap_or_else(|| Error::Unavailable("it is closed".into()));
            for job in group {
                let _ = job.answer.send(Err(refusal.clone()));
            }
            return;
        };
        let mut fatal = None;
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let result = match &fatal {
                Some(error) => Err(Error::clone(error)),
                None => {
                    let applied = catch_unwind(AssertUnwindSafe(|| apply(&db, &job.batch)));
                    applied.unwrap_or_else(|_| Err(Error::Damaged("sled panicked".into())))
                }
            };
            if let Err(error @ (Error::Unavailable(_) | Error::Damaged(_))) = &result {
                fatal.get_or_insert_with(|| error.clone());
            }
            answers.push((job.answer, result));
        }
        let applied = answers.iter().filter(|(_, result)| result.is_ok()).count() as u64;
        let mark = Mark { batches: self.mark.batches + applied, ..self.mark };
        let synced = match fatal {
            Some(error) => Err(error),
            None if applied == 0 => Ok(()),
            None => catch_unwind(AssertUnwindSafe(|| {
                db.insert(sentinel::KEY, mark.bytes()).map_err(fault)?;
                sync(&db, file)
            }))
            .unwrap_or_else(|_| Err(Error::Damaged("sled panicked".into()))),
        };
        drop(db);
        match &synced {
            Ok(()) => self.mark = mark,
            Err(error) => self.close(error.to_string()),
        }
        for (answer, result) in answers {
            // What was applied but not synced is not promised to anyone.
            let result = match (&synced, result) {
                (Err(error), Ok(())) => Err(error.clone()),
                (_, result) => result,
            };
            let _ = answer.send(result);
        }
        if self.mark.batches >= self.noted + NOTE_EVERY {
            self.note();
        }
    }

    /// Gives a failed database up.
    fn close(&mut self, why: String) {
        self.shared.set_condition(Condition::Failed(why));
        self.file = None;
        self.shared.set_db(None);
        self.tried = Instant::now();
    }

    /// Looks whether things are better.
    fn look(&mut self) {
        if self.file.is_none() {
            self.tried = Instant::now();
            match self.files.space.with_reserve(|| self.reopen()) {
                Ok((db, file)) => {
                    self.shared.set_db(Some(db));
                    self.file = Some(file);
                }
                Err(error) => {
                    self.shared.set_condition(Condition::Failed(error.to_string()));
                    return;
                }
            }
        }
        self.shared.set_condition(match self.files.space.require() {
            Ok(()) => Condition::Writable,
            Err(why) => Condition::ReadOnly(why),
        });
    }

    fn reopen(&self) -> Result<(Db, File), Error> {
        let (db, file) = self.files.open()?;
        match Files::mark_of(&db)? {
            Some(mark) if mark.install == self.mark.install && mark.batches >= self.mark.batches => {
                Ok((db, file))
            }
            _ => Err(Error::Damaged(
                "the database is not the one that was open before, or lost its latest writes".into(),
            )),
        }
    }
}

fn apply(db: &Db, batch: &Batch) -> Result<(), Error> {
    for (key, expected) in &batch.expected {
        if db.get(key).map_err(fault)?.as_deref() != expected.as_deref() {
            return Err(Error::Conflict);
        }
    }
    let mut writes = sled::Batch::default();
    for (key, value) in &batch.writes {
        match value {
            Some(value) => writes.insert(key.as_slice(), value.as_slice()),
            None => writes.remove(key.as_slice()),
        }
    }
    db.apply_batch(writes).map_err(fault)
}

#[cfg(test)]
mod tests;
