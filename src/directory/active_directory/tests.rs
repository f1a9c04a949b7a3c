//! Against a controller that is not one: a small LDAP server that shows any certificate and gives any answer, so
//! that what Samba doesn't do (policy hints, Windows' texts, nonsense, silence) can be met, and everything that is
//! sent can be looked at.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

use super::{
    super::{Refused, Verdict},
    *,
};
use crate::domain::{clock::SystemClock, secret::SecretText};

const SERVICE_PASSWORD: &str = "Service-Pw0rd!1";
const USER_PASSWORD: &str = "User-Pw0rd!1";
const GUID: ObjectGuid = ObjectGuid::from_bytes([7; 16]);

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
const MODIFY: u8 = 0x66;
const EXTENDED: u8 = 0x77;

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    operation: u8,
    body: Vec<u8>,
    controls: Vec<u8>,
}

impl Request {
    /// The bind name or search base, which stand at known places; the DN of a modify.
    fn object(&self) -> String {
        let (_, first, rest) = element(&self.body).unwrap();
        // Before the name of a bind stands the version.
        let name = if self.operation == BIND { element(rest).unwrap().1 } else { first };
        String::from_utf8(name.to_vec()).unwrap()
    }

    fn contains(&self, text: &[u8]) -> bool {
        self.body.windows(text.len()).any(|window| window == text)
    }
}

/// What the fake controller does with a request.
enum Reply {
    Result(u8, &'static str),
    Entry(Vec<(&'static str, Vec<Vec<u8>>)>),
    Nothing,
    HangUp,
    Nonsense(&'static [u8]),
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// One element of BER: tag, content and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        (digits.iter().fold(0, |value, digit| value << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], content].concat()
}

fn message(id: &[u8], operation: &[u8]) -> Vec<u8> {
    ber(0x30, &[&ber(2, id), operation].concat())
}

fn result(tag: u8, code: u8, text: &str) -> Vec<u8> {
    ber(tag, &[ber(10, &[code]), ber(4, b""), ber(4, text.as_bytes())].concat())
}

/// A fake controller. It is gone when the value is dropped.
struct Fake {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Everything that came before and outside TLS.
    in_the_clear: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    async fn start(certificate: Certificate, transport: Transport, script: Script) -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), certificate, transport, script).await
    }

    async fn start_at(
        address: IpAddr,
        certificate: Certificate,
        transport: Transport,
        script: Script,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificate.chain, certificate.key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let (connections, requests, in_the_clear) =
            <(Arc<AtomicUsize>, Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
        let fake = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&in_the_clear));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
                let (requests, in_the_clear) = (Arc::clone(&requests), Arc::clone(&in_the_clear));
                open.spawn(async move {
                    let Some(stream) = before_tls(stream, transport, &script, &in_the_clear).await else {
                        return;
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, &script, &requests).await;
                    }
                });
            }
        });
        let (connections, requests, in_the_clear) = fake;
        Self { address, connections, requests, in_the_clear, task }
    }

    fn requests(&self, operation: u8) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.operation == operation).cloned().collect()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn directory(&self, authority: &Authority) -> ActiveDirectory {
        open(self.settings(authority))
    }

    fn settings(&self, authority: &Authority) -> Settings {
        settings(Source::Listed(vec![self.address.to_string()]), authority)
    }
}

/// What comes before TLS: nothing, or StartTLS. Records it.
async fn before_tls(
    mut stream: TcpStream,
    transport: Transport,
    script: &Script,
    in_the_clear: &Mutex<Vec<u8>>,
) -> Option<TcpStream> {
    if transport == Transport::Ldaps {
        let mut start = [0; 4096];
        let length = stream.peek(&mut start).await.unwrap();
        in_the_clear.lock().unwrap().extend(&start[..length]);
        return Some(stream);
    }
    let mut buffer = vec![0; 4096];
    let mut length = 0;
    loop {
        match stream.read(&mut buffer[length..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => length += more,
        }
        in_the_clear.lock().unwrap().extend(&buffer[..length]);
        let Some((_, content, _)) = element(&buffer[..length]) else { continue };
        let (_, id, rest) = element(content).unwrap();
        let (operation, body, _) = element(rest).unwrap();
        let request = Request { operation, body: body.to_vec(), controls: Vec::new() };
        let Reply::Result(code, text) = script(&request) else { return None };
        stream.write_all(&message(id, &result(0x78, code, text))).await.unwrap();
        if code == 0 {
            return Some(stream);
        }
        length = 0;
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &Script,
    requests: &Mutex<Vec<Request>>,
) {
    let mut buffer = Vec::new();
    loop {
        while let Some((_, content, rest)) = element(&buffer) {
            let (_, id, content) = element(content).unwrap();
            let (operation, body, controls) = element(content).unwrap();
            let request = Request { operation, body: body.to_vec(), controls: controls.to_vec() };
            let reply = script(&request);
            requests.lock().unwrap().push(request);
            // UnbindRequest has no answer.
            let done = match operation {
                BIND => 0x61,
                SEARCH => 0x65,
                MODIFY => 0x67,
                EXTENDED => 0x78,
                _ => return,
            };
            let answer = match reply {
                Reply::Result(code, text) => message(id, &result(done, code, text)),
                Reply::Entry(attributes) => {
                    let attributes: Vec<_> = attributes
                        .iter()
                        .map(|(name, values)| {
                            let values: Vec<_> = values.iter().flat_map(|value| ber(4, value)).collect();
                            ber(0x30, &[ber(4, name.as_bytes()), ber(0x31, &values)].concat())
                        })
                        .collect();
                    let entry = [ber(4, b"CN=alice,DC=corp,DC=example"), ber(0x30, &attributes.concat())];
                    [message(id, &ber(0x64, &entry.concat())), message(id, &result(done, 0, ""))].concat()
                }
                Reply::Nothing => Vec::new(),
                Reply::HangUp => return,
                Reply::Nonsense(bytes) => bytes.to_vec(),
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            buffer = rest.to_vec();
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return,
            Ok(length) => buffer.extend(&more[..length]),
        }
    }
}

/// A CA of the test's own.
struct Authority {
    certificate: rcgen::Certificate,
    key: KeyPair,
    folder: tempfile::TempDir,
}

struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new() -> Self {
        Self::named("Test CA of Regain")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { certificate, key, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn certificate(&self, names: &[&str]) -> Certificate {
        self.certificate_until(names, 2060)
    }

    fn certificate_until(&self, names: &[&str], year: i32) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        Certificate { chain: vec![certificate.der().clone()], key: key.serialize_der().try_into().unwrap() }
    }
}

fn self_signed(names: &[&str]) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).self_signed(&key).unwrap();
    Certificate { chain: vec![certificate.der().clone()], key: key.serialize_der().try_into().unwrap() }
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Fake controller");
    params
}

fn password(text: &str) -> Password {
    Password::parse(SecretText::new(text.to_owned())).unwrap()
}

fn settings(controllers: Source, authority: &Authority) -> Settings {
    let domain = Domain { name: DomainName::new("corp.example"), netbios: "CORP".into() };
    let mut settings = Settings::new(domain, controllers, "CORP\\svc".into(), password(SERVICE_PASSWORD));
    settings.trust = Trust::Files(vec![authority.file()]);
    settings.connect_timeout = Duration::from_secs(1);
    settings.operation_timeout = Duration::from_millis(300);
    settings
}

fn open(settings: Settings) -> ActiveDirectory {
    ActiveDirectory::new(settings, Arc::new(SystemClock)).unwrap()
}

fn sid_bytes(relative_id: u32) -> Vec<u8> {
    [&[1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0], &relative_id.to_le_bytes()[..]].concat()
}

/// A controller that behaves; it offers these controls.
fn well(request: &Request, controls: &[&str]) -> Reply {
    let text = |value: &str| vec![value.as_bytes().to_vec()];
    match (request.operation, request.object().as_str()) {
        (SEARCH, "") => Reply::Entry(vec![
            ("supportedControl", controls.iter().map(|control| control.as_bytes().to_vec()).collect()),
            ("supportedCapabilities", text("1.2.840.113556.1.4.800")),
            ("tokenGroups", vec![sid_bytes(1999)]),
        ]),
        (SEARCH, "DC=corp,DC=example") if !request.contains(b"sAMAccountName") => {
            Reply::Entry(vec![("minPwdLength", text("8"))])
        }
        (SEARCH, _) => Reply::Entry(vec![
            ("objectGUID", vec![uuid::Uuid::from_bytes(*GUID.bytes()).to_bytes_le().to_vec()]),
            ("objectSid", vec![sid_bytes(1104)]),
            ("sAMAccountName", text("alice")),
            ("userAccountControl", text("512")),
            ("tokenGroups", vec![sid_bytes(513)]),
        ]),
        _ => Reply::Result(0, ""),
    }
}

async fn alice(directory: &ActiveDirectory) -> Result<Account, Error> {
    directory.find(&LogonName::Sam("alice".into())).await.map(|found| found.expect("alice is there"))
}

const LOCALHOST: &[&str] = &["127.0.0.1"];
const HINTS: &[&str] = &["1.2.840.113556.1.4.2066", "1.2.840.113556.1.4.2239"];

#[tokio::test]
async fn one_connection_serves_the_service_account_and_each_user_has_one_of_their_own() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| well(request, HINTS));
    let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
    let directory = fake.directory(&authority);
    for _ in 0..20 {
        alice(&directory).await.unwrap();
    }
    assert_eq!((fake.connections(), fake.requests(BIND).len()), (1, 1));
    let account = alice(&directory).await.unwrap();
    for n in 2..5 {
        let check = directory.verify_password(&account, &password(USER_PASSWORD)).await.unwrap();
        assert_eq!((check, fake.connections()), (PasswordCheck::Right, n));
    }
    let binds: Vec<_> = fake.requests(BIND).iter().map(Request::object).collect();
    let user = "CN=alice,DC=corp,DC=example";
    assert_eq!(binds, ["CORP\\svc", user, user, user]);
}

#[tokio::test]
async fn no_more_connections_than_the_pool_may_have() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| well(request, HINTS));
    let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
    let directory = fake.directory(&authority);
    let all = futures_util::future::join_all((0..50).map(|_| alice(&directory))).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(fake.connections() <= 4, "{}", fake.connections());
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_sent_no_password() {
    let authority = Authority::new();
    let other = Authority::named("Another CA");
    let renewed = Authority::new();
    for (certificate, words) in [
        (other.certificate(LOCALHOST), "its issuer is not among the trusted CAs"),
        (renewed.certificate(LOCALHOST), "the trusted CA's name but not its key"),
        (self_signed(LOCALHOST), "self-signed"),
        (authority.certificate_until(LOCALHOST, 2020), "expired"),
        (authority.certificate(&["dc1.corp.example", "127.0.0.2"]), "not for 127.0.0.1, only for"),
    ] {
        let script: Script = Arc::new(|request| well(request, HINTS));
        let fake = Fake::start(certificate, Transport::Ldaps, script).await;
        let directory = fake.directory(&authority);
        let error = alice(&directory).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(why) if why.contains("certificate")), "{error}");
        let account = account();
        let checked = directory.verify_password(&account, &password(USER_PASSWORD)).await;
        assert!(matches!(checked, Err(Error::Unavailable(_))), "{checked:?}");
        let written =
            directory.reset_password(&account, &password(USER_PASSWORD), ResetOptions::default()).await;
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
        assert!(fake.connections() >= 3);
        assert!(fake.requests.lock().unwrap().is_empty(), "something was sent");
        let clear = fake.in_the_clear.lock().unwrap().clone();
        for secret in [SERVICE_PASSWORD, USER_PASSWORD] {
            assert!(!clear.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }

        let findings = directory.examine().await;
        let told = findings.iter().find(|finding| finding.verdict == Verdict::Bad).unwrap();
        assert!(told.text.contains(words) && told.subject.contains("certificate"), "{told:?}");
        assert!(fake.requests.lock().unwrap().is_empty(), "something was sent");
    }
}

fn account() -> Account {
    let domain = Domain { name: DomainName::new("corp.example"), netbios: "CORP".into() };
    let entry = ldap3::SearchEntry {
        dn: "CN=alice,DC=corp,DC=example".into(),
        attrs: HashMap::from([
            ("sAMAccountName".to_owned(), vec!["alice".to_owned()]),
            ("userAccountControl".to_owned(), vec!["512".to_owned()]),
        ]),
        bin_attrs: HashMap::from([
            ("objectGUID".to_owned(), vec![GUID.bytes().to_vec()]),
            ("objectSid".to_owned(), vec![sid_bytes(1104)]),
        ]),
    };
    let context = Context {
        domain: &domain,
        mail_attribute: "mail",
        mobile_attribute: "mobile",
        own_sids: &[],
        policy_hints: true,
        service_account: "",
        policy: PasswordPolicy::NONE,
        now: Timestamp::from_millis(0),
    };
    entry::account(&Entry::from(entry), context).unwrap()
}

#[tokio::test]
async fn starttls_comes_before_any_password_or_nothing_does() {
    let authority = Authority::new();
    for offered in [true, false] {
        let script: Script = Arc::new(move |request| match request.operation {
            EXTENDED if !offered => Reply::Result(52, "00000000: LdapErr: DSID-0C09136E"),
            EXTENDED => Reply::Result(0, ""),
            _ => well(request, HINTS),
        });
        let fake = Fake::start(authority.certificate(LOCALHOST), Transport::StartTls, script).await;
        let mut settings = fake.settings(&authority);
        settings.transport = Transport::StartTls;
        let directory = open(settings);
        assert_eq!(alice(&directory).await.is_ok(), offered);
        let checked = directory.verify_password(&account(), &password(USER_PASSWORD)).await;
        assert_eq!(checked.is_ok(), offered);
        let clear = fake.in_the_clear.lock().unwrap().clone();
        assert!(!clear.is_empty());
        for secret in [SERVICE_PASSWORD, USER_PASSWORD] {
            assert!(!clear.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn an_ipv6_address_is_checked_against_its_certificate() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| well(request, HINTS));
    for (name, served) in [("::1", true), ("::2", false)] {
        let certificate = authority.certificate(&[name]);
        let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let fake = Fake::start_at(address, certificate, Transport::Ldaps, Arc::clone(&script)).await;
        let directory = fake.directory(&authority);
        assert_eq!(alice(&directory).await.is_ok(), served, "{name}");
        assert_eq!(fake.requests(BIND).is_empty(), !served);
    }
}

#[tokio::test]
async fn history_is_enforced_by_the_control_the_controller_offers() {
    let authority = Authority::new();
    for (offered, wanted, sent) in [
        (HINTS, true, Some("1.2.840.113556.1.4.2239")),
        (&HINTS[..1], true, Some("1.2.840.113556.1.4.2066")),
        (&[], true, None),
        (HINTS, false, None),
    ] {
        let script: Script = Arc::new(move |request| well(request, offered));
        let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
        let directory = fake.directory(&authority);
        let options = ResetOptions { must_change_at_logon: true, enforce_history: wanted };
        directory.reset_password(&account(), &password(USER_PASSWORD), options).await.unwrap();
        let [request] = &fake.requests(MODIFY)[..] else { panic!("not one modify") };
        assert_eq!(request.object(), format!("<GUID={}>", account().key.guid));
        for attribute in ["unicodePwd", "lockoutTime", "pwdLastSet"] {
            assert!(request.contains(attribute.as_bytes()), "{attribute}");
        }
        let Some(sent) = sent else {
            assert!(request.controls.is_empty());
            continue;
        };
        let (_, control, _) = element(element(&request.controls).unwrap().1).unwrap();
        let (_, number, rest) = element(control).unwrap();
        let (_, critical, rest) = element(rest).unwrap();
        let (_, value, _) = element(rest).unwrap();
        assert_eq!((number, critical, value), (sent.as_bytes(), &[0xff][..], &[0x30, 3, 2, 1, 1][..]));
    }
}

#[tokio::test]
async fn refusals_of_windows_come_through() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| match request.operation {
        MODIFY => {
            Reply::Result(53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0\n\0")
        }
        BIND if request.object().starts_with("CN=") => Reply::Result(
            49,
            "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 773, v4563\0",
        ),
        _ => well(request, HINTS),
    });
    let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
    let directory = fake.directory(&authority);
    let written =
        directory.reset_password(&account(), &password(USER_PASSWORD), ResetOptions::default()).await;
    assert!(matches!(written, Err(Error::Refused(Refused::Policy(None), _))), "{written:?}");
    let checked = directory.verify_password(&account(), &password(USER_PASSWORD)).await.unwrap();
    assert_eq!(checked, PasswordCheck::RightButMustChange);
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown_and_sent_once() {
    let authority = Authority::new();
    for (reply, what) in [
        ((|| Reply::Nothing) as fn() -> Reply, "silence"),
        (|| Reply::HangUp, "a broken connection"),
        (|| Reply::Nonsense(b"\x30\x03\x02\x01\x02"), "nonsense"),
        (|| Reply::Nonsense(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "another protocol"),
    ] {
        let script: Script = Arc::new(move |request| match request.operation {
            MODIFY => reply(),
            _ => well(request, HINTS),
        });
        let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
        let directory = fake.directory(&authority);
        let written = directory.unlock(&account()).await;
        assert!(matches!(written, Err(Error::OutcomeUnknown(_))), "{what}: {written:?}");
        assert_eq!(fake.requests(MODIFY).len(), 1, "{what}");
        // Reading is possible again at once, on another connection.
        alice(&directory).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_check_without_an_answer_is_not_repeated() {
    let authority = Authority::new();
    for reply in [(|| Reply::Nothing) as fn() -> Reply, || Reply::HangUp] {
        let script: Script = Arc::new(move |request| match request.operation {
            BIND if request.object().starts_with("CN=") => reply(),
            _ => well(request, HINTS),
        });
        let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
        let directory = fake.directory(&authority);
        let checked = directory.verify_password(&account(), &password(USER_PASSWORD)).await;
        assert!(matches!(checked, Err(Error::Unavailable(_))), "{checked:?}");
        assert_eq!(fake.requests(BIND).len(), 1);
    }
}

#[tokio::test]
async fn a_read_without_an_answer_is_repeated_on_another_connection() {
    let authority = Authority::new();
    for reply in [
        (|| Reply::HangUp) as fn() -> Reply,
        || Reply::Nonsense(b"\x30\x03\x02\x01\x02"),
        || {
            Reply::Result(
                1,
                "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be \
             completed on the connection., data 0, v4563\0",
            )
        },
    ] {
        let failures_left = Arc::new(AtomicUsize::new(1));
        let script: Script = Arc::new(move |request| {
            let fails = request.operation == SEARCH
                && request.object().starts_with("<GUID")
                && failures_left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if fails { reply() } else { well(request, HINTS) }
        });
        let fake = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
        let directory = fake.directory(&authority);
        alice(&directory).await.unwrap();
        assert_eq!(fake.connections(), 2);
    }
}

#[tokio::test]
async fn a_busy_controller_is_passed_over_for_another() {
    let authority = Authority::new();
    for operation in [BIND, MODIFY, SEARCH] {
        let busy: Script = Arc::new(move |request| match request.operation {
            asked if asked == operation => Reply::Result(51, "00002024: SvcErr: busy"),
            _ => well(request, HINTS),
        });
        let first = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, busy).await;
        let script: Script = Arc::new(|request| well(request, HINTS));
        let second = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
        let controllers = Source::Listed(vec![first.address.to_string(), second.address.to_string()]);
        let directory = open(settings(controllers, &authority));
        alice(&directory).await.unwrap();
        directory.unlock(&account()).await.unwrap();
        directory.verify_password(&account(), &password(USER_PASSWORD)).await.unwrap();
        assert_eq!(second.requests(MODIFY).len(), 1);
    }
}

#[tokio::test]
async fn a_wrong_service_password_is_not_tried_again_right_away() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| match request.operation {
        BIND => Reply::Result(
            49,
            "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1",
        ),
        _ => well(request, HINTS),
    });
    let first = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, Arc::clone(&script)).await;
    let second = Fake::start(authority.certificate(LOCALHOST), Transport::Ldaps, script).await;
    let controllers = Source::Listed(vec![first.address.to_string(), second.address.to_string()]);
    let directory = open(settings(controllers, &authority));
    let together = futures_util::future::join_all((0..20).map(|_| alice(&directory))).await;
    for outcome in together.into_iter().chain([alice(&directory).await]) {
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(why) if why.contains("name or password is wrong")),
            "{error}"
        );
    }
    assert_eq!((first.requests(BIND).len(), second.requests(BIND).len()), (1, 0));
    let findings = directory.examine().await;
    assert!(
        findings.iter().any(|finding| finding.text.contains("name or password is wrong")),
        "{findings:?}"
    );
    assert_eq!((first.requests(BIND).len(), second.requests(BIND).len()), (2, 0));
}

#[tokio::test]
async fn what_is_wrong_with_the_way_to_a_controller_is_told_in_words() {
    let authority = Authority::new();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name_server = NameServer::start(HashMap::new()).await;
    for (controller, words) in [
        (closed.to_string(), "unreachable"),
        (silent.local_addr().unwrap().to_string(), "no answer in time"),
        ("nowhere.corp.example".to_owned(), "the name can't be resolved"),
    ] {
        let mut settings = settings(Source::Listed(vec![controller]), &authority);
        settings.name_servers = vec![name_server.address];
        let findings = open(settings).examine().await;
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.text.contains(words), "{finding:?}");
    }
    let mut settings = settings(Source::Announced { site: None }, &authority);
    settings.name_servers = vec![name_server.address];
    let findings = open(settings).examine().await;
    assert!(findings[0].text.contains("_ldap._tcp.dc._msdcs.corp.example"), "{findings:?}");
}

/// Many at once against a controller that takes connections and says nothing: nobody waits for everybody.
#[tokio::test]
async fn a_silent_controller_holds_nobody_longer_than_the_timeouts() {
    let authority = Authority::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(Source::Listed(vec![silent.local_addr().unwrap().to_string()]), &authority);
    settings.connect_timeout = Duration::from_millis(200);
    let directory = open(settings);
    let began = Instant::now();
    let all = futures_util::future::join_all((0..64).map(|_| alice(&directory))).await;
    assert!(all.iter().all(|found| matches!(found, Err(Error::Unavailable(_)))));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A name server for `_ldap._tcp…` (priority, weight, port, name) and for addresses of names.
struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Known {
    Services(Vec<(u16, u16, u16, &'static str)>),
    Address(Ipv4Addr),
}

impl NameServer {
    async fn start(zone: HashMap<&'static str, Known>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                socket.send_to(&answer(&query[..length], &zone), from).await.unwrap();
            }
        });
        Self { address, task }
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}

/// RFC 1035 4.1, for one question.
fn answer(query: &[u8], zone: &HashMap<&'static str, Known>) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap().to_lowercase());
        at = end;
    }
    let question = &query[12..at + 5];
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let name = labels.join(".");
    let records: Vec<Vec<u8>> = match (zone.get(name.as_str()), kind) {
        (Some(Known::Services(services)), 33) => services
            .iter()
            .map(|(priority, weight, port, target)| {
                let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
                [numbers, encoded(target)].concat()
            })
            .collect(),
        (Some(Known::Address(address)), 1) => vec![address.octets().to_vec()],
        _ => Vec::new(),
    };
    let code = if zone.contains_key(name.as_str()) { 0x80 } else { 0x83 };
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let mut reply = [&query[..2], &[0x85, code, 0, 1], &count, &[0, 0, 0, 0], question].concat();
    for data in records {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        reply.extend(data);
    }
    reply
}

#[tokio::test]
async fn announced_controllers_are_asked_by_priority_and_weight_and_checked_by_name() {
    let authority = Authority::new();
    let script: Script = Arc::new(|request| match request.operation {
        EXTENDED => Reply::Result(0, ""),
        _ => well(request, HINTS),
    });
    let fakes = [
        ("light.corp.example", authority.certificate(&["light.corp.example"])),
        // Preferred, but its certificate says something else.
        ("heavy.corp.example", authority.certificate(&["127.0.0.1"])),
        ("later.corp.example", authority.certificate(&["later.corp.example"])),
    ];
    let mut started = Vec::new();
    for (_, certificate) in fakes {
        started.push(Fake::start(certificate, Transport::StartTls, Arc::clone(&script)).await);
    }
    let port = |n: usize| started[n].address.port();
    let services = vec![
        (20, 100, port(2), "later.corp.example"),
        (10, 1, port(0), "light.corp.example"),
        (10, 100, port(1), "heavy.corp.example"),
    ];
    let here = || Known::Address(Ipv4Addr::LOCALHOST);
    let name_server = NameServer::start(HashMap::from([
        ("_ldap._tcp.main._sites.dc._msdcs.corp.example", Known::Services(services)),
        ("light.corp.example", here()),
        ("heavy.corp.example", here()),
        ("later.corp.example", here()),
    ]))
    .await;
    let mut settings = settings(Source::Announced { site: Some("main".into()) }, &authority);
    settings.transport = Transport::StartTls;
    settings.name_servers = vec![name_server.address];
    let directory = open(settings);
    let order: Vec<_> =
        directory.network.controllers().await.unwrap().iter().map(|c| c.name.to_str().into_owned()).collect();
    assert_eq!(order, ["heavy.corp.example", "light.corp.example", "later.corp.example"]);
    alice(&directory).await.unwrap();
    assert_eq!(started.iter().map(|fake| fake.requests(BIND).len()).collect::<Vec<_>>(), [1, 0, 0]);
    // The name server may go; what it said is remembered.
    drop(name_server);
    alice(&directory).await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_told() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (source, trust, words) in [
        (Source::Listed(vec![]), None, "empty"),
        (Source::Listed(vec!["ldaps://dc1".into()]), None, "ldaps://dc1"),
        (Source::Announced { site: None }, Some(empty), "no certificate in it"),
        (Source::Announced { site: None }, Some(folder.path().join("none.pem")), "none.pem"),
    ] {
        let mut settings = settings(source, &authority);
        if let Some(file) = trust {
            settings.trust = Trust::Files(vec![file]);
        }
        let Err(error) = ActiveDirectory::new(settings, Arc::new(SystemClock)) else { panic!("{words}") };
        assert!(error.to_string().contains(words), "{error}");
    }
}
