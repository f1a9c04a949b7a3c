//! All settings as one file: two appliances are set alike by it, and no secret is in clear anywhere on the way.

use std::time::Duration;

use poem::http::Method;
use regain::{
    domain::audit::{Action, Outcome},
    flows::change_settings::{self, Change, Edit, Editor},
    testing::{Page, TestApp, Visitor},
};
use toml::Value;

use crate::admin::{first_signs_in, is_at, sends, sets_up, token_of, with_groups};

const PATH: &str = "/admin/transfer";
const PASSPHRASE: &str = "Eine lange Passphrase";
const SECRETS: [&str; 2] = ["Papageientaucher", "Basic Lumpenbrei"];

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// An appliance that was set up by hand.
async fn set_up(app: &TestApp) {
    let edits = [
        ("general.product_name", text("Acme Reset")),
        ("security.idle_timeout_seconds", Value::Integer(120)),
        ("general.show_change", Value::Boolean(false)),
        ("mail.delivery", text("smtp")),
        ("mail.host", text("mail.demo.example")),
        ("mail.sender", text("a@demo.example")),
        ("mail.user", text("u")),
        ("mail.password", text(SECRETS[0])),
        ("sms.delivery", text("http")),
        ("sms.url", text("https://sms.example/send")),
        ("sms.body", text("[PHONE] [TEXT]")),
        ("sms.http_authorization", text(SECRETS[1])),
        (
            "enroll.question_list",
            Value::Table("en = ['Wer?', 'Wie \"hieß\" sie?', 'Wo, wann?']".parse().unwrap()),
        ),
    ];
    assert!(matches!(set(app, &edits).await, Change::Made(_)));
}

async fn set(app: &TestApp, edits: &[(&str, Value)]) -> Change {
    let services = &app.site().services;
    let editor = Editor { who: None, name: "console".into(), address: None, source: "setup" };
    let (version, _) = change_settings::load(services).await.unwrap();
    let edits =
        edits.iter().map(|(key, value)| Edit { key: (*key).into(), value: Some(value.clone()) }).collect();
    change_settings::change(services, &editor, version, edits).await.unwrap()
}

async fn settings(app: &TestApp) -> toml::Table {
    change_settings::load(&app.site().services).await.unwrap().1
}

async fn root(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

async fn exports(visitor: &mut Visitor, passphrase: &str) -> Page {
    visitor.open(PATH).await;
    let fields = [("passphrase", passphrase), ("confirm_passphrase", passphrase), ("action", "export")];
    let page = sends(visitor, PATH, &fields).await;
    is_at(&page, 200, "format = 1");
    assert_eq!(page.header("content-disposition"), "attachment; filename=\"regain-settings.toml\"");
    page
}

async fn looks(visitor: &mut Visitor, file: &str, passphrase: &str) -> Page {
    visitor.open(PATH).await;
    sends(visitor, PATH, &[("text", file), ("file_passphrase", passphrase), ("action", "look")]).await
}

async fn applies(visitor: &mut Visitor, page: &Page, secrets: &[(&str, &str)]) -> Page {
    let plan = page.value("plan").unwrap();
    let fields = [&[("plan", plan.as_str()), ("action", "apply")], secrets].concat();
    visitor.page = Some(page.clone());
    sends(visitor, PATH, &fields).await
}

fn has_no_secret(page: &Page) {
    for secret in SECRETS {
        assert!(!page.html.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn two_appliances_are_set_alike_secrets_and_all() {
    let (one, other) = (TestApp::new().start().await, TestApp::new().start().await);
    set_up(&one).await;
    // What is changed here and not there is as it is there afterwards: not at all.
    assert!(matches!(set(&other, &[("general.footer", text("a line"))]).await, Change::Made(_)));
    let file = exports(&mut root(&one).await, PASSPHRASE).await;
    has_no_secret(&file);
    assert!(
        file.html.contains("product_name = \"Acme Reset\"") && file.html.starts_with("# Settings of Regain")
    );
    let last = one.events().await.pop().unwrap();
    assert_eq!((last.action, last.detail.as_str()), (Action::Setting, "settings exported, secrets sealed"));
    assert_eq!(last.source_user.as_deref(), Some("root"));

    let mut visitor = root(&other).await;
    let page = looks(&mut visitor, &file.html, PASSPHRASE).await;
    is_at(&page, 200, "This would change");
    has_no_secret(&page);
    for change in [
        "general.product_name: \"Regain\" → \"Acme Reset\"",
        "general.footer: \"a line\" → \"\"",
        "security.idle_timeout_seconds: 300 → 120",
        "mail.password: changed",
    ] {
        assert!(page.text().contains(change), "{change}: {}", page.text());
    }
    let page = applies(&mut visitor, &page, &[]).await;
    is_at(&page, 200, "Saved. It holds from now on.");
    assert_eq!(settings(&other).await, settings(&one).await);
    assert_eq!(other.site().services.settings.load().general.product_name, "Acme Reset");
    let events = other.events().await;
    let told: Vec<_> = events.iter().filter(|event| event.source == "import").collect();
    assert!(told.len() == 14 && told.iter().all(|event| event.source_user.as_deref() == Some("root")));
    assert!(!events.iter().any(|event| SECRETS.iter().any(|secret| event.detail.contains(secret))));
    // And back: the file is the same, but for its salt.
    is_at(&looks(&mut visitor, &file.html, PASSPHRASE).await, 200, "Nothing would change");
    let again = exports(&mut visitor, "").await;
    let bare = |text: &str| {
        let mut table: toml::Table = text.parse().unwrap();
        table.remove("secrets");
        table
    };
    assert_eq!(bare(&again.html), bare(&file.html));
    let last = other.events().await.pop().unwrap().detail;
    assert_eq!(last, "settings exported, secrets left out");
    assert!(!again.html.contains("password"), "{}", again.html);
}

#[tokio::test]
async fn without_their_secrets_settings_keep_those_that_are_here_and_ask_for_those_that_are_not() {
    let (one, other) = (TestApp::new().start().await, TestApp::new().start().await);
    set_up(&one).await;
    let mut visitor = root(&one).await;
    let file = exports(&mut visitor, "").await.html;
    // Here they stay.
    let page = looks(&mut visitor, &file.replace("Acme Reset", "Acme"), "").await;
    is_at(&page, 200, "Passwords that stay as they are");
    assert!(page.text().contains("mail.password") && !page.text().contains("in the way"), "{}", page.text());
    is_at(&applies(&mut visitor, &page, &[]).await, 200, "Saved");
    assert_eq!(settings(&one).await["mail"]["password"].as_str(), Some(SECRETS[0]));
    // But they aren't sent to another place.
    let moved = file.replace("mail.demo.example", "evil.example");
    let page = looks(&mut visitor, &moved, "").await;
    is_at(&page, 200, "would be sent to another place");
    let page = applies(&mut visitor, &page, &[]).await;
    is_at(&page, 422, "Nothing was changed");
    assert!(page.fields().contains(&"secret.mail.password".to_owned()), "{:?}", page.fields());
    assert_eq!(settings(&one).await["mail"]["host"].as_str(), Some("mail.demo.example"));
    let page = applies(&mut visitor, &page, &[("secret.mail.password", "Neu-und-lang")]).await;
    is_at(&page, 200, "Saved");
    assert_eq!(settings(&one).await["mail"]["password"].as_str(), Some("Neu-und-lang"));
    // Or they go, if that is said.
    let page = looks(&mut visitor, "format = 1", "").await;
    is_at(&applies(&mut visitor, &page, &[]).await, 422, "would be sent to another place");
    let removed = [("secret.mail.password.remove", "on"), ("secret.sms.http_authorization.remove", "on")];
    is_at(&applies(&mut visitor, &page, &removed).await, 200, "Saved");
    assert_eq!(settings(&one).await, toml::Table::new());
    // Elsewhere they are needed.
    let mut visitor = root(&other).await;
    let page = looks(&mut visitor, &file, "").await;
    is_at(&page, 200, "is needed to log in as user");
    let page = applies(&mut visitor, &page, &[("secret.mail.password", SECRETS[0])]).await;
    is_at(&page, 200, "Saved");
    // Only what is a secret can be given so.
    let page = looks(&mut visitor, &file.replace("Acme Reset", "Acme"), "").await;
    for slipped in ["secret.general.footer", "secret.domain.0.dns_name", "secret.", "general.footer"] {
        let page = applies(&mut visitor, &page, &[(slipped, "x")]).await;
        assert_eq!(page.code(), 422, "{slipped}");
    }
}

#[tokio::test]
async fn a_wrong_passphrase_and_a_changed_file_are_answered_alike_and_tries_are_counted() {
    let app = TestApp::new().start().await;
    set_up(&app).await;
    let mut visitor = root(&app).await;
    let file = exports(&mut visitor, PASSPHRASE).await.html;
    let sealed = file.split("sealed = \"").nth(1).unwrap();
    let first = sealed.chars().next().unwrap();
    let spoilt = file.replace(
        &format!("sealed = \"{first}"),
        &format!("sealed = \"{}", if first == 'A' { 'B' } else { 'A' }),
    );
    let mut pages = Vec::new();
    for (file, passphrase) in [
        (&file, "Eine andere Passphrase"),
        (&spoilt, PASSPHRASE),
        // Secrets belong to the settings beside them.
        (&file.replace("mail.demo.example", "evil.example"), PASSPHRASE),
    ] {
        let page = looks(&mut visitor, file, passphrase).await;
        is_at(&page, 422, "it isn’t the right one, or the file is not as it was written");
        pages.push(page.masked());
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    // A right one clears the count; after five wrong ones it is no longer looked at.
    is_at(&looks(&mut visitor, &file, PASSPHRASE).await, 200, "Nothing would change");
    for _ in 0..5 {
        assert_eq!(looks(&mut visitor, &file, "x").await.code(), 422);
    }
    is_at(&looks(&mut visitor, &file, PASSPHRASE).await, 429, "A short pause");
    let failures = app.events().await.into_iter().filter(|event| event.outcome == Outcome::Failure);
    let failures: Vec<_> = failures.map(|event| event.detail).collect();
    assert!(
        failures.len() == 8 && failures.iter().all(|detail| detail == "settings not imported, passphrase")
    );
    // Comments and blanks may be another's.
    app.advance(Duration::from_secs(3601));
    let mut visitor = root(&app).await;
    let formatted = file.replace(" = ", "=").replace("# Settings", "# My settings");
    is_at(&looks(&mut visitor, &formatted, PASSPHRASE).await, 200, "Nothing would change");
}

#[tokio::test]
async fn what_is_no_file_with_settings_is_refused_and_told_why() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    for (file, told) in [
        ("", "Please choose a file"),
        ("x", "line 1: "),
        ("format = 1\n[settings.mail]\npassword = 'Papageientaucher", "line 3: "),
        ("[settings]", "format: is needed"),
        ("format = 2", "format: 2 is newer than this program"),
        ("format = '1'", "format: is needed"),
        ("format = 1\nnonsense = 1", "nonsense: is unknown"),
        ("format = 1\nsettings = 1", "settings: must be a section"),
        (
            "format = 1\n[settings.general]\nproduct_nam = 'x'",
            "settings.general.product_nam: is unknown; did you mean \"general.product_name\"?",
        ),
        (
            "format = 1\n[settings.mail]\npassword_file = '/etc/shadow'",
            "mail.password_file: is unknown; did you mean \"mail.password\"?",
        ),
        (
            "format = 1\n[settings.mail]\npassword = 'Papageientaucher'",
            "mail.password: must not stand in the file in clear",
        ),
        ("format = 1\n[settings.security]\nidle_timeout_seconds = 5000", "5000 is not between 0 and 1800"),
        ("format = 1\n[secrets]\nsalt = 'x'", "secrets: can't be read"),
        (
            "format = 1\n[secrets]\nsalt = 'AAAAAAAAAAAAAAAAAAAAAA'\nmemory_kib = 99999999\npasses = 3\nlanes = 1\nsealed = 'x'",
            "secrets: can't be read",
        ),
    ] {
        let page = looks(&mut visitor, file, "").await;
        is_at(&page, 422, told);
        has_no_secret(&page);
    }
    is_at(&looks(&mut visitor, "format = 1", PASSPHRASE).await, 422, "nothing sealed in this file");
    is_at(&looks(&mut visitor, &"#".repeat(300_000), "").await, 422, "too large");
    is_at(&looks(&mut visitor, &"#".repeat(5_000_000), "").await, 413, "too large");
    is_at(&looks(&mut visitor, "format = 1", "").await, 200, "Nothing would change");
    // As a file it is taken as well.
    let token = token_of(&visitor.open(PATH).await, PATH);
    let part = |head: &str, content: &str| {
        format!("--x7\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let body = [
        part("name=\"csrf\"", &token),
        part("name=\"action\"", "look"),
        part("name=\"file\"; filename=\"a.toml\"", "\u{feff}format = 1\n[settings.general]\nfooter = 'x'"),
    ];
    let headers = [("content-type", "multipart/form-data; boundary=x7")];
    let page = visitor.call(Method::POST, PATH, &headers, (body.concat() + "--x7--\r\n").into_bytes()).await;
    is_at(&page, 200, "general.footer: \"\" → \"x\"");
    for (one, other, field) in
        [("short", "short", "passphrase"), (PASSPHRASE, "Eine lange Passphrasf", "confirm_passphrase")]
    {
        visitor.open(PATH).await;
        let fields = [("passphrase", one), ("confirm_passphrase", other), ("action", "export")];
        let page = sends(&mut visitor, PATH, &fields).await;
        assert!(page.code() == 422 && page.is_invalid(field), "{}", page.text());
        assert!(!page.html.contains(one) && !page.html.contains(other));
    }
}

#[tokio::test]
async fn what_the_configuration_fixes_here_is_left_and_told() {
    let one = TestApp::new().start().await;
    let other = TestApp::new()
        .with_fixed("general.product_name = 'Fixed'\nmail.password = 'Papageientaucher'")
        .start()
        .await;
    set_up(&one).await;
    let file = exports(&mut root(&one).await, PASSPHRASE).await.html;
    let mut visitor = root(&other).await;
    let page = looks(&mut visitor, &file, PASSPHRASE).await;
    is_at(&page, 200, "Not taken");
    has_no_secret(&page);
    assert!(!page.text().contains("product_name: "), "{}", page.text());
    // The secret that is fixed here would be sent to the place in the file.
    is_at(&applies(&mut visitor, &page, &[]).await, 422, "mail.host: can be set in the configuration only");
    assert_eq!(settings(&other).await, toml::Table::new());
    // Programs and files can't be slipped in.
    let page = looks(
        &mut visitor,
        "format = 1\n[settings]\nsms.program = '/bin/sh'\nmail.folder = '/etc'\ngeneral.footer = 'x'",
        "",
    )
    .await;
    is_at(&page, 200, "Not taken");
    is_at(&page, 200, "sms.program (can only be set in the configuration file)");
    assert!(page.text().contains("sms.program") && page.text().contains("mail.folder"), "{}", page.text());
    is_at(&applies(&mut visitor, &page, &[]).await, 200, "Saved");
    let settings = other.site().services.settings.load_full();
    assert!(
        settings.sms.program.is_none() && settings.mail.folder.is_none() && settings.general.footer == "x"
    );
    // Whoever would be let in by nobody any more is not.
    let groups = with_groups(|_| ()).start().await;
    let (mut visitor, _, _) = first_signs_in(&groups).await;
    let kept = [("admin.administrators", Value::from(vec![regain::directory::demo::SAMPLE_ADMINISTRATORS]))];
    assert!(matches!(set(&groups, &kept).await, Change::Made(_)));
    let page = looks(&mut visitor, "format = 1", "").await;
    is_at(&applies(&mut visitor, &page, &[]).await, 422, "would leave you out");
}

#[tokio::test]
async fn a_plan_is_good_for_its_session_its_version_and_a_quarter_of_an_hour() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let file = "format = 1\n[settings.general]\nfooter = 'x'";
    let plan = looks(&mut visitor, file, "").await;
    // Somebody else is faster.
    assert!(matches!(set(&app, &[("general.help_desk", text("4444"))]).await, Change::Made(_)));
    is_at(&applies(&mut visitor, &plan, &[]).await, 422, "Somebody else has changed settings");
    // Of another session, or made up.
    let mut visitor = root(&app).await;
    for foreign in [plan.value("plan").unwrap().as_str(), "AAAA", ""] {
        visitor.open(PATH).await;
        let page = sends(&mut visitor, PATH, &[("plan", foreign), ("action", "apply")]).await;
        is_at(&page, 422, "That was too long ago, or from another sign-in");
    }
    // Once is once.
    let page = looks(&mut visitor, file, "").await;
    is_at(&applies(&mut visitor, &page, &[]).await, 200, "Saved");
    is_at(&applies(&mut visitor, &page, &[]).await, 422, "Somebody else has changed settings");
}

#[tokio::test]
async fn only_administrators_take_settings_out_or_in_and_only_with_a_fresh_proof() {
    for role in ["help_desk", "auditors"] {
        let app = with_groups(|settings| {
            let groups = std::mem::take(&mut settings.admin.administrators);
            match role {
                "help_desk" => settings.admin.help_desk = groups,
                _ => settings.admin.auditors = groups,
            }
        });
        let app = app.start().await;
        let (mut visitor, _, page) = first_signs_in(&app).await;
        assert!(!page.text().contains("All settings as a file"), "{role}");
        assert_eq!(visitor.get(PATH).await.code(), 403);
        for action in ["export", "look", "apply"] {
            assert_eq!(visitor.post_raw(PATH, &[("csrf", "x"), ("action", action)]).await.code(), 403);
        }
        assert!(!app.events().await.iter().any(|event| event.action == Action::Setting));
    }
    let app = TestApp::new().start().await;
    assert_eq!(app.visitor("x").get(PATH).await.location(), Some("/admin/sign-in"));
    let mut visitor = app.visitor("root");
    let codes = sets_up(&app, &mut visitor).await;
    for action in ["export", "look", "apply"] {
        let page = visitor.post_raw(PATH, &[("csrf", "x"), ("action", action)]).await;
        is_at(&page, 403, "Please open the page again");
    }
    let form = visitor.open(PATH).await;
    app.advance(Duration::from_secs(301));
    is_at(&visitor.open(PATH).await, 200, "Is it you?");
    for action in ["export", "look", "apply"] {
        visitor.page = Some(form.clone());
        is_at(&sends(&mut visitor, PATH, &[("action", action)]).await, 403, "It’s been too long");
    }
    let code = codes.code(&app, 0);
    is_at(
        &sends(&mut visitor, PATH, &[("action", "prove"), ("code", &code)]).await,
        200,
        "Everything that was changed here",
    );
}

#[tokio::test]
async fn its_pages_speak_the_language_of_their_reader() {
    let app = TestApp::new().start().await;
    set_up(&app).await;
    let mut visitor = root(&app).await.reading("de");
    let file = exports(&mut visitor, PASSPHRASE).await.html;
    let mut pages = vec![visitor.open(PATH).await];
    pages.push(looks(&mut visitor, &file, "falsche Passphrase").await);
    pages.push(looks(&mut visitor, "format = 3", "").await);
    pages.push(looks(&mut visitor, "format = 1\n[settings.general]\nfooter = 'x'", "").await);
    pages.push(looks(&mut visitor, "format = 1\n[settings]\nmail.user = 'x'\nsms.program = '/x'", "").await);
    for page in pages {
        assert!(page.html.contains("<html lang=\"de\""));
        for odd in ["admin.transfer", "invalid.", "{minimum}"] {
            assert!(!page.text().contains(odd), "{odd}: {}", page.text());
        }
    }
}

#[tokio::test]
async fn domains_go_along_each_with_its_own_secret_and_only_to_its_own_controllers() {
    const PASSWORD: &str = "Papageientaucher";
    let (one, other) = (TestApp::new().start().await, TestApp::new().start().await);
    let domains = format!(
        "domain = [{{ dns_name = 'corp.example', netbios_name = 'CORP', service_account = 's', service_password = \
         '{PASSWORD}', controllers = ['dc1.corp.example'] }}, {{ dns_name = 'lab.example', netbios_name = 'LAB', \
         service_account = 't', service_password = 'Basic Lumpenbrei' }}]"
    );
    let domains: toml::Table = domains.parse().unwrap();
    let edits = [
        ("domain", domains["domain"].clone()),
        ("domain.0.service_password", text(PASSWORD)),
        ("domain.1.service_password", text("Basic Lumpenbrei")),
    ];
    let made = set(&one, &edits).await;
    assert!(matches!(made, Change::Made(_)), "{made:?}");
    let mut visitor = root(&one).await;
    let (sealed, bare) = (exports(&mut visitor, PASSPHRASE).await.html, exports(&mut visitor, "").await.html);
    assert!(!sealed.contains(PASSWORD) && !bare.contains("service_password"), "{bare}");
    // Where they are the same, their secrets stay; where they would go to another place, they don't.
    is_at(&looks(&mut visitor, &bare, "").await, 200, "Nothing would change");
    let page = looks(&mut visitor, &bare.replace("dc1.corp.example", "evil.example"), "").await;
    has_no_secret(&page);
    assert_eq!(applies(&mut visitor, &page, &[]).await.code(), 422);
    assert_eq!(settings(&one).await, domains);
    // Elsewhere they come with the passphrase, or have to be given.
    let mut visitor = root(&other).await;
    let page = looks(&mut visitor, &bare, "").await;
    is_at(&applies(&mut visitor, &page, &[]).await, 422, "service_password: is needed");
    let page = looks(&mut visitor, &sealed, PASSPHRASE).await;
    has_no_secret(&page);
    is_at(&applies(&mut visitor, &page, &[]).await, 200, "Saved");
    assert_eq!(settings(&other).await, domains);
    // A file of this machine is not named from elsewhere; that it is left out is told, with what to do instead.
    let named = bare.replacen("dns_name = ", "ca_file = '/etc/regain/corp-ca.pem'\ndns_name = ", 1);
    let page = looks(&mut visitor, &named, "").await;
    is_at(&page, 200, "Nothing would change");
    let told = "domain.0.ca_file (can only be set in the configuration file; paste the certificate itself instead, as \
                ca_certificates)";
    is_at(&page, 200, told);
    assert_eq!(settings(&other).await, domains);
    for event in other.events().await {
        assert!(!SECRETS.iter().any(|secret| event.detail.contains(secret)), "{}", event.detail);
    }
    has_no_secret(&looks(&mut visitor, "format = 1", "").await);
}
