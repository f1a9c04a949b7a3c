//! When something below fails: nobody is told "done" that isn't, nothing is done twice, nothing is lost.

use std::time::Duration;

use regain::{
    directory::{Refused, Rule, demo::SAMPLE_PASSWORD},
    domain::audit::{Action, Outcome},
    testing::{DirectoryMood, Page, StoreMood, TestApp, Visitor},
};

const NEW: [(&str, &str); 2] =
    [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];

async fn enrolled() -> (TestApp, Visitor) {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    (app, alice.elsewhere())
}

fn is_trouble(page: &Page, said: &str) {
    assert_eq!((page.code(), page.step().as_str()), (503, "error"), "{}", page.text());
    assert!(page.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(page.text().contains(said), "{}", page.text());
    assert!(!page.reference().is_empty());
}

async fn outcomes(app: &TestApp, action: Action) -> Vec<Outcome> {
    app.events().await.iter().filter(|event| event.action == action).map(|event| event.outcome).collect()
}

#[tokio::test]
async fn while_the_directory_is_down_nothing_is_counted_and_afterwards_all_goes_on() {
    let (app, mut alice) = enrolled().await;
    let key = app.account("alice").await.key;
    let before = app.tally(&key).await;
    app.directories_behave(DirectoryMood::Unavailable);
    for flow in ["reset", "unlock"] {
        let mut visitor = alice.elsewhere();
        visitor.open(&format!("/{flow}")).await;
        let page = visitor.post(&[("username", "alice"), ("domain", "DEMO")]).await;
        is_trouble(&page, "doesn’t answer");
    }
    for _ in 0..6 {
        let mut visitor = alice.elsewhere();
        visitor.begins("change").await;
        let page = visitor.post(&[&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat()).await;
        is_trouble(&page, "doesn’t answer");
        let fields = visitor.fills_enroll().await;
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        is_trouble(&visitor.post(&fields).await, "doesn’t answer");
    }
    assert_eq!(app.tally(&key).await, before);
    app.directories_behave(DirectoryMood::Well);
    alice.elsewhere().enrolls().await;
    alice.changes_password("Battery-Staple-2").await;
}

#[tokio::test]
async fn a_question_can_be_answered_while_the_directory_is_down_but_not_the_last() {
    let (app, mut alice) = enrolled().await;
    alice.begins("unlock").await;
    app.directories_behave(DirectoryMood::Unavailable);
    for _ in 0..2 {
        let answer = alice.right_answer();
        assert_eq!(alice.answers(&answer).await.step(), "question");
    }
    let answer = alice.right_answer();
    is_trouble(&alice.post(&[("answer", &answer)]).await, "doesn’t answer");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(alice.answers(&answer).await.step(), "finished");
}

#[tokio::test]
async fn a_write_that_found_no_controller_is_tried_again_without_proving_again() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    app.directories_behave(DirectoryMood::ReadsOnly);
    is_trouble(&alice.post(&NEW).await, "doesn’t answer");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(alice.submit(&NEW).await.step(), "finished");
    let (intent, success, failure) = (Outcome::Intent, Outcome::Success, Outcome::Failure);
    assert_eq!(outcomes(&app, Action::Reset).await, [intent, failure, intent, success]);
    let mut erin = app.visitor("erin");
    erin.begins("change").await;
    let fields = [&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat();
    app.directories_behave(DirectoryMood::ReadsOnly);
    is_trouble(&erin.post(&fields).await, "doesn’t answer");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(erin.submit(&fields).await.step(), "finished");
}

#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_settled_by_reading_when_it_was_done() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    app.advance(Duration::from_secs(5));
    app.directories_behave(DirectoryMood::WritesUnanswered);
    is_trouble(&alice.post(&NEW).await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    let page = alice.open("/reset").await;
    assert_eq!(page.step(), "finished", "{}", page.text());
    assert_eq!(app.directory("DEMO").writes(), 1);
    assert_eq!(outcomes(&app, Action::Reset).await.last(), Some(&Outcome::Success));
    assert!(app.enrollment(&app.account("alice").await.key).await.unwrap().reset_at.is_some());
}

#[tokio::test]
async fn a_reset_that_was_lost_can_be_sent_again_when_it_can_no_longer_arrive() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    let old_form = alice.page.clone();
    app.directories_behave(DirectoryMood::WritesLost);
    is_trouble(&alice.post(&NEW).await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    is_trouble(&alice.open("/reset").await, "We don’t know whether it worked");
    // Sent again at once: not written again while the first may still arrive.
    alice.page = old_form;
    assert_eq!(alice.post(&NEW).await.code(), 303);
    assert_eq!(app.directory("DEMO").writes(), 1);
    app.advance(Duration::from_secs(61));
    let page = alice.open("/reset").await;
    assert_eq!((page.code(), page.step().as_str()), (200, "password"), "{}", page.text());
    assert_eq!(alice.submit(&NEW).await.step(), "finished");
    let (intent, success, failure) = (Outcome::Intent, Outcome::Success, Outcome::Failure);
    let outcomes = outcomes(&app, Action::Reset).await;
    assert_eq!(outcomes.iter().filter(|one| **one == intent).count(), 2);
    assert!(outcomes.contains(&failure));
    assert_eq!(outcomes.last(), Some(&success));
}

#[tokio::test]
async fn a_write_left_open_is_not_forgotten_because_someone_begins_anew() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    app.directories_behave(DirectoryMood::WritesLost);
    is_trouble(&alice.post(&NEW).await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    alice.open("/reset?username=alice").await;
    let page = alice.submit(&[("username", "alice"), ("domain", "DEMO")]).await;
    is_trouble(&page, "We don’t know whether it worked");
    app.advance(Duration::from_secs(62));
    app.run_jobs().await;
    assert_eq!(outcomes(&app, Action::Reset).await.last(), Some(&Outcome::Failure));
    alice.open("/reset?username=alice").await;
    let page = alice.submit(&[("username", "alice"), ("domain", "DEMO")]).await;
    assert_eq!(page.step(), "question");
}

#[tokio::test]
async fn an_unlock_whose_answer_was_lost_is_settled_both_ways() {
    let (app, mut alice) = enrolled().await;
    lock(&app, "alice").await;
    app.directories_behave(DirectoryMood::WritesUnanswered);
    let page = alice.proves("unlock").await;
    app.directories_behave(DirectoryMood::Well);
    assert!([200, 503].contains(&page.code()), "{}", page.text());
    let page = alice.open("/unlock").await;
    assert_eq!(page.step(), "finished", "{}", page.text());
    assert_eq!(outcomes(&app, Action::Unlock).await.last(), Some(&Outcome::Success));

    lock(&app, "alice").await;
    let mut alice = alice.elsewhere();
    app.directories_behave(DirectoryMood::WritesLost);
    is_trouble(&alice.proves("unlock").await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    is_trouble(&alice.open("/unlock").await, "We don’t know whether it worked");
    app.advance(Duration::from_secs(61));
    assert_eq!(alice.open("/unlock").await.step(), "identify");
    alice.unlocks().await;
}

async fn lock(app: &TestApp, name: &str) {
    use regain::{
        directory::Directory as _,
        domain::secret::{Password, SecretText},
    };
    let account = app.account(name).await;
    for _ in 0..5 {
        let guess = Password::parse(SecretText::new("guess".into())).unwrap();
        app.directory("DEMO").demo().verify_password(&account, &guess).await.unwrap();
    }
    assert!(app.account(name).await.locked);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_settled_both_ways() {
    let (app, mut alice) = enrolled().await;
    let fields = [&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat();
    alice.begins("change").await;
    app.directories_behave(DirectoryMood::WritesLost);
    is_trouble(&alice.post(&fields).await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    app.advance(Duration::from_secs(61));
    assert_eq!(alice.open("/change").await.step(), "credentials");
    app.directories_behave(DirectoryMood::WritesUnanswered);
    is_trouble(&alice.post(&fields).await, "We don’t know whether it worked");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(alice.open("/change").await.step(), "finished");
}

#[tokio::test]
async fn what_a_crash_left_open_is_settled_by_the_job_with_nobody_asking() {
    for (mood, outcome) in
        [(DirectoryMood::WritesHang, Outcome::Success), (DirectoryMood::WritesHangUndone, Outcome::Failure)]
    {
        let (app, alice) = enrolled().await;
        let mut alice = alice.elsewhere().reading("de");
        alice.proves("reset").await;
        app.advance(Duration::from_secs(5));
        app.directories_behave(mood);
        let hanging = tokio::spawn({
            let mut alice = alice.clone();
            async move { alice.post(&NEW).await }
        });
        while app.directory("DEMO").writes() == 0 {
            tokio::task::yield_now().await;
        }
        hanging.abort();
        assert!(hanging.await.is_err());
        app.directories_behave(DirectoryMood::Well);
        app.crash().await;
        assert_eq!(outcomes(&app, Action::Reset).await, [Outcome::Intent]);
        app.advance(Duration::from_secs(1));
        app.directories_behave(DirectoryMood::Unavailable);
        app.run_jobs().await;
        assert_eq!(outcomes(&app, Action::Reset).await, [Outcome::Intent], "nobody can tell");
        app.directories_behave(DirectoryMood::Well);
        app.run_jobs().await;
        // What was done is seen at once; what was not may still arrive.
        let told =
            if outcome == Outcome::Success { &[Outcome::Intent, outcome][..] } else { &[Outcome::Intent] };
        assert_eq!(outcomes(&app, Action::Reset).await, told);
        app.advance(Duration::from_secs(62));
        app.run_jobs().await;
        app.run_jobs().await;
        assert_eq!(outcomes(&app, Action::Reset).await, [Outcome::Intent, outcome]);
        let enrollment = app.enrollment(&app.account("alice").await.key).await.unwrap();
        assert_eq!(enrollment.reset_at.is_some(), outcome == Outcome::Success);
        assert_ne!(enrollment.language.as_deref(), Some(""), "the job reads no language");
        let settled = app.events().await.pop().unwrap();
        assert_eq!((settled.source.as_str(), settled.source_ip), ("job", None));
        let step = if outcome == Outcome::Success { "finished" } else { "password" };
        assert_eq!(alice.open("/reset").await.step(), step);
        assert_eq!(app.directory("DEMO").writes(), 1);
    }
}

#[tokio::test]
async fn every_refusal_of_the_new_password_is_translated_and_can_be_mended() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    for (rule, said) in [
        (Some(Rule::Length), "at least 8"),
        (Some(Rule::Complexity), "too simple"),
        (Some(Rule::History), "used this one before"),
        (Some(Rule::MinimumAge), "too new"),
        (None, "rules don’t allow it"),
    ] {
        app.directories_behave(DirectoryMood::WritesRefused(Refused::Policy(rule)));
        let page = alice.submit(&NEW).await;
        assert_eq!(
            (page.code(), page.step().as_str(), page.alerts()),
            (422, "password", 1),
            "{}",
            page.text()
        );
        assert!(page.is_invalid("new_password"));
        assert!(page.alert().contains(said), "{}", page.alert());
    }
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(alice.submit(&NEW).await.step(), "finished");
}

#[tokio::test]
async fn a_refusal_that_is_a_fault_of_the_set_up_is_an_error_with_a_reference() {
    for refused in [Refused::InsufficientRights, Refused::Gone] {
        let (app, mut alice) = enrolled().await;
        alice.proves("reset").await;
        app.directories_behave(DirectoryMood::WritesRefused(refused));
        let page = alice.post(&NEW).await;
        assert_eq!((page.code(), page.step().as_str()), (500, "error"));
        let reference = page.reference();
        let failures: Vec<_> =
            app.events().await.into_iter().filter(|event| event.outcome == Outcome::Failure).collect();
        assert_eq!(failures.len(), 1, "said once: {failures:?}");
        assert_eq!(failures[0].reference.as_deref(), Some(reference.as_str()));
        app.directories_behave(DirectoryMood::Well);
        assert_eq!(alice.submit(&NEW).await.step(), "finished");
    }
}

#[tokio::test]
async fn a_store_that_is_full_refuses_every_step_and_recovers() {
    let (app, mut alice) = enrolled().await;
    let mut at_start = alice.elsewhere();
    at_start.open("/unlock").await;
    let mut at_question = alice.elsewhere();
    at_question.begins("unlock").await;
    let mut at_change = app.visitor("erin");
    at_change.begins("change").await;
    let mut enrolling = app.visitor("heidi");
    let fields = enrolling.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    alice.proves("reset").await;
    let change = [&[("old_password", SAMPLE_PASSWORD)], &NEW[..]].concat();

    for mood in [StoreMood::ReadOnly, StoreMood::Failed] {
        app.store_behaves(mood);
        let full = if mood == StoreMood::ReadOnly { "can’t save anything" } else { "can’t go on" };
        is_trouble(&at_start.post(&[("username", "alice"), ("domain", "DEMO")]).await, full);
        let answer = at_question.right_answer();
        is_trouble(&at_question.post(&[("answer", &answer)]).await, full);
        is_trouble(&at_change.post(&change).await, full);
        is_trouble(&enrolling.post(&fields).await, full);
        is_trouble(&alice.post(&NEW).await, full);
    }
    assert_eq!((app.directory("DEMO").writes(), app.directory("DEMO").checks()), (0, 1));

    app.store_behaves(StoreMood::Well);
    assert_eq!(at_start.submit(&[("username", "alice"), ("domain", "DEMO")]).await.step(), "question");
    let answer = at_question.right_answer();
    assert_eq!(at_question.answers(&answer).await.code(), 200);
    assert_eq!(at_change.submit(&change).await.step(), "finished");
    assert_eq!(enrolling.submit(&fields).await.step(), "finished");
    assert_eq!(alice.submit(&NEW).await.step(), "finished");
}

#[tokio::test]
async fn a_store_that_fills_up_during_the_write_does_not_make_it_look_undone() {
    let (app, mut alice) = enrolled().await;
    alice.proves("reset").await;
    app.advance(Duration::from_secs(5));
    // The intent is still written, the result no more.
    app.store_behaves(StoreMood::ReadOnlyAfter(1));
    let page = alice.post(&NEW).await;
    assert_eq!(page.code(), 303, "{}", page.text());
    assert_eq!(alice.open("/reset").await.step(), "finished");
    app.store_behaves(StoreMood::Well);
    assert_eq!(alice.open("/reset").await.step(), "finished");
    assert_eq!(app.directory("DEMO").writes(), 1);
    assert_eq!(outcomes(&app, Action::Reset).await, [Outcome::Intent, Outcome::Success]);
}

#[tokio::test]
async fn pages_that_need_nothing_are_there_whatever_fails() {
    let (app, mut alice) = enrolled().await;
    app.directories_behave(DirectoryMood::Unavailable);
    app.store_behaves(StoreMood::ReadOnly);
    for path in ["/", "/enroll", "/reset", "/unlock", "/change", "/healthz"] {
        assert_eq!(alice.get(path).await.code(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_right_password_is_not_lost_when_the_directory_goes_while_enrolling() {
    let (app, mut alice) = enrolled().await;
    alice.open("/enroll").await;
    alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await;
    let fields = alice.elsewhere().fills_enroll().await;
    let fields: Vec<_> = fields.iter().skip(3).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    app.directories_behave(DirectoryMood::LoadsFail);
    is_trouble(&alice.post(&fields).await, "doesn’t answer");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(alice.submit(&fields).await.step(), "finished");
}

#[tokio::test]
async fn when_too_many_answers_are_compared_it_says_busy_and_no_try_is_spent() {
    let (app, mut alice) = TestApp::new().with_hash_queue(1).with_user("alice").await;
    alice.enrolls().await;
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let services = std::sync::Arc::clone(&app.site().services);
    let busy = tokio::spawn(async move {
        let work = move || {
            started.send(()).unwrap();
            gate.recv()
        };
        services.hashing.run(work).await.is_ok()
    });
    has_started.await.unwrap();
    let answer = alice.right_answer();
    for answer in [answer.as_str(), "wrong"] {
        is_trouble(&alice.post(&[("answer", answer)]).await, "Very busy");
    }
    let mut nobody = app.visitor("nobody");
    nobody.begins("reset").await;
    is_trouble(&nobody.post(&[("answer", "wrong")]).await, "Very busy");
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
    release.send(()).unwrap();
    assert!(busy.await.unwrap());
    let page = alice.answers(&answer).await;
    assert!(page.text().contains("Question 2 of 3"), "{}", page.text());
}
