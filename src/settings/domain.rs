//! A domain: where its controllers are and who Regain is there.

use std::path::PathBuf;

use super::{
    Fault, Secret, form,
    table::{choice, tab},
};

choice! {
    /// How a controller is reached; always under TLS.
    pub enum Transport {
        /// TLS from the first byte, port 636.
        Ldaps = "ldaps",
        /// StartTLS (RFC 4511 4.14), port 389.
        StartTls = "starttls",
    }
}

tab! {
    /// A domain.
    pub struct DomainSettings {
        /// The domain's DNS name.
        dns_name: String = String::new(), as form::dns_name;
        /// The domain's NetBIOS name, the one before the backslash in CORP\mary.
        netbios_name: String = String::new(), as form::netbios_name;
        /// Domain controllers, as host or host:port, the preferred one first. Not set: found by DNS
        /// (_ldap._tcp.dc._msdcs SRV records).
        controllers: Vec<String> = Vec::new(), as form::controller;
        /// How they are reached: "ldaps" (port 636) or "starttls" (port 389).
        transport: Transport = Transport::Ldaps;
        /// The certificate authority that issued the controllers' certificates, as a PEM file. Not set: those the
        /// system trusts.
        ca_file: Option<PathBuf> = None, as form::some;
        /// That certificate authority's certificates themselves, as PEM, where there is no file of them.
        ca_certificates: Option<String> = None, as form::certificates, of Lines;
        /// Where accounts are looked for, if not in the whole domain, for instance "OU=People,DC=corp,DC=example".
        search_base: Option<String> = None, as form::some;
        /// The account Regain works as, for instance "svc-regain@corp.example".
        service_account: String = String::new();
        /// Its password. Better kept in a file of its own: service_password_file.
        service_password: Option<Secret> = None;
        /// The attribute with a person's e-mail address.
        mail_attribute: String = "mail".into(), as form::attribute;
        /// The attribute with a person's mobile number.
        mobile_attribute: String = "mobile".into(), as form::attribute;
        /// The longest time to connect, in milliseconds, before the next controller is tried.
        connect_timeout_ms: u32 = 3000, in 100..=30_000;
        /// The longest time for one operation, in milliseconds.
        operation_timeout_ms: u32 = 5000, in 100..=30_000;
        /// Connections kept open for the service account.
        connections: u32 = 4, in 1..=64;
    }
}

impl DomainSettings {
    /// The CA's certificates, if there are any.
    pub fn certificates(&self) -> Option<&str> {
        self.ca_certificates.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// What is wrong with controllers that are typed into the panel. Only the ports of LDAP can be tried from there: it
    /// is no way to find out which others are open.
    pub fn check_typed(&self, prefix: &str, known: &[String], faults: &mut Vec<Fault>) {
        for controller in self.controllers.iter().filter(|controller| !known.contains(controller)) {
            let text = controller.trim();
            let is_bare = text.parse::<std::net::IpAddr>().is_ok() || text.ends_with(']');
            let port = text.rsplit_once(':').filter(|_| !is_bare).map(|(_, port)| port);
            if port.is_some_and(|port| !matches!(port, "389" | "636")) {
                let text =
                    format!("\"{text}\": other ports than 389 and 636 can be set in the configuration only");
                faults.push(Fault::new(&format!("{prefix}.controllers"), text));
            }
        }
    }

    /// What has no default must be given.
    pub(super) fn check_needs(&self, prefix: &str, faults: &mut Vec<Fault>) {
        let password = self.service_password.as_ref().is_none_or(|password| password.reveal().is_empty());
        for (key, missing, hint) in [
            ("dns_name", self.dns_name.is_empty(), ""),
            ("netbios_name", self.netbios_name.is_empty(), ""),
            ("service_account", self.service_account.trim().is_empty(), ""),
            ("service_password", password, ", better as service_password_file"),
        ] {
            if missing {
                faults.push(Fault::new(&format!("{prefix}.{key}"), format!("is needed{hint}")));
            }
        }
        if self.ca_file.is_some() && self.certificates().is_some() {
            let text = "is not read beside ca_file: set one of both";
            faults.push(Fault::new(&format!("{prefix}.ca_certificates"), text));
        }
    }

    /// Whether both have a name in common.
    pub(super) fn is_twin_of(&self, other: &Self) -> bool {
        let same = |one: &str, two: &str| !one.is_empty() && one.to_lowercase() == two.to_lowercase();
        same(self.dns_name.trim_end_matches('.'), other.dns_name.trim_end_matches('.'))
            || same(&self.netbios_name, &other.netbios_name)
    }

    /// Whether it is called so, by either of its names.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let name = name.trim().to_lowercase();
        [self.dns_name.trim_end_matches('.'), &self.netbios_name].iter().any(|own| own.to_lowercase() == name)
    }
}
