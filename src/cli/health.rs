//! `regain health`: whether the program that runs here can serve, for those who start it again if not.

use super::{Failure, reachable, say};
use crate::{config::Config, notify::http};

/// Asks it where monitors ask; true if it is ready.
pub(super) async fn run(config: &Config) -> Result<bool, Failure> {
    let first = config.metrics_addresses().first().copied().map(reachable);
    let address = first.ok_or_else(|| {
        Failure("it is asked at listen_metrics, which is not set: for instance [\"127.0.0.1:9150\"]".into())
    })?;
    let asked = http::is_well(&format!("http://{address}/readyz")).await;
    let is_ready = asked.map_err(|error| Failure(format!("{address} does not answer: {error}")))?;
    say(if is_ready { "ready" } else { "the store can't be written to" });
    Ok(is_ready)
}
