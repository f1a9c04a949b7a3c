//! `regain health`: whether the program that runs here can serve, for those who start it again if not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Failure, say};
use crate::{config::Config, notify::http};

/// Asks it where monitors ask; true if it is ready.
pub(super) async fn run(config: &Config) -> Result<bool, Failure> {
    let addresses = config.metrics_addresses();
    let mut address = *addresses.first().ok_or_else(|| {
        Failure("it is asked at listen_metrics, which is not set: for instance [\"127.0.0.1:9150\"]".into())
    })?;
    if address.ip().is_unspecified() {
        let here =
            if address.is_ipv6() { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
        address.set_ip(here);
    }
    let asked = http::is_well(&format!("http://{address}/readyz")).await;
    let is_ready = asked.map_err(|error| Failure(format!("{address} does not answer: {error}")))?;
    say(if is_ready { "ready" } else { "the store can't be written to" });
    Ok(is_ready)
}
