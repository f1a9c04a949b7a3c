//! Syslog: RFC 5424 over UDP (RFC 5426), TCP with counted octets (RFC 6587 3.4.1), or TLS (RFC 5425).
//!
//! None of them confirms anything: what was on its way when a connection broke is not known to have arrived, so the last
//! lot that was written to it is sent again. One that was closed in good order had read all.

use std::{fmt::Write as _, io::ErrorKind, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UdpSocket,
    time::timeout,
};

use super::LIMIT;
use crate::{
    domain::{
        audit::{EventColumn, Numbered, Outcome},
        filter::{Cell, Column as _, Row as _},
    },
    notify::network,
    settings::{Audit, SyslogTransport},
};

/// The element of structured data that an event is in. Its number is the one for examples (RFC 5612): Regain has none of
/// its own.
const ELEMENT: &str = "regain@32473";
/// The longest value of a parameter, in bytes: with it a message stays below the 2,048 bytes that every receiver is to
/// take (RFC 5424 6.1).
const LONGEST: usize = 160;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection to a server that is held open, and for which settings it was made.
pub struct Connection {
    made_for: MadeFor,
    /// None after it broke.
    stream: Option<Box<dyn Stream>>,
    /// What was written to it last.
    last: Vec<u8>,
}

type MadeFor = (Option<String>, SyslogTransport, Option<PathBuf>);

/// Sends events, each as a message.
pub async fn send(
    settings: &Audit,
    host: &str,
    events: &[Numbered],
    connection: &mut Option<Connection>,
) -> Result<(), String> {
    let messages = events.iter().map(|event| message(settings.syslog_facility, host, event));
    let limit = Duration::from_secs(LIMIT);
    if settings.syslog_transport == SyslogTransport::Udp {
        let (name, port) = server(settings)?;
        let address = *network::addresses(&name, port, limit).await?.first().ok_or("it has no address")?;
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).await.map_err(|error| error.to_string())?;
        socket.connect(address).await.map_err(|error| error.to_string())?;
        for message in messages {
            socket.send(message.as_bytes()).await.map_err(|error| error.to_string())?;
        }
        return Ok(());
    }
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend(format!("{} ", message.len()).into_bytes());
        bytes.extend(message.into_bytes());
    }
    let made_for =
        (settings.syslog_server.clone(), settings.syslog_transport, settings.syslog_ca_file.clone());
    let known = connection.take().filter(|known| known.made_for == made_for);
    let held = connection.insert(known.unwrap_or(Connection { made_for, stream: None, last: Vec::new() }));
    if let Some(open) = &mut held.stream {
        match end_of(open).await {
            None => {}
            Some(End::Closed) => (held.stream, held.last) = (None, Vec::new()),
            Some(End::Broken) => held.stream = None,
        }
    }
    let (mut stream, again) = match held.stream.take() {
        Some(open) => (open, &[][..]),
        None => {
            let opened = timeout(limit, open(settings, limit)).await.map_err(|_| "no answer in time")??;
            (opened, &held.last[..])
        }
    };
    let sent = async {
        stream.write_all(again).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout(limit, sent)
        .await
        .map_err(|_| "it takes nothing more")?
        .map_err(|error| format!("the connection broke: {error}"))?;
    if let Some(end) = end_of(&mut stream).await {
        if matches!(end, End::Closed) {
            held.last.clear();
        }
        return Err("it closed the connection".into());
    }
    (held.stream, held.last) = (Some(stream), bytes);
    Ok(())
}

/// Host and port of the server.
fn server(settings: &Audit) -> Result<(String, u16), String> {
    let server = settings.syslog_server.as_deref().ok_or("no syslog server is set")?;
    let usual = if settings.syslog_transport == SyslogTransport::Tls { 6514 } else { 514 };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| "its port is no number")?)
        }
        _ => (server, usual),
    };
    Ok((network::bare(host).to_owned(), port))
}

async fn open(settings: &Audit, limit: Duration) -> Result<Box<dyn Stream>, String> {
    let (host, port) = server(settings)?;
    let stream = network::connect(&host, port, limit).await?;
    if settings.syslog_transport != SyslogTransport::Tls {
        return Ok(Box::new(stream));
    }
    Ok(Box::new(network::secure(host, stream, settings.syslog_ca_file.clone()).await?))
}

/// Looks whether the server is there, as far as that can be seen without sending a message.
pub async fn examine(settings: &Audit) -> Result<String, String> {
    let limit = Duration::from_secs(LIMIT);
    let (name, port) = server(settings)?;
    if settings.syslog_transport == SyslogTransport::Udp {
        network::addresses(&name, port, limit).await?;
        return Ok(format!("by UDP to {name}:{port}; nothing tells whether it arrives there"));
    }
    timeout(limit, open(settings, limit)).await.map_err(|_| "no answer in time")??;
    let way = if settings.syslog_transport == SyslogTransport::Tls { "TLS" } else { "TCP" };
    Ok(format!("{name}:{port} takes connections by {way}"))
}

/// How a connection has ended.
enum End {
    /// The other side has closed it.
    Closed,
    /// It broke, perhaps before all was read.
    Broken,
}

/// How it has ended, if it has. The other side never says anything; what it does say is passed over.
async fn end_of(stream: &mut Box<dyn Stream>) -> Option<End> {
    let mut bytes = [0; 256];
    for _ in 0..64 {
        match timeout(Duration::from_millis(1), stream.read(&mut bytes)).await {
            Err(_) => return None,
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) => return Some(End::Closed),
            // TLS that ends without a word of farewell.
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => return Some(End::Closed),
            Ok(Err(_)) => return Some(End::Broken),
        }
    }
    // That is no syslog server.
    Some(End::Broken)
}

/// An event as a message.
fn message(facility: u32, host: &str, numbered: &Numbered) -> String {
    let event = &numbered.event;
    // Informational, notice, warning (RFC 5424 6.2.1).
    let severity = match event.outcome {
        Outcome::Success => 6,
        Outcome::Intent => 5,
        Outcome::Failure => 4,
    };
    let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let mut message =
        format!("<{}>1 {} {host} regain - {} ", facility * 8 + severity, event.at, event.action.as_str());
    let _ = write!(message, "[{ELEMENT} number=\"{}\"", numbered.number);
    for column in EventColumn::ALL.iter().filter(|column| **column != EventColumn::At) {
        if let Cell::Text(text) = numbered.cell(*column) {
            let _ = write!(message, " {}=\"{}\"", column.key(), parameter(&text));
        }
    }
    let who = match (event.domain.as_str(), event.user.as_str()) {
        (_, "") => String::new(),
        ("", user) => format!(" of {user}"),
        (domain, user) => format!(" of {domain}\\{user}"),
    };
    let text = format!("{}{who}: {}", event.action.as_str(), event.outcome.as_str());
    // The text is in UTF-8, which a byte order mark tells (RFC 5424 6.4).
    let _ = write!(message, "] \u{feff}{}", shortened(&text.replace(char::is_control, " ")));
    message
}

/// A value of structured data: three characters are escaped (RFC 5424 6.3.3).
fn parameter(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for sign in shortened(text).chars() {
        if "\"\\]".contains(sign) {
            value.push('\\');
        }
        value.push(if sign.is_control() { ' ' } else { sign });
    }
    value
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::domain::{
        audit::{Action, Event},
        clock::Timestamp,
    };

    fn event(user: &str, detail: &str) -> Numbered {
        let event = Event {
            at: Timestamp::from_millis(1_700_000_000_123),
            outcome: Outcome::Failure,
            source: "web".into(),
            user: user.into(),
            domain: "CORP".into(),
            action: Action::Reset,
            detail: detail.into(),
            source_ip: Some([192, 0, 2, 7].into()),
            source_user: None,
            account: None,
            reference: None,
        };
        Numbered { number: 42, event }
    }

    #[test]
    fn a_message_is_as_the_standard_has_it() {
        assert_eq!(
            message(13, "reset.corp.example", &event("alice", "answer_wrong")),
            "<108>1 2023-11-14T22:13:20.123Z reset.corp.example regain - reset [regain@32473 number=\"42\" \
             outcome=\"failure\" event=\"reset\" source=\"web\" user=\"alice\" domain=\"CORP\" detail=\"answer_wrong\" \
             source_ip=\"192.0.2.7\"] \u{feff}reset of CORP\\alice: failure"
        );
    }

    /// Sends one event; what a connection that is made for it then gets.
    async fn sends(settings: &Audit, user: &str, connection: &mut Option<Connection>) -> Result<(), String> {
        send(settings, "host", &[event(user, "")], connection).await
    }

    #[tokio::test]
    async fn what_a_server_had_not_read_when_it_died_is_sent_again() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Audit {
            syslog_server: Some(address.to_string()),
            syslog_transport: SyslogTransport::Tcp,
            ..Audit::default()
        };
        let mut connection = None;
        sends(&settings, "one", &mut connection).await.unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        let mut some = [0; 4096];
        assert!(first.read(&mut some).await.unwrap() > 0);
        sends(&settings, "two", &mut connection).await.unwrap();
        // It dies before it has read that, and can't be reached for a while.
        first.readable().await.unwrap();
        drop((first, listener));
        sends(&settings, "three", &mut connection).await.unwrap_err();
        let listener = TcpListener::bind(address).await.unwrap();
        sends(&settings, "three", &mut connection).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let length = second.read(&mut some).await.unwrap();
        let told = String::from_utf8_lossy(&some[..length]).into_owned();
        let users: Vec<_> =
            told.split(" user=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(users, ["two", "three"]);
        // In good order nothing is sent twice.
        drop((second, listener));
        let listener = TcpListener::bind(address).await.unwrap();
        sends(&settings, "four", &mut connection).await.unwrap();
        let (mut third, _) = listener.accept().await.unwrap();
        let length = third.read(&mut some).await.unwrap();
        let told = String::from_utf8_lossy(&some[..length]).into_owned();
        assert!(told.contains("four") && !told.contains("three"), "{told}");
    }

    #[test]
    fn nothing_that_was_typed_ends_a_value_or_a_message() {
        let told = message(13, "a b\n\"c", &event("x\" y=\"z]\n<13>1 \\", &"é".repeat(500)));
        assert!(told.contains("user=\"x\\\" y=\\\"z\\] <13>1 \\\\\""), "{told}");
        assert!(told.starts_with("<108>1 2023-11-14T22:13:20.123Z ab\"c regain"), "{told}");
        assert!(!told.contains('\n') && told.len() < 2048, "{} bytes", told.len());
    }
}
