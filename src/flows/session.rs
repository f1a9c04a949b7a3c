//! A browser's session: a secret in a cookie, of which the store knows only the hash.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Error, random};
use crate::{domain::flow::Kind, store::SessionKey};

/// 256 random bits (ASVS 5.0 7.2.3 asks for 128).
#[derive(Clone)]
pub struct SessionId {
    secret: Zeroizing<[u8; 32]>,
    hash: [u8; 32],
}

impl SessionId {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        random().map(Self::of_secret)
    }

    /// The one in a cookie, if it is one.
    pub fn parse(cookie: &str) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(cookie).ok()?.try_into().ok()?;
        Some(Self::of_secret(bytes))
    }

    /// The session whose record it is; good for finding its flows, not for making tokens or cookies.
    pub fn of_record(hash: [u8; 32]) -> Self {
        Self { secret: Zeroizing::new([0; 32]), hash }
    }

    fn of_secret(secret: [u8; 32]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &secret).as_ref());
        Self { secret: Zeroizing::new(secret), hash }
    }

    /// For the cookie.
    pub fn cookie(&self) -> String {
        URL_SAFE_NO_PAD.encode(*self.secret)
    }

    /// The secret itself, for the tokens of forms.
    pub fn bytes(&self) -> &[u8] {
        self.secret.as_slice()
    }

    /// Its hash, under which the store keeps what belongs to it.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Where the store keeps this session's flow.
    pub const fn key(&self, kind: Kind) -> SessionKey {
        SessionKey { session: self.hash, kind }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_survives_its_cookie_and_nothing_else_does() {
        let session = SessionId::new().unwrap();
        let read = SessionId::parse(&session.cookie()).unwrap();
        assert_eq!(read.bytes(), session.bytes());
        for junk in ["", "x", "AAAA", &format!("{}=", session.cookie()), &"A".repeat(44)] {
            assert!(SessionId::parse(junk).is_none(), "{junk}");
        }
    }
}
