//! The alarm: the certificate runs out, wherever it is from.

use super::{Error, Services, operators};
use crate::domain::{certificate::Alarmed, message::Topic};

/// Tells those who run this that the certificate that is shown runs out: at each of some thresholds, once.
pub(super) async fn sound(services: &Services) -> Result<(), Error> {
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
    // It is told as soon as there is somebody to tell.
    let batch = services.store.batch().put(&(), &alarmed);
    let days_left = u32::try_from(days_left).unwrap_or_default();
    if let Some(batch) = operators::tell(services, batch, Topic::CertificateExpiry, days_left)? {
        batch.commit().await?;
    }
    Ok(())
}
