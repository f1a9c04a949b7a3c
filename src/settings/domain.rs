//! A domain: where its controllers are and who Regain is there.

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;

use super::{
    Fault,
    table::{Kind, tab},
};
use crate::domain::secret::SecretText;

/// A secret of the settings: its text is never shown.
#[derive(Debug, Clone)]
pub struct Secret(Arc<SecretText>);

impl Secret {
    /// The text, for the one who has to send it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Arc::new(SecretText::new(text))))
    }
}

impl Kind for Secret {
    fn toml(&self) -> String {
        String::new()
    }
}

/// How a controller is reached; always under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TLS from the first byte, port 636.
    Ldaps,
    /// StartTLS (RFC 4511 4.14), port 389.
    StartTls,
}

impl Kind for Transport {
    fn toml(&self) -> String {
        match self {
            Self::Ldaps => "\"ldaps\"".into(),
            Self::StartTls => "\"starttls\"".into(),
        }
    }
}

tab! {
    /// A domain.
    pub struct DomainSettings {
        /// The domain's DNS name.
        dns_name: String = String::new();
        /// The domain's NetBIOS name, the one before the backslash in CORP\mary.
        netbios_name: String = String::new();
        /// Domain controllers, as host or host:port, the preferred one first. Not set: found by DNS
        /// (_ldap._tcp.dc._msdcs SRV records).
        controllers: Vec<String> = Vec::new();
        /// How they are reached: "ldaps" (port 636) or "starttls" (port 389).
        transport: Transport = Transport::Ldaps;
        /// The certificate authority that issued the controllers' certificates, as a PEM file. Not set: those the
        /// system trusts.
        ca_file: Option<PathBuf> = None;
        /// Where accounts are looked for, if not in the whole domain, for instance "OU=People,DC=corp,DC=example".
        search_base: Option<String> = None;
        /// The account Regain works as, for instance "svc-regain@corp.example".
        service_account: String = String::new();
        /// Its password. Better kept in a file of its own: service_password_file.
        #[secret yes]
        service_password: Option<Secret> = None;
        /// The attribute with a person's e-mail address.
        mail_attribute: String = "mail".into();
        /// The attribute with a person's mobile number.
        mobile_attribute: String = "mobile".into();
        /// The longest time to connect, in milliseconds, before the next controller is tried.
        connect_timeout_ms: u32 = 3000, in 100..=30_000;
        /// The longest time for one operation, in milliseconds.
        operation_timeout_ms: u32 = 5000, in 100..=30_000;
        /// Connections kept open for the service account.
        connections: u32 = 4, in 1..=64;
    }
}

impl DomainSettings {
    pub(super) fn check_names(&self, prefix: &str, faults: &mut Vec<Fault>) {
        let mut need = |key: &str, empty: bool| {
            if empty {
                faults.push(Fault::new(&format!("{prefix}.{key}"), "is needed"));
            }
        };
        need("dns_name", self.dns_name.is_empty());
        need("netbios_name", self.netbios_name.is_empty());
        need("service_account", self.service_account.is_empty());
        need("service_password (or service_password_file)", self.service_password.is_none());
    }
}
