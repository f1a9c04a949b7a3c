//! The way to a mail server: connections that are made, kept and given up.
//!
//! lettre's own pool is not used: it would keep a connection on which a time limit struck in the middle of a mail, and
//! then take the answers to one mail for those to the next.

use std::{
    error::Error as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};
use tokio::time::{Instant, timeout};

use super::careful::Careful;
use crate::{
    notify::{Fault, network},
    settings::{MailSecurity, MailSettings},
};

/// So long an unused connection is kept; servers wait for minutes (RFC 5321 4.5.3.2.7), some are less patient.
const KEPT_FOR: Duration = Duration::from_secs(20);
/// So many unused connections are kept.
const KEPT: usize = 4;
/// So long a kept connection may take to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// A mail server and how it is reached.
pub struct Relay {
    settings: MailSettings,
    host: String,
    hello: ClientId,
    tls: Option<TlsParameters>,
    /// Nothing is under way on these.
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
    /// Connecting failed: the CA file may be another one next time.
    has_failed: AtomicBool,
}

impl Relay {
    /// Makes everything ready but connections. Blocks on the disk.
    pub fn open(settings: MailSettings) -> Result<Self, String> {
        let host = settings.host.as_deref().ok_or("no mail server is set")?;
        let host = network::bare(host).to_owned();
        let tls = match settings.security {
            MailSecurity::None => None,
            MailSecurity::StartTls | MailSecurity::Tls => {
                let mut builder = TlsParameters::builder(host.clone());
                if let Some(file) = &settings.ca_file {
                    builder = builder.certificate_store(CertificateStore::None);
                    for authority in network::authorities(file)? {
                        let authority = Certificate::from_der(authority.to_vec());
                        builder = builder.add_root_certificate(authority.map_err(|error| root_of(&error))?);
                    }
                }
                Some(builder.build_rustls().map_err(|error| root_of(&error))?)
            }
        };
        let hello = ClientId::default();
        Ok(Self { settings, host, hello, tls, idle: Mutex::default(), has_failed: AtomicBool::new(false) })
    }

    /// Whether it is good for these settings.
    pub fn serves(&self, settings: &MailSettings) -> bool {
        !self.has_failed.load(Ordering::Relaxed) && self.settings.is_same_as(settings)
    }

    /// Hands a mail over. A connection goes back to the idle ones only after the last word of the server.
    pub async fn deliver(&self, envelope: &Envelope, letter: &[u8]) -> Result<(), Fault> {
        let limit = Duration::from_secs(self.settings.timeout_seconds.into());
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => match timeout(limit, self.connect(limit)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(text)) => {
                    self.has_failed.store(true, Ordering::Relaxed);
                    return Err(Fault::Later(text));
                }
                Err(_) => return Err(Fault::Later("the mail server did not let us in in time".into())),
            },
        };
        match timeout(limit, connection.send(envelope, letter)).await {
            Ok(Ok(_)) => {
                self.keep(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Fault::Later("the mail server did not take the mail in time".into())),
        }
    }

    /// Connects and logs in, and sends nothing.
    pub async fn examine(&self) -> Result<String, String> {
        let limit = Duration::from_secs(self.settings.timeout_seconds.into());
        match timeout(limit, self.connect(limit)).await {
            Ok(Ok(mut connection)) => {
                connection.abort().await;
                let how = match self.settings.security {
                    MailSecurity::StartTls => "with STARTTLS",
                    MailSecurity::Tls => "over TLS",
                    MailSecurity::None => "in clear text",
                };
                let login = if self.settings.user.is_some() { ", logged in" } else { "" };
                Ok(format!("{}:{} {how}{login}", self.host, self.settings.port()))
            }
            Ok(Err(text)) => Err(text),
            Err(_) => Err("the mail server did not let us in in time".into()),
        }
    }

    /// A connection, logged in.
    async fn connect(&self, limit: Duration) -> Result<AsyncSmtpConnection, String> {
        let reached = |error: Error| format!("the mail server can't be reached: {}", said(&error));
        let (host, port) = (self.host.as_str(), self.settings.port());
        let (under_tls, starttls) = match self.settings.security {
            MailSecurity::Tls => (self.tls.clone(), None),
            _ => (None, self.tls.clone()),
        };
        let mut connection = if let Some(tls) = under_tls {
            let share = Some(limit / 2);
            AsyncSmtpConnection::connect_tokio1((host, port), share, &self.hello, Some(tls), None)
                .await
                .map_err(reached)?
        } else {
            let stream = network::connect(host, port, limit)
                .await
                .map_err(|error| format!("the mail server can't be reached: {error}"))?;
            let stream = Box::new(Careful::new(stream));
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(reached)?
        };
        if let Some(tls) = starttls {
            connection
                .starttls(tls, &self.hello)
                .await
                .map_err(|error| format!("the mail server has no STARTTLS: {}", said(&error)))?;
        }
        if let (Some(user), Some(password)) = (&self.settings.user, &self.settings.password) {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| {
                format!("the mail server didn't take user and password: {}", said(&error))
            })?;
        }
        Ok(connection)
    }

    /// A connection from before that still lives.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let is_alive = since.elapsed() < KEPT_FOR
                && timeout(SIGN_OF_LIFE, connection.test_connected()).await.unwrap_or(false);
            if is_alive {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < KEPT_FOR);
        if idle.len() < KEPT {
            idle.push((Instant::now(), connection));
        }
    }
}

/// What became of a mail that was offered on a good connection.
fn refusal(error: &Error) -> Fault {
    let text = format!("the mail server didn't take the mail: {}", said(error));
    // A server that suddenly wants a login (RFC 4954 6) says nothing about this mail.
    let wants_login = error.status().is_some_and(|code| [530, 534, 535, 538].contains(&u16::from(code)));
    // Of lettre's own faults only one comes up here: the server can't do SMTPUTF8, and the address needs it.
    if error.is_permanent() && !wants_login || error.is_client() {
        return Fault::Never(text);
    }
    Fault::Later(text)
}

/// An error without the server's words, which may have the recipient's address in them.
fn said(error: &Error) -> String {
    if let Some(code) = error.status() {
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        let detail = words.split_whitespace().next().filter(|word| is_detail(word)).unwrap_or_default();
        return format!("{code} {detail}").trim_end().to_owned();
    }
    if error.is_response() {
        return "it hung up, or its answer makes no sense".into();
    }
    root_of(error)
}

/// Whether that is an enhanced status code, such as 5.1.1 (RFC 3463).
fn is_detail(word: &str) -> bool {
    let mut parts = word.split('.');
    word.len() <= 9
        && parts.by_ref().take(3).all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        && word.matches('.').count() == 2
}

/// The innermost cause.
fn root_of(error: &Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_detail() {
        assert!(is_detail("5.1.1") && is_detail("4.12.345"));
        for word in ["", "5.1", "5.1.1.", "5.1.1.1", "5..1", "a.b.c", "<mary@corp.example>", "1234567.1.1"] {
            assert!(!is_detail(word), "{word}");
        }
    }

    #[tokio::test]
    async fn a_relay_serves_its_own_settings_only() {
        let settings = MailSettings { host: Some("mx".into()), ..MailSettings::default() };
        let relay = Relay::open(settings.clone()).unwrap();
        assert!(relay.serves(&settings));
        let port = MailSettings { port: Some(26), ..settings.clone() };
        let password: MailSettings = toml::from_str("host = 'mx'\npassword = 'other'").unwrap();
        assert!(!relay.serves(&port) && !relay.serves(&password));
        relay.has_failed.store(true, Ordering::Relaxed);
        assert!(!relay.serves(&settings));
    }
}
