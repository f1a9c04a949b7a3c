//! Sends what is yet to be told, as soon as it is due.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, outbox};

/// At the latest after so long it is looked again whether something is due.
const LOOK: Duration = Duration::from_secs(60);
/// A round that could not be finished is not begun again before.
const PAUSE: Duration = Duration::from_secs(5);

/// Sends until `shutdown`; what is under way then is finished first.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    loop {
        let wait = match outbox::deliver(services, shutdown).await {
            Ok(next) => next.map_or(LOOK, |next| next.since(services.clock.now()).min(LOOK)),
            Err(error) => {
                tracing::warn!(%error, "the round over messages was not finished");
                PAUSE
            }
        };
        tokio::select! {
            () = services.store.errand_written() => {}
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
