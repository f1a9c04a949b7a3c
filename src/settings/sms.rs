//! The SMS tab: how text messages leave the house.

use std::path::PathBuf;

use super::{
    Fault, Secret, form,
    table::{choice, tab},
};

choice! {
    /// How text messages are delivered.
    pub enum SmsDelivery {
        /// Not at all.
        None = "none",
        /// By a program.
        Command = "command",
        /// By an HTTP endpoint.
        Http = "http",
    }
}

choice! {
    /// The method of a request.
    pub enum SmsMethod {
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// GET, without a body.
        Get = "GET",
    }
}

tab! {
    /// The SMS tab.
    pub struct SmsSettings {
        /// How text messages are delivered: "command" by a program, "http" by the HTTP endpoint of a provider or
        /// gateway, "none" not at all.
        delivery: SmsDelivery = SmsDelivery::None;
        /// The program, with its whole path. No shell is involved, and of the environment it only gets a PATH. It
        /// has delivered when it ends with 0.
        program: Option<PathBuf> = None, as form::absolute_path;
        /// Its arguments. [CODE] [PHONE] [USERNAME] [DOMAIN] [LANG] [TEXT] are replaced within each. Other users of
        /// the machine may be able to see the arguments of a running program.
        arguments: Vec<String> = Vec::new();
        /// The address of the endpoint, with https unless it is on this machine, which only the configuration can
        /// say. [CODE] [PHONE] [USERNAME] [DOMAIN]
        /// [LANG] [TEXT] are replaced behind the host name, percent-encoded.
        url: Option<String> = None, as form::endpoint;
        /// The method of the request: "POST", "PUT" or "GET" (without body).
        method: SmsMethod = SmsMethod::Post;
        /// Further headers of the request, as "Name: value".
        headers: Vec<String> = Vec::new(), as form::header;
        /// The Authorization header's value, for instance "Bearer 0123". Better kept in a file of its own:
        /// http_authorization_file.
        http_authorization: Option<Secret> = None;
        /// The request's body. The same words are replaced, escaped for the content_type where that is
        /// "application/json" or "application/x-www-form-urlencoded".
        body: String = r#"{"to": "[PHONE]", "text": "[TEXT]"}"#.into();
        /// The body's media type.
        content_type: String = "application/json".into(), as form::header_value;
        /// It has delivered when the status of its answer is between these two. 429 and those from 500 are tried again,
        /// others are not; redirects are not followed.
        expected_status_from: u32 = 200, in 100..=599;
        /// The greatest status that says it has delivered.
        expected_status_to: u32 = 299, in 100..=599;
        /// The certificate authority that issued the endpoint's certificate, as a PEM file. Not set: those the system
        /// trusts.
        ca_file: Option<PathBuf> = None, as form::some;
        /// The longest time for the program or the request, in seconds. A program is ended then, with all it started.
        timeout_seconds: u32 = 20, in 1..=120;
    }
}

impl SmsSettings {
    /// What is wrong with an address that is typed into the panel. Requests to this machine could do there what only its
    /// owner may: they are as much the configuration's as programs are.
    pub fn check_typed(&self, known: Option<&str>, faults: &mut Vec<Fault>) {
        let url = self.url.as_deref().filter(|url| Some(*url) != known);
        if url.is_some_and(form::leads_here) {
            let text = "leads to this machine: that can be set in the configuration only";
            faults.push(Fault::new("settings.sms.url", text));
        }
    }

    /// What the chosen delivery needs must be given.
    pub(super) fn check_needs(&self, faults: &mut Vec<Fault>) {
        let mut need = |key: &str, is_missing: bool, text: &str| {
            if is_missing {
                faults.push(Fault::new(&format!("settings.sms.{key}"), text));
            }
        };
        let is_command = self.delivery == SmsDelivery::Command;
        need("program", is_command && self.program.is_none(), "is needed to deliver by \"command\"");
        let is_http = self.delivery == SmsDelivery::Http;
        need("url", is_http && self.url.is_none(), "is needed to deliver by \"http\"");
        need(
            "expected_status_to",
            self.expected_status_from > self.expected_status_to,
            "is less than expected_status_from",
        );
        let names_authorization = |header: &String| {
            header.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("authorization"))
        };
        need(
            "headers",
            self.headers.iter().any(names_authorization),
            "Authorization is a secret: keep it in http_authorization",
        );
        let authorization = self.http_authorization.as_ref();
        need(
            "http_authorization",
            authorization.is_some_and(|secret| form::header_value(secret.reveal()).is_err()),
            "has characters that can't be in a header",
        );
    }
}
