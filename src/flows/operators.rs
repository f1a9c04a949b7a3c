//! Telling those who run this that it needs looking after.

use super::{Error, Services, outbox};
use crate::{
    domain::{
        contact::EmailAddress,
        message::{Channel, Concern, Facts, Message, Topic},
    },
    store::Batch,
};

/// Puts a mail to each of those who run this into a batch; nothing if there is nobody to tell, or no way to.
/// `days` is what the text tells in days.
pub(super) fn tell<'a>(
    services: &Services,
    mut batch: Batch<'a>,
    topic: Topic,
    days: u32,
) -> Result<Option<Batch<'a>>, Error> {
    let settings = services.settings.load();
    let operators = settings.alerts.recipients(topic).into_iter().flatten();
    let operators: Vec<_> = operators.filter_map(|address| EmailAddress::parse(address).ok()).collect();
    if operators.is_empty() || !services.notifier.delivers(&settings, Channel::Mail) {
        return Ok(None);
    }
    let facts = Facts {
        user: String::new(),
        domain: String::new(),
        at: services.now(),
        source_ip: None,
        code: None,
        minutes: 0,
        days,
    };
    let concern = Concern { account: None, user: String::new(), topic, source_ip: None };
    for to in operators {
        let mail = services.notifier.mail(&settings, topic, &settings.general.language, to, &facts);
        let mail = mail.map_err(|fault| Error::Internal(fault.to_string()))?;
        batch = batch.errand(&outbox::errand(services, &concern, &Message::Mail(mail), None)?);
    }
    Ok(Some(batch))
}
