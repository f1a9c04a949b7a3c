//! Mails on their way: a real mail server, well and in every trouble; what arrives, and what is said when it doesn't.

use std::{
    fs,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use regain::{
    domain::{
        clock::Timestamp,
        contact::EmailAddress,
        message::{Facts, Mail, Message, Topic},
    },
    notify::{Fault, Notifier},
    render::Renderer,
    settings::Settings,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    domain::Domain,
    mail_server::MailServer,
    server::{QUICK, Server},
};

const LOGIN: [&str; 3] = ["--login", "regain", "grüner-Hering=7"];

fn notifier() -> Notifier {
    Notifier::new(Arc::new(Renderer::new(None).unwrap()))
}

fn settings(port: u16, more: &str) -> Settings {
    let text = format!(
        "[mail]\ndelivery = 'smtp'\nhost = 'localhost'\nport = {port}\nsender = 'no-reply@corp.example'\n\
         timeout_seconds = 2\n{more}"
    );
    let settings: Settings = toml::from_str(&text).unwrap();
    assert_eq!(settings.faults(), []);
    settings
}

/// STARTTLS, and the authority trusted.
fn safely(server: &MailServer, more: &str) -> Settings {
    settings(server.port, &format!("ca_file = '{}'\n{more}", server.ca().display()))
}

fn openly(server: &MailServer) -> Settings {
    // The name of this machine, and no other, may be spoken to so with a login.
    settings(server.port, "security = 'none'\n")
}

fn mail() -> Mail {
    Mail {
        id: "00112233445566778899aabbccddeeff".into(),
        to: EmailAddress::parse("mary@corp.example").unwrap(),
        subject: "Regain: your code".into(),
        text: "Your code:\n.\n..two\n.end 042137\n".into(),
        html: None,
    }
}

async fn send(settings: &Settings) -> Result<(), Fault> {
    notifier().send(settings, &Message::Mail(mail())).await
}

/// The fault's text, if it is one that may pass.
fn later(outcome: Result<(), Fault>) -> String {
    match outcome {
        Err(Fault::Later(text)) => told(text),
        other => panic!("{other:?}"),
    }
}

fn never(outcome: Result<(), Fault>) -> String {
    match outcome {
        Err(Fault::Never(text)) => told(text),
        other => panic!("{other:?}"),
    }
}

/// A fault is for the log.
fn told(text: String) -> String {
    for secret in ["mary", "042137", "grüner", "Hering"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_to_one_recipient() {
    let server = MailServer::start(&["--starttls"]);
    let settings = safely(&server, "sender_name = 'Müller \"&\" Söhne, IT'");
    let notifier = notifier();
    let facts = Facts {
        user: "jürgen".into(),
        domain: "BÜRO".into(),
        at: Timestamp::from_millis(1_795_470_405_999),
        source_ip: Some("192.0.2.7".parse().unwrap()),
        code: Some("042137".into()),
        minutes: 10,
        days: 0,
    };
    let to = EmailAddress::parse("mary@corp.example").unwrap();
    let written = notifier.mail(&settings, Topic::Code, "de", to, &facts).unwrap();
    notifier.send(&settings, &Message::Mail(written.clone())).await.unwrap();

    let seen = server.seen("mail");
    assert_eq!(seen.len(), 1);
    let arrived = &seen[0];
    assert_eq!(arrived["sender"], "no-reply@corp.example");
    assert_eq!(arrived["recipients"], serde_json::json!(["mary@corp.example"]));
    assert_eq!(arrived["tls"], true);
    let text = |part: &str| arrived[part].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text("text").trim_end(), written.text.trim_end());
    assert_eq!(text("html").trim_end(), written.html.unwrap().trim_end());
    let raw = arrived["mail"].as_str().unwrap();
    assert!(
        raw.is_ascii() && raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
    );
    let header = |name: &str| {
        let all: Vec<_> = arrived["headers"].as_array().unwrap().iter().filter(|h| h[0] == name).collect();
        assert_eq!(all.len(), 1, "{name}: {raw}");
        all[0][1].as_str().unwrap().to_owned()
    };
    assert_eq!(header("Subject"), "Regain: Ihr Code");
    assert_eq!(header("To"), "mary@corp.example");
    assert_eq!(header("From"), "\"Müller \\\"&\\\" Söhne, IT\" <no-reply@corp.example>");
    assert_eq!(header("Message-ID"), format!("<{}@corp.example>", written.id));
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert!(header("Date").ends_with("+0000"), "{}", header("Date"));
    assert!(!server.bytes(false).contains("MAIL"), "{}", server.bytes(false));
}

#[tokio::test]
async fn dots_and_long_lines_are_carried_over() {
    let server = MailServer::start(&[]);
    let settings = openly(&server);
    send(&settings).await.unwrap();
    let long = format!("{}\n{}\n", "wort ".repeat(600), "ü".repeat(2000));
    let unfolded = Mail { text: long.clone(), subject: "Überlänge ".repeat(40), ..mail() };
    notifier().send(&settings, &Message::Mail(unfolded)).await.unwrap();

    let seen = server.seen("mail");
    let raw = seen[0]["mail"].as_str().unwrap();
    assert!(raw.trim_end().ends_with("\r\n\r\nYour code:\r\n.\r\n..two\r\n.end 042137"), "{raw:?}");
    assert!(server.bytes(false).contains("\r\nYour code:\r\n..\r\n...two\r\n..end 042137\r\n"));
    assert_eq!(seen[1]["text"].as_str().unwrap().replace("\r\n", "\n").trim_end(), long.trim_end());
    let raw = seen[1]["mail"].as_str().unwrap();
    assert!(raw.is_ascii() && raw.split("\r\n").all(|line| line.len() <= 998));
    let subject = &seen[1]["headers"].as_array().unwrap().iter().find(|h| h[0] == "Subject").unwrap()[1];
    assert_eq!(subject.as_str().unwrap().trim_end(), "Überlänge ".repeat(40).trim_end());
}

#[tokio::test]
async fn connections_are_kept_until_the_settings_change() {
    let server = MailServer::start(&["--starttls"]);
    let settings = safely(&server, "");
    let notifier = notifier();
    for _ in 0..3 {
        notifier.send(&settings, &Message::Mail(mail())).await.unwrap();
    }
    assert_eq!((server.seen("mail").len(), server.seen("connection").len()), (3, 1));
    let changed = safely(&server, "sender_name = 'Other'");
    notifier.send(&changed, &Message::Mail(mail())).await.unwrap();
    assert_eq!((server.seen("mail").len(), server.seen("connection").len()), (4, 2));

    // A server that is gone and comes back: the kept connection is found dead.
    drop(server);
    later(notifier.send(&changed, &Message::Mail(mail())).await);
    let server = MailServer::start(&["--starttls"]);
    notifier.send(&safely(&server, ""), &Message::Mail(mail())).await.unwrap();
}

#[tokio::test]
async fn many_mails_at_a_time_each_arrive_once() {
    let server = MailServer::start(&["--starttls"]);
    let settings = safely(&server, "");
    let notifier = notifier();
    let sent = (0..20).map(|number| {
        let mail = Mail { id: format!("{number:032x}"), ..mail() };
        let (notifier, settings) = (&notifier, &settings);
        async move { notifier.send(settings, &Message::Mail(mail)).await }
    });
    assert!(futures_util::future::join_all(sent).await.iter().all(Result::is_ok));
    let mut ids: Vec<_> = server
        .seen("mail")
        .iter()
        .map(|mail| {
            mail["headers"].as_array().unwrap().iter().find(|h| h[0] == "Message-ID").unwrap()[1].to_string()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn a_passing_refusal_is_for_later_and_a_lasting_one_for_never() {
    let server = MailServer::start(&[]);
    let settings = openly(&server);
    for command in ["rcpt", "data"] {
        server.answers(command, "451 4.3.0 <mary@corp.example>: try again");
        assert!(later(send(&settings).await).ends_with("451 4.3.0"));
        server.answers(command, "550 5.1.1 <mary@corp.example> is unknown here");
        assert!(never(send(&settings).await).ends_with("550 5.1.1"));
        server.answers(command, "554 <mary@corp.example> no");
        assert!(never(send(&settings).await).ends_with("554"));
        server.answers(command, "530 5.7.0 login first");
        assert!(later(send(&settings).await).ends_with("530 5.7.0"));
        server.answers(command, "");
        send(&settings).await.unwrap();
    }
    assert_eq!(server.seen("mail").len(), 2);
}

#[tokio::test]
async fn a_server_that_hangs_or_hangs_up_is_for_later_and_leaves_no_connection() {
    let server = MailServer::start(&[]);
    let settings = openly(&server);
    let notifier = notifier();
    notifier.send(&settings, &Message::Mail(mail())).await.unwrap();
    for (words, command) in [("drop", "data"), ("drop", "rcpt"), ("hang", "data"), ("hang", "rcpt")] {
        server.answers(command, words);
        let began = Instant::now();
        let text = later(notifier.send(&settings, &Message::Mail(mail())).await);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert!(text.contains(if words == "hang" { "in time" } else { "hung up" }), "{text}");
        server.answers(command, "");
        let connections = server.seen("connection").len();
        notifier.send(&settings, &Message::Mail(mail())).await.unwrap();
        assert_eq!(server.seen("connection").len(), connections + 1);
    }
    assert_eq!(server.seen("mail").len(), 5);
}

#[tokio::test]
async fn no_server_or_one_that_says_nothing_is_for_later() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for security in ["starttls", "tls", "none"] {
        let settings = settings(port, &format!("security = '{security}'"));
        let began = Instant::now();
        assert!(later(send(&settings).await).contains("in time"));
        assert!(began.elapsed() < Duration::from_secs(15), "{security}: {:?}", began.elapsed());
    }
    drop(listener);
    for security in ["starttls", "tls", "none"] {
        let text = later(send(&settings(port, &format!("security = '{security}'"))).await);
        assert!(text.contains("refused"), "{security}: {text}");
    }
    let mut nowhere = settings(port, "");
    nowhere.mail.host = Some("nowhere.invalid".into());
    later(send(&nowhere).await);
}

#[tokio::test]
async fn without_the_tls_that_was_chosen_nothing_is_said() {
    let open = MailServer::start(&[]);
    let text = later(send(&safely(&open, "user = 'regain'\npassword = 'grüner-Hering=7'")).await);
    assert!(text.contains("STARTTLS"), "{text}");
    let said = open.bytes(false);
    assert!(said.starts_with("EHLO ") && said.lines().count() <= 2, "{said}");
    assert!(!said.contains("AUTH") && !said.contains("MAIL") && !said.contains("042137"), "{said}");
    later(send(&safely(&open, "security = 'tls'")).await);
    assert!(!open.bytes(false).contains("042137") && open.seen("mail").is_empty());
}

#[tokio::test]
async fn only_a_certificate_of_the_right_authority_and_name_is_taken() {
    for options in [["--starttls"], ["--tls"]] {
        let security = options[0].trim_start_matches('-');
        let security = format!("security = '{security}'\n");
        let server = MailServer::start(&options);
        let untrusted = later(send(&settings(server.port, &security)).await);
        assert!(untrusted.contains("UnknownIssuer"), "{untrusted}");
        send(&safely(&server, &security)).await.unwrap();
        assert_eq!(server.seen("mail").len(), 1);

        let other = MailServer::called("other.example", &options);
        let text = later(send(&safely(&other, &security)).await);
        assert!(text.contains("not valid for name"), "{text}");
        assert!(other.seen("mail").is_empty() && !other.bytes(false).contains("MAIL"));
    }
    let server = MailServer::start(&["--starttls"]);
    let text = later(send(&settings(server.port, "ca_file = '/nowhere/ca.pem'")).await);
    assert!(text.contains("/nowhere/ca.pem"), "{text}");
}

#[tokio::test]
async fn a_login_goes_over_tls_and_a_wrong_one_is_for_later() {
    for options in [["--starttls"], ["--tls"]] {
        let server = MailServer::start(&[&options[..], &LOGIN[..]].concat());
        let security = format!("security = '{}'\n", options[0].trim_start_matches('-'));
        let right = safely(&server, &format!("{security}user = 'regain'\npassword = 'grüner-Hering=7'"));
        send(&right).await.unwrap();
        assert_eq!(server.seen("mail")[0]["login"], true);
        let wrong = safely(&server, &format!("{security}user = 'regain'\npassword = 'Hering'"));
        let text = later(send(&wrong).await);
        assert!(text.contains("user and password: 535"), "{text}");
        let without = safely(&server, &security);
        let text = later(send(&without).await);
        assert!(text.contains("530"), "{text}");
        assert!(!server.bytes(false).contains("AUTH") && server.seen("mail").len() == 1);
    }
}

#[tokio::test]
async fn an_address_in_another_script_needs_a_server_that_knows_it() {
    let to = EmailAddress::parse("jürgen@münchen.example").unwrap();
    let message = Message::Mail(Mail { to, ..mail() });
    let server = MailServer::start(&[]);
    let text = never(notifier().send(&openly(&server), &message).await);
    assert!(text.contains("SMTPUTF8") && !text.contains("jürgen"), "{text}");
    let server = MailServer::start(&["--smtputf8"]);
    notifier().send(&openly(&server), &message).await.unwrap();
    assert_eq!(server.seen("mail")[0]["recipients"], serde_json::json!(["jürgen@xn--mnchen-3ya.example"]));
}

/// The man in the middle answers STARTTLS, and in the same breath says what the server would only say under TLS.
#[tokio::test]
async fn nothing_said_before_tls_is_taken_for_something_said_under_it() {
    let server = MailServer::start(&["--starttls"]);
    let real = server.port;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let upstream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, real)).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), upstream.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                loop {
                    let length = from_server.read(&mut buffer).await.unwrap_or(0);
                    if length == 0 {
                        return;
                    }
                    let mut bytes = buffer[..length].to_vec();
                    if bytes.starts_with(b"220 ") && bytes.windows(3).any(|word| word == b"TLS") {
                        bytes.extend_from_slice(b"250-evil.example\r\n250 AUTH PLAIN\r\n");
                    }
                    to_client.write_all(&bytes).await.unwrap();
                }
            });
        }
    });
    let attacked = settings(port, &format!("ca_file = '{}'", server.ca().display()));
    later(send(&attacked).await);
    assert!(server.seen("mail").is_empty() && server.bytes(true).is_empty(), "{}", server.bytes(true));
    send(&safely(&server, "")).await.unwrap();
}

/// The program is confined by then to its own folders, and this is one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_puts_mails_into_the_folder_that_its_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "[settings.mail]\ndelivery = 'folder'\nfolder = '{}'\nsender = 'no-reply@corp.example'\n{QUICK}",
        folder.path().display()
    );
    let server = Server::with(&[Domain::shared()], &more).await;
    assert!(server.log().contains("confined to what it needs"), "{}", server.log());
    let user = Domain::shared().someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let began = Instant::now();
    let mail = loop {
        let mut files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        if let Some(mail) = files.find(|path| path.extension().is_some_and(|it| it == "eml")) {
            break fs::read_to_string(mail).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(mail.contains(&user.name), "{mail}");
}
