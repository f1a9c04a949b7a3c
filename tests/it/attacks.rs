//! What someone would try who wants others' messages not to arrive, too many of them, or a proof for nothing.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use regain::{
    domain::{
        clock::{Clock as _, Timestamp},
        message::{Errand, Task},
        reminder::Reminded,
    },
    flows::{outbox, remind},
    settings::{Order, Settings, SmsDelivery},
    store::{Kept, Space},
    testing::{DirectoryMood, Setup, StoreMood, TestApp, Visitor},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

async fn deliver(app: &TestApp) -> Option<Timestamp> {
    outbox::deliver(&app.site().services, &CancellationToken::new()).await.unwrap()
}

/// A record that cannot be read, in the place of one of another kind.
#[derive(Serialize, Deserialize)]
struct Damaged;

impl Kept for Damaged {
    const SPACE: Space = Space::Meta;
    type Key = Vec<u8>;
    fn key(key: &Vec<u8>) -> Vec<u8> {
        key.clone()
    }
}

async fn damage<R: Kept>(app: &TestApp, key: &R::Key) {
    app.site().services.store.batch().put(&R::key(key), &Damaged).commit().await.unwrap();
}

fn by_sms(folder: &Path, script: &str) -> Setup {
    // Run by the shell: a program that was just written can't be started while another test starts one.
    let program = folder.join("send");
    fs::write(&program, format!("out='{}'\n{script}\n", folder.display())).unwrap();
    TestApp::new().with_delivery().with_settings(|settings| {
        settings.codes.by_sms = true;
        settings.codes.order = Some(Order::CodeFirst);
        settings.codes.automatic_enrollment = true;
        settings.limits.codes_per_recipient_per_hour = 0;
        settings.limits.codes_per_recipient_per_day = 0;
        settings.limits.text_messages_per_hour = 0;
        settings.sms.delivery = SmsDelivery::Command;
        settings.sms.program = Some("/bin/sh".into());
        settings.sms.arguments = vec![program.display().to_string(), "[USERNAME]".into()];
    })
}

#[tokio::test]
async fn no_way_to_send_is_no_way_around_the_code() {
    let (app, mut alice) = TestApp::new()
        .with_delivery()
        .with_settings(|settings| {
            settings.codes.by_mail = true;
            settings.codes.without_destination = true;
        })
        .with_user("alice")
        .await;
    alice.enrolls().await;
    let page = alice.elsewhere().proves("reset").await;
    assert_eq!((page.code(), page.step().as_str()), (403, "error"), "{}", page.text());
    // Who has no address is let through all the same.
    assert!(app.directory("DEMO").demo().move_to("alice", None, None));
    assert_eq!(alice.elsewhere().proves("reset").await.step(), "password");
}

#[tokio::test]
async fn a_damaged_record_blocks_no_other_message() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    damage::<Errand>(&app, &0).await;
    alice.enrolls().await;
    damage::<Errand>(&app, &1000).await;
    assert_eq!(app.sent().await.len(), 1);
}

#[tokio::test]
async fn a_damaged_record_ends_no_round_of_reminders() {
    let (app, _alice) =
        TestApp::new().with_settings(|settings| settings.reminders.enroll = true).with_user("alice").await;
    damage::<Reminded>(&app, &app.account("alice").await.key).await;
    let report = remind::round(&app.site().services, &CancellationToken::new()).await.unwrap();
    assert!(report.to_enroll > 1, "{report:?}");
}

#[tokio::test]
async fn an_alert_is_not_lost_when_what_it_leads_to_could_not_be_kept() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    app.store_behaves(StoreMood::ReadOnly);
    deliver(&app).await;
    app.store_behaves(StoreMood::Well);
    assert_eq!(app.sent().await.len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_opened_does_not_hold_up_what_follows() {
    use regain::settings::MailDelivery;
    let folder = tempfile::tempdir().unwrap();
    let (app, mut alice) = TestApp::new()
        .with_delivery()
        .with_settings(|settings| {
            settings.mail.delivery = MailDelivery::Folder;
            settings.mail.sender = Some("no-reply@demo.example".into());
            settings.mail.folder = Some("/nowhere".into());
        })
        .with_user("alice")
        .await;
    alice.enrolls().await;
    deliver(&app).await;
    deliver(&app).await;
    let site = app.site();
    let store = &site.services.store;
    let (key, errand) = store.page::<Errand>(None, 1).await.unwrap().remove(0);
    let mut spoilt = errand.clone().into_inner();
    if let Task::Send { sealed, .. } = &mut spoilt.task {
        sealed.replace_range(..4, "AAAA");
    }
    store.batch().replace_raw(key, &errand, &spoilt).commit().await.unwrap();
    alice.elsewhere().unlocks().await;
    app.set(|settings| settings.mail.folder = Some(folder.path().to_owned()));
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        deliver(&app).await;
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the one about the unlock");
}

#[tokio::test]
async fn a_clock_that_was_fast_holds_no_message_back() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    app.advance(Duration::from_secs(24 * 60 * 60));
    alice.enrolls().await;
    app.clock().set_back(Duration::from_secs(24 * 60 * 60));
    assert_eq!(app.sent().await.len(), 1);
}

async fn begins(app: &TestApp, name: &str) -> Visitor {
    let mut visitor = app.visitor(name);
    let page = visitor.begins("reset").await;
    assert_eq!(page.step(), "code", "{}", page.text());
    visitor
}

#[tokio::test]
async fn a_number_that_never_works_does_not_hold_up_the_others_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let app = by_sms(folder.path(), "[ \"$1\" = alice ] && exit 1\ntouch \"$out/$1\"").start().await;
    // One code after the other for a number that the gateway refuses.
    let start = app.clock().now();
    while app.clock().now().since(start) < Duration::from_secs(60 * 60) {
        begins(&app, "alice").await;
        for _ in 0..5 {
            let next = deliver(&app).await;
            let wait = next.map_or(Duration::from_secs(60), |next| next.since(app.clock().now()));
            app.advance(wait.min(Duration::from_secs(60)));
        }
    }
    begins(&app, "alice").await;
    deliver(&app).await;
    begins(&app, "erin").await;
    let asked = app.clock().now();
    while !folder.path().join("erin").exists() {
        deliver(&app).await;
        app.advance(Duration::from_secs(1));
        assert!(app.clock().now().since(asked) < Duration::from_secs(31), "erin still waits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_recipient_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let app = by_sms(folder.path(), "[ \"$1\" = alice ] && sleep 4\ntouch \"$out/$1\"").start().await;
    begins(&app, "alice").await;
    begins(&app, "alice").await;
    let services = app.site().services.clone();
    let stop = CancellationToken::new();
    let jobs = tokio::spawn(regain::jobs::run(services, stop.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    begins(&app, "erin").await;
    let asked = Instant::now();
    while !folder.path().join("erin").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(asked.elapsed() < Duration::from_secs(2), "erin still waits");
    }
    stop.cancel();
    jobs.await.unwrap();
}

fn with_failures_told(change: impl FnOnce(&mut Settings)) -> Setup {
    TestApp::new().with_settings(|settings| {
        settings.alerts.reset_failed.enabled = true;
        settings.alerts.enroll_failed.enabled = true;
        settings.alerts.enroll.enabled = true;
        change(settings);
    })
}

#[tokio::test]
async fn nobody_can_fill_anothers_mailbox_with_alerts() {
    let (app, mut stranger) = with_failures_told(|_| ()).with_user("alice").await;
    stranger.fills_enroll().await;
    let wrong = [("username", "alice"), ("domain", "DEMO"), ("password", "surely not")];
    for _ in 0..60 {
        stranger.submit(&wrong).await;
    }
    let sent = app.sent().await.len();
    assert!(sent > 0 && sent <= 20, "{sent}");
}

#[tokio::test]
async fn an_expired_code_tried_again_and_again_fills_no_mailbox() {
    let (app, mut alice) = with_failures_told(|settings| {
        settings.codes.by_mail = true;
        settings.codes.minutes = 1;
        settings.codes.order = Some(Order::CodeFirst);
        settings.codes.automatic_enrollment = true;
    })
    .with_user("alice")
    .await;
    alice.begins("reset").await;
    app.advance(Duration::from_secs(61));
    for _ in 0..60 {
        alice.post(&[("code", "123456")]).await;
    }
    let sent = app.sent().await.len();
    assert!(sent <= 20, "{sent}");
}

#[tokio::test]
async fn enrolling_again_and_again_fills_no_strangers_mailbox() {
    let (app, mut alice) =
        with_failures_told(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    for _ in 0..40 {
        alice = alice.elsewhere();
        alice.enrolls().await;
    }
    let sent = app.sent().await;
    let to_stranger = sent.iter().filter(|message| message.to() == "mary@elsewhere.example").count();
    assert!(to_stranger <= 20, "{to_stranger}");
}

#[tokio::test]
async fn a_text_message_that_fails_again_and_again_costs_no_more_than_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let (app, mut alice) = by_sms(folder.path(), "echo x >> \"$out/count\"; exit 1")
        .with_settings(|settings| settings.limits.text_messages_per_hour = 2)
        .with_user("alice")
        .await;
    alice.begins("reset").await;
    for _ in 0..8 {
        deliver(&app).await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(fs::read_to_string(folder.path().join("count")).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn a_directory_that_fails_at_the_code_step_fails_for_every_name() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|settings| {
            settings.codes.by_mail = true;
            settings.codes.order = Some(Order::CodeFirst);
        })
        .with_user("alice")
        .await;
    alice.enrolls().await;
    let mut nobody = app.visitor("nobody");
    for visitor in [&mut alice, &mut nobody] {
        assert_eq!(visitor.begins("reset").await.step(), "code");
    }
    app.directories_behave(DirectoryMood::LoadsFail);
    for visitor in [&mut alice, &mut nobody] {
        assert_eq!(visitor.submit(&[("code", "000000")]).await.code(), 503);
    }
}
