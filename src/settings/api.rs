//! The API tab: what programs may ask, and from where.

use std::net::IpAddr;

use super::{form, table::tab};
use crate::domain::network::are_open_to;

tab! {
    /// The API tab.
    pub struct Api {
        /// Answer programs, such as logon-screen clients, that ask at `/api/enrollments` whether somebody is enrolled. Whoever
        /// may ask can find out of every name whether it is: where the pages can be reached from the Internet, name the
        /// networks that may, or demand a token.
        enrollments: bool = false;
        /// Whether that question needs a token with `enrollments:read`. The product Regain replaces had none; its clients can't
        /// send one.
        enrollments_need_token: bool = false;
        /// While this is on that question is answered with `{}`: programs ask again later.
        maintenance: bool = false;
        /// Answer programs with a token at `/api/v1`: they see users and events and help users, as far as the scopes of their
        /// token go. Tokens are made at "API tokens".
        tokens: bool = false;
        /// From where the API can be reached: networks like `10.1.0.0/16` or `2001:db8::/32`, or single addresses. For all others
        /// it is switched off. Empty: from everywhere.
        addresses: Vec<String> = Vec::new(), as form::network;
        /// Requests that may be made with one token in a minute; 0 for no limit. One address may make as many of all kinds as it
        /// may send forms.
        requests_per_token_per_minute: u32 = 120, in 0..=1_000_000;
    }
}

impl Api {
    /// Whether there is anything for programs.
    pub const fn is_on(&self) -> bool {
        self.enrollments || self.tokens
    }

    /// Whether it can be reached from there.
    pub fn is_open_to(&self, address: IpAddr) -> bool {
        are_open_to(&self.addresses, address)
    }
}
