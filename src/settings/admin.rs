//! The Admin tab: who may use the panel.

use std::{net::IpAddr, time::Duration};

use super::{form, table::tab};
use crate::domain::{account::Account, admin::Role, network::are_open_to, permission::is_sid};

tab! {
    /// The Admin tab.
    pub struct Admin {
        /// The groups of Active Directory whose members administer Regain, by their SIDs;
        /// `(Get-ADGroup Name).SID.Value` in PowerShell tells a group's. Members of nested groups count.
        administrators: Vec<String> = Vec::new(), as group, of Groups;
        /// The groups whose members help users: they see users and events, end a lockout of Regain, delete an
        /// enrollment.
        help_desk: Vec<String> = Vec::new(), as group, of Groups;
        /// The groups whose members may look, and change nothing.
        auditors: Vec<String> = Vec::new(), as group, of Groups;
        /// From where the panel can be reached: networks like `10.1.0.0/16` or `2001:db8::/32`, or single addresses. For all
        /// others there is no such page. Empty: from everywhere.
        addresses: Vec<String> = Vec::new(), as form::network;
        /// After so many minutes without a step one has to sign in again.
        idle_minutes: u32 = 10, in 1..=60;
        /// After so many hours in any case.
        longest_hours: u32 = 8, in 1..=24;
    }
}

/// A group of a domain, as an SID. Groups that every domain has under the same SID would be those of all domains, and
/// those that everybody of a domain is in are nobody's to administer with (MS-DTYP 2.4.2.4).
fn group(text: &str) -> Result<(), String> {
    let relative = text.rsplit('-').next().unwrap_or_default();
    if !is_sid(text) || !text.to_ascii_uppercase().starts_with("S-1-5-21-") || text.split('-').count() != 8 {
        Err("is not the SID of a group of a domain, for instance \"S-1-5-21-1004336348-1177238915-682003330-1105\"".into())
    } else if matches!(relative, "513" | "514" | "515") {
        Err("is a group that everybody is in".into())
    } else {
        Ok(())
    }
}

impl Admin {
    /// Whether the panel can be reached from there.
    pub fn is_open_to(&self, address: IpAddr) -> bool {
        are_open_to(&self.addresses, address)
    }

    /// What an account may do in the panel; the most of what its groups may.
    pub fn role(&self, account: &Account) -> Option<Role> {
        let is_in = |groups: &[String]| {
            let mut own = account.group_sids.iter();
            own.any(|own| groups.iter().any(|group| group.eq_ignore_ascii_case(own)))
        };
        if is_in(&self.administrators) {
            Some(Role::Administrator)
        } else if is_in(&self.help_desk) {
            Some(Role::HelpDesk)
        } else if is_in(&self.auditors) {
            Some(Role::Auditor)
        } else {
            None
        }
    }

    /// After what time without a step a session ends.
    pub const fn idle(&self) -> Duration {
        Duration::from_secs(60 * self.idle_minutes as u64)
    }

    /// The longest a session lasts.
    pub const fn longest(&self) -> Duration {
        Duration::from_secs(3600 * self.longest_hours as u64)
    }
}
