//! The support code itself: what the stories rely on is so.

use super::support::{
    browser::{Browser, Looks},
    domain::{Bind, Domain},
    http::Page,
    server::Server,
};
use std::time::Duration;

fn refused(code: &str) -> Bind {
    Bind::Refused(code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_tells_a_right_password_from_a_wrong_one() {
    let domain = Domain::shared();
    let someone = domain.someone().await;
    assert_eq!(domain.bind(&someone, "not the password").await, refused("52e"));
    assert_eq!(domain.state(&someone).await.unwrap().bad_pwd_count, 1);
    assert_eq!(domain.bind(&someone, &someone.password).await, Bind::Accepted);
    assert_eq!(domain.state(&someone).await.unwrap().bad_pwd_count, 0);
    assert_eq!(domain.bind(&domain.user("alice"), "Start-Pw0rd!1").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_of_the_fixtures_is_in_the_state_it_is_named_for() {
    let domain = Domain::shared();
    let states = [
        ("disabled", "533"),
        ("expired", "532"),
        ("mustchange", "773"),
        ("acctexpired", "701"),
        ("locked", "775"),
    ];
    for (name, code) in states {
        let user = domain.user(name);
        assert_eq!(domain.bind(&user, &user.password).await, refused(code), "{name}");
    }
    // The others' passwords are changed by the stories about them.
    for name in ["protected", "otherou", "cannotchange", "svc-sspr", "svc-weak"] {
        let user = domain.user(name);
        assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_locked_aged_renamed_moved_and_made_anew() {
    let domain = Domain::shared();
    let someone = domain.someone().await;

    domain.lock_out(&someone).await;
    assert!(domain.state(&someone).await.unwrap().locked);
    domain.set(&someone, "lockoutTime", "0").await;
    assert!(!domain.state(&someone).await.unwrap().locked);

    let before = domain.state(&someone).await.unwrap().pwd_last_set;
    domain.backdate(&someone, "pwdLastSet", "now-8640000");
    assert!(domain.state(&someone).await.unwrap().pwd_last_set < before);
    assert_eq!(domain.bind(&someone, &someone.password).await, refused("532"));
    domain.set_password(&someone, "Another-Pw0rd!2").await;
    assert_eq!(domain.bind(&someone, "Another-Pw0rd!2").await, Bind::Accepted);

    let name = format!("{}, née", someone.name);
    domain.set(&someone, "mobile", "").await;
    let renamed = domain.rename(&someone, &name.replace(',', "")).await;
    let moved = domain.move_to(&renamed, "Other").await;
    let state = domain.state(&someone).await.unwrap();
    assert_eq!(state.dn, moved.dn);
    assert_eq!(state.attributes["sAMAccountName"][0], moved.name);
    assert!(!state.attributes.contains_key("mobile"));
    assert_eq!(domain.bind(&moved, "Another-Pw0rd!2").await, Bind::Accepted);

    domain.delete(&moved).await;
    assert!(domain.state(&someone).await.is_none());
    let anew = domain.create(&someone.name).await;
    assert_ne!(anew.guid, someone.guid);
    domain.join(&anew, "SSPR-Users").await;
    assert_eq!(domain.bind(&anew, &anew.password).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_controller_is_the_same_domain_and_can_fall_silent_stop_and_come_back() {
    let (first, second) = (Domain::shared(), Domain::start());
    let alice = second.user("alice");
    assert_ne!(second.address, first.address);
    assert_eq!(second.state(&alice).await.unwrap().dn, first.state(&alice).await.unwrap().dn);

    second.freeze();
    let asked = tokio::time::timeout(Duration::from_millis(300), second.bind(&alice, &alice.password)).await;
    assert!(asked.is_err(), "a frozen controller answers nothing");
    second.thaw();
    assert_eq!(second.bind(&alice, &alice.password).await, Bind::Accepted);

    second.stop();
    assert!(tokio::net::TcpStream::connect((second.address, 636)).await.is_err());
    second.resume();
    assert_eq!(second.bind(&alice, &alice.password).await, Bind::Accepted);
    assert!(second.log().contains("alice"));
}

const CARD: &str = "data:text/html;charset=utf-8,<title>Card</title><meta name=color-scheme content='light dark'>\
     <body style='margin:0;height:1500px'><p id=greeting>Grüße</p><form><input name=who value=old></form>\
     <script>document.getElementById('greeting').textContent = \
     innerWidth + (matchMedia('(prefers-color-scheme: dark)').matches ? ' dark ' : ' light ') + navigator.languages[0]</script>";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_a_page_in_any_size_and_colour() {
    let browser = Browser::open().await;
    browser.goto(CARD).await.unwrap();
    assert_eq!(browser.says("#greeting").await, "1280 light en");
    browser.fill("who", "new").await;

    browser.resize((320, 640)).await;
    browser.prefer_dark(true).await;
    browser.goto(CARD).await.unwrap();
    assert_eq!(browser.says("#greeting").await, "320 dark en");
    let picture = browser.picture("support-card").await;
    let png = std::fs::read(picture).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (320, 1500), "the whole page is in the picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_can_be_without_scripts_dark_and_in_another_language() {
    let german = Browser::with(Looks { dark: true, languages: "de", ..Looks::default() }).await;
    german.goto(CARD).await.unwrap();
    assert_eq!(german.says("#greeting").await, "1280 dark de");
    let plain = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    plain.goto(CARD).await.unwrap();
    assert_eq!(plain.says("#greeting").await, "Grüße");
}

#[test]
fn a_page_is_read_as_the_contract_says() {
    let html = "<main data-flow=\"reset\" data-step=\"question\"><div role=\"alert\"><div></div>Tom &amp; <b>Jerry</b>&#39;s</div>no\
         <form><input type=\"hidden\" name=\"csrf\" value=\"a&#x2f;b==\"><label for=\"answer\">Pet?</label></form></main>";
    let (one, two) = html.split_at(40);
    let answer = format!(
        "HTTP/1.1 422 Unprocessable\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n\
         {:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let page = Page::parse("/reset", answer.as_bytes());
    assert_eq!((page.status, page.step().as_str()), (422, "reset/question"));
    assert_eq!(page.csrf(), "a/b==");
    assert_eq!(page.says("role=\"alert\"").as_deref(), Some("Tom & Jerry's"));
    assert_eq!(page.says("for=\"answer\"").as_deref(), Some("Pet?"));
    assert_eq!(page.header("set-cookie"), Some("a=b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_can_be_visited_killed_started_again_and_stopped() {
    let mut server = Server::start().await;
    let mut visitor = server.visitor();
    let page = visitor.get("/reset").await;
    assert_eq!((page.status, page.step().as_str()), (200, "reset/identify"));
    assert!(!visitor.submit(&page, &[("username", "")]).await.says("role=\"alert\"").unwrap().is_empty());

    let certificate = visitor.certificate().await;
    server.restart().await;
    assert_eq!(visitor.certificate().await, certificate, "the data folder is the same");

    let browser = Browser::open().await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.reaches("reset/identify").await;
    assert!(server.terminate().await.success());
    assert!(!server.log().is_empty());
}
