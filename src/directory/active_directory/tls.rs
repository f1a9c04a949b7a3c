//! Which certificates a controller may show: the trusted CAs, and the check of chain and name.
//!
//! It must not know LDAP. The name checked is the one the controller is known by, never the address dialled.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};

use super::SettingsError;

/// Which certification authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operating system.
    System,
    /// Those in these PEM files and no others.
    Files(Vec<PathBuf>),
    /// Those in this PEM text and no others.
    Text(String),
}

/// The trusted CAs, made ready.
pub struct Anchors {
    provider: Arc<CryptoProvider>,
    /// `None` if nobody is trusted.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// Shared by all connections, so that TLS sessions are resumed.
    standard: Arc<ClientConfig>,
}

impl Anchors {
    /// Reads the CAs.
    pub fn load(trust: &Trust) -> Result<Self, SettingsError> {
        let mut roots = RootCertStore::empty();
        match trust {
            Trust::System => {
                // There may be none, as in a container that holds nothing but Regain: then no certificate is good.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Trust::Files(files) => {
                for file in files {
                    let fault = |why: &dyn fmt::Display| {
                        SettingsError(format!("the CA file {}: {why}", file.display()))
                    };
                    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| fault(&error))?;
                    add(&mut roots, certificates).map_err(|error| fault(&error))?;
                }
            }
            Trust::Text(text) => {
                add(&mut roots, CertificateDer::pem_slice_iter(text.as_bytes()))
                    .map_err(|error| SettingsError(format!("the CA's certificates: {error}")))?;
            }
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            match WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
            {
                Ok(verifier) => Some(verifier),
                Err(VerifierBuilderError::NoRootAnchors) => None,
                Err(error) => return Err(SettingsError(format!("the certification authorities: {error}"))),
            };
        let standard = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError(format!("TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { provider, verifier, standard: Arc::new(standard) })
    }

    /// For a connection whose URL carries the controller's name.
    pub fn standard(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.standard)
    }

    /// For a connection that is checked against `name` whatever its URL says, and whose certificates are kept to be
    /// looked at. Checks exactly what [`Self::standard`] checks.
    pub fn for_name(&self, name: &ServerName<'static>) -> Result<(Arc<ClientConfig>, Shown), rustls::Error> {
        let shown = Shown::default();
        let check = NamedCheck {
            verifier: self.verifier.clone(),
            name: name.clone(),
            shown: shown.clone(),
            schemes: self.provider.signature_verification_algorithms.supported_schemes(),
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(check))
            .with_no_client_auth();
        Ok((Arc::new(config), shown))
    }
}

/// Adds certificates, of which there must be some.
fn add(
    roots: &mut RootCertStore,
    certificates: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let before = roots.len();
    for certificate in certificates {
        roots.add(certificate?)?;
    }
    if roots.len() == before {
        return Err("no certificate in it (PEM, `-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(())
}

/// The certificates that a controller showed, its own first; filled during the handshake, good or bad.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Vec<CertificateDer<'static>>>>);

impl Shown {
    /// The certificates.
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// rustls's own check, with the name set beforehand.
#[derive(Debug)]
struct NamedCheck {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    name: ServerName<'static>,
    shown: Shown,
    schemes: Vec<SignatureScheme>,
}

impl NamedCheck {
    fn verifier(&self) -> Result<&WebPkiServerVerifier, rustls::Error> {
        self.verifier.as_deref().ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }
}

impl ServerCertVerifier for NamedCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name_in_url: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.map(|certificate| certificate.clone().into_owned()).collect();
        self.verifier()?.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
