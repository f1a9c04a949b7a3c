//! The store alone: what a durable commit costs beside what the disk can do, and a store with a million enrollments.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use regain::{
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        answer::{Answer, AnswerHash},
        clock::{Clock as _, SystemClock},
        enrollment::{EnrolledQuestion, Enrollment, Question},
        flow::{Asked, Flow, Kind, Questions, Step},
        lockout::Subject,
        secret::{Key, SecretText},
        slow_hash::HashCost,
    },
    flows::session::SessionId,
    store::{
        Store,
        engine::{Batch, Engine as _, Options, SledEngine},
    },
};

/// What an answer costs by default.
pub const COST: HashCost = HashCost { memory_kib: 19_456, passes: 2, lanes: 1 };

/// An answer as typed.
pub fn answer(text: &str) -> Answer {
    Answer::parse(&SecretText::new(text.to_owned())).unwrap()
}

/// The disk's own rate: a KiB written to a file and synced, one after the other. `appended` to its end, or else into
/// room that it has already, which spares the file system its journal; a database does a bit of both.
pub fn syncs_a_second(folder: &Path, appended: bool, time: Duration) -> f64 {
    const ROOM: u64 = 16 << 20;
    let path = folder.join("synced");
    let mut file = File::create(&path).unwrap();
    if !appended {
        file.write_all(&vec![0; usize::try_from(ROOM).unwrap()]).unwrap();
        file.sync_all().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
    }
    let (mut count, began) = (0_u32, Instant::now());
    while began.elapsed() < time {
        if !appended && u64::from(count) % (ROOM / 1024) == 0 {
            file.seek(SeekFrom::Start(0)).unwrap();
        }
        file.write_all(&[b'x'; 1024]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    fs::remove_file(path).unwrap();
    rate
}

/// Durable commits a second of a KiB each, by so many callers at once.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub async fn commits_a_second(folder: &Path, callers: u64, time: Duration) -> f64 {
    let folder = folder.join("engine");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let engine = Arc::new(SledEngine::open(&folder, &Options::default()).unwrap());
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut count = 0_u64;
                while began.elapsed() < time {
                    let key = [caller.to_be_bytes(), count.to_be_bytes()].concat();
                    engine.commit(Batch::new().put(key, vec![b'x'; 1024])).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    drop(engine);
    fs::remove_dir_all(&folder).unwrap();
    rate
}

/// A data folder with a million enrollments of about a KiB; made once and kept.
pub async fn million() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("million-enrollments-1");
    let done = folder.join("done");
    if done.exists() {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    eprintln!("making a million enrollments (once; kept in {})", folder.display());
    let engine = SledEngine::open(&folder, &Options::default()).unwrap();
    let store = Store::open(Arc::new(engine)).await.unwrap();
    assert_eq!(store.older().await.unwrap(), None);
    let question = |text| EnrolledQuestion {
        question: Question::write(text).unwrap(),
        hash: AnswerHash::make(&answer("rex"), [7; 16], COST, &Key::new([1; 32])).unwrap(),
    };
    let questions = vec![
        question("What was the name of your first stuffed toy?"),
        question("What was the first dish you learned to cook?"),
        question("What was the surname of your favourite teacher?"),
    ];
    let now = SystemClock.now();
    for thousands in 0..1000_u128 {
        let commits = (0..20).map(|part| {
            let mut batch = store.batch();
            for n in 0..50 {
                let n = thousands * 1000 + part * 50 + n;
                // Odd, so that no two are the same; large, so that neighbours are far apart, as GUIDs are.
                let guid = n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
                let key = AccountKey {
                    domain: DomainName::new("corp.example"),
                    guid: ObjectGuid::from_bytes(guid.to_be_bytes()),
                };
                let enrollment = Enrollment {
                    questions: questions.clone(),
                    language: Some("en".into()),
                    ..Enrollment::blank(format!("user{n:07}"), now)
                };
                batch = batch.insert(&key, &enrollment);
            }
            batch.commit()
        });
        for result in futures_util::future::join_all(commits).await {
            result.unwrap();
        }
    }
    drop(store);
    File::create(done).unwrap();
    folder
}

/// Flows that stand at a question, each of another name and in a session of its own; gives the cookies.
pub async fn questions_asked(data: &Path, count: usize) -> Vec<String> {
    let engine = SledEngine::open(data, &Options::default()).unwrap();
    let store = Store::open(Arc::new(engine)).await.unwrap();
    let now = SystemClock.now();
    let domain = DomainName::new("corp.example");
    let mut cookies = Vec::new();
    for n in 0..count {
        let session = SessionId::new().unwrap();
        let mut name = [0; 16];
        name[..8].copy_from_slice(&n.to_be_bytes());
        let questions = Questions {
            subject: Subject::Unknown { domain: domain.clone(), name },
            question: Question::write("What was your nickname as a child?").unwrap(),
            total: 3,
            asked: Asked::Decoy,
            tried: Vec::new(),
        };
        let flow = Flow {
            nonce: n.to_be_bytes(),
            started_at: now,
            touched_at: now,
            username: format!("user{n}"),
            domain: domain.clone(),
            proved: Vec::new(),
            stamp: None,
            no_address: false,
            parked: Vec::new(),
            step: Step::Question(questions),
        };
        store.batch().put(&session.key(Kind::Reset), &flow).commit().await.unwrap();
        cookies.push(session.cookie());
    }
    cookies
}
