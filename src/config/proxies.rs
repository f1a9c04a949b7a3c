//! Reverse proxies: which there are, and what is believed of them. The default is none and nothing, so that no visitor
//! can choose an address.

use std::path::Path;

use super::{Config, resolve};
use crate::{
    domain::network::{Network, Place},
    settings::{
        Fault, form,
        table::{choice, tab},
    },
};

tab! {
    /// The reverse proxies.
    pub struct Proxies {
        /// The networks that proxies are in, and nobody else.
        trusted: Vec<String> = Vec::new(), as form::network;
        /// The header in which they tell for whom they come.
        header: ProxyHeader = ProxyHeader::None;
        /// The places listened on where connections begin with a header of the PROXY protocol.
        protocol: Vec<String> = Vec::new(), as place_form;
    }
}

choice! {
    /// The header in which proxies tell for whom they come.
    pub enum ProxyHeader {
        /// None is believed.
        None = "none",
        /// `X-Forwarded-For`.
        XForwardedFor = "x_forwarded_for",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

/// A socket in the file system, or an address.
fn place(text: &str) -> Result<Place, String> {
    match text.strip_prefix("unix:") {
        Some(path) if Path::new(path).is_absolute() => Ok(Place::Socket(path.into())),
        Some(_) => Err("no whole path follows; one looks like unix:/run/regain/http.sock".into()),
        None => resolve(text).map(Place::Address),
    }
}

fn place_form(text: &str) -> Result<(), String> {
    place(text).map(drop).map_err(|error| format!("can't be listened on: {error}"))
}

/// A place that nobody reaches from another machine.
pub(super) fn plain_form(text: &str) -> Result<(), String> {
    match place(text) {
        Ok(Place::Address(address)) if !address.ip().to_canonical().is_loopback() => Err(
            "is reached from other machines, and nothing is encrypted there: give an address of this machine alone, \
             such as 127.0.0.1:8080, or unix:/run/regain/http.sock; or let the proxy come to `listen`, by HTTPS"
                .into(),
        ),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("can't be listened on: {error}")),
    }
}

impl Config {
    /// Where the pages are handed to proxies in plain HTTP.
    pub fn plain_places(&self) -> Vec<Place> {
        self.listen_plain.iter().filter_map(|text| place(text).ok()).collect()
    }

    /// The networks of the proxies.
    pub fn trusted_networks(&self) -> Vec<Network> {
        self.proxies.trusted.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Whether connections there begin with a header of the PROXY protocol.
    pub fn speaks_proxy_protocol(&self, at: &Place) -> bool {
        self.proxies.protocol.iter().any(|text| place(text).is_ok_and(|place| place == *at))
    }

    /// What is wrong with the proxies beyond single values.
    pub(super) fn faults_of_proxies(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let (Proxies { trusted, header, protocol }, plain) = (&self.proxies, self.plain_places());
        let on_address = |place: &Place| matches!(place, Place::Address(_));
        let addresses = [self.listen_addresses(), self.redirect_addresses(), self.api_addresses()].concat();
        for text in protocol {
            let Ok(place) = place(text) else { continue };
            if !plain.contains(&place) && !matches!(place, Place::Address(at) if addresses.contains(&at)) {
                let text = format!("\"{text}\" is not in listen, listen_http, listen_api or listen_plain");
                faults.push(Fault::new("proxies.protocol", text));
            } else if trusted.is_empty() && on_address(&place) {
                let text = format!("nobody could connect to \"{text}\": name the proxies in proxies.trusted");
                faults.push(Fault::new("proxies.protocol", text));
            }
        }
        let trusts_nobody = trusted.is_empty() && plain.iter().all(on_address);
        if *header != ProxyHeader::None && trusts_nobody {
            let text = "is believed of proxies only: name them in proxies.trusted";
            faults.push(Fault::new("proxies.header", text));
        }
        if trusted.is_empty() && plain.iter().any(on_address) {
            let text = "only proxies are served there: name them in proxies.trusted, such as [\"127.0.0.1\"]";
            faults.push(Fault::new("listen_plain", text));
        }
        if *header == ProxyHeader::None && !plain.iter().all(|place| self.speaks_proxy_protocol(place)) {
            let text = "visitors can't be told apart behind a proxy that doesn't say who they are: set proxies.header";
            faults.push(Fault::new("listen_plain", text));
        }
        faults
    }
}
