//! TLS: which certificate is served, and the door connections come in by.
//!
//! Must not know what is said over a connection, nor what the pages are.

pub mod acceptor;
mod acme;
mod error;
mod examine;
mod pem;
mod probe;
mod proxy_protocol;
mod self_signed;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use error::Error;
pub use examine::{Facts, examine_at};
use pem::{Certificate, Stamp};

use crate::{
    domain::{
        certificate::{Order, Trouble, Validity, Wanted},
        clock::Timestamp,
    },
    flows::certificate::{Door, Shown},
};

/// A self-signed certificate is renewed when this many days or fewer are left.
const RENEW_DAYS: i64 = 30;

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Two PEM files kept by the operator (or an ACME client of theirs); both may be the same file.
    PemFiles {
        /// The server's certificate and the intermediate ones.
        certificate: PathBuf,
        /// The private key, without a passphrase.
        key: PathBuf,
    },
    /// One the program makes for itself and keeps.
    SelfSigned {
        /// Host names and IP addresses the certificate is to be valid for.
        names: Vec<String>,
        /// The data folder.
        folder: PathBuf,
    },
}

impl Source {
    fn load(&self, now: OffsetDateTime) -> Result<Certificate, Error> {
        match self {
            Self::PemFiles { certificate, key } => pem::load(certificate, key),
            Self::SelfSigned { names, folder } => self_signed::load_or_make(folder, names, now),
        }
    }

    fn stamps(&self) -> [Stamp; 2] {
        match self {
            Self::PemFiles { certificate, key } => [pem::stamp(certificate), pem::stamp(key)],
            Self::SelfSigned { .. } => [None, None],
        }
    }
}

/// The certificate in use. It is exchanged under running connections: those that stand keep theirs,
/// the next handshake sees the new one.
pub struct Certificates {
    source: Source,
    /// That of the source.
    current: ArcSwap<Certificate>,
    /// One that an authority issued: shown instead of a self-signed one.
    issued: ArcSwapOption<Certificate>,
    challenges: acme::Challenges,
    watched: Mutex<Watched>,
}

/// What the watch saw of the files: a change is read once it has been the same at two looks, so that a
/// certificate isn't read before its key is written too.
struct Watched {
    tried: [Stamp; 2],
    seen: [Stamp; 2],
}

impl Certificates {
    /// Loads the certificate, or makes the self-signed one. Blocks on the disk.
    pub fn open(source: Source, now: OffsetDateTime) -> Result<Arc<Self>, Error> {
        let stamps = source.stamps();
        let certificate = source.load(now)?;
        tell(&certificate, now);
        Ok(Arc::new(Self {
            source,
            current: ArcSwap::from_pointee(certificate),
            issued: ArcSwapOption::empty(),
            challenges: acme::Challenges::default(),
            watched: Mutex::new(Watched { tried: stamps, seen: stamps }),
        }))
    }

    /// Loads it again; says whether it is another one now. After an error the old one stays in use.
    /// Blocks on the disk.
    pub fn reload(&self, now: OffsetDateTime) -> Result<bool, Error> {
        let stamps = self.source.stamps();
        *self.watched() = Watched { tried: stamps, seen: stamps };
        let certificate = self.source.load(now)?;
        if certificate.leaf() == self.current.load().leaf() {
            // The chain may still be another one.
            self.current.store(Arc::new(certificate));
            return Ok(false);
        }
        tell(&certificate, now);
        self.current.store(Arc::new(certificate));
        Ok(true)
    }

    /// One look of the watch: reloads if the files have changed, or if a self-signed certificate is due.
    /// Blocks on the disk.
    pub fn check(&self, now: OffsetDateTime) -> Result<bool, Error> {
        let due = match &self.source {
            Source::PemFiles { .. } => {
                let stamps = self.source.stamps();
                let mut watched = self.watched();
                let settled = watched.seen == stamps;
                watched.seen = stamps;
                settled && watched.tried != stamps
            }
            Source::SelfSigned { .. } => renewal_due(self.current.load().not_after, now),
        };
        if due { self.reload(now) } else { Ok(false) }
    }

    /// Looks every `every` (a few seconds) until `shutdown`. What goes wrong is logged once, not at each look.
    pub async fn watch(
        self: Arc<Self>,
        every: Duration,
        now: impl Fn() -> OffsetDateTime + Send,
        shutdown: CancellationToken,
    ) {
        let mut told = None;
        while shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let (certificates, now) = (Arc::clone(&self), now());
            match tokio::task::spawn_blocking(move || certificates.check(now)).await {
                Ok(Ok(true)) => told = None,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        tracing::error!(error = text, "the new certificate isn't used; the one before stays");
                        told = Some(text);
                    }
                }
                Err(error) => tracing::error!(%error, "the look at the certificate failed"),
            }
        }
    }

    /// The one that is shown.
    fn in_use(&self) -> Arc<Certificate> {
        self.issued.load_full().unwrap_or_else(|| self.current.load_full())
    }

    /// When the certificate expires.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.in_use().not_after
    }

    /// Whole days until the certificate expires; negative after that.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        days_left(self.in_use().not_after, now)
    }

    /// Whether it was made here, so that browsers warn of it.
    pub fn is_self_signed(&self) -> bool {
        matches!(self.source, Source::SelfSigned { .. }) && self.issued.load().is_none()
    }

    /// SHA-256 of the server's certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.in_use().leaf())
    }

    /// What is answered on port 80 to an authority that asks for a token (RFC 8555 8.3), while one is ordered there.
    pub fn challenge_page(&self, token: &str) -> Option<String> {
        self.challenges.page(token)
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if acme::only_looks(&hello) {
            self.challenges.answer(&hello)
        } else {
            Some(Arc::clone(&self.in_use().key))
        }
    }
}

#[async_trait]
impl Door for Certificates {
    fn shown(&self) -> Shown {
        let shown = self.in_use();
        let moment = |at: OffsetDateTime| Timestamp::from_millis(at.unix_timestamp() * 1000);
        Shown {
            fingerprint: fingerprint(shown.leaf()),
            validity: Validity { from: moment(shown.not_before), until: moment(shown.not_after) },
            is_self_signed: self.is_self_signed(),
        }
    }

    fn names(&self) -> Option<&[String]> {
        match &self.source {
            Source::SelfSigned { names, .. } => Some(names),
            Source::PemFiles { .. } => None,
        }
    }

    async fn order(&self, order: &Order) -> Result<Zeroizing<String>, Trouble> {
        acme::obtain(order, &self.challenges).await
    }

    fn take_up(&self, pem: &str, now: Timestamp) -> Result<Validity, String> {
        let issued = Path::new("the certificate that was issued");
        let text = pem.as_bytes();
        let certificate = pem::of_text((issued, text), (issued, text)).map_err(|error| error.to_string())?;
        let now =
            OffsetDateTime::from_unix_timestamp(now.millis() / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        tell(&certificate, now);
        self.issued.store(Some(Arc::new(certificate)));
        Ok(self.shown().validity)
    }

    fn put_away(&self) {
        if self.issued.swap(None).is_some() {
            tracing::info!("the certificate that was issued is not shown any more");
        }
    }
}

/// Looks whether the directory of an ACME authority answers.
pub async fn examine_authority(wanted: &Wanted) -> Result<(), Trouble> {
    acme::examine(wanted).await
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The server's side of TLS: 1.2 (ECDHE with AEAD, all that rustls has) and 1.3, HTTP/2 before HTTP/1.1.
///
/// Resumption keeps rustls' default, a few sessions in memory: there is no ticket key that could open a
/// recording later, and no early data that could be replayed.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|reason| Error::Library(reason.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![acceptor::HTTP2.to_vec(), b"http/1.1".to_vec(), acme::ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn tell(certificate: &Certificate, now: OffsetDateTime) {
    let days_left = days_left(certificate.not_after, now);
    if certificate.not_after <= now {
        tracing::error!(expired = %certificate.not_after, "the certificate has expired; browsers will refuse it");
    } else if certificate.not_before > now {
        tracing::error!(valid_from = %certificate.not_before, "the certificate isn't valid yet; check the clock");
    } else {
        tracing::info!(days_left, fingerprint = fingerprint(certificate.leaf()), "the certificate is in use");
    }
}

fn days_left(not_after: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (not_after - now).whole_seconds().div_euclid(24 * 60 * 60)
}

fn renewal_due(not_after: OffsetDateTime, now: OffsetDateTime) -> bool {
    days_left(not_after, now) < RENEW_DAYS
}

fn fingerprint(der: &[u8]) -> String {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, der);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests;
