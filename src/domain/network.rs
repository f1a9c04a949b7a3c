//! Where visitors come from.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// What a visitor is counted by: the IPv4 address, or the /64 of an IPv6 address, which is one subscriber's.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V6(_) => masked(address, 64),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What one site may have at its disposal: the /24 of an IPv4 address, the /48 of an IPv6 address (RFC 6177).
pub fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V6(_) => masked(address, 48),
        address @ IpAddr::V4(_) => masked(address, 24),
    }
}

/// The first so many bits of an address.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let keep = |width: u32| u128::MAX.checked_shl(width.saturating_sub(bits.into())).unwrap_or(0);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::try_from(keep(32) & u128::from(u32::MAX)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & keep(128)).into()),
    }
}

/// Addresses that begin alike: `10.1.0.0/16`, `2001:db8::/32`; a single one without a slash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

impl Network {
    /// How many of the first bits are alike, and how many there are.
    pub fn bits(&self) -> (u8, u8) {
        (self.bits, if self.first.is_ipv4() { 32 } else { 128 })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// Where a program listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An address with a port.
    Address(SocketAddr),
    /// A socket in the file system.
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Whether that address is in one of these networks; in any, if there are none. What is no network has no addresses.
pub fn are_open_to(networks: &[String], address: IpAddr) -> bool {
    let mut known = networks.iter().filter_map(|text| text.parse::<Network>().ok());
    networks.is_empty() || known.any(|network| network.contains(address))
}

/// It is no network.
#[derive(Debug)]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NoNetwork))?;
        // With bits behind the prefix it is not clear what was meant.
        let is_network = bits <= most && masked(address, bits) == address;
        // Visitors over IPv4 are never seen under such an address.
        let is_seen = address.to_canonical() == address;
        if is_network && is_seen { Ok(Self { first: address, bits }) } else { Err(NoNetwork) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "::ffff:192.0.2.200", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::7/128", "2001:db8::7", "2001:db8::8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(address(inside)), "{network} {inside}");
            assert!(!parsed.contains(address(outside)), "{network} {outside}");
        }
        for wrong in
            ["", "10.0.0.0/33", "10.0.0.1/8", "::1/129", "corp", "10.0.0.0/", "/8", "::ffff:10.0.0.0/104"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn visitors_are_counted_by_subscriber_and_by_site() {
        for (given, subscriber, site) in [
            ("192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
        ] {
            assert_eq!(
                (network_of(address(given)), site_of(address(given))),
                (address(subscriber), address(site))
            );
        }
    }
}
