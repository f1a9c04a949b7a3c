use super::*;

mod full_disk;
mod killed;

/// Opens a database that was open in this process before. Another test may be starting a program just now: until that
/// runs, it holds the lock as well.
fn open_again(folder: &Path, options: &Options) -> Result<SledEngine, Error> {
    for _ in 0..500 {
        match SledEngine::open(folder, options) {
            Err(Error::Unavailable(why)) if why.contains("in use by another process") => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    SledEngine::open(folder, options)
}

fn open(folder: &Path) -> SledEngine {
    open_again(folder, &Options { cache: 1 << 20, reserve: 1 << 20, ..Options::default() }).unwrap()
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
async fn records_are_scanned_in_order_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for name in ["p1", "p3", "p2", "q1"] {
        engine.commit(Batch::new().put(key(name), key(""))).await.unwrap();
    }
    let scan = async |direction, limit| {
        let (from, to) = (Bound::Included(key("p")), Bound::Excluded(key("q")));
        let rows = engine.scan(from, to, direction, limit).await.unwrap();
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(scan(Direction::Forward, 9).await, ["p1", "p2", "p3"]);
    assert_eq!(scan(Direction::Backward, 2).await, ["p3", "p2"]);
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
    match open_again(folder, &Options::default()) {
        Ok(_) => "opened".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_second_process_an_emptied_an_exchanged_and_an_older_database_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(one.path());
    engine.commit(Batch::new().put(key("a"), key("1"))).await.unwrap();
    let second = SledEngine::open(one.path(), &Options::default()).err().unwrap().to_string();
    assert!(second.contains("in use by another process"), "{second}");
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
    std::fs::rename(&database, &kept).unwrap();
    assert!(refusal(one.path()).contains("lost its content"), "{}", refusal(one.path()));
    assert!(!database.exists(), "nothing is left that could be taken for the database");
    copy(&two.path().join("db"), &database);
    assert!(refusal(one.path()).contains("another one"), "{}", refusal(one.path()));
    std::fs::remove_dir_all(&database).unwrap();
    copy(&older, &database);
    assert!(refusal(one.path()).contains("older"), "{}", refusal(one.path()));
    std::fs::remove_dir_all(&database).unwrap();
    std::fs::rename(&kept, &database).unwrap();
    std::fs::rename(one.path().join("store.id"), one.path().join("gone")).unwrap();
    assert!(refusal(one.path()).contains("missing"), "{}", refusal(one.path()));
    std::fs::rename(one.path().join("gone"), one.path().join("store.id")).unwrap();
    assert_eq!(open(one.path()).find(b"a").await.unwrap(), Some(key("1")));
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_text_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..200_u32 {
        engine.commit(Batch::new().put(n.to_be_bytes().to_vec(), vec![b'x'; 4096])).await.unwrap();
    }
    drop(engine);
    let path = folder.path().join("db/db");
    let whole = std::fs::read(&path).unwrap();
    for cut in [whole.len() / 2, whole.len() / 3, 100] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let text = refusal(folder.path());
        assert!(
            text.contains("restore the data folder") || text.contains("restore the data"),
            "{cut}: {text}"
        );
    }
}

#[tokio::test]
async fn a_value_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let batch = Batch::new().put(key("a"), vec![0; MAXIMUM_VALUE + 1]);
    assert!(matches!(open(folder.path()).commit(batch).await, Err(Error::TooLarge(_))));
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
    let file = std::fs::read(folder.path().join("store.id")).unwrap();
    for _ in 0..3 {
        drop(open(folder.path()));
        std::fs::write(folder.path().join("store.id"), &file).unwrap();
    }
    drop(open(folder.path()));
}
