//! Sends events of the audit log on. The log itself is the queue: it is noted how far each way has come, after what was
//! sent is sent, so that events may arrive twice, but none is left out.

use super::Services;
pub use crate::notify::forward::Way;
use crate::{
    notify::forward::Connection,
    store::{self, Forwarded},
};

/// What is kept of one way between its rounds.
#[derive(Default)]
pub struct Standing {
    connection: Option<Connection>,
    /// How often in a row it failed.
    pub failures: u32,
}

/// How a round went.
#[derive(Debug, PartialEq, Eq)]
pub enum Round {
    /// There is nothing to be sent.
    Idle,
    /// Some events were sent, and there may be more.
    Sent,
    /// They could not be sent, and why.
    Failed(String),
}

/// Sends the next events one way.
pub async fn round(services: &Services, way: Way, standing: &mut Standing) -> Result<Round, store::Error> {
    let settings = services.settings.load_full();
    let key = way.as_str().to_owned();
    let found = services.store.find::<Forwarded>(&key).await?;
    if !way.is_on(&settings) {
        *standing = Standing::default();
        if let Some(found) = found {
            services.store.batch().remove(&key, &found).commit().await?;
        }
        return Ok(Round::Idle);
    }
    let end = services.store.head().await?.map_or(0, |head| head.number);
    let Some(found) = found else {
        // What was before it was set goes nowhere.
        services.store.batch().insert(&key, &Forwarded(end)).commit().await?;
        return Ok(Round::Idle);
    };
    if found.0 >= end {
        return Ok(Round::Idle);
    }
    let events = services.store.events_after(found.0, way.most()).await?;
    let Some(last) = events.last().map(|last| last.number) else { return Ok(Round::Idle) };
    let sent = way.send(&settings, &services.host, &events, services.now(), &mut standing.connection).await;
    if let Err(why) = sent {
        standing.connection = None;
        standing.failures += 1;
        return Ok(Round::Failed(why));
    }
    standing.failures = 0;
    services.store.batch().replace(&key, &found, &Forwarded(last)).commit().await?;
    Ok(Round::Sent)
}
