//! What must be known to start: a file and the environment, read once. Unknown keys are errors with the nearest valid
//! name.

mod environment;
mod keys;

use std::{
    fmt, fs,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::settings::Settings;

/// The configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder with all that Regain remembers.
    pub data: PathBuf,
    /// The address people use, without a path.
    pub base_url: Option<BaseUrl>,
    /// Further host names that are answered.
    pub extra_hosts: Vec<String>,
    /// Where HTTPS is listened for.
    pub listen: Vec<String>,
    /// Where plain HTTP is listened for, only to be sent to HTTPS.
    pub listen_http: Vec<String>,
    /// The file with the secret that keys the hashes; `secret.key` in the data folder if not set.
    pub secret_file: Option<PathBuf>,
    /// The certificate.
    pub https: Https,
    /// The log.
    pub log: Log,
    /// What clients may cost.
    pub connections: Connections,
    /// Settings fixed here.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "/var/lib/regain".into(),
            base_url: None,
            extra_hosts: Vec::new(),
            listen: vec!["[::]:443".into()],
            listen_http: vec!["[::]:80".into()],
            secret_file: None,
            https: Https::default(),
            log: Log::default(),
            connections: Connections::default(),
            settings: Settings::default(),
        }
    }
}

/// Where the certificate comes from: two PEM files, or neither for a self-signed one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Https {
    /// The server's certificate and the intermediate ones.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// How the log is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,regain::directory=debug`.
    pub level: String,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What clients may cost; seconds where it says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Open connections overall.
    pub total: usize,
    /// Open connections of one address.
    pub per_address: usize,
    /// For the TLS handshake.
    pub handshake_seconds: u64,
    /// For the header of a request.
    pub header_seconds: u64,
    /// For its body.
    pub body_seconds: u64,
    /// Between two requests.
    pub idle_seconds: u64,
    /// For an answer.
    pub request_seconds: u64,
    /// For a connection.
    pub age_seconds: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            total: 2048,
            per_address: 64,
            handshake_seconds: 5,
            header_seconds: 5,
            body_seconds: 10,
            idle_seconds: 15,
            request_seconds: 45,
            age_seconds: 600,
        }
    }
}

/// The address people use: `https://` and a host, perhaps a port, no path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

impl BaseUrl {
    /// `https://reset.corp.example`.
    pub fn origin(&self) -> &str {
        &self.0
    }

    /// Host, and port if it is not 443, as browsers send it.
    pub fn authority(&self) -> &str {
        self.0.strip_prefix("https://").unwrap_or_default()
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wanted =
            "must be https:// and a host name, perhaps a port, without a path: https://reset.corp.example";
        let authority = text.strip_prefix("https://").ok_or_else(|| format!("\"{text}\" {wanted}"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority).to_lowercase();
        let sound = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
        if !sound {
            return Err(format!("\"{text}\" {wanted}"));
        }
        Ok(Self(format!("https://{}", authority.strip_suffix(":443").unwrap_or(&authority))))
    }
}

/// The configuration can't be used; each line says what and where.
#[derive(Debug)]
pub struct Error {
    faults: Vec<String>,
}

impl Error {
    fn one(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()] }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for Error {}

impl Config {
    /// Reads the file, if there is one, and lays the environment over it. The environment wins.
    pub fn load(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let (mut table, origin) = match path {
            None => (toml::Table::new(), keys::Origin::default()),
            Some(path) => {
                let shown = path.display();
                let text = fs::read_to_string(path).map_err(|e| Error::one(format!("{shown}: {e}")))?;
                let table: toml::Table = toml::from_str(&text)
                    .map_err(|e| Error::one(format!("{shown}: {}", e.to_string().trim_end())))?;
                (table, keys::Origin::of_file(path, &text))
            }
        };
        let origin = environment::overlay(&mut table, variables, origin).map_err(Error::one)?;
        let folder = path.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        keys::read_secret_files(&mut table, &folder).map_err(|faults| Error { faults })?;
        let unknown = keys::unknown(&table, &origin);
        if !unknown.is_empty() {
            return Err(Error { faults: unknown });
        }
        let config: Self =
            table.try_into().map_err(|e: toml::de::Error| Error::one(e.to_string().trim_end()))?;
        let faults = config.faults();
        if faults.is_empty() { Ok(config) } else { Err(Error { faults }) }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.settings.faults().iter().map(ToString::to_string).collect();
        if self.https.certificate.is_some() != self.https.key.is_some() {
            faults.push(
                "https: certificate and key belong together; give both, or neither for a self-signed one"
                    .into(),
            );
        }
        for (key, addresses) in [("listen", &self.listen), ("listen_http", &self.listen_http)] {
            for address in addresses {
                if let Err(error) = resolve(address) {
                    faults.push(format!(
                        "{key}: \"{address}\": {error}; an address looks like [::]:443 or 192.0.2.1:8443"
                    ));
                }
            }
        }
        faults
    }

    /// The addresses to listen on.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.listen.iter().filter_map(|address| resolve(address).ok()).collect()
    }

    /// The addresses that send plain HTTP to HTTPS.
    pub fn redirect_addresses(&self) -> Vec<SocketAddr> {
        self.listen_http.iter().filter_map(|address| resolve(address).ok()).collect()
    }

    /// Where the secret is kept.
    pub fn secret_path(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.data.join("secret.key"))
    }

    /// The file that is used when none is named, if it exists.
    pub fn usual_path() -> Option<PathBuf> {
        ["/etc/regain/config.toml", "config.toml"].into_iter().map(PathBuf::from).find(|path| path.exists())
    }
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let mut found = address.to_socket_addrs().map_err(|e| e.to_string())?;
    found.next().ok_or_else(|| "no such address".to_owned())
}

/// The environment of this process; the only place that reads it.
#[expect(clippy::disallowed_methods, reason = "configuration is the one reader of the environment")]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars().collect()
}

#[cfg(test)]
mod tests;
