//! `regain check`: one line for each thing looked at, and how to mend what is wrong.

use std::{net::SocketAddr, path::Path, sync::Arc};

use time::OffsetDateTime;

use super::{Failure, reachable, say};
use crate::{
    app,
    breached::List,
    config::{Config, ProxyHeader},
    confine,
    domain::{
        clock::{Clock, SystemClock},
        finding::{Finding, Verdict},
        message::Channel,
        network::Place,
    },
    flows::certificate::wanted_by,
    notify::{self, Standing, forward::Way},
    store::backup,
    tls,
};

/// So many texts that are missing are named.
const MOST_KEYS: usize = 5;

/// Prints the findings; true if none is bad.
pub(super) async fn run(config: Result<Config, Failure>) -> bool {
    let mut worst = Verdict::Good;
    let mut tell = |finding: &Finding| {
        worst = worst.max(finding.verdict);
        let word = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Warning => "warn",
            Verdict::Bad => "FAIL",
        };
        say(&format!("{word}  {}: {}", finding.subject, finding.text));
    };
    let config = match config {
        Ok(config) => config,
        Err(Failure(text)) => {
            for line in text.lines() {
                tell(&Finding::new("configuration", Verdict::Bad, line));
            }
            return false;
        }
    };
    match &config.base_url {
        Some(base_url) => tell(&Finding::new("configuration", Verdict::Good, base_url.origin())),
        None => tell(&Finding::new("configuration", Verdict::Bad, "base_url is needed to serve")),
    }
    for finding in check_certificate(&config).await {
        tell(&finding);
    }
    for finding in check_proxies(&config) {
        tell(&finding);
    }
    tell(&check_data(&config));
    tell(&check_confinement(&config));
    for finding in check_overrides(&config) {
        tell(&finding);
    }
    if let Some(file) = &config.settings.security.breached_passwords_file {
        tell(&check_breached(file));
    }
    if let Some(folder) = &config.settings.backup.folder {
        tell(&check_backups(folder));
    }
    if config.settings.domain.is_empty() {
        let text = "no domain is configured here; if one was added in the admin panel, try it there";
        tell(&Finding::new("directory", Verdict::Warning, text));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match app::directories(&config.settings, &config.name_server_addresses(), &clock) {
        Err(error) => tell(&Finding::new("directory", Verdict::Bad, error.to_string())),
        Ok(directories) => {
            for directory in directories {
                for finding in directory.examine().await {
                    tell(&finding);
                }
            }
        }
    }
    for channel in [Channel::Mail, Channel::Sms] {
        if let Some(finding) = check_channel(&config, channel).await {
            tell(&finding);
        }
    }
    for way in Way::ALL {
        let (verdict, text) = match way.examine(&config.settings).await {
            Standing::Off => continue,
            Standing::Good(text) => (Verdict::Good, text),
            Standing::Bad(text) => (Verdict::Bad, text),
        };
        tell(&Finding::new(&format!("events to {}", way.as_str()), verdict, text));
    }
    worst != Verdict::Bad
}

/// How messages go out. That text messages don't is nothing to be said.
async fn check_channel(config: &Config, channel: Channel) -> Option<Finding> {
    let subject = channel.as_str().to_owned();
    let (verdict, text) = match (notify::examine(&config.settings, channel).await, channel) {
        (Standing::Off, Channel::Sms) => return None,
        (Standing::Off, Channel::Mail) => {
            let text = "not set up: nobody is told when a password was reset; see [settings.mail]";
            (Verdict::Warning, text.to_owned())
        }
        (Standing::Good(text), _) => (Verdict::Good, text),
        (Standing::Bad(text), _) => (Verdict::Bad, text),
    };
    Some(Finding { subject, verdict, text })
}

async fn check_certificate(config: &Config) -> Vec<Finding> {
    let subject = "certificate";
    let (Some(certificate), Some(key)) = (&config.https.certificate, &config.https.key) else {
        return check_issued(config).await;
    };
    let source = tls::Source::PemFiles { certificate: certificate.clone(), key: key.clone() };
    let now = OffsetDateTime::now_utc();
    match tls::Certificates::open(source, now) {
        Err(error) => vec![Finding::new(subject, Verdict::Bad, error.to_string())],
        Ok(certificates) => certificates.examine(&config.hosts(), now),
    }
}

/// Where there are no files: the authority, as far as the configuration names it, and what a running Regain shows.
async fn check_issued(config: &Config) -> Vec<Finding> {
    let acme = &config.settings.acme;
    let mut findings = Vec::new();
    if acme.enabled {
        let wanted = wanted_by(acme, &config.names());
        let subject = format!("authority {}", wanted.directory);
        let (verdict, text) = match tls::examine_authority(&wanted).await {
            _ if wanted.names.is_empty() => (
                Verdict::Bad,
                "there is no name to order a certificate for: set names in [settings.acme]".into(),
            ),
            Ok(()) => {
                (Verdict::Good, format!("answers; a certificate is ordered for {}", wanted.names.join(", ")))
            }
            Err(trouble) => (Verdict::Bad, trouble.text),
        };
        findings.push(Finding { subject, verdict, text });
    }
    // Where the PROXY protocol is spoken only proxies are let in.
    let is_direct = |address: &SocketAddr| !config.speaks_proxy_protocol(&Place::Address(*address));
    let Some(address) = config.listen_addresses().into_iter().find(is_direct).map(reachable) else {
        let (verdict, text) = if config.listen.is_empty() {
            (Verdict::Good, "is the proxy's: nothing is listened to over HTTPS")
        } else {
            (Verdict::Warning, "can't be looked at from here: only proxies can connect")
        };
        findings.push(Finding::new("certificate", verdict, text));
        return findings;
    };
    match tls::examine_at(address, &config.hosts(), OffsetDateTime::now_utc()).await {
        Ok(shown) => findings.extend(shown),
        Err(_) if acme.enabled => {
            let text =
                format!("Regain doesn't listen at {address} now; the one that is kept can't be looked at");
            findings.push(Finding::new("certificate", Verdict::Warning, text));
        }
        Err(_) => {
            let text = "self-signed, unless the admin panel has one issued: browsers will warn; see [settings.acme], or set \
                        https.certificate and https.key";
            findings.push(Finding::new("certificate", Verdict::Warning, text));
        }
    }
    findings
}

/// Whom Regain believes who its visitors are.
fn check_proxies(config: &Config) -> Vec<Finding> {
    let subject = "proxies";
    let mut findings = Vec::new();
    let proxies = &config.proxies;
    for network in config.trusted_networks() {
        let (bits, all) = network.bits();
        if bits == 0 {
            let text = format!(
                "{network} is everybody: each visitor can pretend to come from any address; name the proxies alone"
            );
            findings.push(Finding::new(subject, Verdict::Bad, text));
        } else if all - bits > if all == 32 { 8 } else { 64 } {
            let text = format!(
                "{network} has many addresses: whoever is at one of them can pretend to come from any other; name the \
                 proxies alone"
            );
            findings.push(Finding::new(subject, Verdict::Warning, text));
        }
    }
    if !proxies.trusted.is_empty() && proxies.header == ProxyHeader::None && proxies.protocol.is_empty() {
        let text = "are trusted, but nothing is believed of them: all their visitors seem to come from the same \
                    address; set header or protocol in [proxies]";
        findings.push(Finding::new(subject, Verdict::Warning, text));
    }
    let header = match proxies.header {
        ProxyHeader::None => None,
        ProxyHeader::XForwardedFor => Some("X-Forwarded-For"),
        ProxyHeader::Forwarded => Some("Forwarded"),
    };
    if let Some(header) = header {
        let text = format!("tell their visitors' addresses in {header}; they must set it or add to it");
        findings.push(Finding::new(subject, Verdict::Good, text));
    }
    for place in &proxies.protocol {
        let text = format!("speak the PROXY protocol at {place}; nobody else is let in there");
        findings.push(Finding::new(subject, Verdict::Good, text));
    }
    findings
}

/// How far the program is confined to what it needs.
fn check_confinement(config: &Config) -> Finding {
    let subject = "confinement";
    if !config.confinement.enabled {
        let text =
            "is off: see [confinement]; whoever finds a way into the program can do all that its user may";
        return Finding::new(subject, Verdict::Warning, text);
    }
    let runs_programs = config.settings.sms.program.is_some();
    let told = confine::try_out(runs_programs);
    let calls = match &told.calls {
        Ok(()) => "calls of the kernel are (seccomp)".to_owned(),
        Err(error) => format!("calls of the kernel are not: {error}"),
    };
    let (verdict, files) = match told.files {
        "fully" => (Verdict::Good, "files are (Landlock)"),
        "partly" => (Verdict::Good, "files are, as far as this kernel's Landlock goes"),
        _ if runs_programs => (Verdict::Good, "files are not, since settings.sms.program runs programs"),
        _ => (Verdict::Warning, "files are not: this kernel has no Landlock"),
    };
    let verdict = if told.calls.is_err() { Verdict::Warning } else { verdict };
    Finding::new(subject, verdict, format!("{files}; {calls}"))
}

/// What of the operator's templates, texts and assets can't be used, and what languages lack.
fn check_overrides(config: &Config) -> Vec<Finding> {
    let renderer = match app::open_renderer(config) {
        Ok(renderer) => renderer,
        Err(error) => return vec![Finding::new("pages", Verdict::Bad, error.to_string())],
    };
    let mut findings = Vec::new();
    if let Some(overrides) = renderer.overrides() {
        let subject = format!("overrides in {}", overrides.folder.display());
        for fault in &overrides.faults {
            let text = format!("{fault}; what is embedded takes its place");
            findings.push(Finding::new(&subject, Verdict::Warning, text));
        }
        for file in overrides.files.iter().filter(|file| file.is_outdated) {
            let text = format!(
                "{}: the embedded one has changed since this was made from it; regain templates diff shows how",
                file.file
            );
            findings.push(Finding::new(&subject, Verdict::Warning, text));
        }
        if findings.is_empty() {
            findings.push(Finding::new(&subject, Verdict::Good, format!("files: {}", overrides.files.len())));
        }
    }
    for (language, keys) in renderer.texts().missing() {
        let text = format!("{} are missing and said in English: {}", keys.len(), shortened(&keys));
        findings.push(Finding::new(&format!("texts in {language}"), Verdict::Warning, text));
    }
    findings
}

/// The first few of these; all of them are listed elsewhere.
fn shortened(keys: &[String]) -> String {
    let first = keys.iter().take(MOST_KEYS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if keys.len() > MOST_KEYS { format!("{first} …; regain templates check lists all") } else { first }
}

/// The list of stolen passwords: without it those for whom it is wanted can choose none.
fn check_breached(file: &Path) -> Finding {
    let subject = format!("stolen passwords in {}", file.display());
    let (verdict, text) = match List::open(file) {
        Ok(list) => {
            (Verdict::Good, format!("{} of them; regain breached examine reads it through", list.entries()))
        }
        Err(error) => (Verdict::Bad, format!("{error}; regain breached build makes it")),
    };
    Finding { subject, verdict, text }
}

/// Where a backup is made each day.
fn check_backups(folder: &Path) -> Finding {
    let subject = format!("backups in {}", folder.display());
    match backup::examine(folder) {
        Ok(()) => Finding { subject, verdict: Verdict::Good, text: "writable".into() },
        Err(error) => {
            let text =
                format!("{error}; the folder has to exist and to be writable for the user Regain runs as");
            Finding { subject, verdict: Verdict::Bad, text }
        }
    }
}

/// The data folder can only be opened by one process: a running server must not be disturbed, so only its
/// permissions are looked at.
fn check_data(config: &Config) -> Finding {
    let subject = format!("data folder {}", config.data.display());
    let (verdict, text) = match std::fs::metadata(&config.data) {
        Ok(folder) if !folder.is_dir() => (Verdict::Bad, "is not a folder".to_owned()),
        Ok(_) => match tempfile::tempfile_in(&config.data) {
            Ok(_) => (Verdict::Good, "writable".to_owned()),
            Err(error) => (Verdict::Bad, format!("{error}; it must be writable for the user Regain runs as")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            (Verdict::Good, "will be made at the first start".to_owned())
        }
        Err(error) => (Verdict::Bad, error.to_string()),
    };
    Finding { subject, verdict, text }
}
