//! One request to an HTTP endpoint, and the status of its answer. Nothing else of the answer is looked at, and redirects are
//! not followed.
//!
//! It must not know what is sent.

use std::{path::PathBuf, time::Duration};

use futures_util::future::{Either, select};
use http_body_util::Full;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{HOST, USER_AGENT},
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::network;

/// So long somebody who only wants to know whether all is well waits.
const PATIENCE: Duration = Duration::from_secs(4);

/// A request to that address, without its body.
pub fn request(method: &str, url: &Uri) -> Builder {
    Request::builder()
        .method(method)
        .uri(url.path_and_query().map_or("/", |target| target.as_str()))
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, "Regain")
}

/// Sends it, under TLS unless the address says `http`. Each of the host's addresses gets its share of the time.
pub async fn send(
    url: &Uri,
    ca_file: Option<PathBuf>,
    limit: Duration,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, String> {
    let answer = match connect(url, ca_file, limit).await? {
        Either::Left(open) => exchange(open, request).await,
        Either::Right(secured) => exchange(secured, request).await,
    };
    answer.map_err(|error| error.to_string())
}

/// Whether what is asked for there is answered with success, within a few seconds.
pub async fn is_well(url: &str) -> Result<bool, String> {
    let url: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
    let question = request("GET", &url).body(Full::default()).map_err(|error| error.to_string())?;
    send(&url, None, PATIENCE, question).await.map(|status| status == StatusCode::OK)
}

/// Whether a connection to that address can be made; nothing is sent over it.
pub async fn reach(url: &Uri, ca_file: Option<PathBuf>, limit: Duration) -> Result<(), String> {
    connect(url, ca_file, limit).await.map(drop)
}

async fn connect(
    url: &Uri,
    ca_file: Option<PathBuf>,
    limit: Duration,
) -> Result<Either<TcpStream, TlsStream<TcpStream>>, String> {
    let is_https = url.scheme_str() != Some("http");
    let host = network::bare(url.host().unwrap_or_default()).to_owned();
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let stream = network::connect(&host, port, limit).await?;
    if is_https {
        network::secure(host, stream, ca_file).await.map(Either::Right)
    } else {
        Ok(Either::Left(stream))
    }
}

/// One request and the head of its answer, over a connection that is closed then.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = std::pin::pin!(sender.send_request(request));
    let answer = match select(answer, connection).await {
        Either::Left((answer, _)) => answer,
        // The server has closed; the answer may have come before.
        Either::Right((_, answer)) => answer.await,
    };
    answer.map(|answer| answer.status())
}
