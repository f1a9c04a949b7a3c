//! Backups that are made each day (R11.4).

use std::{fs, path::Path, time::Duration};

use regain::{
    domain::{
        audit::{Action, Outcome},
        backup::Report,
    },
    flows::backup,
    testing::{Setup, StoreMood, TestApp},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::admin::{first_signs_in, is_at, sends, with_groups};

const HOUR: Duration = Duration::from_secs(60 * 60);
const PATH: &str = "/admin/backup";

fn into(folder: &Path) -> Setup {
    let folder = folder.to_owned();
    with_groups(|settings| {
        settings.backup.folder = Some(folder);
        settings.backup.keep = 2;
        settings.alerts.operators = vec!["ops@demo.example".into()];
    })
}

async fn round(app: &TestApp) -> Report {
    let services = &app.site().services;
    backup::round(services, &CancellationToken::new()).await.unwrap();
    backup::last(services).await.unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

async fn noted(app: &TestApp) -> Vec<(Outcome, String)> {
    let events = app.events().await.into_iter().filter(|event| event.action == Action::Backup);
    events.map(|event| (event.outcome, event.detail)).collect()
}

#[tokio::test]
async fn one_is_made_each_day_and_the_latest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let app = into(folder.path()).start().await;
    app.visitor("alice").enrolls().await;
    let services = app.site().services.clone();
    fs::write(folder.path().join("notes"), "x").unwrap();
    let mut made = Vec::new();
    for _ in 0..3 {
        assert!(backup::is_due(&services).await.unwrap());
        let report = round(&app).await;
        let last = report.made.unwrap();
        assert!(report.is_made && report.fault.is_none() && last.records > 3, "{last:?}");
        assert_eq!(fs::metadata(folder.path().join(&last.file)).unwrap().len(), last.bytes);
        made.push(last.file);
        assert!(!backup::is_due(&services).await.unwrap());
        app.advance(24 * HOUR);
    }
    assert_eq!(files(&folder), ["notes", &made[1], &made[2]]);
    let noted = noted(&app).await;
    assert!(noted.len() == 3 && noted.iter().all(|(outcome, _)| *outcome == Outcome::Success), "{noted:?}");
    assert!(noted[0].1.ends_with(&made[2]) || noted[2].1.ends_with(&made[2]), "{noted:?}");
}

#[tokio::test]
async fn none_is_made_that_nobody_wants_or_that_is_stopped() {
    let app = TestApp::new().start().await;
    assert!(!backup::is_due(&app.site().services).await.unwrap());
    assert_eq!(round(&app).await, Report::default());
    let folder = tempfile::tempdir().unwrap();
    app.set(|settings| settings.backup.folder = Some(folder.path().to_owned()));
    let stopped = CancellationToken::new();
    stopped.cancel();
    backup::round(&app.site().services, &stopped).await.unwrap();
    assert!(backup::is_due(&app.site().services).await.unwrap() && files(&folder).is_empty());
}

#[tokio::test]
async fn those_who_run_it_are_told_of_a_failure_once_a_day_until_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("share");
    let app = into(&share).start().await;
    let services = app.site().services.clone();
    let mut mails = Vec::new();
    for hour in 0..26 {
        assert!(backup::is_due(&services).await.unwrap(), "{hour}");
        let report = round(&app).await;
        assert!(!report.is_made && report.fault.is_some_and(|why| why.contains("No such file")));
        assert!(!backup::is_due(&services).await.unwrap());
        let sent = app.sent().await;
        assert!(sent.iter().all(|message| message.to() == "ops@demo.example"));
        mails.push(sent.len());
        app.advance(HOUR);
    }
    assert_eq!((mails[0], mails[1], mails[22], mails[23], mails[25]), (1, 1, 1, 2, 2));
    assert!(!share.exists(), "the place of a share is not a folder of its own");
    assert!(noted(&app).await.iter().all(|(outcome, _)| *outcome == Outcome::Failure));
    fs::create_dir(&share).unwrap();
    let report = round(&app).await;
    assert!(report.is_made && report.fault.is_none() && report.told_at.is_none());
}

#[tokio::test]
async fn the_panel_says_how_it_stands_and_makes_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("share");
    let app = with_groups(|_| ()).start().await;
    let (mut root, ..) = first_signs_in(&app).await;
    is_at(&root.open(PATH).await, 200, "No backups are made by themselves");
    app.set(|settings| settings.backup.folder = Some(share.clone()));
    is_at(&root.open("/admin").await, 200, "None has been made yet");
    is_at(&root.open(PATH).await, 200, "no backup can be made at the moment: No such file");
    is_at(&sends(&mut root, PATH, &[("action", "run")]).await, 200, "It begins in a moment");
    round(&app).await;
    is_at(&root.open(PATH).await, 200, "no backup could be made");
    is_at(&root.open("/admin").await, 200, "no backup could be made");
    fs::create_dir(&share).unwrap();
    round(&app).await;
    let page = root.open(PATH).await;
    is_at(&page, 200, "The last backup");
    assert!(page.text().contains(".regain") && !page.text().contains("could be made"), "{}", page.text());
    is_at(&sends(&mut root, PATH, &[("action", "look")]).await, 422, "");
    app.store_behaves(StoreMood::ReadOnly);
    assert!(backup::round(&app.site().services, &CancellationToken::new()).await.is_err());
    app.store_behaves(StoreMood::Well);
    is_at(&root.open(&format!("{PATH}?lang=de")).await, 200, "Die letzte Sicherung");
}
