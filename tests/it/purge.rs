//! Enrollments of accounts that are gone from the directory are removed, and no others (R2.6).

use std::time::Duration;

use regain::{
    directory::demo::{SAMPLE_USERS, SampleUser},
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        audit::{Action, Outcome},
        enrollment::Enrollment,
        lockout::{Subject, Tally},
        purge::{Missed, OfDomain, Report, Skipped},
        reminder::Reminded,
    },
    flows::purge,
    store::Kept,
    testing::{DirectoryMood, TestApp},
};
use tokio_util::sync::CancellationToken;

use crate::admin::{first_signs_in, is_at, sends, with_groups};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATH: &str = "/admin/purge";

async fn round(app: &TestApp) -> Report {
    purge::round(&app.site().services, &CancellationToken::new()).await.unwrap().unwrap()
}

/// What is reported of DEMO, the only domain that people have enrolled in.
async fn round_of_demo(app: &TestApp) -> OfDomain {
    let report = round(app).await;
    assert!(report.ended.is_some());
    let [of_demo] = <[_; 1]>::try_from(report.domains).unwrap();
    assert_eq!(of_demo.domain, "demo.example");
    of_demo
}

/// A round on each of so many days; how many were removed in each.
async fn rounds(app: &TestApp, days: usize) -> Vec<usize> {
    let mut purged = Vec::new();
    for _ in 0..days {
        purged.push(round_of_demo(app).await.purged);
        app.advance(DAY);
    }
    purged
}

async fn put<R: Kept>(app: &TestApp, key: &R::Key, record: &R) {
    app.site().services.store.batch().put(key, record).commit().await.unwrap();
}

async fn has<R: Kept>(app: &TestApp, key: &R::Key) -> bool {
    app.site().services.store.find::<R>(key).await.unwrap().is_some()
}

/// The sample users of these names have enrolled, under these keys.
async fn enrolled(app: &TestApp, names: &[&str]) -> Vec<AccountKey> {
    let mut keys = Vec::new();
    for name in names {
        let key = app.account(name).await.key;
        enrolls(app, &key, name).await;
        keys.push(key);
    }
    keys
}

async fn enrolls(app: &TestApp, key: &AccountKey, name: &str) {
    let now = app.site().services.clock.now();
    put(app, key, &Enrollment::blank(name.to_owned(), now)).await;
}

/// People have enrolled whom no directory knows.
async fn strangers(app: &TestApp, domain: &str, count: u8) -> Vec<AccountKey> {
    let mut keys = Vec::new();
    for number in 0..count {
        let domain = DomainName::new(domain);
        let key = AccountKey { domain, guid: ObjectGuid::from_bytes([number; 16]) };
        enrolls(app, &key, "stranger").await;
        keys.push(key);
    }
    keys
}

fn leaves(app: &TestApp, name: &str) {
    assert!(app.directory("DEMO").demo().remove(name));
}

fn comes(app: &TestApp, name: &str, incarnation: u32) {
    let user = SAMPLE_USERS.iter().find(|user| user.domain == "DEMO" && user.name == name).unwrap();
    app.directory("DEMO").demo().add(&SampleUser { ..*user }, incarnation);
}

async fn removals(app: &TestApp) -> Vec<(Outcome, String, String)> {
    let events = app.events().await.into_iter().filter(|event| event.action == Action::EnrollmentDeleted);
    events
        .map(|event| {
            assert_eq!((event.source.as_str(), event.domain.as_str()), ("job", "demo.example"));
            (event.outcome, event.user, event.detail)
        })
        .collect()
}

#[tokio::test]
async fn who_was_deleted_is_forgotten_a_week_after_that_was_noticed() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let others = enrolled(&app, &["bob", "dave"]).await;
    let key = app.account("alice").await.key;
    put(&app, &Subject::Known(key.clone()), &Tally { wrong_answers: 1, ..Tally::default() }).await;
    put(&app, &key, &Reminded::default()).await;
    app.advance(DAY);
    assert_eq!(rounds(&app, 10).await, [0; 10]);
    leaves(&app, "alice");
    assert_eq!(rounds(&app, 9).await, [0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert!(app.enrollment(&key).await.is_none());
    assert!(!has::<Missed>(&app, &key).await && !has::<Reminded>(&app, &key).await);
    assert!(!has::<Tally>(&app, &Subject::Known(key)).await);
    for other in &others {
        assert!(app.enrollment(other).await.is_some());
    }
    assert_eq!(removals(&app).await, [(Outcome::Success, "alice".into(), "account_deleted".into())]);
    let last = purge::last(&app.site().services).await.unwrap().unwrap();
    assert_eq!((last.domains[0].looked_at, last.domains[0].missing), (2, 0));
}

#[tokio::test]
async fn the_days_are_a_setting_and_none_of_them_is_never() {
    let app = TestApp::new().with_settings(|settings| settings.enroll.purge_after_days = 30).start().await;
    let keys = enrolled(&app, &["alice"]).await;
    leaves(&app, "alice");
    app.advance(DAY);
    assert_eq!(rounds(&app, 30).await, [0; 30]);
    app.set(|settings| settings.enroll.purge_after_days = 0);
    let none = purge::round(&app.site().services, &CancellationToken::new()).await.unwrap();
    assert!(none.is_none() && app.enrollment(&keys[0]).await.is_some());
    app.set(|settings| settings.enroll.purge_after_days = 30);
    assert_eq!(rounds(&app, 1).await, [1]);
}

#[tokio::test]
async fn a_directory_that_can_not_be_reached_says_nothing_about_anybody() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice"]).await;
    app.directories_behave(DirectoryMood::Unavailable);
    for _ in 0..20 {
        app.advance(DAY);
        let report = round_of_demo(&app).await;
        assert_eq!((report.skipped, report.purged), (Some(Skipped::Unavailable), 0));
    }
    assert!(!has::<Missed>(&app, &keys[0]).await);
    // Nor does one that falls silent when it comes to it.
    app.directories_behave(DirectoryMood::Well);
    leaves(&app, "alice");
    assert_eq!(rounds(&app, 7).await, [0; 7]);
    app.directories_behave(DirectoryMood::LoadsFail);
    let report = round_of_demo(&app).await;
    assert_eq!((report.skipped, report.purged), (Some(Skipped::Unavailable), 0));
    assert!(app.enrollment(&keys[0]).await.is_some() && removals(&app).await.is_empty());
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(rounds(&app, 1).await, [1]);
}

#[tokio::test]
async fn a_directory_that_shows_nobody_is_not_believed() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice", "bob", "carol", "dave", "erin"]).await;
    app.directories_behave(DirectoryMood::ShowsNobody);
    for _ in 0..10 {
        app.advance(DAY);
        let report = round_of_demo(&app).await;
        assert_eq!((report.skipped, report.missing, report.purged), (Some(Skipped::Suspicious), 5, 0));
    }
    for key in &keys {
        assert!(app.enrollment(key).await.is_some() && !has::<Missed>(&app, key).await);
    }
    let removals = removals(&app).await;
    assert!(
        removals.len() == 10
            && removals[0] == (Outcome::Failure, String::new(), "directory_suspicious".into())
    );
}

#[tokio::test]
async fn a_directory_that_shows_only_a_part_is_not_believed() {
    let app = TestApp::new().start().await;
    enrolled(&app, &["alice", "bob", "carol", "dave", "erin"]).await;
    strangers(&app, "demo.example", 5).await;
    app.advance(DAY);
    // Up to half may be gone at once, where there are few.
    assert_eq!(round_of_demo(&app).await.skipped, None);
    strangers(&app, "demo.example", 21).await;
    for _ in 0..9 {
        app.advance(DAY);
        let report = round_of_demo(&app).await;
        assert_eq!((report.skipped, report.looked_at, report.purged), (Some(Skipped::Suspicious), 26, 0));
    }
}

#[tokio::test]
async fn many_are_looked_at_page_by_page() {
    let app = TestApp::new().start().await;
    enrolled(&app, &["alice", "bob"]).await;
    let gone = strangers(&app, "demo.example", 20).await;
    for number in 0..200_u8 {
        // Others enrolled whom the directory knows.
        let name: &'static str = Box::leak(format!("many{number}").into_boxed_str());
        app.directory("DEMO").demo().add(&SampleUser { name, upn: name, ..SAMPLE_USERS[0] }, 0);
        enrolled(&app, &[name]).await;
    }
    app.advance(DAY);
    assert_eq!(round_of_demo(&app).await.looked_at, 222);
    assert_eq!(rounds(&app, 8).await, [0, 0, 0, 0, 0, 0, 0, 20]);
    assert!(app.enrollment(&gone[7]).await.is_none());
}

#[tokio::test]
async fn who_comes_back_or_was_renamed_keeps_the_enrollment() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice", "bob"]).await;
    assert!(app.directory("DEMO").demo().rename("bob", "robert"));
    leaves(&app, "alice");
    app.advance(DAY);
    assert_eq!(rounds(&app, 7).await, [0; 7]);
    assert!(has::<Missed>(&app, &keys[0]).await && !has::<Missed>(&app, &keys[1]).await);
    // As from the directory's recycle bin.
    comes(&app, "alice", 0);
    assert_eq!(rounds(&app, 1).await, [0]);
    assert!(!has::<Missed>(&app, &keys[0]).await);
    leaves(&app, "alice");
    assert_eq!(rounds(&app, 8).await, [0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(app.enrollment(&keys[1]).await.is_some());
}

#[tokio::test]
async fn who_is_made_anew_under_the_same_name_inherits_nothing() {
    let app = TestApp::new().start().await;
    let before = enrolled(&app, &["alice"]).await;
    leaves(&app, "alice");
    comes(&app, "alice", 1);
    let after = enrolled(&app, &["alice"]).await;
    app.advance(DAY);
    assert_eq!(rounds(&app, 8).await, [0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(app.enrollment(&before[0]).await.is_none() && app.enrollment(&after[0]).await.is_some());
}

#[tokio::test]
async fn who_enrolls_in_the_meantime_is_missed_anew() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice"]).await;
    leaves(&app, "alice");
    app.advance(DAY);
    assert_eq!(rounds(&app, 5).await, [0; 5]);
    // One controller still knew the account.
    enrolls(&app, &keys[0], "alice").await;
    app.advance(DAY);
    assert_eq!(rounds(&app, 8).await, [0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn a_clock_that_jumps_removes_nobody_at_once() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice"]).await;
    leaves(&app, "alice");
    app.advance(DAY);
    assert_eq!(round_of_demo(&app).await.purged, 0);
    app.advance(365 * DAY);
    for _ in 0..10 {
        assert_eq!(round_of_demo(&app).await.purged, 0);
    }
    assert!(app.enrollment(&keys[0]).await.is_some());
}

#[tokio::test]
async fn a_round_that_is_broken_off_writes_nothing_and_the_count_outlasts_a_restart() {
    let app = TestApp::new().start().await;
    let keys = enrolled(&app, &["alice"]).await;
    leaves(&app, "alice");
    app.advance(DAY);
    let stopped = CancellationToken::new();
    stopped.cancel();
    let report = purge::round(&app.site().services, &stopped).await.unwrap().unwrap();
    assert_eq!((report.ended, report.domains[0].skipped), (None, Some(Skipped::Stopped)));
    assert!(!has::<Missed>(&app, &keys[0]).await);
    for day in 0..8 {
        if day % 2 == 0 {
            app.restart().await;
        } else {
            app.crash().await;
        }
        assert_eq!(round_of_demo(&app).await.purged, usize::from(day == 7));
        app.advance(DAY);
    }
}

#[tokio::test]
async fn a_domain_that_is_no_longer_served_is_left_alone_and_told() {
    let app = TestApp::new().with_one_domain().start().await;
    let lab = strangers(&app, "lab.example", 3).await;
    let longer = strangers(&app, "lab.example.org", 2).await;
    enrolled(&app, &["alice"]).await;
    for _ in 0..10 {
        app.advance(DAY);
        let report = round(&app).await;
        let told: Vec<_> = report.domains.iter().map(|it| (it.domain.as_str(), it.skipped)).collect();
        let left = Some(Skipped::NotConfigured);
        assert_eq!(told, [("demo.example", None), ("lab.example", left), ("lab.example.org", left)]);
    }
    for key in lab.iter().chain(&longer) {
        assert!(app.enrollment(key).await.is_some());
    }
}

#[tokio::test]
async fn the_panel_says_what_was_found_and_takes_the_wish_for_another_look() {
    let app = with_groups(|_| ()).start().await;
    let (mut root, ..) = first_signs_in(&app).await;
    is_at(&root.open(PATH).await, 200, "It has not been looked yet");
    enrolled(&app, &["alice", "bob", "carol", "dave", "erin"]).await;
    is_at(&sends(&mut root, PATH, &[("action", "run")]).await, 200, "It begins in a moment");
    assert!(root.open(PATH).await.html.contains("http-equiv=\"refresh\""));
    app.directories_behave(DirectoryMood::ShowsNobody);
    round(&app).await;
    // Without the directory nobody could look at the page: whoever is signed in is looked for there, too.
    app.directories_behave(DirectoryMood::Well);
    let page = root.open(PATH).await;
    is_at(&page, 200, "so many accounts at once can hardly be gone");
    assert!(page.text().contains("demo.example 5 5 0") && !page.html.contains("http-equiv=\"refresh\""));
    round(&app).await;
    let page = root.open(&format!("{PATH}?lang=de")).await;
    is_at(&page, 200, "demo.example 5 0 0 Alles wurde erledigt");
    is_at(&sends(&mut root, PATH, &[("action", "purge")]).await, 422, "");
}
