//! Packs the audit log, and drops events whose time is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        audit::{Action, Event, Outcome},
        clock::Timestamp,
    },
    flows::{self, Services},
    store,
};

/// How often a look is taken whether there is something to be packed.
const ROUND: Duration = Duration::from_secs(5);
/// And after it could not be done.
const AFTER_FAILURE: Duration = Duration::from_secs(10 * 60);
/// How often events are dropped, in rounds.
const DROP_EVERY: u64 = 720;

/// Packs and drops until `shutdown`.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let mut wait = ROUND;
    for round in 1.. {
        if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
        wait = ROUND;
        if let Err(error) = pack(services, shutdown).await {
            tracing::warn!(%error, "the audit log could not be packed");
            wait = AFTER_FAILURE;
        }
        if round % DROP_EVERY == 1
            && let Err(error) = drop_events(services).await
        {
            tracing::warn!(%error, "events whose time is over could not be dropped");
        }
    }
}

async fn pack(services: &Services, shutdown: &CancellationToken) -> Result<(), store::Error> {
    while !shutdown.is_cancelled() && services.store.pack_log().await? {}
    Ok(())
}

/// Drops events whose time is over, and notes that it did.
async fn drop_events(services: &Services) -> Result<(), store::Error> {
    let days = services.settings.load().audit.keep_days;
    let now = services.clock.now();
    if days == 0 {
        return Ok(());
    }
    let Some(end) = services.store.end_of_days(days, now).await? else { return Ok(()) };
    let dropped = services.store.drop_events(&services.keys.audit, end).await?;
    if dropped > 0 {
        tracing::info!(dropped, before = %end, "events of the audit log were dropped, their time was over");
        flows::note(services, event(now, dropped), None).await;
    }
    Ok(())
}

fn event(now: Timestamp, dropped: u64) -> Event {
    Event {
        at: now,
        outcome: Outcome::Success,
        source: "job".into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Retention,
        detail: format!("{dropped} events"),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    }
}
