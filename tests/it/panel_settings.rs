//! What the panel does with settings besides saving them: lists that are changed in place, trying things out, searching,
//! and setting a domain up (R6).

use std::time::Duration;

use regain::{
    domain::{audit::Action, message::Message},
    testing::{DirectoryMood, TestApp, Visitor},
};

use super::admin::{filled, is_at, saves, sends, sends_all, sets_up, with_groups};

const LISTS: &str = "enroll.question_list";

async fn administrator(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

/// Presses a button of a tab, with what is on the page.
async fn presses(visitor: &mut Visitor, tab: &str, button: &str, more: &[(&str, &str)]) {
    let path = format!("/admin/settings/{tab}");
    let page = visitor.page.clone().unwrap();
    let mut fields = filled(&page, &[]);
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields.push(("action".into(), button.into()));
    is_at(&sends_all(visitor, &path, &fields).await, 200, "Not saved yet");
}

#[tokio::test]
async fn a_list_is_changed_on_the_page_and_holds_when_it_is_saved() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let before = app.site().services.settings.load().enroll.question_list.clone();
    visitor.open("/admin/settings/enroll").await;
    presses(&mut visitor, "enroll", "down enroll.question_list 0 en", &[]).await;
    let shown =
        |visitor: &Visitor, at: usize| visitor.page.as_ref().unwrap().value(&format!("{LISTS}.en.{at}"));
    assert_eq!(shown(&visitor, 0).as_ref(), before["en"].get(1));
    assert_eq!(app.site().services.settings.load().enroll.question_list, before, "nothing is saved yet");
    let page = visitor.page.clone().unwrap();
    let typed: Vec<_> = (0..before["en"].len()).map(|at| shown(&visitor, at).unwrap()).collect();
    let text = format!("[en]\n{}", typed.join("\n"));
    // The draft goes along with the next form, whatever that is.
    let fields = filled(&page, &[(LISTS, &text)]);
    is_at(&sends_all(&mut visitor, "/admin/settings/enroll", &fields).await, 200, "Saved");
    let after = app.site().services.settings.load().enroll.question_list.clone();
    assert_eq!((&after["en"][0], &after["en"][1]), (&before["en"][1], &before["en"][0]));
    assert!(!after.contains_key("de"), "a list that was dropped is gone");
    // A button that there isn't, and one of a setting that there isn't here.
    for (button, code) in [("up mail.host 0", 404), ("fly enroll.question_list 0 en", 200)] {
        let page = visitor.open("/admin/settings/enroll").await;
        let mut fields = filled(&page, &[]);
        fields.push(("action".into(), button.into()));
        assert_eq!(sends_all(&mut visitor, "/admin/settings/enroll", &fields).await.code(), code, "{button}");
    }
}

#[tokio::test]
async fn two_who_change_the_same_list_at_once_both_have_their_way() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let group = |last: u32| format!("S-1-5-21-1001-1002-1003-{last}");
    let two = [group(1101), group(1102)].join("\n");
    is_at(&saves(&mut visitor, "admin", &[("admin.auditors", &two)]).await, 200, "Saved");
    let mut other = visitor.clone();
    let opened = other.open("/admin/settings/admin").await;
    // One takes the first out, the other adds a third to what was there before.
    is_at(&saves(&mut visitor, "admin", &[("admin.auditors", &group(1102))]).await, 200, "Saved");
    let three = [group(1101), group(1102), group(1103)].join("\n");
    let fields = filled(&opened, &[("admin.auditors", &three)]);
    let page = sends_all(&mut other, "/admin/settings/admin", &fields).await;
    is_at(&page, 422, "Somebody else has changed");
    let rows: Vec<_> = (0..3).filter_map(|at| page.value(&format!("admin.auditors.{at}"))).collect();
    assert_eq!(rows, [group(1102), group(1103), String::new()], "and an empty row to go on with");
    let again = filled(&page, &[("admin.auditors", &rows[..2].join("\n"))]);
    is_at(&sends_all(&mut other, "/admin/settings/admin", &again).await, 200, "Saved");
    assert_eq!(app.site().services.settings.load().admin.auditors, rows[..2]);
}

#[tokio::test]
async fn groups_are_picked_by_searching_the_directory() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let key = "permissions.reset.groups";
    let find = format!("find {key}");
    visitor.open("/admin/settings/permissions").await;
    presses(&mut visitor, "permissions", &find, &[(&format!("{key}.search"), "main us")]).await;
    let page = visitor.page.clone().unwrap();
    assert!(page.text().contains("DEMO\\Domain Users") && page.text().contains("LAB\\Domain Users"));
    assert!(!page.text().contains("Domain Admins"));
    let sid = "S-1-5-21-1001-1002-1003-513";
    presses(&mut visitor, "permissions", &format!("pick {key} {sid}"), &[]).await;
    let page = visitor.page.clone().unwrap();
    assert_eq!(page.value(&format!("{key}.0")).as_deref(), Some(sid));
    assert!(page.text().contains("DEMO\\Domain Users"), "by its name");
    for (typed, told) in [("x", "at least two letters"), ("no such group", "No security group")] {
        visitor.open("/admin/settings/permissions").await;
        presses(&mut visitor, "permissions", &find, &[(&format!("{key}.search"), typed)]).await;
        is_at(visitor.page.as_ref().unwrap(), 200, told);
    }
    app.directories_behave(DirectoryMood::Unavailable);
    visitor.open("/admin/settings/permissions").await;
    presses(&mut visitor, "permissions", &find, &[(&format!("{key}.search"), "main us")]).await;
    is_at(visitor.page.as_ref().unwrap(), 200, "No domain controller answers");
    // What is searched reaches into the network: not without end.
    app.directories_behave(DirectoryMood::Well);
    for _ in 0..12 {
        visitor.open("/admin/settings/permissions").await;
        presses(&mut visitor, "permissions", &find, &[(&format!("{key}.search"), "main us")]).await;
    }
    is_at(visitor.page.as_ref().unwrap(), 200, "tried often");
}

#[tokio::test]
async fn settings_are_tried_out_before_they_are_saved() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = administrator(&app).await;
    let tries = async |visitor: &mut Visitor, tab: &str, changes: &[(&str, &str)]| {
        let path = format!("/admin/settings/{tab}");
        let mut fields = filled(&visitor.open(&path).await, changes);
        fields.push(("action".into(), "try".into()));
        sends_all(visitor, &path, &fields).await
    };
    let page = tries(&mut visitor, "mail", &[("trial.to", "ops@demo.example")]).await;
    is_at(&page, 200, "choose a delivery first");
    is_at(&tries(&mut visitor, "mail", &[("trial.to", "nobody")]).await, 422, "no e-mail address");
    let smtp = [
        ("mail.delivery", "smtp"),
        ("mail.host", "127.0.0.1"),
        ("mail.port", "9"),
        ("mail.security", "none"),
        ("mail.sender", "regain@demo.example"),
        ("trial.to", "ops@demo.example"),
    ];
    is_at(&tries(&mut visitor, "mail", &smtp).await, 200, "Wrong:");
    assert_eq!(app.site().services.settings.load().mail.host, None, "tried, and not saved");
    // A secret goes to no other place by being tried there, either.
    let login = [("mail.user", "u"), ("mail.password", "hunter2"), ("mail.security", "starttls")];
    is_at(&saves(&mut visitor, "mail", &[&smtp[..5], &login].concat()).await, 200, "Saved");
    let page = tries(&mut visitor, "mail", &[("mail.host", "evil.example"), smtp[5]]).await;
    is_at(&page, 422, "has to be given again");
    is_at(&tries(&mut visitor, "sms", &[("trial.to", "12")]).await, 422, "no number to send to");
    let tried = |event: &&regain::domain::audit::Event| {
        event.action == Action::Setting && event.detail.starts_with("tried: ")
    };
    let events = app.events().await;
    let places: Vec<_> = events.iter().filter(tried).map(|event| event.detail.as_str()).collect();
    assert_eq!(places, ["tried: mail", "tried: mail 127.0.0.1"]);
    let general = visitor.open("/admin/settings/general").await;
    let mut fields = filled(&general, &[]);
    fields.push(("action".into(), "try".into()));
    assert_eq!(sends_all(&mut visitor, "/admin/settings/general", &fields).await.code(), 404);
}

#[tokio::test]
async fn in_the_demo_a_mail_that_is_tried_is_among_those_sent() {
    let app = TestApp::new().as_demo().start().await;
    let mut visitor = administrator(&app).await;
    let mut fields = filled(&visitor.open("/admin/settings/mail").await, &[("trial.to", "ops@demo.example")]);
    fields.push(("action".into(), "try".into()));
    is_at(&sends_all(&mut visitor, "/admin/settings/mail", &fields).await, 200, "it was taken");
    let kept = app.site().services.notifier.kept().unwrap();
    assert!(matches!(&kept[0].message, Message::Mail(mail) if mail.subject.contains("a test")));
    // The demo's domains are what they are.
    assert_eq!(visitor.get("/admin/domains/new").await.location(), Some("/admin/domains"));
}

#[tokio::test]
async fn an_account_is_looked_up_as_people_type_its_name() {
    let app = with_groups(|_| ()).start().await;
    let mut visitor = administrator(&app).await;
    for (typed, code, told) in [
        ("DEMO\\alice", 200, "CN=alice,OU=People,DC=demo,DC=example"),
        ("alice@demo.example", 200, "permitted"),
        ("admin", 200, "Not for administrators"),
        ("dave", 200, "This account is switched off"),
        ("nobody", 200, "Nobody is found"),
        ("", 422, "User name"),
    ] {
        visitor.open("/admin/domains").await;
        let fields = [("action", "look"), ("username", typed)];
        is_at(&sends(&mut visitor, "/admin/domains", &fields).await, code, told);
    }
    visitor.open("/admin/domains").await;
    let fields = [("action", "try 0"), ("username", "")];
    is_at(&sends(&mut visitor, "/admin/domains", &fields).await, 200, "In order:");
}

#[tokio::test]
async fn a_domain_is_set_up_step_by_step_and_its_password_is_told_nobody() {
    const NEW: &str = "/admin/domains/new";
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    is_at(&visitor.open(NEW).await, 200, "Where is the domain?");
    for (name, told) in [("", "is needed"), ("not a name!", "is not a DNS name")] {
        visitor.open(NEW).await;
        let fields = [("dns_name", name), ("controllers", ""), ("action", "controllers")];
        is_at(&sends(&mut visitor, NEW, &fields).await, 422, told);
    }
    // Not a way to find open ports.
    visitor.open(NEW).await;
    let fields = [("dns_name", "demo.example"), ("controllers", "10.0.0.1:22"), ("action", "controllers")];
    is_at(&sends(&mut visitor, NEW, &fields).await, 422, "other ports than 389 and 636");
    // Nobody comes to a later step without the earlier ones.
    visitor.open(NEW).await;
    let early = [("service_account", "svc"), ("service_password", "hunter2"), ("action", "serve")];
    is_at(&sends(&mut visitor, NEW, &early).await, 422, "Where is the domain?");
    assert!(app.site().services.settings.load().domain.is_empty());
    visitor.open(NEW).await;
    let fields =
        [("dns_name", "other.example"), ("controllers", "dc1.other.example"), ("action", "controllers")];
    is_at(&sends(&mut visitor, NEW, &fields).await, 200, "As whom does Regain work?");
    let account =
        [("service_account", "svc@demo.example"), ("service_password", "hunter2"), ("action", "serve")];
    let mark = visitor.page.as_ref().unwrap().value("mark").unwrap();
    let fields = [&account[..], &[("mark", mark.as_str())]].concat();
    is_at(&sends(&mut visitor, NEW, &fields).await, 422, "calls itself demo.example");
    visitor.open("/admin/domains/new?step=directory").await;
    let fields = [("dns_name", "Demo.Example"), ("controllers", ""), ("action", "controllers")];
    is_at(&sends(&mut visitor, NEW, &fields).await, 200, "As whom does Regain work?");
    // Left, and gone on with, by another browser after a restart.
    app.restart().await;
    is_at(&visitor.open(NEW).await, 200, "As whom does Regain work?");
    let mark = visitor.page.as_ref().unwrap().value("mark").unwrap();
    let fields = [("service_account", ""), ("mark", mark.as_str()), ("action", "serve")];
    is_at(&sends(&mut visitor, NEW, &fields).await, 422, "Service account: is needed");
    // A password that was typed for one place does not go to another.
    let fields = [&account[..], &[("mark", "of something else")]].concat();
    is_at(&sends(&mut visitor, NEW, &fields).await, 422, "were changed meanwhile");
    let page = sends(&mut visitor, NEW, &[&account[..], &[("mark", mark.as_str())]].concat()).await;
    is_at(&page, 200, "Domains");
    let settings = app.site().services.settings.load_full();
    assert_eq!((settings.domain.len(), settings.domain[0].netbios_name.as_str()), (1, "DEMO"));
    let told: Vec<_> = app.events().await.into_iter().map(|event| event.detail).collect();
    assert!(told.contains(&"domain.Demo.Example.service_password: changed".to_owned()), "{told:?}");
    assert!(told.iter().all(|detail| !detail.contains("hunter2")));
    is_at(&visitor.open(NEW).await, 200, "Where is the domain?");

    // Its own tab: whoever moves it elsewhere gives the password again; taken out, it is gone.
    let page = saves(&mut visitor, "domain.0", &[("domain.0.controllers", "evil.example")]).await;
    is_at(&page, 422, "has to be given again");
    let mut late = filled(&visitor.open("/admin/settings/domain.0").await, &[]);
    late.push(("action".into(), "try".into()));
    is_at(&saves(&mut visitor, "domain.0", &[("domain.0.connections", "2")]).await, 200, "Saved");
    let page = sends_all(&mut visitor, "/admin/settings/domain.0", &late).await;
    is_at(&page, 422, "Somebody else has changed");
    assert_eq!(visitor.open("/admin/settings/domain.1").await.code(), 404);
    assert_eq!(visitor.open("/admin/settings/domain").await.code(), 404);
    let mut fields = filled(&visitor.open("/admin/settings/domain.0").await, &[]);
    assert!(!visitor.page.as_ref().unwrap().html.contains("hunter2"));
    fields.push(("action".into(), "take-out".into()));
    is_at(&sends_all(&mut visitor, "/admin/settings/domain.0", &fields).await, 200, "Domains");
    assert!(app.site().services.settings.load().domain.is_empty());
    let last = app.events().await.pop().unwrap().detail;
    assert_eq!(last, "domain.Demo.Example: removed");
}

#[tokio::test]
async fn what_is_searched_for_is_found_and_never_markup() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let page = visitor.open("/admin/search?q=idle+TIMEOUT").await;
    is_at(&page, 200, "Idle timeout seconds");
    assert!(page.links().contains(&"/admin/settings/security#security.idle_timeout_seconds".to_owned()));
    let page = visitor.open("/admin/search?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E%00").await;
    assert!(page.code() == 200 && !page.html.contains("<script>alert"));
    is_at(&visitor.open("/admin/search").await, 200, "Find a setting");
}

#[tokio::test]
async fn the_certificate_is_shown_and_checked() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let page = visitor.open("/admin/https").await;
    is_at(&page, 200, "self-signed, 396 days left");
    is_at(&page, 200, &app.site().certificates.fingerprint());
    let page = sends(&mut visitor, "/admin/https", &[("action", "check")]).await;
    is_at(&page, 200, "certificate for reset.demo.example");
    is_at(&page, 200, "the name is in it");
    is_at(&page, 200, "self-signed: browsers warn of it");
}

#[tokio::test]
async fn the_panel_tells_what_runs_since_when_and_what_it_is_made_of() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    app.advance(Duration::from_secs(5 * 60));
    let page = visitor.open("/admin/about").await;
    is_at(&page, 200, env!("CARGO_PKG_VERSION"));
    is_at(&page, 200, "0 d 0 h 5 min");
    is_at(&page, 200, "MiB on the disk");
    is_at(&page, 200, "webauthn-rs-core");
    let texts = visitor.open("/admin/about/licences.txt").await;
    is_at(&texts, 200, "Permission is hereby granted");
}
