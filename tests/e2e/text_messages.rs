//! Text messages on their way: real programs, real HTTP endpoints; what they get, and what is said when they fail.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use regain::{
    domain::{
        contact::PhoneNumber,
        message::{Message, Sms},
    },
    notify::{Fault, Notifier},
    render::Renderer,
    settings::Settings,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::support::certificate;

fn settings(text: &str) -> Settings {
    let settings: Settings = toml::from_str(&format!("[sms]\ntimeout_seconds = 2\n{text}")).unwrap();
    assert_eq!(settings.faults(), []);
    settings
}

fn sms() -> Sms {
    Sms {
        to: PhoneNumber::parse("+491701234567").unwrap(),
        text: "Ihr Code: \"042137\" & [CODE]\\".into(),
        code: "042137".into(),
        user: "$(touch hacked) o'brien; `id`".into(),
        domain: "CORP".into(),
        language: "de".into(),
    }
}

async fn send(settings: &Settings) -> Result<(), Fault> {
    let notifier = Notifier::new(Arc::new(Renderer::new(None).unwrap()));
    let outcome = notifier.send(settings, &Message::Sms(sms())).await;
    if let Err(fault) = &outcome {
        for secret in ["4917", "042137", "brien", "Hering"] {
            assert!(!fault.to_string().contains(secret), "{fault}");
        }
    }
    outcome
}

fn later(outcome: Result<(), Fault>) -> String {
    match outcome {
        Err(Fault::Later(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn never(outcome: Result<(), Fault>) -> String {
    match outcome {
        Err(Fault::Never(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// A script in a folder of its own.
fn program(script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("send-sms");
    fs::write(&path, script.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
    (folder, path)
}

/// The shell is the program: a file that was just written can't always be started while other tests start theirs.
fn command(path: &Path, arguments: &[&str]) -> Settings {
    let arguments = [&[path.to_str().unwrap()], arguments].concat();
    settings(&format!("delivery = 'command'\nprogram = '/bin/sh'\narguments = {arguments:?}"))
}

async fn content(file: &Path) -> String {
    let began = Instant::now();
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(began.elapsed() < Duration::from_secs(15), "{} is not written", file.display()),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_gets_its_arguments_as_they_are_and_nothing_else() {
    let (folder, path) = program(
        "tr '\\0' '\\n' </proc/$$/cmdline >FOLDER/arguments\n\
         tr '\\0' '\\n' </proc/$$/environ >FOLDER/environment\n\
         readlink /proc/$$/fd/0 >FOLDER/input\n\
         pwd >FOLDER/place\necho 042137; echo 042137 >&2\n",
    );
    let arguments = ["--to=[PHONE]", "[CODE]", "[USERNAME]", "[DOMAIN]/[LANG]", "[TEXT]", "[OTHER] *", ""];
    send(&command(&path, &arguments)).await.unwrap();
    let seen = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let expected = [
        "--to=+491701234567",
        "042137",
        "$(touch hacked) o'brien; `id`",
        "CORP/de",
        "Ihr Code: \"042137\" & [CODE]\\",
        "[OTHER] *",
        "",
    ];
    let all = seen("arguments");
    let all: Vec<_> = all.lines().skip(2).collect();
    assert_eq!(all, expected);
    let environment = seen("environment");
    assert!(environment.lines().count() == 1 && environment.starts_with("PATH=/usr/"), "{environment}");
    assert_eq!(seen("input"), "/dev/null\n");
    assert_eq!(seen("place"), "/\n");
}

#[tokio::test]
async fn a_program_that_fails_or_is_none_is_for_later() {
    let (_folder, path) = program("echo 042137 >&2\nexit 3\n");
    assert!(later(send(&command(&path, &["[CODE]"])).await).contains("exit status: 3"));
    let (_folder, path) = program("kill -9 $$\n");
    assert!(later(send(&command(&path, &[])).await).contains("signal: 9"));
    let nowhere = settings("delivery = 'command'\nprogram = '/nowhere/send'");
    assert!(later(send(&nowhere).await).contains("can't be started"));
    assert!(never(send(&settings("")).await).contains("no delivery"));
}

#[tokio::test]
async fn at_the_time_limit_a_program_is_ended_with_all_it_started() {
    let (folder, path) = program(
        "(sh -c 'echo $$ >FOLDER/grandchild; exec sleep 60' & wait) &\necho $$ >FOLDER/child\nwait\n",
    );
    let began = Instant::now();
    assert!(later(send(&command(&path, &[])).await).contains("in time"));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    are_gone(folder.path()).await;
}

#[tokio::test]
async fn a_program_is_ended_when_nobody_waits_for_it_any_more() {
    let (folder, path) = program(
        "(sh -c 'echo $$ >FOLDER/grandchild; exec sleep 60' & wait) &\necho $$ >FOLDER/child\nwait\n",
    );
    let settings = command(&path, &[]);
    let sending = tokio::spawn(async move { send(&settings).await });
    for name in ["child", "grandchild"] {
        content(&folder.path().join(name)).await;
    }
    sending.abort();
    are_gone(folder.path()).await;
}

async fn are_gone(folder: &Path) {
    for name in ["child", "grandchild"] {
        let id = content(&folder.join(name)).await.trim().to_owned();
        let began = Instant::now();
        // A dead one may wait to be buried, by this process or by the system's first.
        while fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(began.elapsed() < Duration::from_secs(15), "the {name} lives on");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// An HTTP endpoint that answers with these bytes and keeps what it is asked.
struct Endpoint {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn start(answer: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, tls) = (Arc::clone(&kept), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, answer, &kept).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, answer, &kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, asked }
    }

    /// The one request: its head's lines and its body.
    fn request(&self) -> (Vec<String>, String) {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
        (head.split("\r\n").map(str::to_owned).collect(), body.to_owned())
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &str, kept: &Mutex<Vec<String>>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                kept.lock().unwrap().push(text);
                break;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => bytes.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    // The asker may have gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn http(port: u16, more: &str) -> Settings {
    settings(&format!(
        "delivery = 'http'\nurl = 'http://127.0.0.1:{port}/send?to=[PHONE]&who=[USERNAME]'\n{more}"
    ))
}

#[tokio::test]
async fn an_endpoint_gets_the_request_as_it_was_set() {
    let endpoint = Endpoint::start(OK, None).await;
    let more = "headers = ['X-Account: corp', 'Accept: */*']\nhttp_authorization = 'Bearer Hering'\n\
                body = '{\"to\": \"[PHONE]\", \"text\": \"[TEXT]\", \"n\": [1, 2]}'";
    send(&http(endpoint.port, more)).await.unwrap();
    let (head, body) = endpoint.request();
    let port = endpoint.port;
    assert_eq!(
        head[0],
        "POST /send?to=%2B491701234567&who=%24%28touch%20hacked%29%20o%27brien%3B%20%60id%60 HTTP/1.1"
    );
    for line in [
        &format!("host: 127.0.0.1:{port}"),
        "x-account: corp",
        "accept: */*",
        "authorization: Bearer Hering",
        "content-type: application/json",
    ] {
        assert!(head.iter().any(|own| own == line), "{line}: {head:?}");
    }
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["text"], sms().text.as_str());
    assert_eq!((body["to"].as_str(), body["n"][1].as_u64()), (Some("+491701234567"), Some(2)));
}

#[tokio::test]
async fn values_are_escaped_for_a_form_and_a_query_but_nowhere_else() {
    for (content_type, expected) in [
        (
            "application/x-www-form-urlencoded",
            "c=042137&t=Ihr%20Code%3A%20%22042137%22%20%26%20%5BCODE%5D%5C",
        ),
        ("text/plain; charset=utf-8", "c=042137&t=Ihr Code: \"042137\" & [CODE]\\"),
    ] {
        let endpoint = Endpoint::start(OK, None).await;
        let more = format!("method = 'PUT'\nbody = 'c=[CODE]&t=[TEXT]'\ncontent_type = '{content_type}'");
        send(&http(endpoint.port, &more)).await.unwrap();
        let (head, body) = endpoint.request();
        assert!(head[0].starts_with("PUT /send?") && head.contains(&format!("content-type: {content_type}")));
        assert_eq!(body, expected);
    }
    let endpoint = Endpoint::start(OK, None).await;
    send(&http(endpoint.port, "method = 'GET'")).await.unwrap();
    let (head, body) = endpoint.request();
    assert!(head[0].starts_with("GET /send?") && body.is_empty());
    assert!(!head.iter().any(|line| line.starts_with("content-")), "{head:?}");
}

#[tokio::test]
async fn the_status_of_the_answer_decides() {
    for (answer, more, is_later) in [
        ("HTTP/1.1 202 Accepted\r\n\r\n", "", None),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", None),
        ("HTTP/1.1 409 Conflict\r\n\r\n", "expected_status_to = 409", None),
        ("HTTP/1.1 200 OK\r\n\r\n042137", "expected_status_from = 201", Some(false)),
        ("HTTP/1.1 301 Moved\r\nLocation: /other\r\n\r\n", "", Some(false)),
        ("HTTP/1.1 400 +491701234567\r\n\r\n", "", Some(false)),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "", Some(false)),
        ("HTTP/1.1 408 Request Timeout\r\n\r\n", "", Some(true)),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", "", Some(true)),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n", "", Some(true)),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "", Some(true)),
        ("", "", Some(true)),
        ("042137\r\n\r\n", "", Some(true)),
    ] {
        let endpoint = Endpoint::start(answer, None).await;
        let outcome = send(&http(endpoint.port, more)).await;
        match is_later {
            None => outcome.unwrap(),
            Some(true) => drop(later(outcome)),
            Some(false) => assert!(never(outcome).contains(&answer[9..12])),
        }
        assert_eq!(endpoint.asked.lock().unwrap().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_silent_is_for_later() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let began = Instant::now();
    assert!(later(send(&http(port, "")).await).contains("in time"));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(listener);
    assert!(later(send(&http(port, "")).await).contains("refused"));
}

#[tokio::test]
async fn an_endpoint_under_tls_shows_a_certificate_of_its_authority_and_name() {
    let endpoint = async |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        certificate::issue(folder.path(), &[name]);
        let tls = TlsAcceptor::from(certificate::server_config(folder.path()));
        (Endpoint::start(OK, Some(tls)).await, folder)
    };
    let https = |endpoint: &Endpoint, more: &str| {
        settings(&format!("delivery = 'http'\nurl = 'https://localhost:{}/send'\n{more}", endpoint.port))
    };
    let trusting = |folder: &TempDir| format!("ca_file = '{}'", folder.path().join("ca.pem").display());

    let (right, folder) = endpoint("localhost").await;
    send(&https(&right, &trusting(&folder))).await.unwrap();
    assert!(right.request().1.contains("+491701234567"));
    assert!(later(send(&https(&right, "")).await).contains("UnknownIssuer"));
    let (other, folder) = endpoint("other.example").await;
    assert!(later(send(&https(&other, &trusting(&folder))).await).contains("not valid for name"));
    assert!(other.asked.lock().unwrap().is_empty());
    assert!(later(send(&https(&right, "ca_file = '/nowhere/ca.pem'")).await).contains("/nowhere/ca.pem"));
}
