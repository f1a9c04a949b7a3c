//! Whose request it is: behind proxies, the address that they tell.
//!
//! The last proxy is the connection's other end; each has written behind what was there already for whom it came. So
//! the words are read from the right, as long as they are a trusted proxy's: what is left of the first other address
//! may be anybody's invention. Must not know what is asked for.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use poem::http::{HeaderMap, HeaderName, header};

use crate::domain::network::Network;

/// Who it is if that can't be known. It is in no network that anybody would name; all such count as one.
pub(super) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The header in which proxies tell for whom they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is believed of proxies.
#[derive(Debug, Clone, Default)]
pub struct Believed {
    /// The proxies.
    trusted: Vec<Network>,
    /// Their header; `None` if they tell in none.
    header: Option<Told>,
    /// Whether it was said that a proxy told nothing.
    said: Arc<AtomicBool>,
}

impl Believed {
    /// What is believed of proxies in these networks, who tell in that header.
    pub fn of(trusted: Vec<Network>, header: Option<Told>) -> Self {
        Self { trusted, header, said: Arc::default() }
    }

    /// The visitor's address.
    pub fn visitor(&self, remote: Option<SocketAddr>, is_of_proxy: bool, headers: &HeaderMap) -> IpAddr {
        let own = remote.map_or(UNKNOWN, |remote| remote.ip().to_canonical());
        let Some(told) = self.header.filter(|_| is_of_proxy) else { return own };
        let name = match told {
            Told::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Told::Forwarded => header::FORWARDED,
        };
        let lines: Vec<_> =
            headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        if lines.is_empty() && !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %own,
                header = ?told,
                "a proxy doesn't tell for whom it comes: all its visitors count as one until it does"
            );
        }
        // A proxy that tells nothing does not come for itself: the pages must not take its visitors for it.
        let mut visitor = UNKNOWN;
        for word in lines.iter().rev().flat_map(|line| from_the_right(line, told)) {
            let hop = match told {
                Told::XForwardedFor => node(word),
                Told::Forwarded => element(word).and_then(|value| node(&value)),
            };
            match hop {
                Some(hop) if self.trusted.iter().any(|network| network.contains(hop)) => visitor = hop,
                Some(hop) => return hop,
                None => return UNKNOWN,
            }
        }
        visitor
    }
}

/// The elements of a list, the last one first; empty ones, too. In `Forwarded`, a comma in quotation marks parts
/// nothing. That is looked at from the right as well: no mark that a visitor left open reaches into what a proxy wrote.
fn from_the_right(line: &str, told: Told) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = match told {
            Told::XForwardedFor => text.rfind(','),
            Told::Forwarded => last_comma(text),
        };
        let (before, word) = match at {
            Some(at) => (Some(&text[..at]), &text[at + 1..]),
            None => (None, text),
        };
        rest = before;
        Some(word.trim_matches([' ', '\t']))
    })
}

fn last_comma(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    // Within a quoted text (RFC 9110 5.6.4) a mark behind a backslash is not its begin.
    let is_escaped = |at: usize| bytes[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1;
    let mut quoted = false;
    (0..bytes.len()).rev().find(|&at| {
        match bytes[at] {
            b'"' if quoted && is_escaped(at) => {}
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// What an element of `Forwarded` has for `for` (RFC 7239 4), if all of it can be read.
fn element(text: &str) -> Option<String> {
    let mut found = None;
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
        let after = after.trim_start_matches([' ', '\t']);
        if after.is_empty() {
            return found;
        }
        rest = after.strip_prefix(';')?.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return found;
        }
    }
}

/// The value at the begin of a text, a token or quoted, and what is behind it. Addresses are often written without the
/// quotation marks that they need: that is not ambiguous.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let plain = |b: u8| is_token(b) || b":[]".contains(&b);
        let end = text.bytes().position(|b| !plain(b)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut characters) = (String::new(), quoted.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// A character of a token (RFC 9110 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The address of a node (RFC 7239 6), perhaps with a port: an IPv6 address needs brackets then. `unknown` and hidden
/// names have none.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
    } else {
        let at = text.find(':')?;
        (IpAddr::V4(text[..at].parse::<Ipv4Addr>().ok()?), &text[at..])
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => {
            !hidden.is_empty() && hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed(header: Told) -> Believed {
        let trusted = ["10.0.0.0/24", "2001:db8:f::/64"].map(|network| network.parse().unwrap()).to_vec();
        Believed::of(trusted, Some(header))
    }

    fn visitor(header: Told, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let name = if header == Told::Forwarded { "forwarded" } else { "x-forwarded-for" };
            headers.append(name, line.parse().unwrap());
        }
        let proxy = Some("10.0.0.1:5000".parse().unwrap());
        believed(header).visitor(proxy, true, &headers).to_string()
    }

    #[test]
    fn the_visitor_is_the_last_one_that_is_no_proxy() {
        for (lines, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["203.0.113.7, 10.0.0.9"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7", "10.0.0.9,10.0.0.8"], "203.0.113.7"),
            (&["10.0.0.7, 10.0.0.9"], "10.0.0.7"),
            (&["203.0.113.7:5000"], "203.0.113.7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            (&["2001:db8::7, ::ffff:10.0.0.9 ,\t2001:db8:f::1"], "2001:db8::7"),
            (&["[2001:db8::7]:443"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["junk \" junk, 203.0.113.7"], "203.0.113.7"),
            (&["\u{e4}, 203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(visitor(Told::XForwardedFor, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn nothing_left_of_what_can_not_be_read_is_believed() {
        for lines in [
            &[][..],
            &[""],
            &["203.0.113.7,"],
            &["203.0.113.7, , 10.0.0.9"],
            &["203.0.113.7", ""],
            &["203.0.113.7, unknown"],
            &["203.0.113.7, _hidden, 10.0.0.9"],
            &["203.0.113.7, unix:"],
            &["203.0.113.7, 1.2.3"],
            &["203.0.113.7, 1.2.3.4:"],
            &["203.0.113.7, 1.2.3.4:123456"],
            &["203.0.113.7, [::1"],
            &["203.0.113.7, [1.2.3.4]"],
            &["203.0.113.7, fe80::1%eth0"],
            &["203.0.113.7, \"1.2.3.4\""],
            &["203.0.113.7 1.2.3.4"],
        ] {
            assert_eq!(visitor(Told::XForwardedFor, lines), "0.0.0.0", "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_standard_has_it() {
        for (lines, expected) in [
            (&["for=203.0.113.7"][..], "203.0.113.7"),
            (&["For=\"[2001:db8::7]:4711\""], "2001:db8::7"),
            (&["for=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7"),
            (&["proto=https ; for=203.0.113.7:80 ;"], "203.0.113.7"),
            (&["for=198.51.100.1, for=203.0.113.7", "for=10.0.0.9"], "203.0.113.7"),
            (&["for=\"203\\.0.113.7:_port\""], "203.0.113.7"),
            (&["host=\"a, for=198.51.100.1\";for=203.0.113.7"], "203.0.113.7"),
            (&["for=203.0.113.7;host=\"a\\\", for=198.51.100.1, b=\\\"\""], "203.0.113.7"),
            (&["for=203.0.113.7;host=\", for=198.51.100.1\\\\\""], "203.0.113.7"),
            // Left open by a visitor.
            (&["for=\"198.51.100.1, for=203.0.113.7"], "203.0.113.7"),
            (&["for=\"198.51.100.1\\, for=\"203.0.113.7\""], "203.0.113.7"),
            (&["for=10.0.0.9;host=\"", "for=203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(visitor(Told::Forwarded, lines), expected, "{lines:?}");
        }
        for lines in [
            &["203.0.113.7"][..],
            &["for=198.51.100.1, for=unknown"],
            &["for=198.51.100.1, for=\"_gazonk\""],
            &["for=198.51.100.1, proto=https"],
            &["for=198.51.100.1,"],
            &["for=198.51.100.1;for=203.0.113.7"],
            &["for=198.51.100.1, for="],
            &["for=198.51.100.1, for=\"203.0.113.7"],
            &["for=198.51.100.1, for=203.0.113.7 proto=https"],
            &["for=198.51.100.1, fo r=203.0.113.7"],
            &["for=198.51.100.1, =;for=203.0.113.7"],
            &["for =203.0.113.7"],
            &["for=\"\\"],
        ] {
            assert_eq!(visitor(Told::Forwarded, lines), "0.0.0.0", "{lines:?}");
        }
    }

    #[test]
    fn nobody_but_a_proxy_is_believed_and_no_other_header() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.7".parse().unwrap());
        headers.append("x-real-ip", "203.0.113.7".parse().unwrap());
        let remote = Some("198.51.100.1:5000".parse().unwrap());
        let own = IpAddr::from([198, 51, 100, 1]);
        assert_eq!(believed(Told::XForwardedFor).visitor(remote, false, &headers), own);
        assert_eq!(Believed::default().visitor(remote, true, &headers), own);
        assert_eq!(believed(Told::Forwarded).visitor(remote, true, &headers), UNKNOWN);
        assert_eq!(Believed::default().visitor(None, true, &headers), UNKNOWN);
    }

    #[test]
    fn a_header_as_long_as_can_be_is_read_at_once() {
        for text in ["10.0.0.9,", "\"\\", ",", "for=10.0.0.9,", "\\\"", "for=\"a\","] {
            let line = text.repeat(16 * 1024 / text.len());
            for header in [Told::XForwardedFor, Told::Forwarded] {
                assert_eq!(visitor(header, &[&line]), "0.0.0.0");
            }
        }
    }
}
