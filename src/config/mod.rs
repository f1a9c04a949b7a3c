//! What must be known to start: a file and the environment, read once. All faults are told at once, each with its
//! place; unknown keys are faults, with the nearest name there is.

mod base_url;
mod environment;
mod keys;
mod proxies;
mod sources;

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use toml::Table;
use zeroize::Zeroizing;

pub use base_url::BaseUrl;
pub use proxies::{Proxies, ProxyHeader};
pub use sources::{Source, Sources};

use crate::domain::network::Place;
use crate::settings::{
    AcmeChallenge, Fault, Settings, Tab, form,
    layers::Fixed,
    table::{choice, sift, tab},
};

tab! {
    /// The configuration.
    pub struct Config {
        /// The folder with all that Regain remembers.
        data: PathBuf = "/var/lib/regain".into(), as form::some;
        /// The address people use, without a path.
        base_url: Option<BaseUrl> = None, as base_url::form;
        /// Further host names that are answered.
        extra_hosts: Vec<String> = Vec::new(), as form::authority;
        /// The name servers that are asked for the domain controllers; those of the system if there are none.
        name_servers: Vec<String> = Vec::new(), as name_server_form;
        /// Where HTTPS is listened for.
        listen: Vec<String> = vec!["[::]:443".into()], as listen_form;
        /// Where plain HTTP is listened for, only to be sent to HTTPS.
        listen_http: Vec<String> = vec!["[::]:80".into()], as listen_form;
        /// Where a proxy on this machine is handed the pages in plain HTTP.
        listen_plain: Vec<String> = Vec::new(), as proxies::plain_form;
        /// Where the API is listened for, apart from the pages; where they are if there are none.
        listen_api: Vec<String> = Vec::new(), as listen_form;
        /// Where those who watch are told how everything stands, over plain HTTP.
        listen_metrics: Vec<String> = Vec::new(), as listen_form;
        /// The file with the secret that keys the hashes; `secret.key` in the data folder if not set.
        secret_file: Option<PathBuf> = None, as form::some;
        /// A folder with templates, texts and assets that are laid over the embedded ones.
        overrides: Option<PathBuf> = None, as form::some;
        /// The certificate.
        https: Https = Https::default();
        /// The proxies in front.
        proxies: Proxies = Proxies::default();
        /// The log.
        log: Log = Log::default();
        /// What the program gives up once it runs.
        confinement: Confinement = Confinement::default();
        /// What clients may cost.
        connections: Connections = Connections::default();
        /// Settings fixed here.
        settings: Settings = Settings::default();
        beside:
        /// What is fixed here, and where each key comes from.
        given: Given;
    }
}

tab! {
    /// Where the certificate comes from: two PEM files, or neither for a self-signed one.
    pub struct Https {
        /// The server's certificate and the intermediate ones.
        certificate: Option<PathBuf> = None, as form::some;
        /// Its private key.
        key: Option<PathBuf> = None, as form::some;
    }
}

tab! {
    /// How the log is written.
    pub struct Log {
        /// `error`, `warn`, `info` or `debug`, or a filter such as `info,regain::directory=debug`.
        level: String = "info".into(), as level_form;
        /// Lines for people or for machines.
        format: LogFormat = LogFormat::Text;
    }
}

choice! {
    /// The form of a line of the log.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

tab! {
    /// What clients may cost; seconds where it says so.
    pub struct Connections {
        /// Open connections overall.
        total: usize = 2048, in 1..=1_000_000;
        /// Open connections of one address.
        per_address: usize = 64, in 1..=1_000_000;
        /// For the TLS handshake.
        handshake_seconds: u64 = 5, in 1..=3600;
        /// For the header of a request.
        header_seconds: u64 = 5, in 1..=3600;
        /// For its body.
        body_seconds: u64 = 10, in 1..=3600;
        /// Between two requests.
        idle_seconds: u64 = 15, in 1..=3600;
        /// For an answer.
        request_seconds: u64 = 45, in 1..=3600;
        /// For a connection.
        age_seconds: u64 = 600, in 1..=86_400;
    }
}

tab! {
    /// What the program gives up once it runs, as far as the kernel knows it (Landlock, seccomp).
    pub struct Confinement {
        /// Whether it does: writing outside its own folders, running programs, and calls of the kernel that it never makes.
        enabled: bool = true;
        /// Folders besides its own that it may write to: where the panel may have backups made.
        writable: Vec<String> = Vec::new(), as form::absolute_path;
    }
}

/// What is fixed in file and environment.
#[derive(Clone, Default)]
pub struct Given {
    /// Where each key comes from.
    pub sources: Sources,
    /// The settings that are fixed, as given. There are secrets among them.
    pub settings: Table,
}

impl Given {
    /// The settings that are fixed, for the panel.
    pub fn fixed(&self) -> Fixed {
        let sources =
            self.sources.within("settings").map(|(key, source)| (key.to_owned(), source.to_string()));
        Fixed { table: self.settings.clone(), sources: sources.collect() }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("sources", &self.sources).finish_non_exhaustive()
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
        let mut sources = Sources::default();
        let mut table = match path {
            None => Table::new(),
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| Error::one(format!("{}: {error}", path.display())))?;
                sources::read(path, &Zeroizing::new(text), &mut sources).map_err(Error::one)?
            }
        };
        let mut faults = environment::overlay(Self::FIELDS, &mut table, variables, &mut sources);
        faults.extend(keys::take_out_unknown(Self::FIELDS, &mut table, &sources));
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut wrong = Vec::new();
        keys::read_secret_files(Self::FIELDS, &mut table, folder, &mut sources, &mut wrong);
        sift(Self::FIELDS, &mut table, "", &mut wrong);
        let settings = table.get("settings").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let mut config: Self = table.try_into().map_err(|error| Error::one(error_text(&error)))?;
        // What follows from a value that was taken out is no fault of its own.
        for fault in config.faults() {
            let follows = |known: &Fault| {
                known.key == fault.key || known.key.strip_suffix("_file") == Some(fault.key.as_str())
            };
            if !wrong.iter().any(follows) {
                wrong.push(fault);
            }
        }
        faults.extend(wrong.iter().map(|fault| match sources.nearest(&fault.key) {
            Some(source) => format!("{source}: {fault}"),
            None => fault.to_string(),
        }));
        if faults.is_empty() {
            config.given = Given { sources, settings };
            Ok(config)
        } else {
            Err(Error { faults })
        }
    }

    /// What is wrong beyond single values.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.settings.faults();
        if self.https.certificate.is_some() != self.https.key.is_some() {
            faults.push(Fault::new(
                "https",
                "certificate and key belong together; give both, or neither for a self-signed one",
            ));
        }
        let is_named = |base_url: &BaseUrl| base_url.host().parse::<IpAddr>().is_err();
        if self.settings.methods.passkeys && !self.base_url.as_ref().is_none_or(is_named) {
            let text = "true, but they need a host name in base_url, not an address";
            faults.push(Fault::new("settings.methods.passkeys", text));
        }
        let acme = &self.settings.acme;
        if acme.enabled && acme.challenge == AcmeChallenge::Http01 && self.listen_http.is_empty() {
            let text =
                "\"http_01\" is answered where plain HTTP is listened for, and listen_http has no address";
            faults.push(Fault::new("settings.acme.challenge", text));
        }
        faults.extend(self.faults_of_proxies());
        if self.listen.is_empty() && self.listen_plain.is_empty() {
            faults.push(Fault::new("listen", "needs an address at least, such as \"[::]:443\""));
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

    /// The addresses to listen on for the API alone.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.listen_api.iter().filter_map(|address| resolve(address).ok()).collect()
    }

    /// The addresses to listen on for those who watch.
    pub fn metrics_addresses(&self) -> Vec<SocketAddr> {
        self.listen_metrics.iter().filter_map(|address| resolve(address).ok()).collect()
    }

    /// The `Host` values that are answered where the API is listened for apart, in lower case: the names under which the pages
    /// are known, with its ports, and further hosts as they are given.
    pub fn api_hosts(&self) -> Vec<String> {
        let extra = self.extra_hosts.iter().map(|host| host.to_lowercase());
        let names = self.hosts().into_iter().map(|host| without_port(&host).to_owned()).collect::<Vec<_>>();
        let ports: Vec<u16> = self.api_addresses().iter().map(SocketAddr::port).collect();
        let at_ports = names.iter().flat_map(|name| {
            ports.iter().map(move |port| if *port == 443 { name.clone() } else { format!("{name}:{port}") })
        });
        at_ports.chain(extra).collect()
    }

    /// The `Host` values that are answered, in lower case: that of the base URL first.
    pub fn hosts(&self) -> Vec<String> {
        let base = self.base_url.iter().map(|base_url| base_url.authority().to_owned());
        base.chain(self.extra_hosts.iter().map(|host| host.to_lowercase())).collect()
    }

    /// The names and addresses of this machine, without ports: that of the base URL first.
    pub fn names(&self) -> Vec<String> {
        let bare = |host: String| without_port(&host).trim_matches(['[', ']']).to_owned();
        self.hosts().into_iter().map(bare).collect()
    }

    /// The name servers to ask for domain controllers; none for those of the system.
    pub fn name_server_addresses(&self) -> Vec<SocketAddr> {
        self.name_servers.iter().filter_map(|text| name_server(text)).collect()
    }

    /// Where the secret is kept.
    pub fn secret_path(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.data.join("secret.key"))
    }

    /// Where the end of the audit log is noted: beside the secret, which should not be with the data.
    pub fn head_path(&self) -> PathBuf {
        self.secret_path().with_file_name("audit.head")
    }

    /// The folders that are written to: with what is remembered, the secret, backups, mails and sockets, and further ones.
    pub fn writable_folders(&self) -> Vec<PathBuf> {
        let parent = |file: &Path| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            // A bare name is one in the folder that the program was started in.
            _ => PathBuf::from("."),
        };
        let sockets = self.plain_places().into_iter().filter_map(|place| match place {
            Place::Socket(path) => Some(parent(&path)),
            Place::Address(_) => None,
        });
        let more = self.confinement.writable.iter().map(PathBuf::from);
        let own = [self.data.clone(), parent(&self.secret_path())];
        let named = [self.settings.backup.folder.clone(), self.settings.mail.folder.clone()];
        own.into_iter().chain(named.into_iter().flatten()).chain(sockets).chain(more).collect()
    }

    /// The file that is used when none is named, if it exists.
    pub fn usual_path() -> Option<PathBuf> {
        ["/etc/regain/config.toml", "config.toml"].into_iter().map(PathBuf::from).find(|path| path.exists())
    }
}

/// Only what is wrong: the text of an error of `toml` also shows the line, and that line may have a password.
fn error_text(error: &toml::de::Error) -> String {
    error.message().lines().collect::<Vec<_>>().join(" ")
}

/// Host and perhaps port: the host, an IPv6 address in its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let mut found = address.to_socket_addrs().map_err(|e| e.to_string())?;
    found.next().ok_or_else(|| "no such address".to_owned())
}

fn listen_form(address: &str) -> Result<(), String> {
    resolve(address).map(drop).map_err(|error| {
        format!("can't be listened on: {error}; an address looks like [::]:443 or 192.0.2.1:8443")
    })
}

/// An address, with the port of DNS (RFC 1035 4.2) if it has none.
fn name_server(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = |address: IpAddr| SocketAddr::new(address, 53);
    let address = bare.parse().map(with_port).or_else(|_| text.parse()).ok();
    address.filter(|address: &SocketAddr| address.port() > 0 && !address.ip().is_unspecified())
}

fn name_server_form(text: &str) -> Result<(), String> {
    name_server(text).map(drop).ok_or_else(|| {
        "is not the address of a name server: 192.0.2.53, 192.0.2.53:5353 or 2001:db8::53; a name can't be asked for \
         before there is one"
            .into()
    })
}

/// A single word that is no level would be taken for the name of a module, and nothing else be logged.
fn level_form(level: &str) -> Result<(), String> {
    let is_level = |part: &str| part.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let words = level.split(',').all(|part| part.contains('=') || is_level(part));
    if words && level.parse::<tracing_subscriber::filter::Targets>().is_ok() {
        return Ok(());
    }
    Err("is not error, warn, info or debug, or a filter such as info,regain::directory=debug".into())
}

/// The variables of this process that are meant for Regain; the only place that reads the environment.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(environment::PREFIX))
        // What is no text stays recognisable as such and is refused by name.
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
