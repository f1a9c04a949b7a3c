//! All that is known of one person, on one page: for helpers. What they could be impersonated with is not in it.

use std::time::Duration;

use super::{
    Error, Services,
    manage_users::{self, User},
};
use crate::{
    domain::{
        account::{Account, AccountKey},
        enrollment::Enrollment,
        flow::Factor,
        lockout::{Subject, Tally},
    },
    store::Found,
};

/// So long the directory may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// What is known of someone.
#[derive(Debug)]
pub struct Story {
    /// How they stand with Regain.
    pub user: User,
    /// The ways of proving themselves that they set up, and how many there are of each.
    pub ways: Vec<(Factor, usize)>,
    /// Whether the address given to Regain was confirmed.
    pub is_email_confirmed: bool,
    /// What is counted against them.
    pub tally: Tally,
    /// What the directory says.
    pub directory: InDirectory,
}

/// What the directory says of someone.
#[derive(Debug)]
pub enum InDirectory {
    /// The domain is not served any more.
    NotServed,
    /// It doesn't answer.
    Silent,
    /// There is no such account.
    Gone,
    /// This.
    There(Box<Account>),
}

/// The story of an account; `None` if nothing is known of it anywhere.
pub async fn tell(services: &Services, key: &AccountKey) -> Result<Option<Story>, Error> {
    let directory = look(services, key).await;
    let name = match &directory {
        InDirectory::There(account) => Some(account.sam_account_name.as_str()),
        _ => None,
    };
    let Some(user) = manage_users::find(services, key, name).await? else { return Ok(None) };
    let enrollment = services.store.find::<Enrollment>(key).await?.map(Found::into_inner);
    let tally = services.store.find::<Tally>(&Subject::Known(key.clone())).await?;
    Ok(Some(Story {
        user,
        ways: enrollment.as_ref().map(ways).unwrap_or_default(),
        is_email_confirmed: enrollment.is_some_and(|enrollment| enrollment.email_confirmed),
        tally: tally.map(Found::into_inner).unwrap_or_default(),
        directory,
    }))
}

async fn look(services: &Services, key: &AccountKey) -> InDirectory {
    let Ok(directory) = services.directory(&key.domain) else { return InDirectory::NotServed };
    match tokio::time::timeout(PATIENCE, directory.load(key.guid)).await {
        Ok(Ok(Some(account))) => InDirectory::There(Box::new(account)),
        Ok(Ok(None)) => InDirectory::Gone,
        Ok(Err(error)) => {
            tracing::warn!(%error, account = %key.guid, "an account can't be looked up");
            InDirectory::Silent
        }
        Err(_) => InDirectory::Silent,
    }
}

fn ways(enrollment: &Enrollment) -> Vec<(Factor, usize)> {
    let codes = enrollment.recovery_codes.as_ref().map_or(0, |codes| codes.left.len());
    let all = [
        (Factor::Questions, enrollment.questions.len()),
        (Factor::App, usize::from(enrollment.app.is_some())),
        (Factor::Passkey, enrollment.passkeys.len()),
        (Factor::RecoveryCode, codes),
    ];
    all.into_iter().filter(|(factor, _)| enrollment.has_chosen(*factor)).collect()
}
