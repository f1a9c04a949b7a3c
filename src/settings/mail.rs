//! The Mail tab: how e-mails leave the house.

use std::path::PathBuf;

use super::{
    Fault, Secret, form,
    table::{choice, tab},
};

choice! {
    /// How mails are delivered.
    pub enum MailDelivery {
        /// Not at all.
        None = "none",
        /// To a mail server.
        Smtp = "smtp",
        /// As files.
        Folder = "folder",
    }
}

choice! {
    /// How the mail server is reached.
    pub enum MailSecurity {
        /// STARTTLS (RFC 3207), port 587; without it nothing is sent.
        StartTls = "starttls",
        /// TLS from the first byte (RFC 8314), port 465.
        Tls = "tls",
        /// In clear text, port 25.
        None = "none",
    }
}

tab! {
    /// The Mail tab.
    pub struct MailSettings {
        /// How mails are delivered: "smtp" to a mail server, "folder" as .eml files in a folder (to try things out, or
        /// for a mail server that collects them there), "none" not at all.
        delivery: MailDelivery = MailDelivery::None;
        /// The mail server's name, as in its certificate.
        host: Option<String> = None, as form::host_name;
        /// Its port. Not set: 587 with "starttls", 465 with "tls", 25 with "none".
        port: Option<u32> = None, in 1..=65_535;
        /// How it is reached: "starttls", "tls" (from the first byte) or "none" (in clear text, for a server that
        /// offers nothing better). What is chosen is what happens: there is no falling back to clear text.
        security: MailSecurity = MailSecurity::StartTls;
        /// The user to log in as. Not set: without logging in.
        user: Option<String> = None, as form::some;
        /// The user's password. Better kept in a file of its own: password_file.
        password: Option<Secret> = None;
        /// The certificate authority that issued the mail server's certificate, as a PEM file. Not set: those the
        /// system trusts.
        ca_file: Option<PathBuf> = None, as form::some;
        /// The address mails come from, for instance "no-reply@corp.example".
        sender: Option<String> = None, as form::address;
        /// The name beside that address. Not set: the product's name.
        sender_name: Option<String> = None, as form::some;
        /// The folder for .eml files; it must exist. They hold codes in clear text: let nobody else read it.
        folder: Option<PathBuf> = None, as form::some;
        /// The longest time to reach the mail server and log in, and again to hand over a mail, in seconds.
        timeout_seconds: u32 = 10, in 1..=120;
    }
}

impl MailSettings {
    /// The port of the mail server.
    pub fn port(&self) -> u16 {
        let usual = match self.security {
            MailSecurity::StartTls => 587,
            MailSecurity::Tls => 465,
            MailSecurity::None => 25,
        };
        self.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(usual)
    }

    /// Whether mails would be delivered just the same with those.
    pub fn is_same_as(&self, other: &Self) -> bool {
        use super::Tab as _;
        let reveal = |settings: &Self| settings.password.as_ref().map(|secret| secret.reveal().to_owned());
        self.values() == other.values() && reveal(self) == reveal(other)
    }

    /// What the chosen delivery needs must be given.
    pub(super) fn check_needs(&self, faults: &mut Vec<Fault>) {
        let mut need = |key: &str, is_missing: bool, text: &str| {
            if is_missing {
                faults.push(Fault::new(&format!("settings.mail.{key}"), text));
            }
        };
        match self.delivery {
            MailDelivery::None => return,
            MailDelivery::Smtp => {
                need("host", self.host.is_none(), "is needed to deliver by \"smtp\"");
            }
            MailDelivery::Folder => {
                need("folder", self.folder.is_none(), "is needed to deliver into a \"folder\"");
            }
        }
        need("sender", self.sender.is_none(), "is needed to send mails");
        let has_password = self.password.as_ref().is_some_and(|secret| !secret.reveal().is_empty());
        need("password", self.user.is_some() && !has_password, "is needed to log in as user");
        need("user", self.user.is_none() && has_password, "is needed to log in with password");
        let is_open =
            self.security == MailSecurity::None && !self.host.as_deref().is_some_and(form::is_loopback);
        need(
            "security",
            self.delivery == MailDelivery::Smtp && self.user.is_some() && is_open,
            "\"none\" would send the password in clear text; use \"starttls\" or \"tls\"",
        );
    }
}
