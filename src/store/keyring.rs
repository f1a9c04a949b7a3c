//! The secret key outside the database, and the keys made from it. A database alone, or a backup of it, tells no answer.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{Store, record::PepperMark};
use crate::domain::secret::Key;

/// The keys, each for one purpose, derived from the secret (HMAC-SHA-256 as the one-step KDF of NIST SP 800-56C).
pub struct Keyring {
    /// Keys the hashes of answers.
    pub pepper: Key,
    /// Makes the tokens of forms.
    pub forms: Key,
    /// Chooses decoys and names unknown subjects.
    pub decoys: Key,
    /// Marks wrong answers already tried in a flow.
    pub marks: Key,
    /// Keys the hashes of verification codes.
    pub codes: Key,
    /// Seals messages that are yet to be sent.
    pub outbox: Key,
    /// Seals the secrets of authenticator apps, and recovery codes until they are kept.
    pub methods: Key,
    /// Seals secrets among the settings.
    pub settings: Key,
    /// Keys the hashes of recovery codes.
    pub recovery: Key,
    /// Makes the handles by which passkeys know their account.
    pub handles: Key,
    /// Seals the private keys of certificates and of accounts at their authorities.
    pub certificates: Key,
    /// Seals the events of the audit log.
    pub audit: Key,
    /// Makes the keys that backups are sealed with.
    pub backups: Key,
    recognition: Key,
}

/// The secret can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read or made.
    #[error("secret file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not one of Regain's.
    #[error(
        "secret file {0}: expected 64 hexadecimal digits; restore the file that belongs to this data folder"
    )]
    Malformed(String),
    /// There is data, but no secret.
    #[error(
        "secret file {0} is missing, but the data folder holds enrollments made with it; restore it from where you \
         keep it (without it no stored answer can ever be right)"
    )]
    Missing(String),
    /// There is data, but made with another secret.
    #[error(
        "secret file {0} is not the one the data folder was made with; restore the right one (with this one every \
         answer would be taken for wrong)"
    )]
    Foreign(String),
    /// The random number generator failed.
    #[error("no random numbers: the system's generator failed")]
    Random,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] super::Error),
}

impl Keyring {
    /// Makes all keys from the secret.
    pub fn from_secret(secret: &Key) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal());
        let derive = |purpose: &str| {
            let mut key = [0; 32];
            key.copy_from_slice(hmac::sign(&root, purpose.as_bytes()).as_ref());
            Key::new(key)
        };
        Self {
            pepper: derive("regain answer pepper 1"),
            forms: derive("regain form tokens 1"),
            decoys: derive("regain decoys 1"),
            marks: derive("regain tried answers 1"),
            codes: derive("regain verification codes 1"),
            outbox: derive("regain outbox 1"),
            methods: derive("regain authenticator apps 1"),
            settings: derive("regain settings 1"),
            recovery: derive("regain recovery codes 1"),
            handles: derive("regain passkey handles 1"),
            certificates: derive("regain certificates 1"),
            audit: derive("regain audit log 1"),
            backups: derive("regain backups 1"),
            recognition: derive("regain recognition 1"),
        }
    }

    /// Reads the secret that is there.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let text = read(path).map_err(|source| Error::File { path: shown.clone(), source })?;
        Ok(Self::from_secret(&parse(&text).ok_or(Error::Malformed(shown))?))
    }

    /// Reads the secret, or makes one if the store is new, and makes sure that it belongs to the store.
    pub async fn open(path: &Path, store: &Store) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let mark = store.find::<PepperMark>(&()).await?;
        let secret = match read(path) {
            Ok(text) => parse(&text).ok_or_else(|| Error::Malformed(shown.clone()))?,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if mark.is_some() {
                    return Err(Error::Missing(shown));
                }
                make(path, &shown)?
            }
            Err(source) => return Err(Error::File { path: shown, source }),
        };
        let keyring = Self::from_secret(&secret);
        match mark {
            Some(mark) if mark.0 != *keyring.recognition.reveal() => return Err(Error::Foreign(shown)),
            Some(_) => {}
            None => {
                let mark = PepperMark(*keyring.recognition.reveal());
                store.batch().insert(&(), &mark).commit().await?;
            }
        }
        Ok(keyring)
    }
}

/// A keyed hash for one of the purposes, over parts that can't run into each other.
pub fn keyed_hash(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.reveal()));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut file = fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o007 != 0 {
        tracing::warn!(file = %path.display(), "the secret file can be read by everyone on this machine; chmod 600 it");
    }
    // Large enough from the start that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(256));
    std::io::Read::by_ref(&mut file).take(200).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Option<Key> {
    let digits = text.trim();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(Key::new(*bytes))
}

fn make(path: &Path, shown: &str) -> Result<Key, Error> {
    let file = |source| Error::File { path: shown.to_owned(), source };
    let mut bytes = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| Error::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in bytes.iter() {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    // Under another name first: a half-written secret must never look like one.
    let new = path.with_extension("new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(file)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(file)?;
    fs::rename(&new, path).map_err(file)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
    }
    Ok(Key::new(*bytes))
}
