//! Further ways of proving who one is: authenticator apps, passkeys, recovery codes; how many are needed, how they are
//! looked after, and what they withstand (R3.7, R5.9).

use std::{fs, path::Path, time::Duration};

use regain::{
    domain::{audit::Action, message::Message},
    settings::{Addresses, Order, Settings},
    testing::{Device, DirectoryMood, OneTimeCodes, Page, Setup, TestApp, Visitor},
};

const NEW: &str = "Battery-Staple-2";
const ORIGIN: &str = "https://reset.demo.example";

/// Everything that can be added, and questions; codes are sent only where a story says so.
fn with(change: impl FnOnce(&mut Settings)) -> Setup {
    TestApp::new().with_settings(|settings| {
        settings.methods.authenticator_app = true;
        settings.methods.passkeys = true;
        settings.methods.recovery_codes = true;
        settings.methods.needed = Some(2);
        settings.limits.codes_per_recipient_per_hour = 0;
        settings.limits.codes_per_recipient_per_day = 0;
        change(settings);
    })
}

async fn enrolled(change: impl FnOnce(&mut Settings)) -> (TestApp, Visitor) {
    let (app, mut alice) = with(change).with_user("alice").await;
    let fields = alice.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    is_at(&alice.submit(&fields).await, 200, "credentials");
    (app, alice)
}

fn is_at(page: &Page, code: u16, step: &str) {
    assert_eq!((page.code(), page.step().as_str()), (code, step), "{}", page.text());
}

fn says(page: &Page, text: &str) {
    assert!(page.text().contains(text), "{text}: {}", page.text());
}

/// Comes back and looks after the ways in: name and password are enough.
async fn comes_back(alice: &Visitor) -> Visitor {
    let mut alice = alice.elsewhere();
    alice.open("/enroll").await;
    let (name, domain, password) = (alice.name.clone(), alice.domain.clone(), alice.password.clone());
    let page = alice.submit(&[("username", &name), ("domain", &domain), ("password", &password)]).await;
    is_at(&page, 200, "credentials");
    alice
}

async fn adds_app(app: &TestApp, alice: &mut Visitor) -> OneTimeCodes {
    let page = alice.asks_to("add-app").await;
    assert_eq!((page.method().as_str(), page.step().as_str()), ("app", "credentials"), "{}", page.text());
    let codes = OneTimeCodes::read(&page);
    let page = alice.enters_code(&codes.code(app, 0)).await;
    says(&page, "Your authenticator app is set up");
    app.advance(Duration::from_secs(30));
    codes
}

async fn adds_passkey(alice: &mut Visitor, name: &str) -> Device {
    let page = alice.asks_to("add-passkey").await;
    let mut device = Device::at(ORIGIN);
    let answer = device.make(&page.passkey_options());
    let page = alice.submit(&[("credential", &answer), ("name", name)]).await;
    says(&page, "Your passkey is added");
    device
}

/// The recovery codes on a page.
fn recovery_codes_on(page: &Page) -> Vec<String> {
    let list = page.html.split("<ol class=\"recovery-codes\"").nth(1).expect("no recovery codes are shown");
    let list = list.split("</ol>").next().unwrap();
    list.split("<code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

async fn keeps_recovery_codes(alice: &mut Visitor) -> Vec<String> {
    let codes = recovery_codes_on(&alice.asks_to("add-recovery_code").await);
    says(&alice.asks_to("kept").await, "Your recovery codes work now");
    codes
}

/// Signs with the passkey that the page asks for.
async fn signs(visitor: &mut Visitor, device: &mut Device) -> Page {
    let options = visitor.page.as_ref().unwrap().passkey_options();
    let answer = device.sign(&options);
    visitor.submit(&[("credential", &answer)]).await
}

#[tokio::test]
async fn questions_and_an_app_are_two_ways_and_its_codes_are_good_once() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let page = alice.asks_to("add-app").await;
    assert!(page.html.contains("<svg class=\"qr\"") && page.html.contains("role=\"img\""));
    let codes = OneTimeCodes::read(&page);
    says(&alice.enters_code("000000").await, "Wait for the next one");
    assert_eq!(OneTimeCodes::read(&alice.open("/enroll").await).code(&app, 0), codes.code(&app, 0));
    says(&alice.enters_code(&codes.code(&app, 0)).await, "Your authenticator app is set up");
    is_at(&alice.asks_to("finish").await, 200, "finished");

    let mut alice = alice.elsewhere();
    is_at(&alice.proves("reset").await, 200, "code");
    assert_eq!(alice.page.as_ref().unwrap().method(), "app");
    let page = alice.enters_code(&codes.code(&app, 0)).await;
    is_at(&page, 422, "code");
    assert!(page.alert().contains("it was used before"), "the code it was set up with: {}", page.alert());
    app.advance(Duration::from_secs(30));
    let code = codes.code(&app, 0);
    let mut other = alice.elsewhere();
    is_at(&other.proves("unlock").await, 200, "code");
    let typed = format!("{} {}", &code[..3], &code[3..]);
    is_at(&alice.enters_code(&typed).await, 200, "password");
    is_at(&other.enters_code(&code).await, 422, "code");
    is_at(&other.enters_code(&codes.code(&app, -1)).await, 422, "code");
    is_at(&other.enters_code(&codes.code(&app, 2)).await, 422, "code");
    is_at(&other.enters_code(&codes.code(&app, 1)).await, 200, "finished");
    is_at(&alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await, 200, "finished");
}

#[tokio::test]
async fn a_passkey_is_made_for_this_host_and_signs_in_the_place_of_a_code() {
    let (app, mut alice) = enrolled(|settings| settings.codes.by_mail = true).await;
    let mut device = adds_passkey(&mut alice, " My phone ").await;
    says(alice.page.as_ref().unwrap(), "My phone");
    assert!(app.codes().await.is_empty());
    let mut alice = alice.elsewhere();
    let page = alice.proves("reset").await;
    is_at(&page, 200, "code");
    assert_eq!(page.deeds(), ["cancel", "resend", "use-passkey"]);
    let page = alice.asks_to("use-passkey").await;
    assert_eq!((page.method().as_str(), page.code()), ("passkey", 200));
    assert_eq!(page.deeds(), ["cancel", "use-code"]);
    is_at(&signs(&mut alice, &mut device).await, 200, "password");
    is_at(&alice.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await, 200, "finished");
    let key = app.account("alice").await.key;
    assert!(app.enrollment(&key).await.unwrap().passkeys[0].used_at.is_some());
}

#[tokio::test]
async fn a_passkey_that_is_a_copy_or_of_another_place_person_or_time_is_refused() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let mut device = adds_passkey(&mut alice, "").await;
    let mut bob = app.visitor("erin");
    bob.fills_enroll().await;
    let fields = bob.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    bob.submit(&fields).await;
    let mut of_bob = adds_passkey(&mut bob, "").await;

    let mut visitor = alice.elsewhere();
    visitor.proves("unlock").await;
    let stale = device.sign(&visitor.page.as_ref().unwrap().passkey_options());
    let refused = async |visitor: &mut Visitor, answer: String| {
        let page = visitor.submit(&[("credential", &answer)]).await;
        is_at(&page, 422, "code");
        says(&page, "one we know for this account");
        visitor.page.as_ref().unwrap().passkey_options()
    };
    for junk in ["{}", "x", "null", "[]"] {
        refused(&mut visitor, junk.into()).await;
    }
    // Each try had a challenge of its own.
    let options = refused(&mut visitor, stale).await;
    let options = refused(&mut visitor, of_bob.sign(&options)).await;
    device.origin = "https://reset.demo.example.evil.example".into();
    let options = refused(&mut visitor, device.sign(&options)).await;
    device.origin = "https://reset.demo.example:8443".into();
    let options = refused(&mut visitor, device.sign(&options)).await;
    device.origin = ORIGIN.into();
    device.verifies = false;
    let options = refused(&mut visitor, device.sign(&options)).await;
    device.verifies = true;
    let answer = device.sign(&options);
    is_at(&visitor.submit(&[("credential", &answer)]).await, 200, "finished");

    // A copy has signed less often than the original.
    device.counter -= 1;
    let mut visitor = alice.elsewhere();
    visitor.proves("unlock").await;
    let answer = device.sign(&visitor.page.as_ref().unwrap().passkey_options());
    let options = refused(&mut visitor, answer).await;
    device.counter += 5;
    let answer = device.sign(&options);
    is_at(&visitor.submit(&[("credential", &answer)]).await, 200, "finished");
}

#[tokio::test]
async fn the_same_device_makes_one_passkey_for_an_account_and_there_is_an_end_to_them() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let mut device = adds_passkey(&mut alice, "").await;
    let page = alice.asks_to("add-passkey").await;
    let options = page.passkey_options();
    assert_eq!(options["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(options["publicKey"]["user"]["name"], "DEMO\\alice");
    let answer = device.make(&options);
    let page = alice.submit(&[("credential", &answer), ("name", "")]).await;
    says(&page, "has a passkey for this account already");
    says(&alice.submit(&[("credential", ""), ("name", "x")]).await, "The device gave no passkey");
    alice.asks_to("back").await;
    for number in 2..=10 {
        adds_passkey(&mut alice, &number.to_string()).await;
    }
    says(&alice.asks_to("add-passkey").await, "as many passkeys as there can be");
    let key = app.account("alice").await.key;
    let third = app.enrollment(&key).await.unwrap().passkeys[2].id.clone();
    says(&alice.asks_to(&format!("remove-passkey-{third}")).await, "The passkey is removed");
    let left = app.enrollment(&key).await.unwrap().passkeys;
    assert!(left.len() == 9 && left.iter().all(|passkey| passkey.id != third));
}

#[tokio::test]
async fn recovery_codes_are_shown_until_kept_and_each_is_good_once() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let key = app.account("alice").await.key;
    let page = alice.asks_to("add-recovery_code").await;
    let first = recovery_codes_on(&page);
    assert_eq!(first.len(), 8);
    assert!(first.iter().all(|code| code.len() == 17 && code.split('-').count() == 3), "{first:?}");
    assert_eq!(recovery_codes_on(&alice.open("/enroll").await), first, "a reload loses nothing");
    assert!(app.enrollment(&key).await.unwrap().recovery_codes.is_none(), "they are not good yet");
    alice.asks_to("back").await;
    assert!(app.enrollment(&key).await.unwrap().recovery_codes.is_none());
    let codes = keeps_recovery_codes(&mut alice).await;
    assert!(!alice.open("/enroll").await.html.contains(&codes[0]), "never again");
    assert!(codes.iter().all(|code| !first.contains(code)));

    let mut visitor = alice.elsewhere();
    visitor.proves("unlock").await;
    assert_eq!(visitor.page.as_ref().unwrap().method(), "recovery_code");
    is_at(&visitor.enters_code(&first[0]).await, 422, "code");
    is_at(&visitor.enters_code("").await, 422, "code");
    let page = visitor.enters_code(&codes[3].replace('-', " ").to_lowercase()).await;
    is_at(&page, 200, "finished");
    says(&page, "You have used one of your recovery codes");
    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    is_at(&visitor.enters_code(&codes[3]).await, 422, "code");
    is_at(&visitor.enters_code(&codes[4]).await, 200, "password");
    let mut alice = comes_back(&alice).await;
    says(alice.page.as_ref().unwrap(), "Codes left: 6");
    let anew = keeps_recovery_codes(&mut alice).await;
    let mut visitor = alice.elsewhere();
    visitor.proves("unlock").await;
    is_at(&visitor.enters_code(&codes[5]).await, 422, "code");
    is_at(&visitor.enters_code(&anew[0]).await, 200, "finished");
}

#[tokio::test]
async fn one_recovery_code_in_two_browsers_lets_one_of_them_in() {
    let (_app, mut alice) = enrolled(|_| ()).await;
    let codes = keeps_recovery_codes(&mut alice).await;
    let (mut here, mut there) = (alice.elsewhere(), alice.elsewhere());
    here.proves("unlock").await;
    there.proves("reset").await;
    let (one, other) = tokio::join!(here.enters_code(&codes[0]), there.enters_code(&codes[0]));
    let mut codes = [one.code(), other.code()];
    codes.sort_unstable();
    assert_eq!(codes, [200, 422], "{} {}", one.text(), other.text());
}

#[tokio::test]
async fn without_mail_at_hand_an_app_and_a_recovery_code_do() {
    let (app, mut alice) = enrolled(|settings| {
        settings.codes.by_mail = true;
        settings.codes.order = Some(Order::CodeFirst);
    })
    .await;
    let codes = adds_app(&app, &mut alice).await;
    let on_paper = keeps_recovery_codes(&mut alice).await;
    let mut alice = alice.elsewhere();
    let page = alice.begins("reset").await;
    is_at(&page, 200, "code");
    assert_eq!(page.deeds(), ["cancel", "resend", "use-passkey", "use-app", "use-recovery_code"]);
    let page = alice.asks_to("use-app").await;
    assert_eq!(page.method(), "app");
    assert_eq!(page.deeds(), ["cancel", "use-code", "use-passkey", "use-recovery_code"]);
    let page = alice.enters_code(&codes.code(&app, 0)).await;
    // Something is proved: what she has is known now, and what she turned away from comes last.
    assert_eq!((page.code(), page.step().as_str(), page.method().as_str()), (200, "code", "recovery_code"));
    assert_eq!(page.deeds(), ["cancel", "use-code"]);
    is_at(&alice.enters_code(&on_paper[0]).await, 200, "password");
}

#[tokio::test]
async fn going_back_and_forth_sends_no_second_code_and_keeps_what_was_answered() {
    let (app, mut alice) = enrolled(|settings| settings.codes.by_mail = true).await;
    adds_app(&app, &mut alice).await;
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    let answer = alice.right_answer();
    alice.answers(&answer).await;
    let second = alice.page.as_ref().unwrap().question();
    assert_eq!(alice.asks_to("use-app").await.method(), "app");
    let page = alice.asks_to("use-questions").await;
    assert_eq!(page.question(), second, "not from the first one again");
    assert_eq!(alice.answers_all().await.step(), "code");
    for _ in 0..5 {
        alice.asks_to("use-app").await;
        is_at(&alice.asks_to("use-code").await, 200, "code");
    }
    assert_eq!(app.codes().await.len(), 1);
    // What was proved is not asked for again.
    assert!(!alice.page.as_ref().unwrap().deeds().contains(&"use-questions".to_owned()));
    for word in ["use-questions", "use-nonsense", "use-", "add-app", "finish", "kept"] {
        let page = alice.submit(&[("code", ""), ("action", word)]).await;
        assert_ne!(page.step(), "password", "{word}");
        assert_ne!(page.step(), "question", "{word}");
    }
    is_at(&alice.enters_latest_code().await, 200, "password");
}

#[tokio::test]
async fn whoever_has_too_few_ways_is_told_while_it_can_be_mended_and_after_the_first_proof() {
    let (app, mut alice) = enrolled(|settings| settings.methods.needed = Some(3)).await;
    says(alice.page.as_ref().unwrap(), "Ways still missing: 2");
    let page = alice.asks_to("finish").await;
    is_at(&page, 200, "finished");
    says(&page, "Not quite ready yet");
    let mut visitor = alice.elsewhere();
    let page = visitor.proves("reset").await;
    is_at(&page, 403, "error");
    says(&page, "We need one more proof");
    let mut alice = comes_back(&alice).await;
    let codes = adds_app(&app, &mut alice).await;
    let on_paper = keeps_recovery_codes(&mut alice).await;
    says(&alice.asks_to("finish").await, "All is set");
    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    visitor.enters_code(&codes.code(&app, 0)).await;
    is_at(&visitor.enters_code(&on_paper[0]).await, 200, "password");
}

#[tokio::test]
async fn without_questions_nobody_is_asked_any_and_old_answers_are_forgotten() {
    let (app, alice) = enrolled(|settings| settings.codes.by_mail = true).await;
    let key = app.account("alice").await.key;
    assert_eq!(app.enrollment(&key).await.unwrap().questions.len(), 3);
    app.set(|settings| {
        settings.methods.questions = false;
        settings.methods.needed = None;
    });
    app.run_jobs().await;
    assert_eq!(app.enrollment(&key).await.unwrap().questions.len(), 3, "a switch can be turned back");
    app.advance(Duration::from_secs(24 * 60 * 60 + 1));
    app.run_jobs().await;
    assert_eq!(app.enrollment(&key).await.unwrap().questions, [], "forgotten, not only hidden");
    let has_no_question = |page: &Page| {
        for word in ["question", "Question", "answer"] {
            assert!(!page.text().contains(word), "{word}: {}", page.text());
        }
    };
    let mut alice = alice.elsewhere();
    let page = alice.open("/enroll").await;
    has_no_question(&page);
    assert_eq!(page.fields(), ["csrf", "username", "domain", "password"]);
    let mut alice = comes_back(&alice).await;
    has_no_question(alice.page.as_ref().unwrap());
    says(alice.page.as_ref().unwrap(), "Ways still missing: 1");
    let mut device = adds_passkey(&mut alice, "").await;
    is_at(&alice.asks_to("finish").await, 200, "finished");

    let mut alice = alice.elsewhere();
    let page = alice.begins("reset").await;
    is_at(&page, 200, "code");
    has_no_question(&page);
    let page = alice.enters_latest_code().await;
    assert_eq!(page.method(), "passkey");
    has_no_question(&page);
    is_at(&signs(&mut alice, &mut device).await, 200, "password");
    // A code alone is not enough, whoever asks for it.
    let mut erin = app.visitor("erin");
    erin.begins("reset").await;
    assert!(app.codes().await.iter().all(|(to, _)| to.starts_with("alice")), "{:?}", app.codes().await);
}

#[tokio::test]
async fn with_questions_off_and_automatic_enrollment_a_code_alone_still_does() {
    let (app, mut erin) = with(|settings| {
        settings.codes.by_mail = true;
        settings.codes.automatic_enrollment = true;
        settings.methods.questions = false;
        settings.methods.needed = None;
    })
    .with_user("erin")
    .await;
    is_at(&erin.begins("unlock").await, 200, "code");
    is_at(&erin.enters_latest_code().await, 200, "finished");
    // Who has set up more needs more.
    let mut erin = comes_back(&erin).await;
    let codes = adds_app(&app, &mut erin).await;
    erin.asks_to("finish").await;
    let mut erin = erin.elsewhere();
    erin.begins("unlock").await;
    let page = erin.enters_latest_code().await;
    assert_eq!((page.step().as_str(), page.method().as_str()), ("code", "app"));
    is_at(&erin.enters_code(&codes.code(&app, 0)).await, 200, "finished");
}

#[tokio::test]
async fn a_person_without_an_address_goes_on_with_what_else_they_have() {
    let (app, mut alice) = enrolled(|settings| settings.codes.by_mail = true).await;
    let codes = adds_app(&app, &mut alice).await;
    assert!(app.directory("DEMO").demo().move_to("alice", None, None));
    let mut alice = alice.elsewhere();
    let page = alice.proves("unlock").await;
    assert_eq!(page.method(), "app", "{}", page.text());
    is_at(&alice.enters_code(&codes.code(&app, 0)).await, 200, "finished");
}

#[tokio::test]
async fn wrong_codes_of_an_app_are_counted_with_all_others_and_right_mails_renew_no_tries() {
    for counts in [true, false] {
        let (app, mut alice) = enrolled(|settings| {
            settings.codes.by_mail = true;
            settings.codes.order = Some(Order::CodeFirst);
            settings.codes.count_wrong_codes = counts;
        })
        .await;
        adds_app(&app, &mut alice).await;
        let mut wrong = 0;
        // Someone who reads the mail, but doesn't have the phone.
        'all: for _ in 0..5 {
            let mut thief = alice.elsewhere();
            if thief.begins("reset").await.step() != "code" {
                break;
            }
            let page = thief.enters_latest_code().await;
            assert_eq!(page.method(), "app", "{}", page.text());
            for _ in 0..3 {
                wrong += 1;
                let page = thief.enters_code(&format!("guess {wrong}")).await;
                if page.code() != 422 {
                    assert_eq!(page.code(), if counts { 403 } else { 429 });
                    break 'all;
                }
            }
        }
        assert_eq!(wrong, 5, "{counts}");
    }
}

#[tokio::test]
async fn parallel_guesses_share_no_try() {
    let (app, mut alice) = enrolled(|_| ()).await;
    adds_app(&app, &mut alice).await;
    let mut visitors = Vec::new();
    for number in 0..12_u8 {
        let mut visitor = alice.elsewhere().from([192, 0, 2, number]);
        visitor.proves("unlock").await;
        visitors.push(visitor);
    }
    let guesses = visitors
        .iter_mut()
        .enumerate()
        .map(|(number, visitor)| async move { visitor.enters_code(&format!("guess {number}")).await.code() });
    let codes = futures_util::future::join_all(guesses).await;
    assert_eq!(codes.iter().filter(|code| **code == 422).count(), 4, "{codes:?}");
    let key = app.account("alice").await.key;
    assert!(app.tally(&key).await.locked_at.is_some());
}

#[tokio::test]
async fn what_is_removed_or_switched_off_meanwhile_proves_nothing() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let codes = adds_app(&app, &mut alice).await;
    let mut device = adds_passkey(&mut alice, "").await;
    let (mut early, mut late) = (alice.elsewhere(), alice.elsewhere());
    early.begins("reset").await;
    assert_eq!(early.asks_to("use-passkey").await.method(), "passkey");
    late.proves("reset").await;
    assert_eq!(late.page.as_ref().unwrap().method(), "passkey");
    let key = app.account("alice").await.key;
    let id = app.enrollment(&key).await.unwrap().passkeys[0].id.clone();
    alice.asks_to(&format!("remove-passkey-{id}")).await;
    // Before anything is proved it is no more than a passkey that isn't known; after it, all has to be proved anew.
    is_at(&signs(&mut early, &mut device).await, 422, "code");
    is_at(&signs(&mut late, &mut device).await, 403, "error");

    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    assert_eq!(visitor.page.as_ref().unwrap().method(), "app");
    app.set(|settings| settings.methods.authenticator_app = false);
    assert_eq!(alice.asks_to("add-app").await.method(), "", "it is not offered any more");
    is_at(&visitor.enters_code(&codes.code(&app, 0)).await, 403, "error");
    // Nor is a proof good that was made before that.
    app.set(|settings| settings.methods.authenticator_app = true);
    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    is_at(&visitor.enters_code(&codes.code(&app, 0)).await, 200, "password");
    app.set(|settings| settings.methods.authenticator_app = false);
    is_at(&visitor.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await, 403, "error");
}

#[tokio::test]
async fn every_change_is_told_and_written_down_and_none_is_done_twice() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let before = app.sent().await.len();
    let codes = adds_app(&app, &mut alice).await;
    let old = alice.clone();
    keeps_recovery_codes(&mut alice).await;
    alice.asks_to("remove-app").await;
    // A form of before does nothing.
    let mut late = old.clone();
    late.page.clone_from(&old.page);
    assert_eq!(late.post(&[("action", "remove-recovery_code")]).await.code(), 303);
    let key = app.account("alice").await.key;
    assert_eq!(app.enrollment(&key).await.unwrap().recovery_codes.unwrap().left.len(), 8);
    let events = app.events().await;
    let changes: Vec<_> = events
        .iter()
        .filter(|event| event.action == Action::Methods)
        .map(|event| event.detail.as_str())
        .collect();
    assert_eq!(changes, ["app_added", "recovery_codes_made", "app_removed"]);
    let told = app.sent().await.split_off(before);
    assert_eq!(told.len(), 3);
    for message in told {
        let Message::Mail(mail) = message else { panic!("a mail") };
        assert!(
            mail.subject.contains("how you prove it’s you was changed")
                && mail.text.contains("If this was not you")
        );
    }
    drop(codes);
}

#[tokio::test]
async fn enrolling_anew_keeps_the_other_ways_and_a_lockout_makes_one_enroll_anew() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let codes = adds_app(&app, &mut alice).await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    for number in 0..5 {
        visitor.answers(&format!("guess {number}")).await;
    }
    let mut visitor = comes_back(&alice).await;
    let page = visitor.page.clone().unwrap();
    assert!(page.fields().iter().any(|field| field == "question1"), "{}", page.text());
    let mut again = alice.elsewhere();
    says(&again.enrolls().await, "You can use Reset and Unlock again");
    visitor = again.elsewhere();
    is_at(&visitor.proves("unlock").await, 200, "code");
    is_at(&visitor.enters_code(&codes.code(&app, 0)).await, 200, "finished");
    // From the overview one can choose questions and answers anew.
    let mut alice = comes_back(&again).await;
    let page = alice.asks_to("enroll").await;
    assert!(page.fields().iter().any(|field| field == "question1"), "{}", page.text());
}

#[tokio::test]
async fn an_address_gets_codes_only_once_it_is_confirmed() {
    let (app, mut alice) = with(|settings| {
        settings.enroll.ask_email = true;
        settings.codes.by_mail = true;
        settings.codes.addresses = Addresses::Regain;
    })
    .with_user("alice")
    .await;
    let key = app.account("alice").await.key;
    let fields = alice.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = alice.submit(&fields).await;
    is_at(&page, 200, "code");
    says(&page, "Confirm your e-mail address");
    says(&page, "mary@elsewhere.example");
    assert_eq!(page.fields(), ["csrf", "code", "action", "action"]);
    assert!(app.enrollment(&key).await.unwrap().email.is_none());
    let wrong = alice.wrong_code(1).await;
    is_at(&alice.enters_code(&wrong).await, 422, "code");
    is_at(&alice.asks_for_another_code().await, 422, "code");
    app.advance(Duration::from_secs(61));
    let first = app.latest_code().await;
    is_at(&alice.asks_for_another_code().await, 200, "code");
    is_at(&alice.enters_code(&first).await, 422, "code");
    // Left for later: no code goes there.
    let page = alice.asks_to("back").await;
    says(&page, "None");
    let sent = app.codes().await.len();
    let mut visitor = alice.elsewhere();
    let page = visitor.proves("unlock").await;
    is_at(&page, 403, "error");
    assert_eq!(app.codes().await.len(), sent);

    let mut again = alice.elsewhere();
    says(&again.enrolls().await, "You are enrolled");
    let enrollment = app.enrollment(&key).await.unwrap();
    assert!(enrollment.email_confirmed && enrollment.email.unwrap().as_str() == "mary@elsewhere.example");
    let mut visitor = again.elsewhere();
    is_at(&visitor.proves("unlock").await, 200, "code");
    is_at(&visitor.enters_latest_code().await, 200, "finished");
    // The same address again needs no other code.
    let sent = app.codes().await.len();
    again.elsewhere().enrolls().await;
    assert_eq!(app.codes().await.len(), sent);
}

#[tokio::test]
async fn guessing_the_code_to_an_address_ends_after_five() {
    let (app, mut alice) = with(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    let fields = alice.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    alice.submit(&fields).await;
    let mut codes = Vec::new();
    for number in 0..6 {
        codes.push(alice.enters_code(&format!("guess {number}")).await.code());
    }
    assert_eq!(codes, [422, 422, 422, 422, 422, 429]);
    assert!(app.enrollment(&app.account("alice").await.key).await.unwrap().email.is_none());
    // It is no lockout: what was enrolled is good.
    alice = alice.elsewhere();
    alice.fills_enroll().await;
    is_at(&alice.begins("unlock").await, 200, "question");
}

#[tokio::test]
async fn secrets_of_apps_and_recovery_codes_are_in_no_record() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let page = alice.asks_to("add-app").await;
    let key = page.html.split("<p class=\"typed\"><code dir=\"ltr\">").nth(1).unwrap();
    let key: String = key.split('<').next().unwrap().split(' ').collect();
    let codes = OneTimeCodes::read(&page);
    alice.enters_code(&codes.code(&app, 0)).await;
    let shown = recovery_codes_on(&alice.asks_to("add-recovery_code").await);
    app.restart().await;
    let mut all = Vec::new();
    collect(&app.folder(), &mut all);
    let is_there =
        |text: &str| all.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(is_there("recovery_codes"), "the store can be searched");
    assert!(!is_there(&key));
    for code in shown {
        assert!(!is_there(&code) && !is_there(&code.replace('-', "")));
    }
}

fn collect(folder: &Path, all: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, all);
        } else {
            all.push(fs::read(&path).unwrap());
        }
    }
}

/// Someone who knows the answers, and another way of hers, but not all that is needed.
async fn homeless(change: impl FnOnce(&mut Settings)) -> (TestApp, Visitor) {
    let (app, alice) = enrolled(|settings| {
        settings.codes.by_mail = true;
        settings.codes.without_destination = true;
        change(settings);
    })
    .await;
    assert!(app.directory("DEMO").demo().move_to("alice", None, None));
    (app, alice)
}

#[tokio::test]
async fn whoever_has_no_address_skips_the_code_only_where_nothing_else_is_left_to_prove() {
    // What she has beside the questions is asked for, whichever way one turns.
    let (app, mut alice) = homeless(|_| ()).await;
    adds_app(&app, &mut alice).await;
    let mut thief = alice.elsewhere();
    assert_eq!(thief.proves("reset").await.method(), "app");
    assert!(!thief.page.as_ref().unwrap().deeds().contains(&"use-code".to_owned()), "none can be sent");
    for word in ["use-code", "use-questions", "use-app", "resend"] {
        assert_ne!(thief.submit(&[("code", ""), ("action", word)]).await.step(), "password", "{word}");
    }
    // The code counts for one way, not for two.
    let (_app, alice) = homeless(|settings| settings.methods.needed = Some(3)).await;
    is_at(&alice.elsewhere().proves("reset").await, 403, "error");
    let (_app, alice) = homeless(|_| ()).await;
    is_at(&alice.elsewhere().proves("reset").await, 200, "password");
    // Where the code comes first, nobody gets around it.
    let (app, mut alice) = homeless(|settings| settings.codes.order = Some(Order::CodeFirst)).await;
    let codes = adds_app(&app, &mut alice).await;
    let mut thief = alice.elsewhere();
    thief.begins("reset").await;
    thief.asks_to("use-app").await;
    let page = thief.enters_code(&codes.code(&app, 0)).await;
    is_at(&page, 403, "error");
}

#[tokio::test]
async fn an_address_that_is_not_confirmed_is_no_reason_to_go_on_without_a_code() {
    let (app, mut alice) = with(|settings| {
        settings.enroll.ask_email = true;
        settings.enroll.confirm_email = false;
        settings.codes.by_mail = true;
        settings.codes.addresses = Addresses::Regain;
        settings.codes.without_destination = true;
    })
    .with_user("alice")
    .await;
    alice.enrolls().await;
    app.set(|settings| settings.enroll.confirm_email = true);
    is_at(&alice.elsewhere().proves("reset").await, 403, "error");
}

#[tokio::test]
async fn the_last_recovery_code_is_as_good_as_the_first_and_makes_nothing_easier() {
    for automatic in [false, true] {
        let (app, mut alice) = enrolled(|settings| {
            settings.methods.questions = false;
            settings.codes.by_mail = true;
            settings.codes.automatic_enrollment = automatic;
        })
        .await;
        let codes = keeps_recovery_codes(&mut alice).await;
        for (number, code) in codes.iter().enumerate() {
            let mut visitor = alice.elsewhere();
            visitor.begins("unlock").await;
            visitor.asks_to("use-recovery_code").await;
            let page = visitor.enters_code(code).await;
            is_at(&page, 200, "code");
            assert_eq!(page.method(), "", "the mailed code is still wanted: {number} {}", page.text());
            is_at(&visitor.enters_latest_code().await, 200, "finished");
        }
        // From then on a code alone is not enough either.
        let mut visitor = alice.elsewhere();
        visitor.begins("unlock").await;
        is_at(&visitor.enters_latest_code().await, 403, "error");
        assert_eq!(app.tally(&app.account("alice").await.key).await.wrong_codes, 0);
    }
}

#[tokio::test]
async fn what_was_proved_before_enrolling_anew_or_removing_a_way_is_worth_nothing() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let mut app_codes = adds_app(&app, &mut alice).await;
    let on_paper = keeps_recovery_codes(&mut alice).await;
    // Enrolled anew after the old answers were given.
    let mut thief = alice.elsewhere();
    is_at(&thief.proves("reset").await, 200, "code");
    let mut again = alice.elsewhere();
    again.enrolls().await;
    thief.asks_to("use-recovery_code").await;
    let page = thief.enters_code(&on_paper[0]).await;
    assert_ne!(page.step(), "password", "{}", page.text());
    // An app that was proved is removed.
    for at_password in [false, true] {
        let mut alice = comes_back(&again).await;
        let mut thief = alice.elsewhere();
        thief.begins("reset").await;
        thief.asks_to("use-app").await;
        is_at(&thief.enters_code(&app_codes.code(&app, 0)).await, 200, "code");
        is_at(&thief.asks_to("use-questions").await, 200, "question");
        app.advance(Duration::from_secs(30));
        thief.answers = again.answers.clone();
        if at_password {
            is_at(&thief.answers_all().await, 200, "password");
        }
        alice.asks_to("remove-app").await;
        let page = if at_password {
            thief.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await
        } else {
            let answer = thief.right_answer();
            for _ in 0..3 {
                thief.submit(&[("answer", &answer)]).await;
            }
            thief.page.clone().unwrap()
        };
        is_at(&page, 403, "error");
        app_codes = adds_app(&app, &mut alice).await;
    }
}

#[tokio::test]
async fn a_password_that_was_changed_closes_the_page_of_the_ways_that_it_opened() {
    let (app, alice) = enrolled(|_| ()).await;
    let (mut thief, mut other) = (comes_back(&alice).await, comes_back(&alice).await);
    is_at(&other.asks_to("enroll").await, 200, "credentials");
    app.advance(Duration::from_secs(1));
    alice.elsewhere().changes_password(NEW).await;
    is_at(&thief.asks_to("add-recovery_code").await, 403, "error");
    let key = app.account("alice").await.key;
    let before = app.enrollment(&key).await.unwrap();
    let fields = other.elsewhere().fills_enroll().await;
    let fields: Vec<_> = fields[3..].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    is_at(&other.submit(&fields).await, 403, "error");
    assert_eq!(app.enrollment(&key).await.unwrap(), before);
}

#[tokio::test]
async fn looking_at_ones_ways_changes_nothing_where_nothing_is_asked() {
    let (app, mut alice) = with(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    alice.enrolls().await;
    let key = app.account("alice").await.key;
    app.set(|settings| {
        settings.methods.questions = false;
        settings.enroll.ask_email = false;
    });
    let before = (app.enrollment(&key).await.unwrap(), app.sent().await.len());
    assert!(before.0.email_confirmed);
    app.advance(Duration::from_secs(5));
    let mut alice = comes_back(&alice).await;
    assert_eq!((app.enrollment(&key).await.unwrap(), app.sent().await.len()), before);
    // Enrolling anew keeps what isn't asked for.
    app.set(|settings| settings.methods.questions = true);
    alice = alice.elsewhere();
    alice.enrolls().await;
    assert_eq!(app.enrollment(&key).await.unwrap().email, before.0.email);
    // Who never enrolled does so with name and password.
    app.set(|settings| settings.methods.questions = false);
    let erin = comes_back(&app.visitor("erin")).await;
    assert!(app.enrollment(&app.account("erin").await.key).await.is_some());
    drop(erin);
}

#[tokio::test]
async fn confirming_addresses_is_no_way_of_mailing_many_strangers() {
    let (app, mut alice) = with(|settings| settings.enroll.ask_email = true).with_user("alice").await;
    for number in 0..30 {
        alice = alice.elsewhere();
        let fields = alice.fills_enroll().await;
        let address = format!("stranger{number}@mail.example");
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), if name == "email" { &address } else { value }.as_str()))
            .collect();
        alice.submit(&fields).await;
    }
    let strangers = app.sent().await.iter().filter(|message| message.to().starts_with("stranger")).count();
    assert_eq!(strangers, 10);
}

#[tokio::test]
async fn a_code_that_waits_is_used_and_no_second_one_is_sent() {
    let (app, mut alice) = enrolled(|settings| {
        settings.codes.by_mail = true;
        settings.codes.order = Some(Order::CodeFirst);
    })
    .await;
    let codes = adds_app(&app, &mut alice).await;
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    app.advance(Duration::from_secs(61));
    alice.asks_for_another_code().await;
    assert_eq!(app.codes().await.len(), 2);
    alice.asks_to("use-app").await;
    is_at(&alice.enters_code(&codes.code(&app, 0)).await, 200, "code");
    assert_eq!(app.codes().await.len(), 2, "it is the one that waits");
    is_at(&alice.enters_latest_code().await, 200, "password");
    // One that was never sent, since there was no address, is made then.
    assert!(app.directory("DEMO").demo().move_to("alice", None, None));
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    alice.asks_to("use-app").await;
    assert!(app.directory("DEMO").demo().move_to("alice", Some("late@demo.example"), None));
    app.advance(Duration::from_secs(30));
    is_at(&alice.enters_code(&codes.code(&app, 0)).await, 200, "code");
    assert_eq!(app.codes().await.last().unwrap().0, "late@demo.example");
    is_at(&alice.enters_latest_code().await, 200, "password");
}

#[tokio::test]
async fn nothing_is_used_up_when_nothing_comes_of_it() {
    let (app, mut alice) = enrolled(|_| ()).await;
    let codes = keeps_recovery_codes(&mut alice).await;
    let key = app.account("alice").await.key;
    let left = async || app.enrollment(&key).await.unwrap().recovery_codes.unwrap().left.len();
    let mut visitor = alice.elsewhere();
    visitor.proves("reset").await;
    app.directories_behave(DirectoryMood::Unavailable);
    is_at(&visitor.post(&[("code", &codes[0])]).await, 503, "error");
    app.directories_behave(DirectoryMood::Well);
    assert_eq!(left().await, 8);
    app.set(|settings| settings.methods.needed = Some(3));
    visitor.open("/reset").await;
    is_at(&visitor.enters_code(&codes[0]).await, 403, "error");
    assert_eq!(left().await, 8, "it would not have been enough");
    app.set(|settings| settings.methods.needed = Some(2));
    visitor.open("/reset").await;
    is_at(&visitor.enters_code(&codes[0]).await, 200, "password");
    assert_eq!(left().await, 7);
}

#[tokio::test]
async fn where_the_code_comes_first_questions_wait_for_it_whatever_else_is_proved() {
    let (app, mut alice) = enrolled(|settings| {
        settings.codes.by_mail = true;
        settings.codes.order = Some(Order::CodeFirst);
        settings.methods.needed = Some(3);
    })
    .await;
    let codes = adds_app(&app, &mut alice).await;
    let mut alice = alice.elsewhere();
    alice.begins("reset").await;
    alice.asks_to("use-app").await;
    let page = alice.enters_code(&codes.code(&app, 0)).await;
    assert!(!page.deeds().contains(&"use-questions".to_owned()), "{:?}", page.deeds());
    assert_ne!(alice.asks_to("use-questions").await.step(), "question");
    is_at(&alice.enters_latest_code().await, 200, "question");
}

#[tokio::test]
async fn refused_passkeys_end_it_after_a_while() {
    let (app, mut alice) = enrolled(|_| ()).await;
    adds_passkey(&mut alice, "").await;
    let mut visitor = app.visitor("nobody");
    visitor.begins("reset").await;
    visitor.asks_to("use-passkey").await;
    let mut codes = Vec::new();
    for _ in 0..11 {
        codes.push(visitor.submit(&[("credential", "{}")]).await.code());
    }
    assert!(codes[..9].iter().all(|code| *code == 422) && codes[9..] == [429, 403], "{codes:?}");
}

#[tokio::test]
async fn a_form_of_the_overview_is_not_taken_at_a_later_one() {
    let (app, mut alice) = enrolled(|_| ()).await;
    adds_app(&app, &mut alice).await;
    let mut alice = comes_back(&alice).await;
    let stale = alice.clone();
    alice.asks_to("enroll").await;
    let fields = alice.elsewhere().fills_enroll().await;
    let fields: Vec<_> = fields[3..].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    is_at(&alice.submit(&fields).await, 200, "credentials");
    let mut late = alice.clone();
    late.page.clone_from(&stale.page);
    late.post(&[("action", "remove-app")]).await;
    assert!(app.enrollment(&app.account("alice").await.key).await.unwrap().app.is_some());
}
