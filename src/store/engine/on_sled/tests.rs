use super::*;

fn open(folder: &Path) -> SledEngine {
    SledEngine::open(folder, &Options { cache: 1 << 20, reserve: 1 << 20 }).unwrap()
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
    assert!(refusal(one.path()).contains("in use by another process"), "{}", refusal(one.path()));
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
