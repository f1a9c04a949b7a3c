//! Who has a way into the admin panel: invitations, sessions, second factors (R6.2).

use std::time::Duration;

use regain::{
    directory::demo::{SAMPLE_ADMINISTRATORS, SAMPLE_PASSWORD},
    domain::{
        admin::{AdminId, AdminSession, SecondFactor},
        audit::{Action, Outcome::Success},
        enrollment::Passkey,
        message::Message,
    },
    flows::{access, session::SessionId, sign_in},
    store::Found,
    testing::{Device, OneTimeCodes, Page, TestApp, Visitor},
    web::csrf,
};

use crate::admin::{
    COOKIE, LOCAL, comes_invited, first_signs_in, invitation, is_at, sends, sets_up, signs_in, with_groups,
};

const PATH: &str = "/admin/access";
const EVERYBODY: &str = "S-1-5-21-1001-1002-1003-513";

/// What the audit log has of signing in and of access: outcome, detail, who, whose.
async fn told(app: &TestApp, action: Action) -> Vec<(bool, String, String, String)> {
    let events = app.events().await.into_iter().filter(|event| event.action == action);
    events
        .map(|event| {
            let who = event.source_user.unwrap_or_default();
            (event.outcome == Success, event.detail, who, event.user)
        })
        .collect()
}

/// The action of the button that does that to the entry of that name.
fn button(page: &Page, deed: &str, name: &str) -> String {
    let html = page.html.replace("&#x2f;", "/").replace("&#x27;", "'");
    let entry = html.split("<li>").find(|entry| {
        entry.contains(&format!("value=\"{deed} ")) && entry.contains(&format!("<bdi>{name}</bdi>"))
    });
    let entry = entry.unwrap_or_else(|| panic!("no {deed} at {name}: {html}"));
    let value = entry.split(&format!("value=\"{deed} ")).nth(1).unwrap();
    format!("{deed} {}", value.split('"').next().unwrap())
}

async fn does(visitor: &mut Visitor, action: &str) -> Page {
    visitor.open(PATH).await;
    sends(visitor, PATH, &[("action", action)]).await
}

#[tokio::test]
async fn the_password_alone_never_sets_up_an_app() {
    let app = with_groups(|_| ()).start().await;
    let mut visitor = app.visitor("admin");
    let page = signs_in(&mut visitor, "admin", "DEMO", SAMPLE_PASSWORD).await;
    is_at(&page, 422, "have no authenticator app for it yet");
    assert!(page.text().contains("regain admin invite"));
    // Neither does an invitation without the password, or of somebody who may not use the panel.
    let link = invitation(&app, None).await;
    is_at(&visitor.open(&link).await, 200, "You were invited");
    let fields = |name, password| [("username", name), ("domain", "DEMO"), ("password", password)];
    is_at(&sends(&mut visitor, &link, &fields("admin", "wrong")).await, 422, "together they don");
    is_at(&sends(&mut visitor, &link, &fields("alice", SAMPLE_PASSWORD)).await, 422, "together they don");
    visitor.open(&link).await;
    let page = sends(&mut visitor, &link, &fields("admin", SAMPLE_PASSWORD)).await;
    is_at(&page, 200, "Set up an authenticator app");
    // Until an app is set up by it, it is good.
    is_at(&app.visitor("late").open(&link).await, 200, "You were invited");
    let codes = OneTimeCodes::read(&page);
    let page = sends(&mut visitor, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 200, "Overview");
    is_at(&app.visitor("late").open(&link).await, 403, "This invitation is no longer good");
    let details: Vec<_> =
        told(&app, Action::SignIn).await.into_iter().map(|(ok, what, ..)| (ok, what)).collect();
    let expected = [
        (false, "second_factor_missing"),
        (false, "password"),
        (false, "admin_not_permitted"),
        (true, "app_added"),
        (false, "invitation_void"),
    ];
    assert_eq!(details, expected.map(|(ok, what)| (ok, what.to_owned())));
}

#[tokio::test]
async fn of_two_who_come_by_one_invitation_only_one_is_let_in() {
    let app = with_groups(|settings| settings.admin.auditors = vec![EVERYBODY.into()]).start().await;
    let link = invitation(&app, None).await;
    let mut pages = Vec::new();
    let (mut admin, mut alice) = (app.visitor("admin"), app.visitor("alice"));
    for (visitor, name) in [(&mut admin, "admin"), (&mut alice, "alice")] {
        visitor.open(&link).await;
        let fields = [("username", name), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)];
        pages.push(sends(visitor, &link, &fields).await);
    }
    let codes: Vec<_> = pages.iter().map(OneTimeCodes::read).collect();
    let page = sends(&mut alice, "/admin/sign-in", &[("code", &codes[1].code(&app, 0))]).await;
    is_at(&page, 200, "Overview");
    let page = sends(&mut admin, "/admin/sign-in", &[("code", &codes[0].code(&app, 0))]).await;
    is_at(&page, 403, "This invitation is no longer good");
    is_at(
        &signs_in(&mut app.visitor("x"), "admin", "DEMO", SAMPLE_PASSWORD).await,
        422,
        "no authenticator app",
    );
}

#[tokio::test]
async fn an_invitation_is_bound_to_its_name_and_to_its_hour() {
    let app = with_groups(|settings| settings.admin.auditors = vec![EVERYBODY.into()]).start().await;
    let fields = |name| [("username", name), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)];
    for name in ["demo\\Admin", "admin@demo.example"] {
        let link = invitation(&app, Some(name)).await;
        let mut visitor = app.visitor("x");
        visitor.open(&link).await;
        is_at(&sends(&mut visitor, &link, &fields("alice")).await, 422, "no authenticator app");
        visitor.open(&link).await;
        is_at(&sends(&mut visitor, &link, &fields("admin")).await, 200, "Set up an authenticator app");
    }
    let link = invitation(&app, None).await;
    let mut late = app.visitor("late");
    late.open(&link).await;
    app.advance(Duration::from_secs(59 * 60));
    let page = sends(&mut late, &link, &fields("admin")).await;
    let codes = OneTimeCodes::read(&page);
    app.advance(Duration::from_secs(61));
    let page = sends(&mut late, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 403, "This invitation is no longer good");
    app.run_jobs().await;
    assert!(access::list_invitations(&app.site().services).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_account_is_offered_until_anybody_has_a_second_factor() {
    let app = with_groups(|_| ()).start().await;
    let services = app.site().services.clone();
    assert!(sign_in::invite(&services).await.unwrap().is_some());
    first_signs_in(&app).await;
    assert!(sign_in::invite(&services).await.unwrap().is_none());
}

#[tokio::test]
async fn an_administrator_invites_a_colleague_after_a_fresh_proof() {
    let app = with_groups(|settings| settings.admin.auditors = vec![EVERYBODY.into()]).start().await;
    let (mut admin, codes, _) = first_signs_in(&app).await;
    let invite = [("action", "invite"), ("username", "alice"), ("domain", "DEMO")];
    app.advance(Duration::from_secs(301));
    let page = admin.open(PATH).await;
    is_at(&page, 200, "It’s a while since you signed in");
    assert!(!page.html.contains("value=\"invite\""));
    is_at(&sends(&mut admin, PATH, &invite).await, 422, "Nothing was done yet");
    let prove = async |admin: &mut Visitor, code: &str| {
        admin.open(PATH).await;
        sends(admin, PATH, &[("action", "prove"), ("code", code)]).await
    };
    let page = prove(&mut admin, "000000").await;
    assert!(page.code() == 422 && page.is_invalid("code"), "{}", page.text());
    is_at(&prove(&mut admin, &codes.code(&app, 0)).await, 200, "That was right");
    let nobody = [invite[0], ("username", "nobody"), invite[2]];
    let page = sends(&mut admin, PATH, &nobody).await;
    assert!(page.code() == 422 && page.is_invalid("username"), "{}", page.text());
    let page = sends(&mut admin, PATH, &invite).await;
    is_at(&page, 200, "Give this link to whom you invite");
    let link = page.html.replace("&#x2f;", "/");
    let link = link.split("https://reset.demo.example").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let page = admin.open(PATH).await;
    assert!(page.text().contains("DEMO\\alice") && !page.html.contains(&link[14..]), "shown once");
    let mut alice = app.visitor("alice");
    alice.open(&link).await;
    let fields = [("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)];
    is_at(&sends(&mut alice, &link, &fields).await, 200, "Set up an authenticator app");
    // Taken back, it is good for nothing any more.
    let page = admin.open(PATH).await;
    is_at(&does(&mut admin, &button(&page, "revoke", "DEMO\\alice")).await, 200, "no longer good");
    is_at(&app.visitor("alice").open(&link).await, 403, "no longer good");
    let codes = OneTimeCodes::read(alice.page.as_ref().unwrap());
    let page = sends(&mut alice, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&page, 403, "no longer good");
    let all: Vec<_> = told(&app, Action::Access).await.into_iter().skip(1).collect();
    let row = |what: &str| (true, what.to_owned(), "DEMO\\admin".to_owned(), "DEMO\\alice".to_owned());
    assert_eq!(all, [row("invited"), row("invitation_revoked")]);
    assert!(!app.events().await.iter().any(|event| event.detail.contains(&link[14..])));
}

#[tokio::test]
async fn a_colleagues_second_factor_is_reset_without_the_console() {
    let app = with_groups(|settings| {
        settings.admin.auditors = vec![EVERYBODY.into()];
        settings.alerts.operators = vec!["ops@demo.example".into()];
    });
    let app = app.start().await;
    let (mut admin, ..) = first_signs_in(&app).await;
    let mut alice = app.visitor("alice");
    let page = comes_invited(&app, &mut alice, "alice").await;
    let codes = OneTimeCodes::read(&page);
    sends(&mut alice, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    is_at(&alice.open("/admin").await, 200, "Auditor");
    let before = app.sent().await.len();
    let page = admin.open(PATH).await;
    assert!(!page.html.contains(&format!("reset {}", app.account("admin").await.key.guid)), "not one's own");
    let reset = button(&page, "reset", "DEMO\\alice");
    // Not by an auditor.
    alice.open(PATH).await;
    is_at(&sends(&mut alice, PATH, &[("action", &reset)]).await, 403, "Not for this account");
    is_at(&does(&mut admin, &reset).await, 200, "The second factor is reset");
    is_at(&alice.open("/admin").await, 200, "Sign in to the admin panel");
    is_at(&signs_in(&mut alice, "alice", "DEMO", SAMPLE_PASSWORD).await, 422, "no authenticator app");
    let sent: Vec<_> = app.sent().await.split_off(before);
    let to: Vec<_> = sent.iter().map(Message::to).collect();
    assert_eq!(to.len(), 2, "{to:?}");
    is_at(&comes_invited(&app, &mut app.visitor("alice"), "alice").await, 200, "Set up an authenticator");
    // Nobody takes their own.
    let own = format!("reset {}@demo.example", app.account("admin").await.key.guid);
    is_at(&does(&mut admin, &own).await, 403, "Not for this account");
    let last = told(&app, Action::Access).await;
    let reset: Vec<_> = last.iter().filter(|row| row.1 == "second_factor_reset").collect();
    assert_eq!(reset.len(), 1);
    assert_eq!((reset[0].2.as_str(), reset[0].3.as_str()), ("DEMO\\admin", "DEMO\\alice"));
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let app = with_groups(|settings| settings.admin.auditors = vec![EVERYBODY.into()]).start().await;
    let (mut admin, ..) = first_signs_in(&app).await;
    let mut alice = app.visitor("alice").from([198, 51, 100, 9]);
    let page = comes_invited(&app, &mut alice, "alice").await;
    let codes = OneTimeCodes::read(&page);
    sends(&mut alice, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    // Lesser roles see their own only.
    let page = alice.open(PATH).await;
    assert!(page.text().contains("this session") && !page.text().contains("DEMO\\admin"), "{}", page.text());
    assert!(!page.text().contains("Invitations"));
    app.advance(Duration::from_secs(30));
    let mut second = app.visitor("alice");
    signs_in(&mut second, "alice", "DEMO", SAMPLE_PASSWORD).await;
    sends(&mut second, "/admin/sign-in", &[("code", &codes.code(&app, 0))]).await;
    let page = admin.open(PATH).await;
    assert!(page.text().contains("198.51.100.9") && page.text().contains("DEMO\\alice"), "{}", page.text());
    let admins = page.html.matches("value=\"end ").count();
    assert_eq!(admins, 2, "each but one's own");
    // One's own other session.
    let page = second.open(PATH).await;
    is_at(&does(&mut second, &button(&page, "end", "DEMO\\alice")).await, 200, "The session has ended");
    is_at(&alice.open("/admin").await, 200, "Sign in to the admin panel");
    // Somebody else's is not to be ended by lesser roles.
    let sessions = access::list_sessions(&app.site().services, None).await.unwrap();
    let of_admin = sessions.iter().find(|session| session.record.name == "DEMO\\admin").unwrap();
    let key = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(of_admin.key)
    };
    is_at(&does(&mut second, &format!("end {key}")).await, 403, "Not for this account");
    let page = admin.open(PATH).await;
    is_at(&does(&mut admin, &button(&page, "end", "DEMO\\alice")).await, 200, "The session has ended");
    is_at(&second.open("/admin").await, 200, "Sign in to the admin panel");
    let rows: Vec<_> = told(&app, Action::Access).await;
    let ended: Vec<_> = rows.iter().filter(|row| row.1 == "session_ended").map(|row| &row.2).collect();
    assert_eq!(ended, ["DEMO\\alice", "DEMO\\admin"]);
}

#[tokio::test]
async fn signing_out_a_lost_membership_and_refused_links_are_in_the_log_and_held_up_tries_once() {
    let app = with_groups(|_| ()).start().await;
    sets_up(&app, &mut app.visitor("root")).await;
    let (mut admin, ..) = first_signs_in(&app).await;
    app.set(|settings| settings.admin.administrators = vec!["S-1-5-21-1001-1002-1003-999".into()]);
    app.advance(Duration::from_secs(61));
    admin.open("/admin").await;
    app.set(|settings| settings.admin.administrators = vec![SAMPLE_ADMINISTRATORS.into()]);
    for number in 0..20 {
        app.visitor("x").open(&format!("/admin/invite/{number}")).await;
        app.visitor("x").open(&format!("/admin/setup/{number}")).await;
    }
    for _ in 0..8 {
        signs_in(&mut app.visitor("x"), "root", "-", "guess").await;
    }
    app.advance(Duration::from_secs(31 * 60));
    for _ in 0..8 {
        signs_in(&mut app.visitor("x"), "root", "-", "guess").await;
    }
    let rows: Vec<_> = told(&app, Action::SignIn).await;
    let count = |detail: &str| rows.iter().filter(|row| row.1 == detail).count();
    assert_eq!((count("membership_ended"), count("rate_limited"), count("password")), (1, 2, 6), "{rows:?}");
    let refused = count("invitation_void") + count("setup_link_void");
    assert!((1..=10).contains(&refused), "{refused}");
    assert!(rows.iter().all(|row| row.1 != "password" || row.2 == "root"));
}

#[tokio::test]
async fn from_other_addresses_there_is_no_panel() {
    let app = with_groups(|settings| settings.admin.addresses = vec!["192.0.2.0/24".into()]).start().await;
    let mut outside = app.visitor("x").from([198, 51, 100, 7]);
    let nothing = outside.open("/nothing").await;
    for path in regain::web::panel_addresses() {
        let path = path.replace(":tab", "general").replace(":view", "menu-light").replace(":token", "AAAA");
        let page = outside.get(&path).await;
        assert_eq!((page.code(), page.masked()), (404, nothing.masked()), "{path}");
        assert_eq!(page.masked_headers(), nothing.masked_headers(), "{path}");
        assert_eq!(outside.post_raw(&path, &[("csrf", "x")]).await.code(), 404, "{path}");
    }
    assert_eq!(app.visitor("x").get("/admin/sign-in").await.code(), 200);
    // Whoever has a session there has none elsewhere.
    let (admin, ..) = first_signs_in(&app).await;
    assert_eq!(admin.clone().get("/admin").await.code(), 200);
    assert_eq!(admin.from([198, 51, 100, 7]).get("/admin").await.code(), 404);
}

#[tokio::test]
async fn a_site_with_many_addresses_does_not_guess_much_more_than_one_address() {
    let app = TestApp::new().start().await;
    sets_up(&app, &mut app.visitor("root")).await;
    let mut granted = 0;
    for host in 0..60 {
        let mut visitor = app.visitor("x").from([198, 51, 100, host]);
        granted += u32::from(signs_in(&mut visitor, "root", "-", "guess").await.code() == 422);
    }
    assert_eq!(granted, 20);
    let mut elsewhere = app.visitor("root").from([203, 0, 113, 7]);
    is_at(&signs_in(&mut elsewhere, "root", "-", LOCAL).await, 200, "Your authenticator app");
}

#[tokio::test]
async fn another_language_is_chosen_on_the_page_one_is_on_and_stays() {
    let app = TestApp::new().start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    for path in [PATH, "/admin/settings/general", "/admin"] {
        let page = visitor.open(path).await;
        assert!(page.links().iter().any(|link| link == "?lang=de"), "{path}: {:?}", page.links());
        let page = visitor.open(&format!("{path}?lang=de")).await;
        assert!(page.html.contains("<html lang=\"de\""), "{path}");
    }
    assert!(visitor.open(PATH).await.html.contains("<html lang=\"de\""));
}

/// Who comes to an address of the panel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Nobody,
    /// The password was right; a code is wanted, or an app is being set up.
    PendingCode,
    PendingApp,
    Auditor,
    HelpDesk,
    Administrator,
    /// Signed in once; the session has ended, or its owner may no longer.
    Ended,
    Removed,
}

impl Who {
    const ALL: [Self; 8] = [
        Self::Nobody,
        Self::PendingCode,
        Self::PendingApp,
        Self::Auditor,
        Self::HelpDesk,
        Self::Administrator,
        Self::Ended,
        Self::Removed,
    ];

    const fn is_signed_in(self) -> bool {
        matches!(self, Self::Auditor | Self::HelpDesk | Self::Administrator)
    }
}

/// What is answered to a look and to an empty form that comes from the page itself.
type Expected = fn(Who) -> (u16, u16);

/// What each address answers; of those behind the guard, to who is signed in.
const EXPECTED: [(&str, bool, Expected); 31] = [
    ("/admin", true, |who| (200, if who == Who::Administrator { 303 } else { 403 })),
    ("/admin/about", true, |who| (200, if who == Who::Administrator { 303 } else { 403 })),
    ("/admin/about/licences.txt", true, |who| (200, if who == Who::Administrator { 303 } else { 403 })),
    ("/admin/access", true, |_| (200, 303)),
    ("/admin/api", true, |who| if who == Who::Administrator { (200, 303) } else { (403, 403) }),
    ("/admin/appearance/:view", true, |who| match who {
        Who::Administrator => (200, 303),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/backup", true, |who| match who {
        Who::Administrator => (200, 422),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/coverage", true, |who| (200, if who == Who::Administrator { 422 } else { 403 })),
    ("/admin/domains/new", true, |who| match who {
        Who::Administrator => (200, 404),
        _ => (403, 403),
    }),
    ("/admin/domains", true, |who| match who {
        Who::Administrator => (200, 404),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/events", true, |_| (200, 303)),
    ("/admin/events/filter", true, |_| (200, 200)),
    // In no format.
    ("/admin/events/export/:format", true, |who| (404, if who == Who::Administrator { 303 } else { 403 })),
    ("/admin/users", true, |_| (200, 303)),
    ("/admin/users/filter", true, |_| (200, 200)),
    ("/admin/users/export/:format", true, |who| (404, if who == Who::Administrator { 303 } else { 403 })),
    // Nobody's.
    ("/admin/users/:domain/:guid", true, |who| (404, if who == Who::Auditor { 403 } else { 404 })),
    ("/admin/events/verify", true, |who| (200, if who == Who::HelpDesk { 403 } else { 303 })),
    ("/admin/https", true, |who| match who {
        Who::Administrator => (200, 404),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/import", true, |who| if who == Who::Administrator { (200, 422) } else { (403, 403) }),
    ("/admin/import/report", true, |who| if who == Who::Administrator { (303, 303) } else { (403, 403) }),
    ("/admin/overrides", true, |who| match who {
        Who::Administrator => (200, 303),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/passwords", true, |who| match who {
        Who::Administrator => (200, 404),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/purge", true, |who| match who {
        Who::Administrator => (200, 422),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/transfer", true, |who| if who == Who::Administrator { (200, 422) } else { (403, 403) }),
    ("/admin/search", true, |who| match who {
        Who::Administrator => (200, 303),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/settings/:tab", true, |who| match who {
        Who::Administrator => (200, 422),
        Who::Auditor => (200, 403),
        _ => (403, 403),
    }),
    ("/admin/sign-out", true, |_| (303, 303)),
    ("/admin/sign-in", false, |who| if who.is_signed_in() { (303, 303) } else { (200, 422) }),
    ("/admin/invite/:token", false, |_| (403, 403)),
    ("/admin/setup/:token", false, |_| (403, 422)),
];

/// Someone, with the session as the store has it.
async fn comes(who: Who) -> (TestApp, Visitor, Option<AdminSession>) {
    let group = || vec![SAMPLE_ADMINISTRATORS.to_owned()];
    let app = TestApp::new().with_settings(|settings| match who {
        Who::Auditor => settings.admin.auditors = group(),
        Who::HelpDesk => settings.admin.help_desk = group(),
        _ => settings.admin.administrators = group(),
    });
    let app = app.start().await;
    let mut visitor = app.visitor("admin");
    match who {
        Who::Nobody => {
            visitor.open("/admin/sign-in").await;
        }
        Who::PendingApp => {
            comes_invited(&app, &mut visitor, "admin").await;
        }
        _ => visitor = first_signs_in(&app).await.0,
    }
    if who == Who::PendingCode {
        visitor = app.visitor("admin");
        is_at(&signs_in(&mut visitor, "admin", "DEMO", SAMPLE_PASSWORD).await, 200, "Your authenticator app");
    }
    let session = SessionId::parse(&visitor.cookies[COOKIE]).unwrap();
    let record = app.site().services.store.find::<AdminSession>(&session.hash()).await.unwrap();
    let record = record.map(Found::into_inner);
    assert_eq!(record.is_none(), who == Who::Nobody, "{who:?}");
    match who {
        Who::Ended => app.advance(Duration::from_secs(11 * 60)),
        Who::Removed => {
            app.set(|settings| settings.admin.administrators = vec!["S-1-5-21-1001-1002-1003-999".into()]);
            app.advance(Duration::from_secs(61));
        }
        _ => {}
    }
    (app, visitor, record)
}

#[tokio::test]
async fn every_address_answers_everybody_as_the_table_says() {
    let known: Vec<_> = regain::web::panel_addresses().collect();
    let expected: Vec<_> = EXPECTED.iter().map(|(address, ..)| *address).collect();
    assert_eq!(known, expected, "an address is missing in one of the tables");
    for who in Who::ALL {
        let (app, visitor, record) = comes(who).await;
        let site = app.site();
        let session = SessionId::parse(&visitor.cookies[COOKIE]).unwrap();
        let other = SessionId::new().unwrap();
        for (address, is_guarded, expects) in EXPECTED {
            let path =
                address.replace(":tab", "general").replace(":view", "menu-light").replace(":token", "AAAA");
            let token = |session: &SessionId| csrf::token(&site.services.keys.forms, session, &path, "admin");
            let is_out = is_guarded && !who.is_signed_in();
            let (look, send) = if is_out { (303, 303) } else { expects(who) };
            let forged = if is_out { 303 } else { 403 };
            for (what, given, code) in [
                ("GET", None, look),
                ("POST without a token", Some(String::new()), forged),
                ("POST with a foreign token", Some(token(&other)), forged),
                ("POST with its own token", Some(token(&session)), send),
            ] {
                if let Some(record) = &record {
                    let batch = site.services.store.batch().put(&session.hash(), record);
                    batch.commit().await.unwrap();
                }
                let mut visitor = visitor.clone();
                let page = match given {
                    None => visitor.get(&path).await,
                    Some(token) => visitor.post_raw(&path, &[("csrf", &token)]).await,
                };
                assert_eq!(page.code(), code, "{who:?} {path} {what}: {}", page.text());
                if is_out {
                    assert_eq!(page.location(), Some("/admin/sign-in"), "{who:?} {path} {what}");
                }
            }
        }
    }
}

/// Signs in again by password, up to the second factor.
async fn comes_again(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("admin");
    is_at(&signs_in(&mut visitor, "admin", "DEMO", SAMPLE_PASSWORD).await, 200, "Your authenticator app");
    visitor
}

async fn signs(visitor: &mut Visitor, path: &str, action: &str, answer: &str) -> Page {
    sends(visitor, path, &[("action", action), ("credential", answer)]).await
}

#[tokio::test]
async fn a_passkey_takes_the_place_of_the_code() {
    const SIGN_IN: &str = "/admin/sign-in";
    let app = with_groups(|_| ()).start().await;
    let (mut admin, codes, _) = first_signs_in(&app).await;
    let mut device = Device::at("https://reset.demo.example");
    let page = admin.open(PATH).await;
    let made = device.make(&page.passkey_options());
    let add = [("action", "add"), ("credential", made.as_str()), ("name", "Key ring")];
    is_at(&sends(&mut admin, PATH, &add).await, 200, "Your passkey is added");
    is_at(&admin.open(PATH).await, 200, "Key ring");
    // No more than a person can tell apart.
    let (who, known) = (AdminId::Account(app.account("admin").await.key), factor(&app).await);
    let many = SecondFactor { passkeys: vec![known.passkeys[0].clone(); Passkey::MOST], ..known.clone() };
    let keeps = async |factor| app.site().services.store.batch().put(&who, factor).commit().await.unwrap();
    keeps(&many).await;
    let more = Device::at("https://reset.demo.example").make(&admin.open(PATH).await.passkey_options());
    let another = [("action", "add"), ("credential", more.as_str()), ("name", "Spare")];
    is_at(&sends(&mut admin, PATH, &another).await, 422, "as many passkeys");
    keeps(&known).await;
    // The same answer once more, and nothing at all.
    is_at(&sends(&mut admin, PATH, &add).await, 422, "");
    is_at(&signs(&mut admin, PATH, "add", "").await, 422, "");
    assert_eq!(factor(&app).await.passkeys.len(), 1);

    let mut visitor = comes_again(&app).await;
    let asked = visitor.page.as_ref().unwrap().passkey_options();
    let signed = device.sign(&asked);
    // What is signed for one sign-in is good for no other.
    let mut other = comes_again(&app).await;
    is_at(&signs(&mut other, SIGN_IN, "passkey", &signed).await, 422, "passkey");
    let before = visitor.cookies[COOKIE].clone();
    let mut replay = visitor.clone();
    is_at(&signs(&mut visitor, SIGN_IN, "passkey", &signed).await, 200, "Overview");
    assert_ne!(visitor.cookies[COOKIE], before, "every step is under a session of its own");
    is_at(&signs(&mut replay, SIGN_IN, "passkey", &signed).await, 422, "");
    assert!(factor(&app).await.passkeys[0].used_at.is_some());

    // After a refusal something else is asked: the old answer is good for nothing.
    let mut visitor = comes_again(&app).await;
    let asked = visitor.page.as_ref().unwrap().passkey_options();
    let signed = device.sign(&asked);
    let page = signs(&mut visitor, SIGN_IN, "passkey", "{}").await;
    assert_eq!(page.code(), 422);
    assert_ne!(page.passkey_options(), asked);
    assert_eq!(signs(&mut visitor, SIGN_IN, "passkey", &signed).await.code(), 422);
    // Without the owner's verification, with a counter that goes back, or from elsewhere, it is nothing.
    device.verifies = false;
    let signed = device.sign(&visitor.page.as_ref().unwrap().passkey_options());
    assert_eq!(signs(&mut visitor, SIGN_IN, "passkey", &signed).await.code(), 422);
    device.verifies = true;
    let counter = std::mem::replace(&mut device.counter, 0);
    let signed = device.sign(&visitor.page.as_ref().unwrap().passkey_options());
    assert_eq!(signs(&mut visitor, SIGN_IN, "passkey", &signed).await.code(), 422);
    device.counter = counter;
    // Each was counted like a code: of five tries none is left after another.
    assert_eq!(signs(&mut visitor, SIGN_IN, "passkey", "{}").await.code(), 422);
    assert_eq!(signs(&mut visitor, SIGN_IN, "passkey", "{}").await.code(), 429);
    app.advance(Duration::from_secs(3601));

    // The app stays; and with a passkey one proves oneself again.
    let mut admin = comes_again(&app).await;
    let code = codes.code(&app, 0);
    is_at(&sends(&mut admin, SIGN_IN, &[("code", &code)]).await, 200, "Overview");
    app.advance(Duration::from_secs(301));
    let page = admin.open(PATH).await;
    is_at(&signs(&mut admin, PATH, "add", "{}").await, 422, "Nothing was done yet");
    let signed = device.sign(&page.passkey_options());
    is_at(&signs(&mut admin, PATH, "prove-passkey", &signed).await, 200, "That was right");
    app.advance(Duration::from_secs(301));
    admin.open(PATH).await;
    is_at(&signs(&mut admin, PATH, "prove-passkey", &signed).await, 422, "");
    let signed = device.sign(&admin.page.as_ref().unwrap().passkey_options());
    is_at(&signs(&mut admin, PATH, "prove-passkey", &signed).await, 200, "That was right");
    let id = factor(&app).await.passkeys[0].id.clone();
    is_at(&does(&mut admin, &format!("remove {id}")).await, 200, "The passkey is removed");
    let page = comes_again(&app).await.page.unwrap();
    assert!(!page.html.contains("id=\"passkey\""));
    let rows: Vec<_> = told(&app, Action::Access).await.into_iter().map(|row| row.1).collect();
    assert_eq!(rows, ["invited", "passkey_added", "passkey_removed"]);
}

/// The sample administrator's second factor.
async fn factor(app: &TestApp) -> SecondFactor {
    let who = AdminId::Account(app.account("admin").await.key);
    access::find_factor(&app.site().services, &who).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_passkey_of_a_user_opens_no_panel_and_what_was_kept_before_there_were_any_is_read() {
    let app = with_groups(|_| ()).start().await;
    let (mut admin, ..) = first_signs_in(&app).await;
    let mut device = Device::at("https://reset.demo.example");
    let made = device.make(&admin.open(PATH).await.passkey_options());
    is_at(&signs(&mut admin, PATH, "add", &made).await, 200, "is added");
    let mut another = Device::at("https://reset.demo.example");
    another.make(&admin.open(PATH).await.passkey_options());
    let mut visitor = comes_again(&app).await;
    let signed = another.sign(&visitor.page.as_ref().unwrap().passkey_options());
    is_at(&signs(&mut visitor, "/admin/sign-in", "passkey", &signed).await, 422, "passkey");
    let mut old = serde_json::to_value(factor(&app).await).unwrap();
    old.as_object_mut().unwrap().retain(|key, _| key == "app");
    assert!(serde_json::from_value::<SecondFactor>(old).unwrap().passkeys.is_empty());
}

#[tokio::test]
async fn the_page_is_drawn_in_every_language_with_all_there_is() {
    for language in ["en", "de"] {
        let app = with_groups(|_| ()).start().await;
        sets_up(&app, &mut app.visitor("root")).await;
        let (admin, ..) = first_signs_in(&app).await;
        let mut admin = admin.reading(language);
        invitation(&app, None).await;
        invitation(&app, Some("DEMO\\alice")).await;
        let mut device = Device::at("https://reset.demo.example");
        let made = device.make(&admin.open(PATH).await.passkey_options());
        let mut pages = vec![signs(&mut admin, PATH, "add", &made).await];
        pages.push(sends(&mut admin, PATH, &[("action", "invite")]).await);
        pages.push(comes_again(&app).await.reading(language).open("/admin/sign-in").await);
        let link = invitation(&app, None).await;
        pages.push(app.visitor("x").reading(language).open(&link).await);
        pages.push(app.visitor("x").reading(language).open("/admin/invite/AAAA").await);
        app.advance(Duration::from_secs(301));
        let page = admin.open(PATH).await;
        for name in ["root", "DEMO\\admin", "DEMO\\alice", "console"] {
            assert!(page.text().contains(name), "{name}: {}", page.text());
        }
        assert!(!page.html.contains("value=\"reset"), "wants a proof, and there is nobody else's");
        pages.push(page);
        for page in pages {
            let text = page.text();
            assert!(page.html.contains(&format!("<html lang=\"{language}\"")), "{text}");
            let is_key = |word: &str| {
                ["admin.", "refusal.", "invalid.", "held.", "way."]
                    .iter()
                    .any(|start| word.starts_with(start))
            };
            assert!(!text.split(' ').any(is_key), "{text}");
            assert!(!text.contains(['{', '}']), "{text}");
        }
    }
}
