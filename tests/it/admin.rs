//! The admin panel: the first account, signing in, who may what, and settings that are changed there (R6).

use std::{collections::BTreeMap, time::Duration};

use regain::{
    directory::demo::{SAMPLE_ADMINISTRATORS, SAMPLE_PASSWORD},
    domain::{
        admin::AdminId,
        audit::{
            Action,
            Outcome::{Failure, Success},
        },
        message::Message,
    },
    flows::{access, change_settings, sign_in},
    settings::Settings,
    testing::{DirectoryMood, OneTimeCodes, Page, Setup, TestApp, Visitor},
};

pub(super) const LOCAL: &str = "A-Long-Enough-Passphrase";
pub(super) const COOKIE: &str = "__Host-regain-admin";

pub(super) fn is_at(page: &Page, code: u16, title: &str) {
    assert_eq!(page.code(), code, "{}", page.text());
    assert!(page.text().contains(title), "{title}: {}", page.text());
}

/// The token of the form on a page that is sent to that path.
pub(super) fn token_of(page: &Page, path: &str) -> String {
    page.token_for(path)
}

/// Sends the form that the browser shows, to the page itself, and goes where that leads.
pub(super) async fn sends(visitor: &mut Visitor, path: &str, fields: &[(&str, &str)]) -> Page {
    visitor.sends(path, fields).await
}

pub(super) async fn sends_all(visitor: &mut Visitor, path: &str, fields: &[(String, String)]) -> Page {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sends(visitor, path, &fields).await
}

/// The boxes of a list: its texts line by line, or by language below a line `[en]` each.
fn rows(name: &str, text: &str) -> Vec<(String, String)> {
    let (mut fields, mut languages) = (Vec::new(), Vec::new());
    let (mut prefix, mut next) = (name.to_owned(), 0);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            languages.push(language);
            (prefix, next) = (format!("{name}.{language}"), 0);
        } else {
            fields.push((format!("{prefix}.{next}"), line.to_owned()));
            next += 1;
        }
    }
    if !languages.is_empty() {
        fields.push((format!("{name}.languages"), languages.join(" ")));
    }
    fields
}

/// The boxes of a list that is kept as it is.
fn rows_as_kept(name: &str, kept: &str) -> Vec<(String, String)> {
    if let Ok(lists) = serde_json::from_str::<BTreeMap<String, Vec<String>>>(kept) {
        let lists = lists.iter().map(|(language, list)| format!("[{language}]\n{}", list.join("\n")));
        return rows(name, &lists.collect::<Vec<_>>().join("\n"));
    }
    rows(name, &serde_json::from_str::<Vec<String>>(kept).unwrap_or_default().join("\n"))
}

/// What the browser would send of a tab, with those changes; a check box is unchecked by an empty text.
pub(super) fn filled(page: &Page, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields = vec![("version".to_owned(), page.value("version").unwrap())];
    for was in page.fields() {
        let Some(name) = was.strip_suffix(".was") else { continue };
        let shown = page.value(&was).unwrap();
        let is_switch = page.kind(name).as_deref() == Some("checkbox");
        if page.kind(name).is_none() && page.value(name).is_none() {
            fields.push((was.clone(), shown.clone()));
            if !changes.iter().any(|(changed, _)| *changed == name) {
                fields.extend(rows_as_kept(name, &shown));
            }
            continue;
        }
        let value = match shown.as_str() {
            "true" if is_switch => "on".to_owned(),
            "false" if is_switch => String::new(),
            _ => shown.clone(),
        };
        fields.extend([(was.clone(), shown), (name.to_owned(), value)]);
    }
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if page.kind(name).is_some() || !page.fields().contains(&format!("{name}.was")) {
            fields.push(((*name).to_owned(), (*value).to_owned()));
        } else {
            fields.extend(rows(name, value));
        }
    }
    fields
}

/// Opens a tab, changes something and saves.
pub(super) async fn saves(visitor: &mut Visitor, tab: &str, changes: &[(&str, &str)]) -> Page {
    let path = format!("/admin/settings/{tab}");
    let fields = filled(&visitor.open(&path).await, changes);
    sends_all(visitor, &path, &fields).await
}

pub(super) async fn link(app: &TestApp) -> String {
    format!("/admin/setup/{}", sign_in::make_link(&app.site().services).await.unwrap())
}

/// Makes the first account by the link and signs in with it.
pub(super) async fn sets_up(app: &TestApp, visitor: &mut Visitor) -> OneTimeCodes {
    let link = link(app).await;
    is_at(&visitor.open(&link).await, 200, "Make the first account");
    let fields = [("username", "root"), ("new_password", LOCAL), ("confirm_password", LOCAL)];
    let page = sends(visitor, &link, &fields).await;
    is_at(&page, 200, "Set up an authenticator app");
    let codes = OneTimeCodes::read(&page);
    let page = sends(visitor, "/admin/sign-in", &[("code", &codes.code(app, 0))]).await;
    is_at(&page, 200, "Overview");
    app.advance(Duration::from_secs(30));
    codes
}

pub(super) async fn signs_in(visitor: &mut Visitor, name: &str, domain: &str, password: &str) -> Page {
    visitor.open("/admin/sign-in").await;
    sends(visitor, "/admin/sign-in", &[("username", name), ("domain", domain), ("password", password)]).await
}

/// The link of an invitation that was made on the console, for whom is named.
pub(super) async fn invitation(app: &TestApp, name: Option<&str>) -> String {
    let by = change_settings::Editor { who: None, name: "console".into(), address: None, source: "console" };
    let token = access::invite(&app.site().services, &by, name.map(str::to_owned)).await.unwrap();
    format!("/admin/invite/{token}")
}

/// Comes by an invitation and types name and password.
pub(super) async fn comes_invited(app: &TestApp, visitor: &mut Visitor, name: &str) -> Page {
    let link = invitation(app, None).await;
    visitor.open(&link).await;
    sends(visitor, &link, &[("username", name), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await
}

/// The sample administrator signs in for the first time and sets an app up.
pub(super) async fn first_signs_in(app: &TestApp) -> (Visitor, OneTimeCodes, Page) {
    let mut visitor = app.visitor("admin");
    let page = comes_invited(app, &mut visitor, "admin").await;
    let codes = OneTimeCodes::read(&page);
    let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(app, 0))]).await;
    (visitor, codes, page)
}

/// A program whose administrators are the members of the group that the sample administrator is in.
pub(super) fn with_groups(change: impl FnOnce(&mut Settings)) -> Setup {
    TestApp::new().with_settings(|settings| {
        settings.admin.administrators = vec![SAMPLE_ADMINISTRATORS.into()];
        change(settings);
    })
}

#[tokio::test]
async fn the_first_account_is_made_by_a_link_that_is_good_once() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    is_at(&visitor.open("/admin").await, 200, "Sign in to the admin panel");
    let link = link(&app).await;
    is_at(&visitor.open("/admin/setup/AAAA").await, 403, "no longer good");
    is_at(&visitor.open(&link).await, 200, "Make the first account");
    for (name, password, again, wrong) in [
        ("", LOCAL, LOCAL, "username"),
        ("a b", LOCAL, LOCAL, "username"),
        ("root", "short", "short", "new_password"),
        ("root", LOCAL, "A-Long-Enough-Passphrasf", "confirm_password"),
    ] {
        let fields = [("username", name), ("new_password", password), ("confirm_password", again)];
        let page = sends(&mut visitor, &link, &fields).await;
        assert!(page.code() == 422 && page.is_invalid(wrong), "{}", page.text());
        assert!(!page.html.contains(password), "never filled in again");
    }
    // Two have got hold of it: who first shows a code of the app has it.
    let mut other = app.visitor("other");
    other.open(&link).await;
    let mut pages = Vec::new();
    for visitor in [&mut visitor, &mut other] {
        let fields = [("username", "root"), ("new_password", LOCAL), ("confirm_password", LOCAL)];
        pages.push(sends(visitor, &link, &fields).await);
    }
    let codes: Vec<_> = pages.iter().map(OneTimeCodes::read).collect();
    is_at(&sends(&mut visitor, "/admin/sign-in", &[("code", "000000")]).await, 422, "not the one it shows");
    let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes[0].code(&app, 0))]).await;
    is_at(&page, 200, "Overview");
    let page = sends(&mut other, "/admin/sign-in", &[("code", &codes[1].code(&app, 0))]).await;
    is_at(&page, 403, "no longer good");
    is_at(&app.visitor("late").open(&link).await, 403, "no longer good");
    assert!(sign_in::invite(&app.site().services).await.unwrap().is_none(), "none is made any more");
    // An hour is all it has.
    let late = self::link(&app).await;
    app.advance(Duration::from_secs(3601));
    is_at(&app.visitor("late").open(&late).await, 403, "no longer good");
}

#[tokio::test]
async fn the_account_of_regain_itself_needs_password_and_app_and_no_directory() {
    let app = TestApp::new().start().await;
    let codes = sets_up(&app, &mut app.visitor("root")).await;
    app.directories_behave(DirectoryMood::Unavailable);
    let mut visitor = app.visitor("root");
    is_at(&signs_in(&mut visitor, "root", "-", "not the password").await, 422, "together they don");
    is_at(&signs_in(&mut visitor, "toor", "-", LOCAL).await, 422, "together they don");
    let page = signs_in(&mut visitor, "ROOT", "-", LOCAL).await;
    is_at(&page, 200, "Your authenticator app");
    is_at(&visitor.open("/admin").await, 200, "Your authenticator app");
    let before = visitor.cookies[COOKIE].clone();
    let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 200, "Overview");
    assert_ne!(visitor.cookies[COOKIE], before, "every step is under a session of its own");
    // The same code a second time.
    let mut again = app.visitor("root");
    signs_in(&mut again, "root", "-", LOCAL).await;
    let page = sends(&mut again, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 422, "it was used before");
    let events = app.events().await;
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.action == Action::SignIn)
        .map(|event| (event.outcome, event.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [(Success, "setup"), (Failure, "password"), (Failure, "password"), (Success, ""), (Failure, "code")]
    );
}

#[tokio::test]
async fn guessing_is_held_up_and_locks_nobody_out_of_the_directory() {
    let app = with_groups(|_| ()).start().await;
    sets_up(&app, &mut app.visitor("root")).await;
    let mut codes = Vec::new();
    for number in 0..5 {
        let page = signs_in(&mut app.visitor("x"), "root", "-", &format!("guess {number}")).await;
        codes.push(page.code());
    }
    assert_eq!(codes, [422, 422, 422, 429, 429]);
    // Whoever comes from elsewhere is not held up by it.
    let mut owner = app.visitor("root").from([198, 51, 100, 7]);
    is_at(&signs_in(&mut owner, "root", "-", LOCAL).await, 200, "Your authenticator app");
    for number in 0..8 {
        signs_in(&mut app.visitor("x"), "admin", "DEMO", &format!("guess {number}")).await;
    }
    let admin = app.account("admin").await;
    assert!(!admin.locked && admin.bad_password_count <= 3, "{}", admin.bad_password_count);
    app.advance(Duration::from_secs(31 * 60));
    // And the code of the app, with the right password.
    let mut visitor = app.visitor("x");
    is_at(&comes_invited(&app, &mut visitor, "admin").await, 200, "Set up an authenticator");
    let mut codes = Vec::new();
    for number in 0..6 {
        let guess = format!("guess {number}");
        codes.push(sends(&mut visitor, "/admin/sign-in", &[("code", &guess)]).await.code());
        visitor.open("/admin/sign-in").await;
    }
    assert_eq!(codes, [422, 422, 422, 422, 422, 429]);
}

#[tokio::test]
async fn made_anew_the_account_ends_the_sessions_of_before_and_its_thief_holds_up_nobody() {
    let app = TestApp::new().start().await;
    let mut thief = app.visitor("root");
    let codes = sets_up(&app, &mut thief).await;
    // The thief has the password, and spends the tries for codes.
    let mut guesser = app.visitor("root");
    signs_in(&mut guesser, "root", "-", LOCAL).await;
    for _ in 0..6 {
        sends(&mut guesser, "/admin/sign-in", &[("code", "000000")]).await;
        guesser.open("/admin/sign-in").await;
    }
    is_at(&thief.open("/admin").await, 200, "Overview");
    app.advance(Duration::from_secs(1));
    sets_up(&app, &mut app.visitor("root")).await;
    is_at(&thief.open("/admin").await, 200, "Sign in to the admin panel");
    drop(codes);
}

#[tokio::test]
async fn whoever_may_use_the_panel_is_not_let_in_by_answers_or_a_mailbox() {
    for role in ["administrators", "help_desk", "auditors"] {
        let app = TestApp::new().with_user("alice").await.0;
        let own = app.account("alice").await.group_sids;
        let group = own.iter().find(|sid| sid.starts_with("S-1-5-21-")).unwrap().clone();
        let mut alice = app.visitor("alice");
        alice.enrolls().await;
        app.set(|settings| {
            let groups = vec![group];
            match role {
                "administrators" => settings.admin.administrators = groups,
                "help_desk" => settings.admin.help_desk = groups,
                _ => settings.admin.auditors = groups,
            }
        });
        for kind in ["reset", "unlock"] {
            let page = alice.elsewhere().proves(kind).await;
            assert_eq!(page.code(), 403, "{role} {kind}: {}", page.text());
        }
    }
}

#[tokio::test]
async fn a_cookie_that_another_host_has_added_is_no_session() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    let own = visitor.cookies[COOKIE].clone();
    visitor.headers.push(("cookie".into(), format!("{COOKIE}={own}; {COOKIE}=x")));
    visitor.cookies.clear();
    assert_eq!(visitor.get("/admin").await.location(), Some("/admin/sign-in"));
}

#[tokio::test]
async fn a_directory_in_trouble_keeps_nobody_from_signing_in_without_it() {
    let app = with_groups(|_| ()).start().await;
    sets_up(&app, &mut app.visitor("root")).await;
    let (mut visitor, _, _) = first_signs_in(&app).await;
    app.advance(Duration::from_secs(120));
    app.directories_behave(DirectoryMood::Unavailable);
    assert_eq!(visitor.open("/admin").await.code(), 503);
    let page = signs_in(&mut visitor, "root", "-", LOCAL).await;
    is_at(&page, 200, "Your authenticator app");
}

#[tokio::test]
async fn members_of_the_groups_sign_in_and_others_do_not() {
    let app = with_groups(|_| ()).start().await;
    let mut visitor = app.visitor("admin");
    let page = comes_invited(&app, &mut visitor, "admin").await;
    is_at(&page, 200, "Set up an authenticator app");
    let codes = OneTimeCodes::read(&page);
    let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 200, "DEMO\\admin");
    app.advance(Duration::from_secs(30));
    let mut again = app.visitor("admin");
    is_at(
        &signs_in(&mut again, "admin@demo.example", "DEMO", SAMPLE_PASSWORD).await,
        200,
        "Your authenticator",
    );
    let page = sends(&mut again, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 200, "Overview");
    // Wrong ones and unknown ones are answered alike, and right ones that open nothing here: for want of a group, of a
    // second factor, or for the account's sake.
    let mut tries = vec![("admin", "wrong"), ("alice", "wrong"), ("nobody", "wrong")];
    let all = ["nobody", "alice", "bob", "carol", "dave", "erin", "grace"];
    tries.extend(all.map(|name| (name, SAMPLE_PASSWORD)));
    let mut pages = Vec::new();
    for (count, (name, password)) in tries.iter().chain(&tries[4..]).copied().enumerate() {
        if count == tries.len() {
            app.set(|settings| settings.admin.auditors = vec!["S-1-5-21-1001-1002-1003-513".into()]);
        }
        let page = signs_in(&mut app.visitor("x"), name, "DEMO", password).await;
        assert_eq!(page.code(), 422);
        pages.push(page.masked().replace(&format!(" value=\"{name}\""), ""));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[tokio::test]
async fn a_first_app_is_told_to_its_owner_and_to_those_who_run_this() {
    let app = with_groups(|settings| {
        settings.codes.by_mail = false;
        settings.alerts.operators = vec!["ops@demo.example".into()];
    });
    let app = app.start().await;
    let own = app.account("admin").await.mail.unwrap();
    let mut visitor = app.visitor("admin");
    let page = comes_invited(&app, &mut visitor, "admin").await;
    let codes = OneTimeCodes::read(&page);
    assert!(app.sent().await.is_empty());
    sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    let sent = app.sent().await;
    let mut to: Vec<_> = sent.iter().map(Message::to).collect();
    to.sort_unstable();
    let mut expected = ["ops@demo.example", &own];
    expected.sort_unstable();
    assert_eq!(to, expected);
    let Message::Mail(mail) = &sent[0] else { panic!("a mail") };
    assert!(
        mail.subject.contains("a second factor for the admin panel")
            && !mail.text.contains(&codes.code(&app, 0))
    );
    app.advance(Duration::from_secs(30));
    let mut again = app.visitor("admin");
    signs_in(&mut again, "admin", "DEMO", SAMPLE_PASSWORD).await;
    is_at(&sends(&mut again, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await, 200, "Overview");
    assert_eq!(app.sent().await.len(), 2, "only once");
}

#[tokio::test]
async fn a_session_ends_by_idling_by_its_length_by_signing_out_and_with_the_membership() {
    let app = with_groups(|settings| settings.admin.idle_minutes = 10).start().await;
    let (mut visitor, codes, _) = first_signs_in(&app).await;
    let enters = async || {
        app.advance(Duration::from_secs(30));
        let mut visitor = app.visitor("admin");
        signs_in(&mut visitor, "admin", "DEMO", SAMPLE_PASSWORD).await;
        let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
        is_at(&page, 200, "Overview");
        visitor
    };
    for _ in 0..5 {
        app.advance(Duration::from_secs(9 * 60));
        is_at(&visitor.open("/admin").await, 200, "Overview");
    }
    app.advance(Duration::from_secs(11 * 60));
    is_at(&visitor.open("/admin").await, 200, "Sign in to the admin panel");

    let mut visitor = enters().await;
    for _ in 0..60 {
        app.advance(Duration::from_secs(9 * 60));
        if visitor.open("/admin").await.text().contains("Sign in to") {
            break;
        }
    }
    is_at(&visitor.open("/admin").await, 200, "Sign in to the admin panel");

    let mut visitor = enters().await;
    let stolen = visitor.clone();
    sends(&mut visitor, "/admin/sign-out", &[]).await;
    is_at(&stolen.clone().open("/admin").await, 200, "Sign in to the admin panel");

    let mut visitor = enters().await;
    app.set(|settings| settings.admin.administrators = vec!["S-1-5-21-1001-1002-1003-999".into()]);
    app.advance(Duration::from_secs(61));
    is_at(&visitor.open("/admin").await, 200, "Sign in to the admin panel");
    app.advance(Duration::from_secs(24 * 3600));
    app.run_jobs().await;
}

#[tokio::test]
async fn no_page_of_the_panel_is_seen_or_sent_without_signing_in() {
    let app = with_groups(|_| ()).start().await;
    let mut pending = app.visitor("admin");
    comes_invited(&app, &mut pending, "admin").await;
    let mut user = app.visitor("alice");
    user.enrolls().await;
    for path in ["/admin", "/admin/settings/general", "/admin/sign-out", "/admin/settings/nothing"] {
        for visitor in [&mut app.visitor("nobody"), &mut pending, &mut user] {
            let page = visitor.get(path).await;
            assert_eq!((page.code(), page.location()), (303, Some("/admin/sign-in")), "{path}");
            let page = visitor.post_raw(path, &[("csrf", "x")]).await;
            assert_eq!((page.code(), page.location()), (303, Some("/admin/sign-in")), "{path}");
        }
    }
    // The cookie of the user pages opens nothing here.
    let mut user = user.elsewhere();
    user.begins("reset").await;
    let value = user.cookies["__Host-regain"].clone();
    user.cookies.insert(COOKIE.into(), value);
    assert_eq!(user.get("/admin").await.location(), Some("/admin/sign-in"));
}

#[tokio::test]
async fn an_administrator_changes_settings_and_they_hold_at_once() {
    let app = TestApp::new().with_fixed("general.footer = 'fixed line'").start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    let page = visitor.open("/admin/settings/appearance").await;
    is_at(&page, 200, "Product name");
    assert!(page.text().contains("Fixed by the configuration"), "{}", page.text());
    let changes = [("general.product_name", "Acme Reset"), ("general.show_change", "")];
    let page = saves(&mut visitor, "appearance", &changes).await;
    is_at(&page, 200, "Saved. It holds from now on.");
    let menu = app.visitor("alice").open("/").await;
    assert!(menu.text().contains("Acme Reset") && !menu.text().contains("Change password"));
    let details: Vec<_> = app
        .events()
        .await
        .into_iter()
        .filter(|event| event.action == Action::Setting)
        .map(|event| (event.source_user.unwrap(), event.detail))
        .collect();
    assert_eq!(
        details,
        [
            ("root".to_owned(), "general.product_name: \"Regain\" → \"Acme Reset\"".to_owned()),
            ("root".to_owned(), "general.show_change: true → false".to_owned()),
        ]
    );
    // Somebody else is faster: what they have changed stands, and what was typed here is there still.
    let mut other = visitor.clone();
    visitor.open("/admin/settings/appearance").await;
    is_at(&saves(&mut other, "appearance", &[("general.help_desk", "Call 4444")]).await, 200, "Saved");
    let fields = filled(visitor.page.as_ref().unwrap(), &[("general.product_name", "Typed")]);
    let page = sends_all(&mut visitor, "/admin/settings/appearance", &fields).await;
    is_at(&page, 422, "Somebody else has changed settings");
    assert_eq!(page.value("general.product_name").unwrap(), "Typed");
    let again = filled(&page, &[("general.product_name", "Typed")]);
    is_at(&sends_all(&mut visitor, "/admin/settings/appearance", &again).await, 200, "Saved");
    let general = app.site().services.settings.load().general.clone();
    assert_eq!((general.product_name.as_str(), general.help_desk.as_str()), ("Typed", "Call 4444"));
    // What is wrong is told at its field, and what is fixed or unknown can't be slipped in.
    let page = saves(&mut visitor, "security", &[("security.idle_timeout_seconds", "5000")]).await;
    assert!(page.code() == 422 && page.is_invalid("security.idle_timeout_seconds"), "{}", page.text());
    assert_eq!(page.value("security.idle_timeout_seconds").unwrap(), "5000");
    for field in ["general.footer", "security.nothing", "security"] {
        visitor.open("/admin/settings/security").await;
        let mut fields = filled(visitor.page.as_ref().unwrap(), &[]);
        fields.push((field.into(), "x".into()));
        let page = sends_all(&mut visitor, "/admin/settings/security", &fields).await;
        assert_eq!(page.code(), 422, "{}", page.text());
    }
    // A page from before a setting was there changes nothing of it.
    let page = visitor.open("/admin/settings/appearance").await;
    let version = page.value("version").unwrap();
    is_at(&sends(&mut visitor, "/admin/settings/appearance", &[("version", &version)]).await, 200, "Saved");
    assert!(app.site().services.settings.load().general.show_reset);
}

#[tokio::test]
async fn programs_files_and_fixed_settings_can_not_be_changed_in_the_panel() {
    let app = TestApp::new().with_fixed("general.footer = 'fixed line'").start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    for (tab, key) in [
        ("sms", "sms.program"),
        ("sms", "sms.arguments"),
        ("sms", "sms.ca_file"),
        ("mail", "mail.ca_file"),
        ("mail", "mail.folder"),
        ("appearance", "general.footer"),
    ] {
        let page = visitor.open(&format!("/admin/settings/{tab}")).await;
        assert!(!page.html.contains(&format!("name=\"{key}.was\"")), "{key}");
        let mut fields = filled(&page, &[]);
        fields.push((format!("{key}.was"), String::new()));
        fields.push((key.to_owned(), "/bin/sh".into()));
        let page = sends_all(&mut visitor, &format!("/admin/settings/{tab}"), &fields).await;
        assert_eq!(page.code(), 422, "{key}: {}", page.text());
    }
    is_at(&visitor.open("/admin/settings/domain").await, 404, "");
    let settings = app.site().services.settings.load_full();
    assert!(settings.sms.program.is_none() && settings.mail.folder.is_none());
}

#[tokio::test]
async fn lists_are_taken_entry_by_entry_or_refused_never_lost() {
    const LISTS: &str = "enroll.question_list";
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    let mine = "[en]\nYour first [or last] teacher?\nYour first pet?\nYour first street?\nYour first car?\nYour first boss?\nYour first job?";
    is_at(&saves(&mut visitor, "enroll", &[(LISTS, mine)]).await, 200, "Saved");
    let lists = app.site().services.settings.load().enroll.question_list.clone();
    assert_eq!(lists["en"][0], "Your first [or last] teacher?");
    let page = saves(&mut visitor, "enroll", &[(LISTS, "[en]\nYour only pet?")]).await;
    is_at(&page, 422, "needs at least");
    assert_eq!(page.value("enroll.question_list.en.0").as_deref(), Some("Your only pet?"));
    assert_eq!(app.site().services.settings.load().enroll.question_list, lists);
    // Long lists are no reason to lose them either.
    let long = |count: usize| {
        let questions =
            (0..count).map(|n| format!("A question of some sixty characters, so that it is long {n}?"));
        format!("[en]\n{}", questions.collect::<Vec<_>>().join("\n"))
    };
    is_at(&saves(&mut visitor, "enroll", &[(LISTS, &long(400))]).await, 200, "Saved");
    is_at(&saves(&mut visitor, "enroll", &[(LISTS, &long(800))]).await, 422, "too long altogether");
    // The log tells all that came and went.
    let groups: Vec<_> = (0..9).map(|n| format!("S-1-5-21-1001-1002-1003-{}", 1100 + n)).collect();
    is_at(
        &saves(&mut visitor, "admin", &[("admin.administrators", &groups[..8].join("\n"))]).await,
        200,
        "Saved",
    );
    is_at(
        &saves(&mut visitor, "admin", &[("admin.administrators", &groups[1..].join("\n"))]).await,
        200,
        "Saved",
    );
    let last = app.events().await.pop().unwrap().detail;
    assert_eq!(last, format!("admin.administrators: −\"{}\" +\"{}\"", groups[0], groups[8]));
    for everybody in ["S-1-5-32-544", "S-1-5-21-1-2-3-513", "S-1-1-0"] {
        let page = saves(&mut visitor, "admin", &[("admin.administrators", everybody)]).await;
        is_at(&page, 422, "Administrators: ");
    }
}

#[tokio::test]
async fn nobody_shuts_themselves_out_where_there_is_no_account_of_regains_own() {
    const OTHER: &str = "S-1-5-21-1001-1002-1003-1104";
    let app = TestApp::new().start().await;
    let services = &app.site().services;
    let who = Some(AdminId::Account(app.account("admin").await.key));
    let mut editor = change_settings::Editor { who, name: "x".into(), address: None, source: "admin" };
    let set = async |editor: &change_settings::Editor, tab: &str, groups: &[&str]| {
        let (version, _) = change_settings::load(services).await.unwrap();
        let value = Some(toml::Value::from(groups.to_vec()));
        let edit = change_settings::Edit { key: format!("admin.{tab}"), value };
        let change = change_settings::change(services, editor, version, vec![edit]).await.unwrap();
        matches!(change, change_settings::Change::Made(_))
    };
    assert!(set(&editor, "administrators", &[OTHER, SAMPLE_ADMINISTRATORS]).await);
    // One old group left is not enough: it has to be one of the editor's.
    assert!(!set(&editor, "administrators", &[]).await && !set(&editor, "administrators", &[OTHER]).await);
    assert!(set(&editor, "auditors", &[SAMPLE_ADMINISTRATORS]).await);
    assert!(set(&editor, "administrators", &[SAMPLE_ADMINISTRATORS]).await);
    // Nor does anybody leave out the address they come from.
    editor.address = Some([192, 0, 2, 1].into());
    assert!(!set(&editor, "addresses", &["10.0.0.0/8"]).await);
    assert!(set(&editor, "addresses", &["10.0.0.0/8", "192.0.2.0/24"]).await);
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    assert!(set(&editor, "administrators", &[]).await);
    assert!(!set(&editor, "addresses", &["10.0.0.0/8"]).await);
    let page = saves(&mut visitor, "admin", &[("admin.addresses", "198.51.100.0/24")]).await;
    assert!(page.code() == 422 && page.text().contains("the address that you come from"), "{}", page.text());
}

#[tokio::test]
async fn secrets_are_never_shown_stay_when_left_empty_and_can_be_removed() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    let mail = [
        ("mail.delivery", "smtp"),
        ("mail.host", "mail.demo.example"),
        ("mail.sender", "a@demo.example"),
        ("mail.user", "u"),
        ("mail.password", "Papageientaucher"),
    ];
    let page = saves(&mut visitor, "mail", &mail).await;
    is_at(&page, 200, "Saved");
    assert!(!page.html.contains("Papageientaucher"));
    let password =
        || app.site().services.settings.load().mail.password.as_ref().map(|s| s.reveal().to_owned());
    assert_eq!(password().as_deref(), Some("Papageientaucher"));
    is_at(&saves(&mut visitor, "mail", &[("mail.user", "v")]).await, 200, "Saved");
    assert_eq!(password().as_deref(), Some("Papageientaucher"));
    // It is never sent to another place than it was given for.
    for place in [("mail.host", "evil.example"), ("mail.port", "2525"), ("mail.security", "none")] {
        let page = saves(&mut visitor, "mail", &[place]).await;
        assert!(page.code() == 422 && page.is_invalid("mail.password"), "{}", page.text());
        // Nor with the page that says so.
        let again = filled(&page, &[place]);
        assert_eq!(sends_all(&mut visitor, "/admin/settings/mail", &again).await.code(), 422);
    }
    let moved = [("mail.host", "other.example"), ("mail.password", "Neu-und-lang-genug")];
    is_at(&saves(&mut visitor, "mail", &moved).await, 200, "Saved");
    assert_eq!(password().as_deref(), Some("Neu-und-lang-genug"));
    is_at(
        &saves(&mut visitor, "mail", &[("mail.user", ""), ("mail.password.remove", "on")]).await,
        200,
        "Saved",
    );
    assert_eq!(password(), None);
    is_at(&saves(&mut visitor, "mail", &[("mail.host", "evil.example")]).await, 200, "Saved");
    assert!(!app.events().await.iter().any(|event| event.detail.contains("Papageien")));

    let app = TestApp::new().with_fixed("mail.password = 'Papageientaucher'").start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    is_at(
        &saves(&mut visitor, "mail", &[("mail.host", "evil.example")]).await,
        422,
        "in the configuration only",
    );
}

#[tokio::test]
async fn what_decides_who_is_let_in_wants_the_app_again_after_a_while() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    let codes = sets_up(&app, &mut visitor).await;
    let idle = [("security.idle_timeout_seconds", "60")];
    is_at(&saves(&mut visitor, "security", &idle).await, 200, "Saved");
    let form = visitor.open("/admin/settings/security").await;
    app.advance(Duration::from_secs(301));
    // What is harmless is changed as before.
    is_at(&saves(&mut visitor, "appearance", &[("general.footer", "x")]).await, 200, "Saved");
    let mut opened_before = visitor.clone();
    opened_before.page = Some(form.clone());
    let late = [("security.idle_timeout_seconds", "1200")];
    let page = sends_all(&mut opened_before, "/admin/settings/security", &filled(&form, &late)).await;
    assert!(page.code() == 422 && page.is_invalid("code"), "{}", page.text());
    assert_eq!(page.value("security.idle_timeout_seconds").unwrap(), "1200");
    let send = async |visitor: &mut Visitor, code: &str| {
        let both = [late[0], ("code", code)];
        saves(visitor, "security", &both).await
    };
    for wrong in ["", "000000", &codes.code(&app, 5)] {
        let page = send(&mut visitor, wrong).await;
        assert!(page.code() == 422 && page.is_invalid("code"), "{wrong}: {}", page.text());
    }
    assert_eq!(app.site().services.settings.load().security.idle_timeout_seconds, 60);
    is_at(&send(&mut visitor, &codes.code(&app, 0)).await, 200, "Saved");
    assert!(!visitor.page.as_ref().unwrap().fields().iter().any(|field| field == "code"), "for a while");
    assert_eq!(app.site().services.settings.load().security.idle_timeout_seconds, 1200);
    // A secret that could not be taken yet is not lost without a word.
    let mail = [("mail.user", "u"), ("mail.password", "Papageientaucher"), ("code", "000000")];
    app.advance(Duration::from_secs(301));
    let page = saves(&mut visitor, "mail", &mail).await;
    assert!(page.code() == 422 && page.is_invalid("mail.password"), "{}", page.text());
    assert!(page.text().contains("enter it again") && !page.html.contains("Papageien"));
    // A code is good once, and wrong ones are counted.
    app.advance(Duration::from_secs(301));
    let used = codes.code(&app, 0);
    is_at(&send(&mut visitor, &used).await, 200, "Saved");
    app.advance(Duration::from_secs(301));
    let again: Vec<_> = {
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(send(&mut visitor, &used).await.code());
        }
        answers
    };
    assert_eq!(again, [422, 422, 422, 422, 422, 429]);
    let told = app.events().await;
    assert_eq!(told.iter().filter(|event| event.detail == "proved_again").count(), 2);
}

#[tokio::test]
async fn lesser_roles_see_the_settings_and_change_none() {
    let app = TestApp::new()
        .with_settings(|settings| settings.admin.auditors = vec![SAMPLE_ADMINISTRATORS.into()])
        .start()
        .await;
    let (mut visitor, _, page) = first_signs_in(&app).await;
    is_at(&page, 200, "Auditor");
    let page = visitor.open("/admin/settings/appearance").await;
    is_at(&page, 200, "Product name");
    assert!(!page.text().contains("Save"), "{}", page.text());
    let page = sends(&mut visitor, "/admin/settings/appearance", &[("general.product_name", "x")]).await;
    is_at(&page, 403, "Not for this account");
    assert_eq!(app.site().services.settings.load().general.product_name, "Regain");
    // Sign out is everybody's.
    visitor.open("/admin/settings/appearance").await;
    let token = token_of(visitor.page.as_ref().unwrap(), "/admin/sign-out");
    let page = visitor.post_raw("/admin/sign-out", &[("csrf", &token)]).await;
    assert_eq!(page.location(), Some("/admin/sign-in"));
}

#[tokio::test]
async fn who_helps_users_sees_no_settings() {
    let app = TestApp::new()
        .with_settings(|settings| settings.admin.help_desk = vec![SAMPLE_ADMINISTRATORS.into()])
        .start()
        .await;
    let (mut visitor, _, page) = first_signs_in(&app).await;
    is_at(&page, 200, "Help desk");
    assert!(!page.html.contains("settings"), "{}", page.html);
    is_at(&visitor.open("/admin/settings/general").await, 403, "Not for this account");
}

#[tokio::test]
async fn a_form_of_another_page_or_session_is_not_taken() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    let codes = sets_up(&app, &mut visitor).await;
    let page = visitor.open("/admin/settings/general").await;
    let token = token_of(&page, "/admin/settings/general");
    let fields = [("csrf", token.as_str()), ("version", "0"), ("security.idle_timeout_seconds", "60")];
    is_at(&visitor.post_raw("/admin/settings/security", &fields).await, 403, "Please open the page again");
    let mut other = app.visitor("root");
    signs_in(&mut other, "root", "-", LOCAL).await;
    sends(&mut other, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    let fields = [("csrf", token.as_str()), ("version", "0"), ("general.product_name", "x")];
    is_at(&other.post_raw("/admin/settings/general", &fields).await, 403, "Please open the page again");
    let page = visitor.open("/admin/settings/general").await;
    let token = token_of(&page, "/admin/settings/general");
    let body = format!("csrf={token}&version=0&general.product_name=x").into_bytes();
    for header in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let page = visitor.post_body("/admin/settings/general", &[header], body.clone()).await;
        is_at(&page, 403, "Please open the page again");
    }
    assert_eq!(app.site().services.settings.load().general.product_name, "Regain");
}
