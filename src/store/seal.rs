//! What is kept but not to be read by who has the database alone: AES-256-GCM (NIST SP 800-38D) under a key from outside
//! it, with a random nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::Error;
use crate::domain::secret::Key;

const NONCE: usize = 12;

/// Seals bytes, together with what they belong to: in another place they can't be opened.
pub fn seal(key: &Key, place: &[u8], plain: &[u8]) -> Result<String, Error> {
    let fault = |_| Error::Unavailable("sealing failed".into());
    let key = RandomizedNonceKey::new(&AES_256_GCM, key.reveal()).map_err(fault)?;
    let mut sealed = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(place), &mut sealed).map_err(fault)?;
    let mut bytes = nonce.as_ref().to_vec();
    bytes.append(&mut sealed);
    Ok(STANDARD_NO_PAD.encode(bytes))
}

/// Opens what was sealed with that key for that place.
pub fn open(key: &Key, place: &[u8], sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let fault = || Error::Damaged("something sealed can't be opened with this secret".into());
    let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| fault())?;
    let (nonce, rest) = bytes.split_at_checked(NONCE).ok_or_else(fault)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key.reveal()).map_err(|_| fault())?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| fault())?;
    let mut opened = Zeroizing::new(rest.to_vec());
    let length = key.open_in_place(nonce, Aad::from(place), &mut opened).map_err(|_| fault())?.len();
    opened.truncate(length);
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_only_and_only_whole() {
        let key = Key::new([1; 32]);
        let sealed = seal(&key, b"here", b"a code").unwrap();
        assert_ne!(sealed, seal(&key, b"here", b"a code").unwrap());
        assert_eq!(open(&key, b"here", &sealed).unwrap().as_slice(), b"a code");
        assert!(open(&Key::new([2; 32]), b"here", &sealed).is_err());
        assert!(open(&key, b"there", &sealed).is_err());
        for spoilt in ["", "AAAA", &sealed[1..], &sealed.replacen(|c: char| c.is_ascii_digit(), "x", 1)] {
            assert!(open(&key, b"here", spoilt).is_err() || spoilt == sealed);
        }
    }
}
