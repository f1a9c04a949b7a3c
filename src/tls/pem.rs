//! A certificate with its key out of PEM text: read, matched, put in order.
//!
//! Knows files and formats, not who serves the certificate or when it is read again.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::Zeroizing;

use super::Error;

/// A certificate chain with its key, ready to be served.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

impl Certificate {
    /// The server's own certificate in DER.
    pub(super) fn leaf(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |leaf| leaf.as_ref())
    }
}

/// Reads the pair. Both may be one and the same file.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<Certificate, Error> {
    let read = |path: &Path| fs::read(path).map_err(|source| Error::Read { path: path.into(), source });
    let (chain, secret) = (read(certificate)?, Zeroizing::new(read(key)?));
    of_text((certificate, &chain), (key, &secret))
}

/// Reads the pair out of texts, each with the name of where it is from.
pub(super) fn of_text(
    (certificate, chain): (&Path, &[u8]),
    (key, text): (&Path, &[u8]),
) -> Result<Certificate, Error> {
    let chain = self::chain(certificate, chain)?;
    let secret = PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        let encrypted = text.windows(9).any(|part| part == b"ENCRYPTED");
        if encrypted { Error::EncryptedKey { path: key.into() } } else { Error::NoKey { path: key.into() } }
    })?;
    let secret = any_supported_type(&secret)
        .map_err(|reason| Error::BadKey { path: key.into(), reason: reason.to_string() })?;
    let belongs = |one: &CertificateDer<'static>| {
        CertifiedKey::new(vec![one.clone()], Arc::clone(&secret)).keys_match().is_ok()
    };
    let Some(leaf) = chain.iter().position(belongs) else {
        return Err(Error::Mismatch { certificate: certificate.into(), key: key.into() });
    };
    let chain = in_order(chain, leaf, certificate)?;
    let leaf = parse(certificate, &chain[0])?;
    let (not_before, not_after) = (leaf.validity().not_before, leaf.validity().not_after);
    Ok(Certificate {
        not_before: not_before.to_datetime(),
        not_after: not_after.to_datetime(),
        key: Arc::new(CertifiedKey::new(chain, secret)),
    })
}

fn chain(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| Error::BadCertificate { path: path.into(), reason: reason.to_string() })?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { path: path.into() });
    }
    Ok(chain)
}

/// Each certificate followed by its issuer, as RFC 5246 section 7.4.2 demands, in whatever order the
/// file has them. What doesn't belong to the chain isn't sent.
fn in_order(
    mut rest: Vec<CertificateDer<'static>>,
    leaf: usize,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut chain = vec![rest.remove(leaf)];
    loop {
        let issuer = parse(path, &chain[chain.len() - 1])?.issuer().as_raw().to_vec();
        let mut next = None;
        for (at, candidate) in rest.iter().enumerate() {
            if parse(path, candidate)?.subject().as_raw() == issuer {
                next = Some(at);
                break;
            }
        }
        match next {
            Some(at) => chain.push(rest.remove(at)),
            None => break,
        }
    }
    if !rest.is_empty() {
        tracing::warn!(file = %path.display(), certificates = rest.len(), "some certificates in the file aren't part of the chain and are left out");
    }
    Ok(chain)
}

/// Reads the fields of one certificate.
pub(super) fn parse<'a>(path: &Path, der: &'a [u8]) -> Result<X509Certificate<'a>, Error> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|reason| Error::BadCertificate { path: path.into(), reason: reason.to_string() })
}

/// What tells a changed file: a rename changes the inode, a rewrite the time or the length.
/// `None` if the file can't be seen.
pub(super) type Stamp = Option<(u64, u64, Option<SystemTime>)>;

/// The file's stamp; links are followed.
pub(super) fn stamp(path: &Path) -> Stamp {
    let seen = fs::metadata(path).ok()?;
    Some((seen.ino(), seen.len(), seen.modified().ok()))
}
