//! The Reminders tab: people are reminded by e-mail to enroll, and to change a password before it runs out.

use super::{alerts::recipient, table::tab};

tab! {
    /// The Reminders tab. Reminders are sent once mail is set up.
    pub struct Reminders {
        /// Remind people who have not enrolled.
        enroll: bool = false;
        /// So many days lie between two such reminders.
        enroll_every_days: u32 = 14, in 1..=365;
        /// Remind people whose password is about to run out.
        expiry: bool = false;
        /// So many days before it does for the first time.
        expiry_days_before: u32 = 14, in 1..=365;
        /// And then again after so many days, until it is changed.
        expiry_every_days: u32 = 3, in 1..=365;
        /// Who gets the mail, as in the alerts.
        recipients: Vec<String> = vec!["[AD_OR_REGAIN_EMAIL]".into()], as recipient;
        /// At most so many reminders in an hour.
        batch: u32 = 200, in 1..=10_000;
        /// Send nothing, but write into the log who would be reminded.
        dry_run: bool = false;
    }
}
