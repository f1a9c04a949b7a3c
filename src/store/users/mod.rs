//! People who enrolled, as the console lists them.
//!
//! It must not know what they are listed for.

mod block;
mod index;
mod search;

use super::{Error, Store};
use crate::domain::{
    account::{AccountKey, DomainName, ObjectGuid},
    enrollment::Enrollment,
    lockout::{Subject, Tally},
    user::User,
};
pub use index::Index;
pub(super) use index::mark_of;

/// Whose enrollment is kept under that key.
pub fn account_of(key: &[u8]) -> Option<AccountKey> {
    let rest = key.get(2..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let domain = DomainName::new(std::str::from_utf8(&rest[..end]).ok()?);
    Some(AccountKey { domain, guid: ObjectGuid::from_bytes(rest[end + 1..].try_into().ok()?) })
}

impl Store {
    /// Someone who enrolled.
    pub async fn find_user(&self, account: &AccountKey) -> Result<Option<User>, Error> {
        let Some(enrollment) = self.find::<Enrollment>(account).await? else { return Ok(None) };
        Ok(Some(self.user_of(account.clone(), &enrollment).await?))
    }

    async fn user_of(&self, account: AccountKey, enrollment: &Enrollment) -> Result<User, Error> {
        let tally = self.find::<Tally>(&Subject::Known(account.clone())).await?;
        Ok(User {
            account,
            name: enrollment.account_name.clone(),
            email: enrollment.email.as_ref().map(|email| email.as_str().to_owned()),
            is_automatic: enrollment.automatic,
            locked_at: tally.and_then(|tally| tally.locked_at),
            enrolled_at: enrollment.enrolled_at,
            reset_at: enrollment.reset_at,
            unlocked_at: enrollment.unlocked_at,
            changed_at: enrollment.changed_at,
        })
    }
}

#[cfg(test)]
mod tests;
