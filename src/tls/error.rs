//! What can be wrong with a certificate, in words: the file, the fault, the way to mend it.

use std::{io, path::PathBuf};

/// Why a certificate can't be used. The text is meant for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("can't read {}: {source}; check the path, and that the user the program runs as may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("can't write {}: {source}; check that the folder belongs to the user the program runs as and that the disk has room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate file holds no certificate.
    #[error("{} holds no certificate; expected is PEM text with -----BEGIN CERTIFICATE-----, first the server's certificate, then the intermediate ones", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file is damaged or of an unknown kind.
    #[error("{} holds a certificate that can't be read ({reason}); fetch or export it again as PEM", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// The key file holds no private key.
    #[error("{} holds no private key; expected is PEM text with -----BEGIN PRIVATE KEY-----", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key asks for a passphrase, which nobody could type at start.
    #[error("the private key in {} is encrypted; write it without a passphrase (openssl pkey -in OLD -out NEW) and protect the file by its mode", path.display())]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key is damaged or of a kind that can't be used.
    #[error("the private key in {} can't be used ({reason}); use an ECDSA, RSA (2048 bits or more) or Ed25519 key", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What the crypto library said.
        reason: String,
    },
    /// Certificate and key are of different pairs.
    #[error("the private key in {} belongs to none of the certificates in {}; put the certificate and the key of one and the same order there", key.display(), certificate.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// A name can't stand in a certificate.
    #[error(
        "{name:?} can't stand in a certificate; write a host name in ASCII letters (an international one in its xn-- form) or an IP address"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The crypto library refused what should always work.
    #[error("the TLS library refused: {0}")]
    Library(String),
}
