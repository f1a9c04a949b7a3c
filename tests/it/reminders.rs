//! People are reminded: to enroll, and to change a password that is about to run out.

use std::time::Duration;

use regain::{
    domain::message::Message,
    flows::remind::{self, Report},
    settings::Settings,
    testing::{Setup, TestApp},
};
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn set_up(change: impl FnOnce(&mut Settings)) -> Setup {
    TestApp::new().with_one_domain().with_settings(change)
}

async fn round(app: &TestApp) -> Report {
    remind::round(&app.site().services, &CancellationToken::new()).await.unwrap()
}

async fn subjects_to(app: &TestApp, address: &str) -> Vec<String> {
    let sent = app.sent().await;
    let mails =
        sent.into_iter().filter(|message| message.to() == address).filter_map(|message| match message {
            Message::Mail(mail) => Some(mail.subject),
            Message::Sms(_) => None,
        });
    mails.collect()
}

#[tokio::test]
async fn who_has_not_enrolled_is_reminded_now_and_then_until_it_is_done() {
    let (app, mut alice) = set_up(|settings| {
        settings.reminders.enroll = true;
        settings.alerts.enroll.enabled = false;
    })
    .with_user("alice")
    .await;
    let first = round(&app).await;
    assert!(first.to_enroll >= 2 && first.of_expiry == 0, "{first:?}");
    assert_eq!(subjects_to(&app, "alice@demo.example").await.len(), 1);
    assert_eq!(round(&app).await, Report::default(), "nobody is looked at twice a day");
    app.advance(DAY * 13);
    round(&app).await;
    assert_eq!(subjects_to(&app, "alice@demo.example").await.len(), 1);
    app.advance(DAY);
    round(&app).await;
    assert_eq!(subjects_to(&app, "alice@demo.example").await.len(), 2);
    alice.enrolls().await;
    app.advance(DAY * 14);
    round(&app).await;
    assert_eq!(subjects_to(&app, "alice@demo.example").await.len(), 2);
}

#[tokio::test]
async fn whose_password_runs_out_is_reminded_until_it_is_changed() {
    let (app, mut alice) = set_up(|settings| {
        settings.reminders.expiry = true;
        settings.alerts.change.enabled = false;
    })
    .with_user("alice")
    .await;
    let account = app.account("alice").await;
    let lasts = account.policy.maximum_age.unwrap();
    let mut reminded_on = Vec::new();
    for day in 0..=u32::try_from(lasts.as_secs() / DAY.as_secs()).unwrap() + 1 {
        let before = subjects_to(&app, "alice@demo.example").await.len();
        round(&app).await;
        if subjects_to(&app, "alice@demo.example").await.len() > before {
            let set_at = regain::domain::clock::Timestamp::from_filetime(account.password_last_set);
            let left = (set_at + lasts).since(app.site().services.clock.now());
            reminded_on.push(left.as_secs().div_ceil(DAY.as_secs()));
        }
        if day > 0 && reminded_on.len() == 3 {
            break;
        }
        app.advance(DAY);
    }
    assert_eq!(reminded_on, [14, 11, 8]);
    alice.changes_password("Another-Horse-2").await;
    for _ in 0..10 {
        app.advance(DAY);
        round(&app).await;
    }
    assert_eq!(subjects_to(&app, "alice@demo.example").await.len(), 3);
}

#[tokio::test]
async fn a_dry_run_counts_and_sends_nothing() {
    let app = set_up(|settings| {
        settings.reminders.enroll = true;
        settings.reminders.dry_run = true;
    })
    .start()
    .await;
    assert!(round(&app).await.to_enroll >= 2);
    assert!(app.sent().await.is_empty());
}

#[tokio::test]
async fn a_batch_bounds_a_round_and_the_next_goes_on() {
    let app = set_up(|settings| {
        settings.reminders.enroll = true;
        settings.reminders.batch = 2;
    })
    .start()
    .await;
    let mut reminded = 0;
    loop {
        let report = round(&app).await;
        assert!(report.to_enroll <= 2);
        if report.to_enroll == 0 {
            break;
        }
        reminded += report.to_enroll;
    }
    assert_eq!(app.sent().await.len(), usize::try_from(reminded).unwrap());
    assert!(reminded > 4);
}

#[tokio::test]
async fn the_disabled_and_the_privileged_are_left_alone() {
    let app = set_up(|settings| settings.reminders.enroll = true).start().await;
    round(&app).await;
    let sent = app.sent().await;
    for name in ["dave", "admin", "administrator"] {
        assert!(!sent.iter().any(|message| message.to().starts_with(&format!("{name}@"))), "{name}");
    }
}
