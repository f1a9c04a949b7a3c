//! Room on the disk: a reserve that is given up when there is none, and a look at what is left before each write.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// With less than this left, nothing is written any more.
const LEAST_FREE: u64 = 16 * 1024 * 1024;

/// The reserve of a data folder.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    reserve: PathBuf,
    reserve_bytes: u64,
}

impl Space {
    pub fn of(folder: &Path, reserve_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), reserve: folder.join("reserve"), reserve_bytes }
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
        if free < LEAST_FREE + missing {
            return Err(format!(
                "only {} MiB are free in {}, {} are needed",
                free >> 20,
                self.folder.display(),
                (LEAST_FREE + missing) >> 20
            ));
        }
        if missing > 0 {
            self.make().map_err(|e| format!("{}: {e}", self.reserve.display()))?;
        }
        Ok(())
    }

    /// Gives the reserve up if there is little room, so that the database can at least be opened.
    pub fn give_way(&self) {
        if self.free().is_ok_and(|free| free < LEAST_FREE) && fs::remove_file(&self.reserve).is_ok() {
            tracing::warn!(file = %self.reserve.display(), "the disk is full; the reserve was given up");
        }
    }

    fn make(&self) -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.reserve)?;
        let made =
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.reserve_bytes) {
                Ok(()) => Ok(()),
                // Not every file system can allocate without writing.
                Err(rustix::io::Errno::OPNOTSUPP) => fill(&mut file, self.reserve_bytes),
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
