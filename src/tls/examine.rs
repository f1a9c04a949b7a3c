//! Looking at the certificate as a browser would: what is in it, and whether it will do.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustls::{
    CertificateError, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use time::OffsetDateTime;

use super::{Certificates, Error, Source, days_left, pem, probe, self_signed};
use crate::domain::finding::{Finding, Verdict};

/// An alarm is given from so many days on.
const FEW_DAYS: i64 = 14;

/// What is in a certificate.
#[derive(Debug)]
pub struct Facts {
    /// The host names and addresses it is good for.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// The first moment it is good.
    pub not_before: OffsetDateTime,
    /// The last one.
    pub not_after: OffsetDateTime,
    /// SHA-256 of it, as browsers show it.
    pub fingerprint: String,
    /// Where certificate and key are kept, unless Regain made them.
    pub files: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// What is in the certificate that is served.
    pub fn facts(&self) -> Result<Facts, Error> {
        let current = self.in_use();
        let parsed = pem::parse(Path::new(""), current.leaf())?;
        Ok(Facts {
            names: self_signed::names_of(&parsed).into_iter().collect(),
            issuer: parsed.issuer().to_string(),
            not_before: current.not_before,
            not_after: current.not_after,
            fingerprint: self.fingerprint(),
            files: match &self.source {
                Source::PemFiles { certificate, key } => Some((certificate.clone(), key.clone())),
                Source::SelfSigned { .. } => None,
            },
        })
    }

    /// Whether the certificate will do for these hosts (with a port or without one). Blocks on the disk.
    pub fn examine(&self, hosts: &[String], now: OffsetDateTime) -> Vec<Finding> {
        let current = self.in_use();
        let mut findings = Vec::new();
        let mut tell = |subject: &str, verdict, text: String| findings.push(finding(subject, verdict, text));
        if let Source::PemFiles { .. } = &self.source {
            match self.source.load(now) {
                Err(error) => tell(" files", Verdict::Bad, error.to_string()),
                Ok(kept) if kept.leaf() != current.leaf() => {
                    let text =
                        "hold another certificate than the one that is served; it is taken up within seconds";
                    tell(" files", Verdict::Warning, text.into());
                }
                Ok(_) => tell(" files", Verdict::Good, "can be read, and the key belongs to it".into()),
            }
        }
        let dates = (current.not_before, current.not_after);
        findings.extend(look_at(&current.key.cert, dates, self.is_self_signed(), hosts, now));
        findings
    }
}

/// Looks at the certificate that whoever listens at that address shows to who asks for the first of these hosts, as at one of
/// our own; why nothing is to be seen, if so.
pub async fn examine_at(
    address: SocketAddr,
    hosts: &[String],
    now: OffsetDateTime,
) -> Result<Vec<Finding>, String> {
    let host = hosts.first().map_or("localhost", |host| without_port(host));
    let chain = probe::chain_at(address, host).await.map_err(|error| error.to_string())?;
    let Some(leaf) = chain.first() else { return Err("no certificate is shown".into()) };
    let parsed = pem::parse(Path::new("the certificate"), leaf).map_err(|error| error.to_string())?;
    let validity = parsed.validity();
    let dates = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    let is_self_signed = parsed.issuer().as_raw() == parsed.subject().as_raw();
    Ok(look_at(&chain, dates, is_self_signed, hosts, now))
}

fn finding(subject: &str, verdict: Verdict, text: String) -> Finding {
    Finding::new(&format!("certificate{subject}"), verdict, text)
}

/// Looks at a chain as a browser would.
fn look_at(
    chain: &[CertificateDer<'_>],
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
    is_self_signed: bool,
    hosts: &[String],
    now: OffsetDateTime,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((leaf, others)) = chain.split_first() else { return findings };
    let mut tell = |subject: &str, verdict, text: String| findings.push(finding(subject, verdict, text));
    let days = days_left(not_after, now);
    match days {
        _ if not_before > now => {
            let text = format!("is not valid before {not_before}; is the clock right?");
            tell(" validity", Verdict::Bad, text);
        }
        ..0 => tell(" validity", Verdict::Bad, format!("expired at {not_after}; renew it")),
        0..=FEW_DAYS => tell(" validity", Verdict::Warning, format!("{days} days left; renew it soon")),
        _ => tell(" validity", Verdict::Good, format!("{days} days left")),
    }
    let parsed = match ParsedCertificate::try_from(leaf) {
        Ok(parsed) => parsed,
        Err(error) => {
            tell("", Verdict::Bad, format!("can't be read as browsers read it: {error}"));
            return findings;
        }
    };
    for host in hosts {
        let name = without_port(host);
        let is_in_it =
            ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
        let subject = format!(" for {name}");
        if is_in_it {
            tell(&subject, Verdict::Good, "the name is in it".into());
        } else {
            let text =
                "the name is not in it, so browsers refuse it: order one with all the names people use";
            tell(&subject, Verdict::Bad, text.into());
        }
    }
    if is_self_signed {
        let text = "self-signed: browsers warn of it; have one issued (settings.acme), or set https.certificate and https.key";
        tell(" issuer", Verdict::Warning, text.into());
        return findings;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, at, algorithms) {
        Ok(()) => tell(" issuer", Verdict::Good, "the chain is complete and trusted".into()),
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            let text = "this machine trusts no authority at the end of its chain: browsers that trust your own \
                        authority accept it, all others warn. If it is from a public authority, the \
                        intermediate certificates are missing in the file";
            tell(" issuer", Verdict::Warning, text.into());
        }
        // Said above, by its dates.
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) if days < 0 || not_before > now => {}
        Err(error) => tell(" issuer", Verdict::Bad, format!("its chain does not hold: {error}")),
    }
    findings
}

/// `reset.example:8443` → `reset.example`; `[::1]:8443` → `::1`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use time::Duration;

    use super::*;

    fn told(findings: &[Finding], subject: &str) -> (Verdict, String) {
        let found = findings.iter().find(|it| it.subject == format!("certificate{subject}"));
        found.map(|it| (it.verdict, it.text.clone())).unwrap()
    }

    #[test]
    fn a_certificate_of_files_is_looked_at_as_a_browser_would() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let now = OffsetDateTime::now_utc();
        let make = || {
            let pair = KeyPair::generate().unwrap();
            let mut params =
                CertificateParams::new(["reset.example".into(), "*.corp.example".into()]).unwrap();
            params.not_before = now - Duration::days(1);
            params.not_after = now + Duration::days(40);
            std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(&key, pair.serialize_pem()).unwrap();
        };
        make();
        let source = Source::PemFiles { certificate: certificate.clone(), key: key.clone() };
        let certificates = Certificates::open(source, now).unwrap();
        let hosts = ["reset.example:8443", "a.corp.example", "reset", "[::1]:8443"].map(str::to_owned);

        let findings = certificates.examine(&hosts, now);
        assert_eq!(told(&findings, " files").0, Verdict::Good);
        assert_eq!(told(&findings, " validity").0, Verdict::Good);
        for (host, verdict) in [
            ("reset.example", Verdict::Good),
            ("a.corp.example", Verdict::Good),
            ("reset", Verdict::Bad),
            ("::1", Verdict::Bad),
        ] {
            assert_eq!(told(&findings, &format!(" for {host}")).0, verdict, "{host}");
        }
        let (verdict, text) = told(&findings, " issuer");
        assert!(verdict == Verdict::Warning && text.contains("intermediate"), "{text}");

        for (days, verdict) in [(30, Verdict::Warning), (40, Verdict::Bad), (-2, Verdict::Bad)] {
            let findings = certificates.examine(&[], now + Duration::days(days) + Duration::hours(1));
            assert_eq!(told(&findings, " validity").0, verdict, "after {days} days");
        }
        make();
        assert_eq!(told(&certificates.examine(&[], now), " files").0, Verdict::Warning);
        std::fs::remove_file(&key).unwrap();
        let (verdict, text) = told(&certificates.examine(&[], now), " files");
        assert!(verdict == Verdict::Bad && text.contains("key.pem"), "{text}");

        let facts = certificates.facts().unwrap();
        assert_eq!(facts.names, ["*.corp.example", "reset.example"]);
        assert_eq!(facts.files, Some((certificate, key)));
    }

    #[test]
    fn a_self_signed_one_is_said_to_make_browsers_warn() {
        let folder = tempfile::tempdir().unwrap();
        let source =
            Source::SelfSigned { names: vec!["reset.example".into()], folder: folder.path().to_owned() };
        let now = OffsetDateTime::now_utc();
        let certificates = Certificates::open(source, now).unwrap();
        let findings = certificates.examine(&["reset.example".into()], now);
        assert_eq!(told(&findings, " for reset.example").0, Verdict::Good);
        assert_eq!(told(&findings, " issuer").0, Verdict::Warning);
        assert!(certificates.facts().unwrap().files.is_none());
    }
}
