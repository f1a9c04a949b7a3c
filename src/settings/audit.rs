//! The Audit tab: how long events are kept.

use super::table::tab;

tab! {
    /// The Audit tab.
    pub struct Audit {
        /// Events are kept so many days, then they are dropped; 0 for ever. What is left can still be verified. A clock that
        /// was set wrong drops nothing: there must have been events on a tenth of as many days since.
        keep_days: u32 = 0, in 0..=36_500;
    }
}
