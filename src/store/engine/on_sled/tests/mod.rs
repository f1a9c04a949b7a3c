//! Stories of the engine: batches, order, damage, a full disk, kills.

use super::*;

mod damaged;
mod disks;
mod failing_disk;
mod full_disk;
mod killed;

fn options() -> Options {
    Options { cache: 1 << 20, reserve: 1 << 20, ..Options::default() }
}

fn open(folder: &Path) -> SledEngine {
    SledEngine::open(folder, &options()).unwrap()
}

fn key(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    engine
        .commit(Batch::new().expect_absent(key("a")).put(key("a"), key("1")).put(key("b"), key("2")))
        .await
        .unwrap();
    let late = Batch::new().expect_value(key("a"), key("0")).put(key("a"), key("9")).put(key("c"), key("3"));
    assert!(matches!(engine.commit(late).await, Err(Error::Conflict)));
    assert_eq!(engine.find(b"a").await.unwrap(), Some(key("1")));
    assert_eq!(engine.find(b"c").await.unwrap(), None);
    engine.commit(Batch::new().expect_value(key("a"), key("1")).remove(key("a"))).await.unwrap();
    assert_eq!(engine.find(b"a").await.unwrap(), None);
}

#[tokio::test]
async fn of_parallel_batches_with_the_same_precondition_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let tries = (0..50)
        .map(|n| engine.commit(Batch::new().expect_absent(key("x")).put(key("x"), key(&n.to_string()))));
    let won = futures_util::future::join_all(tries).await.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn records_are_scanned_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for name in ["p1", "p3", "p2", "q1"] {
        engine.commit(Batch::new().put(key(name), key(""))).await.unwrap();
    }
    let scan = async |limit| {
        let (from, to) = (Bound::Included(key("p")), Bound::Excluded(key("q")));
        let rows = engine.scan(from, to, limit).await.unwrap();
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(scan(9).await, ["p1", "p2", "p3"]);
    assert_eq!(scan(2).await, ["p1", "p2"]);
    for (from, to) in [
        (Bound::Included(key("q")), Bound::Excluded(key("p"))),
        (Bound::Excluded(key("p1")), Bound::Excluded(key("p1"))),
    ] {
        assert!(engine.scan(from, to, 9).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_last_of_the_numbered_records_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let numbered = |letter: u8, number: u64| [&[letter][..], &number.to_be_bytes()].concat();
    engine
        .commit(Batch::new().put(numbered(b'a', 7), key("a")).put(numbered(b'c', 9), key("c")))
        .await
        .unwrap();
    assert_eq!(engine.last_numbered(b'b').await.unwrap(), None);
    for number in [0, 1, 2, 3, 1000, 1 << 40, u64::MAX] {
        engine.commit(Batch::new().put(numbered(b'b', number), key(&number.to_string()))).await.unwrap();
        assert_eq!(
            engine.last_numbered(b'b').await.unwrap(),
            Some((numbered(b'b', number), key(&number.to_string())))
        );
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    engine.commit(Batch::new().put(key("a"), key("1"))).await.unwrap();
    drop(engine);
    assert_eq!(open(folder.path()).find(b"a").await.unwrap(), Some(key("1")));
}

fn refusal(folder: &Path) -> String {
    match SledEngine::open(folder, &Options::default()) {
        Ok(_) => "opened".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_second_process_an_emptied_an_exchanged_and_an_older_database_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(one.path());
    engine.commit(Batch::new().put(key("a"), key("1"))).await.unwrap();
    let text = refusal(one.path());
    assert!(text.contains("in use by another process"), "{text}");
    drop(engine);
    drop(open(two.path()));

    let (kept, older) = (one.path().join("kept"), one.path().join("older"));
    let copy = |from: &Path, to: &Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    };
    let database = one.path().join("db");
    copy(&database, &older);
    drop(open(one.path()));
    fs::rename(&database, &kept).unwrap();
    assert!(refusal(one.path()).contains("lost its content"), "{}", refusal(one.path()));
    assert!(!database.exists(), "nothing is left that could be taken for the database");
    copy(&two.path().join("db"), &database);
    assert!(refusal(one.path()).contains("another one"), "{}", refusal(one.path()));
    fs::remove_dir_all(&database).unwrap();
    copy(&older, &database);
    assert!(refusal(one.path()).contains("older"), "{}", refusal(one.path()));
    fs::remove_dir_all(&database).unwrap();
    fs::rename(&kept, &database).unwrap();
    fs::rename(one.path().join("store.id"), one.path().join("gone")).unwrap();
    assert!(refusal(one.path()).contains("missing"), "{}", refusal(one.path()));
    fs::rename(one.path().join("gone"), one.path().join("store.id")).unwrap();
    assert_eq!(open(one.path()).find(b"a").await.unwrap(), Some(key("1")));
}

#[tokio::test]
async fn a_key_or_value_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for batch in [
        Batch::new().put(key("a"), vec![0; MAXIMUM_VALUE + 1]),
        Batch::new().put(vec![0; MAXIMUM_KEY + 1], key("1")),
    ] {
        assert!(matches!(engine.commit(batch).await, Err(Error::TooLarge(_))));
    }
    engine.commit(Batch::new().put(vec![0; MAXIMUM_KEY], vec![0; MAXIMUM_VALUE])).await.unwrap();
}

#[tokio::test]
async fn the_largest_values_stay_in_the_synced_file() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let key = |n: usize| format!("{:0width$}", n * 7919 % 400, width = MAXIMUM_KEY).into_bytes();
    for round in 0..40 {
        let value = vec![u8::try_from(round).unwrap(); MAXIMUM_VALUE];
        let puts = (0..10).fold(Batch::new(), |batch, n| batch.put(key(round * 10 + n), value.clone()));
        engine.commit(puts).await.unwrap();
        // Nodes that shrink are merged with their neighbours.
        let removals = (0..7).fold(Batch::new(), |batch, n| batch.remove(key(round * 5 + n)));
        engine.commit(removals).await.unwrap();
        assert_eq!(fs::read_dir(folder.path().join("db/blobs")).unwrap().count(), 0, "{round}");
    }
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let files = ["db", "db/blobs", "db/db", "db/conf", "store.id", "reserve"];
    for (name, expected) in files.into_iter().zip([0o700, 0o700, 0o600, 0o600, 0o600, 0o600]) {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{name}: {mode:o}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_committers_count_without_losing_one() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(open(folder.path()));
    engine.commit(Batch::new().put(key("count"), 0_u32.to_be_bytes().to_vec())).await.unwrap();
    let committers: Vec<_> = (0..64_u32)
        .map(|committer| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                for turn in 0..5_u32 {
                    loop {
                        let seen = engine.find(b"count").await.unwrap().unwrap();
                        let count = u32::from_be_bytes(seen.clone().try_into().unwrap());
                        let mine = [committer.to_be_bytes(), turn.to_be_bytes()].concat();
                        let batch = Batch::new()
                            .expect_value(key("count"), seen)
                            .put(key("count"), (count + 1).to_be_bytes().to_vec())
                            .expect_absent(mine.clone())
                            .put(mine, vec![]);
                        match engine.commit(batch).await {
                            Ok(()) => break,
                            Err(Error::Conflict) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for committer in committers {
        committer.await.unwrap();
    }
    let count = engine.find(b"count").await.unwrap().unwrap();
    assert_eq!(u32::from_be_bytes(count.try_into().unwrap()), 64 * 5);
}

#[tokio::test]
async fn dropping_it_waits_for_its_thread_and_frees_the_database() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20_u32 {
        let engine = open(folder.path());
        engine.commit(Batch::new().put(n.to_be_bytes().to_vec(), key("x"))).await.unwrap();
        let shared = Arc::downgrade(&engine.shared);
        drop(engine);
        assert_eq!(shared.strong_count(), 0, "the writer still has it");
    }
}

#[tokio::test]
async fn a_start_broken_off_twice_before_the_file_was_written_is_no_reason_to_refuse() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = fs::read(folder.path().join("store.id")).unwrap();
    for _ in 0..3 {
        drop(open(folder.path()));
        fs::write(folder.path().join("store.id"), &file).unwrap();
    }
    drop(open(folder.path()));
}

/// A record of the log that tells what it was made of.
fn chained(number: u64, before: Option<&[u8]>, entry: &[u8]) -> Vec<u8> {
    let before = before.map_or(0, |record| record[0]);
    let own = entry[0].wrapping_mul(31).wrapping_add(before);
    [&[own, u8::try_from(number).unwrap()], entry].concat()
}

async fn log_of(engine: &SledEngine) -> Vec<Vec<u8>> {
    let all = (Bound::Included(vec![b'a']), Bound::Excluded(vec![b'b']));
    let rows = engine.scan(all.0, all.1, 10_000).await.unwrap();
    rows.into_iter().map(|(_, record)| record).collect()
}

/// Whether each record is linked to the one before it, without a gap.
fn is_whole(log: &[Vec<u8>]) -> bool {
    log.iter().enumerate().all(|(at, record)| {
        let before = at.checked_sub(1).map(|before| log[before].as_slice());
        *record == chained(at as u64 + 1, before, &record[2..])
    })
}

#[tokio::test]
async fn the_log_has_no_gap_whatever_became_of_the_batches() {
    let folder = tempfile::tempdir().unwrap();
    {
        let engine = open(folder.path());
        assert!(matches!(engine.commit(Batch::new().append(key("x"))).await, Err(Error::Unavailable(_))));
        engine.keep_log(b'a', Arc::new(chained));
        // Of all that want the same key one is written, with both its entries.
        let tries = (0_u8..50).map(|n| {
            let batch = Batch::new().append(vec![n, 1]).append(vec![n, 2]);
            engine.commit(batch.expect_absent(vec![b'x', n % 10]).put(vec![b'x', n % 10], vec![n]))
        });
        let won = futures_util::future::join_all(tries).await.iter().filter(|it| it.is_ok()).count();
        assert_eq!(won, 10);
        let log = log_of(&engine).await;
        assert!(log.len() == 20 && is_whole(&log));
    }
    let engine = open(folder.path());
    engine.keep_log(b'a', Arc::new(chained));
    engine.commit(Batch::new().append(key("y"))).await.unwrap();
    let log = log_of(&engine).await;
    assert!(log.len() == 21 && is_whole(&log), "it goes on after a restart");
}
