//! What is kept of ordering certificates. Private keys are sealed: they open only with the secret that is kept outside.

use serde::{Deserialize, Serialize};

use super::{Kept, Space};
use crate::domain::certificate::{Alarmed, Standing};

/// The private key of an account at an authority, sealed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealedAccount(pub String);

/// A certificate with its private key as PEM, sealed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealedCertificate {
    /// The directory of the authority it is from.
    pub directory: String,
    /// The names it was ordered for.
    pub names: Vec<String>,
    /// Chain and key.
    pub sealed: String,
}

impl Kept for SealedAccount {
    const SPACE: Space = Space::Certificates;
    /// A keyed hash of authority and contact.
    type Key = [u8; 32];
    fn key(account: &[u8; 32]) -> Vec<u8> {
        [&[Self::SPACE.letter(), b'k'], &account[..]].concat()
    }
}

impl Kept for SealedCertificate {
    const SPACE: Space = Space::Certificates;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'c']
    }
}

impl Kept for Standing {
    const SPACE: Space = Space::Certificates;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b's']
    }
}

impl Kept for Alarmed {
    const SPACE: Space = Space::Certificates;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        vec![Self::SPACE.letter(), b'a']
    }
}
