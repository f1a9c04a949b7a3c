//! The files of backups: whole under their names or not there, for their owner only, and not more than are to be kept.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use tempfile::NamedTempFile;

use crate::{
    domain::clock::Timestamp,
    store::keyring::{Keyring, keyed_hash},
};

const ENDING: &str = ".regain";

/// A file that gets its name when it is whole.
pub struct Whole {
    file: NamedTempFile,
    to: PathBuf,
}

impl Whole {
    /// Begins one, beside where it will be.
    pub fn begin(to: &Path) -> io::Result<Self> {
        // Temporary files are their owner's only (tempfile: mode 0600).
        Ok(Self { file: NamedTempFile::new_in(folder_of(to))?, to: to.to_owned() })
    }

    /// Writes more of it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives it its name; durable when this returns. An older one of that name is replaced.
    pub fn end(self) -> io::Result<()> {
        self.file.as_file().set_permissions(Permissions::from_mode(0o600))?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.to)?;
        File::open(folder_of(&self.to))?.sync_all()
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What backups of those who have this secret are called: others may keep theirs in the same folder.
fn beginning(keys: &Keyring) -> String {
    format!("regain-{}-", HEXLOWER.encode(&keyed_hash(&keys.backups, &[b"files"])[..4]))
}

/// The name of a backup that is made at that time.
pub fn file_name(keys: &Keyring, at: Timestamp) -> String {
    let time: String = at.to_string().chars().take(19).filter(char::is_ascii_alphanumeric).collect();
    format!("{}{time}Z{ENDING}", beginning(keys))
}

/// Whether that is a name that [`file_name`] gives.
fn is_one(name: &str, beginning: &str) -> bool {
    let time = name.strip_prefix(beginning).and_then(|rest| rest.strip_suffix(ENDING));
    time.is_some_and(|time| {
        time.len() == 16
            && time.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            })
    })
}

/// Removes the oldest of the backups of this secret in a folder, but for so many; how many were removed.
pub fn prune(keys: &Keyring, folder: &Path, keep: usize) -> io::Result<usize> {
    let beginning = beginning(keys);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| is_one(name, &beginning)).map(str::to_owned));
    }
    names.sort();
    let over = names.len().saturating_sub(keep);
    for name in &names[..over] {
        fs::remove_file(folder.join(name))?;
    }
    Ok(over)
}

/// Why no backup can be written to a folder, if none can.
pub fn examine(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Key;

    #[test]
    fn the_oldest_go_and_nothing_else() {
        let (folder, keys) = (tempfile::tempdir().unwrap(), Keyring::from_secret(&Key::new([1; 32])));
        let others = Keyring::from_secret(&Key::new([2; 32]));
        let day = |number: i64| Timestamp::from_millis(1_795_470_405_999 + number * 86_400_000);
        let mut names: Vec<_> = (0..5).map(|number| file_name(&keys, day(number))).collect();
        assert!(names.is_sorted() && names[0].ends_with("-20261123T214645Z.regain"), "{names:?}");
        let mut kept = vec![file_name(&others, day(0)), format!("{}.old", names[0]), "notes".to_owned()];
        for name in names.iter().chain(&kept) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(prune(&keys, folder.path(), 2).unwrap(), 3);
        kept.extend(names.split_off(3));
        kept.sort();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, kept);
    }

    #[test]
    fn a_file_is_whole_and_its_owner_s_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.regain");
        let mut whole = Whole::begin(&file).unwrap();
        whole.write(b"one").unwrap();
        assert!(!file.exists());
        whole.end().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        drop(Whole::begin(&file).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
