//! A full disk, on a real file system of a few megabytes. Mounting it needs root (or sudo, as the domain controller
//! of the other tests does).

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate};

use super::*;

const MIB: u64 = 1 << 20;

/// A file system in memory; gone with the value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(size: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("regain-disk-").tempdir().unwrap();
        let options = format!("size={size},mode=0777");
        privileged(&["mount", "-t", "tmpfs", "-o", &options, "regain-test"], folder.path());
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        let data = self.0.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        data
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.0.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Another program's file, that leaves so much room.
    fn fill_but(&self, left: u64) {
        let file = File::options().create(true).append(true).open(self.0.path().join("other")).unwrap();
        let taken = self.free().saturating_sub(left);
        if taken > 0 {
            fallocate(&file, FallocateFlags::empty(), file.metadata().unwrap().len(), taken).unwrap();
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("other")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        privileged(&["umount", "-l"], self.0.path());
    }
}

fn privileged(command: &[&str], path: &Path) {
    let mut whole: Vec<&str> = if rustix::process::geteuid().is_root() { vec![] } else { vec!["sudo", "-n"] };
    whole.extend(command);
    let done = Command::new(whole[0]).args(&whole[1..]).arg(path).stdin(Stdio::null()).status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "this test needs a file system of its own: run it as root, or allow sudo ({} failed)",
        whole.join(" ")
    );
}

fn open(folder: &Path, reserve: u64, least_free: u64) -> SledEngine {
    open_again(folder, &Options { cache: MIB, reserve, least_free }).unwrap()
}

fn record(n: u32) -> Batch {
    Batch::new().put(n.to_be_bytes().to_vec(), vec![u8::try_from(n % 251).unwrap(); 4096])
}

/// Commits from `first` on until one is refused; gives the number of the first that was.
async fn write_until_refused(engine: &SledEngine, first: u32) -> (u32, Error) {
    for n in first.. {
        if let Err(error) = engine.commit(record(n)).await {
            return (n, error);
        }
    }
    unreachable!()
}

/// How long it takes until the engine takes batches again.
async fn recovers(engine: &SledEngine, n: u32) -> Duration {
    let began = Instant::now();
    while engine.condition() != Condition::Writable {
        assert!(began.elapsed() < Duration::from_secs(10), "still {:?}", engine.condition());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.commit(record(n)).await.unwrap();
    began.elapsed()
}

async fn has_all(engine: &SledEngine, count: u32) {
    for n in 0..count {
        assert_eq!(engine.find(&n.to_be_bytes()).await.unwrap().map(|value| value.len()), Some(4096), "{n}");
    }
}

#[tokio::test]
async fn a_disk_filled_by_others_makes_it_read_only_before_harm_and_writable_by_itself() {
    let disk = Disk::of(64 * MIB);
    let engine = open(&disk.data(), 8 * MIB, 4 * MIB);
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
    let engine = open(&disk.data(), 0, 0);
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
    has_all(&open(&disk.data(), 0, 0), next).await;
}

#[tokio::test]
async fn it_opens_on_a_full_disk_to_be_read() {
    let disk = Disk::of(64 * MIB);
    let engine = open(&disk.data(), 8 * MIB, 4 * MIB);
    for n in 0..50 {
        engine.commit(record(n)).await.unwrap();
    }
    drop(engine);
    disk.fill_but(0);
    // Twice: the reserve is given up at the first time, and others take that, too.
    for _ in 0..2 {
        let engine = open(&disk.data(), 8 * MIB, 4 * MIB);
        assert!(matches!(engine.condition(), Condition::ReadOnly(_)), "{:?}", engine.condition());
        assert!(matches!(engine.commit(record(50)).await, Err(Error::ReadOnly(_))));
        has_all(&engine, 50).await;
        drop(engine);
        disk.fill_but(0);
    }
    let engine = open(&disk.data(), 8 * MIB, 4 * MIB);
    disk.make_room();
    recovers(&engine, 50).await;
    has_all(&engine, 51).await;
}
