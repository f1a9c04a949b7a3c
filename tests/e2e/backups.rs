//! Backups of the running program, put back.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::support::{
    domain::Domain,
    server::{QUICK, Server, finish},
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
