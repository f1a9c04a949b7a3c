//! What is known of a domain while an administrator sets it up, so that they can leave and go on later.

use serde::{Deserialize, Serialize};

/// A domain that is being set up. No secret is in it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DomainDraft {
    /// Its DNS name.
    pub dns_name: String,
    /// Its controllers, if they are not to be found by DNS.
    pub controllers: Vec<String>,
    /// Whether they are reached by StartTLS.
    pub is_starttls: bool,
    /// The certificates of the CA that is trusted; those of the system if `None`.
    pub ca_certificates: Option<String>,
    /// Whether a controller has shown a certificate that is trusted.
    pub is_trusted: bool,
    /// The account Regain is to work as.
    pub service_account: String,
}
