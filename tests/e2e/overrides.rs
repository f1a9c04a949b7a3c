//! Templates and texts of the operator's: written by the command, taken up by the running program, kept through an upgrade.

use std::{fs, path::Path, process::Command, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::support::server::{QUICK, Server, finish};

/// What the command says, and whether all was well.
async fn templates(server: &Server, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    let (first, rest) = arguments.split_first().unwrap();
    command.args(["templates", first, "--config"]).arg(server.file("config.toml")).args(rest).env_clear();
    let (status, text) = finish(command).await;
    (status.success(), text)
}

async fn menu_says(server: &Server, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !server.visitor().get("/").await.text().contains(text) {
        assert!(Instant::now() < deadline, "{text} is not taken up\n{}", server.log());
        sleep(Duration::from_millis(100)).await;
    }
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{} has no {old}: {text}", file.display());
    fs::write(file, text.replacen(old, new, 1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_words_and_templates_hold_without_a_restart_and_through_upgrades() {
    let mut server = Server::prepared(&[], QUICK);
    let folder = server.file("overrides");
    fs::create_dir(&folder).unwrap();
    server
        .configure("listen_http = []\n", &format!("listen_http = []\noverrides = '{}'\n", folder.display()));
    server.restart().await;
    menu_says(&server, "Reset password").await;

    // A text.
    let (well, text) = templates(&server, &["export", "i18n/en.toml", "templates/user/menu.html"]).await;
    assert!(well && text.contains("i18n/en.toml: written"), "{text}");
    let texts = folder.join("i18n/en.toml");
    replace(&texts, "[menu.reset]\n#title = ", "[menu.reset]\ntitle = \"Forgot it?\" # ");
    menu_says(&server, "Forgot it?").await;
    let (well, text) = templates(&server, &["check"]).await;
    assert!(well && text.contains("files: 2, faults: 0"), "{text}");
    let (well, text) = templates(&server, &["export", "templates/user"]).await;
    assert!(!well && text.contains("user/menu.html: is there already and left alone"), "{text}");
    let (_, text) = templates(&server, &["list"]).await;
    assert!(text.contains("overridden  templates/user/menu.html"), "{text}");
    assert!(text.contains("embedded    templates/base.html"), "{text}");

    // A template, and a mistake in it; the signal doesn't wait for the next look.
    let menu = folder.join("templates/user/menu.html");
    replace(&menu, "{% block main %}", "{% block main %}<p>Call 4444.</p>");
    let hang_up = || {
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    };
    hang_up();
    menu_says(&server, "Call 4444.").await;
    replace(&menu, "{% block main %}", "{% block main %}{% if %}");
    hang_up();
    let deadline = Instant::now() + Duration::from_secs(15);
    while server.visitor().get("/").await.text().contains("Call 4444.") {
        assert!(Instant::now() < deadline, "{}", server.log());
        sleep(Duration::from_millis(100)).await;
    }
    menu_says(&server, "Forgot it?").await;
    let log = server.log();
    assert!(log.contains("an override can't be used") && log.contains("templates/user/menu.html"), "{log}");
    let (well, text) = templates(&server, &["check"]).await;
    assert!(!well && text.contains("overrides/templates/user/menu.html:"), "{text}");
    let (_, text) = server.check().await;
    assert!(
        text.lines().any(|line| line.starts_with("warn  overrides in") && line.contains("menu.html:")),
        "{text}"
    );
    replace(&menu, "{% if %}", "");
    hang_up();
    menu_says(&server, "Call 4444.").await;

    // As after an upgrade: the embedded ones are others than those these were made from.
    replace(
        &folder.join(".embedded/templates/user/menu.html"),
        "{% block main %}",
        "{% block main %}<p>Older.</p>",
    );
    replace(
        &folder.join(".embedded/i18n/en.toml"),
        "[menu.reset]\ntitle = \"",
        "[menu.reset]\ntitle = \"Older ",
    );
    let (_, text) = templates(&server, &["diff"]).await;
    assert!(text.contains("<p>Older.</p>"), "{text}");
    assert!(
        text.contains("i18n/en.toml: menu.reset.title") && text.contains("yours \"Forgot it?\""),
        "{text}"
    );
    let (_, text) = server.check().await;
    assert!(text.contains("regain templates diff shows how"), "{text}");
    let (_, text) = templates(&server, &["diff", "--own", "templates/user/menu.html"]).await;
    assert!(text.contains("+{% block main %}<p>Call 4444.</p>"), "{text}");
    let (well, _) = templates(&server, &["diff", "--seen"]).await;
    assert!(well);
    let (_, text) = templates(&server, &["diff"]).await;
    assert_eq!(text.trim(), "Nothing has changed.");
    let (well, text) = templates(&server, &["diff", "templates/user/mneu.html"]).await;
    assert!(!well && text.contains("there is no templates/user/mneu.html"), "{text}");

    // The folder is the operator's: nothing of it is written by the program that serves.
    server.restart().await;
    menu_says(&server, "Call 4444.").await;
    fs::remove_dir_all(&folder).unwrap();
    server.restart().await;
    menu_says(&server, "Reset password").await;
    let (well, text) = server.check().await;
    assert!(text.contains("overrides in") && text.contains("No such file"), "{well} {text}");
}
