//! An outsider learns nothing of an account from the pages (R5.7).

use std::time::Duration;

use regain::{
    directory::demo::{SAMPLE_PASSWORD, Standing},
    settings::{Order, Settings},
    testing::{Device, OneTimeCodes, Page, TestApp, Visitor},
};

/// What a stranger may type: a name nobody has, one not enrolled, and people of every standing.
const NAMES: [(&str, bool); 12] = [
    ("nobody", false),
    ("o'brien", false),
    ("alice", true),
    ("bob", false),
    ("dave", false),
    ("erin", true),
    ("carol", true),
    ("grace", false),
    ("admin", false),
    // These enroll first, and are locked out, disabled and made administrators then.
    ("frank", true),
    ("heidi", true),
    ("müller", true),
];

async fn people() -> (TestApp, Vec<Visitor>) {
    people_with(|_| ()).await
}

async fn people_with(change: impl FnOnce(&mut Settings)) -> (TestApp, Vec<Visitor>) {
    let app = TestApp::new().with_settings(change).start().await;
    let mut visitors = Vec::new();
    for (name, enrolled) in NAMES {
        let mut visitor = app.visitor(name);
        if enrolled {
            visitor.enrolls().await;
        }
        visitors.push(visitor.elsewhere());
    }
    app.becomes("frank", Standing::LockedOut);
    app.becomes("heidi", Standing::Disabled);
    app.becomes("müller", Standing::Administrator);
    (app, visitors)
}

/// The page but for token, reference, the name that was typed, and the question.
fn masked(page: &Page, name: &str) -> String {
    let mut html = page.masked();
    if let Some(question) = page.question() {
        let at = html.find("<label class=\"asked\"").unwrap();
        let end = at + html[at..].find("</label>").unwrap();
        assert!(question.ends_with('?'));
        html.replace_range(at..end, "");
    }
    // Every challenge is another one.
    if let Some(at) = html.find("data-options=\"") {
        let start = at + "data-options=\"".len();
        let end = start + html[start..].find('"').unwrap();
        assert!(
            html[start..end].contains("allowCredentials&quot;:[]")
                || !html[start..end].contains("allowCredentials")
        );
        html.replace_range(start..end, "");
    }
    let escaped = name.replace('\'', "&#x27;");
    html.replace(&format!(">{escaped}<"), ">NAME<").replace(&format!("\"{escaped}\""), "\"NAME\"")
}

fn are_alike(pages: &[(Page, String)]) {
    for (page, name) in &pages[1..] {
        let (first, first_name) = &pages[0];
        assert_eq!(page.status, first.status, "{name}: {}", page.text());
        assert_eq!(masked(page, name), masked(first, first_name), "{name} and {first_name}");
        let headers = |page: &Page| {
            let mut headers = page.masked_headers();
            headers.retain(|(name, _)| name != "content-length");
            headers
        };
        assert_eq!(headers(page), headers(first), "{name} and {first_name}");
    }
}

#[tokio::test]
async fn the_first_steps_of_reset_and_unlock_are_alike_for_every_name() {
    for flow in ["reset", "unlock"] {
        let (_app, visitors) = people().await;
        let mut steps: Vec<Vec<(Page, String)>> = vec![Vec::new(); 8];
        for visitor in visitors {
            let mut visitor = visitor.elsewhere();
            let name = visitor.name.clone();
            visitor.open(&format!("/{flow}")).await;
            let posted = visitor.post(&[("username", &name), ("domain", "DEMO")]).await;
            steps[0].push((posted, name.clone()));
            let page = visitor.open(&format!("/{flow}")).await;
            steps[1].push((page, name.clone()));
            for number in 0..5 {
                let page = visitor.submit(&[("answer", &format!("guess {number}"))]).await;
                steps[2 + number].push((page, name.clone()));
            }
            let page = visitor.elsewhere().begins(flow).await;
            steps[7].push((page, name));
        }
        let codes: Vec<u16> = steps.iter().map(|pages| pages[0].0.code()).collect();
        assert_eq!(codes, [303, 200, 422, 422, 422, 422, 403, 403]);
        for pages in &steps {
            are_alike(pages);
        }
    }
}

/// What a stranger does at a code step, one after the other.
#[derive(Clone, Copy)]
enum Deed {
    Post,
    Look,
    Guess(u32),
    Repeat,
    Resend,
    Wait(u64),
    BeginAnew,
    /// Asks for another way.
    Use(&'static str),
    /// Gives something for a passkey.
    Sign,
}

/// Each does the same in lockstep; the pages of each deed.
async fn do_alike(
    app: &TestApp,
    visitors: &[Visitor],
    flow: &str,
    deeds: &[Deed],
) -> Vec<Vec<(Page, String)>> {
    let path = format!("/{flow}");
    let mut all = Vec::new();
    let mut visitors: Vec<Visitor> = visitors.iter().map(Visitor::elsewhere).collect();
    for visitor in &mut visitors {
        visitor.open(&path).await;
    }
    for deed in deeds {
        if let Deed::Wait(seconds) = deed {
            app.advance(Duration::from_secs(*seconds));
            continue;
        }
        let mut pages = Vec::new();
        for visitor in &mut visitors {
            let name = visitor.name.clone();
            let page = match deed {
                Deed::Post => visitor.post(&[("username", &name), ("domain", "DEMO")]).await,
                Deed::Guess(number) => visitor.enters_code(&format!("guess {number}")).await,
                Deed::Repeat => visitor.enters_code("guess 1").await,
                Deed::Resend => visitor.asks_for_another_code().await,
                Deed::Use(word) => visitor.submit(&[("action", word)]).await,
                Deed::Sign => visitor.submit(&[("credential", "{\"id\":\"x\"}")]).await,
                Deed::BeginAnew => visitor.elsewhere().begins(flow).await,
                Deed::Look | Deed::Wait(_) => visitor.open(&path).await,
            };
            pages.push((page, name));
        }
        all.push(pages);
    }
    all
}

#[tokio::test]
async fn with_the_code_first_every_step_is_alike_for_every_name() {
    use Deed::{BeginAnew, Guess, Look, Post, Repeat, Resend, Wait};
    for (automatic, counts, flow) in [(false, true, "reset"), (true, false, "unlock"), (true, true, "reset")]
    {
        let (app, visitors) = people_with(|settings| {
            settings.codes.by_mail = true;
            settings.codes.order = Some(Order::CodeFirst);
            settings.codes.automatic_enrollment = automatic;
            settings.codes.count_wrong_codes = counts;
            settings.security.idle_timeout_seconds = 0;
        })
        .await;
        // Enrolled, but can't be reached; the other has never enrolled.
        for name in ["erin", "o'brien"] {
            assert!(app.directory("DEMO").demo().move_to(name, None, None));
        }
        let deeds = [
            Post,
            Look,
            Guess(1),
            Repeat,
            Resend,
            Wait(60),
            Resend,
            Guess(1),
            Guess(2),
            Wait(600),
            Guess(3),
            Resend,
            Guess(3),
            Resend,
            BeginAnew,
            Guess(4),
            Look,
            BeginAnew,
        ];
        let steps = do_alike(&app, &visitors, flow, &deeds).await;
        let codes: Vec<u16> = steps.iter().map(|pages| pages[0].0.code()).collect();
        let last = if counts { 403 } else { 429 };
        assert_eq!(
            codes,
            [303, 200, 422, 422, 422, 200, 422, 422, 422, 200, 422, 422, 200, last, 200, last],
            "{automatic} {counts}"
        );
        for pages in &steps {
            are_alike(pages);
        }
        let mut reached: Vec<String> = app.codes().await.into_iter().map(|(to, _)| to).collect();
        reached.sort();
        reached.dedup();
        let carol = usize::from(automatic);
        assert!(reached.len() >= 3 + carol, "{reached:?}");
    }
}

#[tokio::test]
async fn every_other_way_is_alike_for_every_name() {
    use Deed::{BeginAnew, Guess, Look, Post, Repeat, Sign, Use};
    for (order, questions, flow) in [
        (Order::CodeFirst, true, "reset"),
        (Order::QuestionsFirst, true, "unlock"),
        (Order::CodeFirst, false, "unlock"),
    ] {
        let (app, visitors) = people_with(|settings| {
            settings.codes.by_mail = true;
            settings.codes.order = Some(order);
            settings.methods.questions = questions;
            settings.methods.authenticator_app = true;
            settings.methods.recovery_codes = true;
            settings.methods.passkeys = true;
        })
        .await;
        // One of them has an app and recovery codes, one a passkey, the others nothing of it.
        for (name, ways) in [("alice", &["app", "recovery_code"][..]), ("erin", &["passkey"])] {
            let mut visitor = app.visitor(name);
            visitor.open("/enroll").await;
            let password = visitor.password.clone();
            visitor.submit(&[("username", name), ("domain", "DEMO"), ("password", &password)]).await;
            for way in ways {
                let page = visitor.asks_to(&format!("add-{way}")).await;
                match *way {
                    "app" => {
                        let code = OneTimeCodes::read(&page).code(&app, 0);
                        visitor.enters_code(&code).await;
                    }
                    "passkey" => {
                        let mut device = Device::at("https://reset.demo.example");
                        let made = device.make(&page.passkey_options());
                        visitor.submit(&[("credential", &made), ("name", "x")]).await;
                    }
                    _ => drop(visitor.asks_to("kept").await),
                }
            }
            let key = app.account(name).await.key;
            let enrollment = app.enrollment(&key).await.unwrap();
            assert_eq!(enrollment.app.is_some(), ways.contains(&"app"));
            assert_eq!(enrollment.passkeys.is_empty(), !ways.contains(&"passkey"));
        }
        let first = if order == Order::CodeFirst { "use-code" } else { "use-questions" };
        let deeds = [
            Post,
            Look,
            Use("use-app"),
            Look,
            Guess(1),
            Repeat,
            Use("use-recovery_code"),
            Guess(2),
            Use("use-passkey"),
            Look,
            Sign,
            Look,
            Use(first),
            Use("use-questions"),
            Use("use-passkey"),
            Use("use-app"),
            Guess(3),
            BeginAnew,
            Use("use-recovery_code"),
            Guess(4),
            Guess(5),
            Look,
            BeginAnew,
        ];
        let steps = do_alike(&app, &visitors, flow, &deeds).await;
        let codes: Vec<u16> = steps.iter().map(|pages| pages[0].0.code()).collect();
        let ends =
            [303, 200, 200, 200, 422, 422, 200, 422, 200, 200, 422, 200, 200, 200, 200, 200, 422, 200, 200];
        assert_eq!(codes[..19], ends, "{order:?}");
        assert_eq!(codes[19..], [422, 403, 200, 403], "{order:?}");
        for pages in &steps {
            are_alike(pages);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_answered_alike_for_every_name() {
    let (_app, visitors) = people().await;
    let mut enrolling: Vec<Vec<(Page, String)>> = vec![Vec::new(); 6];
    let mut changing: Vec<Vec<(Page, String)>> = vec![Vec::new(); 8];
    for visitor in visitors {
        let name = visitor.name.clone();
        let mut stranger = visitor.elsewhere();
        for step in &mut enrolling[..3] {
            let fields = stranger.elsewhere().fills_enroll().await;
            stranger.open("/enroll").await;
            let fields: Vec<_> = fields
                .iter()
                .map(|(n, v)| (n.as_str(), if n == "password" { "Wrong-Horse-1" } else { v.as_str() }))
                .collect();
            step.push((stranger.submit(&fields).await, name.clone()));
        }
        for step in &mut enrolling[3..] {
            stranger.open("/enroll").await;
            let fields = [("username", name.as_str()), ("domain", "DEMO"), ("password", "Wrong-Horse-2")];
            step.push((stranger.submit(&fields).await, name.clone()));
        }
        let mut stranger = visitor.elsewhere();
        changing[0].push((stranger.begins("change").await, name.clone()));
        for (step, new) in changing[1..].iter_mut().zip([
            "Battery-Staple-2",
            "short",
            "Alice-Example-1",
            "Battery-Staple-2",
            SAMPLE_PASSWORD,
            "alllowercase",
            "Battery-Staple-2",
        ]) {
            let old = "Wrong-Horse-3";
            let fields = [("old_password", old), ("new_password", new), ("confirm_password", new)];
            step.push((stranger.submit(&fields).await, name.clone()));
        }
    }
    for pages in enrolling.iter().chain(&changing[1..]) {
        assert_eq!(pages[0].0.code(), 422, "{}", pages[0].0.text());
        are_alike(pages);
    }
    are_alike(&changing[0]);
}

#[tokio::test]
async fn an_account_locked_in_the_directory_answers_even_the_right_password_like_a_wrong_one() {
    let (app, _) = TestApp::new().with_user("bob").await;
    let mut pages = Vec::new();
    for (name, password) in
        [("bob", SAMPLE_PASSWORD), ("nobody", SAMPLE_PASSWORD), ("alice", "Wrong-Horse-1")]
    {
        let mut visitor = app.visitor(name);
        visitor.begins("change").await;
        let new = "Battery-Staple-2";
        let fields = [("old_password", password), ("new_password", new), ("confirm_password", new)];
        pages.push((visitor.submit(&fields).await, name.to_owned()));
    }
    are_alike(&pages);
}

#[tokio::test]
async fn a_name_always_has_the_same_question_in_every_spelling_session_and_run() {
    let app = TestApp::new().start().await;
    for spellings in [
        &["nobody", "NOBODY", "Nobody ", " nobody", "DEMO\\nobody", "nobody@demo.example", "NoBody@DEMO"][..],
        &["heidi", "HEIDI", "demo.example\\Heidi", "heidi@DEMO.example"],
    ] {
        let mut questions = Vec::new();
        for (number, spelling) in spellings.iter().enumerate() {
            let address = [192, 0, 2, u8::try_from(number).unwrap()];
            let mut visitor = app.visitor(spelling).from(address);
            for flow in ["reset", "unlock"] {
                questions.push(visitor.begins(flow).await.question().unwrap());
            }
            if number == 2 {
                app.restart().await;
                app.advance(Duration::from_secs(60 * 60 * 24));
            }
        }
        assert!(questions.windows(2).all(|two| two[0] == two[1]), "{questions:?}");
    }
    let mut all = std::collections::BTreeSet::new();
    for number in 0..40 {
        all.insert(app.visitor(&format!("nobody{number}")).begins("reset").await.question().unwrap());
    }
    assert!(all.len() > 5, "different names have different questions: {all:?}");
}

#[tokio::test]
async fn an_unknown_name_is_limited_and_counted_in_every_spelling_alike() {
    let app = TestApp::new().start().await;
    for spelling in ["nobody", "NOBODY", "DEMO\\nobody", "nobody@demo.example", "nobody "] {
        let mut visitor = app.visitor(spelling);
        visitor.begins("reset").await;
        visitor.answers("a guess").await;
    }
    assert_eq!(app.visitor("Nobody").begins("unlock").await.code(), 403);
    assert_eq!(app.visitor("nobody").of("LAB").begins("unlock").await.code(), 200);
}
