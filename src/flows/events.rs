//! The audit log as it is read from the front, a page at a time.

use super::{Error, Services};
use crate::domain::{audit::Event, refusal::Service};

/// So many events behind the last one can be read.
const WINDOW: u64 = 10_000;

/// The events behind that number, the oldest first, each with its own; of those that can no longer be read none.
pub async fn list_after(services: &Services, after: u64, limit: usize) -> Result<Vec<(u64, Event)>, Error> {
    // Events that are written meanwhile would move the numbers.
    for _ in 0..5 {
        let Some(head) = services.store.head().await? else { return Ok(Vec::new()) };
        let wanted = head.number.saturating_sub(after).min(WINDOW);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let latest = services.store.latest_events(usize::try_from(wanted).unwrap_or(usize::MAX)).await?;
        if services.store.head().await? != Some(head) {
            continue;
        }
        let first = head.number + 1 - u64::try_from(latest.len()).unwrap_or(0);
        return Ok((first..).zip(latest.into_iter().rev()).take(limit).collect());
    }
    Err(Error::Unavailable(Service::Busy, "the audit log is written to all the time".into()))
}
