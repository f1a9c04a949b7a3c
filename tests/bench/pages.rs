//! A browser on one kept connection, and a crowd that only asks for the menu.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::http::{Page, Visitor, form};

/// A browser: one connection, cookies.
pub struct Browser {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Connects to `https://localhost:PORT`.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = Visitor::new(port).connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, host: format!("localhost:{port}"), cookies: BTreeMap::new() })
    }

    /// Forgets who it was.
    pub fn forget(&mut self) {
        self.cookies.clear();
    }

    /// Has this session's cookie.
    pub fn remember(&mut self, cookie: String) {
        self.cookies.insert("__Host-regain".to_owned(), cookie);
    }

    /// Asks for a page.
    pub async fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, String::new()).await
    }

    /// Sends the page's form and goes where it leads.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let csrf = page.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        let answer = self.send("POST", &page.path, form(&all)).await;
        match answer.header("location").map(str::to_owned) {
            Some(path) => self.get(&path).await,
            None => answer,
        }
    }

    /// Asks for a file and throws it away; its bytes, and how many lines it has.
    pub async fn drain(&mut self, path: &str) -> (u64, u64) {
        let answer = self.ask("GET", path, String::new()).await;
        assert_eq!(answer.status(), 200, "{path}");
        let (mut body, mut bytes, mut lines) = (answer.into_body(), 0, 0);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.unwrap().into_data() else { continue };
            bytes += data.len() as u64;
            lines += data.split(|byte| *byte == b'\n').count() as u64 - 1;
        }
        (bytes, lines)
    }

    async fn ask(&mut self, method: &str, path: &str, body: String) -> Response<Incoming> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        if !pairs.is_empty() {
            request = request.header("cookie", pairs.join("; "));
        }
        if method == "POST" {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("origin", format!("https://{}", self.host));
        }
        self.sender.ready().await.unwrap();
        self.sender.send_request(request.body(Full::from(body)).unwrap()).await.unwrap()
    }

    async fn send(&mut self, method: &str, path: &str, body: String) -> Page {
        let answer = self.ask(method, path, body).await;
        let (head, body) = answer.into_parts();
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        for (_, line) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Page { path: path.to_owned(), status: head.status.as_u16(), headers, body }
    }
}

/// How long each of many requests for the menu took.
pub struct Menus {
    took: Vec<Duration>,
    /// From the first to the last.
    pub lasted: Duration,
}

impl Menus {
    /// How many there were.
    pub fn count(&self) -> usize {
        self.took.len()
    }

    /// Pages a second.
    #[allow(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.lasted.as_secs_f64()
    }

    /// The time that so many of 100 stay below.
    pub fn within(&mut self, percent: usize) -> Duration {
        self.took.sort_unstable();
        self.took[(self.took.len() * percent / 100).min(self.took.len() - 1)]
    }

    /// The time that 99 of 100 stay below.
    pub fn p99(&mut self) -> Duration {
        self.within(99)
    }
}

/// Asks for the menu on so many kept connections until `enough`, with `pause` between two requests.
pub async fn menus(
    port: u16,
    connections: usize,
    pause: Duration,
    enough: impl Fn() -> bool + Clone + Send + 'static,
) -> Menus {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Visitor::new(port).connect().await.unwrap());
    }
    let began = Instant::now();
    let visitors: Vec<_> = opened
        .into_iter()
        .map(|mut stream| {
            let enough = enough.clone();
            tokio::spawn(async move {
                let request = format!(
                    "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/html\r\nAccept-Language: en\r\n\r\n"
                );
                let mut buffer = vec![0; 64 * 1024];
                let mut length = None;
                let mut took = Vec::new();
                while !enough() {
                    let asked = Instant::now();
                    stream.write_all(request.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    let mut read = 0;
                    // The first answer tells how long all of them are.
                    while length.is_none_or(|length| read < length) {
                        let n = stream.read(&mut buffer[read..]).await.unwrap();
                        assert!(n > 0, "the server closed a kept connection");
                        read += n;
                        length = length.or_else(|| whole(&buffer[..read]));
                    }
                    assert!(Some(read) == length && buffer.starts_with(b"HTTP/1.1 200 "));
                    took.push(asked.elapsed());
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for visitor in visitors {
        took.extend(visitor.await.unwrap());
    }
    Menus { took, lasted: began.elapsed() }
}

/// The length of the whole answer, as soon as its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let (_, rest) = head.split_once("content-length: ").expect("the length is given");
    Some(end + rest.lines().next().unwrap().trim().parse::<usize>().unwrap())
}
