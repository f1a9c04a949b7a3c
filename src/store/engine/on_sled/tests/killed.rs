//! kill -9 at any moment: nothing that was acknowledged may be lost, no batch may be there in part.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use super::*;

/// Folders that are worked on at the same time: most of the time goes by with waiting for the disk.
const FOLDERS: u64 = 4;
/// In each folder.
const KILLS: u32 = 50;
const COMMITTERS: u32 = 8;
/// Where the child works.
const FOLDER: &str = "REGAIN_TEST_KILLED_FOLDER";
/// The first number it may use.
const FIRST: &str = "REGAIN_TEST_KILLED_FIRST";

fn options() -> Options {
    Options { cache: 1 << 20, reserve: 0, least_free: 0 }
}

fn keys(n: u32) -> [Vec<u8>; 2] {
    [format!("one/{n:08}").into_bytes(), format!("two/{n:08}").into_bytes()]
}

/// The child: commits and says what was acknowledged until it is killed.
#[test]
#[ignore = "run by the test below"]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "how the child is told what to do")]
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let first: u32 = first.parse().unwrap();
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap();
    };
    let engine = match SledEngine::open(Path::new(&folder), &options()) {
        Ok(engine) => Arc::new(engine),
        Err(error) => return say(format!("\nrefused {error}\n")),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let committers = (0..COMMITTERS).map(|committer| {
            let engine = Arc::clone(&engine);
            async move {
                for n in (first + committer..).step_by(COMMITTERS as usize) {
                    let [one, two] = keys(n);
                    // Some batches change what others wrote, some are larger than a page.
                    let size = if n % 16 == 0 { 9000 } else { 300 };
                    let batch = Batch::new()
                        .expect_absent(one.clone())
                        .put(one, vec![1; size])
                        .put(format!("last/{committer}").into_bytes(), n.to_be_bytes().to_vec())
                        .put(two, vec![2; 100]);
                    match engine.commit(batch).await {
                        Ok(()) => say(format!("\nack {n}\n")),
                        Err(error) => return say(format!("\nfailed {n} {error}\n")),
                    }
                }
            }
        });
        futures_util::future::join_all(committers).await;
    });
}

/// A number that looks random enough to choose moments by.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_two_hundred_times() {
    let count: usize = std::thread::scope(|scope| {
        let seeds = (1..=FOLDERS).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let killers: Vec<_> = seeds.map(|seed| scope.spawn(move || kill_often(seed))).collect();
        killers.into_iter().map(|killer| killer.join().unwrap()).sum()
    });
    assert!(count > 1000, "only {count} were acknowledged: that proves little");
}

/// Gives how many batches were acknowledged.
fn kill_often(mut random: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Mutex::new(BTreeSet::new());
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::engine::on_sled::tests::killed::child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, (round * 1_000_000).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut kill = || {
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let (acted, first) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let acted = acted;
                for line in out.lines().map_while(Result::ok) {
                    assert!(!line.starts_with("refused") && !line.starts_with("failed"), "{round}: {line}");
                    if let Some(n) = line.strip_prefix("ack ") {
                        acknowledged.lock().unwrap().insert(n.parse::<u32>().unwrap());
                        let _ = acted.send(());
                    }
                }
            });
            // Three of four while they write, the fourth at any moment since its start.
            if round % 4 != 0 {
                let _ = first.recv();
            }
            std::thread::sleep(Duration::from_micros(next_random(&mut random) % 20_000));
            kill();
        });
        if round % 10 == 9 {
            check(folder.path(), &acknowledged.lock().unwrap());
        }
    }
    acknowledged.lock().unwrap().len()
}

fn check(folder: &Path, acknowledged: &BTreeSet<u32>) {
    let engine = SledEngine::open(folder, &options()).unwrap();
    let db = engine.shared.db().unwrap();
    for n in acknowledged {
        for key in keys(*n) {
            assert!(db.contains_key(&key).unwrap(), "{} is lost", String::from_utf8_lossy(&key));
        }
    }
    let numbers = |prefix: &str| -> BTreeSet<Vec<u8>> {
        db.scan_prefix(prefix).keys().map(|key| key.unwrap()[4..].to_vec()).collect()
    };
    assert_eq!(numbers("one/"), numbers("two/"), "a batch is there in part");
}
