//! Controllers that fall silent, stop, come back, or lose their voice in the middle of a write.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use regain::{
    domain::audit::{Action, Outcome},
    store::{
        Store,
        engine::{Options, SledEngine},
    },
};

use super::support::{
    domain::{Bind, Domain, User},
    http::{Page, Visitor},
    person::ANSWERS,
    relay::Relay,
    server::{QUICK, Server},
};

const NEW: &str = "A-Fresh-0ne!";

/// Short time limits, so that the stories are short.
fn impatient() -> String {
    format!("connect_timeout_ms = 500\noperation_timeout_ms = 1000\nconnections = 1\n{QUICK}")
}

/// Waits until what a visitor does succeeds.
async fn until_served(server: &Server, name: &str) -> Duration {
    let began = Instant::now();
    loop {
        let page = server.visitor().begins("reset", name, "CORP").await;
        if page.status == 200 {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(15), "it does not come back: {}", page.heading());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[track_caller]
fn is_in_trouble(page: &Page, server: &Server) {
    assert_eq!(page.status, 503, "{}", page.heading());
    assert!(page.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(page.heading().contains("doesn’t answer"), "{}", page.heading());
    let reference = page.reference().expect("a reference number");
    assert!(server.log().contains(&reference), "the log leads from the number to the cause");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_controller_is_said_in_time_and_comes_back_by_itself() {
    let domain = Domain::start();
    let server = Server::with(&[&domain], &impatient()).await;
    let mut visitor = server.visitor();
    visitor.enrolls("alice", "CORP", "Start-Pw0rd!1").await.is_finished("enroll");
    let password = visitor.proves("alice", "CORP").await;
    domain.freeze();
    let (mut b, mut c, mut d) = (server.visitor(), server.visitor(), server.visitor());
    let began = Instant::now();
    let pages = tokio::join!(
        b.begins("reset", "bob", "CORP"),
        c.enrolls("carol", "CORP", "Start-Pw0rd!1"),
        d.changes("dave", "CORP", "Start-Pw0rd!1", NEW),
        visitor.chooses(&password, NEW),
    );
    for page in [&pages.0, &pages.1, &pages.2, &pages.3] {
        is_in_trouble(page, &server);
    }
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    // Pages that need no directory are there as ever.
    assert_eq!(server.visitor().get("/").await.status, 200);
    assert_eq!(server.visitor().get("/healthz").await.status, 200);
    domain.thaw();
    until_served(&server, "bob").await;
    // The flow stands where it was.
    let password = visitor.get("/reset").await;
    visitor.chooses(&password, NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&domain.user("alice"), NEW).await, Bind::Accepted);
    assert_eq!(domain.bind(&domain.user("dave"), "Start-Pw0rd!1").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_controller_is_said_at_once_and_another_takes_over() {
    let (first, second) = (Domain::start(), Domain::start());
    let server = Server::with(&[&first, &second], &impatient()).await;
    server.visitor().enrolls("alice", "CORP", "Start-Pw0rd!1").await.is_finished("enroll");
    first.stop();
    let began = Instant::now();
    server.visitor().resets("alice", "CORP", "By-The-Sec0nd!").await.is_finished("reset");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    let alice = first.user("alice");
    assert_eq!(second.bind(&alice, "By-The-Sec0nd!").await, Bind::Accepted);

    second.stop();
    let began = Instant::now();
    let page = server.visitor().begins("reset", "alice", "CORP").await;
    is_in_trouble(&page, &server);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    first.resume();
    until_served(&server, "alice").await;
    server.visitor().resets("alice", "CORP", "By-The-F1rst!").await.is_finished("reset");
    assert_eq!(first.bind(&alice, "By-The-F1rst!").await, Bind::Accepted);
}

/// A server behind a wire, and someone who has proved who they are.
async fn behind_a_wire() -> (Relay, Server, Visitor, User, Page) {
    let domain = Domain::shared();
    let relay = Relay::to(domain.address).await;
    let mut server = Server::prepared(&[domain], &impatient());
    server.configure(&format!("\"{}\"", domain.address), &format!("\"{}\"", relay.address));
    server.restart().await;
    let user = domain.someone().await;
    let mut visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let page = visitor.proves(&user.name, "CORP").await;
    page.is_at(200, "reset/password");
    (relay, server, visitor, user, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_unknown_and_then_found_done() {
    let domain = Domain::shared();
    let (relay, server, mut visitor, user, page) = behind_a_wire().await;
    let before = domain.state(&user).await.unwrap().pwd_last_set;
    // The account is read, the write gets through, its answer does not come back.
    relay.swallow_after(2, 1);
    let page = visitor.chooses(&page, NEW).await;
    page.is_at(503, "reset/error");
    assert!(page.heading().contains("We don’t know whether it worked"), "{}", page.heading());
    assert!(page.header("retry-after").is_some() && page.reference().is_some());
    let after = domain.state(&user).await.unwrap().pwd_last_set;
    assert_ne!(before, after, "the controller did it");
    relay.mend();
    visitor.get("/reset").await.is_finished("reset");
    assert_eq!(domain.state(&user).await.unwrap().pwd_last_set, after, "and only once");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
    assert!(!server.log().contains(NEW));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_lost_itself_stays_unknown_for_now_and_is_never_repeated() {
    let domain = Domain::shared();
    let (relay, _server, mut visitor, user, page) = behind_a_wire().await;
    relay.swallow_after(1, 1);
    let page = visitor.chooses(&page, NEW).await;
    page.is_at(503, "reset/error");
    relay.mend();
    let page = visitor.get("/reset").await;
    page.is_at(503, "reset/error");
    assert!(page.heading().contains("We don’t know whether it worked"), "{}", page.heading());
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_in_the_middle_of_a_write_finds_out_what_became_of_it() {
    let domain = Domain::shared();
    let (relay, mut server, mut visitor, user, page) = behind_a_wire().await;
    let before = domain.state(&user).await.unwrap().pwd_last_set;
    relay.swallow_after(2, 1);
    let mut sender = visitor.clone();
    let sent = tokio::spawn(async move {
        let fields =
            [("csrf", page.csrf()), ("new_password", NEW.to_owned()), ("confirm_password", NEW.to_owned())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sender.post("/reset", &fields).await
    });
    while domain.state(&user).await.unwrap().pwd_last_set == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    assert!(sent.await.is_err(), "no answer came");
    relay.mend();
    server.restart().await;
    visitor.get("/reset").await.is_finished("reset");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

/// What the audit log of a stopped server has of an action: the outcomes and where they came from, oldest first.
async fn outcomes(server: &Server, action: Action) -> Vec<(Outcome, String)> {
    let folder = server.file("data");
    let engine =
        tokio::task::spawn_blocking(move || SledEngine::open(&folder, &Options::default())).await.unwrap();
    let store = Store::open(Arc::new(engine.unwrap())).await.unwrap();
    let events = store.events_after(0, 1000).await.unwrap().into_iter().map(|numbered| numbered.event);
    let events = events.filter(|event| event.action == action);
    events.map(|event| (event.outcome, event.source)).collect()
}

/// Someone's server is killed when the controller has done what it was asked, and the answer is still on its way.
async fn is_killed_in_the_middle(
    server: &mut Server,
    mut visitor: Visitor,
    page: Page,
    fields: Vec<(&'static str, &'static str)>,
    done: impl AsyncFn() -> bool,
) {
    let sent = tokio::spawn(async move { visitor.submit(&page, &fields).await });
    while !done().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    assert!(sent.await.is_err(), "no answer came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_killed_program_left_open_is_settled_at_its_start_with_nobody_asking() {
    let domain = Domain::shared();
    let (relay, mut server, visitor, user, page) = behind_a_wire().await;
    let before = domain.state(&user).await.unwrap().pwd_last_set;
    relay.swallow_after(2, 1);
    let is_set = async || domain.state(&user).await.unwrap().pwd_last_set != before;
    let fields = vec![("new_password", NEW), ("confirm_password", NEW)];
    is_killed_in_the_middle(&mut server, visitor, page, fields, is_set).await;
    let web = |outcome| (outcome, "web".to_owned());
    assert_eq!(outcomes(&server, Action::Reset).await, [web(Outcome::Intent)]);
    // The controller can't be asked yet: that only postpones it.
    server.restart().await;
    assert!(server.terminate().await.success());
    assert_eq!(outcomes(&server, Action::Reset).await, [web(Outcome::Intent)]);
    relay.mend();
    server.restart().await;
    assert!(server.terminate().await.success());
    let settled = [web(Outcome::Intent), (Outcome::Success, "job".to_owned())];
    assert_eq!(outcomes(&server, Action::Reset).await, settled);
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlock_that_a_killed_program_left_open_is_settled_at_its_start_with_nobody_asking() {
    let domain = Domain::shared();
    let (relay, mut server, mut visitor, user, _) = behind_a_wire().await;
    domain.lock_out(&user).await;
    let mut page = visitor.begins("unlock", &user.name, "CORP").await;
    for (_, answer) in &ANSWERS[..2] {
        page = visitor.goes_on(&page, &[("answer", answer)]).await;
    }
    relay.swallow_after(2, 1);
    let is_unlocked = async || !domain.state(&user).await.unwrap().locked;
    let fields = vec![("answer", ANSWERS[2].1)];
    is_killed_in_the_middle(&mut server, visitor, page, fields, is_unlocked).await;
    relay.mend();
    server.restart().await;
    assert!(server.terminate().await.success());
    let settled = [(Outcome::Intent, "web".to_owned()), (Outcome::Success, "job".to_owned())];
    assert_eq!(outcomes(&server, Action::Unlock).await, settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_frozen_between_two_questions_costs_nobody_a_try() {
    let domain = Domain::start();
    let server = Server::with(&[&domain], &impatient()).await;
    let mut visitor = server.visitor();
    visitor.enrolls("erin", "CORP", "Start-Pw0rd!1").await.is_finished("enroll");
    let mut page = visitor.begins("unlock", "erin", "CORP").await;
    for (_, answer) in &ANSWERS[..2] {
        page = visitor.goes_on(&page, &[("answer", answer)]).await;
    }
    domain.freeze();
    for _ in 0..2 {
        let failed = visitor.goes_on(&page, &[("answer", ANSWERS[2].1)]).await;
        is_in_trouble(&failed, &server);
    }
    domain.thaw();
    until_served(&server, "frank").await;
    // Whatever was shown, the person is where they were, or can begin again without loss.
    let page = visitor.get("/unlock").await;
    let page =
        if page.step() == "unlock/identify" { visitor.begins("unlock", "erin", "CORP").await } else { page };
    visitor.answers(page).await.is_finished("unlock");
}
