//! Small disks of their own, to be filled and broken. Mounting them needs root (or sudo, as the domain controller of
//! the other tests does).

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate};

use super::*;

pub(super) const MIB: u64 = 1 << 20;

/// A mounted file system; gone with the value.
pub(super) struct Disk {
    folder: tempfile::TempDir,
    /// What the image of a block device lies on.
    below: Option<Box<Disk>>,
}

impl Disk {
    /// A file system in memory.
    pub(super) fn of(size: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("regain-disk-").tempdir().unwrap();
        let options = format!("size={size},mode=0777");
        privileged(&["mount", "-t", "tmpfs", "-o", &options, "regain-test"], folder.path());
        Self { folder, below: None }
    }

    /// A file system on a block device, which can [fail](Self::resize).
    pub(super) fn on_device(size: u64) -> Self {
        let below = Self::of(4 * size);
        let image = below.image();
        File::create(&image).unwrap().set_len(size).unwrap();
        // Without a journal it stays writable after an error; its own tables are written now.
        privileged(&["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0"], &image);
        let folder = tempfile::Builder::new().prefix("regain-disk-").tempdir().unwrap();
        privileged(&["mount", "-o", "loop,errors=continue", &image.display().to_string()], folder.path());
        privileged(&["chmod", "0777"], folder.path());
        Self { folder, below: Some(Box::new(below)) }
    }

    /// Makes the device smaller than its file system, so that writing behind its end fails; or whole again.
    pub(super) fn resize(&self, size: u64) {
        let image = self.below.as_ref().unwrap().image();
        File::options().write(true).open(&image).unwrap().set_len(size).unwrap();
        let device = privileged(&["losetup", "-n", "-O", "NAME", "-j"], &image);
        privileged(&["losetup", "-c"], Path::new(device.trim()));
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub(super) fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        data
    }

    pub(super) fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.folder.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Another program's file, that leaves so much room.
    pub(super) fn fill_but(&self, left: u64) {
        let file = File::options().create(true).append(true).open(self.folder.path().join("other")).unwrap();
        let taken = self.free().saturating_sub(left);
        if taken > 0 {
            fallocate(&file, FallocateFlags::empty(), file.metadata().unwrap().len(), taken).unwrap();
        }
    }

    pub(super) fn make_room(&self) {
        fs::remove_file(self.folder.path().join("other")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        privileged(&["umount", "-l"], self.folder.path());
    }
}

fn privileged(command: &[&str], path: &Path) -> String {
    let mut whole: Vec<&str> = if rustix::process::geteuid().is_root() { vec![] } else { vec!["sudo", "-n"] };
    whole.extend(command);
    let done = Command::new(whole[0]).args(&whole[1..]).arg(path).stdin(Stdio::null()).output();
    match done {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        other => panic!(
            "this test needs a file system of its own: run it as root, or allow sudo ({} failed: {other:?})",
            whole.join(" ")
        ),
    }
}

pub(super) fn open_with(folder: &Path, reserve: u64, least_free: u64) -> SledEngine {
    SledEngine::open(folder, &Options { cache: MIB, reserve, least_free }).unwrap()
}

pub(super) fn record(n: u32) -> Batch {
    Batch::new().put(n.to_be_bytes().to_vec(), vec![u8::try_from(n % 251).unwrap(); 4096])
}

/// Commits from `first` on until one is refused; gives the number of the first that was.
pub(super) async fn write_until_refused(engine: &SledEngine, first: u32) -> (u32, Error) {
    for n in first.. {
        if let Err(error) = engine.commit(record(n)).await {
            return (n, error);
        }
    }
    unreachable!()
}

/// How long it takes until the engine takes batches again.
pub(super) async fn recovers(engine: &SledEngine, n: u32) -> Duration {
    let began = Instant::now();
    while engine.condition() != Condition::Writable {
        assert!(began.elapsed() < Duration::from_secs(10), "still {:?}", engine.condition());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.commit(record(n)).await.unwrap();
    began.elapsed()
}

pub(super) async fn has_all(engine: &SledEngine, count: u32) {
    for n in 0..count {
        let value = engine.find(&n.to_be_bytes()).await.unwrap();
        assert!(value.is_some_and(|v| v.len() == 4096 && v[0] == u8::try_from(n % 251).unwrap()), "{n}");
    }
}
