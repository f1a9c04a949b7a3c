//! The audit log in the panel: verifying it, and sending its events on (R7.6).

use std::{net::UdpSocket, time::Duration};

use regain::{
    directory::demo::SAMPLE_ADMINISTRATORS,
    domain::audit::{Action, Event, Outcome},
    flows::{
        forward::{self, Round, Standing, Way},
        verify,
    },
    store::audit::Head,
    testing::{TestApp, Visitor},
};

use crate::admin::{first_signs_in, is_at, saves, sends, sets_up, with_groups};

const VERIFY: &str = "/admin/events/verify";

async fn administrator(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

/// Somebody of that name failed at something: one event.
async fn fails(app: &TestApp, name: &str) {
    let site = app.site();
    let event = Event {
        at: site.services.clock.now(),
        outcome: Outcome::Failure,
        source: "web".into(),
        user: name.into(),
        domain: "DEMO".into(),
        action: Action::Reset,
        detail: "answer_wrong".into(),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    };
    site.services.store.batch().event(&event).commit().await.unwrap();
}

/// Presses the button, and waits for the end.
async fn verifies(app: &TestApp, visitor: &mut Visitor) -> regain::testing::Page {
    visitor.open(VERIFY).await;
    let page = sends(visitor, VERIFY, &[]).await;
    is_at(&page, 200, "events are as they were written so far");
    assert!(page.html.contains("http-equiv=\"refresh\"") && page.html.contains("<progress"));
    verify::work(&app.site().services).await;
    let page = visitor.open(VERIFY).await;
    assert!(!page.html.contains("http-equiv=\"refresh\""));
    page
}

#[tokio::test]
async fn the_log_is_verified_in_the_panel_and_a_forged_event_is_named() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    fails(&app, "mallory").await;
    let last = app.site().services.store.head().await.unwrap().unwrap();
    is_at(&visitor.open(VERIFY).await, 200, "Not verified since Regain was started");
    let page = verifies(&app, &mut visitor).await;
    is_at(&page, 200, &format!("All is as it was written, up to event {}", last.number));
    is_at(&page, 200, "(UTC), root");
    app.is_forged("mallory", "nobodys").await;
    let page = verifies(&app, &mut visitor).await;
    is_at(&page, 200, &format!("Event {} is not as it was written", last.number));
    is_at(&page, 200, "its seal does not fit");
    is_at(&app.visitor("other").open(VERIFY).await, 200, "Sign in to the admin panel");
    let told: Vec<_> = app.events().await.into_iter().filter(|one| one.action == Action::Verify).collect();
    let outcomes: Vec<_> = told.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Success, Outcome::Failure]);
    assert!(told[1].detail.starts_with(&format!("event {}: ", last.number)), "{}", told[1].detail);
    assert_eq!(told[0].source_user.as_deref(), Some("root"));
}

#[tokio::test]
async fn a_log_that_was_cut_is_told_as_long_as_the_program_runs() {
    let app = TestApp::new().start().await;
    let mut visitor = administrator(&app).await;
    let services = std::sync::Arc::clone(&app.site().services);
    let now = services.store.head().await.unwrap().unwrap();
    let noted = Head { number: now.number + 7, ..now };
    services.verification.misses(noted);
    services.verification.note(now);
    let page = verifies(&app, &mut visitor).await;
    is_at(&page, 200, &format!("went on to event {} once", noted.number));
    // Others in the place of those that are gone don't hide it.
    for _ in 0..9 {
        fails(&app, "nobody").await;
    }
    let page = verifies(&app, &mut visitor).await;
    is_at(&page, 200, &format!("Event {} is not as it was written", noted.number));
}

#[tokio::test]
async fn it_is_verified_once_at_a_time_and_by_auditors_as_well() {
    let app = with_groups(|settings| {
        settings.admin.administrators = Vec::new();
        settings.admin.auditors = vec![SAMPLE_ADMINISTRATORS.into()];
    });
    let app = app.start().await;
    let (mut auditor, ..) = first_signs_in(&app).await;
    auditor.open(VERIFY).await;
    for _ in 0..3 {
        // From the one page, as if the button was pressed in several tabs.
        let mut tab = auditor.clone();
        is_at(&sends(&mut tab, VERIFY, &[]).await, 200, "This page refreshes itself");
    }
    verify::work(&app.site().services).await;
    verify::work(&app.site().services).await;
    let events = app.events().await;
    assert_eq!(events.iter().filter(|one| one.action == Action::Verify).count(), 1);
    let help = with_groups(|settings| {
        settings.admin.administrators = Vec::new();
        settings.admin.help_desk = vec![SAMPLE_ADMINISTRATORS.into()];
    });
    let help = help.start().await;
    let (mut helper, ..) = first_signs_in(&help).await;
    let page = helper.open(VERIFY).await;
    is_at(&page, 200, "Not verified");
    assert!(!page.html.contains("Verify now"));
}

const URL: &str = "https://siem.corp.example/regain";
const SECRET: &str = "Hering-Hering-Hering";

#[tokio::test]
async fn where_events_are_sent_on_to_is_set_in_the_panel_and_its_secret_is_never_shown() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = administrator(&app).await;
    let page = saves(&mut visitor, "audit", &[("audit.webhook_url", URL)]).await;
    is_at(&page, 422, "is needed to sign what is posted");
    let changes = [
        ("audit.keep_days", "365"),
        ("audit.syslog_server", "syslog.corp.example:6515"),
        ("audit.syslog_transport", "tcp"),
        ("audit.syslog_facility", "16"),
        ("audit.webhook_url", URL),
        ("audit.webhook_secret", SECRET),
    ];
    let page = saves(&mut visitor, "audit", &changes).await;
    is_at(&page, 200, "Saved");
    {
        let settings = app.site().services.settings.load_full();
        let audit = &settings.audit;
        assert_eq!((audit.keep_days, audit.syslog_facility), (365, 16));
        assert_eq!(audit.syslog_server.as_deref(), Some("syslog.corp.example:6515"));
        assert_eq!(audit.webhook_url.as_deref(), Some(URL));
        assert_eq!(audit.webhook_secret.as_ref().unwrap().reveal(), SECRET);
    }
    let shown = visitor.open("/admin/settings/audit").await;
    assert!(
        shown.text().contains("syslog.corp.example:6515") || shown.html.contains("syslog.corp.example:6515")
    );
    assert!(!shown.html.contains("Hering"));
    let events = app.events().await;
    assert!(events.iter().any(|one| one.detail.contains("audit.syslog_server")));
    assert!(!events.iter().any(|one| one.detail.contains("Hering")));
    for (key, value, wrong) in [
        ("audit.webhook_url", "https://127.0.0.1/x", "leads to this machine"),
        ("audit.webhook_url", "https://localhost:8443/x", "leads to this machine"),
        ("audit.webhook_url", "https://[::1]/x", "leads to this machine"),
        ("audit.webhook_url", "http://siem.corp.example/", "is not safe"),
        ("audit.webhook_url", "ftp://siem.corp.example/", "begins with https://"),
        ("audit.webhook_secret", "short", "16 characters at least"),
        ("audit.syslog_server", "syslog corp", "is not a host name"),
        ("audit.syslog_facility", "24", "23"),
        ("audit.syslog_transport", "pigeon", "udp"),
    ] {
        let mut changes = vec![(key, value)];
        if key == "audit.webhook_url" {
            changes.push(("audit.webhook_secret", SECRET));
        }
        let page = saves(&mut visitor, "audit", &changes).await;
        is_at(&page, 422, wrong);
        assert!(!page.html.contains("Hering"));
    }
}

#[tokio::test]
async fn the_ways_are_tried_in_the_panel_without_sending_an_event() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = administrator(&app).await;
    let tries = async |visitor: &mut Visitor, changes: &[(&str, &str)]| {
        let path = "/admin/settings/audit";
        let mut fields = crate::admin::filled(&visitor.open(path).await, changes);
        fields.push(("action".into(), "try".into()));
        crate::admin::sends_all(visitor, path, &fields).await
    };
    is_at(&tries(&mut visitor, &[]).await, 200, "is not set");
    let closed = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap().to_string()
    };
    let server = |address: &str, way: &str| {
        [
            ("audit.syslog_server".to_owned(), address.to_owned()),
            ("audit.syslog_transport".into(), way.into()),
        ]
    };
    let tried = async |visitor: &mut Visitor, address: &str, way: &str| {
        let changes = server(address, way);
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        tries(visitor, &changes).await
    };
    is_at(&tried(&mut visitor, &closed, "tcp").await, 200, "Wrong:");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().to_string();
    is_at(&tried(&mut visitor, &open, "tcp").await, 200, "takes connections by TCP");
    is_at(&tried(&mut visitor, &open, "udp").await, 200, "nothing tells whether it arrives");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await.unwrap();
    assert_eq!(bytes, b"");
    assert_eq!(app.site().services.settings.load().audit.syslog_server, None, "tried, and not saved");
    // The demo, where anyone is an administrator, looks nowhere.
    let demo = TestApp::new().as_demo().start().await;
    let mut anyone = administrator(&demo).await;
    is_at(&tried(&mut anyone, &open, "tcp").await, 200, "the demo sends nothing on");
}

/// All that arrived.
fn arrived(socket: &UdpSocket) -> Vec<u64> {
    let (mut numbers, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let number = text.split(" number=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        numbers.push(number.parse().unwrap());
    }
    numbers
}

async fn rounds(app: &TestApp, standing: &mut Standing) {
    let services = &app.site().services;
    while forward::round(services, Way::Syslog, standing).await.unwrap() == Round::Sent {}
}

#[tokio::test]
async fn events_are_sent_on_from_when_it_was_set_and_none_that_was_dropped_holds_up_the_others() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let server = socket.local_addr().unwrap().to_string();
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = administrator(&app).await;
    fails(&app, "before").await;
    let set = |server: Option<String>| {
        app.set(|settings| {
            settings.audit.syslog_server = server;
            settings.audit.syslog_transport = regain::settings::SyslogTransport::Udp;
        });
    };
    set(Some(server.clone()));
    let mut standing = Standing::default();
    let services = std::sync::Arc::clone(&app.site().services);
    assert_eq!(forward::round(&services, Way::Syslog, &mut standing).await.unwrap(), Round::Begun);
    rounds(&app, &mut standing).await;
    assert_eq!(arrived(&socket), [0; 0]);
    let begun = services.store.head().await.unwrap().unwrap().number;
    is_at(&visitor.open("/admin").await, 200, &format!("sent up to event {begun} of {begun}"));
    fails(&app, "one").await;
    is_at(&visitor.open("/admin").await, 200, &format!("sent up to event {begun} of {}", begun + 1));
    rounds(&app, &mut standing).await;
    assert_eq!(arrived(&socket), [begun + 1]);
    // Some time is over before they could be sent.
    for _ in 0..600 {
        fails(&app, "two").await;
    }
    app.advance(Duration::from_secs(3600));
    let from = services.clock.now();
    for _ in 0..3 {
        fails(&app, "three").await;
    }
    while services.store.pack_log().await.unwrap() {}
    let dropped = services.store.drop_events(&services.keys.audit, from).await.unwrap();
    assert!(dropped > 600, "{dropped}");
    rounds(&app, &mut standing).await;
    let last = services.store.head().await.unwrap().unwrap().number;
    assert_eq!(arrived(&socket), [last - 2, last - 1, last]);
    assert_eq!(last, begun + 604);
    // Off and on again: what was meanwhile goes nowhere.
    set(None);
    rounds(&app, &mut standing).await;
    assert!(!visitor.open("/admin").await.text().contains("sent up to event"));
    fails(&app, "four").await;
    set(Some(server));
    assert_eq!(forward::round(&services, Way::Syslog, &mut standing).await.unwrap(), Round::Begun);
    fails(&app, "five").await;
    rounds(&app, &mut standing).await;
    assert_eq!(arrived(&socket), [last + 2]);
}

#[tokio::test]
async fn who_watches_sees_since_when_and_why_events_cannot_be_sent_on() {
    let app = TestApp::new().with_delivery().start().await;
    let mut visitor = administrator(&app).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    drop(listener);
    app.set(|settings| {
        settings.audit.syslog_server = Some(server);
        settings.audit.syslog_transport = regain::settings::SyslogTransport::Tcp;
    });
    let services = std::sync::Arc::clone(&app.site().services);
    let mut standing = Standing::default();
    forward::round(&services, Way::Syslog, &mut standing).await.unwrap();
    fails(&app, "one").await;
    let since = services.clock.now().to_string()[..16].replace('T', " ");
    for _ in 0..2 {
        let round = forward::round(&services, Way::Syslog, &mut standing).await.unwrap();
        assert!(matches!(&round, Round::Failed(why) if why.contains("refused")), "{round:?}");
        app.advance(Duration::from_secs(120));
    }
    assert_eq!(standing.failures, 2);
    let page = visitor.open("/admin").await;
    is_at(&page, 200, &format!("can’t be sent since {since} (UTC)"));
    is_at(&page, 200, "refused");
}

#[tokio::test]
async fn the_demo_sends_nothing_on() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let app = TestApp::new().as_demo().start().await;
    app.set(|settings| {
        settings.audit.syslog_server = Some(socket.local_addr().unwrap().to_string());
        settings.audit.syslog_transport = regain::settings::SyslogTransport::Udp;
    });
    let mut standing = Standing::default();
    for _ in 0..3 {
        fails(&app, "one").await;
        let round = forward::round(&app.site().services, Way::Syslog, &mut standing).await.unwrap();
        assert_eq!(round, Round::Idle);
    }
    assert_eq!(arrived(&socket), [0; 0]);
}
