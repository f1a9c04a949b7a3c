//! Counting how many have enrolled of the people who may: everybody in the directory is looked at, one after the other and
//! gently, as who may is decided by groups within groups, which the directory tells of one account at a time.

use tokio_util::sync::CancellationToken;

use super::{
    Error, Services,
    prove::{self, Way},
    rounds::{UnderWay, pause, require_sound, unavailable},
};
use crate::{
    directory::Directory,
    domain::{
        account::{Account, AccountKey},
        coverage::{Count, Coverage, OfDomain},
        enrollment::Enrollment,
        flow::Kind,
        permission::{require_permitted, require_served},
    },
    settings::Settings,
    store::Found,
};

/// So many accounts are looked at before the directory is left alone for a moment.
const TOGETHER: usize = 100;

/// What was counted last; nothing if that is yet to be done.
pub async fn last(services: &Services) -> Result<Coverage, Error> {
    Ok(services.store.find::<Coverage>(&()).await?.map(Found::into_inner).unwrap_or_default())
}

/// Whether there is a domain that was not counted today.
pub async fn is_due(services: &Services) -> Result<bool, Error> {
    let (last, now) = (last(services).await?, services.now());
    Ok(services.domains().iter().any(|domain| fresh(&last, domain.name.as_str(), now).is_none()))
}

/// How it stands in a domain, if that was counted today.
fn fresh<'a>(last: &'a Coverage, domain: &str, now: crate::domain::clock::Timestamp) -> Option<&'a OfDomain> {
    last.of(domain).filter(|of| of.count.is_some_and(|count| !count.is_old(now)))
}

/// Counts in each domain that was not counted today, or in all if somebody asked for it. What was counted in a domain stays
/// until it was counted again.
pub async fn round(services: &Services, stop: &CancellationToken) -> Result<(), Error> {
    let (under_way, was_asked) = services.coverage.begin();
    let directories = services.directories.load_full();
    let mut domains = Vec::new();
    let before = last(services).await?;
    for directory in directories.iter() {
        let name = directory.domain().name.as_str();
        let now = services.now();
        if let Some(of) = fresh(&before, name, now).filter(|_| !was_asked) {
            domains.push(of.clone());
            continue;
        }
        let old = before.of(name);
        let (count, failing_since) = match count(services, directory.as_ref(), &under_way, stop).await {
            Ok(Some(count)) => (Some(count), None),
            // Stopped: it stands as it stood.
            Ok(None) => (old.and_then(|of| of.count), old.and_then(|of| of.failing_since)),
            Err(error) => {
                tracing::warn!(%error, domain = name, "who has enrolled could not be counted");
                let since = old.and_then(|of| of.failing_since).unwrap_or(now);
                (old.and_then(|of| of.count), Some(since))
            }
        };
        domains.push(OfDomain { domain: name.to_owned(), count, failing_since });
    }
    Ok(services.store.batch().put(&(), &Coverage { domains }).commit().await?)
}

/// Counts in one domain; nothing if the program stops meanwhile.
async fn count(
    services: &Services,
    directory: &dyn Directory,
    under_way: &UnderWay<'_>,
    stop: &CancellationToken,
) -> Result<Option<Count>, Error> {
    let domain = &directory.domain().name;
    under_way.is_at(domain.as_str(), 0);
    require_sound(directory).await?;
    let settings = services.settings.load_full();
    let mut count = Count { at: services.now(), permitted: 0, enrolled: 0 };
    let mut damaged = 0;
    let people = directory.list().await.map_err(unavailable)?;
    for (number, guid) in (1..).zip(people) {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let account = directory.load(guid).await.map_err(unavailable)?;
        if account.is_some_and(|account| is_permitted(&settings, &account)) {
            count.permitted += 1;
            let key = AccountKey { domain: domain.clone(), guid };
            match services.store.find::<Enrollment>(&key).await {
                Ok(enrollment) => {
                    let way = prove::way(&settings, enrollment.as_deref());
                    count.enrolled += usize::from(way == Some(Way::Enrolled));
                }
                Err(crate::store::Error::Damaged(_)) => damaged += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if number % TOGETHER == 0 {
            under_way.is_at(domain.as_str(), number as u64);
            if !pause(stop).await {
                return Ok(None);
            }
        }
    }
    if damaged > 0 {
        tracing::error!(%domain, damaged, "enrollments that can't be read were taken for none");
    }
    Ok(Some(count))
}

fn is_permitted(settings: &Settings, account: &Account) -> bool {
    require_served(account).is_ok()
        && require_permitted(settings.permissions.rule(Kind::Enroll), account).is_ok()
}
