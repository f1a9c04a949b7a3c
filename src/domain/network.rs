//! Where visitors come from.

use std::net::IpAddr;

/// What a visitor is counted by: the IPv4 address, or the /64 of an IPv6 address, which is one subscriber's.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
