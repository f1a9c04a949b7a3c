//! The PROXY protocol, versions 1 and 2: what a proxy says of a connection before its first byte
//! (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>).
//!
//! Whoever may say so must have been asked before: the header is believed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The shortest header of all: `PROXY UNKNOWN` and the end of its line.
const SHORTEST: usize = 15;
/// The longest header of version 1 (section 2.1).
const LONGEST_LINE: usize = 107;
/// The longest part behind the first 16 bytes of version 2 that is read: addresses and what more there is to say.
const LONGEST_REST: usize = 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The proxy comes for that address.
    Visitor(SocketAddr),
    /// It comes for itself, or for somebody who has no address.
    Nobody,
}

/// Reads the header and not a byte more. The caller has the deadline.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Said> {
    let mut line = [0; LONGEST_LINE];
    stream.read_exact(&mut line[..SHORTEST]).await?;
    if line.starts_with(SIGNATURE) {
        let last = stream.read_u8().await?;
        let length = usize::from(u16::from_be_bytes([line[14], last]));
        if length > LONGEST_REST {
            return Err(wrong());
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return version_2(line[12], line[13], &rest).ok_or_else(wrong);
    }
    if !line.starts_with(b"PROXY ") {
        return Err(wrong());
    }
    let mut length = SHORTEST;
    while !line[..length].ends_with(b"\r\n") {
        if length == LONGEST_LINE {
            return Err(wrong());
        }
        line[length] = stream.read_u8().await?;
        length += 1;
    }
    version_1(&line[..length - 2]).ok_or_else(wrong)
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

/// A header of version 1, without the end of its line.
fn version_1(line: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    if let ["PROXY", "UNKNOWN", ..] = words[..] {
        return Some(Said::Nobody);
    }
    let ["PROXY", family, source, destination, from, to] = words[..] else { return None };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (source, from) = (address(source)?, port(from)?);
    address(destination)?;
    port(to)?;
    Some(Said::Visitor(SocketAddr::new(source.to_canonical(), from)))
}

/// A header of version 2: its two bytes behind the signature, and what is behind the length.
fn version_2(version_and_command: u8, family: u8, rest: &[u8]) -> Option<Said> {
    match version_and_command {
        // LOCAL: whatever follows is to be skipped.
        0x20 => return Some(Said::Nobody),
        0x21 => {}
        _ => return None,
    }
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 if rest.len() >= 12 => {
            let source: [u8; 4] = rest[..4].try_into().ok()?;
            Some(visitor(IpAddr::from(source), [rest[8], rest[9]]))
        }
        0x21 if rest.len() >= 36 => {
            let source: [u8; 16] = rest[..16].try_into().ok()?;
            Some(visitor(IpAddr::from(source), [rest[32], rest[33]]))
        }
        // Of a family that is not told; a socket in a file system.
        0x00 => Some(Said::Nobody),
        0x31 if rest.len() >= 216 => Some(Said::Nobody),
        _ => None,
    }
}

fn visitor(address: IpAddr, port: [u8; 2]) -> Said {
    Said::Visitor(SocketAddr::new(address.to_canonical(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and how many bytes are left.
    async fn said(bytes: &[u8]) -> Option<(Said, usize)> {
        let mut left = bytes;
        let said = read(&mut left).await.ok()?;
        Some((said, left.len()))
    }

    fn from(text: &str) -> Said {
        Said::Visitor(text.parse().unwrap())
    }

    fn binary(version_and_command: u8, family: u8, length: usize, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[version_and_command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn a_line_tells_the_visitor() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", from("203.0.113.7:56324")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n", from("[2001:db8::7]:1")),
            ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 443\r\n", from("203.0.113.7:1")),
            ("PROXY UNKNOWN\r\n", Said::Nobody),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Said::Nobody),
        ] {
            assert_eq!(said(line.as_bytes()).await, Some((expected, 0)), "{line}");
            assert_eq!(said(&[line.as_bytes(), b"\x16\x03\x01"].concat()).await, Some((expected, 3)));
        }
    }

    #[tokio::test]
    async fn a_line_that_is_not_as_it_should_be_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for line in [
            "",
            "PROXY",
            "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443",
            "PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 1\r\n",
            "PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 443\r\n",
            "PROXY TCP6 203.0.113.7 192.0.2.1 56324 443\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 +1 443\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
            "PROXY TCP4 203.0.113.07 192.0.2.1 1 443\r\n",
            "PROXY TCP4 host 192.0.2.1 1 443\r\n",
            "PROXY UDP4 203.0.113.7 192.0.2.1 1 443\r\n",
            "proxy TCP4 203.0.113.7 192.0.2.1 1 443\r\n",
            " PROXY UNKNOWN\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &long,
        ] {
            assert_eq!(said(line.as_bytes()).await, None, "{line}");
        }
    }

    #[tokio::test]
    async fn bytes_tell_the_visitor_and_what_more_they_say_is_skipped() {
        let four = [203, 0, 113, 7, 192, 0, 2, 1, 0xDC, 0x04, 1, 0xBB];
        let header = binary(0x21, 0x11, 12, &four);
        assert_eq!(said(&header).await, Some((from("203.0.113.7:56324"), 0)));
        // An unknown TLV, then the first byte of a handshake.
        let more = [&four[..], &[0xE0, 0, 2, 7, 7]].concat();
        let header = [binary(0x21, 0x11, 17, &more), vec![0x16]].concat();
        assert_eq!(said(&header).await, Some((from("203.0.113.7:56324"), 1)));
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        six[33] = 9;
        assert_eq!(said(&binary(0x21, 0x21, 36, &six)).await, Some((from("[2001:db8::7]:9"), 0)));
        six[..16].copy_from_slice(&"::ffff:203.0.113.7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(said(&binary(0x21, 0x21, 36, &six)).await, Some((from("203.0.113.7:9"), 0)));
        for header in [
            binary(0x20, 0x00, 0, &[]),
            binary(0x20, 0x11, 12, &four),
            binary(0x21, 0x00, 3, &[1, 2, 3]),
            binary(0x21, 0x31, 216, &[0; 216]),
        ] {
            assert_eq!(said(&header).await, Some((Said::Nobody, 0)), "{header:?}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_as_they_should_be_are_refused() {
        let four = [203, 0, 113, 7, 192, 0, 2, 1, 0xDC, 0x04, 1, 0xBB];
        for header in [
            SIGNATURE.to_vec(),
            binary(0x21, 0x11, 12, &four[..11]),
            binary(0x21, 0x11, 11, &four[..11]),
            binary(0x21, 0x21, 12, &four),
            binary(0x21, 0x31, 12, &four),
            binary(0x11, 0x11, 12, &four),
            binary(0x22, 0x11, 12, &four),
            // Datagrams.
            binary(0x21, 0x12, 12, &four),
            binary(0x21, 0x41, 12, &four),
            binary(0x21, 0x11, LONGEST_REST + 1, &[0; LONGEST_REST + 1]),
        ] {
            assert_eq!(said(&header).await, None, "{header:?}");
        }
    }
}
