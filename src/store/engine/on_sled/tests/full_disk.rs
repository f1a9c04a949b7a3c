//! A full disk, on a real file system of a few megabytes.

use std::time::Duration;

use super::{disks::*, *};

#[tokio::test]
async fn a_disk_filled_by_others_makes_it_read_only_before_harm_and_writable_by_itself() {
    let disk = Disk::of(64 * MIB);
    let engine = open_with(&disk.data(), 8 * MIB, 4 * MIB);
    for n in 0..50 {
        engine.commit(record(n)).await.unwrap();
    }
    disk.fill_but(2 * MIB);
    let (refused, error) = write_until_refused(&engine, 50).await;
    assert_eq!(refused, 50, "not one more is written");
    assert!(matches!(error, Error::ReadOnly(_)), "{error}");
    assert!(error.to_string().contains("2 MiB are free"), "{error}");
    has_all(&engine, 50).await;
    disk.make_room();
    let took = recovers(&engine, 50).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(engine.find(&50_u32.to_be_bytes()).await.unwrap().map(|v| v.len()), Some(4096));
}

#[tokio::test]
async fn a_disk_full_in_the_middle_of_a_write_loses_nothing_that_was_acknowledged() {
    let disk = Disk::of(64 * MIB);
    // Without reserve and look ahead, sled itself runs into the end of the disk.
    let engine = open_with(&disk.data(), 0, 0);
    let mut next = 0;
    for round in 0..5_u32 {
        for n in next..next + 20 {
            engine.commit(record(n)).await.unwrap();
        }
        // Not always at the same place of a segment (512 KiB).
        disk.fill_but(u64::from(round) * 300 * 1024);
        let (refused, error) = write_until_refused(&engine, next + 20).await;
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(matches!(engine.condition(), Condition::Failed(_) | Condition::Writable));
        disk.make_room();
        let took = recovers(&engine, refused).await;
        assert!(took < Duration::from_secs(3), "{took:?}");
        has_all(&engine, refused + 1).await;
        next = refused + 1;
    }
    drop(engine);
    has_all(&open_with(&disk.data(), 0, 0), next).await;
}

#[tokio::test]
async fn it_opens_on_a_full_disk_to_be_read() {
    let disk = Disk::of(64 * MIB);
    let engine = open_with(&disk.data(), 8 * MIB, 4 * MIB);
    for n in 0..50 {
        engine.commit(record(n)).await.unwrap();
    }
    drop(engine);
    disk.fill_but(0);
    // Twice: the reserve is given up at the first time, and others take that, too.
    for _ in 0..2 {
        let engine = open_with(&disk.data(), 8 * MIB, 4 * MIB);
        assert!(matches!(engine.condition(), Condition::ReadOnly(_)), "{:?}", engine.condition());
        assert!(matches!(engine.commit(record(50)).await, Err(Error::ReadOnly(_))));
        has_all(&engine, 50).await;
        drop(engine);
        disk.fill_but(0);
    }
    let engine = open_with(&disk.data(), 8 * MIB, 4 * MIB);
    disk.make_room();
    recovers(&engine, 50).await;
    has_all(&engine, 51).await;
}
