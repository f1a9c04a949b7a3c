//! A real authority that speaks ACME: Debian's pebble, with a name server that leads every name to this machine.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustls::pki_types::CertificateDer;
use serde_json::json;
use tempfile::TempDir;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::certificate;

const PATIENCE: Duration = Duration::from_secs(20);

/// The program that plays the name server.
const NAMES: &str = "pebble-challtestsrv";

/// What an authority is like, and where it looks.
pub struct Looks {
    /// The port at which it looks for TLS-ALPN-01.
    pub tls: u16,
    /// That for HTTP-01.
    pub http: u16,
    /// For how many seconds its certificates are good.
    pub seconds: u64,
    /// So many percent of nonces it takes for stale.
    pub stale: u8,
    /// Names it issues nothing for.
    pub refuses: &'static [&'static str],
    /// Whether it wants accounts that were made elsewhere.
    pub binding: bool,
}

impl Default for Looks {
    fn default() -> Self {
        Self { tls: 1, http: 1, seconds: 90 * 24 * 60 * 60, stale: 0, refuses: &[], binding: false }
    }
}

/// An authority with a folder of its own, both gone when the value is dropped.
pub struct Pebble {
    folder: TempDir,
    port: u16,
    processes: Vec<Child>,
}

/// A port of 127.0.0.1 on which nobody listens.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn await_port(port: u16) {
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Pebble {
    /// One that is not there yet.
    pub fn prepared(looks: &Looks) -> Self {
        let folder = tempfile::Builder::new().prefix("regain-pebble-").tempdir().unwrap();
        certificate::issue(folder.path(), &["localhost"]);
        let port = free_port();
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": "",
            "certificate": folder.path().join("certificate.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": looks.http,
            "tlsPort": looks.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": looks.binding,
            "externalAccountMACKeys": { "kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" },
            "domainBlocklist": looks.refuses,
            "certificateValidityPeriod": looks.seconds,
        } });
        fs::write(folder.path().join("pebble.json"), config.to_string()).unwrap();
        fs::write(folder.path().join("stale"), looks.stale.to_string()).unwrap();
        Self { folder, port, processes: Vec::new() }
    }

    /// One that is there.
    pub fn start(looks: &Looks) -> Self {
        let mut pebble = Self::prepared(looks);
        pebble.run();
        pebble
    }

    /// Starts it. It remembers nothing of its run before.
    pub fn run(&mut self) {
        let (names, management) = (free_port(), free_port());
        let mut server = self.command(NAMES);
        server.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]);
        server.arg("-dns01").arg(format!("127.0.0.1:{names}"));
        server.arg("-management").arg(format!("127.0.0.1:{management}"));
        self.processes.push(server.spawn().unwrap());
        let stale = fs::read_to_string(self.file("stale")).unwrap();
        let mut pebble = self.command("pebble");
        pebble
            .arg("-config")
            .arg(self.file("pebble.json"))
            .arg("-dnsserver")
            .arg(format!("127.0.0.1:{names}"));
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", stale);
        // That names are looked at again and again.
        pebble.env("PEBBLE_AUTHZREUSE", "0");
        self.processes.push(pebble.spawn().unwrap());
        await_port(self.port);
        await_port(management);
    }

    fn command(&self, program: &str) -> Command {
        let log = File::options().create(true).append(true).open(self.file("log")).unwrap();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Ends it.
    pub fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            let _ = process.kill();
            process.wait().unwrap();
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The authority of its own address, as PEM.
    pub fn ca(&self) -> String {
        fs::read_to_string(self.file("ca.pem")).unwrap()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// How many orders it took.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    /// The settings that order certificates of it.
    pub fn settings(&self, names: &[&str]) -> String {
        format!(
            "[settings.acme]\nenabled = true\nterms_agreed = true\ndirectory = '{}'\nnames = {names:?}\n\
             contact = 'admin@corp.example'\nca_certificates = '''\n{}'''\n",
            self.directory(),
            self.ca(),
        )
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of the authority's log");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Who issued a certificate, and for which names.
pub fn read(certificate: &CertificateDer<'_>) -> (String, Vec<String>) {
    let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let mut names: Vec<_> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    names.sort();
    (parsed.issuer().to_string(), names)
}
