//! The audit log as it lies on the disk, looked at from the console.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use regain::{
    app,
    config::Config,
    domain::{
        audit::{Action, Event, Outcome},
        clock::Timestamp,
    },
    store::keyring::Keyring,
};
use tokio::time::{Instant, sleep};

use super::{
    panel::sets_up,
    support::{
        browser::{Browser, Looks},
        domain::Domain,
        server::{QUICK, Server, finish},
    },
};

async fn verify(server: &Server, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["audit", "verify", "--config"]).arg(server.file("config.toml")).args(more).env_clear();
    let (status, text) = finish(command).await;
    (status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_is_noticed_on_the_console_and_at_the_next_start() {
    let mut server = Server::with(&[Domain::shared()], QUICK).await;
    let (whole, text) = verify(&server, &[]).await;
    assert!(!whole && text.contains("in use by another process"), "{text}");
    server.terminate().await;
    let (whole, text) = verify(&server, &[]).await;
    assert!(whole && text.contains("as they were written"), "{text}");
    let noted = fs::read_to_string(server.file("audit.head")).unwrap();
    assert!(text.contains(&noted), "{noted}: {text}");
    // It is as if there had been more once.
    let (number, seal) = noted.split_once(' ').unwrap();
    let later = format!("{} {seal}", number.parse::<u64>().unwrap() + 7);
    let (whole, text) = verify(&server, &["--head", &later]).await;
    assert!(!whole && text.contains("the log ends before it"), "{text}");
    let (whole, text) = verify(&server, &["--head", "17"]).await;
    assert!(!whole && text.contains("64 hexadecimal digits"), "{text}");
    fs::write(server.file("audit.head"), &later).unwrap();
    server.restart().await;
    assert!(server.log().contains("events were taken out"), "{}", server.log());
}

/// Exports events into `events.jsonl`.
async fn exports(server: &Server, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["export", "events", "--config"]).arg(server.file("config.toml"));
    command.arg("--output").arg(server.file("events.jsonl")).args(more).env_clear();
    let (status, text) = finish(command).await;
    (status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_from_the_console_into_a_file_of_its_owner_s() {
    let mut server = Server::with(&[Domain::shared()], QUICK).await;
    let file = server.file("events.jsonl");
    let (done, text) = exports(&server, &[]).await;
    assert!(!done && text.contains("in use by another process") && !file.exists(), "{text}");
    server.terminate().await;
    for (wrong, told) in [
        (["--filter", "nobody like x"], "no column \"nobody\""),
        (["--columns", "at,nothing"], "no column \"nothing\""),
        (["--format", "pdf"], "expected csv"),
    ] {
        let (done, text) = exports(&server, &wrong).await;
        assert!(!done && text.contains(told) && !file.exists(), "{text}");
    }
    // It may be another day by now.
    let some = ["--filter", "event in start and at within last_7_days", "--columns", "event,source"];
    let (done, text) = exports(&server, &some).await;
    assert!(done && text.contains("1 rows were written"), "{text}");
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), r#"{"event":"start","source":"program"}"#);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Writes so many events of that day into the log of a server that is stopped.
async fn writes(server: &Server, count: usize, days_ago: i64) {
    let config = Config::load(Some(&server.file("config.toml")), std::iter::empty()).unwrap();
    let store = app::open_store(&config).await.unwrap();
    let keys = Keyring::open(&config.secret_path(), &store).await.unwrap();
    store.keep_log(&keys.audit, false).await.unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let at = i64::try_from(now).unwrap() - days_ago * 24 * 60 * 60 * 1000;
    let event = |number: usize| Event {
        at: Timestamp::from_millis(at),
        outcome: Outcome::Success,
        source: "web".into(),
        user: format!("user{number}"),
        domain: "CORP".into(),
        action: Action::Reset,
        detail: String::new(),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    };
    for hundred in (0..count).collect::<Vec<_>>().chunks(100) {
        let batch = hundred.iter().fold(store.batch(), |batch, number| batch.event(&event(*number)));
        batch.commit().await.unwrap();
    }
}

async fn logs(server: &Server, words: &str) {
    let began = Instant::now();
    while !server.log().contains(words) {
        assert!(began.elapsed() < Duration::from_secs(60), "no {words}: {}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_whose_first_days_are_over_is_verified_on_the_console() {
    let mut server =
        Server::prepared(&[Domain::shared()], &format!("{QUICK}[settings.audit]\nkeep_days = 10\n"));
    fs::create_dir(server.file("data")).unwrap();
    writes(&server, 1500, 40).await;
    let (whole, text) = verify(&server, &[]).await;
    assert!(whole && text.contains("All 1500 events are as they were written"), "{text}");
    let before = text.lines().last().unwrap().trim().to_owned();
    writes(&server, 700, 1).await;
    server.restart().await;
    logs(&server, "events of the audit log were dropped, their time was over").await;
    server.terminate().await;
    let (whole, text) = verify(&server, &[]).await;
    assert!(whole && text.contains("before event 1501 were dropped when their days were over"), "{text}");
    let noted = fs::read_to_string(server.file("audit.head")).unwrap();
    assert!(text.contains(&noted), "{noted}: {text}");
    // What was noted of an event that was dropped since says nothing any more; a forged one is still seen.
    let (whole, text) = verify(&server, &["--head", &before]).await;
    assert!(whole, "{text}");
    let (number, seal) = noted.split_once(' ').unwrap();
    let other = format!("{} {seal}", number.parse::<u64>().unwrap() - 650);
    let (whole, text) = verify(&server, &["--head", &other]).await;
    assert!(!whole && text.contains("another one when its end was noted"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_sees_in_the_panel_that_events_are_not_sent_on_and_verifies_the_log() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!("{QUICK}[settings.audit]\nsyslog_server = '{nobody}'\nsyslog_transport = 'tcp'\n");
    let server = Server::with(&[Domain::shared()], &settings).await;
    let (well, text) = server.check().await;
    assert!(!well, "{text}");
    let line = text.lines().find(|line| line.contains("events to syslog")).unwrap();
    assert!(line.starts_with("FAIL") && line.contains("refused"), "{line}");
    let log = server.log();
    let link = log[log.rfind("/admin/setup/").unwrap()..].split_whitespace().next().unwrap();
    logs(&server, "are sent on from now on").await;
    let browser = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    sets_up(&browser, &server, link).await;
    logs(&server, "can't be sent on").await;
    browser.goto(&server.url("/admin")).await.unwrap();
    let facts = browser.says(".facts").await;
    assert!(facts.contains("Syslog") && facts.contains("refused"), "{facts}");
    browser.photograph("audit-overview").await;
    browser.goto(&server.url("/admin/settings/audit")).await.unwrap();
    browser.photograph("audit-tab").await;
    browser.goto(&server.url("/admin/about")).await.unwrap();
    browser.follow("a[href='/admin/events/verify']").await;
    browser.photograph("audit-verify-none").await;
    browser.follow("main form .actions .button").await;
    let began = Instant::now();
    while !browser.source().await.unwrap().contains("All is as it was written, up to event") {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", browser.says("main").await);
        sleep(Duration::from_millis(100)).await;
    }
    browser.photograph("audit-verify-whole").await;
}
