//! The certificate the program makes for itself at first run, so that no page is ever reached in clear text.
//!
//! Knows one file in the data folder; not who serves it.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};
use zeroize::Zeroizing;

use super::{Error, fingerprint, pem};

/// The file in the data folder: certificate and key together, so that a crash can't part them.
const FILE: &str = "self-signed.pem";
/// The longest life browsers accept (CA/Browser Forum Baseline Requirements 6.3.2, 2020 to 2026).
const LIFE: Duration = Duration::days(397);
/// A client's clock may be behind ours by this much.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// The kept certificate if it still serves, a new one otherwise.
pub(super) fn load_or_make(
    folder: &Path,
    names: &[String],
    now: OffsetDateTime,
) -> Result<pem::Certificate, Error> {
    let path = folder.join(FILE);
    match pem::load(&path, &path) {
        Ok(kept) => {
            let age_fits = kept.not_before <= now && !super::renewal_due(kept.not_after, now);
            if age_fits && names_of(&pem::parse(&path, kept.leaf())?) == wanted(names) {
                return Ok(kept);
            }
        }
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(broken @ Error::Read { .. }) => return Err(broken),
        Err(broken) => tracing::warn!(%broken, "the kept self-signed certificate is replaced"),
    }
    make(folder, &path, names, now)?;
    let made = pem::load(&path, &path)?;
    tracing::info!(
        file = %path.display(), names = names.join(" "), fingerprint = fingerprint(made.leaf()),
        "made a self-signed certificate; browsers warn of it until it is replaced or trusted"
    );
    Ok(made)
}

fn make(folder: &Path, path: &Path, names: &[String], now: OffsetDateTime) -> Result<(), Error> {
    let library = |reason: rcgen::Error| Error::Library(reason.to_string());
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(
                host_name(name).try_into().map_err(|_| Error::BadName { name: name.clone() })?,
            ),
        });
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Regain, self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = params.not_before + LIFE;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(library)?;
    let certificate = params.self_signed(&key).map_err(library)?;
    let secret = Zeroizing::new(key.serialize_pem());
    write(folder, path, &[certificate.pem().as_bytes(), secret.as_bytes()])
        .map_err(|source| Error::Write { path: path.into(), source })
}

/// Replaces the file in one step; only its owner may read it, whatever the umask.
fn write(folder: &Path, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    for part in parts {
        file.write_all(part)?;
    }
    file.as_file().sync_all()?;
    fs::rename(file.into_temp_path().keep()?, path)?;
    File::open(folder)?.sync_all()
}

/// A host name without what doesn't count: case and the trailing dot.
fn host_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn wanted(names: &[String]) -> BTreeSet<String> {
    names
        .iter()
        .map(|name| name.parse::<IpAddr>().map_or_else(|_| host_name(name), |address| address.to_string()))
        .collect()
}

/// The names that a certificate is good for.
pub(super) fn names_of(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.map_or_else(BTreeSet::new, |names| {
        names.value.general_names.iter().filter_map(written_name).collect()
    })
}

fn written_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .ok()
            .map(|address| address.to_string()),
        _ => None,
    }
}
