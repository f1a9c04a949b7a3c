//! A real mail server, `tests/mail/server.py`, and what it saw.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::certificate;

/// A running server with a folder of its own, both gone when the value is dropped.
pub struct MailServer {
    folder: TempDir,
    process: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl MailServer {
    /// A server with these options, whose certificate is good for `localhost`.
    pub fn start(options: &[&str]) -> Self {
        Self::called("localhost", options)
    }

    /// A server whose certificate is good for that name.
    pub fn called(name: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate::issue(folder.path(), &[name]);
        let mut process = Command::new("/usr/bin/python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/server.py"))
            .arg(folder.path())
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("errors")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!("no mail server: {}", fs::read_to_string(folder.path().join("errors")).unwrap())
        });
        Self { folder, process, port }
    }

    /// Its authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// From now on it answers so to `rcpt` or `data`; nothing for its own answer.
    pub fn answers(&self, command: &str, words: &str) {
        fs::write(self.folder.path().join(command), words).unwrap();
    }

    /// All it saw of that kind: `connection`, `bytes`, `login`, `mail`.
    pub fn seen(&self, kind: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("seen")).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|what| what.get(kind).is_some()).collect()
    }

    /// The code in the mail with that number, from 1, among those with one to an address that ends so.
    pub async fn latest_code(&self, address: &str, number: usize) -> String {
        let began = std::time::Instant::now();
        let digits = |word: &&str| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit());
        loop {
            let to = |mail: &&Value| mail["recipients"][0].as_str().is_some_and(|to| to.ends_with(address));
            let seen = self.seen("mail");
            let texts = seen.iter().filter(to).filter_map(|mail| mail["text"].as_str());
            let mut codes = texts.filter_map(|text| text.split_whitespace().find(digits));
            if let Some(code) = codes.nth(number - 1) {
                return code.to_owned();
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "the code did not come");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// How many mails it took; started with `--count`, when it keeps nothing else.
    pub fn count(&self) -> usize {
        let text = fs::read_to_string(self.folder.path().join("count")).unwrap_or_default();
        // Empty for the moment in which it is written.
        text.parse().unwrap_or_default()
    }

    /// The bytes it saw, under TLS or not.
    pub fn bytes(&self, under_tls: bool) -> String {
        let seen = self.seen("bytes");
        seen.iter()
            .filter(|what| what["tls"] == under_tls)
            .map(|what| what["bytes"].as_str().unwrap())
            .collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
