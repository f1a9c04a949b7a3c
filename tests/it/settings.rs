//! Settings that are changed while it runs (R6.3): at once, checked, written down, by one at a time.

use std::{fs, path::Path};

use regain::{
    domain::audit::Action,
    flows::change_settings::{self, Change, Edit, Editor},
    store::{ChangedTab, SettingsVersion},
    testing::{StoreMood, TestApp},
};
use toml::Value;

fn editor() -> Editor {
    Editor { who: None, name: "DEMO\\admin".into(), address: Some([192, 0, 2, 9].into()), source: "admin" }
}

fn edit(key: &str, value: impl Into<Value>) -> Edit {
    Edit { key: key.into(), value: Some(value.into()) }
}

async fn change(app: &TestApp, edits: Vec<Edit>) -> Change {
    let services = &app.site().services;
    let (version, _) = change_settings::load(services).await.unwrap();
    change_settings::change(services, &editor(), version, edits).await.unwrap()
}

async fn changes(app: &TestApp) -> Vec<String> {
    let events = app.events().await;
    events.into_iter().filter(|event| event.action == Action::Setting).map(|event| event.detail).collect()
}

#[tokio::test]
async fn a_change_holds_at_once_and_after_a_restart_and_is_written_down() {
    let app = TestApp::new().start().await;
    let made = change(
        &app,
        vec![
            edit("general.product_name", "Acme Reset"),
            edit("security.idle_timeout_seconds", 300),
            edit("enroll.questions", 4),
        ],
    )
    .await;
    assert!(matches!(&made, Change::Made(keys) if keys.len() == 2), "{made:?}");
    let page = app.visitor("alice").open("/enroll").await;
    assert!(page.text().contains("Acme Reset") && page.fields().contains(&"question4".to_owned()));
    app.restart().await;
    assert!(app.visitor("alice").open("/").await.text().contains("Acme Reset"));
    let back = vec![
        Edit { key: "general.product_name".into(), value: None },
        // Set to what it is: no change.
        edit("enroll.questions", 4),
    ];
    assert!(matches!(change(&app, back).await, Change::Made(keys) if keys == ["general.product_name"]));
    assert!(app.visitor("alice").open("/").await.text().contains("Regain"));
    assert_eq!(
        changes(&app).await,
        [
            "general.product_name: \"Regain\" → \"Acme Reset\"",
            "enroll.questions: 3 → 4",
            "general.product_name: \"Acme Reset\" → \"Regain\"",
        ]
    );
    let event = app.events().await.into_iter().find(|event| event.action == Action::Setting).unwrap();
    assert_eq!(event.source_user.as_deref(), Some("DEMO\\admin"));
    assert_eq!((event.source.as_str(), event.source_ip), ("admin", editor().address));
}

#[tokio::test]
async fn what_is_wrong_or_fixed_changes_nothing_and_is_told_by_its_key() {
    let app = TestApp::new().with_fixed("general.footer = 'fixed'").start().await;
    for (edits, keys) in [
        (vec![edit("security.idle_timeout_seconds", 5000)], &["settings.security.idle_timeout_seconds"][..]),
        (vec![edit("general.product_name", "x"), edit("codes.by_mail", true)], &["settings.codes.by_mail"]),
        (vec![edit("general.footer", "mine")], &["settings.general.footer"]),
        (vec![edit("general.nothing", 1)], &["settings.general.nothing"]),
        (vec![edit("general", 1)], &["settings.general"]),
    ] {
        let Change::Wrong(faults) = change(&app, edits).await else { panic!("{keys:?} was taken") };
        let found: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(found, keys);
    }
    assert!(changes(&app).await.is_empty());
    assert!(app.visitor("alice").open("/").await.text().contains("Regain"));
}

#[tokio::test]
async fn of_two_who_change_at_the_same_time_the_later_is_told() {
    let app = TestApp::new().start().await;
    let services = &app.site().services;
    let who = editor();
    let both = tokio::join!(
        change_settings::change(services, &who, 0, vec![edit("general.product_name", "One")]),
        change_settings::change(services, &who, 0, vec![edit("general.footer", "Two")]),
    );
    let made = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(made.iter().filter(|change| matches!(change, Change::Made(_))).count(), 1, "{made:?}");
    assert_eq!(made.iter().filter(|change| matches!(change, Change::Conflict)).count(), 1);
    let late = change_settings::change(services, &editor(), 0, vec![edit("general.footer", "Three")]).await;
    assert!(matches!(late.unwrap(), Change::Conflict));
    assert_eq!(changes(&app).await.len(), 1);
}

#[tokio::test]
async fn a_change_that_cant_be_kept_does_not_hold() {
    let app = TestApp::new().start().await;
    app.store_behaves(StoreMood::ReadOnly);
    let services = &app.site().services;
    let failed =
        change_settings::change(services, &editor(), 0, vec![edit("general.product_name", "x")]).await;
    assert!(failed.is_err());
    app.store_behaves(StoreMood::Well);
    assert_eq!(app.site().services.settings.load().general.product_name, "Regain");
}

#[tokio::test]
async fn secrets_are_kept_sealed_and_nowhere_told() {
    let app = TestApp::new().start().await;
    let edits = vec![
        edit("mail.delivery", "smtp"),
        edit("mail.host", "mail.demo.example"),
        edit("mail.sender", "a@demo.example"),
        edit("mail.user", "regain"),
        edit("mail.password", "Papageientaucher"),
    ];
    assert!(matches!(change(&app, edits).await, Change::Made(_)));
    app.restart().await;
    let settings = app.site().services.settings.load_full();
    assert_eq!(settings.mail.password.as_ref().unwrap().reveal(), "Papageientaucher");
    assert!(changes(&app).await.contains(&"mail.password: changed".to_owned()));
    assert!(!changes(&app).await.iter().any(|change| change.contains("Papageientaucher")));
    let mut all = Vec::new();
    read_all(&app.folder(), &mut all);
    assert!(!all.windows(16).any(|part| part == b"Papageientaucher"));
    assert!(all.windows(17).any(|part| part == b"mail.demo.example"), "the store can be searched");
}

fn read_all(folder: &Path, all: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, all);
        } else {
            all.extend(fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn a_change_whose_editor_left_too_early_holds_within_a_minute() {
    let app = TestApp::new().start().await;
    let services = app.site().services.clone();
    // What is written when a browser is closed behind the button.
    let text = ChangedTab("general = { footer = 'after' }".into());
    let batch = services.store.batch().put(&"general".to_owned(), &text).put(&(), &SettingsVersion(1));
    batch.commit().await.unwrap();
    assert_eq!(services.settings.load().general.footer, "");
    app.run_jobs().await;
    assert_eq!(services.settings.load().general.footer, "after");
    // What is in force is left alone.
    app.set(|settings| settings.general.footer = "of a test".into());
    assert!(matches!(change(&app, vec![edit("general.help_desk", "x")]).await, Change::Made(_)));
    app.set(|settings| settings.general.footer = "of a test".into());
    app.run_jobs().await;
    assert_eq!(services.settings.load().general.footer, "of a test");
}
