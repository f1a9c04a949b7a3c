//! Looks once a day for enrollments of accounts that are gone, or when an administrator asks for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, purge};

/// How often it is looked whether a day has gone by since the last round, in this run of the program or one before.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// The first look waits until those who come at the start are served.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// Looks until `shutdown`.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let mut wait = FIRST;
    loop {
        let is_asked = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = services.purge.is_asked() => true,
            () = tokio::time::sleep(wait) => false,
        };
        // The wait begins anew after each round.
        wait = LOOK;
        let is_due = match purge::last(services).await {
            Ok(last) => last.is_none_or(|last| last.is_old(services.clock.now())),
            Err(error) => {
                tracing::warn!(%error, "when accounts that are gone were last looked for is not known");
                false
            }
        };
        if !is_asked && !is_due {
            continue;
        }
        if let Err(error) = purge::round(services, shutdown).await {
            tracing::warn!(%error, "looking for accounts that are gone was broken off");
        }
    }
}
