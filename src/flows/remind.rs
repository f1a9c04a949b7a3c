//! Reminding people: who has not enrolled, and whose password is about to run out.

use tokio_util::sync::CancellationToken;

use super::{
    Error, Services, outbox,
    prove::{self, Way},
    require_permitted,
};
use crate::{
    directory::Directory,
    domain::{
        account::{Account, AccountKey},
        contact::EmailAddress,
        enrollment::Enrollment,
        flow::Kind,
        message::{Channel, Concern, Topic},
        permission::require_served,
        reminder::{Reminded, days_left, is_due},
    },
    settings::Settings,
    store::{self, Found},
};

/// What a round did.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Report {
    /// Accounts that were looked at.
    pub looked_at: u32,
    /// Reminders to enroll.
    pub to_enroll: u32,
    /// Reminders of a password.
    pub of_expiry: u32,
}

/// One round over all people, until as many were reminded as may be at a time. The next one goes on.
pub async fn round(services: &Services, stop: &CancellationToken) -> Result<Report, Error> {
    let settings = services.settings.load_full();
    let mut report = Report::default();
    let reminders = &settings.reminders;
    if !(reminders.enroll || reminders.expiry) || !services.notifier.delivers(&settings, Channel::Mail) {
        return Ok(report);
    }
    for directory in services.directories.load_full().iter() {
        for guid in directory.list().await? {
            if stop.is_cancelled() || report.to_enroll + report.of_expiry >= reminders.batch {
                return Ok(report);
            }
            let key = AccountKey { domain: directory.domain().name.clone(), guid };
            match look_at(services, &settings, directory.as_ref(), &key, &mut report).await {
                // What is wrong with one of them, such as a damaged record, is not the others' fault.
                Err(Error::Internal(text)) => tracing::error!(text, account = %key.guid, "can't be reminded"),
                other => other?,
            }
        }
    }
    Ok(report)
}

async fn look_at(
    services: &Services,
    settings: &Settings,
    directory: &dyn Directory,
    key: &AccountKey,
    report: &mut Report,
) -> Result<(), Error> {
    let now = services.now();
    let found = services.store.find::<Reminded>(key).await?;
    let mut reminded = found.clone().map(Found::into_inner).unwrap_or_default();
    if !reminded.is_to_be_looked_at(now) {
        return Ok(());
    }
    let Some(account) = directory.load(key.guid).await?.filter(|account| require_served(account).is_ok())
    else {
        return Ok(());
    };
    report.looked_at += 1;
    reminded.looked_at = Some(now);
    let enrollment = services.store.find::<Enrollment>(key).await?;
    let mut topics = Vec::new();
    if settings.reminders.enroll
        && require_permitted(services, Kind::Enroll, &account).is_ok()
        && is_due(reminded.enroll_at, settings.reminders.enroll_every_days, now)
        && prove::way(settings, enrollment.as_deref()) != Some(Way::Enrolled)
    {
        topics.push(Topic::EnrollReminder);
        reminded.enroll_at = Some(now);
    }
    if settings.reminders.expiry
        && is_due(reminded.expiry_at, settings.reminders.expiry_every_days, now)
        && days_left(&account, now).is_some_and(|days| days <= settings.reminders.expiry_days_before)
    {
        topics.push(Topic::ExpiryReminder);
        reminded.expiry_at = Some(now);
    }
    // Who has no address can't be reminded, and takes nobody's place.
    if !has_address(&account, enrollment.as_deref()) {
        topics.clear();
    }
    report.to_enroll += u32::from(topics.contains(&Topic::EnrollReminder));
    report.of_expiry += u32::from(topics.contains(&Topic::ExpiryReminder));
    if settings.reminders.dry_run {
        for topic in topics {
            tracing::info!(account = account.qualified_name(), topic = topic.as_str(), "would be reminded");
        }
        return Ok(());
    }
    let mut batch = services.store.batch().write(key, found.as_ref(), &reminded);
    for topic in topics {
        let user = account.sam_account_name.clone();
        let concern = Concern { account: Some(key.clone()), user, topic, source_ip: None };
        batch = outbox::alert(batch, concern, now, (None, None));
    }
    match batch.commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn has_address(account: &Account, enrollment: Option<&Enrollment>) -> bool {
    account.mail.as_deref().is_some_and(|mail| EmailAddress::parse(mail).is_ok())
        || enrollment.is_some_and(|enrollment| enrollment.email.is_some())
}
