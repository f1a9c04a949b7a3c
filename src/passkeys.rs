//! Passkeys: the relying party of WebAuthn (W3C, Level 3). The only module that names webauthn-rs.
//!
//! It must not know who somebody is, nor when a passkey is asked for. What it makes is asked for without naming any: the
//! device finds those it has for this host itself, so that asking tells nothing of an account. The device always has to
//! verify its owner by fingerprint, face or PIN.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use url::{Host, Url};
use webauthn_rs_core::{
    WebauthnCore,
    error::WebauthnError,
    proto::{
        AuthenticationState, Credential, PublicKeyCredential, RegisterPublicKeyCredential, RegistrationState,
        UserVerificationPolicy,
    },
};

use crate::domain::{enrollment::Passkey, flow::Challenge};

/// So long a person may take at the device.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a passkey was not taken; for the log.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something of it is wrong: its form, challenge, origin, signature, counter.
    #[error("{0}")]
    Refused(String),
    /// It was added before.
    #[error("added before")]
    Known,
}

impl From<WebauthnError> for Fault {
    fn from(error: WebauthnError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Who a passkey is made for.
pub struct Owner<'a> {
    /// Stands for the account on the device; tells nothing of it.
    pub handle: &'a [u8],
    /// The name the device shows.
    pub name: &'a str,
    /// The same in full.
    pub display_name: &'a str,
}

/// Makes challenges for one host and judges what comes back.
pub struct Passkeys {
    core: WebauthnCore,
}

impl Passkeys {
    /// For the origin of the pages. The host must have a name: passkeys know no addresses (WebAuthn 5.1.2, RP ID).
    pub fn new(origin: &str, product: &str) -> Result<Self, String> {
        let url = Url::parse(origin).map_err(|error| error.to_string())?;
        let Some(Host::Domain(host)) = url.host().map(|host| host.to_owned()) else {
            return Err("passkeys need a host name in base_url, not an address".into());
        };
        Ok(Self {
            // The one way to require both a passkey that the device finds by itself and the owner's verification; what
            // it leaves to its caller is done here: state is kept with the flow, and credentials are the account's.
            core: WebauthnCore::new_unsafe_experts_only(product, &host, vec![url], PATIENCE, None, None),
        })
    }

    /// A challenge for a new passkey; the device is asked not to make a second one beside those `known`.
    pub fn invite(&self, owner: &Owner<'_>, known: &[Passkey]) -> Result<Challenge, Fault> {
        let known = known.iter().filter_map(|passkey| URL_SAFE_NO_PAD.decode(&passkey.id).ok()).collect();
        let builder = self
            .core
            .new_challenge_register_builder(owner.handle, owner.name, owner.display_name)?
            .user_verification_policy(UserVerificationPolicy::Required)
            .require_resident_key(true)
            .exclude_credentials(Some(known));
        let (options, state) = self.core.generate_challenge_register(builder)?;
        challenge(&options, &state)
    }

    /// The new passkey's ID and credential, if it is not one of those `known`.
    pub fn accept(
        &self,
        challenge: &Challenge,
        answer: &str,
        known: &[Passkey],
    ) -> Result<(String, String), Fault> {
        let state: RegistrationState = read(&challenge.state)?;
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let id = URL_SAFE_NO_PAD.encode(&answer.raw_id);
        if known.iter().any(|passkey| passkey.id == id) {
            return Err(Fault::Known);
        }
        let credential = self.core.register_credential(&answer, &state, None)?;
        Ok((URL_SAFE_NO_PAD.encode(&credential.cred_id), serde_json::to_string(&credential)?))
    }

    /// A challenge for whoever has a passkey for this host.
    pub fn ask(&self) -> Result<Challenge, Fault> {
        let policy = Some(UserVerificationPolicy::Required);
        let builder = self.core.new_challenge_authenticate_builder(Vec::new(), policy)?;
        let (options, state) = self.core.generate_challenge_authenticate(builder)?;
        challenge(&options, &state)
    }

    /// Which of these passkeys signed, and its credential as it is to be kept from now on.
    pub fn judge(
        &self,
        challenge: &Challenge,
        answer: &str,
        handle: &[u8],
        passkeys: &[Passkey],
    ) -> Result<(usize, String), Fault> {
        let state: AuthenticationState = read(&challenge.state)?;
        let answer: PublicKeyCredential = read(answer)?;
        if answer.get_user_unique_id().is_some_and(|given| given != handle) {
            return Err(Fault::Refused("it is somebody else's".into()));
        }
        let id = URL_SAFE_NO_PAD.encode(&answer.raw_id);
        let index = passkeys.iter().position(|passkey| passkey.id == id);
        let index = index.ok_or_else(|| Fault::Refused("it is not one of the account's".into()))?;
        let mut credential: Credential = read(&passkeys[index].credential)?;
        let result = self.core.authenticate_single_credential(&answer, &state, &credential)?;
        if !result.user_verified() {
            return Err(Fault::Refused("its owner was not verified".into()));
        }
        credential.counter = result.counter();
        credential.backup_state = result.backup_state();
        credential.backup_eligible |= result.backup_eligible();
        Ok((index, serde_json::to_string(&credential)?))
    }
}

fn challenge(options: &impl Serialize, state: &impl Serialize) -> Result<Challenge, Fault> {
    Ok(Challenge { options: serde_json::to_string(options)?, state: serde_json::to_string(state)? })
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    Ok(serde_json::from_str(json)?)
}
