//! A real syslog server, Debian's rsyslog, with a configuration of its own on loopback.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::certificate;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a folder of its own, both gone when the value is dropped. It takes UDP, TCP and TLS.
pub struct SyslogServer {
    folder: TempDir,
    process: Option<Child>,
    /// The ports on 127.0.0.1.
    pub udp: u16,
    /// That for TCP.
    pub tcp: u16,
    /// That for TLS.
    pub tls: u16,
}

fn free_tcp() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl SyslogServer {
    /// A server whose certificate is good for that name.
    pub fn called(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("regain-syslog-").tempdir().unwrap();
        certificate::issue(folder.path(), &[name]);
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (tcp, tls) = (free_tcp(), free_tcp());
        let at = folder.path().display();
        // The parts as rsyslog has read them out of the message, a line of JSON each.
        let parts = [
            ("way", "inputname"),
            ("pri", "pri"),
            ("version", "protocol-version"),
            ("host", "hostname"),
            ("app", "app-name"),
            ("process", "procid"),
            ("id", "msgid"),
            ("data", "structured-data"),
            ("text", "msg"),
        ];
        let parts: String = parts
            .iter()
            .map(|(key, name)| {
                format!("  property(outname=\"{key}\" name=\"{name}\" format=\"jsonf\")\n  constant(value=\",\")\n")
            })
            .collect();
        let text = format!(
            "global(workDirectory=\"{at}\"\n\
               defaultNetstreamDriverCAFile=\"{at}/ca.pem\"\n\
               defaultNetstreamDriverCertFile=\"{at}/certificate.pem\"\n\
               defaultNetstreamDriverKeyFile=\"{at}/key.pem\")\n\
             module(load=\"imudp\")\n\
             module(load=\"imptcp\")\n\
             module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
             template(name=\"parts\" type=\"list\") {{\n  constant(value=\"{{\")\n{parts}\
               property(outname=\"at\" name=\"timereported\" dateFormat=\"rfc3339\" format=\"jsonf\")\n\
               constant(value=\"}}\\n\")\n}}\n\
             ruleset(name=\"all\") {{ action(type=\"omfile\" file=\"{at}/got\" template=\"parts\") }}\n\
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\" name=\"udp\" ruleset=\"all\")\n\
             input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{tcp}\" name=\"tcp\" ruleset=\"all\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\" name=\"tls\" ruleset=\"all\")\n"
        );
        fs::write(folder.path().join("rsyslog.conf"), text).unwrap();
        let mut server = Self { folder, process: None, udp, tcp, tls };
        server.start();
        server
    }

    /// Starts it, and waits until it listens.
    pub fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.file("log")).unwrap();
        let process = Command::new("/usr/sbin/rsyslogd")
            .arg("-n")
            .arg("-f")
            .arg(self.file("rsyslog.conf"))
            .arg("-i")
            .arg(self.file("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
        let began = Instant::now();
        for port in [self.tcp, self.tls] {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                assert!(began.elapsed() < PATIENCE, "{}", fs::read_to_string(self.file("log")).unwrap());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Stops it, with all its connections.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        process.wait().unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// All it got that way: `udp`, `tcp`, `tls`.
    pub fn got(&self, way: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.file("got")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|one: &Value| one["way"] == way)
            .collect()
    }

    /// Waits until it got that way what `is_there` looks for.
    pub async fn gets(&self, way: &str, is_there: impl Fn(&Value) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let got = self.got(way);
            if got.iter().any(&is_there) {
                return got;
            }
            let log = fs::read_to_string(self.file("log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "it did not come by {way}: {got:?} {log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for SyslogServer {
    fn drop(&mut self) {
        self.stop();
    }
}
