//! The Permissions tab: who may do what.

use super::{
    Fault,
    table::{choice, tab},
};
use crate::domain::{
    flow::Kind,
    permission::{Rule, is_sid},
};

choice! {
    /// Who may do a thing.
    pub enum Audience {
        /// Everyone.
        Everyone = "everyone",
        /// Only members of the groups.
        Members = "members",
        /// Everyone but members of the groups.
        Others = "others",
    }
}

tab! {
    /// Who may do a thing.
    pub struct Permission {
        /// "everyone", "members" of the groups only, or "others": everyone but the members of the groups.
        audience: Audience = Audience::Everyone;
        /// The groups of Active Directory, by their SIDs, such as "S-1-5-21-1004336348-1177238915-682003330-1109";
        /// `(Get-ADGroup Staff).SID.Value` in PowerShell tells a group's. Members of nested groups count, and those
        /// whose primary group it is.
        groups: Vec<String> = Vec::new(), as sid, of Groups;
    }
}

tab! {
    /// The Permissions tab. Whoever may not is told so only after proving who they are. Administrators, disabled and
    /// expired accounts, computers and the service account may nothing in any case.
    pub struct Permissions {
        /// Who may enroll, and look after their ways of proving who they are.
        enroll: Permission = Permission::default();
        /// Who may reset a password.
        reset: Permission = Permission::default();
        /// Who may unlock an account.
        unlock: Permission = Permission::default();
        /// Who may change a password.
        change: Permission = Permission::default();
    }
}

impl Permissions {
    fn of(&self, kind: Kind) -> &Permission {
        match kind {
            Kind::Enroll => &self.enroll,
            Kind::Reset => &self.reset,
            Kind::Unlock => &self.unlock,
            Kind::Change => &self.change,
        }
    }

    /// Who may do that.
    pub fn rule(&self, kind: Kind) -> Rule<'_> {
        let permission = self.of(kind);
        match permission.audience {
            Audience::Everyone => Rule::Everyone,
            Audience::Members => Rule::Members(&permission.groups),
            Audience::Others => Rule::Others(&permission.groups),
        }
    }

    pub(super) fn check_groups(&self, faults: &mut Vec<Fault>) {
        for kind in Kind::ALL {
            let permission = self.of(kind);
            if permission.audience != Audience::Everyone && permission.groups.is_empty() {
                let text = "needs groups: with \"members\" nobody would be left, with \"others\" everybody";
                faults.push(Fault::new(&format!("settings.permissions.{kind}.audience"), text));
            }
        }
    }
}

pub(super) fn sid(text: &str) -> Result<(), String> {
    if is_sid(text) { Ok(()) } else { Err("is not the SID of a group, such as S-1-5-21-1-2-3-1109".into()) }
}
