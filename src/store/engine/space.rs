//! Room on the disk: a reserve that is given up when there is none, and a look at what is left before each write.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The reserve of a data folder.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    reserve: PathBuf,
    reserve_bytes: u64,
    least_free: u64,
}

impl Space {
    pub fn of(folder: &Path, reserve_bytes: u64, least_free: u64) -> Self {
        Self { folder: folder.to_owned(), reserve: folder.join("reserve"), reserve_bytes, least_free }
    }

    /// Bytes that may still be written by this user.
    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Makes sure of the reserve; says why, if nothing should be written now.
    pub fn require(&self) -> Result<(), String> {
        let free = self.free().map_err(|e| format!("{}: {e}", self.folder.display()))?;
        let missing = match fs::metadata(&self.reserve) {
            Ok(file) => self.reserve_bytes.saturating_sub(file.len()),
            Err(_) => self.reserve_bytes,
        };
        let needed = self.least_free + missing;
        if free < needed {
            return Err(format!(
                "only {} MiB are free in {}, {} are needed",
                free >> 20,
                self.folder.display(),
                needed.div_ceil(1 << 20)
            ));
        }
        if missing > 0 {
            self.make(self.reserve_bytes).map_err(|e| format!("{}: {e}", self.reserve.display()))?;
        }
        Ok(())
    }

    /// Opens the database, which takes room of its own: with what the reserve holds if there is little else. What is
    /// left of that is held again afterwards, for the next time.
    pub fn with_reserve<T>(&self, open: impl FnOnce() -> T) -> T {
        let given_up =
            self.free().is_ok_and(|free| free < self.least_free) && fs::remove_file(&self.reserve).is_ok();
        let opened = open();
        if given_up {
            tracing::warn!(file = %self.reserve.display(), "the disk is full; the reserve was needed");
            let left = self.free().map_or(0, |free| free.min(self.reserve_bytes));
            if left > 0
                && let Err(error) = self.make(left)
            {
                tracing::warn!(%error, "the reserve could not be held again");
            }
        }
        opened
    }

    fn make(&self, bytes: u64) -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.reserve)?;
        let made = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // Not every file system can allocate without writing.
            Err(rustix::io::Errno::OPNOTSUPP) => fill(&mut file, bytes),
            Err(error) => Err(error.into()),
        };
        if made.is_err() {
            let _ = fs::remove_file(&self.reserve);
        }
        made
    }
}

fn fill(file: &mut fs::File, bytes: u64) -> io::Result<()> {
    let block = vec![0_u8; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len() as u64);
        file.write_all(&block[..usize::try_from(now).unwrap_or(block.len())])?;
        left -= now;
    }
    file.sync_all()
}
