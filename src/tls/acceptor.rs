//! The door: binds, accepts, counts, and does the TLS handshake.
//!
//! Knows connections, not what is said over them. Each connection holds a [`Seat`]; the seat tells how long
//! its client has kept us waiting, and that decides who must go when the room is full.

mod seats;
mod socket;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use seats::Seats;
pub use seats::{Open, Phase, Seat, Wait, Work};
use socket::Socket;
pub use socket::{BindError, Door, Wire};

use super::proxy_protocol::{self, Said};
use crate::domain::network::Network;

/// HTTP/2's name in ALPN (RFC 9113 section 3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// Pause after an accept error that would only come again at once (no descriptors, no memory).
const PAUSE: Duration = Duration::from_millis(100);

/// What one client may cost. The numbers follow OWASP ASVS 5.0 V15.2.2 in spirit; none of them should
/// ever be felt by a person with a browser.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections overall: 2048, and never more than half the descriptors the process may have.
    /// When they are all taken, the one that has kept us waiting longest is closed for the next.
    pub connections: usize,
    /// Open connections of one address (an IPv6 /64 counts as one): 64, since whole offices sit behind one
    /// NAT address. A trusted proxy's are not limited: they are counted for those it comes for, as far as it tells.
    pub per_address: usize,
    /// From accepting to the end of the TLS handshake: 5 s.
    pub handshake: Duration,
    /// From there to the end of the first request's header: 5 s.
    pub header: Duration,
    /// From a request's header to the end of its body: 10 s.
    pub body: Duration,
    /// From the end of an answer to the end of the next request's header: 15 s.
    pub idle: Duration,
    /// From a request's header to its answer, and the longest standstill while an answer is sent: 45 s.
    pub request: Duration,
    /// From accepting to the last request on a connection: 10 min.
    pub age: Duration,
    /// From the signal to stop until requests still running are dropped: 8 s, as Docker kills after 10 s.
    pub stop: Duration,
    /// Requests at a time on an HTTP/2 connection: 32.
    pub streams: u32,
    /// A request's header: 16 KiB.
    pub header_bytes: u32,
    /// A request's address: 2 KiB.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            per_address: 64,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(15),
            request: Duration::from_secs(45),
            age: Duration::from_secs(600),
            stop: Duration::from_secs(8),
            streams: 32,
            header_bytes: 16 * 1024,
            uri_bytes: 2 * 1024,
        }
    }
}

/// Who comes to a listener.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// The proxies: what they say of those they come for is believed.
    pub trusted: Vec<Network>,
    /// Whether nobody else may come.
    pub only: bool,
}

impl Neighbours {
    /// Whether it is a proxy. Who may open a socket in the file system was trusted with it.
    fn trusts(&self, remote: Option<SocketAddr>) -> bool {
        remote.is_none_or(|remote| self.trusted.iter().any(|network| network.contains(remote.ip())))
    }
}

/// Sockets that are listened on, with or without TLS, under one set of limits.
pub struct Listener {
    sockets: Vec<Socket>,
    /// The socket to ask first, so that a busy one doesn't starve the others.
    first: usize,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    neighbours: Arc<Neighbours>,
    seats: Arc<Seats>,
    failing: bool,
    /// It was said that somebody is refused who is no proxy.
    refusing: bool,
}

/// What a socket accepted.
struct Accepted {
    wire: Wire,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    proxy_protocol: bool,
}

impl Listener {
    /// As [`Self::open`], on addresses that trust nobody.
    pub fn bind(
        addresses: &[SocketAddr],
        tls: Option<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let doors: Vec<Door> = addresses.iter().copied().map(Door::from).collect();
        Self::open(&doors, tls, limits, Neighbours::default())
    }

    /// Binds all doors or none; port 0 takes a free one. Raises the process's soft limit of descriptors
    /// if `limits.connections` needs it. Must be called within a Tokio runtime.
    pub fn open(
        doors: &[Door],
        tls: Option<Arc<ServerConfig>>,
        mut limits: Limits,
        neighbours: Neighbours,
    ) -> Result<Self, BindError> {
        let sockets = doors.iter().map(|door| socket::open(door, doors)).collect::<Result<_, _>>()?;
        limits.connections = affordable(limits.connections);
        let seats = Seats::new(limits.connections, limits.per_address);
        Ok(Self {
            sockets,
            first: 0,
            tls: tls.map(TlsAcceptor::from),
            limits,
            neighbours: Arc::new(neighbours),
            seats,
            failing: false,
            refusing: false,
        })
    }

    /// Where it listens, with the ports the system chose; sockets in the file system are not among them.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(Socket::address).collect()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The next connection for which there is a seat. Errors are logged and waited out, never returned: a
    /// caller could only try again, and at "too many open files" that would be a busy loop.
    pub async fn accept(&mut self) -> Arrival {
        loop {
            match std::future::poll_fn(|cx| self.poll_sockets(cx)).await {
                Ok(accepted) => {
                    self.failing = false;
                    if let Some(arrival) = self.admit(accepted).await {
                        return arrival;
                    }
                }
                Err(error) if hit_one_client(&error) => {}
                Err(error) => {
                    if !self.failing {
                        tracing::error!(%error, "can't accept connections; trying on");
                        self.failing = true;
                    }
                    self.seats.dismiss(|_| true);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn admit(&mut self, accepted: Accepted) -> Option<Arrival> {
        let Accepted { wire, local, remote, proxy_protocol } = accepted;
        let is_of_proxy = self.neighbours.trusts(remote);
        if !is_of_proxy && (proxy_protocol || self.neighbours.only) {
            if !self.refusing {
                self.refusing = true;
                tracing::warn!(
                    remote = remote.map(tracing::field::display),
                    local = local.map(tracing::field::display),
                    "refused: it is not in proxies.trusted, and only proxies are served there; others are refused silently"
                );
            }
            return None;
        }
        let counted = remote.filter(|_| !is_of_proxy).map(|remote| remote.ip());
        let Some(seat) = self.seats.take(counted).await else {
            tracing::debug!(
                remote = remote.map(tracing::field::display),
                "refused: too many connections of this address"
            );
            return None;
        };
        if let Either::Left(tcp) = &wire {
            // Without it small answers wait for the client's acknowledgement.
            let _ = tcp.set_nodelay(true);
        }
        Some(Arrival {
            wire,
            tls: self.tls.clone(),
            handshake: self.limits.handshake,
            local,
            remote,
            proxy_protocol,
            neighbours: Arc::clone(&self.neighbours),
            seat,
        })
    }

    fn poll_sockets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        for step in 0..self.sockets.len() {
            let at = (self.first + step) % self.sockets.len();
            if let Poll::Ready(accepted) = self.sockets[at].poll_accept(cx) {
                self.first = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// The client went away before it was accepted: no fault of ours, and nothing to wait for.
fn hit_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// As many of the wanted connections as half the descriptors allow; the other half is for the store, the
/// directory and mail.
fn affordable(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(2);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut room = current.unwrap_or(u64::MAX);
    if room < needed {
        let raised = needed.min(maximum.unwrap_or(u64::MAX));
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
            room = raised;
        }
    }
    let affordable = wanted.min(usize::try_from(room / 2).unwrap_or(usize::MAX)).max(1);
    if affordable < wanted {
        tracing::warn!(
            wanted,
            affordable,
            "fewer connections than configured: raise the limit of open files (LimitNOFILE)"
        );
    }
    affordable
}

/// A connection that was accepted and has a seat, before its handshake.
pub struct Arrival {
    wire: Wire,
    tls: Option<TlsAcceptor>,
    handshake: Duration,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    proxy_protocol: bool,
    neighbours: Arc<Neighbours>,
    seat: Arc<Seat>,
}

impl Arrival {
    /// The connection's seat.
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Reads the header of the PROXY protocol, if one is due, and does the TLS handshake, if there is TLS: both
    /// within one deadline.
    pub async fn handshake(self) -> io::Result<Connection> {
        timeout(self.handshake, self.greet()).await?
    }

    async fn greet(self) -> io::Result<Connection> {
        let Self { mut wire, tls, local, mut remote, proxy_protocol, neighbours, seat, .. } = self;
        let mut is_of_proxy = neighbours.trusts(remote);
        if proxy_protocol {
            match proxy_protocol::read(&mut wire).await? {
                Said::Visitor(visitor) => {
                    if !seat.belongs_to(visitor.ip()) {
                        return Err(io::Error::other("too many connections of this address"));
                    }
                    remote = Some(visitor);
                    is_of_proxy = neighbours.trusts(remote);
                }
                // Somebody may still be behind it, so that what is said in it is not the proxy's word.
                Said::Nobody => (remote, is_of_proxy) = (None, false),
            }
        }
        let (stream, http2, secure) = match tls {
            None => (Either::Left(wire), false, false),
            Some(tls) => {
                let mut stream = tls.accept(wire).await?;
                if stream.get_ref().1.alpn_protocol() == Some(super::acme::ALPN) {
                    // An authority has seen what it wanted to see (RFC 8737 section 3): nothing follows.
                    stream.shutdown().await?;
                    return Err(io::Error::other("it was to look at a challenge only"));
                }
                let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                (Either::Right(Box::new(stream)), http2, true)
            }
        };
        seat.touch();
        Ok(Connection { stream, http2, secure, local, remote, is_of_proxy, seat })
    }
}

/// A connection on which requests may come.
pub struct Connection {
    /// The bytes, in clear.
    pub stream: Either<Wire, Box<TlsStream<Wire>>>,
    /// The client chose HTTP/2 by ALPN; otherwise it is HTTP/1.1.
    pub http2: bool,
    /// It came over TLS.
    pub secure: bool,
    /// Our end; `None` for a socket in the file system.
    pub local: Option<SocketAddr>,
    /// The other end, as the PROXY protocol has it where it is spoken; an IPv4 client has an IPv4 address here on any
    /// socket. `None` if it is not known.
    pub remote: Option<SocketAddr>,
    /// The other end is a trusted proxy, which says in its requests for whom it comes.
    pub is_of_proxy: bool,
    /// The connection's seat.
    pub seat: Arc<Seat>,
}

#[cfg(test)]
mod tests;
