//! The engine on sled 0.34. The only place that names it.
//!
//! One thread writes. It takes all batches that wait, checks and applies each, then flushes sled and syncs its file:
//! sled's own flush is `sync_file_range`, which promises nothing after a power cut. Only then are they answered.
//! When sled fails (it never recovers from a full disk by itself) the thread closes it, waits for better times and
//! opens it again.
//!
//! sled's other edges, and where they are covered: it panics on damaged files (`guarded`); it keeps what is larger
//! than a quarter of a segment in files that it never syncs (`SEGMENT`); a snapshot half written spoils every later
//! opening (`discard_unfinished_snapshots`); it holds its lock for a moment after it was closed (`patiently`).

use std::{
    fs::{self, File, Permissions, TryLockError},
    mem,
    ops::Bound,
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rustix::fs::{Advice, fadvise};
use sled::Db;
use tokio::{sync::oneshot, time::timeout};

use super::{
    Batch, Condition, Engine, Error, Link, MAXIMUM_KEY, MAXIMUM_VALUE, Room,
    follow::{Follower, Followers},
    sentinel::{self, Mark, Sentinel},
    space::Space,
    swap,
};

/// Batches that are made durable together, at most.
const GROUP: usize = 256;
/// Batches that may wait.
const QUEUE: usize = 4096;
/// After so many batches the file beside the database is told how many there are.
const NOTE_EVERY: u64 = 1000;
/// And after so long, so that a database put back by more than that is noticed even within one run.
const NOTE_AFTER: Duration = Duration::from_secs(5);
/// How often a look is taken at the disk while nothing is written, and while nothing can be.
const WATCH: Duration = Duration::from_secs(10);
const WATCH_IN_TROUBLE: Duration = Duration::from_secs(1);
/// The first and the longest wait before a failed database is opened again, which reads much of it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a commit waits for a disk that doesn't answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// sled's unit of writing. A page has up to 17 records before it is split, and 20 after it was merged with its
/// neighbour. One larger than a quarter of a segment would be written to a file of its own, which sled doesn't sync:
/// the limits of keys and values see to it that this never happens.
const SEGMENT: usize = 4 << 20;
const _: () = assert!(21 * (MAXIMUM_KEY + MAXIMUM_VALUE + 32) < SEGMENT / 4);

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
    patience: Duration,
    /// Keeps other processes out of the folder; the last to go.
    _lock: File,
}

struct Shared {
    db: RwLock<Option<Db>>,
    condition: RwLock<Condition>,
    /// Found while reading; set once.
    damage: OnceLock<String>,
    path: PathBuf,
    log: OnceLock<(u8, Link)>,
    followers: Followers,
}

impl Shared {
    /// Reads, if there is something to be read from.
    fn read<T>(&self, operation: impl FnOnce(&Db) -> Result<T, Error>) -> Result<T, Error> {
        let db = self.db()?;
        let result = guarded(|| operation(&db));
        // A database that has failed otherwise may say anything.
        if let Err(Error::Damaged(text)) = &result
            && !matches!(self.condition(), Condition::Failed(_))
        {
            let text = self.damage.get_or_init(|| damaged(&self.path, text)).clone();
            self.set_condition(Condition::Failed(text.clone()));
            return Err(Error::Damaged(text));
        }
        result
    }

    fn db(&self) -> Result<Db, Error> {
        if let Some(text) = self.damage.get() {
            return Err(Error::Damaged(text.clone()));
        }
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner).clone();
        db.ok_or_else(|| match self.condition() {
            Condition::Writable => Error::Unavailable("it is being opened".into()),
            Condition::ReadOnly(why) | Condition::Failed(why) => Error::Unavailable(why),
        })
    }

    fn set_db(&self, db: Option<Db>) {
        let old = mem::replace(&mut *self.db.write().unwrap_or_else(PoisonError::into_inner), db);
        if let Some(old) = old {
            close(old);
        }
    }

    fn condition(&self) -> Condition {
        self.condition.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_condition(&self, new: Condition) {
        let mut condition = self.condition.write().unwrap_or_else(PoisonError::into_inner);
        if mem::discriminant(&*condition) != mem::discriminant(&new) {
            match &new {
                Condition::Writable => tracing::info!("the store can be written to again"),
                Condition::ReadOnly(why) => tracing::error!(why, "the store is read-only"),
                Condition::Failed(why) => tracing::error!(why, "the store has failed; it is tried again"),
            }
        }
        *condition = new;
    }
}

struct Job {
    batch: Batch,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl SledEngine {
    /// Opens the database in a data folder, or makes one if the folder is new. Blocks.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, Error> {
        let lock = lock(folder)?;
        swap::finish(folder)?;
        let space = Space::of(folder, options.reserve, options.least_free);
        let files =
            Files { path: folder.join("db"), cache: options.cache, sentinel: Sentinel::of(folder), space };
        let open = || catch_unwind(AssertUnwindSafe(|| files.open_first()));
        let (db, file, mark) = files
            .space
            .with_reserve(open)
            .unwrap_or_else(|_| Err(Error::Damaged(damaged(&files.path, "it can't be read"))))?;
        let condition = match files.space.require() {
            Ok(()) => Condition::Writable,
            Err(why) => Condition::ReadOnly(why),
        };
        if let Condition::ReadOnly(why) = &condition {
            tracing::error!(why, "the store is read-only");
        }
        let shared = Arc::new(Shared {
            db: RwLock::new(Some(db)),
            condition: RwLock::new(condition),
            damage: OnceLock::new(),
            path: files.path.clone(),
            log: OnceLock::new(),
            followers: Followers::default(),
        });
        let (queue, jobs) = sync_channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            files,
            file: Some(file),
            last: None,
            mark,
            noted: mark.batches,
            noted_at: Instant::now(),
            paused_until: Instant::now(),
            wait: FIRST_WAIT,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&jobs))
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self { shared, queue: Some(queue), writer: Some(writer), patience: PATIENCE, _lock: lock })
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
        self.shared.read(|db| Ok(db.get(key).map_err(fault)?.map(|value| value.to_vec())))
    }

    async fn join(&self, prefixes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let shared = Arc::clone(&self.shared);
        let join = move || {
            shared.read(|db| {
                let values = |prefix| {
                    let mut joined = Vec::new();
                    for record in db.scan_prefix::<Vec<u8>>(prefix) {
                        let (key, value) = record.map_err(fault)?;
                        joined.extend_from_slice(&value);
                        // sled looks at the size of its cache once in 64 accesses to pages of one of its 256 shards, and
                        // an iterator counts as one for each page: much that is read would all stay in memory.
                        db.get(&key).map_err(fault)?;
                    }
                    Ok(joined)
                };
                prefixes.into_iter().map(values).collect()
            })
        };
        tokio::task::spawn_blocking(join).await.map_err(|e| Error::Unavailable(e.to_string()))?
    }

    async fn scan(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let shared = Arc::clone(&self.shared);
        let scan = move || {
            shared.read(|db| {
                let records = db.range::<Vec<u8>, _>((from, to)).take(limit);
                records
                    .map(|record| record.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(fault))
                    .collect()
            })
        };
        tokio::task::spawn_blocking(scan).await.map_err(|e| Error::Unavailable(e.to_string()))?
    }

    async fn last_numbered(&self, letter: u8) -> Result<Option<(Vec<u8>, Vec<u8>)>, Error> {
        let shared = Arc::clone(&self.shared);
        let find = move || shared.read(|db| last_numbered(db, letter));
        tokio::task::spawn_blocking(find).await.map_err(|e| Error::Unavailable(e.to_string()))?
    }

    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        for (key, value) in &batch.writes {
            let value = value.as_ref().map_or(0, Vec::len);
            if key.len() > MAXIMUM_KEY || value > MAXIMUM_VALUE {
                return Err(Error::TooLarge(key.len().max(value)));
            }
        }
        // Its record has a seal besides.
        if let Some(entry) = batch.appended.iter().find(|entry| entry.len() + 256 > MAXIMUM_VALUE) {
            return Err(Error::TooLarge(entry.len()));
        }
        if !batch.appended.is_empty() && self.shared.log.get().is_none() {
            return Err(Error::Unavailable("the log is not named yet".into()));
        }
        let (answer, result) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(|| Error::Unavailable("it is closed".into()))?;
        queue.try_send(Job { batch, answer }).map_err(|e| match e {
            TrySendError::Full(_) => Error::Unavailable("too many batches wait".into()),
            TrySendError::Disconnected(_) => Error::Unavailable("the writer has stopped".into()),
        })?;
        let Ok(result) = timeout(self.patience, result).await else {
            let why = format!("the disk has not answered for {} seconds", self.patience.as_secs());
            // The writer says otherwise as soon as it goes on.
            self.shared.set_condition(Condition::Failed(why.clone()));
            return Err(Error::Unavailable(why));
        };
        result.map_err(|_| Error::Unavailable("the writer has stopped".into()))?
    }

    fn keep_log(&self, letter: u8, link: Link) {
        if self.shared.log.set((letter, link)).is_err() {
            tracing::error!("the log was named already");
        }
    }

    fn follow(&self) -> Follower {
        self.shared.followers.add()
    }

    fn condition(&self) -> Condition {
        self.shared.condition()
    }

    async fn room(&self) -> Result<Room, Error> {
        let shared = Arc::clone(&self.shared);
        let look = move || {
            let taken = shared.read(|db| db.size_on_disk().map_err(fault))?;
            let disk = rustix::fs::statvfs(&shared.path).map_err(|e| Error::Unavailable(e.to_string()))?;
            Ok(Room { taken, left: disk.f_bavail.saturating_mul(disk.f_frsize) })
        };
        tokio::task::spawn_blocking(look).await.map_err(|e| Error::Unavailable(e.to_string()))?
    }
}

fn fault(error: sled::Error) -> Error {
    match error {
        sled::Error::Corruption { .. } => Error::Damaged(error.to_string()),
        other => Error::Unavailable(other.to_string()),
    }
}

/// Turns a panic of sled into an error.
fn guarded<T>(operation: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|_| Err(Error::Damaged("sled panicked".into())))
}

/// A failed sled still tries to flush when it goes, and may panic over it.
fn close(db: Db) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
}

fn damaged(path: &Path, text: &str) -> String {
    format!(
        "the database in {} is damaged ({text}); restore the data folder from a backup. Keep the damaged files until \
         that is done",
        path.display()
    )
}

fn in_use(path: &Path) -> Error {
    Error::Unavailable(format!(
        "the database in {} is in use by another process; only one may have it open",
        path.display()
    ))
}

/// Takes the folder for this process. sled locks its file too, but lets go of it whenever it is opened again.
pub(super) fn lock(folder: &Path) -> Result<File, Error> {
    let unusable = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", folder.display()));
    let file = File::open(folder).map_err(unusable)?;
    match patiently(|| file.try_lock(), |error| matches!(error, TryLockError::WouldBlock)) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(folder)),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Tries for a second to take a lock: sled's is held until its last background task has ended, and a child process
/// holds those of its parent until it has begun its program.
fn patiently<T, E>(take: impl Fn() -> Result<T, E>, is_held: impl Fn(&E) -> bool) -> Result<T, E> {
    for _ in 0..50 {
        match take() {
            Err(error) if is_held(&error) => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
    take()
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

/// A snapshot that is being written when the disk gets full or the program dies keeps its working name, but the next
/// opening would take it for a finished one and find it damaged. The one before it is still there.
fn discard_unfinished_snapshots(path: &Path) -> std::io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes the database's files private and their names durable: sled leaves both to its user.
fn settle(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    File::open(path)?.sync_all()
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
        let io = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", self.path.display()));
        let config = sled::Config::new()
            .path(&self.path)
            .cache_capacity(self.cache)
            .segment_size(SEGMENT)
            // Nothing is left to be flushed by the way: every batch is.
            .flush_every_ms(None);
        let damaged = |text: &str| Error::Damaged(damaged(&self.path, text));
        discard_unfinished_snapshots(&self.path).map_err(io)?;
        let opened = catch_unwind(AssertUnwindSafe(|| patiently(|| config.open(), is_locked)))
            .map_err(|_| damaged("it can't be read"))?;
        let db = opened.map_err(|error| match &error {
            sled::Error::Corruption { .. } => damaged("corruption"),
            error if is_locked(error) => in_use(&self.path),
            // A file that ends too early.
            sled::Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => damaged("it was cut"),
            _ => Error::Unavailable(format!("{}: {error}", self.path.display())),
        })?;
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
                let _ = fs::remove_dir_all(&self.path);
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
        settle(&self.path).map_err(io)?;
        self.sentinel.write(next).map_err(io)?;
        Ok((db, file, next))
    }
}

/// Makes everything applied durable.
fn sync(db: &Db, file: &File) -> Result<(), Error> {
    db.flush().map_err(fault)?;
    file.sync_data().map_err(|e| Error::Unavailable(format!("sync: {e}")))
}

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// The last record of the log.
#[derive(Clone)]
struct Last {
    number: u64,
    /// None while there is none.
    record: Option<Vec<u8>>,
}

impl Last {
    fn find(db: &Db, letter: u8) -> Result<Self, Error> {
        let Some((key, record)) = last_numbered(db, letter)? else {
            return Ok(Self { number: 0, record: None });
        };
        let number = number_of(&key).ok_or_else(|| Error::Damaged("a key of the log".into()))?;
        Ok(Self { number, record: Some(record) })
    }
}

fn number_of(key: &[u8]) -> Option<u64> {
    key.get(1..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes)
}

/// See [`Engine::last_numbered`]. Numbers are tried by halves, since sled's own way backwards keeps a key of a MiB in the
/// program.
fn last_numbered(db: &Db, letter: u8) -> Result<Option<Row>, Error> {
    let key = |number: u64| [&[letter][..], &number.to_be_bytes()].concat();
    // There is none above `to`; the last that was seen is at `from`.
    let (mut last, mut from, mut to) = (None, 0, u64::MAX);
    loop {
        let middle = if last.is_none() { 0 } else { from + (to - from).div_ceil(2) };
        match db.range(key(middle)..=key(to)).next().transpose().map_err(fault)? {
            Some((key, record)) => {
                from = number_of(&key).ok_or_else(|| Error::Damaged("a key with a number".into()))?;
                last = Some((key.to_vec(), record.to_vec()));
            }
            None if last.is_none() => return Ok(None),
            None => to = middle - 1,
        }
        if from >= to {
            return Ok(last);
        }
    }
}

/// The writing thread.
struct Writer {
    shared: Arc<Shared>,
    files: Files,
    file: Option<File>,
    /// The end of the log, unless it has yet to be looked for.
    last: Option<Last>,
    /// What the database's mark must at least be.
    mark: Mark,
    /// How many batches the file beside it was told of.
    noted: u64,
    /// When it was told.
    noted_at: Instant,
    /// A failed database is not opened before; each failure doubles the wait, a success resets it.
    paused_until: Instant,
    wait: Duration,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let is_well = self.shared.condition() == Condition::Writable;
            match jobs.recv_timeout(if is_well { WATCH } else { WATCH_IN_TROUBLE }) {
                Ok(first) => {
                    let mut group = vec![first];
                    group.extend(jobs.try_iter().take(GROUP - 1));
                    self.write(group);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    if self.mark.batches > self.noted {
                        self.note();
                    }
                }
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
        self.noted_at = Instant::now();
        match self.files.sentinel.write(self.mark) {
            Ok(()) => self.noted = self.mark.batches,
            Err(error) => tracing::warn!(%error, "store.id could not be brought up to date"),
        }
    }

    /// Writes a group and answers it.
    fn write(&mut self, group: Vec<Job>) {
        if self.shared.condition() != Condition::Writable {
            self.look();
        }
        if self.shared.condition() == Condition::Writable
            && let Err(why) = self.files.space.require()
        {
            self.shared.set_condition(Condition::ReadOnly(why));
        }
        let db = self.shared.db();
        let refusal = match (self.shared.condition(), &db) {
            (_, Err(error @ Error::Damaged(_))) => Some(error.clone()),
            (Condition::Writable, _) => None,
            (Condition::ReadOnly(why), _) => Some(Error::ReadOnly(why)),
            (Condition::Failed(why), _) => Some(Error::Unavailable(why)),
        };
        let (Ok(db), Some(file), None) = (db, &self.file, &refusal) else {
            let refusal = refusal.unwrap_or_else(|| Error::Unavailable("it is closed".into()));
            for job in group {
                let _ = job.answer.send(Err(refusal.clone()));
            }
            return;
        };
        let mut fatal = None;
        let mut answers = Vec::with_capacity(group.len());
        let mut carried_out = Vec::with_capacity(group.len());
        for job in group {
            let result = match &fatal {
                Some(error) => Err(Error::clone(error)),
                None => {
                    let linked = guarded(|| link(&db, self.shared.log.get(), &mut self.last, job.batch));
                    linked.and_then(|(batch, last)| {
                        guarded(|| apply(&db, &batch))?;
                        self.last = last;
                        carried_out.push(batch);
                        Ok(())
                    })
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
            None => guarded(|| {
                db.insert(sentinel::KEY, mark.bytes()).map_err(fault)?;
                sync(&db, file)
            }),
        };
        drop(db);
        match &synced {
            Ok(()) => {
                self.mark = mark;
                self.wait = FIRST_WAIT;
                self.shared.followers.tell(&carried_out);
            }
            Err(error) => {
                // What was read meanwhile may not be there later.
                self.shared.followers.lose(error);
                self.close(error.to_string());
            }
        }
        for (answer, result) in answers {
            // What was applied but not synced is not promised to anyone.
            let result = match (&synced, result) {
                (Err(error), Ok(())) => Err(error.clone()),
                (_, result) => result,
            };
            let _ = answer.send(result);
        }
        if self.mark.batches >= self.noted + NOTE_EVERY || self.noted_at.elapsed() >= NOTE_AFTER {
            self.note();
        }
    }

    /// Gives a failed database up.
    fn close(&mut self, why: String) {
        self.shared.set_condition(Condition::Failed(why));
        self.file = None;
        self.last = None;
        self.shared.set_db(None);
        self.pause();
    }

    fn pause(&mut self) {
        self.paused_until = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Looks whether things are better.
    fn look(&mut self) {
        if self.shared.damage.get().is_some() {
            return;
        }
        if self.file.is_none() {
            // Many may ask while it is down: opening it is not for each of them to try.
            if Instant::now() < self.paused_until {
                return;
            }
            match self.files.space.with_reserve(|| self.reopen()) {
                Ok((db, file)) => {
                    self.shared.set_db(Some(db));
                    self.file = Some(file);
                }
                Err(error) => {
                    self.shared.set_condition(Condition::Failed(error.to_string()));
                    self.pause();
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
        let path = self.files.path.join("db");
        let gone = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", path.display()));
        // After a failed sync the system's cache may hold what the disk doesn't. Advice only: it may not be taken.
        let _ = fadvise(File::open(&path).map_err(gone)?, 0, None, Advice::DontNeed);
        let (db, file) = self.files.open()?;
        let found = match guarded(|| Files::mark_of(&db))? {
            Some(mark) if mark.install == self.mark.install && mark.batches >= self.mark.batches => mark,
            _ => {
                return Err(Error::Damaged(
                    "the database is not the one that was open before, or lost its latest writes".into(),
                ));
            }
        };
        // That it can be read doesn't say that it can be written to. On a full disk there is no need to try.
        if self.files.space.require().is_ok() {
            let tried = guarded(|| {
                db.insert(sentinel::KEY, found.bytes()).map_err(fault)?;
                sync(&db, &file)
            });
            if let Err(error) = tried {
                close(db);
                return Err(error);
            }
        }
        Ok((db, file))
    }
}

/// Turns what is appended into writes, each entry linked to the one before it; and the end of the log afterwards.
fn link(
    db: &Db,
    log: Option<&(u8, Link)>,
    last: &mut Option<Last>,
    mut batch: Batch,
) -> Result<(Batch, Option<Last>), Error> {
    let appended = mem::take(&mut batch.appended);
    if appended.is_empty() {
        return Ok((batch, last.clone()));
    }
    let (letter, link) = log.ok_or_else(|| Error::Unavailable("the log is not named yet".into()))?;
    let mut end = match last {
        Some(last) => last.clone(),
        None => last.insert(Last::find(db, *letter)?).clone(),
    };
    for entry in appended {
        end.number += 1;
        let record = link(end.number, end.record.as_deref(), &entry);
        let key = [&[*letter][..], &end.number.to_be_bytes()].concat();
        batch.writes.push((key, Some(record.clone())));
        end.record = Some(record);
    }
    Ok((batch, Some(end)))
}

fn apply(db: &Db, batch: &Batch) -> Result<(), Error> {
    for (key, expected) in &batch.expected {
        if db.get(key).map_err(fault)?.as_deref() != expected.as_deref() {
            return Err(Error::Conflict);
        }
    }
    // sled writes a manifest for a batch; one write is atomic without.
    if let [(key, value)] = batch.writes.as_slice() {
        let written = match value {
            Some(value) => db.insert(key.as_slice(), value.as_slice()),
            None => db.remove(key.as_slice()),
        };
        return written.map(drop).map_err(fault);
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
