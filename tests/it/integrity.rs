//! Steps can't be skipped, repeated, mixed, stolen or forged; and whoever gets lost is put where they are (R1.10).

use std::time::Duration;

use poem::http::Method;
use regain::{
    directory::demo::SAMPLE_PASSWORD,
    domain::audit::Outcome,
    testing::{Page, TestApp, Visitor},
};

const NEW: [(&str, &str); 2] =
    [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];
const SESSION: &str = "__Host-regain";

async fn enrolled() -> (TestApp, Visitor) {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    (app, alice.elsewhere())
}

fn successes(app: &[regain::domain::audit::Event]) -> usize {
    app.iter().filter(|event| event.outcome == Outcome::Success).count()
}

#[tokio::test]
async fn a_step_cannot_be_skipped() {
    let (app, mut alice) = enrolled().await;
    alice.open("/reset").await;
    let page = alice.post(&NEW).await;
    assert_eq!(page.code(), 422, "{}", page.text());
    assert_eq!(alice.open("/reset").await.step(), "identify");
    alice.begins("reset").await;
    let page = alice.post(&NEW).await;
    assert_eq!((page.code(), page.step().as_str()), (422, "question"));
    let all = [("username", "alice"), ("answer", "x"), NEW[0], NEW[1]];
    assert_eq!(alice.post(&all).await.code(), 422);
    assert_eq!(app.directory("DEMO").writes(), 0);
}

#[tokio::test]
async fn a_form_of_an_earlier_step_puts_one_where_one_is() {
    let (app, mut alice) = enrolled().await;
    alice.begins("reset").await;
    let first = alice.clone();
    let answer = alice.right_answer();
    let second_page = alice.answers(&answer).await;
    // Back in the browser, and once more.
    let mut back = first.clone();
    back.cookies = alice.cookies.clone();
    for answer in [answer.as_str(), "another"] {
        let page = back.clone().post(&[("answer", answer)]).await;
        assert_eq!((page.code(), page.location()), (303, Some("/reset")));
    }
    assert_eq!(alice.open("/reset").await.question(), second_page.question());
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
    for _ in 0..2 {
        let answer = alice.right_answer();
        alice.answers(&answer).await;
    }
    assert_eq!(alice.page.as_ref().unwrap().step(), "password");
    let at_password = alice.clone();
    alice.submit(&NEW).await;
    let mut again = at_password.clone();
    let page = again.submit(&NEW).await;
    assert_eq!((page.code(), page.step().as_str()), (200, "finished"));
    let page = again.open("/reset").await;
    assert_eq!(page.step(), "finished", "a reload shows it again");
    assert_eq!(app.directory("DEMO").writes(), 1);
}

#[tokio::test]
async fn a_form_of_one_flow_is_no_good_in_another() {
    let (app, mut alice) = enrolled().await;
    for (from, to) in [("reset", "unlock"), ("change", "reset"), ("unlock", "enroll"), ("enroll", "change")] {
        alice.open(&format!("/{from}")).await;
        let token = alice.token();
        let fields = [("csrf", token.as_str()), ("username", "alice"), ("domain", "DEMO")];
        let page = alice.post_raw(&format!("/{to}"), &fields).await;
        assert_eq!((page.code(), page.step().as_str()), (403, "error"), "{from} {to}");
    }
    // What is proved for a reset unlocks nothing.
    let page = alice.proves("reset").await;
    assert_eq!(page.step(), "password");
    assert_eq!(alice.open("/unlock").await.step(), "identify");
    assert_eq!(alice.open("/change").await.step(), "identify");
    assert_eq!(app.directory("DEMO").writes(), 0);
}

#[tokio::test]
async fn two_flows_in_two_tabs_do_not_disturb_each_other() {
    let (app, mut alice) = enrolled().await;
    let page = alice.begins("change").await;
    assert_eq!(page.step(), "credentials");
    let change = alice.page.clone();
    alice.begins("reset").await;
    let reset = alice.page.clone();
    alice.page = change;
    let page = alice.submit(&[&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat()).await;
    assert_eq!(page.step(), "finished", "{}", page.text());
    alice.page = reset;
    let answer = alice.right_answer();
    assert_eq!(alice.answers(&answer).await.step(), "question");
    assert_eq!(successes(&app.events().await), 2);
}

#[tokio::test]
async fn the_menu_ends_a_finished_flow_but_not_one_under_way_in_another_tab() {
    let (_app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    let reset = alice.page.clone();
    alice.begins("change").await;
    let change = alice.page.clone();
    alice.page = reset;
    alice.submit(&NEW).await;
    assert_eq!(alice.open("/").await.step(), "menu");
    alice.page = change;
    let new = [("new_password", "Third-Staple-3"), ("confirm_password", "Third-Staple-3")];
    let page = alice.submit(&[&[("old_password", "Battery-Staple-2")], &new[..]].concat()).await;
    assert_eq!((page.code(), page.step().as_str()), (200, "finished"), "{}", page.text());
    alice.open("/").await;
    for flow in ["reset", "change"] {
        assert_eq!(alice.open(&format!("/{flow}")).await.step(), "identify");
    }
}

#[tokio::test]
async fn the_same_flow_in_two_tabs_is_one_flow() {
    let (app, mut alice) = enrolled().await;
    alice.begins("reset").await;
    let mut tab = alice.clone();
    tab.open("/reset?username=nobody").await;
    let page = tab.submit(&[("username", "nobody"), ("domain", "DEMO")]).await;
    assert_eq!((page.code(), page.step().as_str()), (200, "question"));
    // The first tab's form belongs to the flow that the second has replaced.
    let answer = alice.right_answer();
    let page = alice.answers(&answer).await;
    assert_eq!(page.question(), tab.page.as_ref().unwrap().question());
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
}

#[tokio::test]
async fn the_session_is_another_after_a_proof_and_the_old_one_is_dead() {
    let (_app, mut alice) = enrolled().await;
    for flow in ["reset", "unlock"] {
        alice.begins(flow).await;
        let before = alice.clone();
        while alice.page.as_ref().unwrap().step() == "question" {
            let answer = alice.right_answer();
            alice.answers(&answer).await;
        }
        assert_ne!(alice.cookies[SESSION], before.cookies[SESSION]);
        let mut thief = alice.elsewhere();
        thief.cookies = before.cookies.clone();
        assert_eq!(thief.open(&format!("/{flow}")).await.step(), "identify");
        thief.page = alice.page.clone();
        if flow == "reset" {
            assert_eq!(thief.post(&NEW).await.code(), 403);
        }
    }
    let mut alice = alice.elsewhere();
    alice.open("/enroll").await;
    let before = alice.cookies[SESSION].clone();
    alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await;
    assert_ne!(alice.cookies[SESSION], before);
    let mut thief = alice.elsewhere();
    thief.cookies.insert(SESSION.into(), before);
    assert_eq!(thief.open("/enroll").await.step(), "identify");
}

#[tokio::test]
async fn tokens_of_other_sessions_altered_and_missing_ones_are_refused() {
    let (app, mut alice) = enrolled().await;
    let mut thief = app.visitor("thief");
    thief.open("/reset").await;
    alice.open("/reset").await;
    let good = alice.token();
    let altered = format!("{}0", &good[..good.len() - 1]);
    let altered = if altered == good { format!("{}1", &good[..good.len() - 1]) } else { altered };
    let before = app.events().await.len();
    let tokens = [thief.token(), altered, String::new(), "start".into(), format!("{good}x"), "p.00".into()];
    for token in &tokens {
        let fields = [("csrf", token.as_str()), ("username", "alice"), ("domain", "DEMO")];
        let page = alice.post_raw("/reset", &fields).await;
        assert_eq!((page.code(), page.step().as_str()), (403, "error"), "{token}");
    }
    let page = alice.post_raw("/reset", &[("username", "alice"), ("domain", "DEMO")]).await;
    assert_eq!(page.code(), 403);
    let events = app.events().await;
    assert_eq!(events.len(), before + tokens.len() + 1);
    assert!(events[before..].iter().all(|event| event.detail == "form_forged" && event.reference.is_some()));
    // A good token without its cookie.
    let mut bare = alice.clone();
    bare.cookies.clear();
    assert_eq!(bare.post(&[("username", "alice"), ("domain", "DEMO")]).await.code(), 403);
    let mut planted = alice.clone();
    planted.cookies.insert(SESSION.into(), "x".repeat(43));
    assert_eq!(planted.post(&[("username", "alice"), ("domain", "DEMO")]).await.code(), 403);
    assert_eq!(alice.post(&[("username", "alice"), ("domain", "DEMO")]).await.code(), 303);
}

#[tokio::test]
async fn forms_from_other_sites_are_refused() {
    let (_app, mut alice) = enrolled().await;
    alice.open("/reset").await;
    let body = |alice: &Visitor| {
        let fields = [("csrf", alice.token()), ("username", "alice".into()), ("domain", "DEMO".into())];
        serde_urlencoded::to_string(fields).unwrap().into_bytes()
    };
    for (header, value, code) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://reset.demo.example", 403),
        ("origin", "https://reset.demo.example:444", 403),
        ("origin", "https://reset.demo.example.evil.example", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "https://reset.demo.example", 303),
        ("sec-fetch-site", "same-origin", 303),
        ("sec-fetch-site", "none", 303),
    ] {
        let form = body(&alice);
        let page = alice.post_body("/reset", &[(header, value)], form).await;
        assert_eq!(page.code(), code, "{header}: {value}");
        alice.open("/reset?username=alice").await;
    }
}

#[tokio::test]
async fn a_form_cannot_be_sent_by_get() {
    let (_app, mut alice) = enrolled().await;
    alice.open("/reset").await;
    let target = format!("/reset?csrf={}&username=alice&domain=DEMO", alice.token());
    let page = alice.call(Method::GET, &target, &[], Vec::new()).await;
    assert_eq!(page.step(), "identify");
    assert_eq!(alice.open("/reset").await.step(), "identify");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_step_sent_many_times_at_once_writes_once() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    send_at_once(&alice, &NEW).await;
    assert_eq!(app.directory("DEMO").writes(), 1);
    assert_eq!(alice.open("/reset").await.step(), "finished");

    let mut erin = app.visitor("erin");
    erin.begins("change").await;
    send_at_once(&erin, &[&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat()).await;
    assert_eq!(app.directory("DEMO").writes(), 2);
    assert_eq!(erin.open("/change").await.step(), "finished");

    let mut carol = app.visitor("carol");
    let fields = carol.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let before = successes(&app.events().await);
    carol.submit(&[fields[0], fields[1], fields[2]]).await;
    send_at_once(&carol, &fields[3..]).await;
    assert_eq!(successes(&app.events().await), before + 1);

    let mut unlocking = alice.elsewhere();
    unlocking.begins("unlock").await;
    for _ in 0..2 {
        let answer = unlocking.right_answer();
        unlocking.answers(&answer).await;
    }
    let answer = unlocking.right_answer();
    send_at_once(&unlocking, &[("answer", &answer)]).await;
    assert_eq!(app.directory("DEMO").writes(), 3);
}

async fn send_at_once(visitor: &Visitor, fields: &[(&str, &str)]) -> Vec<Page> {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let running: Vec<_> = (0..10)
        .map(|_| {
            let (mut visitor, fields) = (visitor.clone(), fields.clone());
            tokio::spawn(async move {
                let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                visitor.post(&fields).await
            })
        })
        .collect();
    let mut pages = Vec::new();
    for one in running {
        let page = one.await.unwrap();
        assert!([303, 503].contains(&page.code()), "{} {}", page.code(), page.text());
        pages.push(page);
    }
    pages
}

#[tokio::test]
async fn a_flow_survives_a_restart_at_every_step() {
    let (app, mut alice) = enrolled().await;
    alice.begins("reset").await;
    for _ in 0..3 {
        app.restart().await;
        let answer = alice.right_answer();
        assert_eq!(alice.answers(&answer).await.code(), 200);
    }
    app.crash().await;
    assert_eq!(alice.submit(&NEW).await.step(), "finished");
    app.crash().await;
    assert_eq!(alice.open("/reset").await.step(), "finished");
}

#[tokio::test]
async fn a_flow_ends_by_idling() {
    let (app, mut alice) = enrolled().await;
    alice.begins("reset").await;
    for _ in 0..2 {
        app.advance(Duration::from_secs(299));
        let answer = alice.right_answer();
        assert_eq!(alice.answers(&answer).await.code(), 200);
    }
    app.advance(Duration::from_secs(301));
    let answer = alice.right_answer();
    let page = alice.post(&[("answer", &answer)]).await;
    assert_eq!((page.code(), page.step().as_str()), (403, "error"));
    assert!(page.text().contains("Your time was up"), "{}", page.text());
    assert_eq!(alice.open("/reset").await.step(), "identify");
    assert_eq!(app.events().await.last().unwrap().detail, "session_expired");
}

#[tokio::test]
async fn a_flow_ends_after_half_an_hour_whatever_is_done() {
    let (app, mut alice) = enrolled().await;
    app.set(|s| s.security.idle_timeout_seconds = 0);
    alice.proves("reset").await;
    app.advance(Duration::from_secs(30 * 60 - 1));
    assert_eq!(alice.open("/reset").await.step(), "password");
    app.advance(Duration::from_secs(2));
    assert_eq!(alice.post(&NEW).await.code(), 403);
    assert_eq!(alice.open("/reset").await.step(), "identify");
    app.run_jobs().await;
    assert_eq!(app.directory("DEMO").writes(), 0);
}

#[tokio::test]
async fn a_wrong_form_keeps_a_flow_alive_no_longer_than_a_right_one() {
    let (app, mut alice) = enrolled().await;
    alice.begins("reset").await;
    for number in 0..3 {
        app.advance(Duration::from_secs(299));
        let page = alice.answers(&format!("guess {number}")).await;
        assert_eq!((page.code(), page.step().as_str()), (422, "question"));
    }
    app.advance(Duration::from_secs(30 * 60));
    let answer = alice.right_answer();
    assert_eq!(alice.post(&[("answer", &answer)]).await.code(), 403);
}

#[tokio::test]
async fn whoever_gives_up_in_the_middle_leaves_nothing_that_could_go_on() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    let left = alice.clone();
    let page = alice.post(&[("action", "cancel")]).await;
    assert_eq!((page.code(), page.location()), (303, Some("/")));
    let mut thief = left.clone();
    assert_eq!(thief.post(&NEW).await.code(), 403);
    assert_eq!(app.directory("DEMO").writes(), 0);
}
