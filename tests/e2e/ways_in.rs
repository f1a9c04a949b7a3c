//! Further ways of proving who one is: Chromium's own authenticator, another program's one-time codes, codes on paper.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::support::{
    browser::{Browser, Looks},
    domain::{Bind, Domain, User},
    mail_server::MailServer,
    person::{ANSWERS, one_time_code},
    server::{QUICK, Server},
};

const NEW: &str = "A-Fresh-0ne!";

const ALL_WAYS: &str =
    "[settings.methods]\nauthenticator_app = true\npasskeys = true\nrecovery_codes = true\n";

/// A browser with an authenticator of its own, as a laptop with a fingerprint reader has.
async fn browser_with_authenticator() -> (Browser, String) {
    let browser = Browser::open().await;
    browser.devtools("WebAuthn.enable", json!({})).await;
    let options = json!({ "options": {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": true,
        "hasUserVerification": true,
        "isUserVerified": true,
        "automaticPresenceSimulation": true,
    } });
    let added = browser.devtools("WebAuthn.addVirtualAuthenticator", options).await;
    let authenticator = added["authenticatorId"].as_str().unwrap().to_owned();
    (browser, authenticator)
}

async fn credentials(browser: &Browser, authenticator: &str) -> Vec<Value> {
    let id = json!({ "authenticatorId": authenticator });
    let answer = browser.devtools("WebAuthn.getCredentials", id).await;
    answer["credentials"].as_array().unwrap().clone()
}

/// Proves the password on the Enroll page, and nothing else.
async fn comes_back(browser: &Browser, server: &Server, user: &User) {
    browser.goto(&server.url("/enroll")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.fill("password", &user.password).await;
    browser.follow(".button").await;
    browser.reaches("enroll/credentials").await;
}

async fn presses(browser: &Browser, action: &str) {
    browser.follow(&format!("button[value^=\"{action}\"]")).await;
}

/// Presses the button behind which the browser asks for a passkey, and waits for the page that follows.
async fn uses_passkey(browser: &Browser) {
    let old = browser.find(Locator::Css("main")).await.unwrap();
    browser.click("#passkey-go").await;
    let began = Instant::now();
    while old.tag_name().await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", browser.says("main").await);
        sleep(Duration::from_millis(20)).await;
    }
}

async fn answers_all(browser: &Browser, flow: &str) {
    for (_, answer) in ANSWERS {
        browser.reaches(&format!("{flow}/question")).await;
        browser.fill("answer", answer).await;
        browser.follow(".button").await;
    }
}

async fn begins(browser: &Browser, server: &Server, flow: &str, user: &User) {
    browser.goto(&server.url(&format!("/?cmd={flow}&username={}&domain=CORP", user.name))).await.unwrap();
    browser.follow(".button").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_adds_a_passkey_and_resets_the_password_with_it() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], &format!("{QUICK}{ALL_WAYS}needed = 2\n")).await;
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_at(200, "enroll/credentials");
    let (browser, authenticator) = browser_with_authenticator().await;
    comes_back(&browser, &server, &user).await;
    browser.photograph("ways-too-few").await;
    presses(&browser, "add-passkey").await;
    browser.photograph("passkey-new").await;
    browser.fill("name", "Test laptop").await;
    uses_passkey(&browser).await;
    browser.reaches("enroll/credentials").await;
    assert!(browser.says("main").await.contains("Your passkey is added"), "{}", browser.says("main").await);
    assert!(browser.says("main").await.contains("Test laptop"));
    assert_eq!(credentials(&browser, &authenticator).await.len(), 1);
    // The same device is not asked twice.
    presses(&browser, "add-passkey").await;
    browser.click("#passkey-go").await;
    browser.wait().for_element(Locator::Css("#passkey-failed:not(.told-empty)")).await.unwrap();
    browser.photograph("passkey-failed").await;
    presses(&browser, "back").await;
    presses(&browser, "finish").await;
    browser.reaches("enroll/finished").await;

    begins(&browser, &server, "reset", &user).await;
    answers_all(&browser, "reset").await;
    browser.reaches("reset/code").await;
    browser.photograph("passkey").await;
    uses_passkey(&browser).await;
    browser.reaches("reset/password").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", NEW).await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);

    // A copy of the passkey that has signed less often than the original.
    let mut copy = credentials(&browser, &authenticator).await.remove(0);
    assert!(copy["signCount"].as_u64().unwrap() > 0);
    copy["signCount"] = json!(0);
    let removed = json!({ "authenticatorId": authenticator, "credentialId": copy["credentialId"] });
    browser.devtools("WebAuthn.removeCredential", removed).await;
    let added = json!({ "authenticatorId": authenticator, "credential": copy });
    browser.devtools("WebAuthn.addCredential", added).await;
    begins(&browser, &server, "unlock", &user).await;
    answers_all(&browser, "unlock").await;
    uses_passkey(&browser).await;
    browser.reaches("unlock/code").await;
    assert!(browser.says("[role=alert]").await.contains("one we know"));
    browser.photograph("passkey-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_scripts_sets_up_an_app_and_recovery_codes_and_needs_no_mail() {
    let domain = Domain::shared();
    let more = format!("{QUICK}{ALL_WAYS}questions = false\n");
    let server = Server::with(&[domain], &more).await;
    let user = domain.someone().await;
    let browser = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    comes_back(&browser, &server, &user).await;
    presses(&browser, "add-passkey").await;
    assert!(browser.says("main").await.contains("needs a browser that knows passkeys"));
    browser.photograph("passkey-without-scripts").await;
    presses(&browser, "back").await;
    presses(&browser, "add-app").await;
    let key = browser.says(".typed code").await.replace(' ', "");
    browser.photograph("app-new").await;
    browser.fill("code", "123").await;
    browser.follow(".button").await;
    assert!(browser.says("[role=alert]").await.contains("Wait for the next one"));
    browser.photograph("app-new-wrong").await;
    browser.fill("code", &one_time_code(&key, 0)).await;
    browser.follow(".button").await;
    browser.reaches("enroll/credentials").await;
    presses(&browser, "add-recovery_code").await;
    let mut on_paper = Vec::new();
    for item in browser.find_all(Locator::Css(".recovery-codes code")).await.unwrap() {
        on_paper.push(item.text().await.unwrap());
    }
    assert_eq!(on_paper.len(), 8);
    browser.photograph("recovery-codes").await;
    presses(&browser, "kept").await;
    browser.reaches("enroll/credentials").await;
    browser.photograph("ways").await;
    presses(&browser, "finish").await;
    browser.reaches("enroll/finished").await;

    begins(&browser, &server, "reset", &user).await;
    browser.reaches("reset/code").await;
    browser.photograph("passkey-first").await;
    presses(&browser, "use-app").await;
    browser.photograph("app").await;
    // The one that shows now was used for setting it up.
    browser.fill("code", &one_time_code(&key, 30)).await;
    browser.follow(".button").await;
    browser.reaches("reset/code").await;
    browser.photograph("recovery-code").await;
    browser.fill("code", "AAAAA-AAAAA-AAAAA").await;
    browser.follow(".button").await;
    assert!(browser.says("[role=alert]").await.contains("not one of those you have left"));
    browser.photograph("recovery-code-wrong").await;
    browser.fill("code", &on_paper[0].to_lowercase()).await;
    browser.follow(".button").await;
    browser.reaches("reset/password").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", NEW).await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    browser.photograph("reset-finished-recovery-code").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_an_address_of_their_own_and_gets_codes_there() {
    let domain = Domain::shared();
    let mails = MailServer::start(&["--starttls"]);
    let more = format!(
        "{QUICK}[settings.enroll]\nask_email = true\n[settings.codes]\nby_mail = true\naddresses = \"regain\"\n\
         [settings.mail]\ndelivery = \"smtp\"\nhost = \"localhost\"\nport = {}\nca_file = '{}'\n\
         sender = \"no-reply@corp.example\"\n",
        mails.port,
        mails.ca().display()
    );
    let server = Server::with(&[domain], &more).await;
    let user = domain.someone().await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/enroll")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.fill("password", &user.password).await;
    browser.fill("email", "own@mail.example").await;
    for (n, (question, answer)) in ANSWERS.iter().enumerate() {
        let select = browser.find(Locator::Css(&format!("[name=question{}]", n + 1))).await.unwrap();
        select.select_by_label(question).await.unwrap();
        browser.fill(&format!("answer{}", n + 1), answer).await;
    }
    browser.follow(".button").await;
    browser.reaches("enroll/code").await;
    assert!(browser.says("main").await.contains("own@mail.example"));
    browser.photograph("address").await;
    let code = mails.latest_code("own@mail.example", 1).await;
    let wrong = if code == "000000" { "111111" } else { "000000" };
    browser.fill("code", wrong).await;
    browser.follow(".button").await;
    browser.reaches("enroll/code").await;
    browser.fill("code", &code).await;
    browser.follow(".button").await;
    browser.reaches("enroll/finished").await;

    begins(&browser, &server, "unlock", &user).await;
    answers_all(&browser, "unlock").await;
    browser.reaches("unlock/code").await;
    browser.fill("code", &mails.latest_code("own@mail.example", 2).await).await;
    browser.follow(".button").await;
    browser.reaches("unlock/finished").await;
}
