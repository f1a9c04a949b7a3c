//! A reset in a browser as a logon screen has it: a small window, no scripts, and one way in.

use super::support::{
    browser::{Browser, Looks},
    domain::{Bind, Domain},
    person::ANSWERS,
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_reset_on_a_logon_screen() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let browser = Browser::with(Looks { scripts: false, size: (400, 480), ..Looks::default() }).await;
    let address = format!("/pwreset/apr.dll?cmd=reset&username={}&domain=CORP&client=logon", user.name);
    browser.goto(&server.url(&address)).await.unwrap();
    browser.reaches("reset/identify").await;
    browser.photograph("logon-identify").await;
    browser.follow("button.button").await;
    for _ in 0..3 {
        browser.reaches("reset/question").await;
        let asked = browser.says("label[for=answer]").await;
        let (_, answer) = ANSWERS.iter().find(|(question, _)| *question == asked).unwrap();
        browser.fill("answer", answer).await;
        browser.follow("button.button").await;
    }
    browser.reaches("reset/password").await;
    browser.photograph("logon-password").await;
    browser.fill("new_password", "A-Fresh-0ne!").await;
    browser.fill("confirm_password", "A-Fresh-0ne!").await;
    browser.follow("button.button").await;
    browser.reaches("reset/finished").await;
    assert!(browser.source().await.unwrap().contains("data-client=\"logon\""));
    assert_eq!(domain.bind(&user, "A-Fresh-0ne!").await, Bind::Accepted);
    browser.follow("main a").await;
    browser.photograph("logon-menu").await;
}
