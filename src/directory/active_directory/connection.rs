//! One connection to one controller: dialling under TLS, and ldap3's operations with a deadline and with the one
//! distinction that matters afterwards, whether the request can have reached the controller.
//!
//! It must not know accounts or policies.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchEntry, SearchOptions,
    StdStream,
    controls::{ControlType, RawControl},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{Transport, controllers::Controller, entry::Entry, resolve::Resolver, tls::Anchors};
use crate::domain::secret::Password;

/// LDAP_SERVER_SHOW_DELETED… family is not wanted; this one asks for owner, group and access list of an object
/// (MS-ADTS 3.1.1.3.4.1.11) and without it a plain account is shown no security descriptor at all.
const SECURITY_DESCRIPTOR_FLAGS: &str = "1.2.840.113556.1.4.801";
/// SEQUENCE { INTEGER 7 }.
const OWNER_GROUP_AND_ACCESS_LIST: [u8; 5] = [0x30, 3, 2, 1, 7];

/// Why an operation has no answer.
#[derive(Debug)]
pub enum Fault {
    /// The request never left: doing it elsewhere is safe.
    NotSent(String),
    /// It may have been carried out.
    NoAnswer(String),
    /// The same, and the controller is silent.
    Silent(String),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum DialFault {
    /// The name has no address.
    Unresolved(String),
    /// Nobody answers at the address.
    Unreachable(String),
    /// Something answers, but neither TLS nor a refusal of it.
    Silent(String),
    /// The certificate is not to be trusted.
    Certificate(rustls::CertificateError),
    /// TLS failed in another way, or StartTLS is not offered.
    Tls(String),
}

impl std::fmt::Display for DialFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unresolved(why) => write!(f, "the name can't be resolved: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Silent(where_) => write!(f, "no answer in time: {where_}"),
            Self::Certificate(why) => write!(f, "the certificate is not trusted: {why}"),
            Self::Tls(why) => write!(f, "no TLS: {why}"),
        }
    }
}

/// How connections are made.
pub struct Dialer {
    /// Names to addresses.
    pub resolver: Resolver,
    /// What certificates are trusted.
    pub anchors: Anchors,
    /// LDAPS or StartTLS.
    pub transport: Transport,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For one operation.
    pub operation_timeout: Duration,
}

impl Dialer {
    /// A connection under TLS, nobody bound yet.
    pub async fn dial(&self, controller: &Arc<Controller>) -> Result<Connection, DialFault> {
        // The brackets of an IPv6 address in a URL would be taken for a part of the name.
        if matches!(&controller.name, ServerName::IpAddress(address) if IpAddr::from(*address).is_ipv6()) {
            let (config, _) =
                self.anchors.for_name(&controller.name).map_err(|error| DialFault::Tls(error.to_string()))?;
            return self.dial_with(controller, config, "address.invalid").await;
        }
        self.dial_with(controller, self.anchors.standard(), &controller.name.to_str()).await
    }

    /// The same with another TLS configuration; `host_in_url` is what ldap3 takes for the name.
    pub async fn dial_with(
        &self,
        controller: &Arc<Controller>,
        config: Arc<ClientConfig>,
        host_in_url: &str,
    ) -> Result<Connection, DialFault> {
        let deadline = Instant::now() + self.connect_timeout;
        let failures = controller.failures_ever();
        let addresses = timeout_at(deadline, self.resolver.addresses(&controller.name))
            .await
            .map_err(|_| DialFault::Unresolved("the name servers do not answer".to_owned()))?
            .map_err(DialFault::Unresolved)?;
        let stream = self.connect(controller.port, &addresses).await?;
        let socket = stream.try_clone().map_err(|error| DialFault::Unreachable(error.to_string()))?;
        let settings = LdapConnSettings::new()
            .set_config(config)
            .set_starttls(self.transport == Transport::StartTls)
            .set_std_stream(StdStream::Tcp(stream));
        let url = format!("{}://{host_in_url}:{}", self.transport.scheme(), controller.port);
        let handshake = guarded(LdapConnAsync::with_settings(settings, &url));
        let (connection, ldap) = match timeout_at(deadline, handshake).await {
            Ok(Ok(pair)) => pair,
            Ok(Err(Broken::Error(error))) => return Err(tls_fault(&error)),
            Ok(Err(Broken::Nonsense)) => return Err(DialFault::Tls("the answer is not LDAP".to_owned())),
            Err(_) => return Err(DialFault::Silent("during the TLS handshake".to_owned())),
        };
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to a domain controller ended");
            }
        });
        Ok(Connection {
            ldap,
            driver,
            socket,
            controller: Arc::clone(controller),
            failures_at_opening: failures,
            opened: Instant::now(),
            last_used: Instant::now(),
            timeout: self.operation_timeout,
        })
    }

    /// TCP to the first address that takes it. Each has its share of the time.
    async fn connect(&self, port: u16, addresses: &[IpAddr]) -> Result<std::net::TcpStream, DialFault> {
        let share = self.connect_timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut reasons = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(*address, port);
            let connected = match timeout(share, TcpStream::connect(address)).await {
                Ok(connected) => connected,
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            };
            // Without NODELAY each request waits for the other side's delayed acknowledgement, some 40 ms.
            match connected.and_then(|stream| stream.set_nodelay(true).and_then(|()| stream.into_std())) {
                Ok(stream) => return Ok(stream),
                Err(error) => reasons.push(format!("{address}: {error}")),
            }
        }
        Err(DialFault::Unreachable(reasons.join(", ")))
    }
}

fn tls_fault(error: &LdapError) -> DialFault {
    if let LdapError::Io { source } = error
        && let Some(inner) = source.get_ref()
        && let Some(rustls::Error::InvalidCertificate(fault)) = inner.downcast_ref()
    {
        return DialFault::Certificate(fault.clone());
    }
    DialFault::Tls(error.to_string())
}

/// What to look for, and where.
pub struct Search<'a> {
    /// The DN to start at; `<GUID=…>` works as well.
    pub base: &'a str,
    /// How deep.
    pub scope: Scope,
    /// The filter, already escaped.
    pub filter: &'a str,
    /// The attributes wanted.
    pub attributes: &'a [&'a str],
    /// The most entries wanted; 0 is no limit.
    pub limit: i32,
    /// Whether security descriptors are to be shown.
    pub with_security: bool,
}

impl<'a> Search<'a> {
    /// A single object.
    pub const fn of_object(base: &'a str, attributes: &'a [&'a str]) -> Self {
        Self {
            base,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes,
            limit: 0,
            with_security: false,
        }
    }
}

/// The end of an operation as the controller tells it.
pub struct Outcome {
    /// The LDAP result code.
    pub code: u32,
    /// The diagnostic text.
    pub text: String,
    /// What was found.
    pub entries: Vec<Entry>,
}

impl From<LdapResult> for Outcome {
    fn from(result: LdapResult) -> Self {
        Self { code: result.rc, text: result.text, entries: Vec::new() }
    }
}

/// A connection under TLS. Dropping it closes it.
pub struct Connection {
    ldap: Ldap,
    driver: JoinHandle<()>,
    /// A second handle on the socket, only to look at.
    socket: std::net::TcpStream,
    /// Whom it leads to.
    pub controller: Arc<Controller>,
    failures_at_opening: u64,
    opened: Instant,
    last_used: Instant,
    timeout: Duration,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Whether there is no sign against it: still open, nothing said unasked (as a controller does before it hangs
    /// up), and the controller has not failed since. The socket itself is asked, because the driver may not have
    /// come round to noticing.
    pub fn is_sound(&mut self) -> bool {
        let is_quiet =
            || self.socket.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        !self.ldap.is_closed() && self.controller.failures_ever() == self.failures_at_opening && is_quiet()
    }

    /// How long it has existed.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How long nothing has been heard on it.
    pub fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Asks whether the controller is there, without waiting long.
    pub async fn probe(&mut self, patience: Duration) -> bool {
        let timeout = std::mem::replace(&mut self.timeout, patience);
        let answered = self.search(&Search::of_object("", &["1.1"])).await.is_ok();
        self.timeout = timeout;
        answered
    }

    /// A simple bind. The password is not empty by its type, so this is never an unauthenticated bind
    /// (RFC 4513 5.1.2).
    pub async fn bind(&mut self, name: &str, password: &Password) -> Result<Outcome, Fault> {
        let answer = answer(self.timeout, self.ldap.simple_bind(name, password.reveal())).await;
        self.heard(answer.map(Outcome::from))
    }

    /// A search. Referrals are left alone.
    pub async fn search(&mut self, search: &Search<'_>) -> Result<Outcome, Fault> {
        self.ldap.with_search_options(SearchOptions::new().sizelimit(search.limit));
        if search.with_security {
            self.ldap.with_controls(RawControl {
                ctype: SECURITY_DESCRIPTOR_FLAGS.to_owned(),
                crit: true,
                val: Some(OWNER_GROUP_AND_ACCESS_LIST.to_vec()),
            });
        }
        let found = async {
            let found = self
                .ldap
                .search(search.base, search.scope, search.filter, search.attributes.to_vec())
                .await?;
            let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
            let entries = entries.map(|entry| Entry::from(SearchEntry::construct(entry))).collect();
            Ok(Outcome { entries, ..Outcome::from(found.1) })
        };
        let answer = answer(self.timeout, found).await;
        self.heard(answer)
    }

    /// One page of a search, and what to send for the next.
    pub async fn search_page(
        &mut self,
        search: &Search<'_>,
        size: i32,
        cookie: Vec<u8>,
    ) -> Result<(Outcome, Vec<u8>), Fault> {
        self.ldap.with_controls(ldap3::controls::PagedResults { size, cookie });
        let found = async {
            let found = self
                .ldap
                .search(search.base, search.scope, search.filter, search.attributes.to_vec())
                .await?;
            let cookie = found.1.ctrls.iter().find_map(|control| match control {
                ldap3::controls::Control(Some(ControlType::PagedResults), raw) => {
                    Some(raw.parse::<ldap3::controls::PagedResults>().cookie)
                }
                _ => None,
            });
            let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
            let entries = entries.map(|entry| Entry::from(SearchEntry::construct(entry))).collect();
            Ok((Outcome { entries, ..Outcome::from(found.1) }, cookie.unwrap_or_default()))
        };
        let answer = answer(self.timeout, found).await;
        self.heard(answer)
    }

    /// A modify. `control` is an extension the controller must honour or refuse.
    pub async fn modify(
        &mut self,
        object: &str,
        changes: Vec<Mod<Vec<u8>>>,
        control: Option<RawControl>,
    ) -> Result<Outcome, Fault> {
        if let Some(control) = control {
            self.ldap.with_controls(control);
        }
        let answer = answer(self.timeout, self.ldap.modify(object, changes)).await;
        self.heard(answer.map(Outcome::from))
    }

    fn heard<T>(&mut self, answer: Result<T, Fault>) -> Result<T, Fault> {
        match &answer {
            Ok(_) => {
                self.last_used = Instant::now();
                self.controller.has_answered();
            }
            Err(Fault::Silent(_)) => self.controller.has_failed(Instant::now()),
            Err(_) => {}
        }
        answer
    }
}

/// Why an ldap3 call has no result.
enum Broken {
    Error(LdapError),
    /// ldap3 panics on an answer that isn't LDAP.
    Nonsense,
}

async fn guarded<T>(call: impl Future<Output = Result<T, LdapError>>) -> Result<T, Broken> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result.map_err(Broken::Error),
        Err(_) => Err(Broken::Nonsense),
    }
}

/// Waits for an operation, but not for ever.
async fn answer<T>(patience: Duration, call: impl Future<Output = Result<T, LdapError>>) -> Result<T, Fault> {
    match timeout(patience, guarded(call)).await {
        Ok(Ok(answer)) => Ok(answer),
        // The driver had ended before it could take the request.
        Ok(Err(Broken::Error(error @ LdapError::OpSend { .. }))) => Err(Fault::NotSent(error.to_string())),
        Ok(Err(Broken::Error(error))) => Err(Fault::NoAnswer(error.to_string())),
        Ok(Err(Broken::Nonsense)) => Err(Fault::NoAnswer("the answer is not LDAP".to_owned())),
        Err(_) => Err(Fault::Silent(format!("no answer in {} s", patience.as_secs_f32()))),
    }
}
