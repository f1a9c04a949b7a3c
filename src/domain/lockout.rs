//! What is counted against an account, or against a name that doesn't exist: wrong answers (the Regain lockout),
//! wrong passwords (so that the directory never gets to its own lockout through Regain), and flows begun.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    account::{Account, AccountKey, DomainName},
    clock::Timestamp,
};

/// Who is counted against. Names that don't exist are counted like those that do.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Subject {
    /// An account.
    Known(AccountKey),
    /// A name no account has, as a keyed hash of its one spelling.
    Unknown {
        /// The domain it was looked for in.
        domain: DomainName,
        /// Keyed hash of the name.
        name: [u8; 16],
    },
}

/// The counts of one subject.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Wrong answers since the last enrollment or the last time all were right.
    pub wrong_answers: u32,
    /// Since when the subject is locked out of Regain.
    pub locked_at: Option<Timestamp>,
    /// Passwords tried through Regain and not found right, in the present window.
    pub wrong_passwords: u32,
    /// When the last of them was tried.
    pub wrong_password_at: Option<Timestamp>,
    /// Wrong verification codes in the present window, of whatever code.
    #[serde(default)]
    pub wrong_codes: u32,
    /// When the last of them was tried.
    #[serde(default)]
    pub wrong_code_at: Option<Timestamp>,
    /// Flows begun in the present hour.
    pub starts: u32,
    /// When that hour began.
    pub starts_since: Option<Timestamp>,
    /// Whether it was written down that a try was held up since the last one that was not.
    #[serde(default)]
    pub held_up_told: bool,
    /// When anything was last counted.
    pub touched_at: Option<Timestamp>,
}

/// What may be done after something was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowance {
    /// Go on.
    Granted,
    /// Not now; after this time at the earliest.
    Wait(Duration),
    /// Not until the count is cleared.
    Spent,
}

/// The span within which flows begun are counted.
const START_WINDOW: Duration = Duration::from_secs(3600);
/// Wrong passwords in a window where the directory never locks.
const TRIES_WITHOUT_LOCKOUT: u32 = 10;
/// Wrong codes in a window, however many codes are sent.
const CODE_TRIES: u32 = 5;
/// So long after the last wrong code they are forgotten.
const CODE_WINDOW: Duration = Duration::from_secs(3600);
/// The window for wrong passwords where the directory doesn't tell its own.
const PASSWORD_WINDOW: Duration = Duration::from_secs(1800);

impl Tally {
    /// Spends one try at an answer. `limit` 0 is no limit. Called, and made durable, before the comparison.
    pub fn spend_answer(&mut self, limit: u32, now: Timestamp) -> Allowance {
        self.touched_at = Some(now);
        if limit == 0 {
            return Allowance::Granted;
        }
        if self.locked_at.is_some() || self.wrong_answers >= limit {
            return Allowance::Spent;
        }
        self.wrong_answers += 1;
        Allowance::Granted
    }

    /// Raises each count to the other's, where that is higher: of two times the same is counted, nobody gains by it.
    pub fn raise_to(&mut self, other: &Self) {
        self.wrong_answers = self.wrong_answers.max(other.wrong_answers);
        self.locked_at = match (self.locked_at, other.locked_at) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        self.wrong_passwords = self.wrong_passwords.max(other.wrong_passwords);
        self.wrong_password_at = self.wrong_password_at.max(other.wrong_password_at);
        self.wrong_codes = self.wrong_codes.max(other.wrong_codes);
        self.wrong_code_at = self.wrong_code_at.max(other.wrong_code_at);
        self.starts = self.starts.max(other.starts);
        self.starts_since = self.starts_since.max(other.starts_since);
        self.held_up_told = self.held_up_told && other.held_up_told;
        self.touched_at = self.touched_at.max(other.touched_at);
    }

    /// Gives a try back that turned out right.
    pub fn refund_answer(&mut self) {
        self.wrong_answers = self.wrong_answers.saturating_sub(1);
    }

    /// Locks the subject if the tries are used up; true if it was not locked before.
    pub fn lock_if_spent(&mut self, limit: u32, now: Timestamp) -> bool {
        let locks = limit > 0 && self.wrong_answers >= limit && self.locked_at.is_none();
        if locks {
            self.locked_at = Some(now);
        }
        locks
    }

    /// Whether the subject is locked out of Regain.
    pub const fn is_locked(&self, limit: u32) -> bool {
        limit > 0 && self.locked_at.is_some()
    }

    /// Clears wrong answers and the lockout: after enrolling, or after all answers were right.
    pub fn forgive_answers(&mut self) {
        self.wrong_answers = 0;
        self.locked_at = None;
    }

    /// How long no code is taken any more, if the tries are used up. The window begins with the last try: whoever goes
    /// on guessing slowly gets no more of them.
    pub fn wait_for_codes(&self, now: Timestamp) -> Option<Duration> {
        let until = self.wrong_code_at? + CODE_WINDOW;
        (self.wrong_codes >= CODE_TRIES && until > now).then(|| until.since(now).max(Duration::from_secs(1)))
    }

    /// Counts one try at a code. Called, and made durable, before the comparison; not after
    /// [`Self::wait_for_codes`] has said to wait.
    pub fn count_code(&mut self, now: Timestamp) {
        self.touched_at = Some(now);
        if self.wrong_code_at.is_none_or(|last| now.since(last) >= CODE_WINDOW) {
            self.wrong_codes = 0;
        }
        self.wrong_codes += 1;
        self.wrong_code_at = Some(now);
        self.held_up_told = false;
    }

    /// Gives one try back: the code was not the one to blame.
    pub fn refund_code(&mut self) {
        self.wrong_codes = self.wrong_codes.saturating_sub(1);
    }

    /// Gives the tries back: after a right code, or after enrolling.
    pub fn forgive_codes(&mut self) {
        self.wrong_codes = 0;
        self.wrong_code_at = None;
    }

    /// Spends one try at a password. Called, and made durable, before the directory is asked. For an account, what
    /// the directory has counted itself is taken into account; for a name without one, `account` is `None`.
    ///
    /// Tries end while two are left until the directory would lock the account. A threshold of two or three still
    /// allows one, or nobody could ever enroll; one of one allows none.
    pub fn spend_password(&mut self, account: Option<&Account>, threshold: u32, now: Timestamp) -> Allowance {
        self.touched_at = Some(now);
        let window = account
            .map(|account| account.policy.observation_window)
            .filter(|window| !window.is_zero())
            .unwrap_or(PASSWORD_WINDOW);
        if self.wrong_password_at.is_none_or(|last| now.since(last) > window) {
            self.wrong_passwords = 0;
        }
        let tries = match threshold {
            // The directory never locks: then only guessing has to be held up here.
            0 => TRIES_WITHOUT_LOCKOUT,
            1 => 0,
            threshold => threshold.saturating_sub(2).max(1),
        };
        let counted_there = account.map_or(0, |account| account.effective_bad_password_count(now));
        if self.wrong_passwords.max(counted_there) >= tries {
            let last = self
                .wrong_password_at
                .max(account.and_then(|account| account.bad_password_time))
                .unwrap_or(now);
            return Allowance::Wait((last + window).since(now).max(Duration::from_secs(1)));
        }

        self.wrong_passwords += 1;
        self.wrong_password_at = Some(now);
        self.held_up_told = false;
        Allowance::Granted
    }

    /// Gives the tries back after a password turned out right.
    pub fn forgive_passwords(&mut self) {
        self.wrong_passwords = 0;
        self.wrong_password_at = None;
    }

    /// Notes that a try is held up; true for the first in a row, the only one that is written down.
    pub const fn tell_held_up(&mut self) -> bool {
        !std::mem::replace(&mut self.held_up_told, true)
    }

    /// Gives one try back: the directory did not look at the password.
    pub fn refund_password(&mut self) {
        self.wrong_passwords = self.wrong_passwords.saturating_sub(1);
    }

    /// Counts a flow begun. `limit` an hour, 0 is no limit.
    pub fn spend_start(&mut self, limit: u32, now: Timestamp) -> Allowance {
        self.touched_at = Some(now);
        if limit == 0 {
            return Allowance::Granted;
        }
        let since = match self.starts_since {
            Some(since) if now.since(since) < START_WINDOW && since <= now => since,
            _ => {
                self.starts = 0;
                now
            }
        };
        self.starts_since = Some(since);
        if self.starts >= limit {
            return Allowance::Wait((since + START_WINDOW).since(now).max(Duration::from_secs(1)));
        }
        self.starts += 1;
        Allowance::Granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    #[test]
    fn exactly_n_answers_are_tried() {
        let mut tally = Tally::default();
        let granted = (0..200).filter(|_| tally.spend_answer(5, NOW) == Allowance::Granted).count();
        assert_eq!(granted, 5);
        assert!(tally.lock_if_spent(5, NOW));
        assert!(!tally.lock_if_spent(5, NOW), "only the first notices");
        assert!(tally.is_locked(5));
        tally.forgive_answers();
        assert_eq!(tally.spend_answer(5, NOW), Allowance::Granted);
    }

    #[test]
    fn a_right_answer_gives_its_try_back() {
        let mut tally = Tally::default();
        for _ in 0..50 {
            assert_eq!(tally.spend_answer(5, NOW), Allowance::Granted);
            tally.refund_answer();
        }
        assert!(!tally.lock_if_spent(5, NOW));
    }

    #[test]
    fn without_a_limit_answers_never_lock() {
        let mut tally = Tally::default();
        for _ in 0..50 {
            assert_eq!(tally.spend_answer(0, NOW), Allowance::Granted);
        }
        assert!(!tally.lock_if_spent(0, NOW));
    }

    #[test]
    fn five_codes_are_tried_and_then_none_for_an_hour() {
        let mut tally = Tally::default();
        let mut granted = 0;
        let mut now = NOW;
        while tally.wait_for_codes(now).is_none() {
            tally.count_code(now);
            granted += 1;
            now = now + Duration::from_secs(60 * 59);
            assert!(granted < 10, "the tries end, however slowly they are made");
        }
        assert_eq!(granted, 5);
        assert_eq!(tally.wait_for_codes(now), Some(Duration::from_secs(60)));
        now = now + Duration::from_secs(60);
        assert_eq!(tally.wait_for_codes(now), None);
        tally.count_code(now);
        assert_eq!(tally.wrong_codes, 1);
        tally.forgive_codes();
        assert_eq!((tally.wrong_codes, tally.wrong_code_at), (0, None));
    }

    #[test]
    fn what_was_counted_before_there_were_codes_can_still_be_read() {
        let mut old = serde_json::to_value(Tally::default()).unwrap();
        old.as_object_mut().unwrap().retain(|key, _| !key.starts_with("wrong_code"));
        assert_eq!(serde_json::from_value::<Tally>(old).unwrap(), Tally::default());
    }

    #[test]
    fn passwords_stop_while_two_tries_are_left() {
        for (threshold, tries) in [(5, 3), (10, 8), (3, 1), (2, 1), (1, 0), (0, 10)] {
            let mut tally = Tally::default();
            let granted =
                (0..50).filter(|_| tally.spend_password(None, threshold, NOW) == Allowance::Granted).count();
            assert_eq!(granted, tries, "threshold {threshold}");
        }
    }

    #[test]
    fn of_tries_that_are_held_up_in_a_row_the_first_is_told() {
        let mut tally = Tally::default();
        while tally.spend_password(None, 5, NOW) == Allowance::Granted {}
        assert!(tally.tell_held_up() && !tally.tell_held_up());
        let later = NOW + PASSWORD_WINDOW + Duration::from_secs(1);
        while tally.spend_password(None, 5, later) == Allowance::Granted {}
        assert!(tally.tell_held_up() && !tally.tell_held_up());
    }

    #[test]
    fn the_window_for_passwords_ends() {
        let mut tally = Tally::default();
        while tally.spend_password(None, 5, NOW) == Allowance::Granted {}
        let later = NOW + PASSWORD_WINDOW + Duration::from_secs(1);
        assert_eq!(tally.spend_password(None, 5, later), Allowance::Granted);
    }

    #[test]
    fn flows_begun_are_limited_by_the_hour() {
        let mut tally = Tally::default();
        let granted = (0..50).filter(|_| tally.spend_start(20, NOW) == Allowance::Granted).count();
        assert_eq!(granted, 20);
        assert_eq!(tally.spend_start(20, NOW), Allowance::Wait(START_WINDOW));
        assert_eq!(tally.spend_start(20, NOW + START_WINDOW), Allowance::Granted);
    }
}
