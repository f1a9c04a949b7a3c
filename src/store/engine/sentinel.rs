//! A small file beside the database that knows it: which one it is, how often it was opened and how many batches it
//! has. It notices a database that was emptied, exchanged, put back to an earlier state or lost its tail, none of
//! which the database could notice itself.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;

/// Where the database keeps its side of it.
pub(super) const KEY: &[u8] = b"\0sentinel";

/// Which database it is, how often it was opened, and how many batches were made durable in it. The database's own
/// mark is written with every group of batches, the file's now and then and at the end: it may only be behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub install: [u8; 16],
    pub epoch: u64,
    pub batches: u64,
}

impl Mark {
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = self.install.to_vec();
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.batches.to_be_bytes());
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (install, counts) = bytes.split_at_checked(16)?;
        let (epoch, batches) = counts.split_at_checked(8)?;
        let count = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        Some(Self { install: install.try_into().ok()?, epoch: count(epoch)?, batches: count(batches)? })
    }
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Sentinel(PathBuf);

impl Sentinel {
    pub fn of(folder: &Path) -> Self {
        Self(folder.join("store.id"))
    }

    /// What the file says; `None` if there is none.
    pub fn read(&self) -> Result<Option<Mark>, String> {
        let shown = self.0.display();
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{shown}: {e}")),
        };
        let mark = text.strip_prefix("regain-store 1 ").and_then(|rest| {
            let (body, sum) = rest.trim_end().split_once(' ')?;
            (checksum(body) == sum).then_some(())?;
            Mark::parse(&unhex(body)?)
        });
        mark.map(Some)
            .ok_or_else(|| format!("{shown} is damaged; restore it from the backup of the data folder"))
    }

    /// Writes the file: a new one beside it, durable, then in its place.
    pub fn write(&self, mark: Mark) -> std::io::Result<()> {
        let body = hex(&mark.bytes());
        let new = self.0.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "regain-store 1 {body} {}", checksum(&body))?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        match self.0.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Whether file and database belong together. `empty`: the database has no records but the mark.
pub(super) fn judge(file: Option<Mark>, database: Option<Mark>, empty: bool) -> Result<(), String> {
    match (file, database) {
        (None, None) if empty => Ok(()),
        // The very first start was interrupted between the two.
        (None, Some(mark)) if empty && mark.epoch == 1 => Ok(()),
        (None, None) => Err("the database in the data folder was not made by Regain".into()),
        (None, Some(_)) => Err("the file store.id is missing from the data folder, but its database is in use; put the \
             file back from the backup that the database is from"
            .into()),
        (Some(_), None) => Err("the database is empty, but the file store.id says that it was in use: it was removed or \
             lost its content; restore the data folder from a backup (or, to begin anew and lose all enrollments, \
             empty the whole data folder)"
            .into()),
        (Some(file), Some(database)) if file.install != database.install => {
            Err("the database is another one than the file store.id belongs to; put both back from the same backup".into())
        }
        (Some(file), Some(database)) if database.epoch < file.epoch => Err(format!(
            "the database is older (start {}) than the file store.id (start {}): it was cut off, or put back to an earlier \
             state, in which lockouts would be undone; restore the data folder from a backup, \
             both from the same one",
            database.epoch, file.epoch
        )),
        (Some(file), Some(database)) if database.epoch > file.epoch + 1 => Err(format!(
            "the file store.id (start {}) is older than the database (start {}); put both back from the same backup",
            file.epoch, database.epoch
        )),
        (Some(file), Some(database)) if database.batches < file.batches => Err(format!(
            "the database is damaged: at least {} of its latest writes are missing; restore the data folder from a \
             backup. Keep the damaged files until that is done",
            file.batches - database.batches
        )),
        (Some(_), Some(_)) => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn checksum(body: &str) -> String {
    hex(&digest::digest(&digest::SHA256, body.as_bytes()).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the judge wants it")]
    const fn mark(install: u8, epoch: u64) -> Option<Mark> {
        Some(Mark { install: [install; 16], epoch, batches: 10 })
    }

    #[test]
    fn only_a_pair_that_belongs_together_is_accepted() {
        for (file, database, empty, good) in [
            (None, None, true, true),
            (None, mark(1, 1), true, true),
            (mark(1, 4), mark(1, 4), false, true),
            (mark(1, 4), mark(1, 5), false, true),
            (None, None, false, false),
            (None, mark(1, 1), false, false),
            (mark(1, 4), None, true, false),
            (mark(1, 4), mark(2, 4), false, false),
            (mark(1, 4), mark(1, 3), false, false),
            (mark(1, 4), mark(1, 6), false, false),
        ] {
            assert_eq!(judge(file, database, empty).is_ok(), good, "{file:?} {database:?} {empty}");
        }
    }

    #[test]
    fn a_database_that_lost_its_tail_is_refused() {
        let shorter = mark(1, 4).map(|mark| Mark { batches: 9, ..mark });
        assert!(judge(mark(1, 4), shorter, false).unwrap_err().contains("1 of its latest writes"));
        assert!(judge(shorter, mark(1, 4), false).is_ok(), "the file may be behind");
    }

    #[test]
    fn the_file_is_read_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let sentinel = Sentinel::of(folder.path());
        assert_eq!(sentinel.read(), Ok(None));
        sentinel.write(mark(7, 9).unwrap()).unwrap();
        assert_eq!(sentinel.read(), Ok(mark(7, 9)));
        let text = fs::read_to_string(&sentinel.0).unwrap().replace("07", "17");
        fs::write(&sentinel.0, text).unwrap();
        assert!(sentinel.read().unwrap_err().contains("damaged"));
    }
}
