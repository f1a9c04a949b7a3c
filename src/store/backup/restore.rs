//! Putting a backup back: it is read to its end before anything is written, then made into a database of its own beside
//! the present one, which it replaces in one step when that is wanted.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File},
    io::{BufReader, Seek as _, SeekFrom},
    ops::Bound,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Fault, Head, belongs,
    file::{Entry, Opener},
    merge::{Present, is_log, stays, taken},
};
use crate::{
    domain::{
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        lockout::Tally,
    },
    store::{
        Store, audit,
        engine::{Batch, Engine as _, Options, SledEngine, put_in_place},
        keyring::Keyring,
        migrations::PRESENT,
        record::{self, Space},
    },
};

/// The folder in the data folder in which it is made.
const NEW: &str = "restore.new";
/// So many records are written at a time.
const FEW: usize = 100;
/// What is at hand of the disk's cache meanwhile, in bytes.
const CACHE: u64 = 16 << 20;

/// What there is in a store, for who decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// People who enrolled.
    pub enrollments: usize,
    /// Second factors of administrators.
    pub administrators: usize,
    /// Tokens of the API.
    pub tokens: usize,
    /// Tabs of the settings that were changed.
    pub settings: usize,
    /// The number of the last event.
    pub last_event: u64,
}

impl Contents {
    /// Counts them.
    pub async fn of(store: &Store) -> Result<Self, Fault> {
        let count = async |from: Vec<u8>, to: Vec<u8>| -> Result<usize, Fault> {
            let (mut from, to) = (Bound::Included(from), Bound::Excluded(to));
            let mut count = 0;
            loop {
                let rows = store.engine.scan(from, to.clone(), FEW).await?;
                let Some((last, _)) = rows.last() else { return Ok(count) };
                from = Bound::Excluded(last.clone());
                count += rows.len();
            }
        };
        let of = |space: Space, more: u8| vec![space.letter(), more];
        Ok(Self {
            enrollments: count(of(Space::Enrollments, 0), of(Space::Enrollments, 255)).await?,
            administrators: count(of(Space::Admins, b'a'), of(Space::Admins, b'g')).await?,
            tokens: count(vec![Space::ApiTokens.letter()], vec![Space::ApiTokens.letter() + 1]).await?,
            settings: count(of(Space::Settings, b't'), of(Space::Settings, b'u')).await?,
            last_event: store.head().await?.map_or(0, |head| head.number),
        })
    }
}

/// A backup beside what it would replace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// What the backup says of itself.
    pub head: Head,
    /// What would be there.
    pub after: Contents,
    /// What is there, if it can be read.
    pub now: Option<Contents>,
    /// Whether the audit log that is there goes on.
    pub keeps_log: bool,
}

/// A backup that is ready to be put in place.
pub struct Restore {
    folder: PathBuf,
    made: Store,
    replaced: Option<audit::Head>,
    /// What it would replace.
    pub comparison: Comparison,
}

/// Reads all of a backup: its head, and the end of the audit log in it.
fn read_through(file: &File, keys: &Keyring) -> Result<(Head, Option<audit::Head>), Fault> {
    let mut opener = open(file, keys)?;
    let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
    loop {
        match opener.next()? {
            Entry::Put(key, value) if key.first() == Some(&Space::Audit.letter()) => {
                if last.as_ref().is_none_or(|(known, _)| *known <= key) {
                    last = Some((key, value));
                }
            }
            Entry::Put(..) | Entry::Remove(_) => {}
            Entry::End(_) => break,
        }
    }
    let log = last.map(|(key, record)| audit::Head::of_record(&key, &record)).transpose()?;
    Ok((opener.head, log))
}

fn open<'a>(mut file: &'a File, keys: &Keyring) -> Result<Opener<BufReader<&'a File>>, Fault> {
    file.seek(SeekFrom::Start(0)).map_err(|error| Fault::Trouble(error.to_string()))?;
    Opener::new(BufReader::new(file), keys, PRESENT)
}

/// Reads a backup to its end, makes a database of it in the data folder, and compares it with the one that is there.
/// Nothing of that is changed.
pub async fn compare(
    folder: &Path,
    file: &File,
    keys: &Keyring,
    present: Option<&Store>,
    now: Timestamp,
) -> Result<Restore, Fault> {
    let (head, log) = read_through(file, keys)?;
    let fails = |error: std::io::Error| Fault::Trouble(format!("{}: {error}", folder.display()));
    let new = folder.join(NEW);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(fails)?;
    }
    DirBuilder::new().mode(0o700).create(&new).map_err(fails)?;
    let options = Options { cache: CACHE, reserve: 0, ..Options::default() };
    let engine = SledEngine::open(&new, &options)?;
    let present = match present {
        Some(store) => {
            let is_later = match (&log, store.head().await?) {
                (Some(log), Some(_)) => store.holds(&keys.audit, *log).await?,
                _ => false,
            };
            Some(Present { store, is_later })
        }
        None => None,
    };
    let mut opener = open(file, keys)?;
    let mut writer = Writer { engine: &engine, batch: Batch::new(), count: 0 };
    loop {
        match opener.next()? {
            // Whoever made it: what is void stays so.
            Entry::Put(key, value) if belongs(&key) => match taken(&key, value, present.as_ref(), now).await?
            {
                Some(value) => writer.put(key, value).await?,
                None => writer.remove(key).await?,
            },
            Entry::Put(..) => {}
            Entry::Remove(key) => writer.remove(key).await?,
            Entry::End(_) => break,
        }
    }
    writer.flush().await?;
    if let Some(present) = &present {
        carry_over(present, &engine).await?;
    }
    let made = Store::open(Arc::new(engine)).await?;
    let comparison = Comparison {
        head,
        after: Contents::of(&made).await?,
        now: match &present {
            Some(present) => Some(Contents::of(present.store).await?),
            None => None,
        },
        keeps_log: present.as_ref().is_some_and(|present| present.is_later),
    };
    let replaced = match &present {
        Some(present) if !present.is_later => present.store.head().await?,
        _ => None,
    };
    Ok(Restore { folder: folder.to_owned(), made, replaced, comparison })
}

/// What stays of the present store.
async fn carry_over(present: &Present<'_>, engine: &SledEngine) -> Result<(), Fault> {
    let mut writer = Writer { engine, batch: Batch::new(), count: 0 };
    let mut from = Bound::Included(vec![1]);
    loop {
        let rows = present.store.engine.scan(from, Bound::Unbounded, FEW).await?;
        let Some((last, _)) = rows.last() else { break };
        from = Bound::Excluded(last.clone());
        for (key, value) in rows {
            // Counts that are in both were made of both.
            let is_count_of_now = key.first() == Some(&Space::Tallies.letter())
                && engine.find(&key).await?.is_none()
                && record::decode::<Tally>(&value).is_ok();
            if stays(&key) || is_count_of_now || present.is_later && is_log(&key) {
                writer.put(key, value).await?;
            }
        }
    }
    writer.flush().await
}

struct Writer<'a> {
    engine: &'a SledEngine,
    batch: Batch,
    count: usize,
}

impl Writer<'_> {
    async fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Fault> {
        self.batch = std::mem::take(&mut self.batch).put(key, value);
        self.counted(1).await
    }

    async fn remove(&mut self, key: Vec<u8>) -> Result<(), Fault> {
        self.batch = std::mem::take(&mut self.batch).remove(key);
        // sled holds on to the memory of many removals in one.
        self.counted(3).await
    }

    async fn counted(&mut self, weight: usize) -> Result<(), Fault> {
        self.count += weight;
        if self.count >= FEW { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        self.count = 0;
        Ok(self.engine.commit(std::mem::take(&mut self.batch)).await?)
    }
}

impl Restore {
    /// Puts it in the place of the present store, which has to be closed; where that is now, and the end of the audit log.
    /// `noted` is the end of it that was noted outside.
    pub async fn put_in_place(
        self,
        keys: &Keyring,
        by: &str,
        noted: Option<audit::Head>,
        now: Timestamp,
    ) -> Result<(PathBuf, Option<audit::Head>), Fault> {
        let Self { folder, made, replaced, comparison } = self;
        made.keep_log(&keys.audit, true).await?;
        let mut detail = format!("backup of {} by {}", comparison.head.made_at, comparison.head.by);
        if let Some(other) = replaced.or(noted.filter(|_| !comparison.keeps_log)) {
            let _ = write!(detail, "; another log was there, up to event {other}");
        }
        let event = Event {
            at: now,
            outcome: Outcome::Success,
            source: "console".into(),
            user: String::new(),
            domain: String::new(),
            action: Action::Restore,
            detail,
            source_ip: None,
            source_user: Some(by.to_owned()),
            account: None,
            reference: None,
        };
        made.batch().event(&event).commit().await?;
        let head = made.head().await?;
        drop(made);
        let time: String = now.to_string().chars().take(19).map(|c| if c == ':' { '-' } else { c }).collect();
        let aside = format!("replaced-{time}Z");
        let placed = tokio::task::spawn_blocking(move || put_in_place(&folder, NEW, &aside));
        let aside = placed.await.map_err(|error| Fault::Trouble(error.to_string()))??;
        Ok((aside, head))
    }

    /// Leaves everything as it is.
    pub fn give_up(self) {
        let Self { folder, made, .. } = self;
        drop(made);
        let _ = fs::remove_dir_all(folder.join(NEW));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        domain::{
            account::{AccountKey, DomainName, ObjectGuid},
            admin::{AdminId, SecondFactor},
            api_token::ApiToken,
            enrollment::{App, Enrollment},
            lockout::Subject,
            secret::Key,
        },
        store::ChangedTab,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_795_470_405_999);

    fn keys() -> Keyring {
        Keyring::from_secret(&Key::new([7; 32]))
    }

    fn engine(folder: &Path) -> Arc<SledEngine> {
        Arc::new(SledEngine::open(folder, &Options { cache: 1 << 20, reserve: 0, least_free: 0 }).unwrap())
    }

    async fn opened(folder: &Path) -> Store {
        let store = Store::open(engine(folder)).await.unwrap();
        store.older().await.unwrap();
        store.keep_log(&keys().audit, true).await.unwrap();
        store
    }

    fn account(number: u8) -> AccountKey {
        AccountKey { domain: DomainName::new("corp.example"), guid: ObjectGuid::from_bytes([number; 16]) }
    }

    fn event(user: &str) -> Event {
        Event {
            at: NOW,
            outcome: Outcome::Success,
            source: "web".into(),
            user: user.into(),
            domain: "CORP".into(),
            action: Action::Enroll,
            detail: String::new(),
            source_ip: None,
            source_user: None,
            account: None,
            reference: None,
        }
    }

    async fn enrolls(store: &Store, number: u8) {
        let mut enrollment = Enrollment::blank(format!("user{number}"), NOW);
        enrollment.app = Some(App { sealed: "s".into(), added_at: NOW, last_step: 5 });
        let batch = store.batch().put(&account(number), &enrollment);
        batch.event(&event(&format!("user{number}"))).commit().await.unwrap();
    }

    async fn locked(store: &Store, number: u8, wrong_answers: u32) {
        let tally = Tally { wrong_answers, ..Tally::default() };
        store.batch().put(&Subject::Known(account(number)), &tally).commit().await.unwrap();
    }

    async fn wrong_answers(store: &Store, number: u8) -> u32 {
        let tally = store.find::<Tally>(&Subject::Known(account(number))).await.unwrap();
        tally.map_or(0, |tally| tally.wrong_answers)
    }

    async fn backed_up(store: &Store) -> Result<Vec<u8>, Fault> {
        let (out, mut pieces) = mpsc::channel(4);
        let (keys, mut file) = (keys(), Vec::new());
        let made = store.back_up(&keys, NOW, out, &|_| ());
        let gathered = async {
            while let Some(piece) = pieces.recv().await {
                file.extend(piece);
            }
        };
        tokio::join!(made, gathered).0?;
        Ok(file)
    }

    fn on_disk(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file
    }

    async fn all(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = store.engine.scan(Bound::Included(vec![1]), Bound::Unbounded, usize::MAX);
        rows.await.unwrap().into_iter().filter(|(key, _)| belongs(key)).collect()
    }

    #[tokio::test]
    async fn a_round_trip_is_the_identity_and_codes_are_spent() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = opened(old.path()).await;
        store.batch().put(&"mail".to_owned(), &ChangedTab("host = 'mx'".into())).commit().await.unwrap();
        locked(&store, 1, 3).await;
        let without_apps = all(&store).await;
        let file = on_disk(&backed_up(&store).await.unwrap());
        let restore = compare(new.path(), &file, &keys(), None, NOW).await.unwrap();
        assert_eq!(all(&restore.made).await, without_apps);
        restore.give_up();
        assert_eq!(fs::read_dir(new.path()).unwrap().count(), 0);
        enrolls(&store, 1).await;
        let file = on_disk(&backed_up(&store).await.unwrap());
        let restore = compare(new.path(), &file, &keys(), None, NOW).await.unwrap();
        assert_eq!(
            restore.comparison.after,
            Contents { enrollments: 1, settings: 1, last_event: 1, ..Contents::default() }
        );
        let (_, head) = restore.put_in_place(&keys(), "root", None, NOW).await.unwrap();
        let store = opened(new.path()).await;
        let enrollment = store.find::<Enrollment>(&account(1)).await.unwrap().unwrap();
        assert_eq!(enrollment.app.as_ref().unwrap().last_step, 1_795_470_405 / 30 + 1);
        let verified = store.verify_log(&keys().audit, head, &|_, _| ()).await.unwrap();
        assert!(
            matches!(verified, audit::Verified::Whole(Some(end)) if Some(end) == head && end.number == 2)
        );
    }

    #[tokio::test]
    async fn lockouts_and_events_of_now_stay_and_enrollments_are_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        enrolls(&store, 1).await;
        locked(&store, 1, 1).await;
        locked(&store, 2, 3).await;
        let file = on_disk(&backed_up(&store).await.unwrap());
        enrolls(&store, 2).await;
        locked(&store, 1, 2).await;
        locked(&store, 2, 0).await;
        locked(&store, 3, 4).await;
        let noted = store.head().await.unwrap();
        let restore = compare(folder.path(), &file, &keys(), Some(&store), NOW).await.unwrap();
        assert!(restore.comparison.keeps_log);
        assert_eq!(restore.comparison.now.unwrap().enrollments, 2);
        assert_eq!((restore.comparison.after.enrollments, restore.comparison.after.last_event), (1, 2));
        drop(store);
        let (aside, head) = restore.put_in_place(&keys(), "root", noted, NOW).await.unwrap();
        let store = opened(folder.path()).await;
        for (number, count) in [(1, 2), (2, 3), (3, 4)] {
            assert_eq!(wrong_answers(&store, number).await, count, "{number}");
        }
        assert!(store.find::<Enrollment>(&account(2)).await.unwrap().is_none());
        assert!(store.holds(&keys().audit, noted.unwrap()).await.unwrap() && head.unwrap().number == 3);
        assert!(opened(&aside).await.find::<Enrollment>(&account(2)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn who_may_administer_or_ask_is_what_it_is_now_as_far_as_it_was_so_then() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        let admin = |number| AdminId::Account(account(number));
        let factor = |sealed: &str| SecondFactor {
            name: "admin".into(),
            app: App { sealed: sealed.into(), added_at: NOW, last_step: 5 },
            passkeys: Vec::new(),
        };
        let token = |used_at| ApiToken {
            name: "desk".into(),
            scopes: Vec::new(),
            made_by: "root".into(),
            made_at: NOW,
            expires_at: None,
            used_at,
        };
        for number in [1, 2, 3] {
            store.batch().put(&admin(number), &factor("then")).commit().await.unwrap();
        }
        for number in [1, 2] {
            store.batch().put(&[number; 32], &token(None)).commit().await.unwrap();
        }
        enrolls(&store, 1).await;
        let file = on_disk(&backed_up(&store).await.unwrap());
        // Since then: of one admin the app was replaced, another was dismissed, a third came; the same with tokens.
        store.batch().put(&admin(2), &factor("now")).commit().await.unwrap();
        let gone = store.find::<SecondFactor>(&admin(3)).await.unwrap().unwrap();
        store.batch().remove(&admin(3), &gone).commit().await.unwrap();
        store.batch().put(&admin(4), &factor("now")).commit().await.unwrap();
        store.batch().put(&[1; 32], &token(Some(NOW))).commit().await.unwrap();
        let gone = store.find::<ApiToken>(&[2; 32]).await.unwrap().unwrap();
        store.batch().remove(&[2; 32], &gone).commit().await.unwrap();
        store.batch().put(&[3; 32], &token(None)).commit().await.unwrap();
        let noted = store.head().await.unwrap();
        let restore = compare(folder.path(), &file, &keys(), Some(&store), NOW).await.unwrap();
        drop(store);
        restore.put_in_place(&keys(), "root", noted, NOW).await.unwrap();
        let store = opened(folder.path()).await;
        for (number, is_good) in [(1, true), (2, false), (3, false), (4, false)] {
            let found = store.find::<SecondFactor>(&admin(number)).await.unwrap();
            assert_eq!(found.is_some(), is_good, "admin {number}");
        }
        for (number, used_at) in [(1, Some(Some(NOW))), (2, None), (3, None)] {
            let found = store.find::<ApiToken>(&[number; 32]).await.unwrap();
            assert_eq!(found.map(|token| token.used_at), used_at, "token {number}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_written_meanwhile_is_there_as_at_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        for number in 0..200 {
            enrolls(&store, number).await;
        }
        // The first and the last are always written together: as many wrong answers for the one as for the other.
        let done = std::sync::atomic::AtomicBool::new(false);
        let writes = async {
            let mut count = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                count += 1;
                let tally = Tally { wrong_answers: count, ..Tally::default() };
                let batch = store.batch().put(&Subject::Known(account(0)), &tally);
                let batch = batch.put(&Subject::Known(account(199)), &tally);
                let batch = batch.put(&(count % 7).to_string(), &ChangedTab(count.to_string()));
                batch.event(&event(&count.to_string())).commit().await.unwrap();
            }
            count
        };
        let reads = async {
            let mut files = Vec::new();
            for _ in 0..5 {
                files.push(backed_up(&store).await.unwrap());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            files
        };
        let (count, files) = tokio::join!(writes, reads);
        let mut before = 0;
        for file in files {
            let other = tempfile::tempdir().unwrap();
            let restore = compare(other.path(), &on_disk(&file), &keys(), None, NOW).await.unwrap();
            let made = &restore.made;
            let first = wrong_answers(made, 0).await;
            assert_eq!(first, wrong_answers(made, 199).await);
            assert!(first >= before && first <= count);
            before = first;
            if first > 0 {
                let tab = made.find::<ChangedTab>(&(first % 7).to_string()).await.unwrap().unwrap();
                assert_eq!(tab.0, first.to_string());
            }
            assert_eq!(made.head().await.unwrap().unwrap().number, 200 + u64::from(first));
            let whole = made.verify_log(&keys().audit, None, &|_, _| ()).await.unwrap();
            assert!(matches!(whole, audit::Verified::Whole(_)), "{whole:?}");
        }
    }
}
