//! Codes of authenticator apps: time-based one-time passwords (RFC 6238) of six digits, thirty seconds and SHA-1, which is
//! all that every app understands.
//!
//! It must not know whose they are, nor which were used.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::{clock::Timestamp, code::Code, secret::SecretText};

/// The secret that an app and Regain share.
pub struct TotpSecret(Zeroizing<[u8; Self::BYTES]>);

impl TotpSecret {
    /// As many bytes as the hash has (RFC 4226 4, R6).
    pub const BYTES: usize = 20;
    /// Seconds for which a code is shown.
    pub(crate) const PERIOD: u64 = 30;

    /// Takes the bytes over.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be sealed.
    pub fn reveal(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The secret as people type it, in groups of four.
    pub fn typed(&self) -> SecretText {
        let text = Zeroizing::new(BASE32_NOPAD.encode(self.reveal()));
        let mut groups = String::with_capacity(2 * text.len());
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                groups.push(' ');
            }
            groups.push(character);
        }
        SecretText::new(groups)
    }

    /// What apps read from a QR code: an address of the scheme `otpauth`.
    pub fn address(&self, issuer: &str, account: &str) -> SecretText {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = Zeroizing::new(BASE32_NOPAD.encode(self.reveal()));
        SecretText::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            secret.as_str()
        ))
    }

    /// The step whose code was typed: the present one, or one to either side of it, for clocks that differ and people
    /// who type slowly (RFC 6238 5.2, 6). It takes as long whichever it is.
    pub fn step_of(&self, code: &Code, now: Timestamp) -> Option<u64> {
        let present = u64::try_from(now.millis()).unwrap_or(0) / 1000 / Self::PERIOD;
        let mut found = None;
        for step in present.saturating_sub(1)..=present + 1 {
            if verify_slices_are_equal(self.code(step).as_bytes(), code.reveal().as_bytes()).is_ok() {
                found = Some(step);
            }
        }
        found
    }

    /// The last step whose code can have been taken by that time.
    pub fn last_step(now: Timestamp) -> u64 {
        u64::try_from(now.millis()).unwrap_or(0) / 1000 / Self::PERIOD + 1
    }

    /// The code of a step (RFC 4226 5.3).
    pub(crate) fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.reveal());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let hash = tag.as_ref();
        let offset = usize::from(hash[hash.len() - 1] & 0x0f);
        let number =
            hash[offset..offset + 4].iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        Zeroizing::new(format!("{:06}", (number & 0x7fff_ffff) % 1_000_000))
    }
}

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

/// Percent-encoded but for the unreserved characters (RFC 3986 2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    fn secret() -> TotpSecret {
        TotpSecret::new(*b"12345678901234567890")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn typed(text: &str) -> Code {
        Code::parse(&SecretText::new(text.to_owned())).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238 appendix B, the last six of eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds).unwrap() / 30;
            assert_eq!(secret().step_of(&typed(code), at(seconds)), Some(step), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_taken_in_its_own_step_and_in_those_beside_it() {
        let code = typed("287 082");
        for (seconds, step) in [(0, Some(1)), (29, Some(1)), (59, Some(1)), (89, Some(1)), (90, None)] {
            assert_eq!(secret().step_of(&code, at(seconds)), step, "{seconds}");
        }
        for wrong in ["287083", "28708", "2870820", "０", "abcdef"] {
            assert_eq!(secret().step_of(&typed(wrong), at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn an_app_is_told_all_it_needs() {
        let address = secret().address("Regain & Söhne", "CORP\\mary:x");
        assert_eq!(
            address.reveal(),
            "otpauth://totp/Regain%20%26%20S%C3%B6hne:CORP%5Cmary%3Ax?\
             secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Regain%20%26%20S%C3%B6hne&\
             algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(secret().typed().reveal(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(format!("{:?}", secret()), "TotpSecret(…)");
    }
}
