//! Sends events of the audit log on. The log itself is the queue: it is noted how far each way has come, after what was
//! sent is sent, so that events may arrive twice, but none is left out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Services;
pub use crate::notify::forward::Way;
use crate::{
    domain::clock::Timestamp,
    notify::forward::Connection,
    store::{self, Forwarded},
};

/// What is kept of one way between its rounds.
#[derive(Default)]
pub struct Standing {
    connection: Option<Connection>,
    /// The last event of the lot that could not be sent: it is sent again as it was, so that whoever got it in spite of
    /// all knows it again.
    end: Option<u64>,
    /// How often in a row it failed.
    pub failures: u32,
}

/// How a round went.
#[derive(Debug, PartialEq, Eq)]
pub enum Round {
    /// There is nothing to be sent.
    Idle,
    /// From now on what is new is sent.
    Begun,
    /// Some events were sent, and there may be more.
    Sent,
    /// They could not be sent, and why.
    Failed(String),
}

/// How far the ways have come, for those who watch. It is of this run of the program only.
#[derive(Default)]
pub struct Reached(Mutex<BTreeMap<&'static str, Far>>);

/// How far a way has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Far {
    /// The last event that was sent.
    pub number: u64,
    /// Since when nothing can be sent, and why.
    pub trouble: Option<(Timestamp, String)>,
}

impl Reached {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Far>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far that way has come; nothing where it is off, or was not looked at yet.
    pub fn of(&self, way: Way) -> Option<Far> {
        self.lock().get(way.as_str()).cloned()
    }

    fn is_at(&self, way: Way, number: u64) {
        self.lock().insert(way.as_str(), Far { number, trouble: None });
    }

    /// Notes that nothing can be sent that way, and why now.
    fn is_stuck(&self, way: Way, now: Timestamp, why: &str) {
        let mut all = self.lock();
        let far = all.entry(way.as_str()).or_default();
        let since = far.trouble.as_ref().map_or(now, |(since, _)| *since);
        far.trouble = Some((since, why.to_owned()));
    }
}

/// Sends the next events one way.
pub async fn round(services: &Services, way: Way, standing: &mut Standing) -> Result<Round, store::Error> {
    let outcome = try_round(services, way, standing).await;
    match &outcome {
        Ok(Round::Failed(why)) => services.reached.is_stuck(way, services.now(), why),
        Err(error) => services.reached.is_stuck(way, services.now(), &error.to_string()),
        Ok(_) => {}
    }
    outcome
}

async fn try_round(services: &Services, way: Way, standing: &mut Standing) -> Result<Round, store::Error> {
    let settings = services.settings.load_full();
    let key = way.as_str().to_owned();
    let found = services.store.find::<Forwarded>(&key).await?;
    // The demo sends nothing: anybody can set it up.
    if !way.is_on(&settings) || services.notifier.is_demo() {
        *standing = Standing::default();
        services.reached.lock().remove(way.as_str());
        if let Some(found) = found {
            services.store.batch().remove(&key, &found).commit().await?;
        }
        return Ok(Round::Idle);
    }
    let end = services.store.head().await?.map_or(0, |head| head.number);
    let Some(found) = found else {
        // What was before it was set goes nowhere.
        services.store.batch().insert(&key, &Forwarded(end)).commit().await?;
        services.reached.is_at(way, end);
        return Ok(Round::Begun);
    };
    let mut events =
        if found.0 < end { services.store.events_after(found.0, way.most()).await? } else { Vec::new() };
    let again = standing.end.map_or(0, |end| events.iter().filter(|event| event.number <= end).count());
    // What could not be sent in time may have been dropped.
    if again > 0 {
        events.truncate(again);
    }
    let Some(last) = events.last().map(|last| last.number) else {
        services.reached.is_at(way, found.0);
        return Ok(Round::Idle);
    };
    let sent = way.send(&settings, &services.host, &events, services.now(), &mut standing.connection).await;
    if let Err(why) = sent {
        standing.end = Some(last);
        standing.failures += 1;
        return Ok(Round::Failed(why));
    }
    (standing.end, standing.failures) = (None, 0);
    services.store.batch().replace(&key, &found, &Forwarded(last)).commit().await?;
    services.reached.is_at(way, last);
    Ok(Round::Sent)
}
