//! The Security tab: time limits, lockout, what a reset enforces, what a hash costs.

use std::path::PathBuf;

use super::{
    Codes, Fault, form,
    table::{choice, tab},
};

choice! {
    /// From where the pages can be reached.
    pub enum Profile {
        /// From inside only.
        Inside = "inside",
        /// From the Internet.
        Internet = "internet",
    }
}

tab! {
    /// The Security tab.
    pub struct Security {
        /// "inside" if the pages are reached from your own network only, "internet" if from anywhere: then a code
        /// comes first, and questions are shown to nobody without it. It needs codes by e-mail or text message.
        profile: Profile = Profile::Inside;
        /// After so many seconds without a step a flow ends; 0 never. No flow lasts longer than 30 minutes in any
        /// case.
        idle_timeout_seconds: u32 = 300, in 0..=1800;
        /// Enforce password history and minimum age of Active Directory also at a reset, where the controller
        /// offers it (Windows Server 2012 and later).
        enforce_history: bool = true;
        /// Demand a change at next logon after a reset; not for accounts whose password never expires.
        must_change_after_reset: bool = false;
        /// So many days must lie between two resets of an account; 0 for no limit.
        minimum_days_between_resets: u32 = 0, in 0..=365;
        /// After so many wrong answers a person can't reset or unlock here until enrolling again; 0 never. This is
        /// not the lockout of Active Directory.
        wrong_answers_until_lockout: u32 = 5, in 0..=100;
        /// Tell visitors that a name is not enrolled, instead of asking a question that nobody can answer. Kinder,
        /// but it lets strangers find out who is enrolled.
        friendly_messages: bool = false;
        /// Replies to forms are sent no sooner than this many milliseconds after the request, a late one at the next
        /// multiple, so that the time taken tells nothing; 0 for at once.
        reply_deadline_ms: u32 = 250, in 0..=5000;
        /// The file with the passwords that were stolen elsewhere, made by `regain breached build`; password_rules say who
        /// may choose none of them.
        breached_passwords_file: Option<PathBuf> = None, as form::some;
        /// Memory for hashing an answer, in KiB (argon2id). OWASP's Password Storage Cheat Sheet asks for
        /// 47104 with 1 pass, 19456 with 2, 12288 with 3, 9216 with 4 or 7168 with 5; less is refused.
        hash_memory_kib: u32 = 19_456, in 7_168..=1_048_576;
        /// Passes over that memory.
        hash_passes: u32 = 2, in 1..=16;
        /// Lanes of that memory.
        hash_lanes: u32 = 1, in 1..=4;
    }
}

/// The least costs of argon2id as KiB and passes (OWASP Password Storage Cheat Sheet).
const LEAST_COSTS: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

impl Security {
    pub(super) fn check_profile(&self, codes: &Codes, faults: &mut Vec<Fault>) {
        if self.profile == Profile::Internet && !codes.are_on() {
            let text = "\"internet\" needs codes: set by_mail or by_sms in the Codes tab";
            faults.push(Fault::new("settings.security.profile", text));
        }
    }

    pub(super) fn check_cost(&self, faults: &mut Vec<Fault>) {
        let enough = LEAST_COSTS
            .iter()
            .any(|&(memory, passes)| self.hash_memory_kib >= memory && self.hash_passes >= passes);
        if !enough {
            let text = format!("{} with {} passes is too little", self.hash_memory_kib, self.hash_passes);
            let rule = "47104 with 1, 19456 with 2, 12288 with 3, 9216 with 4 or 7168 with 5 is the least";
            faults.push(Fault::new("settings.security.hash_memory_kib", format!("{text}; {rule}")));
        }
    }
}
