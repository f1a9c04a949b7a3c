//! Sends events of the audit log on to where others watch.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{
    Services,
    forward::{self, Round, Standing, Way},
};

/// How often it is looked whether there are new events.
const LOOK: Duration = Duration::from_secs(2);
/// The longest wait after a failure; each doubles it.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// Sends on until `shutdown`, each way at its own pace.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let [one, other] = Way::ALL.map(|way| go(services, way, shutdown));
    tokio::join!(one, other);
}

async fn go(services: &Services, way: Way, shutdown: &CancellationToken) {
    let mut standing = Standing::default();
    let mut wait = LOOK;
    while shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let had_failed = standing.failures > 0;
        let round = Box::pin(forward::round(services, way, &mut standing));
        let round = shutdown.run_until_cancelled(round);
        let Some(round) = round.await else { return };
        wait = match round {
            Ok(Round::Idle) => LOOK,
            Ok(Round::Begun) => {
                tracing::info!(way = way.as_str(), "new events of the audit log are sent on from now on");
                LOOK
            }
            Ok(Round::Sent) => {
                if had_failed {
                    tracing::info!(way = way.as_str(), "events of the audit log are sent on again");
                }
                Duration::ZERO
            }
            Ok(Round::Failed(why)) => {
                if !had_failed {
                    tracing::error!(
                        way = way.as_str(),
                        why,
                        "events of the audit log can't be sent on; it is tried again"
                    );
                }
                LOOK.saturating_mul(1 << standing.failures.min(10)).min(LONGEST_WAIT)
            }
            Err(error) => {
                tracing::warn!(%error, way = way.as_str(), "events of the audit log were not sent on");
                LONGEST_WAIT
            }
        };
    }
}
