//! Events of the audit log that are sent on: a real syslog server, and an endpoint for webhooks written from the standard
//! alone; what they get, in which order, and what is said when they don't.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use super::support::{
    certificate,
    domain::Domain,
    server::{QUICK, Server},
    syslog_server::SyslogServer,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a line of the server's log, that is there so often.
async fn logs(server: &Server, words: &str, times: usize) {
    let began = Instant::now();
    while server.log().matches(words).count() < times {
        assert!(began.elapsed() < PATIENCE, "no {words}: {}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// A server that has written events before it is told to send them on, as these settings say.
async fn sending(settings: &str) -> Server {
    let mut server = Server::with(&[Domain::shared()], QUICK).await;
    fails(&server, "before").await;
    configures(&mut server, settings).await;
    logs(&server, "are sent on from now on", 1).await;
    server
}

async fn configures(server: &mut Server, settings: &str) {
    let file = server.file("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.split("[settings.audit]").next().unwrap().to_owned();
    fs::write(&file, format!("{text}[settings.audit]\n{settings}")).unwrap();
    server.terminate().await;
    server.restart().await;
}

/// Somebody of that name, who does not exist, can't enroll: one event.
async fn fails(server: &Server, name: &str) {
    server.visitor().enrolls(name, "CORP", "no-Password-1").await;
}

/// The value of a parameter of structured data.
fn parameter(message: &Value, name: &str) -> Option<String> {
    let data = message["data"].as_str().unwrap();
    let (_, rest) = data.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next().unwrap().to_owned())
}

fn is_about(name: &'static str) -> impl Fn(&Value) -> bool {
    move |message| parameter(message, "user").as_deref() == Some(name)
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| parameter(message, "number").unwrap().parse().unwrap()).collect()
}

/// That none is left out; some may be there twice.
#[track_caller]
fn are_all_there(numbers: &[u64]) {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let expected: Vec<_> = (sorted[0]..).take(sorted.len()).collect();
    assert_eq!(sorted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syslog_server_reads_every_part_of_an_event_by_udp_tcp_and_tls() {
    let syslog = SyslogServer::called("localhost");
    for (way, settings) in [
        ("udp", format!("syslog_server = 'localhost:{}'\nsyslog_transport = 'udp'\n", syslog.udp)),
        ("tcp", format!("syslog_server = '127.0.0.1:{}'\nsyslog_transport = 'tcp'\n", syslog.tcp)),
        (
            "tls",
            format!(
                "syslog_server = 'localhost:{}'\nsyslog_ca_file = '{}'\nsyslog_facility = 10\n",
                syslog.tls,
                syslog.ca().display()
            ),
        ),
    ] {
        let server = sending(&settings).await;
        for name in ["first", "second", "third \"quoted\\] müller"] {
            fails(&server, name).await;
        }
        let is_last = |message: &Value| message["data"].as_str().unwrap().contains("third");
        let got = syslog.gets(way, is_last).await;
        assert_eq!(got.len(), 3, "nothing of before, and each once: {got:?}");
        assert_eq!(numbers(&got), (numbers(&got)[0]..).take(3).collect::<Vec<_>>());
        let first = &got[0];
        let facility = if way == "tls" { 10 } else { 13 };
        assert_eq!(first["pri"], (facility * 8 + 4).to_string());
        for (part, value) in
            [("version", "1"), ("host", "localhost"), ("app", "regain"), ("process", "-"), ("id", "enroll")]
        {
            assert_eq!(first[part], value, "{part}");
        }
        let at = first["at"].as_str().unwrap();
        assert!(at.starts_with("20") && at.ends_with('Z') && at.contains('.'), "{at}");
        for (name, value) in [
            ("outcome", "failure"),
            ("event", "enroll"),
            ("source", "web"),
            ("user", "first"),
            ("domain", "corp.example"),
            ("source_ip", "127.0.0.1"),
        ] {
            assert_eq!(parameter(first, name).as_deref(), Some(value), "{name} in {first}");
        }
        let text = first["text"].as_str().unwrap();
        assert_eq!(text.trim_start_matches('\u{feff}').trim(), "enroll of corp.example\\first: failure");
        let third = got[2]["data"].as_str().unwrap();
        assert!(third.contains(r#"user="third \"quoted\\\] müller""#), "{third}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_missing_after_the_syslog_server_was_away_and_regain_restarted() {
    let mut syslog = SyslogServer::called("localhost");
    for (way, settings) in [
        ("tcp", format!("syslog_server = 'localhost:{}'\nsyslog_transport = 'tcp'\n", syslog.tcp)),
        (
            "tls",
            format!(
                "syslog_server = 'localhost:{}'\nsyslog_ca_file = '{}'\n",
                syslog.tls,
                syslog.ca().display()
            ),
        ),
    ] {
        let mut server = sending(&settings).await;
        fails(&server, "one").await;
        syslog.gets(way, is_about("one")).await;
        syslog.stop();
        fails(&server, "two").await;
        logs(&server, "can't be sent on; it is tried again", 1).await;
        fails(&server, "three").await;
        server.terminate().await;
        server.restart().await;
        fails(&server, "four").await;
        logs(&server, "can't be sent on; it is tried again", 2).await;
        syslog.start();
        syslog.gets(way, is_about("four")).await;
        logs(&server, "are sent on again", 1).await;
        fails(&server, "five").await;
        let got = syslog.gets(way, is_about("five")).await;
        are_all_there(&numbers(&got));
        assert!(numbers(&got).is_sorted(), "in their order: {:?}", numbers(&got));
        for name in ["one", "two", "three", "four", "five"] {
            assert!(got.iter().any(is_about(name)), "{name}");
        }
        assert!(got.iter().any(|message| message["id"] == "start"), "the restart in between");
        assert!(!got.iter().any(is_about("before")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syslog_server_that_cannot_show_who_it_is_gets_nothing() {
    let [right, other] = ["localhost", "other.example"].map(SyslogServer::called);
    let server_at = |port: u16, ca: PathBuf| {
        format!("syslog_server = 'localhost:{port}'\nsyslog_ca_file = '{}'\n", ca.display())
    };
    for (settings, why) in [
        (server_at(right.tls, other.ca()), "invalid peer certificate: BadSignature"),
        (server_at(other.tls, other.ca()), "not valid for name"),
        (server_at(right.tls, "/nowhere/ca.pem".into()), "/nowhere/ca.pem"),
    ] {
        let server = sending(&settings).await;
        fails(&server, "secret").await;
        logs(&server, "can't be sent on", 1).await;
        let log = server.log();
        let line = log.lines().find(|line| line.contains("can't be sent on")).unwrap();
        assert!(line.contains("ERROR") && line.contains("syslog") && line.contains(why), "{line}");
    }
    assert!(right.got("tls").is_empty() && other.got("tls").is_empty());
}

/// An endpoint for webhooks, `tests/forward/receiver.py`, with a folder of its own.
struct Receiver {
    folder: TempDir,
    process: Child,
    port: u16,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Receiver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate::issue(folder.path(), &["localhost"]);
        let mut process = Command::new("/usr/bin/python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward/receiver.py"))
            .arg(folder.path())
            .arg(SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { folder, process, port: line.trim().parse().unwrap() }
    }

    fn answers(&self, words: &str) {
        // In one step: it is read while this is written.
        fs::write(self.folder.path().join("next"), words).unwrap();
        fs::rename(self.folder.path().join("next"), self.folder.path().join("answer")).unwrap();
    }

    fn got(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("got")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until so many requests were answered with that status.
    async fn gets(&self, status: u16, times: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let got = self.got();
            if got.iter().filter(|one| one["status"] == status).count() >= times {
                return got;
            }
            assert!(began.elapsed() < PATIENCE, "{got:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn settings(&self, secret: &str) -> String {
        let ca = self.folder.path().join("ca.pem");
        format!(
            "webhook_url = 'https://localhost:{}/events?of=regain'\nwebhook_ca_file = '{}'\n\
             webhook_secret = '{secret}'\n",
            self.port,
            ca.display()
        )
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The events of a request.
fn events(got: &Value) -> &Vec<Value> {
    got["body"]["data"]["events"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_tried_again_as_it_was() {
    let receiver = Receiver::start();
    receiver.answers("500");
    let server = sending(&receiver.settings(SECRET)).await;
    fails(&server, "first").await;
    receiver.gets(500, 1).await;
    // What comes meanwhile waits for the next request.
    fails(&server, "second").await;
    let got = receiver.gets(500, 2).await;
    receiver.answers("301 /elsewhere");
    receiver.gets(301, 1).await;
    receiver.answers("204");
    let all = receiver.gets(204, 2).await;
    assert!(all.iter().all(|one| one["genuine"] == true), "{all:?}");
    assert!(all.iter().all(|one| one["path"] == "/events?of=regain"), "no redirect is followed: {all:?}");
    let [again @ .., last] = &all[..] else { panic!("{all:?}") };
    assert!(again.len() >= 4 && got.len() >= 2);
    for one in again {
        assert_eq!((&one["id"], events(one)), (&again[0]["id"], events(&again[0])));
    }
    assert_ne!(last["id"], again[0]["id"]);
    assert_eq!((events(&again[0]).len(), events(last).len()), (1, 1));
    let event = &events(&again[0])[0];
    for (name, value) in [
        ("outcome", "failure"),
        ("event", "enroll"),
        ("source", "web"),
        ("user", "first"),
        ("domain", "corp.example"),
        ("source_ip", "127.0.0.1"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert!(event["account"].is_null() && event["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(events(last)[0]["user"], "second");
    assert_eq!(event["number"].as_u64().unwrap() + 1, events(last)[0]["number"].as_u64().unwrap());
    assert_eq!((&last["type"], &last["body"]["type"]), (&"application/json".into(), &"audit.events".into()));
    assert_eq!(last["host"], format!("localhost:{}", receiver.port));
    let log = server.log();
    assert!(log.contains("it answered 500") && log.contains("are sent on again"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains("MfKQ9r8G"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_under_another_secret_or_certificate_is_seen_for_what_it_is() {
    let receiver = Receiver::start();
    let server = sending(&receiver.settings("whsec_c29tZXRoaW5nIGVsc2UgYWx0b2dldGhlcg==")).await;
    fails(&server, "first").await;
    let got = receiver.gets(204, 1).await;
    assert_eq!(got[0]["genuine"], false);
    let other = Receiver::start();
    let port =
        |settings: String| settings.replace(&format!(":{}/", other.port), &format!(":{}/", receiver.port));
    let server = sending(&port(other.settings(SECRET))).await;
    fails(&server, "second").await;
    logs(&server, "can't be sent on", 1).await;
    assert!(server.log().contains("invalid peer certificate"), "{}", server.log());
    assert_eq!((receiver.got().len(), other.got().len()), (1, 0));
}
