//! Files that were cut, changed or left half written: a text for the operator and no panic, or no harm at all.

use std::{os::unix::fs::FileExt as _, process::Command};

use super::*;

/// A data folder that was written to and closed.
async fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..200_u32 {
        engine.commit(Batch::new().put(n.to_be_bytes().to_vec(), vec![7; 4000])).await.unwrap();
    }
    drop(engine);
    // Snapshots are made by the next opening.
    drop(open(folder.path()));
    folder
}

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap.")).collect()
}

#[tokio::test]
async fn a_cut_file_is_refused_with_a_text_and_no_panic_unless_nothing_is_missing() {
    let folder = used().await;
    assert!(!snapshots(folder.path()).is_empty(), "nothing to leave out");
    let whole = fs::read(folder.path().join("db/db")).unwrap();
    for left in [0, 1, 100, 5_000, whole.len() / 3, whole.len() / 2, whole.len() - 20_000, whole.len() - 300]
    {
        for with_snapshot in [true, false] {
            let case = tempfile::tempdir().unwrap();
            let copied =
                Command::new("cp").arg("-a").arg(folder.path().join(".")).arg(case.path()).status().unwrap();
            assert!(copied.success());
            File::options()
                .write(true)
                .open(case.path().join("db/db"))
                .unwrap()
                .set_len(left as u64)
                .unwrap();
            if !with_snapshot {
                for path in snapshots(case.path()) {
                    fs::remove_file(path).unwrap();
                }
            }
            match SledEngine::open(case.path(), &options()) {
                Ok(engine) => {
                    assert!(left > whole.len() / 2, "{left} {with_snapshot}");
                    for n in 0..200_u32 {
                        let value = engine.find(&n.to_be_bytes()).await;
                        assert_eq!(value.ok().flatten(), Some(vec![7; 4000]), "{left} {with_snapshot} {n}");
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("restore the data folder from a backup"),
                        "{left} {with_snapshot}: {text}"
                    );
                }
            }
        }
    }
    drop(open(folder.path()));
}

#[tokio::test]
async fn changed_bytes_are_told_and_end_the_writing() {
    let folder = used().await;
    // What an earlier opening has read is not checked by this one until it is asked for.
    let db = File::options().write(true).open(folder.path().join("db/db")).unwrap();
    for at in (20_000..600_000).step_by(1_000) {
        db.write_all_at(&[0x5a; 100], at).unwrap();
    }
    let engine = match SledEngine::open(folder.path(), &options()) {
        Ok(engine) => engine,
        Err(error) => return assert!(error.to_string().contains("damaged"), "{error}"),
    };
    let mut damaged = 0;
    for n in 0..200_u32 {
        match engine.find(&n.to_be_bytes()).await {
            Ok(value) => assert_eq!(value, Some(vec![7; 4000])),
            Err(error) => {
                assert!(matches!(&error, Error::Damaged(text) if text.contains("from a backup")), "{error}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    assert!(matches!(engine.condition(), Condition::Failed(_)));
    assert!(matches!(engine.commit(Batch::new().put(key("new"), key("x"))).await, Err(Error::Damaged(_))));
}

#[tokio::test]
async fn a_snapshot_left_half_written_is_no_damage() {
    let folder = used().await;
    let finished = snapshots(folder.path()).pop().unwrap();
    let half = fs::read(finished).unwrap();
    let path = folder.path().join("db/snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&path, &half[..half.len() / 2]).unwrap();
    let engine = open(folder.path());
    assert!(!path.exists());
    assert_eq!(engine.find(&199_u32.to_be_bytes()).await.unwrap(), Some(vec![7; 4000]));
}
