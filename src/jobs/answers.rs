//! Where no questions are asked any more, the answers that are kept are forgotten: a day later, so that a switch that was
//! turned by mistake can be turned back.

use std::time::Duration;

use super::PAGE;
use crate::{
    domain::enrollment::Enrollment,
    flows::Services,
    store::{self, QuestionsOff},
};

const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Forgets them; `done` says that all were, in this run of the program: from then on none are kept.
pub(super) async fn forget(services: &Services, done: &mut bool) -> Result<(), store::Error> {
    let (store, now) = (&services.store, services.clock.now());
    let since = store.find::<QuestionsOff>(&()).await?;
    let is_off = !services.settings.load().methods.questions;
    match since {
        None if is_off => store.batch().insert(&(), &QuestionsOff(now)).commit().await?,
        Some(since) if !is_off => store.batch().remove(&(), &since).commit().await?,
        Some(since) if is_off && now.since(since.0) > GRACE && !*done => *done = forget_all(services).await?,
        _ => {}
    }
    *done = *done && is_off;
    Ok(())
}

/// True if none is left.
async fn forget_all(services: &Services) -> Result<bool, store::Error> {
    let mut after = None;
    let (mut forgotten, mut missed) = (0_u64, 0_u64);
    loop {
        let page = services.store.page::<Enrollment>(after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, found) in page.into_iter().filter(|(_, found)| !found.questions.is_empty()) {
            let without = Enrollment { questions: Vec::new(), ..(*found).clone() };
            match services.store.batch().replace_raw(key, &found, &without).commit().await {
                Ok(()) => forgotten += 1,
                // Something was written in between: the next round sees.
                Err(store::Error::Conflict) => missed += 1,
                Err(error) => return Err(error),
            }
        }
    }
    if forgotten > 0 {
        tracing::info!(enrollments = forgotten, "answers were forgotten: no questions are asked any more");
    }
    Ok(missed == 0)
}
