//! The program as shipped: started with a configuration file, watched from outside, killed.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    domain::{DNS, Domain, NETBIOS, PASSWORD, SERVICE},
    http::{Page, Visitor},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running (or stopped) server with a folder of its own, both gone when the value is dropped.
pub struct Server {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
    disk_mib: Option<u32>,
}

/// For stories that send many forms from one address and look at no reply's timing.
pub const QUICK: &str = "[settings.limits]\nrequests_per_address_per_minute = 0\n\
     [settings.security]\nreply_deadline_ms = 0\n";

/// The configuration file: the only place in the tests that knows its format.
fn configuration(folder: &Path, port: u16, controllers: &[&Domain], more: &str) -> String {
    use std::fmt::Write as _;
    let folder = folder.display();
    let mut text = format!(
        "listen = [\"127.0.0.1:{port}\"]\n\
         listen_http = []\n\
         base_url = \"https://localhost:{port}\"\n\
         data = '{folder}/data'\n\
         secret_file = '{folder}/secret.key'\n"
    );
    if let Some(first) = controllers.first() {
        let addresses: Vec<_> = controllers.iter().map(|domain| domain.address.to_string()).collect();
        write!(
            text,
            "\n[[settings.domain]]\n\
             dns_name = \"{DNS}\"\n\
             netbios_name = \"{NETBIOS}\"\n\
             service_account = \"{SERVICE}@{DNS}\"\n\
             service_password_file = \"service.password\"\n\
             controllers = {addresses:?}\n\
             ca_file = '{}'\n",
            first.ca().display(),
        )
        .unwrap();
    }
    text + more
}

impl Server {
    /// A server of the shared test domain with default settings.
    pub async fn start() -> Self {
        Self::with(&[Domain::shared()], "").await
    }

    /// A server of the shared test domain that neither limits addresses nor waits before it replies.
    pub async fn quick() -> Self {
        Self::with(&[Domain::shared()], QUICK).await
    }

    /// A server whose one domain has these controllers, in this order. `more` is appended to its configuration:
    /// keys of the domain, then tables such as `[settings.security]`.
    pub async fn with(controllers: &[&Domain], more: &str) -> Self {
        let mut server = Self::prepared(controllers, more);
        server.restart().await;
        server
    }

    /// As [`Self::with`], but not started.
    pub fn prepared(controllers: &[&Domain], more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("regain-server-").tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let text = configuration(folder.path(), port, controllers, more);
        fs::write(folder.path().join("config.toml"), text).unwrap();
        fs::write(folder.path().join("service.password"), PASSWORD).unwrap();
        Self { program: env!("CARGO_BIN_EXE_regain").into(), folder, port, process: None, disk_mib: None }
    }

    /// Has another program serve it at the next start.
    pub fn serves_by(&mut self, program: impl Into<PathBuf>) {
        self.program = program.into();
    }

    /// Changes its configuration file, for the next start or command.
    pub fn configure(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.file("config.toml")).unwrap();
        assert!(text.contains(old), "the configuration has no {old}");
        fs::write(self.file("config.toml"), text.replace(old, new)).unwrap();
    }

    /// Puts the data folder on a disk of its own, of so many MiB, that is gone when the server ends.
    pub fn on_a_small_disk(&mut self, mib: u32) {
        self.disk_mib = Some(mib);
    }

    /// A file in the data folder as the running server sees it.
    pub fn data_file(&self, name: &str) -> PathBuf {
        let seen = self.file("data").join(name);
        PathBuf::from(format!("/proc/{}/root{}", self.pid(), seen.display()))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `regain check`: whether all is well, and what it prints.
    pub async fn check(&self) -> (bool, String) {
        let (status, text) = finish(self.command("check")).await;
        (status.success(), text)
    }

    /// Starts the server, which is not expected to stay: what it says.
    pub async fn fails_to_start(&self) -> String {
        let (status, text) = finish(self.command("serve")).await;
        assert!(!status.success(), "{text}");
        text
    }

    /// A command of the program, to be run on this server's configuration: `regain check --config FILE`.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        // The environment configures, too, and that of the tests is not meant for the server.
        command.arg(name).arg("--config").arg(self.file("config.toml")).stdin(Stdio::null()).env_clear();
        command
    }

    /// A file in the server's folder: `config.toml`, `server.log`, below `data`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `https://localhost:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Someone without cookies yet.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.port)
    }

    /// All that the server has written so far, through all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("server.log")).unwrap_or_default()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// Kills the server (`SIGKILL`).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error means that it ended by itself: the wait tells.
            let _ = process.kill();
            process.wait().unwrap();
        }
    }

    /// Asks the server to stop (`SIGTERM`) and waits for it.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let asked = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if asked.elapsed() > PATIENCE {
                self.process = Some(process);
                panic!("the server did not stop on SIGTERM");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the server if it runs, and starts it again on the same data and port.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch();
        self.ready().await;
    }

    fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.file("server.log")).unwrap();
        let mut command = self.command("serve");
        if let Some(mib) = self.disk_mib {
            command = on_disk(&command, &self.file("data"), mib);
        }
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.process = Some(process.unwrap());
    }

    async fn ready(&mut self) {
        let began = Instant::now();
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", self.port);
        let visitor = self.visitor();
        loop {
            if let Some(status) = self.process.as_mut().expect("the server runs").try_wait().unwrap() {
                self.process = None;
                panic!("the server ended at its start: {status}; {}", self.log());
            }
            if let Ok(answer) = visitor.raw(request.as_bytes()).await
                && Page::parse("/healthz", &answer).status == 200
            {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not answer on /healthz");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The command, in a mount namespace of its own in which the folder is a file system of that size.
fn on_disk(command: &Command, folder: &Path, mib: u32) -> Command {
    fs::create_dir_all(folder).unwrap();
    let mut wrapped = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        wrapped.arg("--map-root-user");
    }
    let script = r#"mount -t tmpfs -o size="$1"m,mode=700 regain-test "$2" && shift 2 && exec "$@""#;
    wrapped.args(["--mount", "sh", "-c", script, "sh", &mib.to_string()]).arg(folder);
    wrapped.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null()).env_clear();
    wrapped
}

/// Runs a command to its end; what it wrote to both outputs.
pub async fn finish(mut command: Command) -> (ExitStatus, String) {
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            process.kill().unwrap();
            let output = process.wait_with_output().unwrap();
            panic!("it does not end: {}", String::from_utf8_lossy(&output.stdout));
        }
        sleep(Duration::from_millis(10)).await;
    }
    let output = process.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status, text)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("--- the end of the server's log");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
