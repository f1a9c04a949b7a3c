//! The audit log as it lies on the disk, looked at from the console.

use std::{fs, process::Command};

use super::support::{
    domain::Domain,
    server::{QUICK, Server, finish},
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
