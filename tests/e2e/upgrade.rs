//! A data folder of the program of the commit before (tests/previous), served by this one.

use super::support::{
    domain::Domain,
    server::{QUICK, Server, finish},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_before_kept_is_all_there() {
    let before = std::env::var_os("REGAIN_TEST_PREVIOUS").expect("tests/previous builds it");
    let domain = Domain::shared();
    let mut server = Server::prepared(&[domain], QUICK);
    server.serves_by(before);
    server.restart().await;
    let (enrolled, locked, left_open) =
        (domain.someone().await, domain.someone().await, domain.someone().await);
    for user in [&enrolled, &locked, &left_open] {
        server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    }
    let mut stranger = server.visitor();
    let mut page = stranger.begins("reset", &locked.name, "CORP").await;
    for guess in 0..5 {
        page = stranger.goes_on(&page, &[("answer", &format!("guess {guess}"))]).await;
    }
    page.is_at(403, "reset/error");
    // Somebody is in the middle of it when the program is exchanged.
    let mut visitor = server.visitor();
    let page = visitor.proves(&left_open.name, "CORP").await;
    assert!(server.terminate().await.success());

    server.serves_by(env!("CARGO_BIN_EXE_regain"));
    server.restart().await;
    visitor.chooses(&page, "A-Fresh-0ne!").await.is_finished("reset");
    server.visitor().resets(&enrolled.name, "CORP", "An0ther-Fresh-0ne!").await.is_finished("reset");
    server.visitor().begins("reset", &locked.name, "CORP").await.is_at(403, "reset/error");
    server.terminate().await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["audit", "verify", "--config"]).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success() && text.contains("as they were written"), "{text}");
}
