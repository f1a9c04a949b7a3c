//! What people are told: queued with the step it belongs to, sent later, lost never.

use regain::{
    domain::message::{Mail, Message},
    testing::{StoreMood, TestApp},
};

async fn mails(app: &TestApp) -> Vec<Mail> {
    let mails = app.sent().await.into_iter().map(|message| match message {
        Message::Mail(mail) => mail,
        Message::Sms(_) => panic!("no text message was asked for"),
    });
    mails.collect()
}

async fn told(app: &TestApp) -> Vec<(String, String)> {
    mails(app).await.into_iter().map(|mail| (mail.to.as_str().to_owned(), mail.subject)).collect()
}

#[tokio::test]
async fn each_thing_done_is_told_to_every_known_address_once() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|settings| {
            settings.enroll.ask_email = true;
            settings.alerts.reset.bcc = vec!["help@corp.example".into(), "ALICE@demo.example".into()];
        })
        .with_user("alice")
        .await;
    alice.enrolls().await;
    alice.resets_password("Another-Horse-2").await;
    alice.unlocks().await;
    let told = told(&app).await;
    let own = ["alice@demo.example", "mary@elsewhere.example"];
    // That she enrolled is told where she was known before; to the new address goes the code that confirms it, then
    // that it is confirmed.
    let all = [&own[..], &own[..], &[own[0], own[1], "help@corp.example"], &own[..]];
    let mut expected: Vec<_> = all.concat();
    let mut recipients: Vec<_> = told.iter().map(|(to, _)| to.as_str()).collect();
    // In order for each of them only.
    expected.sort_unstable();
    recipients.sort_unstable();
    assert_eq!(recipients, expected, "{told:?}");
    for (to, first) in [(own[0], "enrolled"), (own[1], "confirm your e-mail address")] {
        let subjects: Vec<_> = told.iter().filter(|(one, _)| one == to).map(|(_, subject)| subject).collect();
        assert_eq!(subjects.len(), 4, "{subjects:?}");
        for (subject, part) in subjects.iter().zip([first, "prove it", "reset", "unlocked"]) {
            assert!(subject.contains(part), "{subject}");
        }
    }
}

#[tokio::test]
async fn what_fails_is_told_if_that_is_wanted_and_a_lockout_in_any_case() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|settings| settings.alerts.reset_failed.enabled = true)
        .with_user("alice")
        .await;
    alice.enrolls().await;
    alice.begins("reset").await;
    for n in 0..5 {
        alice.answers(&format!("surely not {n}")).await;
    }
    let told = told(&app).await;
    assert_eq!(told.len(), 1 + 5 + 1, "{told:?}");
}

#[tokio::test]
async fn nobody_is_told_of_a_name_that_does_not_exist() {
    let (app, mut nobody) = TestApp::new()
        .with_settings(|settings| settings.alerts.reset_failed.enabled = true)
        .with_user("nobody")
        .await;
    nobody.begins("reset").await;
    nobody.answers("surely not").await;
    assert!(told(&app).await.is_empty());
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_a_crash_and_is_sent_once() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    app.restart().await;
    app.crash().await;
    assert_eq!(told(&app).await.len(), 1);
    app.restart().await;
    assert!(told(&app).await.is_empty(), "it was taken out when it was sent");
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again_when_the_store_could_not_be_told() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    // The alert becomes a mail; the mail is sent while nothing can be written.
    let services = app.site().services.clone();
    let go = tokio_util::sync::CancellationToken::new();
    app.store_behaves(StoreMood::ReadOnlyAfter(1));
    for _ in 0..3 {
        regain::flows::outbox::deliver(&services, &go).await.unwrap();
    }
    app.store_behaves(StoreMood::Well);
    assert_eq!(told(&app).await.len(), 1);
}

#[tokio::test]
async fn the_demo_shows_what_it_would_have_sent_and_nobody_else_does() {
    let (app, mut alice) = TestApp::new().as_demo().with_user("alice").await;
    assert!(alice.get("/demo/outbox").await.text().contains("Nothing yet"));
    alice.enrolls().await;
    app.sent().await;
    let page = alice.get("/demo/outbox").await;
    assert!(page.text().contains("alice@demo.example"), "{}", page.text());
    let json: serde_json::Value = serde_json::from_str(&alice.get("/demo/outbox.json").await.html).unwrap();
    let first = &json[0];
    for key in ["subject", "body", "time"] {
        assert!(!first[key].as_str().unwrap().is_empty(), "{json}");
    }
    assert_eq!((first["channel"].as_str(), first["to"].as_str()), (Some("mail"), Some("alice@demo.example")));

    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    assert_eq!(visitor.get("/demo/outbox").await.code(), 404);
    assert_eq!(visitor.get("/demo/outbox.json").await.code(), 404);
}

#[tokio::test]
async fn the_sender_wakes_up_when_something_is_to_be_told() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    let services = app.site().services.clone();
    let stop = tokio_util::sync::CancellationToken::new();
    let jobs = tokio::spawn(regain::jobs::run(services.clone(), stop.clone()));
    alice.enrolls().await;
    for expected in 1..=5 {
        let told = async {
            while services.notifier.kept().unwrap().len() < expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("it slept");
        alice = alice.elsewhere();
        alice.enrolls().await;
    }
    stop.cancel();
    jobs.await.unwrap();
}

#[tokio::test]
async fn whoever_puts_another_address_in_place_is_not_the_only_one_to_hear_of_it() {
    let (app, mut alice) =
        TestApp::new().with_settings(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    alice.enrolls().await;
    let key = app.account("alice").await.key;
    let before = told(&app).await.len();
    let mut again = alice.elsewhere();
    let mut fields = again.fills_enroll().await;
    for (name, value) in &mut fields {
        if name == "email" {
            *value = "stranger@mail.example".into();
        }
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(again.submit(&fields).await.step(), "code");
    assert_eq!(app.enrollment(&key).await.unwrap().email.unwrap().as_str(), "mary@elsewhere.example");
    assert_eq!(again.enters_latest_code().await.step(), "finished");
    assert_eq!(app.enrollment(&key).await.unwrap().email.unwrap().as_str(), "stranger@mail.example");
    let mut to: Vec<_> = told(&app).await.drain(before..).map(|(to, _)| to).collect();
    to.sort();
    // Enrolled, and confirmed; the code and the latter to the new address.
    let [alice, mary, stranger] = ["alice@demo.example", "mary@elsewhere.example", "stranger@mail.example"];
    assert_eq!(to, [alice, alice, mary, mary, stranger, stranger]);
}

#[tokio::test]
async fn those_who_run_it_are_told_once_an_hour_that_no_more_text_messages_are_sent() {
    let app = TestApp::new()
        .with_settings(|settings| {
            settings.codes.by_sms = true;
            settings.codes.automatic_enrollment = true;
            settings.limits.text_messages_per_hour = 2;
            settings.general.language = "de".into();
            settings.alerts.operators = vec!["admin@corp.example".into()];
        })
        .start()
        .await;
    let begins = async |names: &[&str]| {
        for name in names {
            app.visitor(name).begins("unlock").await;
        }
        let mails = app.sent().await.into_iter().filter_map(|message| match message {
            Message::Mail(mail) if mail.to.as_str() == "admin@corp.example" => Some(mail),
            _ => None,
        });
        mails.collect::<Vec<_>>()
    };
    assert_eq!(begins(&["alice", "erin"]).await.len(), 0);
    let told = begins(&["carol", "frank", "heidi"]).await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].subject.contains("keine SMS mehr") && told[0].text.contains("DEMO\\carol"),
        "{}",
        told[0].text
    );
    assert!(!told[0].text.contains("Helpdesk") && !told[0].html.as_ref().unwrap().contains("Helpdesk"));
    app.advance(std::time::Duration::from_secs(60 * 60));
    assert_eq!(begins(&["alice", "erin"]).await.len(), 1);
    assert_eq!(begins(&["carol", "frank"]).await.len(), 2);
}
