//! The Methods tab: in what ways people can prove who they are, and in how many of them they have to.

use super::{Order, Profile, Settings, table::tab};
use crate::{domain::flow::Factor, settings::Fault};

tab! {
    /// The Methods tab. Codes by e-mail and text message have a tab of their own; they are one way of those counted
    /// here.
    pub struct Methods {
        /// Ask security questions. Without them nobody is asked any, at enrollment or later, and the answers given
        /// before are forgotten a day later (NIST SP 800-63B and OWASP ASVS 5.0 6.4.2 want no questions).
        questions: bool = true;
        /// Let people add an authenticator app that shows a new code every 30 seconds (TOTP, RFC 6238).
        authenticator_app: bool = false;
        /// Let people add passkeys: their phone, computer or security key, with fingerprint, face or PIN (WebAuthn).
        /// They are bound to the host name of base_url: with another one later, all have to be added again.
        passkeys: bool = false;
        /// Let people keep recovery codes on paper, each good once.
        recovery_codes: bool = false;
        /// In how many different ways a person has to prove who they are at a reset or unlock; a code counts as one,
        /// all questions together as another. Not set: questions and codes, as far as they are on; two at least with
        /// the profile "internet" or without questions. It doesn't hold for those enrolled automatically.
        needed: Option<u32> = None, in 1..=3;
    }
}

impl Settings {
    /// The ways of proving oneself that are switched on, in the order in which they are asked for.
    pub fn ways(&self) -> Vec<Factor> {
        use Factor::{App, Code, Passkey, Questions, RecoveryCode};
        let order = match self.order() {
            Order::QuestionsFirst => [Questions, Code, Passkey, App, RecoveryCode],
            Order::CodeFirst => [Code, Passkey, App, Questions, RecoveryCode],
        };
        order.into_iter().filter(|way| self.is_on(*way)).collect()
    }

    /// Whether people can prove themselves so.
    pub const fn is_on(&self, way: Factor) -> bool {
        match way {
            Factor::Questions => self.methods.questions,
            Factor::Code => self.codes.are_on(),
            Factor::Passkey => self.methods.passkeys,
            Factor::App => self.methods.authenticator_app,
            Factor::RecoveryCode => self.methods.recovery_codes,
        }
    }

    /// How many questions are asked.
    pub const fn questions(&self) -> u32 {
        if self.methods.questions { self.enroll.questions } else { 0 }
    }

    /// In how many ways a person has to prove who they are.
    pub const fn needed(&self) -> usize {
        if let Some(needed) = self.methods.needed {
            return needed as usize;
        }
        let wanted = self.methods.questions as usize + self.codes.are_on() as usize;
        let least = if self.is_strict() { 2 } else { 1 };
        if wanted > least { wanted } else { least }
    }

    /// Whether one way is never enough.
    const fn is_strict(&self) -> bool {
        matches!(self.security.profile, Profile::Internet) || !self.methods.questions
    }

    /// With the profile "internet" the lack of codes is a fault of its own.
    fn may_have_codes_off(&self) -> bool {
        self.codes.are_on() || self.security.profile != Profile::Internet
    }

    pub(super) fn check_methods(&self, faults: &mut Vec<Fault>) {
        let own = self.ways().iter().filter(|way| **way != Factor::Code).count();
        if own == 0 && !self.codes.enroll_automatically() {
            let text = "false, but there is nothing else people could enroll: set authenticator_app, passkeys or \
                        recovery_codes, or automatic_enrollment in [settings.codes]";
            faults.push(Fault::new("settings.methods.questions", text));
        } else if own > 0 && self.needed() > self.ways().len() && self.may_have_codes_off() {
            let text = format!(
                "{} ways are needed, but only {} can be used: switch on more of them, or codes in [settings.codes]",
                self.needed(),
                self.ways().len()
            );
            faults.push(Fault::new("settings.methods.needed", text));
        }
        if self.security.profile == Profile::Internet && self.needed() < 2 {
            let text = "1 is too little for the profile \"internet\" in [settings.security]";
            faults.push(Fault::new("settings.methods.needed", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    const MAIL: &str =
        "codes.by_mail = true\nmail.delivery = 'folder'\nmail.folder = '/x'\nmail.sender = 'a@b.c'\n";

    #[test]
    fn what_is_needed_follows_from_what_is_on_unless_it_is_set() {
        for (text, needed) in [
            ("", 1),
            ("methods.authenticator_app = true", 1),
            ("codes.by_sms = true", 2),
            ("codes.by_sms = true\nsecurity.profile = 'internet'", 2),
            ("codes.by_sms = true\nmethods.questions = false\nmethods.passkeys = true", 2),
            ("methods = { questions = false, passkeys = true, recovery_codes = true }", 2),
            ("codes.by_sms = true\nmethods = { passkeys = true, needed = 3 }", 3),
            ("codes.by_sms = true\nmethods = { passkeys = true, needed = 1 }", 1),
        ] {
            assert_eq!(settings(text).needed(), needed, "{text}");
        }
    }

    #[test]
    fn the_order_puts_questions_behind_what_is_better_where_the_code_comes_first() {
        let all = "codes.by_sms = true\nmethods = { authenticator_app = true, passkeys = true, recovery_codes = true }";
        let names = |settings: &Settings| settings.ways().iter().map(|way| way.as_str()).collect::<Vec<_>>();
        assert_eq!(names(&settings(all)), ["questions", "code", "passkey", "app", "recovery_code"]);
        let first = settings(&format!("{all}\ncodes.order = 'code_first'"));
        assert_eq!(names(&first), ["code", "passkey", "app", "questions", "recovery_code"]);
        assert_eq!(names(&settings("")), ["questions"]);
    }

    #[test]
    fn what_can_let_nobody_in_or_too_many_is_refused() {
        let faults = |text: &str| {
            let faults = settings(text).faults();
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (text, told) in [
            (
                "methods.questions = false".to_owned(),
                "settings.methods.questions: false, but there is nothing",
            ),
            (
                format!("{MAIL}methods.questions = false"),
                "settings.methods.questions: false, but there is nothing",
            ),
            (
                "methods = { questions = false, passkeys = true }".to_owned(),
                "settings.methods.needed: 2 ways are needed, but only 1",
            ),
            ("methods.needed = 2".to_owned(), "settings.methods.needed: 2 ways are needed, but only 1"),
            ("methods.needed = 4".to_owned(), "settings.methods.needed: 4 is not between 1 and 3"),
            (
                format!("{MAIL}security.profile = 'internet'\nmethods.needed = 1"),
                "settings.methods.needed: 1 is too little",
            ),
        ] {
            let faults = faults(&text);
            assert!(faults.iter().any(|fault| fault.starts_with(told)), "{text}: {faults:?}");
        }
        for sound in [
            format!("{MAIL}methods.questions = false\ncodes.automatic_enrollment = true"),
            format!("{MAIL}methods = {{ questions = false, passkeys = true }}"),
            "methods = { questions = false, authenticator_app = true, recovery_codes = true }".to_owned(),
        ] {
            assert_eq!(faults(&sound), Vec::<String>::new(), "{sound}");
        }
    }
}
