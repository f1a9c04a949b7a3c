//! A visitor without a browser: sends exactly what it is told, keeps cookies, follows nothing by itself.
//!
//! HTTP/1.1 over TLS, one connection a request; any certificate is accepted (and can be looked at).

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// A visitor with cookies of their own.
#[derive(Clone)]
pub struct Visitor {
    address: SocketAddr,
    /// Where it comes from, if that is to be told.
    from: Option<Ipv4Addr>,
    /// Lines of the head that it adds to each request.
    lies: String,
    host: String,
    /// The cookies kept so far, by name.
    pub cookies: BTreeMap<String, String>,
    tls: TlsConnector,
}

impl Visitor {
    /// A visitor of `https://localhost:PORT`.
    pub fn new(port: u16) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            from: None,
            lies: String::new(),
            host: format!("localhost:{port}"),
            cookies: BTreeMap::new(),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    /// The same visitor, from that address of this machine, who reaches the server through what listens on another port.
    #[must_use]
    pub fn through(mut self, port: u16, from: [u8; 4]) -> Self {
        self.address.set_port(port);
        self.from = Some(from.into());
        self
    }

    /// The same visitor, who adds these lines to the head of each request.
    #[must_use]
    pub fn who_says(mut self, lines: &[&str]) -> Self {
        self.lies = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self
    }

    /// Asks for a page.
    pub async fn get(&mut self, path: &str) -> Page {
        self.request("GET", path, &[], b"").await
    }

    /// Fills in the page's form and sends it as a browser would, with its CSRF token, to where the page is.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let csrf = page.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        self.post(&page.path, &all).await
    }

    /// Sends just these fields, as a form of this site.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = format!("https://{}", self.host);
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", origin.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.request("POST", path, &headers, form(fields).as_bytes()).await
    }

    /// Goes where a redirect points; any other page is returned as it is.
    pub async fn follow(&mut self, page: Page) -> Page {
        match page.header("location") {
            Some(location) if (300..400).contains(&page.status) => {
                let path = location.strip_prefix(&format!("https://{}", self.host)).unwrap_or(location);
                self.get(path).await
            }
            _ => page,
        }
    }

    /// Sends a request with these headers besides Host, Cookie, Content-Length and Connection.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Page {
        use std::fmt::Write as _;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}", self.host, self.lies);
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(head, "Cookie: {}\r\n", pairs.join("; ")).unwrap();
        }
        if method != "GET" && method != "HEAD" || !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        let page = Page::parse(path, &self.raw(&bytes).await.unwrap());
        self.keep_cookies(&page);
        page
    }

    /// Sends these bytes, however malformed, and returns all that comes back until the server closes, with or
    /// without TLS's farewell.
    pub async fn raw(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect().await?;
        let mut answer = Vec::new();
        let talk = async {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            match stream.read_to_end(&mut answer).await {
                Err(e) if answer.is_empty() || e.kind() != io::ErrorKind::UnexpectedEof => Err(e),
                _ => Ok(()),
            }
        };
        timeout(PATIENCE, talk).await??;
        Ok(answer)
    }

    /// A connection for a test that wants to be slow, rude or persistent.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let tcp = self.dial().await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, self.tls.connect(name, tcp)).await?
    }

    /// A connection without TLS.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind((from, 0).into())?;
        }
        socket.connect(self.address).await
    }

    /// The certificate that the server shows.
    pub async fn certificate(&self) -> CertificateDer<'static> {
        let stream = self.connect().await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// As [`Self::post`], to a server that may be gone before its answer is whole.
    pub async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> Option<Page> {
        let body = form(fields);
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {}\r\nOrigin: https://{}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            cookies.join("; "),
            self.host,
            body.len(),
        );
        Page::whole(path, &self.raw(request.as_bytes()).await.ok()?)
    }

    /// Keeps what the page sets.
    pub fn keep_cookies(&mut self, page: &Page) {
        for (_, line) in page.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name.trim());
            } else {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// The fields as `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// An answer of the server, read as the contract of the pages says.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path that was asked for.
    pub path: String,
    /// Status code.
    pub status: u16,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Page {
    /// Reads a whole HTTP/1.1 answer.
    pub fn parse(path: &str, answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(answer)));
        let head = String::from_utf8_lossy(&answer[..end]);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut page = Self { path: path.to_owned(), status, headers, body: answer[end + 4..].to_vec() };
        if page.header("transfer-encoding") == Some("chunked") {
            page.body = unchunked(&page.body);
        }
        page
    }

    /// Reads an answer that may be cut off; `None` if it is.
    pub fn whole(path: &str, answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        (answer.len() - end - 4 >= length.unwrap_or(0)).then(|| Self::parse(path, answer))
    }

    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the page is UTF-8")
    }

    /// The flow and the step that the page is at, as `reset/question`.
    pub fn step(&self) -> String {
        let text = self.text();
        let main = tag(&text, "<main").unwrap_or_else(|| panic!("{} has no <main>: {text}", self.path)).1;
        let get = |name| attribute(main, name).unwrap_or_default();
        format!("{}/{}", get("data-flow"), get("data-step"))
    }

    /// The value of the field of that name; `None` if there is no such `<input>`.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, input) = tag(&text, &format!("name=\"{name}\""))?;
        Some(attribute(input, "value").unwrap_or_default())
    }

    /// The page's CSRF token.
    pub fn csrf(&self) -> String {
        self.field("csrf").unwrap_or_else(|| panic!("{} ({}) has no CSRF token", self.path, self.status))
    }

    /// What the element says whose opening tag contains `mark`: `role="alert"`, `for="answer"`, `<h1`.
    pub fn says(&self, mark: &str) -> Option<String> {
        let text = self.text();
        let (rest, opening) = tag(&text, mark)?;
        let name: String = opening[1..].chars().take_while(char::is_ascii_alphanumeric).collect();
        let mut pieces = rest.split('<');
        let mut plain = pieces.next()?.to_owned();
        let mut depth = 1;
        for piece in pieces {
            let (tag, after) = piece.split_once('>').unwrap_or((piece, ""));
            match tag.split(|c: char| c.is_ascii_whitespace()).next()? {
                start if start == name => depth += 1,
                end if end.strip_prefix('/') == Some(&name) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            plain.push_str(after);
        }
        Some(unescaped(&plain).split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// The opening tag that contains `mark`, and what follows it.
fn tag<'a>(html: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let at = html.find(mark)?;
    let start = html[..=at].rfind('<')?;
    let end = at + html[at..].find('>')?;
    Some((&html[end + 1..], &html[start..end]))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescaped(rest.split('"').next()?))
}

fn unescaped(html: &str) -> String {
    let mut text = String::new();
    let mut pieces = html.split('&');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (entity, rest) = piece.split_once(';').unwrap_or((piece, ""));
        let number = match (entity.strip_prefix("#x"), entity.strip_prefix('#')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
            (None, Some(decimal)) => decimal.parse().ok(),
            (None, None) => ["amp", "lt", "gt", "quot", "nbsp"]
                .iter()
                .position(|name| *name == entity)
                .map(|n| [0x26, 0x3C, 0x3E, 0x22, 0xA0][n]),
        };
        let char = number.and_then(char::from_u32).unwrap_or_else(|| panic!("unknown entity &{entity};"));
        text.push(char);
        text.push_str(rest);
    }
    text
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap().split(';').next().unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    panic!("the chunked body was cut off");
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
