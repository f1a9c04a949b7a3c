//! Which accounts are served at all.

use super::{
    account::{Account, AccountKind},
    refusal::Refusal,
};

/// Refuses privileged accounts, machines, Regain's own account, disabled and expired accounts, whatever the
/// directory's own rights say (Samba, for one, lets a delegated account reset an administrator).
pub fn require_served(account: &Account) -> Result<(), Refusal> {
    if account.kind != AccountKind::Person {
        Err(Refusal::AccountNotServed)
    } else if account.privileged {
        Err(Refusal::AccountPrivileged)
    } else if account.disabled {
        Err(Refusal::AccountDisabled)
    } else if account.expired {
        Err(Refusal::AccountExpired)
    } else {
        Ok(())
    }
}
