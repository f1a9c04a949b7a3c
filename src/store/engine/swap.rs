//! Another database in the place of the one in a data folder. What was begun is carried to its end at the next opening,
//! whenever it was broken off: from the moment the new one has its name, it is the one.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{Error, copy::PARTS, on_sled::lock};

/// A database that is ready to take the place of the other.
const READY: &str = "restore.ready";
/// In it: where the other goes.
const ASIDE: &str = "aside";

/// Puts the closed database in the folder `new` of a data folder in the place of the one that is there, which goes to a
/// folder of the name `aside` in it. Blocks.
pub fn put_in_place(folder: &Path, new: &str, aside: &str) -> Result<PathBuf, Error> {
    let _lock = lock(folder)?;
    let begun = || {
        let new = folder.join(new);
        fs::write(new.join(ASIDE), aside)?;
        File::open(new.join(ASIDE))?.sync_all()?;
        File::open(&new)?.sync_all()?;
        fs::rename(new, folder.join(READY))?;
        File::open(folder)?.sync_all()
    };
    begun().map_err(|error| fails(folder, &error))?;
    finish(folder)?;
    Ok(folder.join(aside))
}

/// An error if a process has the database in that folder open.
pub fn require_unused(folder: &Path) -> Result<(), Error> {
    lock(folder).map(drop)
}

/// Carries to its end what was begun. The folder is locked.
pub(super) fn finish(folder: &Path) -> Result<(), Error> {
    finish_begun(folder).map_err(|error| fails(folder, &error))
}

fn finish_begun(folder: &Path) -> io::Result<()> {
    let ready = folder.join(READY);
    if !ready.exists() {
        return Ok(());
    }
    let aside = fs::read_to_string(ready.join(ASIDE))?;
    let aside = folder.join(Path::new(aside.trim()).file_name().unwrap_or(READY.as_ref()));
    for part in PARTS {
        let (new, now, old) = (ready.join(part), folder.join(part), aside.join(part));
        // Once it has moved, this part is done.
        if !new.exists() {
            continue;
        }
        if now.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&aside)?;
            fs::rename(&now, &old)?;
            File::open(&aside)?.sync_all()?;
        }
        fs::rename(&new, &now)?;
        File::open(folder)?.sync_all()?;
    }
    fs::remove_dir_all(&ready)?;
    File::open(folder)?.sync_all()
}

fn fails(folder: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("{}: putting another database in place: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Batch, Engine as _, Options, SledEngine},
        *,
    };

    const OPTIONS: Options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };

    async fn made(folder: &Path, value: &[u8]) {
        let engine = SledEngine::open(folder, &OPTIONS).unwrap();
        engine.commit(Batch::new().put(b"key".into(), value.into())).await.unwrap();
    }

    async fn is(folder: &Path, value: &[u8]) {
        let engine = SledEngine::open(folder, &OPTIONS).unwrap();
        assert_eq!(engine.find(b"key").await.unwrap().unwrap(), value);
    }

    #[tokio::test]
    async fn the_other_is_in_place_and_the_one_before_aside() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), b"before").await;
        fs::create_dir(folder.path().join("new")).unwrap();
        made(&folder.path().join("new"), b"after").await;
        let aside = put_in_place(folder.path(), "new", "replaced").unwrap();
        is(folder.path(), b"after").await;
        is(&aside, b"before").await;
    }

    #[tokio::test]
    async fn it_is_finished_wherever_it_was_broken_off() {
        for steps in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            made(folder.path(), b"before").await;
            fs::create_dir(path(READY)).unwrap();
            made(&path(READY), b"after").await;
            fs::write(path(READY).join(ASIDE), "replaced").unwrap();
            let moves =
                [("db", "replaced/db"), ("restore.ready/db", "db"), ("store.id", "replaced/store.id")];
            fs::create_dir(path("replaced")).unwrap();
            for (from, to) in moves.iter().take(steps) {
                fs::rename(path(from), path(to)).unwrap();
            }
            is(folder.path(), b"after").await;
            is(&path("replaced"), b"before").await;
            assert!(!path(READY).exists());
        }
    }
}
