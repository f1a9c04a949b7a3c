//! Real reverse proxies, Debian's nginx and HAProxy, with the examples of `packaging/`: addresses and files are replaced by
//! those of the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::certificate;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy, stopped when the value is dropped.
pub struct Proxy {
    folder: TempDir,
    process: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

/// A port of 127.0.0.1 that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An example of `packaging/` with these parts replaced; each must be there.
fn example(name: &str, replaced: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    let mut text = fs::read_to_string(file).unwrap();
    for (old, new) in replaced {
        assert!(text.contains(old), "{name} has no {old}");
        text = text.replace(old, new);
    }
    text
}

impl Proxy {
    /// nginx, with its example.
    pub fn nginx(replaced: &[(&str, &str)]) -> Self {
        let (folder, port) = (folder(), free_port());
        let at = folder.path().display().to_string();
        let listen = format!("listen 127.0.0.1:{port} ssl;");
        let own = [
            ("listen 443 ssl;", listen.as_str()),
            ("    listen [::]:443 ssl;\n", ""),
            ("/etc/ssl/regain/fullchain.pem", &format!("{at}/certificate.pem")),
            ("/etc/ssl/regain/privkey.pem", &format!("{at}/key.pem")),
        ];
        let site = example("nginx.conf", &[&own, replaced].concat());
        // As root it would otherwise give its workers to a user who may not open the socket.
        let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let text = format!(
            "{user}daemon off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}{site}}}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-e").arg("stderr").arg("-p").arg(folder.path()).arg("-c").arg("nginx.conf");
        Self::start(folder, port, command)
    }

    /// HAProxy, with one of its examples.
    pub fn haproxy(name: &str, replaced: &[(&str, &str)]) -> Self {
        let (folder, port) = (folder(), free_port());
        let pem = ["certificate.pem", "key.pem"]
            .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
            .concat();
        fs::write(folder.path().join("both.pem"), pem).unwrap();
        let (bind, at) = (format!("bind 127.0.0.1:{port}"), folder.path().display());
        let mut text = example(name, &[&[("bind :443", bind.as_str())], replaced].concat());
        text = text.replace("/etc/haproxy/regain.pem", &format!("{at}/both.pem"));
        fs::write(folder.path().join("haproxy.cfg"), text).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
        Self::start(folder, port, command)
    }

    fn start(folder: TempDir, port: u16, mut command: Command) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut proxy = Self { process: command.spawn().unwrap(), folder, port };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let has_ended = proxy.process.try_wait().unwrap().is_some();
            assert!(!has_ended && began.elapsed() < PATIENCE, "{}", proxy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("regain-proxy-").tempdir().unwrap();
    certificate::issue(folder.path(), &["localhost"]);
    folder
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A signal that its workers get from it, too.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.process),
            rustix::process::Signal::TERM,
        );
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy's log\n{}", self.log());
        }
    }
}
