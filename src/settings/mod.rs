//! The settings: what an administrator may change while the program runs. Each is declared once, in the table of its
//! tab, with kind, default, bounds and help; validation, the example file and later the panel come from there.

mod domain;
mod enroll;
mod general;
mod limits;
mod security;
mod table;

use serde::Deserialize;

pub use domain::{DomainSettings, Secret, Transport};
pub use enroll::Enroll;
pub use general::General;
pub use limits::Limits;
pub use security::Security;
pub use table::{Fault, Field};

/// All settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The General tab.
    pub general: General,
    /// The Enroll tab.
    pub enroll: Enroll,
    /// The Security tab.
    pub security: Security,
    /// The Limits tab.
    pub limits: Limits,
    /// The domains that are served; the first is the default.
    pub domain: Vec<DomainSettings>,
}

impl Settings {
    /// The tabs with their fields, for the example file and the panel.
    pub fn tabs() -> [(&'static str, &'static [Field]); 5] {
        [
            ("general", General::FIELDS),
            ("enroll", Enroll::FIELDS),
            ("security", Security::FIELDS),
            ("limits", Limits::FIELDS),
            ("domain", DomainSettings::FIELDS),
        ]
    }

    /// What is wrong with them, each with its key.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.general.check("settings.general", &mut faults);
        self.enroll.check("settings.enroll", &mut faults);
        self.security.check("settings.security", &mut faults);
        self.limits.check("settings.limits", &mut faults);
        for (index, domain) in self.domain.iter().enumerate() {
            let key = format!("settings.domain.{index}");
            domain.check(&key, &mut faults);
            domain.check_names(&key, &mut faults);
            let twin = self.domain[..index].iter().any(|other| {
                other.dns_name.eq_ignore_ascii_case(&domain.dns_name)
                    || other.netbios_name.eq_ignore_ascii_case(&domain.netbios_name)
            });
            if twin {
                faults.push(Fault::new(&key, "another domain has the same dns_name or netbios_name"));
            }
        }
        self.enroll.check_questions(&mut faults);
        self.general.check_domain_list(&self.domain, &mut faults);
        faults
    }
}
