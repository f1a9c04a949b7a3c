//! Removing the enrollments of accounts that are gone from the directory: some time after it was noticed, and only if the
//! directory can be believed. An answer that never came, or came in part, is no answer.
//!
//! All enrollments of a domain are looked at first, page by page and with a pause between, and nothing is written. Only if
//! the directory still shows what it has then, and not too many are missed, are these marked, and those removed that were
//! missed for long enough. A round that is broken off begins anew: what it would take too much for granted by going on is
//! how many are missed of all.

use tokio_util::sync::CancellationToken;

use super::{
    Error, Services, note,
    rounds::{UnderWay, pause, require_sound, unavailable},
};
use crate::{
    directory::{Directory, MOST_ASKED},
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        audit::{Action, Event, Outcome},
        enrollment::Enrollment,
        lockout::{Subject, Tally},
        purge::{Missed, OfDomain, Report, Skipped, is_suspicious},
        refusal::Service,
        reminder::Reminded,
    },
    store::{self, Found, around_domain, owner},
};

/// Marks that are written at a time.
const TOGETHER: usize = 50;

/// The last round.
pub async fn last(services: &Services) -> Result<Option<Report>, Error> {
    Ok(services.store.find::<Report>(&()).await?.map(Found::into_inner))
}

/// One round over all enrollments; none if they are kept for ever.
pub async fn round(services: &Services, stop: &CancellationToken) -> Result<Option<Report>, Error> {
    let (under_way, _) = services.purge.begin();
    if services.settings.load().enroll.purge_after_days == 0 {
        return Ok(None);
    }
    let mut report = Report::begun(services.now());
    keep(services, &report).await?;
    for domain in enrolled_domains(services).await? {
        let of_domain = one_domain(services, &domain, &under_way, stop).await;
        report.domains.push(of_domain);
    }
    report.ended = Some(services.now()).filter(|_| !stop.is_cancelled());
    keep(services, &report).await?;
    Ok(Some(report))
}

async fn keep(services: &Services, report: &Report) -> Result<(), Error> {
    Ok(services.store.batch().put(&(), report).commit().await?)
}

/// The domains that there are enrollments of, configured or not.
async fn enrolled_domains(services: &Services) -> Result<Vec<DomainName>, Error> {
    let (mut domains, mut after) = (Vec::new(), None);
    loop {
        let page = services.store.page::<Enrollment>(after, 1).await?;
        let Some((key, _)) = page.last() else { return Ok(domains) };
        after = Some(match owner(key) {
            Some(AccountKey { domain, .. }) => {
                let behind = around_domain::<Enrollment>(&domain).1;
                domains.push(domain);
                behind
            }
            None => key.clone(),
        });
    }
}

async fn one_domain(
    services: &Services,
    domain: &DomainName,
    under_way: &UnderWay<'_>,
    stop: &CancellationToken,
) -> OfDomain {
    let mut report =
        OfDomain { domain: domain.to_string(), looked_at: 0, missing: 0, purged: 0, skipped: None };
    report.skipped = match look(services, domain, (under_way, stop), &mut report).await {
        Ok(skipped) => skipped,
        Err(error) => {
            tracing::warn!(%error, %domain, "looking for accounts that are gone was broken off");
            Some(match error {
                Error::Unavailable(Service::Directory, _) => Skipped::Unavailable,
                _ => Skipped::Trouble,
            })
        }
    };
    if report.skipped == Some(Skipped::Suspicious) {
        tracing::error!(
            %domain,
            missing = report.missing,
            looked_at = report.looked_at,
            "so many accounts are missed in the directory that it is not believed; no enrollment is removed"
        );
        note(services, event(services, domain, Outcome::Failure, "directory_suspicious"), None).await;
    }
    if report.purged > 0 {
        tracing::info!(%domain, purged = report.purged, "enrollments of accounts that are gone were removed");
    }
    report
}

/// Looks at the enrollments of a domain, and does what is to be done; why not, if it was not.
async fn look(
    services: &Services,
    domain: &DomainName,
    (under_way, stop): (&UnderWay<'_>, &CancellationToken),
    report: &mut OfDomain,
) -> Result<Option<Skipped>, Error> {
    under_way.is_at(domain.as_str(), 0);
    let Ok(directory) = services.directory(domain) else { return Ok(Some(Skipped::NotConfigured)) };
    require_sound(directory.as_ref()).await?;
    let mut missing = Vec::new();
    let (mut after, _) = around_domain::<Enrollment>(domain);
    loop {
        let page = services.store.page::<Enrollment>(Some(after), MOST_ASKED).await?;
        let owners = page.iter().map_while(|(key, _)| owner(key).filter(|owner| owner.domain == *domain));
        let guids: Vec<_> = owners.map(|owner| owner.guid).collect();
        if guids.is_empty() {
            break;
        }
        let existing = directory.existing(&guids).await.map_err(unavailable)?;
        report.looked_at += guids.len();
        missing.extend(guids.iter().filter(|guid| !existing.contains(guid)));
        report.missing = missing.len();
        under_way.is_at(domain.as_str(), report.looked_at as u64);
        let Some((last, _)) = page.last().filter(|_| guids.len() == page.len()) else { break };
        after = last.clone();
        if !pause(stop).await {
            return Ok(Some(Skipped::Stopped));
        }
    }
    if is_suspicious(report.missing, report.looked_at) {
        return Ok(Some(Skipped::Suspicious));
    }
    require_sound(directory.as_ref()).await?;
    missing.sort_unstable();
    forget_found(services, domain, &missing).await?;
    for few in missing.chunks(TOGETHER) {
        if stop.is_cancelled() {
            return Ok(Some(Skipped::Stopped));
        }
        report.purged += take(services, directory.as_ref(), few).await?;
    }
    Ok(None)
}

/// Takes the marks off accounts that are no longer missed, or of which nothing is kept any more.
async fn forget_found(services: &Services, domain: &DomainName, missing: &[ObjectGuid]) -> Result<(), Error> {
    let (mut after, _) = around_domain::<Missed>(domain);
    loop {
        let page = services.store.page::<Missed>(Some(after), TOGETHER).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.clone();
        let mut batch = services.store.batch();
        let mut is_over = false;
        for (key, missed) in page {
            let of_domain = owner(&key).filter(|owner| owner.domain == *domain);
            is_over |= of_domain.is_none();
            if of_domain.is_some_and(|owner| missing.binary_search(&owner.guid).is_err()) {
                batch = batch.remove_raw(key, &missed);
            }
        }
        committed(batch.commit().await)?;
        if is_over {
            return Ok(());
        }
    }
}

/// Whether it was written; if somebody else wrote in between, the next round sees.
fn committed(result: Result<(), store::Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(store::Error::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Marks accounts that are missed, and removes what is kept of those that were missed for long enough; how many.
async fn take(
    services: &Services,
    directory: &dyn Directory,
    missing: &[ObjectGuid],
) -> Result<usize, Error> {
    let (now, after_days) = (services.now(), services.settings.load().enroll.purge_after_days);
    if after_days == 0 {
        return Ok(0);
    }
    let mut marks = services.store.batch();
    let mut purged = 0;
    for guid in missing {
        let key = AccountKey { domain: directory.domain().name.clone(), guid: *guid };
        let Some(enrollment) = services.store.find::<Enrollment>(&key).await? else { continue };
        let found = services.store.find::<Missed>(&key).await?;
        let missed = match &found {
            Some(before) => before.again(enrollment.last_used_at(), now),
            None => Missed::first(now),
        };
        if missed.is_ripe(after_days, now) {
            // A search may pass over an account that can be read all the same.
            if directory.load(*guid).await.map_err(unavailable)?.is_none()
                && purge(services, &key, &enrollment, found.as_ref()).await?
            {
                purged += 1;
            }
        } else if found.as_deref() != Some(&missed) {
            marks = marks.write(&key, found.as_ref(), &missed);
        }
    }
    committed(marks.commit().await)?;
    Ok(purged)
}

/// Removes all that is kept of an account, if the enrollment is still what it was before the directory was asked.
async fn purge(
    services: &Services,
    key: &AccountKey,
    enrollment: &Found<Enrollment>,
    missed: Option<&Found<Missed>>,
) -> Result<bool, Error> {
    let event = Event {
        user: enrollment.account_name.clone(),
        account: Some(key.guid),
        ..event(services, &key.domain, Outcome::Success, "account_deleted")
    };
    let mut batch = services.store.batch().remove(key, enrollment).event(&event);
    if let Some(missed) = missed {
        batch = batch.remove(key, missed);
    }
    let subject = Subject::Known(key.clone());
    if let Some(tally) = services.store.find::<Tally>(&subject).await? {
        batch = batch.remove(&subject, &tally);
    }
    if let Some(reminded) = services.store.find::<Reminded>(key).await? {
        batch = batch.remove(key, &reminded);
    }
    committed(batch.commit().await)
}

fn event(services: &Services, domain: &DomainName, outcome: Outcome, detail: &str) -> Event {
    Event {
        at: services.now(),
        outcome,
        source: "job".into(),
        user: String::new(),
        domain: domain.to_string(),
        action: Action::EnrollmentDeleted,
        detail: detail.into(),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    }
}
