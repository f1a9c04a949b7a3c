//! Attacks on the admin panel by those who may already use it, or have found out a password.

use std::time::Duration;

use regain::{
    directory::demo::SAMPLE_PASSWORD,
    domain::{admin::AdminSession, audit::Action},
    flows::{access, session::SessionId},
    store::Found,
    testing::{DirectoryMood, TestApp, Visitor},
};

use crate::admin::{
    COOKIE, filled, first_signs_in, is_at, saves, sends, sends_all, sets_up, signs_in, with_groups,
};

const PATH: &str = "/admin/transfer";

async fn root(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

#[tokio::test]
async fn a_file_of_settings_that_is_made_to_exhaust_is_refused_at_once() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let keys: String = (0..25_000).map(|n| format!("k{n}=1\n")).collect();
    let domains: String =
        (0..4_500).map(|n| format!("[[settings.domain]]\ndns_name='a{n}'\nnetbios_name='b{n}'\n")).collect();
    let vault = "format = 1\n[secrets]\nsalt = 'AAAAAAAAAAAAAAAAAAAAAA'\nsealed = 'x'\npasses = 1\n";
    for (file, told) in [
        (format!("format = 1\n[settings]\n{}x = 1", "a.".repeat(120_000)), "recurs"),
        (format!("format = 1\nsettings = {}{}", "{a=".repeat(60_000), "}".repeat(60_000)), "recurs"),
        (format!("format = 1\nsettings = {}{}", "[".repeat(100_000), "]".repeat(100_000)), "recurs"),
        (format!("format = 1\n[settings.mail]\n{} = 1", "k".repeat(200_000)), "kkk: is unknown"),
        (format!("format = 1\n[settings.mail]\n{keys}"), "settings.mail.k10000: is unknown"),
        (format!("format = 1\n{domains}"), "settings.domain: 4500 are too many"),
        (format!("{vault}memory_kib = 8\nlanes = 4"), "secrets: can't be read"),
    ] {
        visitor.open(PATH).await;
        let fields = [("text", file.as_str()), ("file_passphrase", "x"), ("action", "look")];
        let page = sends(&mut visitor, PATH, &fields).await;
        is_at(&page, 422, told);
        assert!(page.html.len() < 100_000, "{told}: {}", page.html.len());
    }
}

#[tokio::test]
async fn who_knows_a_password_hides_no_session_behind_many_and_none_outlives_its_second_factor() {
    let app = with_groups(|settings| {
        settings.admin.auditors = vec!["S-1-5-21-1001-1002-1003-513".into()];
        settings.limits.requests_per_address_per_minute = 0;
    });
    let app = app.start().await;
    let mut visitor = root(&app).await;
    let (mut admin, ..) = first_signs_in(&app).await;
    let services = &app.site().services;
    let key = SessionId::parse(&admin.cookies[COOKIE]).unwrap().hash();
    let signed = services.store.find::<AdminSession>(&key).await.unwrap().map(Found::into_inner).unwrap();
    // As many as can be begun in ten minutes; each of them is a record beside those of people.
    let page = signs_in(&mut app.visitor("x"), "admin", "DEMO", SAMPLE_PASSWORD).await;
    is_at(&page, 200, "Your authenticator app");
    for number in 0..1_200_u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        services.store.batch().insert(&key, &signed).commit().await.unwrap();
    }
    assert_eq!(access::list_sessions(services, None).await.unwrap().len(), 1_202);
    let page = visitor.open("/admin/access").await;
    let reset = page.deeds().into_iter().find(|deed| deed.starts_with("reset ")).unwrap();
    is_at(&sends(&mut visitor, "/admin/access", &[("action", &reset)]).await, 200, "is reset");
    assert_eq!(
        access::list_sessions(services, None).await.unwrap().len(),
        1,
        "none but that of Regain itself"
    );
    is_at(&admin.open("/admin").await, 200, "Sign in to the admin panel");
}

#[tokio::test]
async fn what_is_not_in_force_is_tried_with_a_fresh_proof_only() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = app.visitor("root");
    let codes = sets_up(&app, &mut visitor).await;
    app.advance(Duration::from_secs(301));
    let path = "/admin/settings/sms";
    let tries = async |visitor: &mut Visitor, more: &[(&str, &str)]| {
        let changes = [("trial.to", "+44 7700 900123")];
        let mut fields = filled(&visitor.open(path).await, &[&changes, more].concat());
        fields.push(("action".into(), "try".into()));
        sends_all(visitor, path, &fields).await
    };
    is_at(&tries(&mut visitor, &[]).await, 200, "choose a delivery first");
    let inside =
        [("sms.delivery", "http"), ("sms.url", "https://inside.invalid/restart"), ("sms.method", "PUT")];
    for code in ["", "000000"] {
        let page = tries(&mut visitor, &[&inside[..], &[("code", code)]].concat()).await;
        assert!(page.code() == 422 && page.is_invalid("code"), "{}", page.text());
        assert_eq!(page.value("sms.url").as_deref(), Some("https://inside.invalid/restart"));
    }
    let tried = async || {
        let events = app.events().await.into_iter().filter(|event| event.action == Action::Setting);
        events.filter(|event| event.detail.contains("inside.invalid")).count()
    };
    assert_eq!(tried().await, 0);
    let code = codes.code(&app, 0);
    is_at(&tries(&mut visitor, &[&inside[..], &[("code", &code)]].concat()).await, 200, "Wrong:");
    assert_eq!(tried().await, 1);
}

#[tokio::test]
async fn requests_to_this_machine_are_no_matter_of_the_panel() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = root(&app).await;
    for url in ["http://127.0.0.1:8500/v1/agent", "https://localhost/", "http://[::1]:80/x"] {
        let http = [("sms.delivery", "http"), ("sms.url", url)];
        let page = saves(&mut visitor, "sms", &http).await;
        is_at(&page, 422, "leads to this machine: that can be set in the configuration only");
        assert!(page.is_invalid("sms.url"));
        let mut fields = filled(&page, &[&http[..], &[("trial.to", "+44 7700 900123")]].concat());
        fields.push(("action".into(), "try".into()));
        is_at(&sends_all(&mut visitor, "/admin/settings/sms", &fields).await, 422, "leads to this machine");
        let file = format!("format = 1\n[settings.sms]\ndelivery = 'http'\nurl = '{url}'");
        visitor.open(PATH).await;
        let page = sends(&mut visitor, PATH, &[("text", &file), ("action", "look")]).await;
        let plan = page.value("plan").unwrap();
        let page = sends(&mut visitor, PATH, &[("plan", &plan), ("action", "apply")]).await;
        is_at(&page, 422, "leads to this machine");
    }
    assert_eq!(app.site().services.settings.load().sms.url, None);
}

#[tokio::test]
async fn no_text_of_the_settings_becomes_markup_or_a_template() {
    const EVIL: &str = "{{7919*7}}${7919*7}<%=7919*7%><b>'\">&";
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let texts = ["general.product_name", "general.help_desk", "general.footer"].map(|key| (key, EVIL));
    is_at(&saves(&mut visitor, "appearance", &texts).await, 200, "Saved");
    for path in ["/", "/reset", "/admin", "/admin/settings/appearance", "/admin/access", "/admin/sign-in"] {
        let page = visitor.get(path).await;
        assert!(!page.html.contains("<b>") && !page.html.contains("55433"), "{path}: {}", page.html);
        assert_eq!(page.code() != 303, page.text().contains(EVIL), "{path}: {}", page.text());
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
    let page = visitor.open("/admin/settings/appearance").await;
    assert_eq!(page.value("general.footer").as_deref(), Some(EVIL));
}

#[tokio::test]
async fn an_empty_password_asks_no_directory_and_a_page_of_before_is_not_kept() {
    let app = with_groups(|_| ()).start().await;
    let (mut admin, ..) = first_signs_in(&app).await;
    app.directories_behave(DirectoryMood::Unavailable);
    for password in ["", "\0"] {
        let page = signs_in(&mut app.visitor("x"), "admin", "DEMO", password).await;
        assert!(page.code() == 422 && page.is_invalid("password"), "{}", page.text());
    }
    for name in ["*", "admin)(|(cn=*", "\\2a"] {
        app.directories_behave(DirectoryMood::Well);
        is_at(&signs_in(&mut app.visitor("x"), name, "DEMO", SAMPLE_PASSWORD).await, 422, "");
    }
    let page = admin.open("/admin").await;
    let token = crate::admin::token_of(&page, "/admin/sign-out");
    let page = admin.post_raw("/admin/sign-out", &[("csrf", &token)]).await;
    assert_eq!(page.header("clear-site-data"), "\"cache\", \"storage\"");
    admin.open(PATH).await;
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    visitor.open(PATH).await;
    let fields = [("passphrase", ""), ("confirm_passphrase", ""), ("action", "export")];
    let page = sends(&mut visitor, PATH, &fields).await;
    assert_eq!((page.code(), page.header("cache-control")), (200, "no-store"));
}
