//! The address people use.

use serde::Deserialize;
use toml::Value;

use crate::settings::{Kind, Shape, form::authority};

/// The address people use: `https://` and a host, perhaps a port, no path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

impl BaseUrl {
    /// `https://reset.corp.example`.
    pub fn origin(&self) -> &str {
        &self.0
    }

    /// Host, and port if it is not 443, as browsers send it.
    pub fn authority(&self) -> &str {
        self.0.strip_prefix("https://").unwrap_or_default()
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        super::without_port(self.authority()).trim_start_matches('[').trim_end_matches(']')
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        match lower.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest)) {
            Some(found) if authority(found).is_ok() => {
                Ok(Self(format!("https://{}", found.strip_suffix(":443").unwrap_or(found))))
            }
            _ => Err(format!("\"{text}\" {WANTED}")),
        }
    }
}

const WANTED: &str =
    "must be https:// and a host name, perhaps a port, without a path: https://reset.corp.example";

pub(super) fn form(text: &str) -> Result<(), String> {
    BaseUrl::try_from(text.to_owned()).map(drop).map_err(|_| WANTED.to_owned())
}

impl Kind for BaseUrl {
    const SHAPE: Shape = Shape::Text;

    fn value(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_authority_and_origin_are_told_apart() {
        for (text, host, authority) in [
            ("https://Reset.corp.example", "reset.corp.example", "reset.corp.example"),
            ("HTTPS://reset.corp.example:443/", "reset.corp.example", "reset.corp.example"),
            ("https://localhost:8443", "localhost", "localhost:8443"),
            ("https://[2001:DB8::1]", "2001:db8::1", "[2001:db8::1]"),
            ("https://[::1]:8443", "::1", "[::1]:8443"),
        ] {
            let url = BaseUrl::try_from(text.to_owned()).unwrap();
            assert_eq!((url.host(), url.authority()), (host, authority), "{text}");
            assert_eq!(url.origin(), format!("https://{authority}"));
        }
    }

    #[test]
    fn what_is_no_bare_https_address_is_refused() {
        for text in
            ["", "x", "http://x", "https://", "https://x/y", "https://x?y", "https://a:b:c", "https://:99"]
        {
            assert!(BaseUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["https://u@x", "https://x:99999", "https://[::1", "https://x y", "https://ü.example"] {
            assert!(BaseUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
