//! A data folder of an older program is migrated at start, after a copy (R11.6).

use std::{fs, path::Path, process::Command};

use regain::{
    app::{open_present, open_store},
    config::Config,
    domain::{
        admin::LocalAdmin,
        audit::{Action, Event, Outcome},
        enrollment::Enrollment,
    },
    store::{
        ChangedTab, Error, Store,
        audit::{Head, Verified},
        keyring::Keyring,
    },
};

/// What that program left behind: three people enrolled, one of them reset a password, the panel has an account and a
/// changed setting. Its audit log has no seals.
const PLAIN_LOG: &str = "before-the-seals.tar.gz";
const COPY: &str = "backup-before-format-3";

/// The data folder of that archive, and a configuration for it.
fn unpacked(archive: &str) -> (tempfile::TempDir, Config) {
    let root = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(archive);
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(root.path()).status().unwrap();
    assert!(status.success());
    let folder = root.path().join("data");
    let file = root.path().join("config.toml");
    let secret = folder.join("secret");
    fs::write(&file, format!("data = '{}'\nsecret_file = '{}'\n", folder.display(), secret.display()))
        .unwrap();
    let config = Config::load(Some(&file), []).unwrap();
    (root, config)
}

async fn events(store: &Store) -> Result<Vec<Event>, Error> {
    Ok(store.events_after(0, 1000).await?.into_iter().map(|numbered| numbered.event).collect())
}

async fn holds_all(store: &Store, keys: &Keyring) -> Head {
    let people = store.page::<Enrollment>(None, 10).await.unwrap();
    let mut names: Vec<_> = people.iter().map(|(_, found)| found.account_name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "erin", "heidi"]);
    assert!(people.iter().all(|(_, found)| found.questions.len() == 3));
    let tab = store.find::<ChangedTab>(&"general".to_owned()).await.unwrap().unwrap();
    assert!(tab.0.contains("Call 4444"), "{}", tab.0);
    assert_eq!(store.find::<LocalAdmin>(&()).await.unwrap().unwrap().name, "root");
    let events = events(store).await.unwrap();
    let of = |action: Action| events.iter().filter(move |event| event.action == action);
    let outcomes = |action| of(action).map(|event| event.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes(Action::Enroll), [Outcome::Success; 3]);
    assert_eq!(outcomes(Action::Reset), [Outcome::Intent, Outcome::Success]);
    assert!(of(Action::Setting).any(|event| event.detail.contains("Call 4444")));
    let Verified::Whole(Some(head)) = store.verify_log(&keys.audit, None, &|_, _| {}).await.unwrap() else {
        panic!("the log is not whole")
    };
    assert_eq!(usize::try_from(head.number).unwrap(), events.len());
    head
}

#[tokio::test]
async fn a_folder_with_a_log_without_seals_is_copied_and_then_sealed_once() {
    let (root, config) = unpacked(PLAIN_LOG);
    let (store, keys) = open_present(&config).await.unwrap();
    let head = holds_all(&store, &keys).await;
    drop(store);
    // The copy is what there was before.
    let copy = root.path().join("data").join(COPY);
    let old = Config { data: copy.clone(), ..config.clone() };
    let store = open_store(&old).await.unwrap();
    assert!(store.older().await.unwrap().is_some());
    assert!(events(&store).await.is_err(), "events without seals");
    drop(store);
    // Another start changes nothing.
    fs::remove_dir_all(&copy).unwrap();
    let (store, keys) = open_present(&config).await.unwrap();
    assert_eq!(holds_all(&store, &keys).await, head);
    let event = events(&store).await.unwrap().remove(0);
    store.batch().event(&event).commit().await.unwrap();
    assert!(matches!(
        store.verify_log(&keys.audit, Some(head), &|_, _| {}).await.unwrap(),
        Verified::Whole(_)
    ));
    assert!(!copy.exists());
}

#[tokio::test]
async fn a_copy_can_be_put_back_and_is_migrated_again() {
    let (root, config) = unpacked(PLAIN_LOG);
    drop(open_present(&config).await.unwrap());
    let folder = root.path().join("data");
    for part in ["db", "store.id"] {
        let here = folder.join(part);
        if here.is_dir() {
            fs::remove_dir_all(&here).unwrap();
        } else {
            fs::remove_file(&here).unwrap();
        }
        fs::rename(folder.join(COPY).join(part), here).unwrap();
    }
    fs::remove_dir(folder.join(COPY)).unwrap();
    let (store, keys) = open_present(&config).await.unwrap();
    holds_all(&store, &keys).await;
    assert!(folder.join(COPY).is_dir());
}
