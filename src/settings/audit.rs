//! The Audit tab: how long events are kept, and where they are sent on to.

use std::path::PathBuf;

use super::{
    Fault, Secret, form,
    table::{choice, tab},
};

choice! {
    /// How syslog messages travel.
    pub enum SyslogTransport {
        /// TLS (RFC 5425).
        Tls = "tls",
        /// TCP (RFC 6587), unprotected.
        Tcp = "tcp",
        /// UDP (RFC 5426), unprotected, and what gets lost is lost.
        Udp = "udp",
    }
}

tab! {
    /// The Audit tab.
    pub struct Audit {
        /// Events are kept so many days, then they are dropped; 0 for ever. What is left can still be verified. A clock that
        /// was set wrong drops nothing: there must have been events on a tenth of as many days since.
        keep_days: u32 = 0, in 0..=36_500;
        /// The syslog server that new events are sent on to (RFC 5424), as host or host:port. What could not be sent is sent
        /// later; some may arrive twice.
        syslog_server: Option<String> = None, as form::authority;
        /// How they travel: "tls" (port 6514 if none is given), "tcp" or "udp" (514).
        syslog_transport: SyslogTransport = SyslogTransport::Tls;
        /// The certificate authority that issued the syslog server's certificate, as a PEM file. Not set: those the system
        /// trusts.
        syslog_ca_file: Option<PathBuf> = None, as form::some;
        /// The facility of the messages; 13 is "log audit", 10 "security/authorization", 16 to 23 are local0 to local7.
        syslog_facility: u32 = 13, in 0..=23;
        /// The address that new events are posted to as JSON, with https unless it is on this machine, which only the
        /// configuration can say. What could not be sent is sent later; some may arrive twice: each has its number.
        webhook_url: Option<String> = None, as form::endpoint;
        /// The secret that the posts are signed with, as Standard Webhooks 1.0 has it; 16 characters at least, base64 behind
        /// "whsec_".
        webhook_secret: Option<Secret> = None;
        /// The certificate authority that issued the endpoint's certificate, as a PEM file. Not set: those the system
        /// trusts.
        webhook_ca_file: Option<PathBuf> = None, as form::some;
    }
}

impl Audit {
    const SHORTEST_SECRET: usize = 16;

    /// What is wrong with an address that is typed into the panel: see
    /// [`SmsSettings::check_typed`](super::SmsSettings::check_typed).
    pub fn check_typed(&self, known: Option<&str>, faults: &mut Vec<Fault>) {
        let url = self.webhook_url.as_deref().filter(|url| Some(*url) != known);
        if url.is_some_and(form::leads_here) {
            let text = "leads to this machine: that can be set in the configuration only";
            faults.push(Fault::new("settings.audit.webhook_url", text));
        }
    }

    /// A webhook needs a secret to sign with.
    pub(super) fn check_needs(&self, faults: &mut Vec<Fault>) {
        let is_signed =
            self.webhook_secret.as_ref().is_some_and(|secret| secret.reveal().len() >= Self::SHORTEST_SECRET);
        if self.webhook_url.is_some() && !is_signed {
            let text = "is needed to sign what is posted: 16 characters at least";
            faults.push(Fault::new("settings.audit.webhook_secret", text));
        }
    }
}
