//! Reminds people, a batch an hour.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, remind};

const ROUND: Duration = Duration::from_secs(60 * 60);
/// The first round waits until those who come at the start are served.
const FIRST: Duration = Duration::from_secs(5 * 60);

/// Reminds until `shutdown`.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let mut wait = FIRST;
    while shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        match remind::round(services, shutdown).await {
            Ok(report) if report == remind::Report::default() => {}
            Ok(report) => tracing::info!(?report, "people were reminded"),
            Err(error) => tracing::warn!(%error, "the round of reminders was not finished"),
        }
        wait = ROUND;
    }
}
