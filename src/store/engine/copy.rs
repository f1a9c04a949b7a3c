//! A copy of a closed database, beside it in the data folder: the database and the file that knows it, and nothing of what
//! belongs to the program only.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{Error, on_sled::lock};

/// What belongs together.
pub(super) const PARTS: [&str; 2] = ["db", "store.id"];
/// So much has to be left on the disk besides, in bytes.
const MARGIN: u64 = 32 << 20;

/// Copies the closed database in a data folder to a folder of that name in it, and gives the copy's place. One that is there
/// already stays as it is: it got its name when it was whole. Blocks.
pub fn copy_closed(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let _lock = lock(folder)?;
    let (copy, new) = (folder.join(name), folder.join(format!("{name}.new")));
    if copy.exists() {
        return Ok(copy);
    }
    let fails = |error: io::Error| Error::Unavailable(format!("{}: {error}", new.display()));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(fails)?;
    }
    let parts = PARTS.map(|part| folder.join(part));
    let needed = parts.iter().map(|part| size(part)).sum::<io::Result<u64>>().map_err(fails)? + MARGIN;
    let disk = rustix::fs::statvfs(folder).map_err(|error| fails(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        return Err(Error::ReadOnly(format!(
            "only {} MiB are free in {}, {} are needed for a copy of the database before it is changed",
            free >> 20,
            folder.display(),
            needed.div_ceil(1 << 20)
        )));
    }
    DirBuilder::new().mode(0o700).create(&new).map_err(fails)?;
    for (part, name) in parts.iter().zip(PARTS) {
        copy_whole(part, &new.join(name)).map_err(fails)?;
    }
    let named = || {
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &copy)?;
        File::open(folder)?.sync_all()
    };
    named().map_err(fails)?;
    Ok(copy)
}

fn size(path: &Path) -> io::Result<u64> {
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// Copies a file, or a folder with all that is in it; durable.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_dir() {
        fs::copy(from, to)?;
        return File::open(to)?.sync_all();
    }
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_whole(&entry.path(), &to.join(entry.file_name()))?;
    }
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Batch, Engine as _, Options, SledEngine},
        *,
    };

    #[tokio::test]
    async fn a_copy_opens_like_what_it_is_of_and_is_made_once() {
        let options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };
        let folder = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(folder.path(), &options).unwrap();
        engine.commit(Batch::new().put(b"key".into(), b"before".into())).await.unwrap();
        assert!(copy_closed(folder.path(), "copy").unwrap_err().to_string().contains("in use"));
        drop(engine);
        // One that was broken off is no copy.
        fs::create_dir(folder.path().join("copy.new")).unwrap();
        let copy = copy_closed(folder.path(), "copy").unwrap();
        let engine = SledEngine::open(folder.path(), &options).unwrap();
        engine.commit(Batch::new().put(b"key".into(), b"after".into())).await.unwrap();
        drop(engine);
        assert_eq!(copy_closed(folder.path(), "copy").unwrap(), copy);
        let engine = SledEngine::open(&copy, &options).unwrap();
        assert_eq!(engine.find(b"key").await.unwrap().unwrap(), b"before");
    }
}
