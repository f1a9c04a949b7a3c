//! A disk that fails, and one that doesn't answer.

use std::time::{Duration, Instant};

use super::{disks::*, *};

#[tokio::test]
async fn a_disk_that_fails_for_a_while_costs_nothing_that_was_acknowledged() {
    let disk = Disk::on_device(64 * MIB);
    let engine = open_with(&disk.data(), 0, 0);
    disk.resize(24 * MIB);
    let (refused, error) = write_until_refused(&engine, 0).await;
    assert!(refused > 100, "{refused}: it failed too early to prove anything");
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    // Opening it again is no proof that it can be written to.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        assert!(matches!(engine.condition(), Condition::Failed(_)), "{:?}", engine.condition());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(engine.commit(record(refused)).await, Err(Error::Unavailable(_))));

    disk.resize(64 * MIB);
    recovers(&engine, refused).await;
    has_all(&engine, refused + 1).await;
    drop(engine);
    has_all(&open_with(&disk.data(), 0, 0), refused + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = open(folder.path());
    engine.patience = Duration::from_millis(100);
    let shared = Arc::clone(&engine.shared);
    let (hold, held) = std::sync::mpsc::channel::<()>();
    // The writer hangs where it hangs when the disk does: before it has answered.
    let hanging = std::thread::spawn(move || {
        let _database = shared.db.write().unwrap();
        let _ = held.recv();
    });
    while engine.shared.db.try_read().is_ok() {
        std::thread::yield_now();
    }
    let error = engine.commit(Batch::new().put(key("a"), key("1"))).await.unwrap_err();
    assert!(error.to_string().contains("has not answered"), "{error}");
    assert!(matches!(engine.condition(), Condition::Failed(_)));
    drop(hold);
    hanging.join().unwrap();
    recovers(&engine, 0).await;
    has_all(&engine, 1).await;
}
