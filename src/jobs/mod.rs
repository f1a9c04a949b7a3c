//! What happens without anybody asking: flows that have ended are removed, writes left open are settled, counts of
//! names that don't exist are forgotten, and answers where no questions are asked any more. The audit log is packed, sent on, and verified. What
//! is yet to be told is sent, people are reminded, and the certificate is looked after. Once a day it is looked who is gone,
//! counted who has enrolled, and made a backup of it all.

mod answers;
mod certificate;
mod daily;
mod forward;
mod import;
mod log;
mod outbox;
mod reminders;
mod verify;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use self::daily::Daily;
use crate::{
    domain::{
        admin::{AdminSession, Invitation},
        caps::Sent,
        clock::Timestamp,
        flow::{Flow, Kind, LONGEST_FLOW, Step, Write},
        lockout::Tally,
    },
    flows::{Services, Visitor, change_settings, session::SessionId, settle},
    store::{self, Kept},
};

/// How often the rounds are made.
const ROUND: Duration = Duration::from_secs(60);
/// Records read at a time, and removed at a time.
const PAGE: usize = 50;
/// Counts of names that don't exist are kept so long after they were last touched.
const FORGET_NAMES: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// So long if nothing but beginnings was counted, which are counted by the hour.
const FORGET_BEGINNINGS: Duration = Duration::from_secs(2 * 60 * 60);

/// Makes the rounds until `shutdown`; the first at once, so that what an earlier run left open is settled.
pub async fn run(services: Arc<Services>, shutdown: CancellationToken) {
    tokio::join!(
        outbox::run(&services, &shutdown),
        // Large, and seldom needed.
        Box::pin(import::run(&services, &shutdown)),
        reminders::run(&services, &shutdown),
        log::run(&services, &shutdown),
        Box::pin(forward::run(&services, &shutdown)),
        Box::pin(daily::run(Daily::Purge, &services, &shutdown)),
        Box::pin(daily::run(Daily::Coverage, &services, &shutdown)),
        Box::pin(daily::run(Daily::Backup, &services, &shutdown)),
        Box::pin(certificate::run(&services, &shutdown)),
        Box::pin(verify::run(&services, &shutdown)),
        rounds(&services, &shutdown)
    );
}

async fn rounds(services: &Services, shutdown: &CancellationToken) {
    let began = services.clock.now();
    let mut forgotten = false;
    loop {
        if let Err(error) = change_settings::catch_up(services).await {
            tracing::warn!(%error, "settings that were changed are not in force");
        }
        if let Err(error) = end_flows(services, began).await {
            tracing::warn!(%error, "the round over flows was not finished");
        }
        if let Err(error) = answers::forget(services, &mut forgotten).await {
            tracing::warn!(%error, "the round over answers was not finished");
        }
        if let Err(error) = forget_counts(services).await {
            tracing::warn!(%error, "the round over counts was not finished");
        }
        if let Err(error) = services.store.index_users(&|_, _| {}).await {
            tracing::warn!(%error, "the index of those who enrolled is not up to date");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_none() {
            return;
        }
    }
}

/// Settles writes left open and removes flows that have ended. Nobody waits any more for a write of before the program
/// `began`: it is settled in the first round, and in each that follows if it can't be said yet.
async fn end_flows(services: &Services, began: Timestamp) -> Result<(), store::Error> {
    let now = services.clock.now();
    let mut after = None;
    loop {
        let page = services.store.page::<Flow>(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        let mut batch = services.store.batch();
        let mut removed = 0;
        for (key, flow) in page {
            if let Step::Writing(writing) = &flow.step {
                let Some(visitor) = absent_visitor(&key) else { continue };
                let kind = match writing.what {
                    Write::Reset { .. } => Kind::Reset,
                    Write::Change { .. } => Kind::Change,
                    Write::Unlock => Kind::Unlock,
                };
                // A write that nobody asks about any more is still one for the audit log.
                if (writing.since < began || now.since(writing.since) > ROUND)
                    && let Err(error) = settle::settle(services, &visitor, kind, &flow).await
                {
                    tracing::warn!(%error, account = %writing.account.guid, "a write can't be settled yet");
                }
            } else if now.since(flow.started_at) > LONGEST_FLOW {
                batch = batch.remove_raw(key, &flow);
                removed += 1;
            }
        }
        if removed > 0 {
            match batch.commit().await {
                // Someone moved in one of them: the next round sees.
                Ok(()) | Err(store::Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The one whose flow it is, as far as its key tells.
fn absent_visitor(key: &[u8]) -> Option<Visitor> {
    let session = SessionId::of_record(key.get(1..33)?.try_into().ok()?);
    Some(Visitor { address: None, language: None, session })
}

/// Forgets counts of names that don't exist, long after they were last touched, and of messages after a day.
async fn forget_counts(services: &Services) -> Result<(), store::Error> {
    let now = services.clock.now();
    remove_all::<Tally>(services, |key, tally| {
        store::is_unknown_subject(key)
            && tally.touched_at.is_none_or(|touched| {
                let counts = tally.wrong_answers > 0 || tally.wrong_passwords > 0;
                now.since(touched) > if counts { FORGET_NAMES } else { FORGET_BEGINNINGS }
            })
    })
    .await?;
    remove_all::<Sent>(services, |_, sent| sent.is_over(now)).await?;
    remove_all::<Invitation>(services, |_, invitation| invitation.until <= now).await?;
    let admin = services.settings.load().admin.clone();
    remove_all::<AdminSession>(services, |_, session| session.is_over(admin.idle(), admin.longest(), now))
        .await
}

/// Removes the records of a kind that are over.
async fn remove_all<R: Kept>(
    services: &Services,
    is_over: impl Fn(&[u8], &R) -> bool,
) -> Result<(), store::Error> {
    let mut after = None;
    loop {
        let page = services.store.page::<R>(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        let over = page.into_iter().filter(|(key, record)| is_over(key, record));
        let batch = over.fold(services.store.batch(), |batch, (key, record)| batch.remove_raw(key, &record));
        match batch.commit().await {
            // Someone counted in between: the next round sees.
            Ok(()) | Err(store::Error::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}
