//! The data console: five million events and a million enrollments, and what is asked of them.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use regain::{
    domain::{
        account::ObjectGuid,
        audit::{Action, Event, EventColumn, Outcome},
        clock::{Clock as _, SystemClock, Timestamp},
        filter::{Filter, Search},
    },
    store::{
        Store,
        engine::{Options, SledEngine},
        keyring::Keyring,
    },
};

/// How many events.
pub const EVENTS: u64 = 5_000_000;
/// Of so many days.
const DAYS: u64 = 365;

/// A data folder with a million enrollments and the events of a year; made once and kept.
pub async fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-2");
    let done = folder.join("done");
    if done.exists() {
        return folder;
    }
    let enrollments = super::store::million().await;
    let _ = fs::remove_dir_all(&folder);
    copy(&enrollments, &folder);
    let _ = fs::remove_file(&done);
    let began = Instant::now();
    let store = open(&folder).await;
    let keys = Keyring::open(&folder.join("secret.key"), &store).await.unwrap();
    let now = SystemClock.now();
    store.fill_log(&keys.audit, (0..EVENTS).map(|n| event(n, now))).await.unwrap();
    store.index_users(&|_, _| {}).await.unwrap();
    eprintln!(
        "made {EVENTS} events in {:.1} s (once; kept in {})",
        began.elapsed().as_secs_f64(),
        folder.display()
    );
    drop(store);
    File::create(done).unwrap();
    folder
}

/// The store in that folder.
pub async fn open(folder: &Path) -> Store {
    let engine = SledEngine::open(folder, &Options::default()).unwrap();
    Store::open(Arc::new(engine)).await.unwrap()
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Numbers that look like chance, always the same.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Event `n`, up to `now` over a year: of a million people in two domains, from a hundred thousand addresses.
fn event(n: u64, now: Timestamp) -> Event {
    let chance = mixed(n);
    let bytes = chance.to_le_bytes();
    let span = DAYS * 24 * 60 * 60 * 1000;
    let at = now.millis() - i64::try_from(span - span * n / EVENTS).unwrap();
    let who = chance % 1_000_000;
    let guid = u128::from(who).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let (action, source) = match chance >> 20 & 15 {
        0..=2 => (Action::Enroll, "web"),
        3..=6 => (Action::Reset, "web"),
        7..=8 => (Action::Unlock, "web"),
        9..=10 => (Action::Change, "web"),
        11 => (Action::CodeSent, "web"),
        12 => (Action::Message, "program"),
        13 => (Action::SignIn, "admin"),
        14 => (Action::Setting, "admin"),
        _ => (Action::Lockout, "web"),
    };
    let outcome = match chance >> 24 & 7 {
        0 => Outcome::Failure,
        1 => Outcome::Intent,
        _ => Outcome::Success,
    };
    let failed = outcome == Outcome::Failure;
    Event {
        at: Timestamp::from_millis(at),
        outcome,
        source: source.into(),
        user: format!("user{who:07}"),
        domain: if bytes[7] < 64 { "LAB" } else { "CORP" }.into(),
        action,
        detail: if failed { "answer_wrong".into() } else { String::new() },
        source_ip: Some(IpAddr::from([10, 1 + (bytes[4] & 1), bytes[5], bytes[6]])),
        source_user: None,
        account: Some(ObjectGuid::from_bytes(guid.to_be_bytes())),
        reference: failed.then(|| format!("{:08X}", chance >> 32)),
    }
}

/// A search for the first page of a filter.
pub fn first_page(filter: &str) -> Search<EventColumn> {
    Search {
        filter: Filter::parse(filter).unwrap().at(SystemClock.now()),
        by: EventColumn::At,
        is_descending: true,
        after: None,
        limit: 50,
    }
}

/// How long it takes, and how many events it found.
pub async fn time_of(store: &Store, search: &Search<EventColumn>) -> (Duration, usize, Option<u64>) {
    let began = Instant::now();
    let found = store.search_events(search, &|_, _| {}).await.unwrap();
    (began.elapsed(), found.rows.len(), found.matches)
}
