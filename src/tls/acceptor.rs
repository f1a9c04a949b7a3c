//! The door: binds, accepts, counts, and does the TLS handshake.
//!
//! Knows connections, not what is said over them. Each connection holds a [`Seat`]; the seat tells how long
//! its client has kept us waiting, and that decides who must go when the room is full.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};

/// HTTP/2's name in ALPN (RFC 9113 section 3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// Connections the kernel may hold for us before they are accepted.
const BACKLOG: u32 = 1024;
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
    /// NAT address. Behind a reverse proxy all connections are the proxy's: set it to `connections` there.
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

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {source}{}", advice(source))]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there, find it with `ss -ltnp`",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit grants it) or a higher port"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// Sockets that are listened on, with or without TLS, under one set of limits.
pub struct Listener {
    sockets: Vec<(TcpListener, SocketAddr)>,
    /// The socket to ask first, so that a busy one doesn't starve the others.
    first: usize,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    seats: Arc<Seats>,
    failing: bool,
}

impl Listener {
    /// Binds all addresses or none; port 0 takes a free one. Raises the process's soft limit of descriptors
    /// if `limits.connections` needs it. Must be called within a Tokio runtime.
    pub fn bind(
        addresses: &[SocketAddr],
        tls: Option<Arc<ServerConfig>>,
        mut limits: Limits,
    ) -> Result<Self, BindError> {
        let sockets = addresses
            .iter()
            .map(|&address| {
                let socket = listen(address, addresses)?;
                let local = socket.local_addr()?;
                Ok((socket, local))
            })
            .zip(addresses)
            .map(|(socket, &address)| socket.map_err(|source| BindError { address, source }))
            .collect::<Result<_, _>>()?;
        limits.connections = affordable(limits.connections);
        let seats = Arc::new(Seats {
            connections: limits.connections,
            per_address: limits.per_address,
            epoch: Instant::now(),
            taken: Mutex::default(),
            freed: Notify::new(),
        });
        Ok(Self { sockets, first: 0, tls: tls.map(TlsAcceptor::from), limits, seats, failing: false })
    }

    /// Where it listens, with the ports the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, local)| *local).collect()
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
                Ok((tcp, local, remote)) => {
                    self.failing = false;
                    if let Some(seat) = self.seats.take(remote.ip()).await {
                        // Without it small answers wait for the client's acknowledgement.
                        let _ = tcp.set_nodelay(true);
                        let tls = self.tls.clone();
                        return Arrival { tcp, tls, handshake: self.limits.handshake, local, remote, seat };
                    }
                    tracing::debug!(%remote, "refused: too many connections of this address");
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

    fn poll_sockets(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr, SocketAddr)>> {
        for step in 0..self.sockets.len() {
            let at = (self.first + step) % self.sockets.len();
            let (socket, local) = &self.sockets[at];
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                self.first = at + 1;
                // On a socket for both families an IPv4 client comes as ::ffff:a.b.c.d.
                return Poll::Ready(accepted.map(|(tcp, remote)| {
                    (tcp, *local, SocketAddr::new(remote.ip().to_canonical(), remote.port()))
                }));
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

fn listen(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the connections of the run before.
    socket.set_reuseaddr(true)?;
    // [::] alone takes IPv4 too; beside 0.0.0.0 on the same port it would be "in use".
    let beside_ipv4 = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
    if address.is_ipv6() && all.iter().any(beside_ipv4) {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    handshake: Duration,
    local: SocketAddr,
    remote: SocketAddr,
    seat: Arc<Seat>,
}

impl Arrival {
    /// The connection's seat.
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Does the TLS handshake, within its deadline; without TLS there is nothing to do.
    pub async fn handshake(self) -> io::Result<Connection> {
        let Self { tcp, tls, handshake, local, remote, seat } = self;
        let (stream, http2, secure) = match tls {
            None => (Either::Left(tcp), false, false),
            Some(tls) => {
                let mut stream = timeout(handshake, tls.accept(tcp)).await??;
                if stream.get_ref().1.alpn_protocol() == Some(super::acme::ALPN) {
                    // An authority has seen what it wanted to see (RFC 8737 section 3): nothing follows.
                    timeout(handshake, stream.shutdown()).await??;
                    return Err(io::Error::other("it was to look at a challenge only"));
                }
                let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                (Either::Right(Box::new(stream)), http2, true)
            }
        };
        seat.touch();
        Ok(Connection { stream, http2, secure, local, remote, seat })
    }
}

/// A connection on which requests may come.
pub struct Connection {
    /// The bytes, in clear.
    pub stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    /// The client chose HTTP/2 by ALPN; otherwise it is HTTP/1.1.
    pub http2: bool,
    /// It came over TLS.
    pub secure: bool,
    /// Our end.
    pub local: SocketAddr,
    /// The other end; an IPv4 client has an IPv4 address here on any socket.
    pub remote: SocketAddr,
    /// The connection's seat.
    pub seat: Arc<Seat>,
}

/// All seats of a listener.
///
/// When none is free, the client that has kept us waiting longest - in its handshake, between two requests,
/// with its body, or in taking our answer - is dismissed for the newcomer. Waiting for somebody to leave
/// instead would let a few dozen addresses full of silent connections shut out everybody else for the length
/// of a deadline, again and again; dismissed like this they must be faster than every honest client, and
/// these reconnect without anybody noticing. Only while all are worked for does the door wait.
struct Seats {
    connections: usize,
    per_address: usize,
    /// `since` counts from here.
    epoch: Instant,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    last: u64,
    /// By number, hence by age.
    seats: BTreeMap<u64, Arc<State>>,
    addresses: HashMap<IpAddr, usize>,
}

struct State {
    number: u64,
    address: IpAddr,
    /// No request has come yet.
    fresh: AtomicBool,
    /// Requests whose answer isn't wholly sent.
    open: AtomicUsize,
    /// Handlers at work.
    working: AtomicUsize,
    /// Those of them that wait for the client's body.
    waiting: AtomicUsize,
    /// Milliseconds from the epoch to the last step forward.
    since: AtomicU64,
    dismissed: CancellationToken,
}

impl Seats {
    async fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Arc<Seat>> {
        let address = network(ip);
        loop {
            let freed = self.freed.notified();
            let full = {
                let mut taken = self.taken();
                let neighbours = taken.addresses.get(&address).copied().unwrap_or(0);
                if neighbours >= self.per_address {
                    // Behind one NAT address a newcomer is worth more than an idle neighbour.
                    if !taken.dismiss(|state| state.address == address) {
                        return None;
                    }
                } else if taken.seats.len() >= self.connections && !taken.dismiss(|_| true) {
                    // Nobody can be asked to leave.
                } else {
                    return Some(self.seat(&mut taken, address));
                }
                taken.seats.len() >= self.connections
            };
            if full {
                // A seat falls free, or one of those worked for begins to keep us waiting.
                let _ = timeout(PAUSE, freed).await;
            }
        }
    }

    fn seat(self: &Arc<Self>, taken: &mut Taken, address: IpAddr) -> Arc<Seat> {
        taken.last += 1;
        let state = Arc::new(State {
            number: taken.last,
            address,
            fresh: AtomicBool::new(true),
            open: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            dismissed: CancellationToken::new(),
        });
        taken.seats.insert(state.number, Arc::clone(&state));
        *taken.addresses.entry(address).or_default() += 1;
        let seat = Seat { state, seats: Arc::clone(self) };
        seat.touch();
        Arc::new(seat)
    }

    fn dismiss(&self, among: impl Fn(&State) -> bool) -> bool {
        self.taken().dismiss(among)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Sends away the client that has kept us waiting longest, if there is one.
    fn dismiss(&mut self, among: impl Fn(&State) -> bool) -> bool {
        let longest = self
            .seats
            .values()
            .filter(|state| state.working.load(Relaxed) <= state.waiting.load(Relaxed) && among(state))
            .min_by_key(|state| state.since.load(Relaxed))
            .map(Arc::clone);
        longest.is_some_and(|state| {
            state.dismissed.cancel();
            self.release(&state);
            true
        })
    }

    /// Done once for each seat: when it is dismissed or when it is dropped, whichever comes first.
    fn release(&mut self, state: &State) {
        if self.seats.remove(&state.number).is_none() {
            return;
        }
        if let Some(count) = self.addresses.get_mut(&state.address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&state.address);
            }
        }
    }
}

/// The part of an address that stands for one client: all of IPv4, the /64 of IPv6 (RFC 6177: a site gets at
/// least that much).
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// A connection's place, given back when dropped. Whoever serves the connection keeps the seat informed.
pub struct Seat {
    state: Arc<State>,
    seats: Arc<Seats>,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The first request.
    Fresh,
    /// Another request.
    Idle,
    /// The end of at least one request.
    Busy,
}

impl Seat {
    /// What the connection is waiting for, and since when.
    pub fn phase(&self) -> (Phase, Instant) {
        let phase = if self.state.open.load(Relaxed) > 0 {
            Phase::Busy
        } else if self.state.fresh.load(Relaxed) {
            Phase::Fresh
        } else {
            Phase::Idle
        };
        (phase, self.seats.epoch + Duration::from_millis(self.state.since.load(Relaxed)))
    }

    /// Something went forward.
    pub fn touch(&self) {
        let since = u64::try_from(self.seats.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.state.since.store(since, Relaxed);
    }

    /// A request came; it is over when the value is dropped.
    pub fn open(self: &Arc<Self>) -> Open {
        self.state.fresh.store(false, Relaxed);
        self.state.open.fetch_add(1, Relaxed);
        self.touch();
        Open(Arc::clone(self))
    }

    /// A handler works until the value is dropped.
    pub fn work(self: &Arc<Self>) -> Work {
        self.state.working.fetch_add(1, Relaxed);
        Work(Arc::clone(self))
    }

    /// A handler at work waits for the client's body until the value is dropped.
    pub fn wait(self: &Arc<Self>) -> Wait {
        self.state.waiting.fetch_add(1, Relaxed);
        Wait(Arc::clone(self))
    }

    /// Handlers at work.
    pub fn working(&self) -> usize {
        self.state.working.load(Relaxed)
    }

    /// Resolves when the seat is needed for somebody else: the connection is to be closed at once.
    pub async fn dismissed(&self) {
        self.state.dismissed.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().release(&self.state);
        self.seats.freed.notify_one();
    }
}

/// A request that isn't wholly answered.
pub struct Open(Arc<Seat>);

impl Open {
    /// A piece of the answer went out.
    pub fn touch(&self) {
        self.0.touch();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.touch();
        self.0.state.open.fetch_sub(1, Relaxed);
    }
}

/// A handler at work.
pub struct Work(Arc<Seat>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.state.working.fetch_sub(1, Relaxed);
    }
}

/// A handler that waits for its client's body.
pub struct Wait(Arc<Seat>);

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.state.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
