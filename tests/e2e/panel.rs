//! The admin panel in a real browser: from the link on the console to a setting that holds.

use std::{fs, process::Command, time::Duration};

use tokio::time::{Instant, sleep};

use super::support::{
    browser::{Browser, Looks},
    domain::Domain,
    person::one_time_code,
    server::{QUICK, Server, finish},
};

const PASSWORD: &str = "A-Long-Enough-Passphrase";

/// The path of the last link that leads to a first account.
fn link_in(text: &str) -> Option<String> {
    path_in(text, "/admin/setup/")
}

/// The last path in a text that begins like that.
fn path_in(text: &str, start: &str) -> Option<String> {
    let at = text.rfind(start)?;
    text[at..].split_whitespace().next().map(str::to_owned)
}

/// Waits until the program has taken up what the console left under that name.
async fn takes_up(server: &Server, name: &str) {
    let began = Instant::now();
    while server.file(&format!("data/{name}")).exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    // It is moved away first.
    sleep(Duration::from_millis(500)).await;
}

/// The path of an invitation that the console makes for an account.
async fn invites(server: &Server, name: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["admin", "invite", "--for", name, "--config"]).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    let link = path_in(&text, "/admin/invite/").expect("a link");
    takes_up(server, "invitation").await;
    assert!(!server.log().contains(&link));
    link
}

/// Waits for the heading of a page.
async fn is_titled(browser: &Browser, title: &str) {
    let heading = browser.says("h1").await;
    assert!(heading.contains(title), "{heading}: {}", browser.says("main").await);
}

/// Makes the first account by a link; the key of its app.
async fn sets_up(browser: &Browser, server: &Server, link: &str) -> String {
    browser.goto(&server.url(link)).await.unwrap();
    is_titled(browser, "Make the first account").await;
    browser.photograph("admin-setup").await;
    browser.fill("new_password", PASSWORD).await;
    browser.fill("confirm_password", PASSWORD).await;
    browser.follow(".button").await;
    shows_a_code(browser, "admin-app").await
}

/// Sets an app up, as the page asks.
async fn shows_a_code(browser: &Browser, name: &str) -> String {
    is_titled(browser, "Set up an authenticator app").await;
    browser.photograph(name).await;
    let key = browser.says(".typed code").await.replace(' ', "");
    browser.fill("code", &one_time_code(&key, 0)).await;
    browser.follow(".button").await;
    is_titled(browser, "Overview").await;
    key
}

async fn signs_in(browser: &Browser, server: &Server, (name, password): (&str, &str), domain: &str) {
    browser.goto(&server.url("/admin")).await.unwrap();
    types_password(browser, (name, password), domain).await;
}

/// Fills the form for signing in, and sends it.
async fn types_password(browser: &Browser, (name, password): (&str, &str), domain: &str) {
    is_titled(browser, "Sign in to the admin panel").await;
    browser.photograph("admin-sign-in").await;
    browser.fill("username", name).await;
    browser.click(&format!("[name=domain] option[value='{domain}']")).await;
    browser.fill("password", password).await;
    browser.follow(".button").await;
}

async fn saves(browser: &Browser) {
    browser.follow(".panel-page .button").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_link_on_the_console_to_settings_that_hold_and_outlast_a_restart() {
    let domain = Domain::shared();
    let mut server = Server::with(&[domain], QUICK).await;
    let link = link_in(&server.log()).expect("a link on the console");
    let browser = Browser::open().await;
    let key = sets_up(&browser, &server, &link).await;
    browser.photograph("admin-overview").await;
    browser.goto(&server.url("/admin/settings/general")).await.unwrap();
    browser.photograph("admin-general").await;
    browser.fill("general.product_name", "Acme Passwords").await;
    browser.click("[name='general.show_change']").await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    let menu = server.visitor().get("/").await;
    assert!(menu.text().contains("Acme Passwords") && !menu.text().contains("Change password"));

    // What is wrong is said where it is, and what was typed is still there.
    browser.goto(&server.url("/admin/settings/security")).await.unwrap();
    browser.fill("security.idle_timeout_seconds", "5000").await;
    saves(&browser).await;
    assert!(browser.says("[role=alert]").await.contains("not between 0 and 1800"));
    browser.photograph("admin-wrong").await;
    for tab in ["mail", "sms", "enroll", "permissions", "alerts", "admin"] {
        browser.goto(&server.url(&format!("/admin/settings/{tab}"))).await.unwrap();
        browser.photograph(&format!("admin-tab-{tab}")).await;
    }
    // Who is in a group of the directory, through another group or not, may sign in, too.
    let group = domain.group("SSPR-Users").sid;
    browser.fill("admin.administrators", &group).await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"));

    server.restart().await;
    assert_eq!(server.log().matches("/admin/setup/").count(), 1, "no link any more: somebody can sign in");
    let menu = server.visitor().get("/").await;
    assert!(menu.text().contains("Acme Passwords"));
    browser.goto(&server.url("/admin")).await.unwrap();
    is_titled(&browser, "Overview").await;
    let (member, stranger) = (domain.someone().await, domain.someone().await);
    domain.join(&member, "Inner").await;
    let other = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    signs_in(&other, &server, (&stranger.name, &stranger.password), "CORP").await;
    is_titled(&other, "Not for this account").await;
    signs_in(&other, &server, (&member.name, &member.password), "CORP").await;
    is_titled(&other, "You have no second factor yet").await;
    let link = invites(&server, &format!("CORP\\{}", member.name)).await;
    other.goto(&server.url(&link)).await.unwrap();
    types_password(&other, (&member.name, &member.password), "CORP").await;
    shows_a_code(&other, "admin-member").await;
    assert!(other.says(".panel-who").await.contains(&format!("CORP\\{}", member.name)));
    other.follow(".panel-nav button").await;

    // With the account of Regain itself, no directory is needed.
    signs_in(&other, &server, ("admin", PASSWORD), "-").await;
    is_titled(&other, "Your authenticator app").await;
    other.photograph("admin-code").await;
    other.fill("code", &one_time_code(&key, 30)).await;
    other.follow(".button").await;
    is_titled(&other, "Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_console_makes_the_panels_own_account_anew() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], QUICK).await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["admin", "reset-access", "--config"]).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    let link = link_in(&text).unwrap();
    assert!(!server.log().contains(&link));
    takes_up(&server, "reset-access").await;
    let other = Browser::open().await;
    sets_up(&other, &server, &link).await;
    browser.goto(&server.url("/admin")).await.unwrap();
    is_titled(&browser, "Sign in to the admin panel").await;

    // A file that anybody could have written is not taken.
    fs::write(server.file("data/new"), "x").unwrap();
    let forged = Command::new("chmod").arg("666").arg(server.file("data/new")).status().unwrap();
    assert!(forged.success());
    fs::rename(server.file("data/new"), server.file("data/reset-access")).unwrap();
    takes_up(&server, "reset-access").await;
    assert!(server.log().contains("others can write it"), "{}", server.log());
    other.goto(&server.url("/admin")).await.unwrap();
    is_titled(&other, "Overview").await;
}
