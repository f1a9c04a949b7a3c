//! Backups of the running program, put back.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    console::tells,
    panel::{link_in, sets_up},
    support::{
        browser::Browser,
        domain::Domain,
        server::{QUICK, Server, finish},
    },
};

/// Runs such a command of this server; whether all was well, and what it said.
async fn runs(server: &Server, name: &str, more: &[&str]) -> (bool, String) {
    let mut command = server.command(name);
    command.args(more);
    let (status, text) = finish(command).await;
    (status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_running_program_is_put_back_and_nothing_else_is() {
    let domain = Domain::shared();
    let mut server = Server::with(&[domain], QUICK).await;
    let (before, later) = (domain.someone().await, domain.someone().await);
    let mut visitor = server.visitor();
    visitor.enrolls(&before.name, "CORP", &before.password).await.is_finished("enroll");
    let backup = server.file("one.regain");
    let file = backup.to_str().unwrap();
    let (done, text) = {
        let mut other = server.visitor();
        // Somebody enrolls meanwhile, and is in it or not.
        let meanwhile = other.enrolls(&later.name, "CORP", &later.password);
        let more = [file];
        let (made, page) = tokio::join!(runs(&server, "backup", &more), meanwhile);
        page.is_finished("enroll");
        made
    };
    assert!(done && text.contains("Keep ") && text.contains("secret.key apart"), "{text}");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let (done, text) = runs(&server, "restore", &[file, "--yes"]).await;
    assert!(!done && text.contains("in use by another process"), "{text}");
    server.kill();

    let whole = fs::read(&backup).unwrap();
    let spoilt = server.file("spoilt.regain");
    let spoilt_name = spoilt.to_str().unwrap();
    let middle = whole.len() / 2;
    let flipped = [&whole[..middle], &[whole[middle] ^ 1], &whole[middle + 1..]].concat();
    for (bytes, told) in [
        (whole[..whole.len() - 1].to_vec(), "damaged"),
        (flipped, "damaged"),
        (b"something else".to_vec(), "no backup of Regain"),
        ([b"regain backup 2", &whole[15..]].concat(), "newer"),
    ] {
        fs::write(&spoilt, bytes).unwrap();
        let (done, text) = runs(&server, "restore", &[spoilt_name, "--yes"]).await;
        assert!(!done && text.contains(told), "{told}: {text}");
    }
    let secret = fs::read(server.file("secret.key")).unwrap();
    fs::write(server.file("secret.key"), format!("{}\n", "ab".repeat(32))).unwrap();
    let (done, text) = runs(&server, "restore", &[file, "--yes", "--discard-present"]).await;
    assert!(!done && text.contains("another secret file"), "{text}");
    fs::write(server.file("secret.key"), secret).unwrap();

    let (done, text) = runs(&server, "restore", &[file]).await;
    assert!(!done && text.contains("there is now") && text.contains("nothing was changed"), "{text}");
    let (done, text) = runs(&server, "restore", &[file, "--yes"]).await;
    assert!(done && text.contains("is kept in"), "{text}");
    let verify = ["verify", "--config"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regain"));
    command.arg("audit").args(verify).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success() && text.contains("as they were written"), "{text}");
    server.restart().await;
    assert!(!server.log().contains("events were taken out"), "{}", server.log());
    server.visitor().resets(&before.name, "CORP", "A-Fresh-0ne!").await.is_finished("reset");
    server.terminate().await;
    assert!(!server.file("data").join("control.sock").exists());

    // With nobody serving the command opens the store itself; and it comes up on new hardware.
    let (done, text) = runs(&server, "backup", &[file]).await;
    assert!(done, "{text}");
    fs::remove_dir_all(server.file("data")).unwrap();
    let (done, text) = runs(&server, "restore", &[file, "--yes"]).await;
    assert!(done && text.contains("there is now  : nothing"), "{text}");
    server.restart().await;
    server.visitor().resets(&before.name, "CORP", "An0ther-Fresh-0ne!").await.is_finished("reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_made_each_day_where_the_panel_says_and_can_be_put_back() {
    let domain = Domain::shared();
    let mut server = Server::prepared(&[domain], QUICK);
    let share = server.file("share");
    let config = server.file("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let writable = format!("\n[confinement]\nwritable = ['{}']\n", config.parent().unwrap().display());
    fs::write(&config, text + &writable).unwrap();
    server.restart().await;
    assert!(server.log().contains("confined to what it needs files=\"fully\""), "{}", server.log());
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.goto(&server.url("/admin/backup")).await.unwrap();
    assert!(browser.says(".lead").await.contains("No backups are made by themselves"));
    browser.follow(".lead a").await;
    browser.photograph("admin-backup-settings").await;
    browser.fill("backup.folder", "backups").await;
    browser.follow(".panel-page .button").await;
    assert!(browser.says("[role=alert]").await.contains("begins with /"));
    browser.fill("backup.folder", "/var/tmp").await;
    browser.follow(".panel-page .button").await;
    browser.goto(&server.url("/admin/backup")).await.unwrap();
    let told = browser.says("[role=alert]").await;
    assert!(told.contains("Permission denied") && told.contains("confinement.writable"), "{told}");
    browser.goto(&server.url("/admin/settings/backup")).await.unwrap();
    browser.fill("backup.folder", share.to_str().unwrap()).await;
    browser.follow(".panel-page .button").await;
    browser.goto(&server.url("/admin/backup")).await.unwrap();
    assert!(browser.says("[role=alert]").await.contains("No such file"));
    browser.photograph("admin-backup-wrong").await;
    fs::create_dir(&share).unwrap();
    browser.goto(&server.url("/admin/backup")).await.unwrap();
    browser.follow("button[value=run]").await;
    tells(&browser, ".panel-page", "The last backup").await;
    browser.photograph("admin-backup").await;

    let files: Vec<_> = fs::read_dir(&share).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    server.kill();
    fs::remove_dir_all(server.file("data")).unwrap();
    let (done, text) = runs(&server, "restore", &[file.to_str().unwrap(), "--yes"]).await;
    assert!(done, "{text}");
    server.restart().await;
    server.visitor().resets(&user.name, "CORP", "A-Fresh-0ne!").await.is_finished("reset");
}
