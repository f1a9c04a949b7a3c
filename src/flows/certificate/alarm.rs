//! The alarm: the certificate runs out, wherever it is from.

use super::{Error, Services, outbox};
use crate::{
    domain::{
        certificate::Alarmed,
        contact::EmailAddress,
        message::{Channel, Concern, Facts, Message, Topic},
    },
    settings::Settings,
};

/// Tells those who run this that the certificate that is shown runs out: at each of some thresholds, once.
pub(super) async fn sound(services: &Services, settings: &Settings) -> Result<(), Error> {
    let (shown, now) = (services.door.shown(), services.now());
    let reached = shown.validity.alarm(now).filter(|_| !shown.is_self_signed);
    let Some(days) = reached else { return Ok(()) };
    let given = services.store.find::<Alarmed>(&()).await?;
    let is_news = |given: Option<&Alarmed>| given.is_none_or(|given| given.is_news(&shown.fingerprint, days));
    if !is_news(given.as_deref()) {
        return Ok(());
    }
    let alarmed = Alarmed { fingerprint: shown.fingerprint.clone(), days };
    let days_left = shown.validity.days_left(now);
    if is_news(services.certificate.lock().logged.replace(alarmed.clone()).as_ref()) {
        tracing::error!(days_left, "the certificate runs out, and was not renewed");
    }
    let topic = Topic::CertificateExpiry;
    let operators = settings.alerts.recipients(topic).into_iter().flatten();
    let operators: Vec<_> = operators.filter_map(|address| EmailAddress::parse(address).ok()).collect();
    // It is told as soon as there is somebody to tell.
    if operators.is_empty() || !services.notifier.delivers(settings, Channel::Mail) {
        return Ok(());
    }
    let facts = Facts {
        user: String::new(),
        domain: String::new(),
        at: now,
        source_ip: None,
        code: None,
        minutes: 0,
        days: u32::try_from(days_left).unwrap_or_default(),
    };
    let concern = Concern { account: None, user: String::new(), topic, source_ip: None };
    let mut batch = services.store.batch().put(&(), &alarmed);
    for to in operators {
        let mail = services.notifier.mail(settings, topic, &settings.general.language, to, &facts);
        let mail = mail.map_err(|fault| Error::Internal(fault.to_string()))?;
        batch = batch.errand(&outbox::errand(services, &concern, &Message::Mail(mail), None)?);
    }
    Ok(batch.commit().await?)
}
