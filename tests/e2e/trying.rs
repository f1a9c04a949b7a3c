//! Trying it: the demo, which needs nothing, and the example configuration.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{
    browser::Browser,
    domain::{DNS, Domain, PASSWORD},
    http::Visitor,
    person::one_time_code,
    server::{Server, finish},
};

/// A running `regain demo`, stopped when dropped.
struct Demo {
    process: Child,
    greeting: String,
    port: u16,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_regain"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (mut greeting, mut port) = (String::new(), None);
        while !greeting.contains("eve") && port.is_none() || !greeting.contains("dave") {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the demo ended: {greeting}");
            if let Some((_, rest)) = line.split_once("https://localhost:") {
                port = rest.split('/').next().and_then(|text| text.parse().ok());
            }
            greeting += &line;
        }
        // The rest is read as well, so that the demo never waits for it.
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(drop));
        Self { process, greeting, port: port.expect("it says where to point the browser") }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_needs_nothing_and_says_where_to_go() {
    let mut demo = Demo::start();
    assert!(demo.greeting.contains("DEMO") && demo.greeting.contains("Correct-Horse-1"), "{}", demo.greeting);
    let mut visitor = Visitor::new(demo.port);
    let menu = visitor.get("/").await;
    menu.is_at(200, "menu/menu");
    assert!(menu.text().contains("This is a demonstration"));
    visitor.enrolls("alice", "DEMO", "Correct-Horse-1").await.is_finished("enroll");
    visitor.resets("alice", "DEMO", "Battery-Staple-2").await.is_finished("reset");
    visitor.changes("alice", "DEMO", "Battery-Staple-2", "Stapled-Horse-3").await.is_finished("change");
    // Carol must change her password, Bob is locked out, Dave is disabled.
    visitor.changes("carol", "DEMO", "Correct-Horse-1", "Battery-Staple-2").await.is_finished("change");
    visitor.enrolls("carol", "DEMO", "Battery-Staple-2").await.is_finished("enroll");
    visitor.enrolls("bob", "DEMO", "Correct-Horse-1").await.refuses("enroll/identify", "unlock it first");
    visitor.enrolls("dave", "DEMO", "Correct-Horse-1").await.is_at(403, "enroll/error");
    // The sample administrator signs in with what was printed.
    let key = demo.greeting.split("with the key").nth(1).unwrap().lines().next().unwrap().replace(' ', "");
    let browser = Browser::open().await;
    browser.goto(&format!("https://localhost:{}/admin", demo.port)).await.unwrap();
    browser.fill("username", "admin").await;
    browser.fill("password", "Correct-Horse-1").await;
    browser.follow(".button").await;
    browser.fill("code", &one_time_code(&key, 0)).await;
    browser.follow(".button").await;
    assert_eq!(browser.says("h1").await, "Overview");
    // Every link on the menu leads somewhere.
    for link in menu.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let link = link.replace("&#x2f;", "/").replace("&amp;", "&");
        if link.starts_with('/') {
            assert_eq!(visitor.get(&link).await.status, 200, "{link}");
        }
    }
    let pid = Pid::from_child(&demo.process);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(demo.process.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_configuration_serves_once_its_blanks_are_filled_in() {
    let domain = Domain::shared();
    // A folder of its own, gone at the end.
    let server = Server::prepared(&[domain], "");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command
        .args(["check", "--config", example])
        .env_clear()
        .env("REGAIN_DATA", server.file("data"))
        .env("REGAIN_SETTINGS__DOMAIN__0__SERVICE_ACCOUNT", format!("svc-sspr@{DNS}"))
        .env("REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASSWORD", PASSWORD)
        .env("REGAIN_SETTINGS__DOMAIN__0__CONTROLLERS__0", domain.address.to_string())
        .env("REGAIN_SETTINGS__DOMAIN__0__CA_FILE", domain.ca())
        .env("REGAIN_SETTINGS__DOMAIN__0__SEARCH_BASE", "OU=People,DC=corp,DC=example");
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    assert!(text.contains("https://reset.corp.example"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_explains_itself() {
    for arguments in
        [&["--help"][..], &["serve", "--help"], &["demo", "--help"], &["check", "--help"], &["--version"]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
        let (status, text) = finish({
            command.args(arguments).env_clear();
            command
        })
        .await;
        assert!(status.success() && !text.trim().is_empty(), "{arguments:?}: {text}");
    }
}
