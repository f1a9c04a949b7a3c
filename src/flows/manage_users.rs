//! What helpers do for users: see how they stand, end a Regain lockout, delete an enrollment.

use super::{Error, Services, change_settings::Editor, outbox};
use crate::{
    domain::{
        account::{AccountKey, DomainName, LogonName},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        enrollment::Enrollment,
        lockout::{Subject, Tally},
    },
    store::{self, Found, Kept as _, account_of},
};

/// So many enrollments are read at a time.
const PAGE: usize = 200;
/// So many are looked at for one page at most: a filter that fits nobody must not keep the store busy for long.
const MOST_LOOKED_AT: usize = 5000;

/// How somebody stands with Regain. Nothing by which they could be impersonated is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Domain and objectGUID.
    pub key: AccountKey,
    /// sAMAccountName when last seen.
    pub name: String,
    /// Whether there is an enrollment.
    pub is_enrolled: bool,
    /// Whether it came from a reset or unlock with a code alone.
    pub is_automatic: bool,
    /// Whether they are locked out of Regain.
    pub is_locked: bool,
    /// The address given to Regain.
    pub email: Option<String>,
    /// When they last enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// When they last reset their password here.
    pub reset_at: Option<Timestamp>,
    /// When they last unlocked their account here.
    pub unlocked_at: Option<Timestamp>,
    /// When they last changed their password here.
    pub changed_at: Option<Timestamp>,
}

impl User {
    fn new(key: AccountKey, name: String, enrollment: Option<&Enrollment>, is_locked: bool) -> Self {
        Self {
            key,
            name,
            is_locked,
            is_enrolled: enrollment.is_some(),
            is_automatic: enrollment.is_some_and(|it| it.automatic),
            email: enrollment.and_then(|it| it.email.as_ref()).map(|email| email.as_str().to_owned()),
            enrolled_at: enrollment.map(|it| it.enrolled_at),
            reset_at: enrollment.and_then(|it| it.reset_at),
            unlocked_at: enrollment.and_then(|it| it.unlocked_at),
            changed_at: enrollment.and_then(|it| it.changed_at),
        }
    }
}

/// Which users are wanted.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    /// Of that domain.
    pub domain: Option<DomainName>,
    /// Whose name has this in it, in whatever case.
    pub name: Option<String>,
}

impl Filter {
    fn fits(&self, key: &AccountKey, enrollment: &Enrollment) -> bool {
        let is_of_domain = self.domain.as_ref().is_none_or(|domain| *domain == key.domain);
        let name = enrollment.account_name.to_lowercase();
        is_of_domain && self.name.as_ref().is_none_or(|part| name.contains(&part.to_lowercase()))
    }
}

/// The next users with an enrollment behind `after`, so many at most, and behind whom to go on; `None` at the end. There
/// may be more even if there are fewer than that.
pub async fn list(
    services: &Services,
    filter: &Filter,
    after: Option<&AccountKey>,
    limit: usize,
) -> Result<(Vec<User>, Option<AccountKey>), Error> {
    let mut users = Vec::new();
    let mut at = after.map(Enrollment::key);
    let mut looked_at = 0;
    loop {
        let page = services.store.page::<Enrollment>(at.clone(), PAGE).await?;
        if page.is_empty() {
            return Ok((users, None));
        }
        for (raw, enrollment) in page {
            looked_at += 1;
            at = Some(raw);
            let Some(key) = at.as_deref().and_then(account_of) else { continue };
            if filter.fits(&key, &enrollment) {
                let is_locked = is_locked(services, &key).await?;
                let name = enrollment.account_name.clone();
                users.push(User::new(key.clone(), name, Some(&enrollment), is_locked));
            }
            if users.len() >= limit || looked_at >= MOST_LOOKED_AT {
                return Ok((users, Some(key)));
            }
        }
    }
}

/// The account of that name, if there is one in the directory.
pub async fn identify(
    services: &Services,
    domain: &DomainName,
    name: &LogonName,
) -> Result<Option<(AccountKey, String)>, Error> {
    let account = services.directory(domain)?.find(name).await?;
    Ok(account.map(|account| (account.key, account.sam_account_name)))
}

/// How an account stands. `name` is what the directory calls it, if that was asked; without it nothing is known of somebody
/// of whom nothing is kept.
pub async fn find(services: &Services, key: &AccountKey, name: Option<&str>) -> Result<Option<User>, Error> {
    let enrollment = services.store.find::<Enrollment>(key).await?;
    let is_locked = is_locked(services, key).await?;
    let known = enrollment.as_ref().map(|enrollment| enrollment.account_name.as_str());
    if name.is_none() && known.is_none() && !is_locked {
        return Ok(None);
    }
    let name = name.or(known).unwrap_or_default().to_owned();
    Ok(Some(User::new(key.clone(), name, enrollment.as_deref(), is_locked)))
}

async fn is_locked(services: &Services, key: &AccountKey) -> Result<bool, Error> {
    let tally = services.store.find::<Tally>(&Subject::Known(key.clone())).await?;
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    Ok(tally.is_some_and(|tally| tally.is_locked(limit)))
}

/// Gives the tries at answers and codes back, and ends a Regain lockout; false if there was nothing to give back.
pub async fn clear_lockout(services: &Services, by: &Editor, user: &User) -> Result<bool, Error> {
    let subject = Subject::Known(user.key.clone());
    let _turn = services.turns.of(&subject).await;
    loop {
        let Some(found) = services.store.find::<Tally>(&subject).await? else { return Ok(false) };
        let mut tally = (*found).clone();
        tally.forgive_answers();
        tally.forgive_codes();
        if tally == *found {
            return Ok(false);
        }
        let event = event(services, by, Action::LockoutCleared, user);
        match services.store.batch().replace(&subject, &found, &tally).event(&event).commit().await {
            Ok(()) => return Ok(true),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Deletes an enrollment; false if there was none. The person is told, at the address that went with it too. What is counted
/// against them stays counted.
pub async fn delete_enrollment(services: &Services, by: &Editor, user: &User) -> Result<bool, Error> {
    loop {
        let Some(found) = services.store.find::<Enrollment>(&user.key).await? else { return Ok(false) };
        let event = event(services, by, Action::EnrollmentDeleted, user);
        let batch = services.store.batch().remove(&user.key, &found);
        let Enrollment { email, language, .. } = Found::into_inner(found);
        let batch = outbox::record_with(services, batch, &event, language.as_deref(), email);
        match batch.commit().await {
            Ok(()) => return Ok(true),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn event(services: &Services, by: &Editor, action: Action, user: &User) -> Event {
    Event {
        at: services.now(),
        outcome: Outcome::Success,
        source: by.source.into(),
        user: user.name.clone(),
        domain: user.key.domain.to_string(),
        action,
        detail: String::new(),
        source_ip: by.address,
        source_user: Some(by.name.clone()),
        account: Some(user.key.guid),
        reference: None,
    }
}
