//! The ACME tab: from which authority the certificate comes, and for which names.

use super::{
    Fault, form,
    table::{choice, tab},
};
use crate::domain::certificate::{self, MOST_NAMES};

choice! {
    /// How names are proved to be ours.
    pub enum AcmeChallenge {
        /// On the port of HTTPS (RFC 8737).
        TlsAlpn01 = "tls_alpn_01",
        /// On the port of plain HTTP (RFC 8555 8.3).
        Http01 = "http_01",
    }
}

tab! {
    /// The ACME tab.
    pub struct Acme {
        /// Get the certificate from an authority by ACME, such as Let's Encrypt or one of your own, and renew it in time. Until
        /// the first one arrives a self-signed one is shown. No effect where the configuration names certificate files.
        enabled: bool = false;
        /// The address of the authority's directory. For trying things out, Let's Encrypt has
        /// `https://acme-staging-v02.api.letsencrypt.org/directory`, whose certificates browsers don't trust.
        directory: String = "https://acme-v02.api.letsencrypt.org/directory".into(), as directory;
        /// Whether you agree to the authority's terms of service, which it demands; those of Let's Encrypt are at
        /// `https://letsencrypt.org/repository/`.
        terms_agreed: bool = false;
        /// The names in the certificate, such as "reset.corp.example". Empty: the host of base_url, and those of extra_hosts
        /// that have a dot. The authority must find this machine under each of them; pages are answered under those of
        /// base_url and extra_hosts only.
        names: Vec<String> = Vec::new(), as name;
        /// The e-mail address that the authority may write to about the account. Not set: none.
        contact: Option<String> = None, as form::address;
        /// How the authority sees that the names are yours: "tls_alpn_01" on port 443, "http_01" on port 80. It connects to that
        /// port of each name; a public one does so from anywhere.
        challenge: AcmeChallenge = AcmeChallenge::TlsAlpn01;
        /// The authority that issued the certificate of the directory's own address, as PEM, if it is one of your own. Not set:
        /// those the system trusts.
        ca_certificates: Option<String> = None, as form::certificates, of Lines;
    }
}

impl Acme {
    /// The certificates that are trusted, if not those of the system.
    pub fn roots(&self) -> Option<&str> {
        self.ca_certificates.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// An authority serves nobody who has not agreed to its terms.
    pub(super) fn check_needs(&self, faults: &mut Vec<Fault>) {
        if self.enabled && !self.terms_agreed {
            let text = "must be true: the authority issues nothing unless you agree to its terms of service";
            faults.push(Fault::new("settings.acme.terms_agreed", text));
        }
        if self.names.len() > MOST_NAMES {
            let text = format!("has more than {MOST_NAMES} names");
            faults.push(Fault::new("settings.acme.names", text));
        }
    }
}

fn name(text: &str) -> Result<(), String> {
    certificate::check_name(text).map_err(str::to_owned)
}

/// The address of a directory: with TLS in any case (RFC 8555 6.1).
fn directory(text: &str) -> Result<(), String> {
    if text.starts_with("https://") {
        form::endpoint(text)
    } else {
        Err("is not an address that begins with https://".into())
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn an_authority_needs_an_address_an_agreement_and_names_it_can_look_at() {
        let faults = |text: &str| -> Vec<String> {
            let settings: Settings = toml::from_str(&format!("[acme]\n{text}")).unwrap();
            settings.faults().iter().map(ToString::to_string).collect()
        };
        for good in [
            "",
            "enabled = true\nterms_agreed = true",
            "directory = 'https://ca.corp.example:8443/acme/acme/directory'",
            "names = ['reset.corp.example', 'reset']",
        ] {
            assert_eq!(faults(good), Vec::<String>::new(), "{good}");
        }
        for (bad, told) in [
            ("enabled = true", "settings.acme.terms_agreed: must be true"),
            ("directory = 'http://localhost/directory'", "settings.acme.directory: \"http"),
            ("directory = 'ca.corp.example'", "settings.acme.directory: \"ca.corp"),
            ("names = ['*.corp.example']", "settings.acme.names: \"*.corp.example\" is a wildcard"),
            ("names = ['192.0.2.1']", "settings.acme.names: \"192.0.2.1\" is an address"),
            ("contact = 'nobody'", "settings.acme.contact: \"nobody\" is not"),
            ("ca_certificates = 'x'", "settings.acme.ca_certificates: \"x\" has no"),
        ] {
            let faults = faults(bad);
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{bad}: {faults:?}");
        }
        let many: Vec<_> = (0..101).map(|n| format!("n{n}.example")).collect();
        assert!(faults(&format!("names = {many:?}"))[0].contains("more than 100"));
    }
}
