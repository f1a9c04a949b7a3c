//! The serve loop: from a connection to requests, and from answers back to the connection.
//!
//! Routing is poem's; the loop is our own over hyper, because poem's has no deadlines that a slow client
//! can't stretch. Knows requests, not what they are about: the few answers it must give itself it asks of
//! the [`Page`] hook.

use std::{
    any::Any,
    convert::Infallible,
    io, mem,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::{
    body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use poem::{
    Addr, Body, Endpoint, IntoEndpoint, Request, RequestParts, Response,
    http::{
        self, HeaderValue, Method, StatusCode, Version, header,
        uri::{PathAndQuery, Scheme},
    },
    web::{LocalAddr, RemoteAddr},
};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::client_ip::Believed;
use crate::tls::{
    Certificates,
    acceptor::{Arrival, Limits, Listener, Open, Phase, Seat, Wait},
};

/// How long a client may take to close its side once nothing is left to be said.
const LINGER: Duration = Duration::from_secs(1);

/// What is read of a body that the handler didn't want, in bytes.
const DRAIN: usize = 64 * 1024;

type BoxBody = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// Draws the answers the loop gives without the endpoint, with the house's headers on them: 408 (the body
/// took too long), 414 (the address is too long), 500 (a panic), 503 (the answer took too long, or too much
/// at a time on one connection).
///
/// After 408, and where a body was left unread, an HTTP/1.1 connection is closed.
pub type Page = Arc<dyn Fn(StatusCode) -> Response + Send + Sync>;

/// Serves `endpoint` on all the listener's addresses until `shutdown`, then takes no new connection and
/// returns when the requests in hand are answered or [`Limits::stop`] has passed.
///
/// A request that may change something (all but GET, HEAD, OPTIONS, TRACE) runs to its end even if the client
/// goes away or the answer comes too late for it: what was begun in the directory must be written in the
/// audit log as well.
pub async fn serve<E>(
    mut listener: Listener,
    endpoint: E,
    page: Page,
    believed: Believed,
    shutdown: CancellationToken,
) where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let limits = listener.limits().clone();
    let stop = limits.stop;
    let tasks = TaskTracker::new();
    let server = Arc::new(Server {
        http1: http1(&limits),
        http2: http2(&limits),
        endpoint: endpoint.into_endpoint(),
        page,
        believed,
        limits,
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
        cut: CancellationToken::new(),
    });
    while let Some(arrival) = shutdown.run_until_cancelled(listener.accept()).await {
        tasks.spawn(Arc::clone(&server).connection(arrival));
    }
    // From here on new connections are refused by the system.
    drop(listener);
    tasks.close();
    if timeout(stop, tasks.wait()).await.is_err() {
        tracing::warn!(tasks = tasks.len(), "stopping with requests still running");
        server.cut.cancel();
    }
}

fn http1(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper's own clock also runs while a kept connection is idle; ours tells the two apart.
        .header_read_timeout(None)
        // Bounds the header; 8 KiB is the least that hyper takes.
        .max_buf_size((limits.header_bytes as usize).max(8 * 1024));
    builder
}

fn http2(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        // What a client can make us hold: forms are small, so the protocol's own window is enough.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(128 * 1024)
        .max_send_buf_size(128 * 1024)
        // Finds out while a request runs that the client is gone.
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.handshake);
    builder
}

/// What all connections share.
struct Server<E> {
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
    endpoint: E,
    page: Page,
    believed: Believed,
    limits: Limits,
    tasks: TaskTracker,
    /// No new requests.
    shutdown: CancellationToken,
    /// The time to finish is over.
    cut: CancellationToken,
}

/// Who is at the other end of a connection.
struct Peer {
    local: LocalAddr,
    remote: Option<SocketAddr>,
    is_of_proxy: bool,
    scheme: Scheme,
    seat: Arc<Seat>,
}

impl<E: Endpoint + 'static> Server<E> {
    async fn connection(self: Arc<Self>, arrival: Arrival) {
        let seat = Arc::clone(arrival.seat());
        let dismissed = pin!(seat.dismissed());
        tokio::select! {
            () = self.converse(arrival) => {}
            () = dismissed => {}
            () = self.cut.cancelled() => {}
        }
    }

    async fn converse(self: &Arc<Self>, arrival: Arrival) {
        let oldest = Instant::now() + self.limits.age;
        let connection = match self.shutdown.run_until_cancelled(arrival.handshake()).await {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            None => return,
        };
        let seat = connection.seat;
        let peer = Arc::new(Peer {
            local: LocalAddr(Addr::SocketAddr(connection.local.unwrap_or_else(nowhere))),
            remote: connection.remote,
            is_of_proxy: connection.is_of_proxy,
            scheme: if connection.secure { Scheme::HTTPS } else { Scheme::HTTP },
            seat: Arc::clone(&seat),
        });
        let service = service_fn(|request| {
            let (server, peer) = (Arc::clone(self), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(server.answer(&peer, request).await) }
        });
        let http = if connection.http2 { &self.http2 } else { &self.http1 };
        let mut requests = pin!(http.serve_connection(TokioIo::new(connection.stream), service));
        let mut alarm = pin!(sleep(self.limits.header));
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                ended = requests.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !ending => {}
                () = alarm.as_mut() => {
                    let due = self.due(&seat, oldest, ending);
                    if due > Instant::now() {
                        alarm.as_mut().reset(due);
                        continue;
                    }
                    // Told to end and still here, or stuck in a request beyond all deadlines.
                    if ending || (seat.phase().0 == Phase::Busy && due < oldest) {
                        return;
                    }
                }
            }
            ending = true;
            requests.as_mut().graceful_shutdown();
            alarm.as_mut().reset(Instant::now() + LINGER);
        }
    }

    /// When the connection's patience ends as things stand. Deadlines count from the last step forward, which
    /// is a whole header, a whole body or a piece of the answer that was taken; dripping bytes is none.
    fn due(&self, seat: &Seat, oldest: Instant, ending: bool) -> Instant {
        let (phase, since) = seat.phase();
        match phase {
            // The handler's own deadline comes first, so that its 503 can get out.
            Phase::Busy if ending => since + self.limits.request + LINGER,
            Phase::Busy => oldest.min(since + self.limits.request + LINGER),
            _ if ending => since,
            Phase::Fresh => oldest.min(since + self.limits.header),
            Phase::Idle => oldest.min(since + self.limits.idle),
        }
    }

    async fn answer(
        self: Arc<Self>,
        peer: &Arc<Peer>,
        request: http::Request<Incoming>,
    ) -> http::Response<Reply> {
        let open = peer.seat.open();
        let (method, version) = (request.method().clone(), request.version());
        let expects = request.headers().contains_key(header::EXPECT);
        let rest = Arc::new(Mutex::new(Rest::default()));
        let mut response = self.respond(peer, request, &rest).await;
        let Rest { body: unread, late } = mem::take(&mut *lock(&rest));
        if late {
            response = (self.page)(StatusCode::REQUEST_TIMEOUT);
        }
        if method == Method::HEAD || bodiless(response.status()) {
            take_body(&mut response);
        }
        if version < Version::HTTP_2 {
            let closing = late || response.headers().contains_key(header::CONNECTION);
            // A client that waits for "100 Continue" need not send what nobody wants.
            let clean = match unread {
                Some(body) if !closing && !expects => self.drain(body).await,
                unread => unread.is_none(),
            };
            if late || !clean {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        } else if let Some(body) = unread {
            self.drain(body).await;
        }
        http::Response::from(response).map(|body| Reply { body, open })
    }

    /// Reads what the handler left of the body; says whether it is all. An answer sent before is lost to many
    /// clients: over HTTP/1.1 when the connection is then closed (RFC 9112 section 9.6), over HTTP/2 when the
    /// stream is then reset.
    async fn drain(&self, mut body: Incoming) -> bool {
        let mut room = DRAIN;
        let all = async {
            while let Some(frame) = body.frame().await {
                let length = frame.ok().and_then(|frame| frame.data_ref().map(Bytes::len)).unwrap_or(room);
                if length >= room {
                    return false;
                }
                room -= length;
            }
            true
        };
        timeout(self.limits.body, all).await.unwrap_or(false)
    }

    async fn respond(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        request: http::Request<Incoming>,
        rest: &Arc<Mutex<Rest>>,
    ) -> Response {
        let address = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        let safe = request.method().is_safe();
        let request = self.request(peer, request, rest);
        if address > self.limits.uri_bytes {
            return (self.page)(StatusCode::URI_TOO_LONG);
        }
        // Streams may be reset and their requests run on: no more of those than there may be streams.
        if !safe && peer.seat.working() >= self.limits.streams as usize {
            return (self.page)(StatusCode::SERVICE_UNAVAILABLE);
        }
        let work = Arc::clone(self).work(Arc::clone(&peer.seat), request);
        let answer = if safe {
            timeout(self.limits.request, work).await
        } else {
            let task = self.tasks.spawn(work);
            timeout(self.limits.request, task.map(|ended| ended.unwrap_or_else(|error| Err(Box::new(error)))))
                .await
        };
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => {
                // The panic hook has said what and where.
                tracing::error!("a request handler panicked");
                (self.page)(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Err(_) => {
                tracing::error!(limit = ?self.limits.request, "a request took too long");
                (self.page)(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    async fn work(
        self: Arc<Self>,
        seat: Arc<Seat>,
        request: Request,
    ) -> Result<Response, Box<dyn Any + Send>> {
        let _work = seat.work();
        AssertUnwindSafe(self.endpoint.get_response(request)).catch_unwind().await
    }

    fn request(&self, peer: &Peer, request: http::Request<Incoming>, rest: &Arc<Mutex<Rest>>) -> Request {
        let (parts, body) = request.into_parts();
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            Body::from(BoxBody::new(Upload {
                body: Some(body),
                deadline: Box::pin(sleep(self.limits.body)),
                rest: Arc::clone(rest),
                seat: Arc::clone(&peer.seat),
                waiting: None,
            }))
        };
        let visitor = self.believed.visitor(peer.remote, peer.is_of_proxy, &parts.headers);
        // The port is the connection's, which may be the proxy's.
        let port = peer.remote.map_or(0, |remote| remote.port());
        let remote = RemoteAddr(Addr::SocketAddr(SocketAddr::new(visitor, port)));
        let parts = RequestParts::from((parts, peer.local.clone(), remote, peer.scheme.clone()));
        Request::from_parts(parts, body)
    }
}

/// The end of a connection that has no address.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

/// RFC 9110 sections 15.3.5 and 15.4.5: a body there would be taken for the next answer.
fn bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Takes the body off. To HEAD its length stays told where it is known (RFC 9110 section 9.3.2).
fn take_body(response: &mut Response) {
    let body = BoxBody::from(response.take_body());
    if bodiless(response.status()) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    } else if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
}

/// What a handler left behind of its request.
#[derive(Default)]
struct Rest {
    /// The part of the body that wasn't read.
    body: Option<Incoming>,
    /// The body wasn't there in time.
    late: bool,
}

fn lock(rest: &Mutex<Rest>) -> MutexGuard<'_, Rest> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's body, which must be there in time.
struct Upload {
    /// `None` once it has ended, well or not.
    body: Option<Incoming>,
    deadline: Pin<Box<Sleep>>,
    rest: Arc<Mutex<Rest>>,
    seat: Arc<Seat>,
    waiting: Option<Wait>,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            self.waiting = None;
            if !matches!(frame, Some(Ok(_))) {
                self.body = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.body = None;
            self.waiting = None;
            lock(&self.rest).late = true;
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        if self.waiting.is_none() {
            self.waiting = Some(self.seat.wait());
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        lock(&self.rest).body = self.body.take().filter(|body| !body.is_end_stream());
    }
}

/// An answer's body; while it isn't wholly taken the request is open.
struct Reply {
    body: BoxBody,
    open: Open,
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.open.touch();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves plain HTTP with nothing but the way to `base_url` (`https://host` or `https://host:port`): the Host
/// header has no say in it. While a certificate is ordered, whoever looks at its challenge finds that.
pub async fn redirect(
    listener: Listener,
    base_url: &str,
    certificates: Arc<Certificates>,
    shutdown: CancellationToken,
) {
    let base_url = base_url.trim_end_matches('/').to_owned();
    serve(listener, Redirect { base_url, certificates }, Arc::new(plain), Believed::default(), shutdown)
        .await;
}

/// Where an authority asks for the page of a challenge (RFC 8555 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

struct Redirect {
    base_url: String,
    certificates: Arc<Certificates>,
}

impl Endpoint for Redirect {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            // What was sent is out already; sending it on would hide that. Its body isn't read.
            let mut refusal = plain(StatusCode::BAD_REQUEST);
            refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Ok(refusal);
        }
        let token = request.uri().path().strip_prefix(CHALLENGES);
        if let Some(page) = token.and_then(|token| self.certificates.challenge_page(token)) {
            let response = Response::builder()
                .header(header::CACHE_CONTROL, "no-store")
                .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
            return Ok(response.content_type("application/octet-stream").body(page));
        }
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        // `OPTIONS *` and the like have no path.
        let path = if path.starts_with('/') { path } else { "/" };
        let mut response = plain(StatusCode::PERMANENT_REDIRECT);
        if let Ok(target) = HeaderValue::from_str(&format!("{}{path}", self.base_url)) {
            response.headers_mut().insert(header::LOCATION, target);
        } else {
            response = plain(StatusCode::BAD_REQUEST);
        }
        Ok(response)
    }
}

/// A short text, kept by nobody.
fn plain(status: StatusCode) -> Response {
    Response::builder()
        .status(status)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .content_type("text/plain; charset=utf-8")
        .body(match status {
            StatusCode::PERMANENT_REDIRECT => "Use HTTPS.\n",
            StatusCode::BAD_REQUEST => "Only HTTPS is served. Nothing was done.\n",
            _ => "The request can't be answered.\n",
        })
}

#[cfg(test)]
mod tests;
