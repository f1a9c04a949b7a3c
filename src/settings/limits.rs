//! The Limits tab: how often things may be tried.

use super::table::tab;

tab! {
    /// The Limits tab.
    pub struct Limits {
        /// Forms that one address (of IPv6: one /64) may send in a minute; 0 for no limit. A whole office may share
        /// one address.
        requests_per_address_per_minute: u32 = 240, in 0..=1_000_000;
        /// Forms that all together may send in a second; 0 for no limit.
        requests_per_second_overall: u32 = 500, in 0..=1_000_000;
        /// Resets and unlocks that may be begun for one account, or one unknown name, in an hour; 0 for no limit.
        starts_per_account_per_hour: u32 = 20, in 0..=10_000;
        /// Verification codes that are sent to one address or number in an hour, and in a day; 0 for no limit.
        codes_per_recipient_per_hour: u32 = 6, in 0..=100;
        /// In a day.
        codes_per_recipient_per_day: u32 = 20, in 0..=1000;
        /// Text messages that are sent in an hour, to whomever; more are dropped, and the operators are told. They cost money.
        /// 0 for no limit.
        text_messages_per_hour: u32 = 200, in 0..=3000;
    }
}
