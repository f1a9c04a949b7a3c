//! The Alerts tab: which events people are told of, and who is told.

use super::table::tab;
use crate::domain::{contact::EmailAddress, message::Topic};

tab! {
    /// Who is told of an event.
    pub struct Alert {
        /// Whether anyone is.
        enabled: bool = true;
        /// Who is: addresses, and [AD_EMAIL], [REGAIN_EMAIL], [AD_OR_REGAIN_EMAIL] (the directory's; if it has none,
        /// the one given to Regain) or [REGAIN_OR_AD_EMAIL]. Each gets a mail of its own.
        recipients: Vec<String> = vec!["[AD_EMAIL]".into(), "[REGAIN_EMAIL]".into()], as recipient;
        /// Who else is, unseen by the others, for instance the help desk.
        bcc: Vec<String> = Vec::new(), as recipient;
    }
}

tab! {
    /// Who is told of a failure.
    pub struct FailureAlert {
        /// Whether anyone is.
        enabled: bool = false;
        /// Who is: as above.
        recipients: Vec<String> = vec!["[AD_EMAIL]".into(), "[REGAIN_EMAIL]".into()], as recipient;
        /// Who else is, unseen by the others, for instance the help desk.
        bcc: Vec<String> = Vec::new(), as recipient;
    }
}

tab! {
    /// The Alerts tab. Alerts are sent once mail is set up.
    pub struct Alerts {
        /// Who is told when Regain itself needs looking after, when no more text messages are sent in an hour, the
        /// certificate runs out, a backup can't be made, or someone's app for the admin panel was set up: e-mail addresses.
        operators: Vec<String> = Vec::new(), as address;
        /// Someone enrolled.
        enroll: Alert = Alert::default();
        /// Someone tried to enroll in vain.
        enroll_failed: FailureAlert = FailureAlert::default();
        /// A password was reset.
        reset: Alert = Alert::default();
        /// Someone tried to reset a password in vain.
        reset_failed: FailureAlert = FailureAlert::default();
        /// An account was unlocked.
        unlock: Alert = Alert::default();
        /// Someone tried to unlock an account in vain.
        unlock_failed: FailureAlert = FailureAlert::default();
        /// A password was changed.
        change: Alert = Alert::default();
        /// Someone tried to change a password in vain.
        change_failed: FailureAlert = FailureAlert::default();
        /// Too many wrong answers: the person can't reset or unlock here until enrolling again.
        lockout: Alert = Alert::default();
        /// A way of proving who one is was added or taken away: an authenticator app, a passkey, recovery codes, an
        /// e-mail address.
        methods: Alert = Alert::default();
    }
}

impl Alerts {
    /// Who is told of a topic, as addresses and words for them; `None` if nobody is.
    pub fn recipients(&self, topic: Topic) -> Option<impl Iterator<Item = &str>> {
        let (recipients, bcc) = match topic {
            Topic::AdminAccess => Some((&self.operators[..], &[][..])),
            Topic::TextMessageCap | Topic::CertificateExpiry | Topic::BackupFailed => {
                (!self.operators.is_empty()).then_some((&self.operators[..], &[][..]))
            }
            Topic::Code
            | Topic::Confirmation
            | Topic::Trial
            | Topic::EnrollReminder
            | Topic::ExpiryReminder => None,
            Topic::Enroll => self.enroll.lists(),
            Topic::EnrollFailed => self.enroll_failed.lists(),
            Topic::Reset => self.reset.lists(),
            Topic::ResetFailed => self.reset_failed.lists(),
            Topic::Unlock => self.unlock.lists(),
            Topic::UnlockFailed => self.unlock_failed.lists(),
            Topic::Change => self.change.lists(),
            Topic::ChangeFailed => self.change_failed.lists(),
            Topic::Lockout => self.lockout.lists(),
            Topic::Methods => self.methods.lists(),
        }?;
        Some(recipients.iter().chain(bcc).map(String::as_str))
    }
}

impl Alert {
    fn lists(&self) -> Option<(&[String], &[String])> {
        self.enabled.then_some((&self.recipients, &self.bcc))
    }
}

impl FailureAlert {
    fn lists(&self) -> Option<(&[String], &[String])> {
        self.enabled.then_some((&self.recipients, &self.bcc))
    }
}

/// The addresses that stand for those of the person concerned. The reference product's spellings are understood too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personal {
    /// `[AD_EMAIL]`
    Directory,
    /// `[REGAIN_EMAIL]`
    Regain,
    /// `[AD_OR_REGAIN_EMAIL]`
    DirectoryOrRegain,
    /// `[REGAIN_OR_AD_EMAIL]`
    RegainOrDirectory,
}

impl Personal {
    /// Understands such a word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "[AD_EMAIL]" => Self::Directory,
            "[REGAIN_EMAIL]" | "[APR_EMAIL]" => Self::Regain,
            "[AD_OR_REGAIN_EMAIL]" | "[AD_OR_APR_EMAIL]" => Self::DirectoryOrRegain,
            "[REGAIN_OR_AD_EMAIL]" | "[APR_OR_AD_EMAIL]" => Self::RegainOrDirectory,
            _ => return None,
        })
    }
}

fn address(text: &str) -> Result<(), String> {
    EmailAddress::parse(text).map(drop).map_err(|_| "is not an e-mail address".into())
}

pub(super) fn recipient(text: &str) -> Result<(), String> {
    if Personal::parse(text).is_some() || EmailAddress::parse(text).is_ok() {
        return Ok(());
    }
    Err("is neither an e-mail address nor one of [AD_EMAIL], [REGAIN_EMAIL], [AD_OR_REGAIN_EMAIL], \
         [REGAIN_OR_AD_EMAIL]"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn recipients_are_addresses_or_words_for_them() {
        for good in ["help@corp.example", "[AD_EMAIL]", "[APR_OR_AD_EMAIL]"] {
            assert_eq!(recipient(good), Ok(()), "{good}");
        }
        let settings: Settings =
            toml::from_str("[alerts.reset_failed]\nbcc = ['nobody']\nrecipients = ['[AD_EMAIL]']").unwrap();
        assert!(settings.alerts.recipients(Topic::Enroll).is_some());
        assert!(
            settings.alerts.recipients(Topic::ResetFailed).is_none(),
            "naming recipients switches nothing on"
        );
        let faults = settings.faults();
        assert!(faults[0].to_string().starts_with("settings.alerts.reset_failed.bcc: \"nobody\" is neither"));
    }
}
