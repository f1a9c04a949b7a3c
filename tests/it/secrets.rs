//! What people type into a box for secrets is nowhere to be found afterwards.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use poem::http::Method;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use regain::{
    directory::demo::SAMPLE_PASSWORD,
    settings::Characters,
    testing::{DirectoryMood, Page, StoreMood, TestApp, Visitor},
};

use crate::admin::{COOKIE, LOCAL, invitation, saves, sends, sets_up, signs_in};

const MAIL: &str = "Sturmtaucher-25";
const TRANSFER: &str = "/admin/transfer";
const PHRASE: &str = "Trottellummen am Felsen";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that is logged in this process from now on, at the most talkative level.
fn log() -> Log {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .with(regain::telemetry::filter("trace").unwrap());
    subscriber.init();
    log
}

const OLD: &str = "Kanarienvogel-1-gelb";
const NEW: &str = "Wellensittich-2-blau";
const WRONG: &str = "Nymphensittich-3-grau";
const ANSWER: &str = "Papageientaucher no ";
const GUESS: &str = "Eissturmvogel no ";

fn contains(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// Does all that can go right and wrong with secrets; every page that came back.
async fn lives_through_it_all(app: &TestApp, alice: &mut Visitor) -> (Vec<Page>, Vec<String>) {
    let mut pages = vec![alice.changes_password(OLD).await];
    let mut cookies: Vec<String> = alice.cookies.values().cloned().collect();
    let fields = alice.elsewhere().fills_enroll().await;
    let fields: Vec<(String, String)> = fields
        .into_iter()
        .map(|(name, value)| match name.strip_prefix("answer") {
            Some(number) => (name.clone(), format!("{ANSWER}{number}")),
            None if name == "email" => (name, "no address".into()),
            None => (name, value),
        })
        .collect();
    *alice = alice.elsewhere();
    for password in [WRONG, OLD] {
        alice.open("/enroll").await;
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), if n == "password" { password } else { v.as_str() }))
            .collect();
        pages.push(alice.submit(&fields).await);
    }
    cookies.extend(alice.cookies.values().cloned());
    let rest: Vec<_> = fields[3..]
        .iter()
        .map(|(n, v)| (n.as_str(), if n == "email" { "a@b.example" } else { v.as_str() }))
        .collect();
    pages.push(alice.submit(&rest).await);
    pages.push(alice.enters_latest_code().await);
    assert_eq!(pages.last().unwrap().step(), "finished", "{}", pages.last().unwrap().text());
    for (name, question) in fields.iter().filter(|(name, _)| name.starts_with("question")) {
        let number = &name["question".len()..];
        alice.answers.insert(question.clone(), format!("{ANSWER}{number}"));
    }
    for mood in [DirectoryMood::Unavailable, DirectoryMood::WritesLost, DirectoryMood::Well] {
        let mut alice = alice.elsewhere();
        alice.begins("change").await;
        app.directories_behave(mood);
        let wrong = [("old_password", WRONG), ("new_password", NEW), ("confirm_password", NEW)];
        pages.push(alice.post(&wrong).await);
        app.directories_behave(DirectoryMood::Well);
    }
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    for number in 1..=3 {
        pages.push(alice.answers(&format!("{GUESS}{number}")).await);
        app.store_behaves(StoreMood::ReadOnly);
        pages.push(alice.post(&[("answer", &format!("{GUESS}{number}x"))]).await);
        app.store_behaves(StoreMood::Well);
        let answer = alice.right_answer();
        pages.push(alice.answers(&answer).await);
    }
    cookies.extend(alice.cookies.values().cloned());
    let token = alice.token();
    for fields in [
        [("csrf", "forged"), ("new_password", NEW), ("confirm_password", NEW)],
        [("csrf", &token), ("new_password", NEW), ("confirm_password", WRONG)],
        [("csrf", &token), ("new_password", NEW), (NEW, NEW)],
    ] {
        pages.push(alice.post_raw("/reset", &fields).await);
    }
    app.advance(Duration::from_secs(9));
    app.directories_behave(DirectoryMood::WritesUnanswered);
    pages.push(alice.post(&[("new_password", NEW), ("confirm_password", NEW)]).await);
    app.directories_behave(DirectoryMood::Well);
    pages.push(alice.open("/reset").await);
    assert_eq!(pages.last().unwrap().step(), "finished");
    cookies.push(token);
    (pages, cookies)
}

/// Does what can be done with codes; what was sent and typed.
async fn proves_with_codes(app: &TestApp, alice: &Visitor) -> Vec<String> {
    app.set(|settings| {
        settings.codes.by_sms = true;
        settings.codes.length = 12;
        settings.codes.characters = Characters::LettersAndDigits;
    });
    let mut alice = alice.elsewhere();
    assert_eq!(alice.proves("unlock").await.step(), "code");
    let guess = "K7QX3WZ9M2HP".to_owned();
    alice.enters_code(&guess).await;
    app.advance(Duration::from_secs(60));
    alice.asks_for_another_code().await;
    let mut codes: Vec<String> = app.codes().await.into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes.len(), 2);
    assert_eq!(alice.enters_code(&codes[1]).await.step(), "finished");
    codes.push(guess);
    codes
}

/// Does what can be done with secrets in the admin panel; the pages, and the tokens that came along.
async fn administers(app: &TestApp) -> (Vec<Page>, Vec<String>) {
    let mut root = app.visitor("root");
    sets_up(app, &mut root).await;
    let mut pages = vec![signs_in(&mut app.visitor("x"), "root", "-", WRONG).await];
    pages.push(signs_in(&mut app.visitor("x"), "root", "-", LOCAL).await);
    let mail = [
        ("mail.delivery", "smtp"),
        ("mail.host", "mx.invalid"),
        ("mail.sender", "regain@demo.example"),
        ("mail.user", "u"),
        ("mail.password", MAIL),
    ];
    pages.push(saves(&mut root, "mail", &mail).await);
    assert!(pages.last().unwrap().text().contains("Saved"));
    pages.push(saves(&mut root, "mail", &[("mail.password", MAIL), ("mail.port", "x")]).await);
    root.open(TRANSFER).await;
    let both = [("passphrase", PHRASE), ("confirm_passphrase", PHRASE), ("action", "export")];
    pages.push(sends(&mut root, TRANSFER, &both).await);
    let file = pages.last().unwrap().html.clone();
    assert!(file.contains("[secrets]"));
    for phrase in [PHRASE, WRONG] {
        root.open(TRANSFER).await;
        let fields = [("text", file.as_str()), ("file_passphrase", phrase), ("action", "look")];
        pages.push(sends(&mut root, TRANSFER, &fields).await);
    }
    let table = format!("user,question1,answer1\nalice,Which pet was the first?,{ANSWER}\n,\"{ANSWER}");
    root.open("/admin/import").await;
    pages.push(sends(&mut root, "/admin/import", &[("text", &table), ("action", "check")]).await);
    root.open("/admin/api").await;
    let fields = [("action", "make"), ("name", "x"), ("days", "0"), ("scope.users:read", "on")];
    let page = sends(&mut root, "/admin/api", &fields).await;
    let program = page.html[page.html.find("regain_").unwrap()..][..71].to_owned();
    app.set(|settings| settings.api.tokens = true);
    let authorization = format!("Bearer {program}");
    let headers = [("authorization", authorization.as_str())];
    let answer = app.visitor("x").call(Method::GET, "/api/v1/users", &headers, Vec::new()).await;
    assert_eq!(answer.code(), 200);
    pages.extend([page, answer]);
    let link = invitation(app, None).await;
    let token = link.rsplit('/').next().unwrap().to_owned();
    (pages, vec![token, root.cookies[COOKIE].clone(), program["regain_".len()..].to_owned()])
}

#[tokio::test]
async fn passwords_answers_codes_and_sessions_are_in_no_log_no_record_and_no_page() {
    let log = log();
    let (app, mut alice) =
        TestApp::new().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    assert_eq!(alice.password, SAMPLE_PASSWORD);
    let (pages, sessions) = lives_through_it_all(&app, &mut alice).await;
    let codes = proves_with_codes(&app, &alice).await;
    let (more, tokens) = administers(&app).await;
    let (pages, sessions) = ([pages, more].concat(), [sessions, tokens].concat());
    app.run_jobs().await;
    let events = format!("{:?}", app.events().await);
    app.restart().await;

    let mut places = Vec::new();
    files(&app.folder(), &mut places);
    assert!(places.iter().any(|(_, bytes)| contains(bytes, "a@b.example")), "the store can be searched");
    let log = log.0.lock().unwrap().clone();
    assert!(contains(&log, "refused"), "the log can be searched");
    places.push(("the log".into(), log));
    places.push(("the audit log".into(), events.into_bytes()));
    let own = places.len();
    places.extend(pages.into_iter().map(|page| (format!("a page: {}", page.text()), page.html.into_bytes())));
    for (place, bytes) in &places {
        let codes = codes.iter().map(String::as_str);
        for secret in
            [SAMPLE_PASSWORD, OLD, NEW, WRONG, LOCAL, MAIL, PHRASE, "Papageientaucher", "Eissturmvogel"]
                .into_iter()
                .chain(codes)
        {
            assert!(!contains(bytes, secret), "{secret} is in {place}");
        }
    }
    for (place, bytes) in &places[..own] {
        for session in &sessions {
            assert!(!contains(bytes, session), "a session or token is in {place}");
        }
    }
}
