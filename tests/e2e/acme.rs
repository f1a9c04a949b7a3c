//! Certificates of an authority (ACME), with a real one: issued, renewed, refused; when it is away, strict, or busy; and
//! under connections that must not be lost.

use std::{fs, sync::Arc, time::Duration};

use regain::{
    domain::{
        certificate::{Cause, Standing},
        clock::{Clock, SystemClock, Timestamp},
    },
    flows::{
        certificate::{self, View},
        outbox,
    },
    settings::MailDelivery,
    testing::{StoreMood, TestApp},
    tls::{
        self,
        acceptor::{Limits, Listener},
    },
};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{
    panel::{link_in, sets_up},
    support::{
        browser::Browser,
        certificate as own,
        http::{Page, Visitor},
        mail_server::MailServer,
        pebble::{Looks, Pebble, free_port, read},
        server::{QUICK, Server},
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits until the server shows a certificate that is so.
async fn shows(server: &Server, is_so: impl Fn(&CertificateDer<'_>) -> bool) -> CertificateDer<'static> {
    let began = Instant::now();
    loop {
        let shown = server.visitor().certificate().await;
        if is_so(&shown) {
            return shown;
        }
        assert!(began.elapsed() < PATIENCE, "it shows {:?}: {}", read(&shown), server.log());
        sleep(Duration::from_millis(100)).await;
    }
}

fn is_of_pebble(certificate: &CertificateDer<'_>) -> bool {
    read(certificate).0.contains("Pebble")
}

/// People with connections of their own that stay open.
struct Crowd {
    all: Vec<TlsStream<TcpStream>>,
    host: String,
}

/// The configuration for so many connections from one address that wait so long.
const CROWDED: &str = "[connections]\nper_address = 400\nheader_seconds = 90\nidle_seconds = 90\n";

impl Crowd {
    /// A hundred of them: half have had an answer and stay, half are in the middle of a request.
    async fn gathers(server: &Server) -> Self {
        let visitor: Visitor = server.visitor();
        let host = format!("localhost:{}", server.port());
        let mut all = Vec::new();
        for number in 0..100 {
            let mut stream = visitor.connect().await.unwrap();
            if number % 2 == 0 {
                assert_eq!(asks(&mut stream, &host, "GET /healthz HTTP/1.1\r\n").await, 200);
            } else {
                stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").await.unwrap();
                stream.flush().await.unwrap();
            }
            all.push(stream);
        }
        Self { all, host }
    }

    /// Each of them goes on where it was, and is answered on its old connection.
    async fn goes_on(mut self) {
        for (number, stream) in self.all.iter_mut().enumerate() {
            let begun = if number % 2 == 0 { "GET /healthz HTTP/1.1\r\n" } else { "1\r\n" };
            assert_eq!(asks(stream, &self.host, begun).await, 200, "connection {number}");
        }
    }
}

/// Sends the rest of a request; the status of its answer.
async fn asks(stream: &mut TlsStream<TcpStream>, host: &str, begun: &str) -> u16 {
    stream.write_all(format!("{begun}Host: {host}\r\n\r\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap();
        assert!(length > 0, "the connection is lost");
        answer.extend(&part[..length]);
        if let Some(page) = Page::whole("/healthz", &answer) {
            return page.status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_and_renewed_under_a_hundred_connections_and_outlasts_a_restart_and_its_authority()
 {
    let mut server = Server::prepared(&[], "");
    let looks = Looks { tls: server.port(), seconds: 18, stale: 30, ..Looks::default() };
    let mut pebble = Pebble::start(&looks);
    let names = ["reset.corp.example", "Password.corp.example"];
    let file = server.file("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n{CROWDED}{QUICK}{}", pebble.settings(&names))).unwrap();
    server.restart().await;
    assert!(server.log().contains("self-signed certificate"), "until the first one comes");
    let first = shows(&server, is_of_pebble).await;
    assert_eq!(read(&first).1, ["password.corp.example", "reset.corp.example"]);
    // Nonces were stale all the time, and one order was enough.
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());

    let (_, told) = server.check().await;
    assert!(told.contains("/dir: answers; a certificate is ordered for reset.corp.example"), "{told}");
    assert!(told.contains("warn  certificate validity: 0 days left"), "{told}");
    assert!(told.contains("FAIL  certificate for localhost: the name is not in it"), "{told}");

    let crowd = Crowd::gathers(&server).await;
    let second = shows(&server, |shown| is_of_pebble(shown) && *shown != first).await;
    crowd.goes_on().await;

    // Until it is kept.
    sleep(Duration::from_millis(500)).await;
    server.restart().await;
    assert_eq!(
        server.visitor().certificate().await,
        second,
        "the first handshake shows the one that is kept"
    );
    pebble.stop();
    let began = Instant::now();
    while !server.log().contains("could not be had") {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(server.log().contains("unreachable"), "{}", server.log());
    assert_eq!(server.visitor().certificate().await, second, "what is shown stays");
    assert_eq!(server.visitor().get("/healthz").await.status, 200);
    let (well, told) = server.check().await;
    let at = format!("FAIL  authority {}: ", pebble.directory());
    assert!(!well && told.lines().any(|line| line.starts_with(&at) && line.contains("refused")), "{told}");
    let mut folders = vec![server.file("data")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if !path.is_file() {
                continue; // the socket of the console
            }
            let bytes = fs::read(&path).unwrap();
            let is_key = bytes.windows(11).any(|part| part == b"PRIVATE KEY");
            assert!(!is_key || path.ends_with("self-signed.pem"), "a key in the clear in {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_replaced_are_taken_up_under_a_hundred_connections() {
    let mut server = Server::prepared(&[], &format!("{CROWDED}{QUICK}"));
    let folder = server.file("tls");
    fs::create_dir(&folder).unwrap();
    own::issue(&folder, &["localhost"]);
    server.configure(
        "[connections]",
        &format!(
            "[https]\ncertificate = '{0}/certificate.pem'\nkey = '{0}/key.pem'\n[connections]",
            folder.display()
        ),
    );
    server.restart().await;
    let first = server.visitor().certificate().await;
    let crowd = Crowd::gathers(&server).await;
    own::issue(&folder, &["localhost"]);
    shows(&server, |shown| *shown != first).await;
    crowd.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_orders_one_in_the_panel_for_other_names_and_by_http() {
    let port = free_port();
    let mut server = Server::prepared(&[], QUICK);
    server.configure("listen_http = []", &format!("listen_http = [\"127.0.0.1:{port}\"]"));
    let pebble = Pebble::start(&Looks { http: port, ..Looks::default() });
    server.restart().await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.goto(&server.url("/admin/settings/acme")).await.unwrap();
    browser.photograph("admin-acme-settings").await;
    // By the first name nobody is found who shows the certificate of TLS-ALPN-01.
    browser.click("[name='acme.enabled']").await;
    browser.click("[name='acme.terms_agreed']").await;
    browser.fill("acme.directory", &pebble.directory()).await;
    browser.fill("acme.names.0", "*.corp.example").await;
    browser.fill("acme.ca_certificates", &pebble.ca()).await;
    browser.follow(".panel-page .button").await;
    assert!(browser.says("[role=alert]").await.contains("is a wildcard"));
    browser.fill("acme.names.0", "reset.corp.example").await;
    browser.follow(".panel-page .button").await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    let told = says_in_time(&browser, &server, "could not see that the names are yours").await;
    assert!(told.contains("reset.corp.example: ") && told.contains("Try now"), "{told}");
    browser.photograph("admin-https-refused").await;
    assert!(!is_of_pebble(&server.visitor().certificate().await));
    let health = server.visitor().get("/healthz").await.text();
    assert!(health.ends_with("certificate_order failing\n"), "{health}");
    browser.follow("button[value=try]").await;
    let began = Instant::now();
    while pebble.orders() < 2 {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        sleep(Duration::from_millis(100)).await;
    }

    browser.goto(&server.url("/admin/settings/acme")).await.unwrap();
    browser
        .click("[name='acme.challenge'] option[value='http_01'], [name='acme.challenge'][value='http_01']")
        .await;
    browser.follow(".panel-page .button").await;
    assert_eq!(read(&shows(&server, is_of_pebble).await).1, ["reset.corp.example"]);
    let told = says_in_time(&browser, &server, "Renewed from").await;
    assert!(told.contains("Pebble") && !told.contains("Try now"), "{told}");
    browser.photograph("admin-https-issued").await;

    browser.goto(&server.url("/admin/settings/acme")).await.unwrap();
    browser.fill("acme.names.0", "password.corp.example").await;
    browser.follow(".panel-page .button").await;
    shows(&server, |shown| read(shown).1 == ["password.corp.example"]).await;
    assert_eq!(pebble.orders(), 4, "{}", pebble.log());
    // Nothing but redirects is served there otherwise.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain
        .write_all(b"GET /.well-known/acme-challenge/x HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    let health = server.visitor().get("/healthz").await.text();
    assert!(
        health.contains("certificate_days_left 89") || health.contains("certificate_days_left 90"),
        "{health}"
    );

    browser.goto(&server.url("/admin/settings/acme")).await.unwrap();
    browser.click("[name='acme.enabled']").await;
    browser.follow(".panel-page .button").await;
    shows(&server, |shown| !is_of_pebble(shown)).await;
}

/// Loads the HTTPS page of the panel until it says so.
async fn says_in_time(browser: &Browser, server: &Server, words: &str) -> String {
    let began = Instant::now();
    loop {
        browser.goto(&server.url("/admin/https")).await.unwrap();
        let told = browser.says("main").await;
        if told.contains(words) {
            return told;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// The program in this process, with a clock of its own, that orders of that authority; at that port it is looked at.
async fn ordering(pebble: &Pebble, port: Option<u16>) -> TestApp {
    let app = TestApp::new().with_delivery().start().await;
    // What is issued is good by the system's clock.
    let (real, ours) = (SystemClock.now(), now(&app));
    app.clock().set_back(ours.since(real));
    app.advance(real.since(now(&app)));
    app.set(|settings| {
        settings.acme.enabled = true;
        settings.acme.terms_agreed = true;
        settings.acme.directory = pebble.directory();
        settings.acme.ca_certificates = Some(pebble.ca());
    });
    if let Some(port) = port {
        let config = tls::server_config(Arc::clone(&app.site().certificates)).unwrap();
        let mut listener =
            Listener::bind(&[([127, 0, 0, 1], port).into()], Some(config), Limits::default()).unwrap();
        tokio::spawn(async move {
            loop {
                tokio::spawn(listener.accept().await.handshake());
            }
        });
    }
    app
}

fn now(app: &TestApp) -> Timestamp {
    app.site().services.clock.now()
}

async fn round(app: &TestApp) {
    certificate::round(&app.site().services).await.unwrap();
}

async fn view(app: &TestApp) -> View {
    certificate::view(&app.site().services).await.unwrap().unwrap()
}

async fn standing(app: &TestApp) -> Standing {
    view(app).await.standing
}

fn cause(standing: &Standing) -> Option<Cause> {
    standing.trouble.as_ref().map(|trouble| trouble.cause)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_is_tried_ever_more_seldom_and_no_more_often_by_hand() {
    // Nobody listens where it looks.
    let pebble = Pebble::start(&Looks { tls: free_port(), ..Looks::default() });
    let app = ordering(&pebble, None).await;
    let mut tried = Vec::new();
    for minute in 0..240 {
        let before = pebble.orders();
        round(&app).await;
        if pebble.orders() > before {
            tried.push(minute);
        }
        app.advance(MINUTE);
    }
    assert_eq!(tried, [0, 15, 45, 105, 225]);
    let standing = standing(&app).await;
    assert_eq!((cause(&standing), standing.failures), (Some(Cause::Validation), 5));
    let trouble = standing.trouble.unwrap().text;
    assert!(
        trouble.starts_with("reset.demo.example: ") && trouble.contains("Failed to connect"),
        "{trouble}"
    );
    // What was asked for is counted with the rest, through a restart and other settings.
    for by_hand in 0..6 {
        app.site().services.certificate.ask();
        round(&app).await;
        if by_hand == 2 {
            app.restart().await;
            app.set(|settings| settings.acme.contact = Some("other@demo.example".into()));
        }
    }
    assert_eq!(pebble.orders(), 5 + 3, "four in an hour, one of them by itself");
    assert!(view(&app).await.is_spent);
    let next = self::standing(&app).await.next_at.unwrap();
    assert!(next >= now(&app) + MINUTE * 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_renewed_in_time_and_a_clock_that_was_moved_empties_no_quota() {
    let port = free_port();
    let pebble = Pebble::start(&Looks { tls: port, ..Looks::default() });
    let app = ordering(&pebble, Some(port)).await;
    let shown = |app: &TestApp| app.site().certificates.fingerprint();
    round(&app).await;
    assert_eq!((cause(&standing(&app).await), pebble.orders()), (None, 1));
    let first = shown(&app);
    app.site().services.certificate.ask();
    for _ in 0..59 {
        app.advance(DAY);
        round(&app).await;
    }
    assert_eq!((pebble.orders(), shown(&app)), (1, first.clone()));
    app.advance(DAY + HOUR);
    round(&app).await;
    // By the authority's clock, 60 days ago: it is due again in no time.
    assert_ne!(shown(&app), first);
    assert_eq!(cause(&standing(&app).await), Some(Cause::Clock));
    for _ in 0..48 {
        app.advance(MINUTE * 30);
        round(&app).await;
    }
    assert!(pebble.orders() <= 7, "{} orders in a day", pebble.orders());
    // The clock is set right.
    app.clock().set_back(now(&app).since(SystemClock.now()));
    let orders = pebble.orders();
    round(&app).await;
    assert_eq!(pebble.orders(), orders, "what is shown is good for long");
    // And to last year.
    app.clock().set_back(DAY * 365);
    round(&app).await;
    assert_eq!(pebble.orders(), orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_was_away_is_asked_again_when_it_is_back_and_nothing_is_ordered_that_can_t_be_kept()
{
    let port = free_port();
    let mut pebble = Pebble::prepared(&Looks { tls: port, ..Looks::default() });
    let app = ordering(&pebble, Some(port)).await;
    round(&app).await;
    let trouble = standing(&app).await;
    assert_eq!(cause(&trouble), Some(Cause::Unreachable));
    assert_eq!(trouble.next_at, Some(now(&app) + MINUTE * 5));
    assert!(app.site().certificates.is_self_signed());
    pebble.run();
    round(&app).await;
    assert_eq!(pebble.orders(), 0, "not before its time");
    app.advance(MINUTE * 5);

    app.store_behaves(StoreMood::ReadOnly);
    assert!(certificate::round(&app.site().services).await.is_err());
    assert_eq!((cause(&standing(&app).await), pebble.orders()), (Some(Cause::Store), 0));
    // The count, and what is written before an order; then no more.
    app.store_behaves(StoreMood::ReadOnlyAfter(2));
    assert!(certificate::round(&app.site().services).await.is_err());
    assert!(!app.site().certificates.is_self_signed(), "it is shown, though it can't be kept");
    let shown = app.site().certificates.fingerprint();
    assert_eq!((cause(&standing(&app).await), pebble.orders()), (Some(Cause::Store), 1));
    app.store_behaves(StoreMood::Well);
    app.advance(MINUTE);
    round(&app).await;
    assert_eq!(pebble.orders(), 1, "it is not ordered again for that");
    app.restart().await;
    round(&app).await;
    assert_eq!((app.site().certificates.fingerprint(), pebble.orders()), (shown, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_authority_refuses_is_told_in_its_words() {
    let blocked = Pebble::start(&Looks { refuses: &["demo.example"], ..Looks::default() });
    let app = ordering(&blocked, None).await;
    round(&app).await;
    let told = standing(&app).await;
    assert_eq!(cause(&told), Some(Cause::Refused));
    assert!(told.trouble.unwrap().text.starts_with("rejectedIdentifier: "));
    let binding = Pebble::start(&Looks { binding: true, ..Looks::default() });
    app.set(|settings| {
        settings.acme.directory = binding.directory();
        settings.acme.ca_certificates = Some(binding.ca());
    });
    round(&app).await;
    assert_eq!(cause(&standing(&app).await), Some(Cause::Binding));
    // Its own address is not trusted.
    app.set(|settings| settings.acme.ca_certificates = Some(blocked.ca()));
    round(&app).await;
    assert_eq!(cause(&standing(&app).await), Some(Cause::Untrusted));
    // No directory is there.
    app.set(|settings| {
        settings.acme.directory = binding.directory().replace("/dir", "/nothing");
        settings.acme.ca_certificates = Some(binding.ca());
    });
    round(&app).await;
    let told = standing(&app).await;
    assert_eq!(
        (cause(&told), told.trouble.unwrap().text),
        (Some(Cause::NotAcme), "the answer was 404".to_owned())
    );
}

/// What Let's Encrypt answers when too many validations have failed. Pebble knows no limits.
async fn strict(answer: String) -> (tempfile::TempDir, u16) {
    let folder = tempfile::tempdir().unwrap();
    own::issue(folder.path(), &["localhost"]);
    let acceptor = TlsAcceptor::from(own::server_config(folder.path()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = format!("https://localhost:{port}");
    let directory = format!(
        "{{\"newNonce\":\"{at}/nonce\",\"newAccount\":\"{at}/account\",\"newOrder\":\"{at}/order\"}}"
    );
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(tcp).await.unwrap();
            let mut head = vec![0; 16 * 1024];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let (status, body) = match head.split(' ').nth(1).unwrap() {
                "/directory" => ("200 OK", directory.as_str()),
                "/nonce" => ("200 OK", ""),
                _ => ("429 Too Many Requests", answer.as_str()),
            };
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status}\r\nReplay-Nonce: abc\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // What is left unread would take the answer with it.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    (folder, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_authority_is_kept_to_its_end() {
    let until = SystemClock.now() + DAY;
    let written = until.to_string()[..19].replace('T', " ");
    let (folder, port) = strict(format!(
        "{{\"type\": \"urn:ietf:params:acme:error:rateLimited\", \"status\": 429,\n \"detail\": \"too many failed \
         authorizations (5) for \\\"reset.demo.example\\\" in the last 1h0m0s, retry after {written} UTC: see \
         https://letsencrypt.org/docs/rate-limits/\"}}"
    ))
    .await;
    let pebble = Pebble::prepared(&Looks::default());
    let app = ordering(&pebble, None).await;
    let ca = fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    app.set(|settings| {
        settings.acme.directory = format!("https://localhost:{port}/directory");
        settings.acme.ca_certificates = Some(ca);
    });
    round(&app).await;
    let told = standing(&app).await;
    assert_eq!(cause(&told), Some(Cause::Limited));
    let text = &told.trouble.as_ref().unwrap().text;
    assert!(text.starts_with("rateLimited: too many failed authorizations (5) for \"reset"), "{text}");
    // A minute more, in whole seconds.
    let waits = told.next_at.unwrap().since(until);
    assert!(MINUTE - Duration::from_secs(1) <= waits && waits <= MINUTE, "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_run_it_are_told_once_at_14_7_and_3_days() {
    let port = free_port();
    let mut pebble = Pebble::start(&Looks { tls: port, ..Looks::default() });
    let app = ordering(&pebble, Some(port)).await;
    let mails = tempfile::tempdir().unwrap();
    app.set(|settings| {
        settings.alerts.operators = vec!["ops@demo.example".into()];
        settings.mail.delivery = MailDelivery::Folder;
        settings.mail.sender = Some("no-reply@demo.example".into());
        settings.mail.folder = Some(mails.path().to_owned());
    });
    round(&app).await;
    pebble.stop();
    app.advance(HOUR);
    let mut told = Vec::new();
    for day in 1..=91 {
        app.advance(DAY);
        round(&app).await;
        if day % 4 == 0 {
            app.restart().await;
            round(&app).await;
        }
        outbox::deliver(&app.site().services, &CancellationToken::new()).await.unwrap();
        for mail in fs::read_dir(mails.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let text = fs::read_to_string(&mail).unwrap().replace("=\r\n", "");
            assert!(
                text.contains("To: ops@demo.example") && text.contains("Subject: Regain: the certificate"),
                "{text}"
            );
            assert!(text.contains(&format!("and {} whole day", 90 - day - 1)), "{text}");
            fs::remove_file(mail).unwrap();
            told.push(90 - day);
        }
    }
    assert_eq!(told, [14, 7, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_run_it_are_told_of_files_that_run_out() {
    let mails = MailServer::start(&[]);
    let server = Server::prepared(
        &[],
        &format!(
            "[https]\n{QUICK}[settings.alerts]\noperators = [\"ops@corp.example\"]\n[settings.mail]\ndelivery = \"smtp\"\n\
             host = \"localhost\"\nport = {}\nsecurity = \"none\"\nsender = \"no-reply@corp.example\"\n",
            mails.port
        ),
    );
    let mut server = server;
    let folder = server.file("tls");
    fs::create_dir(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let today = time::OffsetDateTime::from_unix_timestamp(SystemClock.now().millis() / 1000).unwrap();
    params.not_before = today - time::Duration::days(80);
    params.not_after = today + time::Duration::days(10) + time::Duration::hours(1);
    fs::write(folder.join("certificate.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let at = folder.display();
    server.configure(
        "[https]\n",
        &format!("[https]\ncertificate = '{at}/certificate.pem'\nkey = '{at}/key.pem'\n"),
    );
    server.restart().await;
    let began = Instant::now();
    while mails.seen("mail").is_empty() {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        sleep(Duration::from_millis(100)).await;
    }
    server.restart().await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(mails.seen("mail").len(), 1, "once");
    assert!(server.log().contains("the certificate runs out"), "{}", server.log());
    let health = server.visitor().get("/healthz").await.text();
    assert!(health.contains("certificate_days_left 10"), "{health}");
}
