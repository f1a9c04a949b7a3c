//! The program stands: killed, stopped, started twice, out of disk, spoken to rudely, its certificate exchanged.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::support::{
    domain::{Bind, Domain},
    http::{Page, Visitor},
    person::ANSWERS,
    server::{QUICK, Server},
};

/// Cheap hashes and no limits: what matters is how much happens in a second.
const BUSY: &str = "[settings.limits]\nrequests_per_address_per_minute = 0\nrequests_per_second_overall = 0\n\
     starts_per_account_per_hour = 0\n\
     [settings.security]\nreply_deadline_ms = 0\nwrong_answers_until_lockout = 0\nhash_memory_kib = 7168\nhash_passes = 5\n";

const QUESTIONS: [&str; 8] = [
    "What was the name of your first stuffed toy?",
    "What was the surname of your favourite teacher?",
    "In which street did your grandparents live?",
    "What was the title of the first book you loved?",
    "Where did you spend your first holiday without your parents?",
    "What make was the first car you drove?",
    "What did you want to become when you were ten?",
    "Which instrument did you try to learn first?",
];

/// How an enrollment went, with a server that may be killed meanwhile.
#[derive(PartialEq)]
enum Told {
    /// It was acknowledged.
    Done,
    /// The server was gone.
    Nothing,
    /// Kills in the middle of password checks count as wrong passwords, lest anybody gets more tries by them.
    HeldBack,
}

/// Enrolls with the question of that number first.
async fn enrolls(mut visitor: Visitor, name: String, password: String, number: usize) -> Told {
    let get = |v: &Visitor| {
        format!("GET /enroll HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", v.port())
    };
    let Ok(answer) = visitor.raw(get(&visitor).as_bytes()).await else { return Told::Nothing };
    let Some(page) = Page::whole("/enroll", &answer) else { return Told::Nothing };
    visitor.keep_cookies(&page);
    let csrf = page.csrf();
    let answer = format!("answer {number}");
    let fields = [
        ("csrf", csrf.as_str()),
        ("username", &name),
        ("domain", "CORP"),
        ("password", &password),
        ("question1", QUESTIONS[number % QUESTIONS.len()]),
        ("answer1", &answer),
        ("question2", ANSWERS[1].0),
        ("answer2", ANSWERS[1].1),
        ("question3", ANSWERS[2].0),
        ("answer3", ANSWERS[2].1),
    ];
    let Some(page) = visitor.try_post("/enroll", &fields).await else { return Told::Nothing };
    if page.status == 422 && page.alert().contains("together they don’t fit") {
        return Told::HeldBack;
    }
    assert_eq!(page.status, 303, "{}", page.text());
    Told::Done
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_two_hundred_times_it_loses_no_acknowledged_enrollment() {
    let domain = Domain::shared();
    let mut server = Server::with(&[domain], BUSY).await;
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push((domain.someone().await, None::<usize>, 0));
    }
    // How long it takes four to enroll at once, here and now: the kills fall before, into and after it.
    let began = Instant::now();
    let mut first = tokio::task::JoinSet::new();
    for (user, _, _) in &people {
        first.spawn(enrolls(server.visitor(), user.name.clone(), user.password.clone(), 0));
    }
    assert!(first.join_all().await.iter().all(|told| *told == Told::Done));
    let usual = began.elapsed().min(Duration::from_millis(300));
    let (mut acknowledged, mut seed) = (0, 20_261_123_u64);
    for round in 0..200 {
        let mut under_way = tokio::task::JoinSet::new();
        for (index, (user, _, _)) in people.iter().enumerate() {
            let (visitor, name, password) = (server.visitor(), user.name.clone(), user.password.clone());
            under_way.spawn(async move { (index, enrolls(visitor, name, password, round).await) });
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(usual * u32::try_from((seed >> 33) % 200).unwrap() / 100).await;
        server.kill();
        for (index, told) in under_way.join_all().await {
            people[index].2 = round;
            match told {
                Told::Done => {
                    people[index].1 = Some(round);
                    acknowledged += 1;
                }
                Told::Nothing => {}
                Told::HeldBack => people[index] = (domain.someone().await, None, round),
            }
        }
        server.restart().await;
        // One of the four in turn is asked; at the end all are.
        let asked: Vec<_> = if round == 199 { (0..4).collect() } else { vec![round % 4] };
        for index in asked {
            let (user, told, tried) = &people[index];
            let Some(told) = told else { continue };
            let page = server.visitor().begins("reset", &user.name, "CORP").await;
            let question = page.says("for=\"answer\"").unwrap_or_default();
            // The last acknowledged one, or a later one whose acknowledgement did not arrive.
            let possible: Vec<_> = (*told..=*tried).map(|n| QUESTIONS[n % QUESTIONS.len()]).collect();
            assert!(possible.contains(&question.as_str()), "round {round}: {question:?} not in {possible:?}");
        }
    }
    assert!(acknowledged > 40, "only {acknowledged} enrollments were acknowledged between the kills");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    for (user, told, tried) in people {
        let Some(told) = told else { continue };
        let mut visitor = server.visitor();
        let page = visitor.begins("reset", &user.name, "CORP").await;
        let mut right = 0;
        for number in told..=tried {
            let next = visitor.goes_on(&page, &[("answer", &format!("answer {number}"))]).await;
            right += usize::from(next.status == 200);
        }
        assert!(right > 0, "the answer of the enrollment is the right one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_finishes_what_is_under_way() {
    let (domain, mut server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let mut visitor = server.visitor();
    let page = visitor.get("/enroll").await;
    let csrf = page.csrf();
    let (name, password) = (user.name.clone(), user.password.clone());
    let sent = tokio::spawn(async move {
        let fields = [
            ("csrf", csrf.as_str()),
            ("username", &name),
            ("domain", "CORP"),
            ("password", &password),
            ("question1", ANSWERS[0].0),
            ("answer1", ANSWERS[0].1),
            ("question2", ANSWERS[1].0),
            ("answer2", ANSWERS[1].1),
            ("question3", ANSWERS[2].0),
            ("answer3", ANSWERS[2].1),
        ];
        visitor.post("/enroll", &fields).await
    });
    sleep(Duration::from_millis(60)).await;
    assert!(server.terminate().await.success());
    assert_eq!(sent.await.unwrap().status, 303);
    server.restart().await;
    server.visitor().resets(&user.name, "CORP", "Aft3r-The-Stop!").await.is_finished("reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_on_the_same_data_is_refused() {
    let server = Server::quick().await;
    let text = server.fails_to_start().await;
    assert!(text.contains("another") || text.contains("already"), "{text}");
    assert_eq!(server.visitor().get("/").await.status, 200, "the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_changed_secret_is_refused_at_the_start() {
    let (domain, mut server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    server.kill();
    let secret = fs::read(server.file("secret.key")).unwrap();
    fs::remove_file(server.file("secret.key")).unwrap();
    let text = server.fails_to_start().await;
    assert!(text.contains("secret.key"), "{text}");
    assert!(!server.file("secret.key").exists(), "it is not made anew over the old answers");
    fs::write(server.file("secret.key"), secret).unwrap();
    server.restart().await;
    server.visitor().resets(&user.name, "CORP", "With-Its-S3cret!").await.is_finished("reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_once_freed_all_goes_on_by_itself() {
    let domain = Domain::shared();
    let mut server = Server::prepared(&[domain], QUICK);
    server.on_a_small_disk(96);
    server.restart().await;
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let filler = server.data_file("filler");
    let mut file = fs::File::create(&filler).unwrap();
    loop {
        match file.write_all(&vec![1; 1 << 16]) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::StorageFull => break,
            Err(e) => panic!("filling the disk: {e}"),
        }
    }
    for _ in 0..3 {
        let page = server.visitor().enrolls(&user.name, "CORP", &user.password).await;
        page.is_at(503, "enroll/error");
        assert!(page.heading().contains("can’t save anything"), "{}", page.heading());
        assert!(page.reference().is_some() && page.header("retry-after").is_some());
    }
    let page = server.visitor().begins("reset", &user.name, "CORP").await;
    page.is_at(503, "reset/error");
    assert_eq!(server.visitor().get("/").await.status, 200, "the menu is there");
    assert_eq!(server.visitor().get("/readyz").await.status, 503);
    assert_eq!(server.visitor().get("/healthz").await.status, 200);
    drop(file);
    fs::remove_file(&filler).unwrap();
    let freed = Instant::now();
    while server.visitor().begins("reset", &user.name, "CORP").await.status != 200 {
        assert!(freed.elapsed() < Duration::from_secs(10), "it does not go on");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.visitor().get("/readyz").await.status, 200);
    server.visitor().resets(&user.name, "CORP", "Room-Aga1n!").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "Room-Aga1n!").await, Bind::Accepted);
}

/// Writes a new certificate with its key, as `certificate.pem` and `key.pem`.
fn exchange(server: &Server) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let made =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(server.file("key.pem"), key.serialize_pem()).unwrap();
    fs::write(server.file("certificate.pem"), made.pem()).unwrap();
    made.der().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_without_a_restart() {
    let mut server = Server::prepared(&[Domain::shared()], "");
    let first = exchange(&server);
    server.configure("listen_http = []", "listen_http = []\nhttps.certificate = 'C'\nhttps.key = 'K'");
    server.configure("'C'", &format!("'{}'", server.file("certificate.pem").display()));
    server.configure("'K'", &format!("'{}'", server.file("key.pem").display()));
    server.restart().await;
    let shown = async || server.visitor().certificate().await;
    assert_eq!(shown().await, first);
    let until = async |wanted, most| {
        let began = Instant::now();
        while shown().await != wanted {
            assert!(began.elapsed() < Duration::from_secs(most), "the new certificate is not shown");
            sleep(Duration::from_millis(200)).await;
        }
    };
    // At a signal at once.
    let second = exchange(&server);
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    until(second, 2).await;
    // By itself soon.
    let third = exchange(&server);
    until(third.clone(), 12).await;
    // A broken one is said, and the old one stays.
    fs::write(server.file("certificate.pem"), "-----BEGIN CERTIFICATE-----\nrubbish\n").unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(shown().await, third);
    assert!(server.log().contains("the old one stays"), "{}", server.log());
}

/// The status of the answer to these bytes; 0 if the connection was closed without one.
async fn status_of(server: &Server, bytes: &[u8]) -> u16 {
    match server.visitor().raw(bytes).await {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 ") => Page::parse("/", &answer).status,
        Ok(answer) => {
            assert!(answer.is_empty(), "{answer:?}");
            0
        }
        Err(_) => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_harm_nothing() {
    let server = Server::with(
        &[Domain::shared()],
        &format!("[connections]\nheader_seconds = 1\nbody_seconds = 1\n{QUICK}"),
    )
    .await;
    let port = server.port();
    let good = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    assert_eq!(status_of(&server, good.as_bytes()).await, 200);
    let close = "Connection: close\r\n\r\n";
    let bad = [
        (format!("GET / HTTP/1.1\r\nHost: evil.example\r\n{close}"), 421),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{close}"), 421),
        (format!("GET / HTTP/1.1\r\nHost: localhost:{port}.evil.example\r\n{close}"), 421),
        (format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nHost: localhost:{port}\r\n{close}"), 421),
        (format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil.example\r\n{close}"), 421),
        (format!("GET / HTTP/1.1\r\n{close}"), 421),
        (format!("GET https://evil.example/ HTTP/1.1\r\nHost: localhost:{port}\r\n{close}"), 421),
        (format!("GET https://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n{close}"), 421),
        (format!("GET /\0 HTTP/1.1\r\nHost: localhost:{port}\r\n{close}"), 400),
        (format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nX: a\0b\r\n{close}"), 400),
        (format!("GET / HTTP/1.1\r\nHost : localhost:{port}\r\n{close}"), 400),
        (format!("GET /nowhere HTTP/1.1\r\nHost: localhost:{port}\r\n{close}"), 404),
        (format!("DELETE / HTTP/1.1\r\nHost: localhost:{port}\r\n{close}"), 405),
        (format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\n{close}"), 405),
        ("rubbish\r\n\r\n".to_owned(), 400),
        (
            format!(
                "POST /reset HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n{close}0\r\n\r\n"
            ),
            // The length is not believed, the form has no token.
            403,
        ),
    ];
    for (request, expected) in bad {
        let status = status_of(&server, request.as_bytes()).await;
        assert!(
            status == expected || (expected >= 400 && [0, 400].contains(&status)),
            "{status}: {request:?}"
        );
        assert!(expected != 421 || status != 0, "a page says so: {request:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost:{port}\r\n{close}", "x".repeat(3000));
    assert!([404, 414, 431].contains(&status_of(&server, long.as_bytes()).await));
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nX: {}\r\n{close}", "x".repeat(200_000));
    assert!([0, 400, 431].contains(&status_of(&server, huge.as_bytes()).await));
    let mut slow = server.visitor().connect().await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await.expect("it is cut off");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(status_of(&server, good.as_bytes()).await, 200);
    assert!(!server.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_no_browser_sends_are_refused_in_words() {
    let server = Server::quick().await;
    let mut visitor = server.visitor();
    let csrf = visitor.get("/reset").await.csrf();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let name = |value: &str| format!("csrf={csrf}&username={value}&domain=CORP").into_bytes();
    let megabyte = "x".repeat(1 << 20);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (name("a%00b"), "can’t be typed"),
        (name("%FF%FE"), "could not be read as text"),
        (name("%C0%AF"), "could not be read as text"),
        (format!("csrf={csrf}&username=a&username=b&domain=CORP").into_bytes(), "arrived twice"),
        (format!("csrf={csrf}&username[]=a&domain=CORP").into_bytes(), "doesn’t belong"),
        (format!("csrf={csrf}&username=a&domain=CORP&admin=1").into_bytes(), "doesn’t belong"),
        (name(&megabyte), "too long"),
        (name(""), "fill this in"),
    ];
    for (body, words) in cases {
        let page = visitor.request("POST", "/reset", &[form], &body).await;
        page.refuses("reset/identify", words);
    }
    for path in ["/reset", "/change", "/unlock", "/enroll"] {
        let page = server.visitor().request("POST", path, &[form], b"username=a&domain=CORP").await;
        assert_eq!(page.status, 403, "a form without a token");
    }
    let page = visitor.request("POST", "/reset", &[("Content-Type", "text/plain")], b"x").await;
    assert!([403, 415, 422].contains(&page.status), "{}", page.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_only_leads_to_https() {
    let mut server = Server::prepared(&[Domain::shared()], "");
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    server.configure("listen_http = []", &format!("listen_http = [\"{plain}\"]"));
    server.restart().await;
    let answer =
        plainly(plain, "GET /reset?username=a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            .await;
    let page = Page::parse("/", answer.as_bytes());
    assert_eq!(page.status, 308);
    assert_eq!(page.header("location").unwrap(), server.url("/reset?username=a"), "not to where Host says");
    let answer =
        plainly(plain, "POST /reset HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npassword=a").await;
    assert_eq!(Page::parse("/", answer.as_bytes()).status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_ask_where_nobody_else_does() {
    let domain = Domain::shared();
    let mut server = Server::prepared(&[domain], "");
    let watch = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    server.configure("listen_http = []", &format!("listen_http = []\nlisten_metrics = [\"{watch}\"]"));
    server.restart().await;
    server.visitor().begins("reset", "nobody", "CORP").await;
    for (path, status, part) in [
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ready"),
        ("/metrics", 200, "regain_directory_controller_up{domain=\"corp.example\""),
        ("/reset", 404, ""),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n");
        let answer = plainly(watch, &request).await;
        let page = Page::parse(path, answer.as_bytes());
        assert!(page.status == status && answer.contains(part), "{answer}");
    }
    assert_eq!(server.visitor().get("/metrics").await.status, 404, "not where the pages are");
}

async fn plainly(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_headers_that_protect() {
    let server = Server::quick().await;
    let mut visitor = server.visitor();
    for path in ["/", "/reset", "/nowhere", "/healthz", "/assets/nothing.css"] {
        let page = visitor.get(path).await;
        let csp = page.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        assert!(csp.contains("default-src 'none'") && !csp.contains("unsafe"), "{csp}");
        for name in
            ["strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy"]
        {
            assert!(page.header(name).is_some(), "{path} {name}");
        }
        if path != "/assets/nothing.css" {
            assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        }
    }
    let page = visitor.get("/reset").await;
    let cookie = server.visitor().get("/reset").await.header("set-cookie").unwrap().to_owned();
    assert!(
        ["__Host-", "Secure", "HttpOnly", "SameSite"].iter().all(|word| cookie.contains(word)),
        "{cookie}"
    );
    assert!(!page.text().contains("style=") && !page.text().contains(" onclick"), "no inline code");
}
