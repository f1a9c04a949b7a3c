//! Questions and answers: the order, what counts as right, and what a wrong one costs.

use std::time::Duration;

use poem::http::Method;
use regain::{
    domain::audit::{Action, Outcome},
    testing::{DirectoryMood, TestApp, Visitor},
};

async fn is_locked(visitor: &Visitor) -> bool {
    let page = visitor.elsewhere().begins("reset").await;
    match page.code() {
        200 => false,
        403 => {
            assert!(page.text().contains("Too many wrong tries"), "{}", page.text());
            true
        }
        other => panic!("{other}: {}", page.text()),
    }
}

#[tokio::test]
async fn questions_are_always_asked_in_the_same_order_and_the_next_only_after_a_right_answer() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let mut visitor = alice.elsewhere();
        let mut page = visitor.begins("reset").await;
        let mut order = Vec::new();
        while let Some(question) = page.question() {
            assert!(page.text().contains(&format!("Question {} of 3", order.len() + 1)), "{}", page.text());
            let wrong = visitor.answers("surely not").await;
            assert_eq!((wrong.code(), wrong.question().unwrap()), (422, question.clone()));
            let again = visitor.open("/reset").await;
            assert_eq!(again.question().unwrap(), question);
            order.push(question);
            let answer = visitor.right_answer();
            page = visitor.answers(&answer).await;
        }
        assert_eq!(order.len(), 3);
        orders.push(order);
    }
    assert!(orders.windows(2).all(|two| two[0] == two[1]));
}

#[tokio::test]
async fn only_letters_and_digits_of_an_answer_count_and_not_their_case() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    // Enrolled as "Blåhaj no. 1" and so on; å also comes as a and a combining ring.
    for spelling in ["BLÅHAJ NO ", "blåhajno", "Bla\u{30a}haj, no.", "  blåhaj\u{a0}-no\t", "ＢＬåhaj no"]
    {
        let mut visitor = alice.elsewhere();
        visitor.begins("unlock").await;
        for number in 1..=3 {
            let page = visitor.answers(&format!("{spelling}{number}")).await;
            assert_eq!(page.code(), 200, "{spelling}{number}: {}", page.text());
        }
        assert_eq!(visitor.page.unwrap().step(), "finished");
    }
    let mut visitor = alice.elsewhere();
    visitor.begins("unlock").await;
    assert_eq!(visitor.answers("Blahaj no. 1").await.code(), 422);
}

#[tokio::test]
async fn after_five_wrong_answers_reset_and_unlock_are_closed_until_enrolling_again() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut stranger = alice.elsewhere();
    stranger.begins("reset").await;
    for number in 1..=4 {
        let page = stranger.answers(&format!("guess {number}")).await;
        assert_eq!((page.code(), page.step().as_str()), (422, "question"));
        assert!(page.is_invalid("answer"), "{}", page.text());
        assert_eq!(page.value("answer").unwrap_or_default(), "");
    }
    let page = stranger.answers("guess 5").await;
    assert_eq!((page.code(), page.step().as_str()), (403, "error"));
    assert!(page.text().contains("Too many wrong tries"), "{}", page.text());
    assert!(is_locked(&alice).await);
    let page = alice.elsewhere().begins("unlock").await;
    assert_eq!(page.code(), 403);
    assert!(app.events().await.iter().any(|event| event.action == Action::Lockout));
    app.advance(Duration::from_secs(400 * 24 * 60 * 60));
    assert!(is_locked(&alice).await, "time alone opens nothing");
    let mut alice = alice.elsewhere();
    let page = alice.enrolls().await;
    assert!(page.text().contains("You can use Reset and Unlock again"), "{}", page.text());
    assert!(!is_locked(&alice).await);
    alice.elsewhere().unlocks().await;
}

#[tokio::test]
async fn a_lockout_in_one_browser_closes_what_is_under_way_in_another() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let (mut here, mut there) = (alice.elsewhere(), alice.elsewhere());
    here.begins("reset").await;
    there.begins("unlock").await;
    for number in 1..=5 {
        there.answers(&format!("guess {number}")).await;
    }
    let answer = here.right_answer();
    let page = here.answers(&answer).await;
    assert_eq!(page.code(), 403, "{}", page.text());
    assert!(page.text().contains("Too many wrong tries"), "{}", page.text());
}

#[tokio::test]
async fn right_answers_to_all_questions_clear_the_count_and_right_ones_to_some_do_not() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let key = app.account("alice").await.key;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    visitor.answers("wrong one").await;
    visitor.answers("wrong two").await;
    let answer = visitor.right_answer();
    visitor.answers(&answer).await;
    assert_eq!(app.tally(&key).await.wrong_answers, 2);
    alice.elsewhere().unlocks().await;
    assert_eq!(app.tally(&key).await.wrong_answers, 0);
}

#[tokio::test]
async fn names_that_are_unknown_or_not_enrolled_are_locked_like_those_that_are() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut courses = Vec::new();
    for name in ["alice", "heidi", "nobody"] {
        let mut visitor = app.visitor(name);
        let mut course = vec![visitor.begins("reset").await.masked()];
        for number in 1..=6 {
            course.push(visitor.answers(&format!("guess {number}")).await.masked());
        }
        let respelt = if name == "nobody" { "DEMO\\NOBODY" } else { name };
        course.push(app.visitor(respelt).begins("unlock").await.masked());
        assert!(is_locked(&app.visitor(name)).await, "{name}");
        courses.push((name, course));
    }
    let without_question = |html: &str| {
        let (before, rest) = html.split_once("<label class=\"asked\"").unwrap_or((html, ""));
        format!("{before}{}", rest.split_once("</label>").map_or("", |(_, after)| after))
    };
    for (name, course) in &courses[1..] {
        for (step, (one, other)) in courses[0].1.iter().zip(course).enumerate() {
            assert_eq!(without_question(one), without_question(other), "{name}, step {step}");
        }
    }
    // Enrolling opens it to one who exists.
    app.visitor("heidi").enrolls().await;
    assert!(!is_locked(&app.visitor("heidi")).await);
}

#[tokio::test]
async fn the_same_wrong_answer_again_is_not_counted_twice() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let key = app.account("alice").await.key;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    for spelling in ["wrong", "Wrong", " W-r-o-n-g!"] {
        assert_eq!(visitor.answers(spelling).await.code(), 422);
    }
    assert_eq!(app.tally(&key).await.wrong_answers, 1);
    let twice: Vec<_> = (0..8)
        .map(|_| {
            let mut visitor = visitor.clone();
            tokio::spawn(async move { visitor.post(&[("answer", "another")]).await.code() })
        })
        .collect();
    for one in twice {
        assert_eq!(one.await.unwrap(), 422);
    }
    assert_eq!(app.tally(&key).await.wrong_answers, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_answer_sent_twice_moves_one_step_and_is_never_called_wrong() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    for _ in 0..2 {
        let answer = visitor.right_answer();
        let twice: Vec<_> = (0..8)
            .map(|_| {
                let (mut visitor, answer) = (visitor.clone(), answer.clone());
                tokio::spawn(async move { visitor.post(&[("answer", &answer)]).await.code() })
            })
            .collect();
        for one in twice {
            assert_eq!(one.await.unwrap(), 303);
        }
        let page = visitor.open("/reset").await;
        assert!(page.question().is_some());
    }
    assert!(visitor.page.as_ref().unwrap().text().contains("Question 3 of 3"));
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
    let answer = visitor.right_answer();
    assert_eq!(visitor.answers(&answer).await.step(), "password");
}

async fn guess_in_parallel(app: &TestApp, guessers: Vec<Visitor>) -> (usize, usize) {
    let mut running = Vec::new();
    for (number, mut guesser) in guessers.into_iter().enumerate() {
        running.push(tokio::spawn(async move {
            guesser.post(&[("answer", &format!("guess number {number}"))]).await.code()
        }));
    }
    let mut codes = Vec::new();
    for one in running {
        codes.push(one.await.unwrap());
    }
    let tried = app
        .events()
        .await
        .iter()
        .filter(|event| event.outcome == Outcome::Failure && event.detail == "answer_wrong")
        .count();
    assert!(codes.iter().all(|code| [303, 403, 422].contains(code)), "{codes:?}");
    (tried, codes.iter().filter(|code| **code == 422).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_parallel_answers_in_one_session_only_five_are_tried() {
    for name in ["alice", "nobody"] {
        let (app, mut visitor) = TestApp::new().with_user(name).await;
        if name == "alice" {
            visitor.enrolls().await;
        }
        visitor = visitor.elsewhere();
        visitor.begins("reset").await;
        let (tried, wrong) = guess_in_parallel(&app, vec![visitor.clone(); 200]).await;
        assert_eq!(tried, 5);
        assert!(wrong <= 4, "{wrong}");
        assert!(is_locked(&visitor).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_parallel_answers_in_as_many_sessions_only_five_are_tried() {
    for name in ["alice", "nobody"] {
        let (app, mut visitor) = TestApp::new().with_user(name).await;
        if name == "alice" {
            visitor.enrolls().await;
        }
        let mut guessers = Vec::new();
        for number in 0..200_u8 {
            let mut guesser = visitor.elsewhere().from([192, 0, 2, number]);
            guesser.begins("reset").await;
            guessers.push(guesser);
        }
        let (tried, _) = guess_in_parallel(&app, guessers).await;
        assert_eq!(tried, 5);
        assert!(is_locked(&visitor).await);
    }
}

#[tokio::test]
async fn the_count_survives_a_restart_and_a_crash() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    visitor.answers("guess 1").await;
    visitor.answers("guess 2").await;
    app.restart().await;
    visitor.answers("guess 3").await;
    app.crash().await;
    let page = visitor.answers("guess 4").await;
    assert_eq!((page.code(), page.step().as_str()), (422, "question"), "{}", page.text());
    app.crash().await;
    assert_eq!(visitor.answers("guess 5").await.code(), 403);
    assert!(is_locked(&alice).await);
    app.crash().await;
    assert!(is_locked(&alice).await);
}

#[tokio::test]
async fn no_lockout_means_none() {
    let (_app, mut alice) =
        TestApp::new().with_settings(|s| s.security.wrong_answers_until_lockout = 0).with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("unlock").await;
    for number in 0..30 {
        assert_eq!(visitor.answers(&format!("guess {number}")).await.code(), 422);
    }
    for _ in 0..3 {
        let answer = visitor.right_answer();
        visitor.answers(&answer).await;
    }
    assert_eq!(visitor.page.unwrap().step(), "finished");
}

#[tokio::test]
async fn a_right_answer_that_could_not_lead_on_is_right_again_when_the_directory_is_back() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    for _ in 0..2 {
        let answer = visitor.right_answer();
        visitor.answers(&answer).await;
    }
    let answer = visitor.right_answer();
    app.directories_behave(DirectoryMood::Unavailable);
    let page = visitor.post(&[("answer", &answer)]).await;
    assert_eq!(page.code(), 503, "{}", page.text());
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
    app.directories_behave(DirectoryMood::Well);
    let page = visitor.answers(&answer).await;
    assert_eq!((page.code(), page.step().as_str()), (200, "password"), "{}", page.text());
}

#[tokio::test]
async fn enrolling_again_ends_what_is_under_way_with_the_old_answers() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    let answer = visitor.right_answer();
    app.advance(Duration::from_secs(1));
    alice.elsewhere().enrolls().await;
    let page = visitor.answers(&answer).await;
    assert_eq!(page.code(), 403, "{}", page.text());
    assert_eq!(visitor.call(Method::GET, "/reset", &[], Vec::new()).await.step(), "identify");
}

#[tokio::test]
async fn a_hash_made_at_another_cost_is_renewed_when_it_is_next_used() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let key = app.account("alice").await.key;
    let before = app.enrollment(&key).await.unwrap();
    app.set(|s| s.security.hash_passes = 2);
    alice.elsewhere().unlocks().await;
    let after = app.enrollment(&key).await.unwrap();
    for (before, after) in before.questions.iter().zip(&after.questions) {
        assert!(before.hash != after.hash && before.question == after.question);
    }
    alice.elsewhere().unlocks().await;
}

#[tokio::test]
async fn so_many_resets_and_unlocks_may_be_begun_for_one_name_in_an_hour() {
    let (app, mut alice) =
        TestApp::new().with_settings(|s| s.limits.starts_per_account_per_hour = 3).with_user("alice").await;
    alice.enrolls().await;
    for name in ["alice", "nobody"] {
        for (number, flow) in ["reset", "unlock", "reset", "unlock"].into_iter().enumerate() {
            let address = [192, 0, 2, u8::try_from(number).unwrap()];
            let page = app.visitor(name).from(address).begins(flow).await;
            if number < 3 {
                assert_eq!(page.code(), 200);
            } else {
                assert_eq!(page.code(), 429, "{name}");
                assert_eq!(page.header("retry-after"), "3600");
                assert_eq!(page.step(), "error");
            }
        }
        app.restart().await;
        assert_eq!(app.visitor(name).begins("reset").await.code(), 429, "{name}");
    }
    app.advance(Duration::from_secs(3601));
    assert_eq!(app.visitor("alice").begins("reset").await.code(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_flows_begun_holds_for_those_begun_at_the_same_time() {
    for name in ["alice", "nobody"] {
        let (_app, visitor) =
            TestApp::new().with_settings(|s| s.limits.starts_per_account_per_hour = 3).with_user(name).await;
        let running: Vec<_> = (0..20)
            .map(|_| {
                let mut visitor = visitor.elsewhere();
                tokio::spawn(async move { visitor.begins("unlock").await.code() })
            })
            .collect();
        let mut codes = Vec::new();
        for one in running {
            codes.push(one.await.unwrap());
        }
        assert_eq!(codes.iter().filter(|code| **code == 200).count(), 3, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == 429).count(), 17, "{codes:?}");
    }
}
