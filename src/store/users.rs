//! People who enrolled, as the console lists them.

use super::{Error, Store};
use crate::domain::{
    account::{AccountKey, DomainName, ObjectGuid},
    enrollment::Enrollment,
    filter::{Found, Page, Row as _, Search},
    lockout::{Subject, Tally},
    user::{User, UserColumn},
};

const PAGE: usize = 500;

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
        let tally = self.find::<Tally>(&Subject::Known(account.clone())).await?;
        Ok(Some(User {
            account: account.clone(),
            name: enrollment.account_name.clone(),
            email: enrollment.email.as_ref().map(|email| email.as_str().to_owned()),
            is_automatic: enrollment.automatic,
            locked_at: tally.and_then(|tally| tally.locked_at),
            enrolled_at: enrollment.enrolled_at,
            reset_at: enrollment.reset_at,
            unlocked_at: enrollment.unlocked_at,
            changed_at: enrollment.changed_at,
        }))
    }

    /// A page of those who enrolled. `progress` is told how many of how many were looked at.
    pub async fn search_users(
        &self,
        search: &Search<UserColumn>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Found<User>, Error> {
        let mut page = Page::of(search);
        let (mut after, mut seen, mut matches) = (None, 0, 0);
        loop {
            let rows = self.page::<Enrollment>(after, PAGE).await?;
            let Some((last, _)) = rows.last() else { return Ok(page.finish(Some(matches))) };
            after = Some(last.clone());
            for (key, _) in &rows {
                let account =
                    account_of(key).ok_or_else(|| Error::Damaged("a key of an enrollment".into()))?;
                let Some(user) = self.find_user(&account).await? else { continue };
                if search.filter.passes(&mut |column, test| user.cell(column).passes(test)) {
                    matches += 1;
                    page.offer(user.cell(search.by).for_order(), user.identity(), || {
                        Ok::<_, Error>(user.clone())
                    })?;
                }
            }
            seen += rows.len() as u64;
            progress(seen, seen);
        }
    }
}
