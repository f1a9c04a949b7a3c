//! The forms that texts of the settings may have. Each says what is wrong so that it can follow the text itself.

use std::{net::IpAddr, path::Path};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};

use crate::domain::{contact::EmailAddress, network::Network};

/// Any text but none.
pub fn some(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("must not be empty".into()) } else { Ok(()) }
}

/// A name that is shown in many places.
pub fn name(text: &str) -> Result<(), String> {
    if text.chars().count() > 64 { Err("is longer than 64 characters".into()) } else { some(text) }
}

/// A host name or an IP address, an IPv6 one in brackets.
fn host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.contains(':') && ServerName::try_from(text).is_ok(),
    }
}

/// A host without a port.
pub fn host_name(text: &str) -> Result<(), String> {
    if host(text) {
        Ok(())
    } else {
        Err("is not a host name or an address (IPv6 in brackets), without a port".into())
    }
}

/// Whether that host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Host with port, and what is behind.
fn split(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

fn without_port(place: &str) -> &str {
    if place.ends_with(']') { place } else { place.rsplit_once(':').map_or(place, |(name, _)| name) }
}

/// Whether an HTTP address is one of this machine.
pub fn leads_here(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| is_loopback(without_port(split(rest).0)))
}

/// An HTTP address to send to: under TLS, unless it is on this machine.
pub fn endpoint(text: &str) -> Result<(), String> {
    let (is_safe, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("is not an address that begins with https://".into()),
    };
    let (place, path) = split(rest);
    authority(place)?;
    if path.contains(|c: char| !c.is_ascii_graphic() || "#\"<>\\^`{|}".contains(c)) {
        return Err("has characters that can't be in an address; write them percent-encoded".into());
    }
    if is_safe || is_loopback(without_port(place)) {
        Ok(())
    } else {
        Err("is not safe; only https:// is, outside this machine".into())
    }
}

/// The value of an HTTP header (RFC 9110 5.5): visible characters of ASCII and blanks.
pub fn header_value(text: &str) -> Result<(), String> {
    let sound = !text.trim().is_empty() && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if sound { Ok(()) } else { Err("is not the value of a header".into()) }
}

/// A header of a request that doesn't say where the request goes or ends.
pub fn header(text: &str) -> Result<(), String> {
    let Some((name, value)) = text.split_once(':') else { return Err("is not \"Name: value\"".into()) };
    let sound = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let own = ["host", "connection", "content-length", "content-type", "transfer-encoding", "upgrade", "te"];
    if own.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("is not for you to set".into());
    }
    if sound { header_value(value) } else { Err("is not \"Name: value\"".into()) }
}

/// A path from the root.
pub fn absolute_path(text: &str) -> Result<(), String> {
    if Path::new(text).is_absolute() { Ok(()) } else { Err("is not a whole path: it begins with /".into()) }
}

/// A bare e-mail address.
pub fn address(text: &str) -> Result<(), String> {
    EmailAddress::parse(text)
        .map(drop)
        .map_err(|_| "is not an e-mail address such as no-reply@corp.example".into())
}

/// A host, perhaps with a port: `reset.corp.example`, `192.0.2.1:8443`, `[2001:db8::1]:8443`.
pub fn authority(text: &str) -> Result<(), String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            (name, port.parse::<u16>().ok().filter(|&port| port > 0))
        }
        _ => (text, Some(443)),
    };
    if host(name) && port.is_some() { Ok(()) } else { Err("is not a host name, perhaps with a port".into()) }
}

/// How a domain controller is listed: as [`authority`], or an IPv6 address without brackets.
pub fn controller(text: &str) -> Result<(), String> {
    if text.trim().parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    authority(text.trim()).map_err(|_| "is not a domain controller's name: host or host:port".into())
}

/// The DNS name of a domain.
pub fn dns_name(text: &str) -> Result<(), String> {
    let sound = host(text) && text.parse::<IpAddr>().is_err() && !text.starts_with('[');
    if text.is_empty() || sound { Ok(()) } else { Err("is not a DNS name such as corp.example".into()) }
}

/// The NetBIOS name of a domain: up to 15 characters without those that Windows forbids
/// (Microsoft, "Naming conventions in Active Directory").
pub fn netbios_name(text: &str) -> Result<(), String> {
    if text.chars().count() > 15 || text.contains(|c: char| c.is_control() || "\\/:*?\"<>|. ".contains(c)) {
        return Err("is not a NetBIOS name such as CORP: up to 15 characters, no dot".into());
    }
    Ok(())
}

/// Certificates in PEM (RFC 7468 5.1), or none.
pub fn certificates(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Ok(());
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err("has no certificate in PEM in it: -----BEGIN CERTIFICATE-----".into()),
    }
}

/// The name of an attribute in the directory (RFC 4512 1.4, keystring).
pub fn attribute(text: &str) -> Result<(), String> {
    let sound = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if sound { Ok(()) } else { Err("is not the name of an attribute".into()) }
}

/// A language tag as in the names of the texts: `en`, `zh-hans` (BCP 47, in lower case).
pub fn language(text: &str) -> Result<(), String> {
    let mut parts = text.split('-');
    let sound = parts.next().is_some_and(|first| (2..=3).contains(&first.len()))
        && text
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric()));
    if sound { Ok(()) } else { Err("is not a language such as en or de".into()) }
}

/// Addresses that begin alike.
pub fn network(text: &str) -> Result<(), String> {
    text.parse::<Network>().map(|_| ()).map_err(|_| {
        "is neither an address nor a network like \"10.1.0.0/16\", with nothing behind its first bits".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(form: fn(&str) -> Result<(), String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(form(text), Ok(()), "{text}");
        }
        for text in bad {
            assert!(form(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_form_tells_right_from_wrong() {
        judge(
            authority,
            &["reset", "reset.corp.example:8443", "192.0.2.1", "[2001:db8::1]", "[::1]:8443"],
            &["", "a:b:c", ":443", "a:99999", "a:0", "::1", "[::1", "a/b", "ü.example", "a b", "user@host"],
        );
        judge(
            controller,
            &["dc1", " dc1.corp.example. ", "dc1:1636", "2001:db8::1", "[2001:db8::1]:99"],
            &["", "dc1:", "dc1:x", "[::1", "ldaps://dc1"],
        );
        judge(dns_name, &["", "corp.example", "lab"], &["corp example", "192.0.2.1", "[::1]", "a:1", "-"]);
        judge(
            netbios_name,
            &["", "CORP", "A-B_1", "BÜRO"],
            &["CORP.EXAMPLE", "A B", "A\\B", "ABCDEFGHIJKLMNOP"],
        );
        judge(attribute, &["mail", "msDS-cloudExtensionAttribute1"], &["", "1x", "mail)", "*", "a b"]);
        judge(language, &["en", "zh-hans", "pt-br"], &["", "english", "e", "en-", "../en", "en_us"]);
        judge(host_name, &["mx", "192.0.2.1", "[::1]"], &["", "mx:25", "::1", "[::1]:25", "a b"]);
        judge(
            endpoint,
            &[
                "https://sms.example",
                "https://sms.example:8443/send?to=[PHONE]&text=[TEXT]",
                "http://127.0.0.1:80/x",
                "http://[::1]/x",
                "http://[::1]:80/x",
                "http://localhost",
            ],
            &[
                "",
                "sms.example",
                "ftp://sms.example",
                "http://sms.example",
                "http://localhost.example/",
                "https://user:x@sms.example/",
                "https://[PHONE].example/",
                "https://sms.example/a b",
                "https://sms.example/\r\nX:",
                "https://sms.example/ü",
            ],
        );
        judge(
            header,
            &["X-Key: a b", "Accept:*/*"],
            &["", "X", "X Y: z", ": z", "X: a\r\nb", "X:", "Host: x"],
        );
        judge(absolute_path, &["/usr/bin/true"], &["", "true", "./true"]);
        judge(address, &["a@b.example"], &["", "a", "A <a@b.example>", "a@b.example\r\nBcc: c@d.example"]);
        judge(some, &["x"], &["", " "]);
    }
}
