//! What people come for: enroll, reset, unlock, change; and who is refused, and when.

use std::time::Duration;

use regain::{
    directory::demo::{SAMPLE_PASSWORD, Standing},
    domain::audit::{Action, Outcome},
    testing::{Page, TestApp, Visitor},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NEW: &str = "Battery-Staple-2";

/// Whether the directory takes this as the account's password.
async fn logs_on(app: &TestApp, name: &str, password: &str) -> bool {
    use regain::{
        directory::{Directory as _, PasswordCheck},
        domain::secret::{Password, SecretText},
    };
    let account = app.account(name).await;
    let password = Password::parse(SecretText::new(password.to_owned())).unwrap();
    matches!(
        app.directory("DEMO").demo().verify_password(&account, &password).await.unwrap(),
        PasswordCheck::Right
    )
}

fn is_refused(page: &Page, flow: &str) {
    assert_eq!(
        (page.code(), page.flow().as_str(), page.step().as_str()),
        (403, flow, "error"),
        "{}",
        page.text()
    );
    assert!(page.reference().starts_with("R-"), "{}", page.text());
}

#[tokio::test]
async fn whoever_enrolled_can_reset_a_forgotten_password() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut at_another_computer = alice.elsewhere();
    at_another_computer.resets_password(NEW).await;
    assert!(logs_on(&app, "alice", NEW).await);
    assert!(!logs_on(&app, "alice", SAMPLE_PASSWORD).await);
    let alice = app.account("alice").await;
    let enrollment = app.enrollment(&alice.key).await.unwrap();
    assert!(enrollment.reset_at.is_some());
    let told: Vec<_> = app.events().await.iter().map(|event| (event.action, event.outcome)).collect();
    let (enroll, reset) = (Action::Enroll, Action::Reset);
    let (intent, success) = (Outcome::Intent, Outcome::Success);
    assert_eq!(told, [(enroll, success), (reset, intent), (reset, success)]);
}

#[tokio::test]
async fn a_reset_ends_the_directorys_lockout_too() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    for _ in 0..5 {
        logs_on(&app, "alice", "guess").await;
    }
    assert!(app.account("alice").await.locked);
    alice.elsewhere().resets_password(NEW).await;
    assert!(!app.account("alice").await.locked);
}

#[tokio::test]
async fn whoever_is_locked_out_unlocks_the_account_and_keeps_the_password() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    for _ in 0..5 {
        logs_on(&app, "alice", "guess").await;
    }
    let page = alice.elsewhere().unlocks().await;
    assert!(page.text().contains("Your account is unlocked"), "{}", page.text());
    assert!(logs_on(&app, "alice", SAMPLE_PASSWORD).await);
}

#[tokio::test]
async fn unlock_says_so_when_the_account_was_not_locked() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let page = alice.elsewhere().unlocks().await;
    assert!(page.text().contains("Your account was not locked"), "{}", page.text());
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.changes_password(NEW).await;
    assert!(logs_on(&app, "alice", NEW).await);
}

#[tokio::test]
async fn an_expired_password_and_one_that_must_be_changed_can_be_changed() {
    let (app, mut carol) = TestApp::new().with_user("carol").await;
    carol.changes_password(NEW).await;
    assert!(logs_on(&app, "carol", NEW).await);
    app.visitor("erin").changes_password(NEW).await;
    assert!(logs_on(&app, "erin", NEW).await);
}

#[tokio::test]
async fn whoever_must_change_the_password_can_enroll_and_reset() {
    let (app, mut carol) = TestApp::new().with_user("carol").await;
    carol.enrolls().await;
    carol.resets_password(NEW).await;
    assert!(logs_on(&app, "carol", NEW).await);
}

#[tokio::test]
async fn every_way_of_writing_ones_name_leads_to_the_same_account() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    for (name, domain) in [
        ("ALICE", "DEMO"),
        (" alice", "demo.example"),
        ("DEMO\\alice", "LAB"),
        ("demo.example\\Alice", ""),
        ("alice@demo.example", "LAB"),
        ("alice@DEMO", ""),
    ] {
        let mut visitor = alice.elsewhere();
        (visitor.name, visitor.domain) = (name.to_owned(), domain.to_owned());
        assert_eq!(visitor.proves("unlock").await.step(), "finished", "{name} {domain}");
    }
    let mut other = alice.elsewhere().of("LAB");
    other.begins("reset").await;
    assert_eq!(other.answers("Blåhaj no. 1").await.code(), 422);
    assert_eq!(app.tally(&app.account_in("LAB", "alice").await.key).await.wrong_answers, 1);
}

#[tokio::test]
async fn names_with_signs_and_other_scripts_are_served() {
    for name in ["o'brien", "müller", "trail ", "日本", "pat.obrien@demo.example"] {
        let (_app, mut person) = TestApp::new().with_user(name).await;
        person.enrolls().await;
        person.unlocks().await;
        person.changes_password(NEW).await;
        person.resets_password("Another-Horse-3").await;
    }
}

#[tokio::test]
async fn a_renamed_user_keeps_the_enrollment_and_a_recreated_one_does_not_inherit_it() {
    let (app, mut ivan) = TestApp::new().with_user("ivan").await;
    ivan = ivan.of("LAB");
    ivan.enrolls().await;
    let lab = app.directory("LAB").demo();
    assert!(lab.rename("ivan", "ivan.petrov"));
    let mut renamed = ivan.elsewhere();
    renamed.name = "ivan.petrov".into();
    renamed.unlocks().await;
    assert!(lab.remove("ivan.petrov"));
    let user = regain::directory::demo::SAMPLE_USERS.iter().find(|user| user.name == "ivan").unwrap();
    lab.add(user, 1);
    ivan = ivan.elsewhere();
    ivan.begins("reset").await;
    for answer in ivan.answers.clone().values() {
        assert_ne!(ivan.clone().answers(answer).await.step(), "password");
        assert_eq!(ivan.answers(answer).await.step(), "question");
    }
}

#[tokio::test]
async fn enrolling_again_replaces_questions_and_answers() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let first = app.enrollment(&app.account("alice").await.key).await.unwrap();
    app.advance(DAY);
    let mut again = alice.elsewhere();
    let page = again.open("/enroll").await;
    let questions: Vec<String> = (1..=3).map(|n| page.options("question1")[n + 3].0.clone()).collect();
    let fields = [
        ("username", "alice"),
        ("domain", "DEMO"),
        ("password", SAMPLE_PASSWORD),
        ("question1", &questions[0]),
        ("answer1", "one new"),
        ("question2", &questions[1]),
        ("answer2", "two new"),
        ("question3", &questions[2]),
        ("answer3", "three new"),
    ];
    assert_eq!(again.submit(&fields).await.step(), "finished");
    let second = app.enrollment(&app.account("alice").await.key).await.unwrap();
    assert!(second.enrolled_at > first.enrolled_at);
    again.answers =
        questions.into_iter().zip(["one new", "two new", "three new"].map(str::to_owned)).collect();
    again.elsewhere().unlocks().await;
}

#[tokio::test]
async fn whoever_proves_the_password_first_sees_the_questions_of_before() {
    let (_app, mut alice) =
        TestApp::new().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    alice.enrolls().await;
    let mut again = alice.elsewhere();
    let page = again.open("/enroll").await;
    assert_eq!(page.value("question1"), None);
    let page =
        again.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await;
    assert_eq!((page.code(), page.step().as_str()), (200, "credentials"));
    for number in 1..=3 {
        let chosen = page.value(&format!("question{number}")).unwrap();
        assert!(alice.answers.contains_key(&chosen), "{chosen}");
        assert_eq!(page.value(&format!("answer{number}")).unwrap_or_default(), "");
    }
    assert_eq!(page.value("email").unwrap(), "mary@elsewhere.example");
}

#[tokio::test]
async fn a_wrong_enrollment_names_every_fault_and_keeps_what_was_chosen() {
    let (app, mut alice) =
        TestApp::new().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    let page = alice.open("/enroll").await;
    let options = page.options("question1");
    let (first, second) = (&options[1].0, &options[2].0);
    let fields = [
        ("username", "alice"),
        ("domain", "DEMO"),
        ("password", SAMPLE_PASSWORD),
        ("email", "no address"),
        ("question1", first),
        ("answer1", "ab"),
        ("question2", first),
        ("answer2", ""),
        ("question3", second),
        ("answer3", "alice"),
    ];
    let page = alice.submit(&fields).await;
    assert_eq!(page.code(), 422);
    for field in ["email", "answer1", "question2", "answer2", "answer3"] {
        assert!(page.is_invalid(field), "{field}: {}", page.alert());
    }
    assert!(!page.is_invalid("question1") && !page.is_invalid("question3"));
    assert_eq!(page.alerts(), 1);
    for said in ["E-mail address", "Answer 1", "Question 2", "Answer 2", "Answer 3"] {
        assert!(page.alert().contains(said), "{said}: {}", page.alert());
    }
    assert_eq!(page.value("question1").unwrap(), *first);
    for number in 1..=3 {
        assert_eq!(page.value(&format!("answer{number}")).unwrap_or_default(), "");
    }
    assert!(app.enrollment(&app.account("alice").await.key).await.is_none());
    // Twice the same answer, and one that is part of its question.
    let third = &options[3].0;
    let part = first.split(' ').find(|word| word.len() > 4).unwrap();
    let fields = [
        ("email", "mary@corp.example"),
        ("question1", first),
        ("answer1", part),
        ("question2", second),
        ("answer2", "twice"),
        ("question3", third),
        ("answer3", "T w i c e !"),
    ];
    let page = alice.submit(&fields).await;
    assert_eq!(page.code(), 422, "{}", page.text());
    assert!(page.is_invalid("answer1") && page.is_invalid("answer3"), "{}", page.alert());
    assert!(!page.is_invalid("answer2"));
    assert!(app.events().await.iter().all(|event| event.outcome == Outcome::Failure));
}

#[tokio::test]
async fn own_questions_are_written_kept_and_asked() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|s| (s.enroll.questions, s.enroll.own_questions) = (4, 2))
        .with_user("alice")
        .await;
    alice.enrolls().await;
    let page = alice.elsewhere().open("/enroll").await;
    let kinds: Vec<_> = (1..=4).map(|n| page.kind(&format!("question{n}")).unwrap()).collect();
    assert_eq!(kinds, ["select", "select", "text", "text"]);
    alice.elsewhere().resets_password(NEW).await;
    assert_eq!(app.enrollment(&app.account("alice").await.key).await.unwrap().questions.len(), 4);
    let mut lazy = app.visitor("erin");
    let fields = lazy.fills_enroll().await;
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), if name == "question4" { "why?" } else { value.as_str() }))
        .collect();
    let page = lazy.submit(&fields).await;
    assert!(page.code() == 422 && page.is_invalid("question4"), "{}", page.text());
}

#[tokio::test]
async fn the_e_mail_address_is_kept_when_it_is_asked_for() {
    let (app, mut alice) =
        TestApp::new().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    alice.enrolls().await;
    let enrollment = app.enrollment(&app.account("alice").await.key).await.unwrap();
    assert_eq!(enrollment.email.unwrap().as_str(), "mary@elsewhere.example");
}

#[tokio::test]
async fn disabled_expired_and_privileged_accounts_are_refused_but_only_told_so_when_proved() {
    for (name, said) in
        [("dave", "switched off"), ("grace", "has expired"), ("admin", "Not for administrators")]
    {
        let (app, mut person) = TestApp::new().with_user(name).await;
        let fields = person.fills_enroll().await;
        let wrong: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), if n == "password" { "Wrong-Horse-1" } else { v.as_str() }))
            .collect();
        let page = person.submit(&wrong).await;
        assert_eq!(page.code(), 422, "{name}");
        let right: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let page = person.submit(&right).await;
        is_refused(&page, "enroll");
        assert!(page.text().contains(said), "{name}: {}", page.text());
        assert!(app.enrollment(&app.account(name).await.key).await.is_none());

        let mut person = app.visitor(name);
        person.begins("change").await;
        let new = [("new_password", NEW), ("confirm_password", NEW)];
        let page = person.submit(&[&[("old_password", "Wrong-Horse-1")], &new[..]].concat()).await;
        assert_eq!(page.code(), 422, "{name}");
        let page = person.submit(&[&[("old_password", SAMPLE_PASSWORD)], &new[..]].concat()).await;
        is_refused(&page, "change");
        assert!(page.text().contains(said), "{name}: {}", page.text());
        assert_eq!(app.directory("DEMO").writes(), 0);
    }
}

#[tokio::test]
async fn who_may_not_change_the_password_is_told_so_only_with_the_right_one() {
    let (app, mut frank) = TestApp::new().with_user("frank").await;
    let new = [("new_password", NEW), ("confirm_password", NEW)];
    frank.begins("change").await;
    let page = frank.submit(&[&[("old_password", "Wrong-Horse-1")], &new[..]].concat()).await;
    assert_eq!(page.code(), 422);
    let page = frank.submit(&[&[("old_password", SAMPLE_PASSWORD)], &new[..]].concat()).await;
    is_refused(&page, "change");
    assert!(page.text().contains("managed for you"), "{}", page.text());
    assert!(logs_on(&app, "frank", SAMPLE_PASSWORD).await);
}

#[tokio::test]
async fn the_old_password_the_new_one_and_its_repetition_are_judged() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.begins("change").await;
    for (old, new, confirm, field, said) in [
        (SAMPLE_PASSWORD, NEW, "Battery-Staple-3", "confirm_password", "not the same"),
        (SAMPLE_PASSWORD, SAMPLE_PASSWORD, SAMPLE_PASSWORD, "new_password", "your current one"),
        (SAMPLE_PASSWORD, "Ab-1", "Ab-1", "new_password", "at least 8"),
        (SAMPLE_PASSWORD, "alllowercase", "alllowercase", "new_password", "too simple"),
        (SAMPLE_PASSWORD, "My-Example-77", "My-Example-77", "new_password", "your name"),
        ("", NEW, NEW, "old_password", "fill this in"),
        (SAMPLE_PASSWORD, "", "", "new_password", "fill this in"),
        ("Wrong-Horse-1", NEW, NEW, "old_password", "together they don’t fit"),
    ] {
        let page = alice
            .submit(&[("old_password", old), ("new_password", new), ("confirm_password", confirm)])
            .await;
        assert_eq!((page.code(), page.step().as_str()), (422, "credentials"), "{old} {new} {confirm}");
        assert!(page.is_invalid(field), "{field} {}", page.alert());
        assert!(page.alert().contains(said), "{said}: {}", page.alert());
        assert_eq!(page.alerts(), 1);
        for field in ["old_password", "new_password", "confirm_password"] {
            assert_eq!(page.value(field).unwrap_or_default(), "");
        }
    }
    let page = alice
        .submit(&[("old_password", SAMPLE_PASSWORD), ("new_password", NEW), ("confirm_password", NEW)])
        .await;
    assert_eq!(page.step(), "finished", "{}", page.text());
    assert!(logs_on(&app, "alice", NEW).await);
}

#[tokio::test]
async fn the_directorys_history_is_translated_and_the_reset_goes_on_without_proving_again() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let page = alice.proves("reset").await;
    assert!(page.text().contains("Not one of your last 3 passwords"), "{}", page.text());
    let same = [("new_password", SAMPLE_PASSWORD), ("confirm_password", SAMPLE_PASSWORD)];
    let page = alice.submit(&same).await;
    assert_eq!((page.code(), page.step().as_str()), (422, "password"), "{}", page.text());
    assert!(page.alert().contains("used this one before"), "{}", page.alert());
    assert!(page.is_invalid("new_password"));
    assert_eq!(alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await.step(), "finished");
}

#[tokio::test]
async fn a_reset_too_soon_is_refused_with_the_days_left() {
    let (app, alice) = TestApp::new().with_user("alice").await;
    let mut alice = alice.of("LAB");
    alice.enrolls().await;
    alice.elsewhere().resets_password("Battery-Staple-22").await;
    // The laboratory's minimum age is one day.
    let page = alice.elsewhere().proves("reset").await;
    is_refused(&page, "reset");
    assert!(page.text().contains("Days still to wait: 1"), "{}", page.text());
    app.set(|s| s.security.minimum_days_between_resets = 3);
    app.advance(DAY + Duration::from_secs(1));
    let page = alice.elsewhere().proves("reset").await;
    assert!(page.text().contains("Days still to wait: 2"), "{}", page.text());
    app.advance(2 * DAY);
    alice.elsewhere().resets_password("Battery-Staple-33").await;
}

#[tokio::test]
async fn after_a_reset_the_password_must_be_changed_if_the_admin_wants_it() {
    let (app, mut alice) =
        TestApp::new().with_settings(|s| s.security.must_change_after_reset = true).with_user("alice").await;
    alice.enrolls().await;
    let page = alice.resets_password(NEW).await;
    assert!(page.text().contains("At your next logon"), "{}", page.text());
    assert_eq!(app.account("alice").await.password_last_set, 0);
    let mut heidi = app.visitor("heidi");
    heidi.enrolls().await;
    let page = heidi.resets_password(NEW).await;
    assert!(!page.text().contains("At your next logon"), "{}", page.text());
    assert_ne!(app.account("heidi").await.password_last_set, 0);
}

#[tokio::test]
async fn friendly_messages_say_that_one_is_not_enrolled() {
    let (_app, mut alice) =
        TestApp::new().with_settings(|s| s.security.friendly_messages = true).with_user("alice").await;
    let page = alice.begins("reset").await;
    is_refused(&page, "reset");
    assert!(page.text().contains("need to have enrolled"), "{}", page.text());
}

#[tokio::test]
async fn whoever_enrolled_and_was_refused_since_is_told_so_after_the_last_answer_only() {
    for (standing, said) in [
        (Standing::Disabled, "switched off"),
        (Standing::AccountExpired, "has expired"),
        (Standing::Administrator, "Not for administrators"),
    ] {
        for flow in ["reset", "unlock"] {
            let (app, mut alice) = TestApp::new().with_user("alice").await;
            alice.enrolls().await;
            app.becomes("alice", standing);
            let mut alice = alice.elsewhere();
            alice.begins(flow).await;
            for number in 1..=3 {
                let page = alice.answers("wrong").await;
                assert_eq!((page.code(), page.step().as_str()), (422, "question"), "{number}");
                let answer = alice.right_answer();
                let page = alice.answers(&answer).await;
                if number < 3 {
                    assert_eq!(page.step(), "question");
                } else {
                    is_refused(&page, flow);
                    assert!(page.text().contains(said), "{}", page.text());
                }
            }
            assert_eq!(app.directory("DEMO").writes(), 0);
        }
    }
}

#[tokio::test]
async fn an_account_that_is_refused_after_it_was_proved_is_not_written_to() {
    for standing in [Standing::Disabled, Standing::Administrator] {
        let (app, mut alice) = TestApp::new().with_user("alice").await;
        alice.enrolls().await;
        alice.proves("reset").await;
        let mut enrolling = alice.elsewhere();
        enrolling.open("/enroll").await;
        enrolling.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await;
        app.becomes("alice", standing);
        is_refused(&alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await, "reset");
        let fields = alice.elsewhere().fills_enroll().await;
        let fields: Vec<_> = fields.iter().skip(3).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        is_refused(&enrolling.submit(&fields).await, "enroll");
        assert_eq!(app.directory("DEMO").writes(), 0);
    }
}

#[tokio::test]
async fn an_account_that_goes_while_it_is_proved_is_refused() {
    let (app, ivan) = TestApp::new().with_user("ivan").await;
    let mut ivan = ivan.of("LAB");
    ivan.enrolls().await;
    let page = ivan.proves("reset").await;
    assert_eq!(page.step(), "password");
    app.directory("LAB").demo().remove("ivan");
    let page = ivan.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await;
    is_refused(&page, "reset");
}

async fn cancels(mut visitor: Visitor, flow: &str) {
    visitor.begins(flow).await;
    let page = visitor.post(&[("action", "cancel")]).await;
    assert_eq!((page.code(), page.location()), (303, Some("/")));
    assert_eq!(visitor.open(&format!("/{flow}")).await.step(), "identify");
}

#[tokio::test]
async fn cancel_leads_back_to_the_menu_and_ends_the_flow() {
    let (_app, alice) = TestApp::new().with_user("alice").await;
    for flow in ["reset", "unlock", "change"] {
        cancels(alice.elsewhere(), flow).await;
    }
}
