//! Behind real reverse proxies, with the examples that are shipped: people are told apart by where they come from, and
//! nobody can say that they come from elsewhere.

use std::{collections::BTreeMap, fs, io, process::Command, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};

use super::support::{
    browser::Browser,
    domain::Domain,
    pebble::{self, Looks, Pebble},
    proxy::{Proxy, free_port},
    server::{QUICK, Server, finish},
};

/// What somebody says who wants to be taken for another.
const LIES: [&str; 4] = [
    "X-Forwarded-For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "X-Real-IP: 203.0.113.9",
    "X-Forwarded-Host: elsewhere.example",
];

/// A server with these lines in its configuration, with these places to listen at besides its own.
async fn server(listen: &[u16], plain: &str, tables: &str) -> Server {
    let mut server = Server::prepared(&[Domain::shared()], tables);
    let ports = [&[server.port()], listen].concat();
    let places = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect::<Vec<_>>().join(", ");
    server.configure(&format!("listen = [\"127.0.0.1:{}\"]", server.port()), &format!("listen = [{places}]"));
    server.configure("listen_http = []\n", &format!("listen_http = []\n{plain}\n"));
    server.restart().await;
    server
}

/// Somebody enrolls, and two others try to who lie about themselves: all three came from where the log says.
async fn people_come(mut server: Server, proxy: &Proxy) {
    let user = Domain::shared().someone().await;
    let mut honest = server.visitor().through(proxy.port, [127, 0, 0, 7]);
    honest.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    for (name, last) in [("stranger-a", 8), ("stranger-b", 9)] {
        let mut liar = server.visitor().through(proxy.port, [127, 0, 0, last]).who_says(&LIES);
        let page = liar.enrolls(name, "CORP", "no-Password-1").await;
        assert!(!page.text().contains("elsewhere.example"), "{}", page.text());
    }
    server.terminate().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["export", "events", "--filter", "event in (enroll)", "--columns", "user,source_ip"]);
    command.arg("--config").arg(server.file("config.toml"));
    command.arg("--output").arg(server.file("events.jsonl")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    let events = fs::read_to_string(server.file("events.jsonl")).unwrap();
    let came: BTreeMap<String, String> = events
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            (word("user"), word("source_ip"))
        })
        .collect();
    let expected =
        [(user.name.as_str(), "127.0.0.7"), ("stranger-a", "127.0.0.8"), ("stranger-b", "127.0.0.9")];
    for (name, address) in expected {
        assert_eq!(came.get(name).map(String::as_str), Some(address), "{name}: {events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_hands_people_on_through_a_socket_and_each_is_limited_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http.sock");
    let plain = format!("listen_plain = ['unix:{}']", socket.display());
    let tables = format!("[proxies]\nheader = 'x_forwarded_for'\n{QUICK}")
        .replace("requests_per_address_per_minute = 0", "requests_per_address_per_minute = 40");
    let server = server(&[], &plain, &tables).await;
    let proxy = Proxy::nginx(&[("/run/regain/http.sock", socket.to_str().unwrap())]);
    let mut hasty = server.visitor().through(proxy.port, [127, 0, 0, 50]).who_says(&LIES);
    let mut answers = Vec::new();
    while answers.last() != Some(&429) {
        assert!(answers.len() < 100, "{answers:?}");
        answers.push(hasty.post("/reset", &[("username", "x")]).await.status);
    }
    let mut other = server.visitor().through(proxy.port, [127, 0, 0, 51]);
    assert_eq!(other.post("/reset", &[("username", "x")]).await.status, answers[0]);
    people_come(server, &proxy).await;
}

/// The panel is open to 127.0.0.60 alone: who only says to be that finds nothing there.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_talks_themselves_into_the_panel() {
    let tables = format!(
        "[proxies]\ntrusted = ['127.0.0.1']\nheader = 'x_forwarded_for'\n[settings.admin]\naddresses = \
         ['127.0.0.60']\n{QUICK}"
    );
    let server = server(&[], "", &tables).await;
    let place = format!("https://127.0.0.1:{}", server.port());
    let proxy = Proxy::nginx(&[("http://unix:/run/regain/http.sock", &place)]);
    let lies = ["X-Forwarded-For: 127.0.0.60", "Forwarded: for=127.0.0.60", "X-Real-IP: 127.0.0.60"];
    for path in ["/admin", "/admin/sign-in"] {
        let mut welcome = server.visitor().through(proxy.port, [127, 0, 0, 60]);
        assert!(matches!(welcome.get(path).await.status, 200 | 303), "{path}");
        let mut liar = server.visitor().through(proxy.port, [127, 0, 0, 61]).who_says(&lies);
        assert_eq!(liar.get(path).await.status, 404, "{path}");
        // Nor without the proxy.
        let mut direct = server.visitor().through(server.port(), [127, 0, 0, 61]).who_says(&lies);
        assert_eq!(direct.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_hands_people_on_by_https() {
    let tables = format!("[proxies]\ntrusted = ['127.0.0.1']\nheader = 'x_forwarded_for'\n{QUICK}");
    let server = server(&[], "", &tables).await;
    let place = format!("https://127.0.0.1:{}", server.port());
    let proxy = Proxy::nginx(&[("http://unix:/run/regain/http.sock", &place)]);
    people_come(server, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_passes_connections_on_and_says_whose_they_are() {
    for version in ["send-proxy-v2", "send-proxy"] {
        let port = free_port();
        let tables = format!("[proxies]\ntrusted = ['127.0.0.1']\nprotocol = ['127.0.0.1:{port}']\n{QUICK}");
        let server = server(&[port], "", &tables).await;
        let place = format!("127.0.0.1:{port}");
        let replaced = [("192.0.2.10:8443", place.as_str()), ("send-proxy-v2", version)];
        let proxy = Proxy::haproxy("haproxy-tcp.cfg", &replaced);
        // Only the proxy is let in, and only if it says for whom it comes.
        for (from, first) in [
            ([127, 0, 0, 66], &b"PROXY TCP4 127.0.0.1 127.0.0.1 1000 443\r\n"[..]),
            ([127, 0, 0, 1], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ] {
            let mut stream = server.visitor().through(port, from).dial().await.unwrap();
            let _ = stream.write_all(first).await;
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer).await;
            let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
            assert!(answer.is_empty() && ended.as_ref().err().is_none_or(is_reset), "{answer:?} {ended:?}");
        }
        people_come(server, &proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_hands_people_on_in_plain_http_and_tells_in_either_header() {
    let set = "http-request set-header X-Forwarded-For %[src]";
    for (header, told) in [
        ("x_forwarded_for", set),
        ("x_forwarded_for", "http-request add-header X-Forwarded-For %[src]"),
        ("forwarded", "http-request set-header Forwarded for=%[src];proto=https"),
        ("forwarded", "http-request add-header Forwarded for=%[src]"),
    ] {
        let port = free_port();
        let plain = format!("listen_plain = ['127.0.0.1:{port}']");
        let tables = format!("[proxies]\ntrusted = ['127.0.0.1']\nheader = '{header}'\n{QUICK}");
        let server = server(&[], &plain, &tables).await;
        let place = format!("127.0.0.1:{port}");
        let proxy = Proxy::haproxy("haproxy-http.cfg", &[("127.0.0.1:8080", place.as_str()), (set, told)]);
        // Nobody else gets anything there.
        let mut stream = server.visitor().through(port, [127, 0, 0, 66]).dial().await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port());
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        people_come(server, &proxy).await;
    }
}

/// Regain keeps its own certificate behind a proxy that doesn't look into connections: the authority's challenge
/// (TLS-ALPN-01) and browsers' HTTP/2 come through, behind the header of the PROXY protocol.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_and_a_browser_come_through_haproxy() {
    let port = free_port();
    let tables = format!("[proxies]\ntrusted = ['127.0.0.1']\nprotocol = ['127.0.0.1:{port}']\n{QUICK}");
    let mut server = server(&[port], "", &tables).await;
    let proxy = Proxy::haproxy("haproxy-tcp.cfg", &[("192.0.2.10:8443", &format!("127.0.0.1:{port}"))]);
    let pebble = Pebble::start(&Looks { tls: proxy.port, ..Looks::default() });
    server.configure(
        "listen_http = []\n",
        &format!("listen_http = []\nextra_hosts = ['localhost:{}']\n", proxy.port),
    );
    server.configure(QUICK, &format!("{QUICK}{}", pebble.settings(&["reset.corp.example"])));
    server.restart().await;
    let began = Instant::now();
    loop {
        let shown = pebble::read(&server.visitor().through(proxy.port, [127, 0, 0, 7]).certificate().await);
        if shown.0.contains("Pebble") {
            assert_eq!(shown.1, ["reset.corp.example"]);
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{shown:?}: {}", server.log());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());

    let browser = Browser::open().await;
    browser.goto(&format!("https://localhost:{}/enroll", proxy.port)).await.unwrap();
    let spoken = "return performance.getEntriesByType('navigation')[0].nextHopProtocol";
    assert_eq!(browser.execute(spoken, Vec::new()).await.unwrap(), "h2");
    browser.reaches("enroll/identify").await;
}
