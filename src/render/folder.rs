//! An operator's folder: what is in it, read with limits. It knows nothing of what the files mean.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// The most that is read of one folder, in bytes.
const MOST: u64 = 32 << 20;
/// The most files.
const MOST_FILES: usize = 2000;
/// How deep folders may lie in each other.
const DEEPEST: usize = 6;

/// Something is wrong with a file of the folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fault {
    /// The file, within the folder; empty for the folder itself.
    pub file: String,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl Fault {
    /// A fault of a whole file.
    pub fn of(file: &str, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, reason: reason.into() }
    }

    /// A fault in a line.
    pub fn at(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: Some(line), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            _ if self.file.is_empty() => f.write_str(&self.reason),
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// The line of a text that a byte of it is in, counted from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// What tells whether a file is still the same.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mark {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// What there is, without having read it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Listing {
    files: BTreeMap<String, (PathBuf, Mark)>,
    faults: Vec<Fault>,
}

impl Listing {
    /// Looks through the folder; an error if it can't be looked at at all.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(folder)?;
        let mut listing = Self::default();
        listing.look(&root, &root, "", 0)?;
        listing.faults.sort_unstable();
        Ok(listing)
    }

    fn look(&mut self, root: &Path, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                self.fault(&format!("{prefix}…"), "has a name that is no text");
                continue;
            };
            // What editors, version control and Kubernetes keep beside.
            if name.starts_with(['.', '#']) || name.ends_with('~') {
                continue;
            }
            let file = format!("{prefix}{name}");
            if let Err(error) = self.look_at(root, &entry.path(), &file, depth) {
                self.fault(&file, error.to_string());
            }
        }
        Ok(())
    }

    fn look_at(&mut self, root: &Path, path: &Path, file: &str, depth: usize) -> io::Result<()> {
        // What is served to everybody is in this folder: a link can't fetch it from elsewhere.
        let real = fs::canonicalize(path)?;
        if !real.starts_with(root) {
            self.fault(file, "is a link that leads out of the folder");
            return Ok(());
        }
        let about = fs::metadata(&real)?;
        if about.is_dir() {
            if depth == DEEPEST {
                self.fault(file, "lies too deep");
                return Ok(());
            }
            return self.look(root, &real, &format!("{file}/"), depth + 1);
        }
        if !about.is_file() {
            self.fault(file, "is no file");
        } else if about.len() > LARGEST {
            self.fault(file, format!("is larger than {} MiB", LARGEST >> 20));
        } else if self.files.len() == MOST_FILES {
            self.fault(file, format!("is one too many: {MOST_FILES} are read"));
        } else {
            let changed = (about.ctime(), about.ctime_nsec());
            let mark = Mark { inode: about.ino(), length: about.len(), changed };
            self.files.insert(file.to_owned(), (real, mark));
        }
        Ok(())
    }

    fn fault(&mut self, file: &str, reason: impl Into<String>) {
        // Nobody reads more; a loop of links is one.
        if self.faults.len() < MOST_FILES {
            self.faults.push(Fault::of(file, reason));
        }
    }

    /// Reads the files.
    pub(super) fn read(&self) -> Snapshot {
        let mut snapshot = Snapshot { files: BTreeMap::new(), faults: self.faults.clone() };
        let mut left = MOST;
        for (file, (path, _)) in &self.files {
            match fs::read(path) {
                Ok(bytes) => match left.checked_sub(bytes.len() as u64) {
                    Some(rest) => {
                        left = rest;
                        snapshot.files.insert(file.clone(), bytes);
                    }
                    None => snapshot
                        .faults
                        .push(Fault::of(file, format!("is too much: {} MiB are read in all", MOST >> 20))),
                },
                Err(error) => snapshot.faults.push(Fault::of(file, error.to_string())),
            }
        }
        snapshot
    }
}

/// The files of a folder as they were read.
#[derive(Default, Debug)]
pub(super) struct Snapshot {
    /// Their bytes, by name: `templates/base.html`.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// What could not be read, and why.
    pub(super) faults: Vec<Fault>,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_is_read_without_what_lies_beside_and_beyond() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("overrides");
        fs::create_dir_all(folder.join("templates/user")).unwrap();
        fs::create_dir_all(folder.join("..2026/")).unwrap();
        fs::write(place.path().join("secret"), "secret").unwrap();
        fs::write(folder.join("templates/user/menu.html"), "menu").unwrap();
        fs::write(folder.join("templates/user/.menu.html.swp"), "x").unwrap();
        fs::write(folder.join("templates/user/menu.html~"), "x").unwrap();
        // As Kubernetes mounts a ConfigMap.
        fs::write(folder.join("..2026/base.html"), "base").unwrap();
        symlink("..2026", folder.join("..data")).unwrap();
        symlink("../..data/base.html", folder.join("templates/base.html")).unwrap();
        symlink("../secret", folder.join("stolen")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        symlink(".", folder.join("templates/round")).unwrap();

        let listing = Listing::of(&folder).unwrap();
        let snapshot = listing.read();
        let inside = |name: &&String| !name.contains("round");
        let names: Vec<_> = snapshot.files.keys().filter(inside).map(String::as_str).collect();
        assert_eq!(names, ["templates/base.html", "templates/user/menu.html"]);
        assert_eq!(snapshot.files["templates/base.html"], b"base");
        let faults: Vec<_> = snapshot.faults.iter().map(ToString::to_string).collect();
        assert!(faults.contains(&"stolen: is a link that leads out of the folder".to_owned()), "{faults:?}");
        assert!(faults.contains(&"up: is a link that leads out of the folder".to_owned()), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.starts_with("dangling: ")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.ends_with("lies too deep")), "{faults:?}");

        assert_eq!(Listing::of(&folder).unwrap(), listing);
        fs::write(folder.join("templates/user/menu.html"), "MENU").unwrap();
        assert_ne!(Listing::of(&folder).unwrap(), listing);
        assert!(Listing::of(&place.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("large"), vec![0; usize::try_from(LARGEST).unwrap() + 1]).unwrap();
        let snapshot = Listing::of(folder.path()).unwrap().read();
        assert!(snapshot.files.is_empty());
        assert_eq!(snapshot.faults[0].to_string(), "large: is larger than 4 MiB");
    }

    #[test]
    fn a_byte_is_in_a_line() {
        assert_eq!((line("a\nb", 0), line("a\nb", 2), line("a\nb", 99)), (1, 2, 2));
    }
}
