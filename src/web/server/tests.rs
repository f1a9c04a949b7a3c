//! The loop under slow, silent, greedy and ordinary clients, over real sockets.

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use poem::endpoint::make;
use rustls::{
    ClientConfig,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::tls::{Certificates, Source, server_config};

const NOW: OffsetDateTime = datetime!(2030-01-01 00:00 UTC);
/// Far more than any deadline under test.
const SOON: Duration = Duration::from_secs(5);

fn quick() -> Limits {
    let tens = Duration::from_millis;
    Limits {
        handshake: tens(150),
        header: tens(150),
        body: tens(150),
        idle: tens(300),
        request: tens(400),
        stop: tens(500),
        ..Limits::default()
    }
}

/// A server on a free port with one endpoint:
/// `/` greets, `/echo` returns the body's length, `/panic` panics, `/wait` waits for `go`, `/never` never answers.
struct Served {
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
    go: Arc<Notify>,
    running: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
    _data: TempDir,
}

/// A handler that hasn't ended or been dropped.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn echo(request: &mut Request) -> poem::Result<Response> {
    Ok(request.take_body().into_bytes().await?.len().to_string().into())
}

impl Served {
    fn plain(limits: Limits) -> Self {
        Self::start(limits, false)
    }

    fn tls(limits: Limits) -> Self {
        Self::start(limits, true)
    }

    fn start(limits: Limits, tls: bool) -> Self {
        let data = TempDir::new().unwrap();
        let certificates = tls.then(|| {
            let source =
                Source::SelfSigned { names: vec!["localhost".into()], folder: data.path().join("first") };
            Certificates::open(source, NOW).unwrap()
        });
        let config = certificates.clone().map(|certificates| server_config(certificates).unwrap());
        let listener = Listener::bind(&[([127, 0, 0, 1], 0).into()], config, limits).unwrap();
        let address = listener.local_addresses()[0];
        let (shutdown, go) = (CancellationToken::new(), Arc::new(Notify::new()));
        let (running, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go_on, runs, ends) = (Arc::clone(&go), Arc::clone(&running), Arc::clone(&finished));
        let endpoint = make(move |mut request: Request| {
            let (go, running, ends) = (Arc::clone(&go_on), Running::new(&runs), Arc::clone(&ends));
            async move {
                let _running = running;
                let answer = match request.uri().path() {
                    "/" => Ok(Response::from("hello")),
                    "/echo" => echo(&mut request).await,
                    "/panic" => panic!("on purpose"),
                    "/wait" => {
                        go.notified().await;
                        Ok("waited".into())
                    }
                    "/never" => pending().await,
                    _ => Ok(StatusCode::NOT_FOUND.into()),
                };
                ends.fetch_add(1, Relaxed);
                answer
            }
        });
        let page: Page = Arc::new(|status| Response::from((status, format!("page {}", status.as_u16()))));
        let ended = tokio::spawn(serve(listener, endpoint, page, Believed::default(), shutdown.clone()));
        Self { address, certificates, shutdown, ended, go, running, finished, _data: data }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate::default()))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await.unwrap()
    }

    /// Waits until so many handlers run.
    async fn runs(&self, handlers: usize) {
        let reached = async {
            while self.running.load(Relaxed) != handlers {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, reached).await.expect("so many handlers");
    }

    async fn ends(self) {
        timeout(SOON, self.ended).await.expect("it stops").unwrap();
    }
}

/// The tests look at the certificate themselves.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl Default for AnyCertificate {
    fn default() -> Self {
        Self(aws_lc_rs::default_provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Sends `text` and reads one answer whose body is as long as it says.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut seen = Vec::new();
    let whole = timeout(SOON, async {
        loop {
            let mut byte = [0];
            if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                break;
            }
            seen.push(byte[0]);
            let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break;
                }
            }
        }
    });
    whole.await.expect("an answer");
    String::from_utf8(seen).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn post(path: &str, length: usize, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// How long the server keeps the connection from now on; what it still says is left unread.
async fn closes(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    // A reset is a close too.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the connection ends");
    start.elapsed()
}

#[tokio::test]
async fn http1_is_answered_over_a_kept_connection() {
    let served = Served::plain(quick());
    let mut stream = served.connect().await;
    for _ in 0..3 {
        assert!(ask(&mut stream, &get("/")).await.ends_with("hello"));
    }
    assert!(ask(&mut stream, &post("/echo", 5, "12345")).await.ends_with("\r\n\r\n5"));
}

#[tokio::test]
async fn both_protocols_are_answered_over_tls() {
    let served = Served::tls(quick());
    let mut stream = served.connect_tls(b"http/1.1").await;
    assert!(ask(&mut stream, &get("/")).await.ends_with("hello"));

    let stream = served.connect_tls(b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = TokioExecutor::new();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (method, path, body, status, text) in [
        ("GET", "/", "", 200, "hello"),
        ("POST", "/echo", "1234567", 200, "7"),
        ("GET", "/panic", "", 500, "page 500"),
        ("POST", "/panic", "", 500, "page 500"),
        ("GET", "/never", "", 503, "page 503"),
        ("HEAD", "/", "", 200, ""),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .body(body.to_owned())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, text, "{method} {path}");
    }
    // Idle: it is told to go and goes.
    timeout(SOON, connection).await.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let served = Served::plain(quick());
    assert!(closes(&mut served.connect().await).await < SOON / 2);
    let served = Served::tls(quick());
    assert!(closes(&mut served.connect().await).await < SOON / 2, "before the handshake");
    assert!(closes(&mut served.connect_tls(b"http/1.1").await).await < SOON / 2, "and after it");
    assert!(closes(&mut served.connect_tls(b"h2").await).await < SOON / 2);
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_idle_and_not_before() {
    let served = Served::plain(quick());
    let mut stream = served.connect().await;
    ask(&mut stream, &get("/")).await;
    let kept = closes(&mut stream).await;
    assert!(kept > quick().header && kept < SOON / 2, "{kept:?}");
}

#[tokio::test]
async fn a_header_that_drips_is_cut_off() {
    let served = Served::plain(quick());
    for first in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = served.connect().await;
        if !first.is_empty() {
            ask(&mut stream, first).await;
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let drip = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(closes(&mut reader).await < SOON / 2);
        timeout(SOON, drip).await.expect("the drip ends").unwrap();
    }
}

#[tokio::test]
async fn a_body_that_stalls_or_drips_is_answered_with_408_and_the_end() {
    let served = Served::plain(quick());
    let mut stream = served.connect().await;
    let stalled = ask(&mut stream, &post("/echo", 100, "half")).await;
    assert!(stalled.starts_with("HTTP/1.1 408") && stalled.contains("connection: close"), "{stalled}");
    assert!(stalled.ends_with("page 408"));
    closes(&mut stream).await;

    let mut stream = served.connect().await;
    stream.write_all(post("/echo", 10_000, "").as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(answer(&mut reader).await.starts_with("HTTP/1.1 408"));
    timeout(SOON, drip).await.expect("the drip ends").unwrap();
}

#[tokio::test]
async fn an_answer_given_without_the_body_arrives_all_the_same() {
    let served = Served::tls(quick());
    // The body comes after the answer is ready.
    let mut stream = served.connect_tls(b"http/1.1").await;
    for _ in 0..2 {
        stream.write_all(post("/nowhere", 5, "").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        served.runs(0).await;
        sleep(Duration::from_millis(20)).await;
        let answer = ask(&mut stream, "12345").await;
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("close"), "{answer}");
    }
    // It never comes, or is more than is read in vain.
    for (length, body) in [(5, String::new()), (1_000_000, "x".repeat(100_000))] {
        let mut stream = served.connect_tls(b"http/1.1").await;
        let answer = ask(&mut stream, &post("/nowhere", length, &body)).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
    }
    // Nobody asked for it.
    let mut stream = served.connect_tls(b"http/1.1").await;
    let polite = "POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert!(ask(&mut stream, polite).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn an_answer_given_without_the_body_arrives_over_http2_too() {
    let served = Served::tls(quick());
    let stream = served.connect_tls(b"h2").await;
    let executor = TokioExecutor::new();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..20 {
        let request = http::Request::post("https://localhost/nowhere").body("x".repeat(50_000)).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn an_endless_header_and_an_endless_address_are_refused() {
    let served = Served::plain(quick());
    let header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(ask(&mut served.connect().await, &header).await.starts_with("HTTP/1.1 431"));
    let address = get(&format!("/{}", "x".repeat(3000)));
    let refusal = ask(&mut served.connect().await, &address).await;
    assert!(refusal.starts_with("HTTP/1.1 414") && refusal.ends_with("page 414"), "{refusal}");
}

#[tokio::test]
async fn a_panic_is_a_page_and_the_connection_lives_on() {
    let served = Served::plain(quick());
    let mut stream = served.connect().await;
    for request in [get("/panic"), post("/panic", 0, "")] {
        let answer = ask(&mut stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.ends_with("page 500"), "{answer}");
    }
    assert!(ask(&mut stream, &get("/")).await.ends_with("hello"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_with_503() {
    let served = Served::plain(quick());
    let mut stream = served.connect().await;
    for request in [get("/never"), post("/never", 0, "")] {
        assert!(ask(&mut stream, &request).await.starts_with("HTTP/1.1 503"));
    }
}

#[tokio::test]
async fn what_changes_something_runs_to_its_end_though_the_client_is_gone() {
    let served = Served::plain(quick());
    let mut streams = Vec::new();
    for request in [get("/wait"), post("/wait", 0, "")] {
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    served.runs(2).await;
    drop(streams);
    served.runs(1).await;
    served.go.notify_waiters();
    served.runs(0).await;
    assert_eq!(served.finished.load(Relaxed), 1, "the POST, not the GET");
}

#[tokio::test]
async fn seventy_connections_of_one_address_hold_sixty_four_seats() {
    let served = Served::plain(Limits { request: SOON, ..quick() });
    let mut streams = Vec::new();
    for _ in 0..70 {
        let mut stream = served.connect().await;
        stream.write_all(get("/wait").as_bytes()).await.unwrap();
        streams.push(stream);
        served.runs(streams.len().min(64)).await;
    }
    // The last six find nobody to take the place of and are closed without an answer.
    for stream in &mut streams[64..] {
        closes(stream).await;
    }
    served.go.notify_waiters();
    for stream in &mut streams[..64] {
        assert!(answer(stream).await.ends_with("waited"));
    }
}

#[tokio::test]
async fn a_newcomer_gets_in_though_the_room_is_full_of_silent_connections() {
    let served = Served::plain(Limits {
        connections: 8,
        header: Duration::from_secs(60),
        idle: Duration::from_secs(60),
        ..quick()
    });
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(served.connect().await);
    }
    assert!(ask(&mut served.connect().await, &get("/")).await.ends_with("hello"));
    closes(&mut silent[0]).await;
}

#[tokio::test]
async fn a_certificate_is_exchanged_under_open_connections() {
    let served = Served::tls(quick());
    let certificates = served.certificates.as_ref().unwrap();
    let seen = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut old = served.connect_tls(b"http/1.1").await;
    assert!(ask(&mut old, &get("/")).await.ends_with("hello"));
    // A year later it is due, and check() makes and swaps in another one.
    assert!(certificates.check(NOW + time::Duration::days(380)).unwrap());
    assert!(ask(&mut old, &get("/")).await.ends_with("hello"));
    let mut new = served.connect_tls(b"http/1.1").await;
    assert!(ask(&mut new, &get("/")).await.ends_with("hello"));
    assert_ne!(seen(&old), seen(&new));
}

#[tokio::test]
async fn a_stop_finishes_the_request_in_flight_and_takes_no_new_ones() {
    let served = Served::plain(quick());
    let mut idle = served.connect().await;
    ask(&mut idle, &get("/")).await;
    let mut busy = served.connect().await;
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    served.runs(1).await;

    served.shutdown.cancel();
    assert!(closes(&mut idle).await < quick().header, "nothing to finish there");
    assert!(TcpStream::connect(served.address).await.is_err());
    assert!(!served.ended.is_finished());
    served.go.notify_waiters();
    let last = answer(&mut busy).await;
    assert!(last.ends_with("waited") && last.contains("connection: close"), "{last}");
    served.ends().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let served = Served::tls(Limits { request: Duration::from_secs(60), ..quick() });
    let mut stuck = served.connect_tls(b"http/1.1").await;
    stuck.write_all(get("/never").as_bytes()).await.unwrap();
    stuck.flush().await.unwrap();
    let _idle = served.connect_tls(b"h2").await;
    served.runs(1).await;
    served.shutdown.cancel();
    served.ends().await;
    closes(&mut stuck).await;
}

#[tokio::test]
async fn an_old_connection_is_ended_after_its_request() {
    let served = Served::plain(Limits { age: Duration::from_millis(200), ..quick() });
    let mut stream = served.connect().await;
    let start = Instant::now();
    while stream.write_all(get("/").as_bytes()).await.is_ok() {
        assert!(start.elapsed() < SOON, "it ends");
        if !answer(&mut stream).await.ends_with("hello") {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(150));
}

#[tokio::test]
async fn plain_http_is_sent_to_the_base_url_whatever_the_host() {
    let limits = quick();
    let listener = Listener::bind(&[([127, 0, 0, 1], 0).into()], None, limits).unwrap();
    let address = listener.local_addresses()[0];
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let folder = TempDir::new().unwrap();
    let source = Source::SelfSigned { names: vec!["reset.example".into()], folder: folder.path().into() };
    let certificates = Certificates::open(source, NOW).unwrap();
    let ended = tokio::spawn(async move {
        redirect(listener, "https://reset.example/", certificates, stop).await;
    });

    for (request, location) in [
        ("GET /reset?lang=de HTTP/1.1\r\nHost: evil.example\r\n\r\n", "/reset?lang=de"),
        ("GET //evil.example/%2e HTTP/1.1\r\n\r\n", "//evil.example/%2e"),
        ("GET http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n\r\n", "/x"),
        ("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "/"),
        // No certificate is being ordered.
        ("GET /.well-known/acme-challenge/x HTTP/1.1\r\n\r\n", "/.well-known/acme-challenge/x"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = ask(&mut stream, request).await;
        assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
        assert!(answer.contains(&format!("location: https://reset.example{location}\r\n")), "{answer}");
    }
    for request in [
        "POST /reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\npassword=",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = ask(&mut stream, request).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("connection: close"), "{answer}");
        assert!(closes(&mut stream).await < quick().body);
    }
    shutdown.cancel();
    timeout(SOON, ended).await.expect("it stops").unwrap();
}
