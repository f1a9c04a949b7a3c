//! The settings: what an administrator may change while the program runs. Each is declared once, in the table of its
//! tab, with kind, default, bounds and help; validation, the example file and later the panel come from there.

mod acme;
mod admin;
mod alerts;
mod api;
mod appearance;
mod audit;
mod backup;
mod codes;
mod domain;
mod enroll;
pub(crate) mod form;
mod general;
pub mod layers;
mod limits;
mod mail;
mod methods;
pub(crate) mod names;
mod password_rules;
mod permissions;
mod reminders;
mod security;
mod sms;
pub(crate) mod table;

pub use acme::{Acme, AcmeChallenge};
pub use admin::Admin;
pub use alerts::{Alert, Alerts, FailureAlert, Personal};
pub use api::Api;
pub use appearance::Appearance;
pub use audit::{Audit, SyslogTransport};
pub use backup::Backup;
pub use codes::{Addresses, Characters, Codes, Order};
pub use domain::{DomainSettings, Transport};
pub use enroll::Enroll;
pub use general::General;
pub use limits::Limits;
pub use mail::{MailDelivery, MailSecurity, MailSettings};
pub use methods::Methods;
pub use password_rules::{PasswordRules, add_all as add_password_rules};
pub use permissions::{Audience, Permission, Permissions};
pub use reminders::Reminders;
pub use security::{Profile, Security};
pub use sms::{SmsDelivery, SmsMethod, SmsSettings};
pub use table::{Fault, Field, Form, Kind, Of, Secret, Shape, Tab};

table::tab! {
    /// All settings.
    pub struct Settings {
        /// The General tab.
        general: General = General::default();
        /// The Appearance tab.
        appearance: Appearance = Appearance::default();
        /// The Enroll tab.
        enroll: Enroll = Enroll::default();
        /// The Security tab.
        security: Security = Security::default();
        /// The Methods tab.
        methods: Methods = Methods::default();
        /// The Codes tab.
        codes: Codes = Codes::default();
        /// The ACME tab.
        acme: Acme = Acme::default();
        /// The Permissions tab.
        permissions: Permissions = Permissions::default();
        /// The Admin tab.
        admin: Admin = Admin::default();
        /// The Audit tab.
        audit: Audit = Audit::default();
        /// The Backup tab.
        backup: Backup = Backup::default();
        /// The API tab.
        api: Api = Api::default();
        /// The Limits tab.
        limits: Limits = Limits::default();
        /// The Alerts tab.
        alerts: Alerts = Alerts::default();
        /// The Reminders tab.
        reminders: Reminders = Reminders::default();
        /// The Mail tab.
        mail: MailSettings = MailSettings::default();
        /// The SMS tab.
        sms: SmsSettings = SmsSettings::default();
        /// Rules for new passwords on top of the directory's, set by set.
        password_rules: Vec<PasswordRules> = Vec::new();
        /// The domains that are served; the first is the default.
        domain: Vec<DomainSettings> = Vec::new();
    }
}

impl Settings {
    /// What comes first at a reset or unlock, where codes are on.
    pub fn order(&self) -> Order {
        self.codes.order.unwrap_or(match self.security.profile {
            Profile::Inside => Order::QuestionsFirst,
            Profile::Internet => Order::CodeFirst,
        })
    }

    /// What is wrong with them, each with its key. That there are no domains is not: the demo brings its own.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        table::sift(Self::FIELDS, &mut self.values(), "settings", &mut faults);
        self.enroll.check_questions(&mut faults);
        self.security.check_cost(&mut faults);
        self.mail.check_needs(&mut faults);
        self.sms.check_needs(&mut faults);
        self.audit.check_needs(&mut faults);
        self.acme.check_needs(&mut faults);
        self.security.check_profile(&self.codes, &mut faults);
        self.codes.check_channels(&mut faults);
        self.check_methods(&mut faults);
        self.permissions.check_groups(&mut faults);
        if self.codes.by_mail && self.mail.delivery == MailDelivery::None {
            let text = "true, but no mail is delivered: set delivery in [settings.mail]";
            faults.push(Fault::new("settings.codes.by_mail", text));
        }
        if self.codes.by_sms && self.sms.delivery == SmsDelivery::None {
            let text = "true, but no text message is delivered: set delivery in [settings.sms]";
            faults.push(Fault::new("settings.codes.by_sms", text));
        }
        for (index, set) in self.password_rules.iter().enumerate() {
            let key = format!("settings.password_rules.{index}");
            set.check_needs(&key, self.security.breached_passwords_file.as_ref(), &mut faults);
        }
        self.general.check_domain_list(&self.domain, &mut faults);
        self.general.check_menu(&mut faults);
        for (index, domain) in self.domain.iter().enumerate() {
            let key = format!("settings.domain.{index}");
            domain.check_needs(&key, &mut faults);
            if self.domain[..index].iter().any(|other| domain.is_twin_of(other)) {
                faults.push(Fault::new(&key, "another domain has the same dns_name or netbios_name"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        toml::from_str::<Settings>(text).unwrap().faults().iter().map(ToString::to_string).collect()
    }

    const CORP: &str = "[[domain]]\ndns_name = 'corp.example'\nnetbios_name = 'CORP'\nservice_account = 's'\n\
                        service_password = 'p'\n";

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(faults(""), Vec::<String>::new());
        let settings = Settings::default();
        for language in ["en", "de"] {
            assert!(settings.enroll.question_list[language].len() >= 12);
        }
    }

    #[test]
    fn each_rule_names_its_key() {
        for (text, told) in [
            (
                "[security]\nidle_timeout_seconds = 1801",
                "settings.security.idle_timeout_seconds: 1801 is not",
            ),
            (
                "[security]\nhash_memory_kib = 7168",
                "settings.security.hash_memory_kib: 7168 with 2 passes is too",
            ),
            ("[enroll]\nown_questions = 4", "settings.enroll.own_questions: 4 is more than the 3"),
            ("[enroll]\nquestion_list = {}", "settings.enroll.question_list: needs the questions of one"),
            ("[enroll.question_list]\nen = ['a', 'b']", "settings.enroll.question_list.en: needs at least 3"),
            (
                "[enroll.question_list]\nen = ['a', 'b', 'A ']",
                "settings.enroll.question_list.en: has a question twice",
            ),
            (
                "[enroll.question_list]\nen = ['a', 'b', '']",
                "settings.enroll.question_list.en: has a question that",
            ),
            (
                "[enroll.question_list]\nenglish = ['a', 'b', 'c']",
                "settings.enroll.question_list.english: \"english\"",
            ),
            ("[security]\nprofile = 'internet'", "settings.security.profile: \"internet\" needs codes"),
            ("[codes]\nautomatic_enrollment = true", "settings.codes.automatic_enrollment: needs codes"),
            ("[codes]\nlength = 3", "settings.codes.length: 3 is not between 4 and 12"),
            (
                "[general]\nshow_enroll = false\nshow_reset = false\nshow_unlock = false\nshow_change = false",
                "settings.general.show_reset: false, but then the menu is empty",
            ),
            (
                "[appearance]\naccent = '#ffcc00'",
                "settings.appearance.accent: \"#ffcc00\" has a contrast of 1.34:1",
            ),
            ("[appearance]\nlogo = 'x'", "settings.appearance.logo: \"x\" is neither the text of an SVG nor"),
            ("[general]\nproduct_name = ''", "settings.general.product_name: \"\" must not be empty"),
            ("[general]\ndomain_list = ['LAB']", "settings.general.domain_list: \"LAB\" is not one of"),
        ] {
            let faults = faults(text);
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{text}: {faults:?}");
        }
        assert!(faults("[enroll]\nown_questions = 2\nquestion_list.en = ['a']").is_empty());
    }

    #[test]
    fn each_way_to_send_needs_its_settings() {
        for (text, told) in [
            ("[mail]\ndelivery = 'smtp'\nsender = 'a@b.example'", "settings.mail.host: is needed"),
            ("[mail]\ndelivery = 'smtp'\nhost = 'mx'", "settings.mail.sender: is needed"),
            ("[mail]\ndelivery = 'folder'\nsender = 'a@b.example'", "settings.mail.folder: is needed"),
            (
                "[mail]\nsender = 'Regain <a@b.example>'",
                "settings.mail.sender: \"Regain <a@b.example>\" is not",
            ),
            ("[mail]\nhost = 'mx:25'", "settings.mail.host: \"mx:25\" is not"),
            ("[mail]\nport = 65536", "settings.mail.port: 65536 is not"),
            ("[sms]\ndelivery = 'command'", "settings.sms.program: is needed"),
            ("[sms]\nprogram = 'send-sms'", "settings.sms.program: \"send-sms\" is not"),
            ("[sms]\ndelivery = 'http'", "settings.sms.url: is needed"),
            (
                "[sms]\nurl = 'http://sms.example/send'",
                "settings.sms.url: \"http://sms.example/send\" is not",
            ),
            ("[sms]\nheaders = ['Host: x']", "settings.sms.headers: \"Host: x\" is not"),
            ("[sms]\nexpected_status_to = 199", "settings.sms.expected_status_to: is less"),
        ] {
            let faults = faults(text);
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_login_takes_user_password_and_a_safe_way_to_the_server() {
        let smtp = "[mail]\ndelivery = 'smtp'\nsender = 'a@b.example'\n";
        let login = "user = 'u'\npassword = 'hunter2'\n";
        assert!(faults(&format!("{smtp}host = 'mx'\n{login}")).is_empty());
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            assert!(
                faults(&format!("{smtp}host = '{host}'\nsecurity = 'none'\n{login}")).is_empty(),
                "{host}"
            );
        }
        for (more, told) in [
            ("user = 'u'", "settings.mail.password: is needed"),
            ("password = 'hunter2'", "settings.mail.user: is needed"),
            (
                "security = 'none'\nuser = 'u'\npassword = 'hunter2'",
                "settings.mail.security: \"none\" would send",
            ),
        ] {
            let faults = faults(&format!("{smtp}host = 'mx.example'\n{more}"));
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{more}: {faults:?}");
            assert!(!faults[0].contains("hunter2"));
        }
        let bad = faults("sms.http_authorization = \"Bearer hunter2\\r\\nX: y\"");
        assert!(bad.len() == 1 && !bad[0].contains("hunter2"), "{bad:?}");
        let bad = faults("sms.headers = ['authorization: Bearer hunter2']");
        assert!(bad.len() == 1 && !bad[0].contains("hunter2"), "{bad:?}");
    }

    #[test]
    fn codes_need_a_way_to_go_out() {
        let faults = faults("codes = { by_mail = true, by_sms = true }");
        for (fault, key) in faults.iter().zip(["by_mail", "by_sms"]) {
            assert!(fault.starts_with(&format!("settings.codes.{key}: true, but no")), "{fault}");
        }
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn the_profile_orders_code_and_questions_unless_the_order_is_set() {
        for (text, order) in [
            ("", Order::QuestionsFirst),
            ("security.profile = 'internet'", Order::CodeFirst),
            ("codes.order = 'code_first'", Order::CodeFirst),
            ("codes.order = 'questions_first'\nsecurity.profile = 'internet'", Order::QuestionsFirst),
        ] {
            let settings: Settings = toml::from_str(text).unwrap();
            assert_eq!(settings.order(), order, "{text}");
        }
        assert!(
            faults(
                "codes.by_sms = true\ncodes.automatic_enrollment = true\nsecurity.profile = 'internet'\n\
                 sms.delivery = 'command'\nsms.program = '/bin/true'"
            )
            .is_empty()
        );
    }

    #[test]
    fn a_domain_needs_names_and_a_service_account_and_is_there_once() {
        assert!(faults(CORP).is_empty());
        assert!(faults(&format!("general.domain_list = ['corp', 'Corp.Example']\n{CORP}")).is_empty());
        let needed = faults("[[domain]]");
        for key in ["dns_name", "netbios_name", "service_account", "service_password"] {
            assert!(
                needed.iter().any(|fault| fault.starts_with(&format!("settings.domain.0.{key}: is needed")))
            );
        }
        let twin =
            faults(&format!("{CORP}{}", CORP.replace("corp.example", "lab.example").replace("CORP", "corp")));
        assert_eq!(twin, ["settings.domain.1: another domain has the same dns_name or netbios_name"]);
    }
}
