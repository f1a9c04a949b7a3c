//! The program as shipped, started on a folder, and what it costs, read from /proc.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use super::pages::Browser;

/// A running server; stopped when the value is dropped.
pub struct Server {
    process: Child,
    /// Where it listens on localhost.
    pub port: u16,
    /// From the start of the process to the first whole page.
    pub first_page: Duration,
    folder: TempDir,
}

/// A domain that nobody ever asks.
pub const NO_DOMAIN: &str = "[[settings.domain]]\ndns_name = \"corp.example\"\nnetbios_name = \"CORP\"\n\
                             service_account = \"x@corp.example\"\nservice_password = \"x\"\n\
                             controllers = [\"127.0.0.1:1\"]\n";

impl Server {
    /// A server with its data there. `settings` are tables of the configuration. No limit is in the way but those
    /// that bound memory.
    pub async fn start(data: &Path, settings: &str) -> Self {
        let folder = folder();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let file = configure(folder.path(), data, port, settings);
        let log = File::create(folder.path().join("server.log")).unwrap();
        let began = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_regain"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                let log = fs::read_to_string(folder.path().join("server.log")).unwrap();
                panic!("the server ended at its start: {status}\n{log}");
            }
            if let Ok(mut browser) = Browser::open(port).await {
                assert_eq!(browser.get("/").await.step(), "menu/menu");
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        Self { process, port, first_page: began.elapsed(), folder }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap()
    }

    /// The processor time it has used so far.
    pub fn processor_time(&self) -> Duration {
        processor_time(&self.process.id().to_string())
    }

    /// MiB resident now.
    pub fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// MiB resident at most since [`Self::forget_peak`].
    pub fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// Begins to watch for the highest resident size anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    fn memory(&self, name: &str) -> f64 {
        memory(&self.process.id().to_string(), name)
    }
}

/// A folder for a configuration and what the program says.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("regain-bench-").tempdir().unwrap()
}

/// Writes the configuration of a server; the file.
pub fn configure(folder: &Path, data: &Path, port: u16, settings: &str) -> PathBuf {
    let configuration = format!(
        "listen = [\"127.0.0.1:{port}\"]\nlisten_http = []\nbase_url = \"https://localhost:{port}\"\ndata = '{}'\n\
         [connections]\ntotal = 4096\nper_address = 4096\nidle_seconds = 120\n\
         [settings.limits]\nrequests_per_address_per_minute = 0\nrequests_per_second_overall = 0\n\
         starts_per_account_per_hour = 0\n{settings}",
        data.display()
    );
    let file = folder.join("config.toml");
    fs::write(&file, configuration).unwrap();
    file
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

/// User and system time of a process (`proc_pid_stat(5)`: fields 14 and 15, in ticks of 10 ms).
pub fn processor_time(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, behind_name) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = behind_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// MiB of a process, from a line of its status (`proc_pid_status(5)`).
pub fn memory(process: &str, name: &str) -> f64 {
    try_memory(process, name).unwrap()
}

/// The same of a process that may be gone.
pub fn try_memory(process: &str, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}
