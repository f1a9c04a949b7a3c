//! Verification codes: who is asked for one and when, what it is good for, and for how many tries (R3).

use std::{fs, path::Path, time::Duration};

use regain::{
    domain::{
        audit::{Action, Outcome},
        message::{Channel, Message},
    },
    settings::{Addresses, Characters, Order, Settings},
    testing::{DirectoryMood, Page, Setup, StoreMood, TestApp, Visitor},
};

const NEW: &str = "Battery-Staple-2";
const SESSION: &str = "__Host-regain";

/// Codes by e-mail, as many as one likes.
fn with(change: impl FnOnce(&mut Settings)) -> Setup {
    TestApp::new().with_settings(|settings| {
        settings.codes.by_mail = true;
        settings.limits.codes_per_recipient_per_hour = 0;
        settings.limits.codes_per_recipient_per_day = 0;
        change(settings);
    })
}

/// That, and somebody who is enrolled.
async fn enrolled(change: impl FnOnce(&mut Settings)) -> (TestApp, Visitor) {
    let (app, mut alice) = with(change).with_user("alice").await;
    alice.enrolls().await;
    (app, alice.elsewhere())
}

fn code_first(settings: &mut Settings) {
    settings.codes.order = Some(Order::CodeFirst);
}

fn is_at(page: &Page, code: u16, step: &str) {
    assert_eq!((page.code(), page.step().as_str()), (code, step), "{}", page.text());
}

async fn details(app: &TestApp, detail: &str) -> usize {
    let events = app.events().await;
    events.iter().filter(|event| event.outcome == Outcome::Failure && event.detail == detail).count()
}

#[tokio::test]
async fn with_the_questions_first_a_code_is_sent_when_they_are_answered() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let before = alice.begins("reset").await;
    is_at(&before, 200, "question");
    assert!(app.codes().await.is_empty());
    let page = alice.answers_all().await;
    is_at(&page, 200, "code");
    assert!(page.text().contains("a•••@d•••.example"), "{}", page.text());
    assert!(
        page.html.contains("autocomplete=\"one-time-code\"") && page.html.contains("inputmode=\"numeric\"")
    );
    assert_eq!(page.fields(), ["csrf", "code", "action", "action"]);
    assert_eq!(app.codes().await.len(), 1);
    is_at(&alice.enters_latest_code().await, 200, "password");
    let page = alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await;
    is_at(&page, 200, "finished");

    let mut alice = alice.elsewhere();
    is_at(&alice.proves("unlock").await, 200, "code");
    is_at(&alice.enters_latest_code().await, 200, "finished");
    let codes = app.codes().await;
    assert!(codes.len() == 2 && codes[0].1 != codes[1].1, "{codes:?}");
    assert!(codes.iter().all(|(to, code)| to == "alice@demo.example" && code.len() == 6));
}

#[tokio::test]
async fn with_the_code_first_nobody_sees_a_question_without_it() {
    for flow in ["reset", "unlock"] {
        let (app, mut alice) = enrolled(code_first).await;
        let page = alice.begins(flow).await;
        is_at(&page, 200, "code");
        assert!(page.text().contains("If this account can be served"), "{}", page.text());
        assert!(!page.text().contains("•••"), "where it went is not told before anything is proved");
        let session = alice.cookies[SESSION].clone();
        let page = alice.enters_latest_code().await;
        is_at(&page, 200, "question");
        assert_eq!(alice.cookies[SESSION], session, "only the last proof makes a new session");
        assert!(page.text().contains("Question 1 of 3"), "{}", page.text());
        let page = alice.answers_all().await;
        is_at(&page, 200, if flow == "reset" { "password" } else { "finished" });
        assert_ne!(alice.cookies[SESSION], session);
        assert_eq!(app.codes().await.len(), 1);
    }
}

#[tokio::test]
async fn the_internet_profile_asks_for_the_code_first_unless_the_order_is_set() {
    use regain::settings::Profile;
    let (app, mut alice) = enrolled(|settings| settings.security.profile = Profile::Internet).await;
    is_at(&alice.begins("reset").await, 200, "code");
    app.set(|settings| settings.codes.order = Some(Order::QuestionsFirst));
    is_at(&alice.elsewhere().begins("reset").await, 200, "question");
}

#[tokio::test]
async fn the_same_code_goes_both_ways() {
    let (app, mut alice) = enrolled(|settings| settings.codes.by_sms = true).await;
    let page = alice.proves("unlock").await;
    assert!(page.text().contains("a•••@d•••.example") && page.text().contains("•••• 20"), "{}", page.text());
    let codes = app.codes().await;
    assert_eq!(codes.len(), 2);
    assert_eq!(codes[0].1, codes[1].1);
    assert!(codes.iter().any(|(to, _)| to == "+447700900120"), "{codes:?}");
    is_at(&alice.enters_latest_code().await, 200, "finished");
}

#[tokio::test]
async fn the_address_is_the_one_the_settings_choose() {
    let (app, mut alice) = with(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    alice.enrolls().await;
    let (directory, regain) = ("alice@demo.example", "mary@elsewhere.example");
    for (addresses, in_directory, expected) in [
        (Addresses::Directory, Some(directory), vec![directory]),
        (Addresses::Regain, Some(directory), vec![regain]),
        (Addresses::DirectoryThenRegain, Some(directory), vec![directory]),
        (Addresses::DirectoryThenRegain, Some("no address"), vec![regain]),
        (Addresses::RegainThenDirectory, Some(directory), vec![regain]),
        (Addresses::Both, Some(directory), vec![directory, regain]),
        (Addresses::Both, Some("MARY@Elsewhere.example"), vec!["MARY@Elsewhere.example"]),
    ] {
        app.set(|settings| settings.codes.addresses = addresses);
        assert!(app.directory("DEMO").demo().move_to("alice", in_directory, None));
        let before = app.codes().await.len();
        let mut alice = alice.elsewhere();
        alice.proves("unlock").await;
        let sent: Vec<String> = app.codes().await[before..].iter().map(|(to, _)| to.clone()).collect();
        assert_eq!(sent, expected, "{addresses:?}");
        is_at(&alice.enters_latest_code().await, 200, "finished");
    }
}

#[tokio::test]
async fn a_code_may_have_letters_and_is_read_as_people_type_it() {
    let (app, mut alice) = enrolled(|settings| {
        (settings.codes.by_mail, settings.codes.by_sms) = (false, true);
        settings.codes.length = 12;
        settings.codes.characters = Characters::LettersAndDigits;
    })
    .await;
    let page = alice.proves("unlock").await;
    assert!(!page.html.contains("inputmode"), "letters need another keyboard");
    let code = app.latest_code().await;
    assert_eq!(code.len(), 12);
    let typed = format!(" {}-{} {} ", &code[..4].to_lowercase(), &code[4..8], &code[8..]);
    is_at(&alice.enters_code(&typed).await, 200, "finished");
}

#[tokio::test]
async fn a_wrong_code_is_said_to_be_wrong_and_the_right_one_is_taken_afterwards() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let key = app.account("alice").await.key;
    alice.proves("reset").await;
    let code = alice.wrong_code(0).await;
    for _ in 0..3 {
        let page = alice.enters_code(&code).await;
        is_at(&page, 422, "code");
        assert!(page.is_invalid("code") && page.value("code").unwrap().is_empty());
        assert!(page.alert().contains("not the one we sent last"), "{}", page.alert());
    }
    let tally = app.tally(&key).await;
    assert_eq!((tally.wrong_codes, tally.wrong_answers), (1, 1), "the same one again is not counted twice");
    assert_eq!(details(&app, "code_wrong").await, 1);
    is_at(&alice.enters_code(" ").await, 422, "code");
    assert_eq!(app.tally(&key).await.wrong_codes, 1, "nothing is no try");
    is_at(&alice.enters_latest_code().await, 200, "password");
    let tally = app.tally(&key).await;
    assert_eq!((tally.wrong_codes, tally.wrong_answers), (0, 0));
}

#[tokio::test]
async fn what_happens_with_codes_is_in_the_audit_log() {
    let (app, mut alice) = enrolled(|_| ()).await;
    alice.proves("reset").await;
    let code = alice.wrong_code(0).await;
    alice.enters_code(&code).await;
    alice.enters_latest_code().await;
    let told: Vec<_> = app.events().await.into_iter().map(|e| (e.action, e.outcome, e.detail)).collect();
    let expected = [
        (Action::Enroll, Outcome::Success, ""),
        (Action::CodeSent, Outcome::Success, ""),
        (Action::Reset, Outcome::Failure, "code_wrong"),
    ];
    assert_eq!(told, expected.map(|(action, outcome, detail)| (action, outcome, detail.to_owned())));
    assert!(app.events().await.iter().all(|event| event.account.is_some()));
}

#[tokio::test]
async fn an_expired_code_is_refused_and_a_new_one_offered() {
    for order in [Order::QuestionsFirst, Order::CodeFirst] {
        let (app, mut alice) = enrolled(|settings| {
            settings.codes.order = Some(order);
            settings.codes.minutes = 1;
        })
        .await;
        alice.proves("unlock").await;
        let old = app.latest_code().await;
        app.advance(Duration::from_secs(60));
        let page = alice.enters_code(&old).await;
        is_at(&page, 422, "code");
        assert!(page.alert().contains("too old") && page.fields().ends_with(&["action".to_owned()]));
        assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_codes, 0);
        assert_eq!(details(&app, "code_expired").await, 1);
        is_at(&alice.asks_for_another_code().await, 200, "code");
        alice.enters_latest_code().await;
        is_at(&alice.answers_all().await, 200, "finished");
    }
}

#[tokio::test]
async fn a_code_without_an_end_is_good_as_long_as_the_flow() {
    let (app, mut alice) = enrolled(|settings| {
        settings.codes.minutes = 0;
        settings.security.idle_timeout_seconds = 0;
    })
    .await;
    alice.proves("unlock").await;
    app.latest_code().await;
    app.advance(Duration::from_secs(29 * 60));
    is_at(&alice.enters_latest_code().await, 200, "finished");
}

#[tokio::test]
async fn another_code_replaces_the_one_before_after_a_while_and_a_few_times_only() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let page = alice.proves("reset").await;
    assert!(page.html.contains("data-seconds=\"60\""), "{}", page.text());
    assert!(page.text().contains("Seconds until you can ask for a new code: 60"), "{}", page.text());
    app.advance(Duration::from_millis(59_001));
    let page = alice.asks_for_another_code().await;
    is_at(&page, 422, "code");
    assert!(page.alert().contains("Seconds still to wait: 1"), "{}", page.alert());
    let first = app.latest_code().await;
    app.advance(Duration::from_secs(1));
    let stale = alice.clone();
    is_at(&alice.asks_for_another_code().await, 200, "code");
    // A double click asks once.
    assert_eq!(stale.clone().asks_for_another_code().await.code(), 200);
    let second = app.latest_code().await;
    assert_eq!(app.codes().await.len(), 2);
    if first != second {
        is_at(&alice.enters_code(&first).await, 422, "code");
    }
    app.advance(Duration::from_secs(60));
    let page = alice.asks_for_another_code().await;
    is_at(&page, 200, "code");
    assert!(page.text().contains("No further code can be sent"), "{}", page.text());
    app.advance(Duration::from_secs(60));
    let page = alice.asks_for_another_code().await;
    is_at(&page, 422, "code");
    assert_eq!(app.codes().await.len(), 3);
    is_at(&alice.enters_latest_code().await, 200, "password");
}

#[tokio::test]
async fn a_code_is_good_for_its_flow_purpose_and_account_only() {
    let (app, alice) = enrolled(|settings| settings.codes.count_wrong_codes = false).await;
    let mut erin = app.visitor("erin");
    erin.enrolls().await;
    let (mut here, mut there, mut erin) = (alice.elsewhere(), alice.elsewhere(), erin.elsewhere());
    here.proves("reset").await;
    let first = app.latest_code().await;
    here.open("/unlock").await;
    here.proves("unlock").await;
    let unlock = app.latest_code().await;
    there.proves("reset").await;
    let second = app.latest_code().await;
    erin.proves("reset").await;
    let of_erin = app.latest_code().await;
    for (visitor, flow, code) in [
        (&there, "reset", &first),
        (&there, "reset", &of_erin),
        (&here, "unlock", &first),
        (&here, "reset", &unlock),
        (&erin, "reset", &second),
    ] {
        let mut visitor = visitor.clone();
        visitor.open(&format!("/{flow}")).await;
        is_at(&visitor.enters_code(code).await, 422, "code");
    }
    is_at(&there.enters_code(&second).await, 200, "password");
    here.open("/unlock").await;
    is_at(&here.enters_code(&unlock).await, 200, "finished");
}

#[tokio::test]
async fn a_code_of_an_earlier_flow_is_never_right_again() {
    let (app, alice) = enrolled(code_first).await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    let old = app.latest_code().await;
    is_at(&visitor.enters_code(&old).await, 200, "question");
    visitor.open("/reset?username=alice").await;
    is_at(&visitor.submit(&[("username", "alice"), ("domain", "DEMO")]).await, 200, "code");
    is_at(&visitor.enters_code(&old).await, 422, "code");
}

#[tokio::test]
async fn a_code_is_refused_when_it_would_go_elsewhere_by_now() {
    for order in [Order::QuestionsFirst, Order::CodeFirst] {
        let (app, mut alice) = enrolled(|settings| settings.codes.order = Some(order)).await;
        alice.proves("unlock").await;
        let code = app.latest_code().await;
        let demo = app.directory("DEMO").demo();
        assert!(demo.move_to("alice", Some("alice@new.example"), None));
        is_at(&alice.enters_code(&code).await, 422, "code");
        app.advance(Duration::from_secs(60));
        alice.asks_for_another_code().await;
        assert_eq!(app.codes().await.last().unwrap().0, "alice@new.example");
        alice.enters_latest_code().await;
        is_at(&alice.answers_all().await, 200, "finished");
    }
}

#[tokio::test]
async fn another_code_gives_no_more_tries() {
    for (name, flow) in [("alice", "reset"), ("alice", "unlock"), ("nobody", "reset")] {
        let (app, alice) = enrolled(|settings| {
            code_first(settings);
            settings.codes.count_wrong_codes = false;
        })
        .await;
        let mut visitor = app.visitor(name);
        visitor.begins(flow).await;
        let mut answers = Vec::new();
        for number in 0..8 {
            if number == 4 {
                app.advance(Duration::from_secs(60));
                visitor.asks_for_another_code().await;
            }
            answers.push(visitor.post(&[("code", &format!("guess {number}"))]).await.code());
        }
        // The fifth ends the flow.
        assert_eq!(answers, [422, 422, 422, 422, 429, 403, 403, 403], "{name}");
        assert_eq!(details(&app, "code_wrong").await, 5);
        for other in ["reset", "unlock"] {
            let page = app.visitor(name).begins(other).await;
            is_at(&page, 429, "error");
            assert!(page.text().contains("Too many wrong codes"), "{}", page.text());
            assert!(!page.header("retry-after").is_empty());
        }
        app.crash().await;
        is_at(&app.visitor(name).begins(flow).await, 429, "error");
        app.advance(Duration::from_secs(60 * 60));
        is_at(&app.visitor(name).begins(flow).await, 200, "code");
        assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
        drop(alice);
    }
}

#[tokio::test]
async fn whoever_has_no_tries_left_is_told_so_after_the_questions() {
    let (app, alice) = enrolled(|settings| settings.codes.count_wrong_codes = false).await;
    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    for number in 0..5 {
        let code = visitor.wrong_code(number).await;
        visitor.enters_code(&code).await;
    }
    let sent = app.codes().await.len();
    let mut visitor = alice.elsewhere();
    let page = visitor.proves("reset").await;
    is_at(&page, 429, "error");
    assert_eq!(app.codes().await.len(), sent, "nothing is sent that could not be used");
    // Enrolling shows who it is.
    alice.elsewhere().enrolls().await;
    let mut visitor = alice.elsewhere();
    is_at(&visitor.proves("reset").await, 200, "code");
}

#[tokio::test]
async fn wrong_codes_count_towards_the_lockout_and_right_ones_clear_no_wrong_answers() {
    let (app, alice) = enrolled(code_first).await;
    let key = app.account("alice").await.key;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    for number in 0..2 {
        let code = visitor.wrong_code(number).await;
        is_at(&visitor.enters_code(&code).await, 422, "code");
    }
    visitor.enters_latest_code().await;
    let tally = app.tally(&key).await;
    assert_eq!((tally.wrong_codes, tally.wrong_answers), (2, 2), "until all is proved");
    visitor.answers("surely not").await;
    assert_eq!(app.tally(&key).await.wrong_answers, 3);
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    visitor.enters_latest_code().await;
    assert_eq!(app.tally(&key).await.wrong_answers, 3);
    visitor.begins("unlock").await;
    let code = visitor.wrong_code(0).await;
    visitor.enters_code(&code).await;
    let code = visitor.wrong_code(1).await;
    let page = visitor.enters_code(&code).await;
    is_at(&page, 403, "error");
    assert!(page.text().contains("Too many wrong tries"), "{}", page.text());
    assert!(app.tally(&key).await.locked_at.is_some());
    assert!(app.events().await.iter().any(|event| event.action == Action::Lockout));
    is_at(&alice.elsewhere().begins("reset").await, 403, "error");
    // All proved clears it.
    alice.elsewhere().enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("unlock").await;
    let code = visitor.wrong_code(0).await;
    visitor.enters_code(&code).await;
    visitor.enters_latest_code().await;
    is_at(&visitor.answers_all().await, 200, "finished");
    assert_eq!(app.tally(&key).await.wrong_answers, 0);
}

async fn guess(guessers: Vec<Visitor>) -> Vec<u16> {
    let running: Vec<_> = guessers
        .into_iter()
        .enumerate()
        .map(|(number, mut guesser)| {
            tokio::spawn(async move { guesser.post(&[("code", &format!("guess {number}"))]).await.code() })
        })
        .collect();
    let mut codes = Vec::new();
    for one in running {
        codes.push(one.await.unwrap());
    }
    assert!(codes.iter().all(|code| [303, 403, 422, 429].contains(code)), "{codes:?}");
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_parallel_codes_only_five_are_tried() {
    for name in ["alice", "nobody"] {
        for counts in [true, false] {
            for sessions in [1, 200] {
                let (app, _alice) = enrolled(|settings| {
                    code_first(settings);
                    settings.codes.count_wrong_codes = counts;
                })
                .await;
                let mut guessers = Vec::new();
                for _ in 0..sessions {
                    let mut guesser = app.visitor(name);
                    is_at(&guesser.begins("reset").await, 200, "code");
                    guessers.push(guesser);
                }
                let guessers: Vec<_> = guessers.iter().cycle().take(200).cloned().collect();
                let codes = guess(guessers).await;
                let wrong = codes.iter().filter(|code| **code == 422).count();
                assert!(wrong <= 4, "{wrong}");
                assert_eq!(details(&app, "code_wrong").await, 5, "{name} {sessions}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_code_sent_many_times_at_once_in_two_sessions_leads_on_once() {
    for order in [Order::QuestionsFirst, Order::CodeFirst] {
        let (app, alice) = enrolled(|settings| {
            settings.codes.order = Some(order);
            settings.codes.count_wrong_codes = false;
        })
        .await;
        let (mut here, mut there) = (alice.elsewhere(), alice.elsewhere());
        there.proves("unlock").await;
        here.proves("unlock").await;
        let code = app.latest_code().await;
        let running: Vec<_> = [vec![here.clone(); 8], vec![there.clone(); 8]]
            .concat()
            .into_iter()
            .map(|mut visitor| {
                let code = code.clone();
                tokio::spawn(async move { visitor.post(&[("code", &code)]).await.code() })
            })
            .collect();
        let mut codes = Vec::new();
        for one in running {
            codes.push(one.await.unwrap());
        }
        assert!(codes[..8].iter().all(|code| *code == 303), "{codes:?}");
        assert!(codes[8..].iter().all(|code| *code == 422), "{codes:?}");
        assert_eq!(details(&app, "code_wrong").await, 1);
        let writes = usize::from(order == Order::QuestionsFirst);
        assert_eq!(app.directory("DEMO").writes(), writes);
        is_at(&there.open("/unlock").await, 200, "code");
    }
}

#[tokio::test]
async fn an_old_form_cannot_step_over_the_code() {
    let (app, mut alice) = enrolled(|_| ()).await;
    alice.proves("reset").await;
    let new = [("new_password", NEW), ("confirm_password", NEW)];
    assert_eq!(alice.post(&new).await.code(), 422);
    assert_eq!(alice.post(&[("code", "1"), new[0], new[1]]).await.code(), 422);
    is_at(&alice.open("/reset").await, 200, "code");
    assert_eq!(app.directory("DEMO").writes(), 0);
}

#[tokio::test]
async fn the_code_step_survives_a_restart_and_a_crash() {
    let (app, mut alice) = enrolled(|_| ()).await;
    alice.proves("reset").await;
    app.crash().await;
    let code = app.latest_code().await;
    app.restart().await;
    is_at(&alice.enters_code(&code).await, 200, "password");
}

#[tokio::test]
async fn no_try_is_lost_and_no_code_sent_while_something_is_in_trouble() {
    for order in [Order::QuestionsFirst, Order::CodeFirst] {
        let (app, mut alice) = enrolled(|settings| settings.codes.order = Some(order)).await;
        let key = app.account("alice").await.key;
        app.directories_behave(DirectoryMood::LoadsFail);
        alice.begins("unlock").await;
        if order == Order::QuestionsFirst {
            for _ in 0..2 {
                let answer = alice.right_answer();
                alice.answers(&answer).await;
            }
            let answer = alice.right_answer();
            assert_eq!(alice.post(&[("answer", &answer)]).await.code(), 503);
            assert!(app.codes().await.is_empty());
            assert_eq!(app.tally(&key).await.wrong_answers, 0);
            app.directories_behave(DirectoryMood::Well);
            is_at(&alice.answers(&answer).await, 200, "code");
        }
        let code = app.latest_code().await;
        app.directories_behave(DirectoryMood::LoadsFail);
        for guess in [code.as_str(), "wrong"] {
            assert_eq!(alice.post(&[("code", guess)]).await.code(), 503);
        }
        app.advance(Duration::from_secs(60));
        assert_eq!(alice.post(&[("code", ""), ("action", "resend")]).await.code(), 503);
        app.directories_behave(DirectoryMood::Well);
        app.store_behaves(StoreMood::ReadOnly);
        assert_eq!(alice.post(&[("code", &code)]).await.code(), 503);
        assert_eq!(alice.post(&[("code", ""), ("action", "resend")]).await.code(), 503);
        app.store_behaves(StoreMood::Well);
        let tally = app.tally(&key).await;
        assert_eq!((tally.wrong_codes, tally.wrong_answers), (0, 0));
        assert_eq!(app.codes().await.len(), 1);
        alice.enters_code(&code).await;
        is_at(&alice.answers_all().await, 200, "finished");
    }
}

#[tokio::test]
async fn a_code_that_was_right_is_good_for_nothing_when_the_unlock_is_refused() {
    use regain::directory::Refused;
    let (app, mut alice) = enrolled(|_| ()).await;
    alice.proves("unlock").await;
    let code = app.latest_code().await;
    app.directories_behave(DirectoryMood::WritesRefused(Refused::InsufficientRights));
    let stale = alice.clone();
    let page = alice.enters_code(&code).await;
    assert!(page.code() >= 400, "{}", page.text());
    app.directories_behave(DirectoryMood::Well);
    assert_ne!(stale.clone().post(&[("code", &code)]).await.code(), 200);
    assert_eq!(stale.clone().open("/unlock").await.step(), "identify");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_code_asked_for_many_times_at_once_is_sent_once() {
    let (app, mut alice) = enrolled(code_first).await;
    alice.begins("reset").await;
    app.advance(Duration::from_secs(60));
    let running: Vec<_> = (0..10)
        .map(|_| {
            let mut alice = alice.clone();
            tokio::spawn(async move { alice.post(&[("code", ""), ("action", "resend")]).await.code() })
        })
        .collect();
    for one in running {
        assert_eq!(one.await.unwrap(), 303);
    }
    assert_eq!(app.codes().await.len(), 2);
}

fn automatic(settings: &mut Settings) {
    settings.codes.automatic_enrollment = true;
}

#[tokio::test]
async fn whoever_never_enrolled_gets_in_with_a_code_alone_where_that_is_allowed() {
    for order in [Order::QuestionsFirst, Order::CodeFirst] {
        let (app, mut alice) = with(|settings| {
            automatic(settings);
            settings.enroll.ask_email = true;
            settings.codes.order = Some(order);
        })
        .with_user("alice")
        .await;
        let key = app.account("alice").await.key;
        let page = alice.begins("reset").await;
        is_at(&page, 200, "code");
        assert!(!page.text().contains("•••"), "{}", page.text());
        let code = alice.wrong_code(0).await;
        is_at(&alice.enters_code(&code).await, 422, "code");
        assert_eq!(app.enrollment(&key).await, None);
        is_at(&alice.enters_latest_code().await, 200, "password");
        let enrollment = app.enrollment(&key).await.unwrap();
        assert!(enrollment.automatic && enrollment.questions.is_empty() && enrollment.email.is_none());
        is_at(&alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await, 200, "finished");
        assert!(app.enrollment(&key).await.unwrap().reset_at.is_some());
        let enrolled = app.events().await.into_iter().find(|event| event.action == Action::Enroll).unwrap();
        assert_eq!(enrolled.detail, "automatic");
        let told = app.sent().await.iter().filter(|message| message.channel() == Channel::Mail).count();
        assert_eq!(told, 2, "the code, and that the password was reset; not that somebody enrolled");

        // Again, and then enrolled by hand.
        let mut alice = alice.elsewhere();
        is_at(&alice.begins("unlock").await, 200, "code");
        is_at(&alice.enters_latest_code().await, 200, "finished");
        NEW.clone_into(&mut alice.password);
        alice.enrolls().await;
        let enrollment = app.enrollment(&key).await.unwrap();
        assert!(!enrollment.automatic && enrollment.questions.len() == 3 && enrollment.reset_at.is_some());
        let mut alice = alice.elsewhere();
        let first = if order == Order::CodeFirst { "code" } else { "question" };
        is_at(&alice.begins("unlock").await, 200, first);
    }
}

#[tokio::test]
async fn an_automatic_enrollment_is_served_no_longer_when_that_is_switched_off() {
    for off in [
        (|settings: &mut Settings| settings.codes.automatic_enrollment = false) as fn(&mut Settings),
        |settings| settings.codes.by_mail = false,
    ] {
        let (app, alice) = with(automatic).with_user("alice").await;
        let (mut at_code, mut at_password) = (alice.elsewhere(), alice.elsewhere());
        at_password.begins("reset").await;
        is_at(&at_password.enters_latest_code().await, 200, "password");
        at_code.begins("reset").await;
        let code = app.latest_code().await;
        app.set(off);
        let page = at_password.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await;
        is_at(&page, 403, "error");
        is_at(&at_code.enters_code(&code).await, 422, "code");
        let mut anew = alice.elsewhere();
        is_at(&anew.begins("unlock").await, 200, "question");
        is_at(&anew.answers("anything").await, 422, "question");
        assert_eq!(app.directory("DEMO").writes(), 0);
    }
}

#[tokio::test]
async fn enrolling_by_hand_ends_what_is_under_way_with_a_code_alone() {
    let (app, alice) = with(automatic).with_user("alice").await;
    let (mut at_code, mut at_password) = (alice.elsewhere(), alice.elsewhere());
    at_code.begins("reset").await;
    let code = app.latest_code().await;
    at_password.begins("reset").await;
    at_password.enters_latest_code().await;
    app.advance(Duration::from_secs(1));
    alice.elsewhere().enrolls().await;
    is_at(&at_code.enters_code(&code).await, 422, "code");
    let page = at_password.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await;
    is_at(&page, 403, "error");
}

#[tokio::test]
async fn names_that_do_not_exist_are_asked_for_the_one_or_the_other_and_always_for_the_same() {
    let (app, _alice) = with(automatic).with_user("alice").await;
    let mut steps = std::collections::BTreeSet::new();
    for number in 0..20 {
        let name = format!("nobody{number}");
        let first = app.visitor(&name).begins("reset").await.step();
        let again = app.visitor(&name.to_uppercase()).begins("unlock").await.step();
        assert_eq!(first, again, "{name}");
        steps.insert(first);
    }
    assert_eq!(steps.len(), 2, "{steps:?}");
}

#[tokio::test]
async fn who_can_be_sent_no_code_is_led_to_the_help_desk_or_goes_on_without() {
    let (app, mut alice) = enrolled(|_| ()).await;
    assert!(app.directory("DEMO").demo().move_to("alice", None, Some("0170 12345")));
    let page = alice.proves("reset").await;
    is_at(&page, 403, "error");
    assert!(page.text().contains("help desk") && page.reference().starts_with("R-"), "{}", page.text());
    assert_eq!(details(&app, "code_undeliverable").await, 1);

    app.set(|settings| settings.codes.without_destination = true);
    is_at(&alice.elsewhere().proves("reset").await, 200, "password");
    is_at(&alice.elsewhere().proves("unlock").await, 200, "finished");

    // With the code first all look alike, and nobody gets further without one.
    app.set(code_first);
    let mut first = alice.elsewhere();
    is_at(&first.begins("reset").await, 200, "code");
    is_at(&first.enters_code("123456").await, 422, "code");
    assert!(app.codes().await.is_empty());

    // Nor does an automatic enrollment, ever.
    app.set(|settings| {
        settings.codes.order = None;
        automatic(settings);
    });
    assert!(app.directory("DEMO").demo().move_to("erin", None, None));
    let mut erin = app.visitor("erin");
    is_at(&erin.begins("reset").await, 200, "code");
    is_at(&erin.enters_code("123456").await, 422, "code");
}

#[tokio::test]
async fn an_account_that_is_not_served_is_told_so_after_the_questions_and_sent_nothing() {
    use regain::directory::demo::Standing;
    let (app, mut alice) = enrolled(|_| ()).await;
    app.becomes("alice", Standing::Disabled);
    let page = alice.proves("unlock").await;
    is_at(&page, 403, "error");
    assert!(page.text().contains("switched off"), "{}", page.text());
    assert!(app.codes().await.is_empty());
    assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_answers, 0);
}

#[tokio::test]
async fn a_text_message_is_in_the_persons_own_language() {
    let (app, mut bob) = with(|settings| settings.codes.by_sms = true).with_user("erin").await;
    bob = bob.reading("de");
    bob.enrolls().await;
    let mut stranger = bob.elsewhere().reading("en");
    stranger.proves("unlock").await;
    let languages: Vec<String> = app
        .sent()
        .await
        .into_iter()
        .filter_map(|message| match message {
            Message::Sms(sms) => Some(sms.language),
            Message::Mail(_) => None,
        })
        .collect();
    assert_eq!(languages, ["de"], "the language in which erin enrolled, not the one of the page");
}

fn is_in_files(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(&path, text);
        }
        fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    })
}

#[tokio::test]
async fn no_code_is_in_the_data_folder_or_on_a_page() {
    let (app, mut alice) = enrolled(|settings| {
        (settings.codes.by_mail, settings.codes.by_sms) = (false, true);
        settings.codes.length = 12;
        settings.codes.characters = Characters::LettersAndDigits;
    })
    .await;
    let page = alice.proves("unlock").await;
    app.restart().await;
    let code = app.latest_code().await;
    assert!(!page.html.contains(&code));
    let page = alice.enters_code(&format!("{code}X")).await;
    assert!(!page.html.contains(&code));
    app.restart().await;
    assert!(!is_in_files(&app.folder(), &code));
}

#[tokio::test]
async fn codes_to_one_address_are_bounded_whoever_asks() {
    let (app, _alice) = enrolled(|settings| {
        code_first(settings);
        settings.limits.codes_per_recipient_per_hour = 3;
    })
    .await;
    for _ in 0..5 {
        is_at(&app.visitor("alice").begins("reset").await, 200, "code");
    }
    assert_eq!(app.codes().await.len(), 3);
}
