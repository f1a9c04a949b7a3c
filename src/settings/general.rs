//! The General tab: names, languages, which pages there are.

use super::{DomainSettings, Fault, form, table::tab};

tab! {
    /// The General tab.
    pub struct General {
        /// The product's name on every page.
        product_name: String = "Regain".into(), as form::name;
        /// The language of visitors whose browser asks for none that there is, and of the questions that are shown
        /// for unknown names.
        language: String = "en".into(), as form::language;
        /// A line on every page that says how to reach the help desk, for instance
        /// "Help desk: 4444, weekdays 8 to 18".
        help_desk: String = String::new();
        /// A line at the foot of every page.
        footer: String = String::new();
        /// How many minutes of the help desk a reset or unlock saves; for the figures of the panel.
        minutes_per_call: u32 = 10, in 1..=240;
        /// Which domains the pages offer, by NetBIOS or DNS name; the first is the default. Not set: all, in the
        /// order in which they were set up. An empty list: a text box instead. With only one domain nobody is asked.
        domain_list: Option<Vec<String>> = None;
        /// Whether Enroll is offered.
        show_enroll: bool = true;
        /// Whether Reset is offered.
        show_reset: bool = true;
        /// Whether Unlock is offered.
        show_unlock: bool = true;
        /// Whether Change is offered.
        show_change: bool = true;
    }
}

impl General {
    /// A menu with nothing in it leads nowhere.
    pub(super) fn check_menu(&self, faults: &mut Vec<Fault>) {
        if !(self.show_enroll || self.show_reset || self.show_unlock || self.show_change) {
            let text =
                "false, but then the menu is empty: show at least one of Enroll, Reset, Unlock, Change";
            faults.push(Fault::new("settings.general.show_reset", text));
        }
    }

    pub(super) fn check_domain_list(&self, domains: &[DomainSettings], faults: &mut Vec<Fault>) {
        for name in self.domain_list.iter().flatten() {
            if !domains.iter().any(|domain| domain.is_called(name)) {
                let text = format!("\"{name}\" is not one of the domains of [[settings.domain]]");
                faults.push(Fault::new("settings.general.domain_list", text));
            }
        }
    }
}
