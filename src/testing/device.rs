//! What people hold: an app for one-time codes, and a device with passkeys, made of software: what a phone or a security key does (WebAuthn Level 3, 6.3). The suites that
//! use it are passed by Chromium's own authenticator too.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use super::{Page, app::TestApp};
use crate::domain::totp::TotpSecret;

/// An app for one-time codes, with one account in it.
pub struct OneTimeCodes(TotpSecret);

impl OneTimeCodes {
    /// Reads the key that a page shows.
    pub fn read(page: &Page) -> Self {
        let (_, key) =
            page.html.split_once("<p class=\"typed\"><code dir=\"ltr\">").expect("no key is shown");
        let key: String = key.split('<').next().unwrap().split(' ').collect();
        Self(TotpSecret::new(BASE32_NOPAD.decode(key.as_bytes()).unwrap().try_into().unwrap()))
    }

    /// The code it shows now, or would show so many steps later.
    pub fn code(&self, app: &TestApp, later: i64) -> String {
        let now = crate::domain::clock::Clock::now(app.clock()).millis()
            / 1000
            / i64::try_from(TotpSecret::PERIOD).unwrap();
        self.0.code(u64::try_from(now + later).unwrap()).to_string()
    }
}

/// Flags of authenticator data: the person was there, was verified, and a credential follows.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// A device with one passkey at most.
pub struct Device {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    handle: Option<String>,
    /// How often it has signed.
    pub counter: u32,
    /// Whether it verifies its owner.
    pub verifies: bool,
    /// The origin that its browser says it is at.
    pub origin: String,
}

impl Device {
    /// A device whose browser is at that origin.
    pub fn at(origin: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let id = digest(&SHA256, key.public_key().as_ref()).as_ref()[..20].to_vec();
        Self { key, id, handle: None, counter: 0, verifies: true, origin: origin.to_owned() }
    }

    /// Whether it has a passkey.
    pub const fn has_passkey(&self) -> bool {
        self.handle.is_some()
    }

    /// Makes a passkey; the answer for the server.
    pub fn make(&mut self, options: &Value) -> String {
        let options = &options["publicKey"];
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        self.handle = Some(options["user"]["id"].as_str().unwrap().to_owned());
        let mut data = self.data(&options["rp"]["id"], ATTESTED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.cose_key());
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        self.answer(&json!({
            "clientDataJSON": self.client_data("webauthn.create", &options["challenge"]),
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
        }))
    }

    /// Signs a challenge; the answer for the server.
    pub fn sign(&mut self, options: &Value) -> String {
        let options = &options["publicKey"];
        assert_eq!(options["userVerification"], "required");
        assert!(options["allowCredentials"].as_array().is_none_or(Vec::is_empty), "asking names no passkey");
        self.counter += 1;
        let data = self.data(&options["rpId"], 0);
        let client = self.client_data("webauthn.get", &options["challenge"]);
        let hash = digest(&SHA256, &URL_SAFE_NO_PAD.decode(&client).unwrap());
        let signed = [data.as_slice(), hash.as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        self.answer(&json!({
            "clientDataJSON": client,
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "userHandle": self.handle,
        }))
    }

    fn data(&self, host: &Value, more: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, host.as_str().unwrap().as_bytes()).as_ref().to_vec();
        data.push(PRESENT | more | if self.verifies { VERIFIED } else { 0 });
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// {1: 2, 3: -7, -1: 1, -2: x, -3: y}: a key on P-256 for ES256 (RFC 9053 2.1, 7.1.1).
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", x, b"\x22\x58\x20", y].concat()
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        let data =
            json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false });
        URL_SAFE_NO_PAD.encode(data.to_string())
    }

    fn answer(&self, response: &Value) -> String {
        let id = URL_SAFE_NO_PAD.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "extensions": {} })
            .to_string()
    }
}
