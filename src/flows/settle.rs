//! Finding out what became of a write whose answer never came: by reading, never by writing again.

use std::time::Duration;

use super::{Error, Services, Visitor, write};
use crate::{
    domain::{
        flow::{Ending, Flow, Kind, Step, Write},
        refusal::Service,
    },
    store::Found,
};

/// For so long a write may still arrive: longer than any time limit on the way.
const STILL_POSSIBLE: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug)]
pub enum Settled {
    /// It was carried out.
    Done(Ending),
    /// It was not, and won't be; the flow is back where it was, or at its start.
    NotDone,
    /// It can't be said yet.
    Open,
}

/// Settles a flow that stands at "writing".
pub async fn settle(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
) -> Result<Settled, Error> {
    let Step::Writing(writing) = &flow.step else { return Ok(Settled::Open) };
    let directory = services.directory(&writing.account.domain)?;
    let found = directory.load(writing.account.guid).await?;
    // An account that is gone has nothing left to be found out; what was sent may have come before.
    let now_set = found.as_ref().map(|account| account.password_last_set);
    let locked = found.as_ref().is_some_and(|account| account.locked);
    let done = match (&writing.what, now_set) {
        (Write::Reset { before, must_change, .. }, Some(now)) if now != *before => {
            Some(Ending::Reset { must_change: *must_change })
        }
        (Write::Change { before }, Some(now)) if now != *before => Some(Ending::Changed),
        (Write::Unlock, Some(_)) if !locked => Some(Ending::Unlocked { was_locked: true }),
        _ => None,
    };
    if let (Some(ending), Some(account)) = (done, &found) {
        if let Err(error) = write::finish(services, visitor, kind, flow, account, ending).await {
            tracing::error!(%error, account = %account.key.guid, "done in the directory, but not yet noted here");
        }
        return Ok(Settled::Done(ending));
    }
    if services.now().since(writing.since) < STILL_POSSIBLE {
        return Ok(Settled::Open);
    }
    let back = match writing.what {
        Write::Reset { proved_at, .. } => {
            Some(Step::NewPassword { account: writing.account.clone(), proved_at })
        }
        Write::Change { .. } => Some(Step::Credentials),
        Write::Unlock => None,
    };
    let detail = Service::Outcome.code();
    write::take_back(services, visitor, kind, flow, &writing.account, back, Some(detail)).await?;
    Ok(Settled::NotDone)
}
