//! Tries that are counted before they are made: one turn at a time for each subject, made durable first.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use super::{Error, Services};
use crate::{
    directory::{Directory, PasswordCheck},
    domain::{
        account::Account,
        flow::Flow,
        lockout::{Allowance, Subject, Tally},
        secret::Password,
    },
    store::{self, Batch, Found, keyring::keyed_hash},
};

/// Turns: whoever holds a subject's turn is the only one who counts for it. A fixed number of them is shared by all
/// subjects, so that invented names take no memory.
pub struct Turns {
    hasher: RandomState,
    turns: Vec<Mutex<()>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { hasher: RandomState::new(), turns: (0..1024).map(|_| Mutex::new(())).collect() }
    }
}

impl Turns {
    /// Waits for a subject's turn.
    pub async fn of(&self, subject: &Subject) -> MutexGuard<'_, ()> {
        let index = usize::try_from(self.hasher.hash_one(subject) % 1024).unwrap_or(0);
        self.turns[index].lock().await
    }
}

/// Counts something, durably.
pub(super) async fn count<T>(
    services: &Services,
    subject: &Subject,
    change: impl Fn(&mut Tally) -> T,
) -> Result<T, Error> {
    Ok(count_with(services, subject, change, |batch, _| batch).await?.0)
}

/// Counts something, durably, and writes in the same batch what `with` adds to it. If a record that this stands on has
/// changed in the meantime, only the count is written; false then.
pub(super) async fn count_with<'a, T>(
    services: &'a Services,
    subject: &Subject,
    change: impl Fn(&mut Tally) -> T,
    with: impl Fn(Batch<'a>, &T) -> Batch<'a>,
) -> Result<(T, bool), Error> {
    let mut found = services.store.find::<Tally>(subject).await?;
    let mut together = true;
    loop {
        let mut tally = found.clone().map(Found::into_inner).unwrap_or_default();
        let before = tally.clone();
        let result = change(&mut tally);
        let mut batch = services.store.batch();
        if tally != before {
            batch = batch.write(subject, found.as_ref(), &tally);
        }
        if together {
            batch = with(batch, &result);
        }
        match batch.commit().await {
            Ok(()) => return Ok((result, together)),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let now = services.store.find::<Tally>(subject).await?;
        together = together && now != found;
        found = now;
    }
}

/// The mark of something typed in a flow, by which the same wrong one is known again. It tells nothing without the key.
pub(super) fn mark(services: &Services, flow: &Flow, what: &[u8], typed: &[u8]) -> [u8; 8] {
    let hash = keyed_hash(&services.keys.marks, &[&flow.nonce, what, typed]);
    let mut mark = [0; 8];
    mark.copy_from_slice(&hash[..8]);
    mark
}

/// Spends one of the tries that may be made at an account's password through Regain. What comes back is also
/// false when none is left: the caller must then answer exactly as if the password were wrong.
async fn may_try_password(
    services: &Services,
    subject: &Subject,
    account: Option<&Account>,
) -> Result<bool, Error> {
    let threshold = account.map_or(5, |account| account.policy.lockout_threshold);
    let now = services.now();
    let allowance = count(services, subject, |tally| tally.spend_password(account, threshold, now)).await?;
    if allowance != Allowance::Granted {
        tracing::info!(subject = ?subject, "no password is tried: two tries are left until the directory's lockout");
    }
    Ok(allowance == Allowance::Granted)
}

/// Tries a password. Whoever calls holds the subject's turn, so that parallel tries are counted one after the other.
/// For a name without an account all is done but the asking. `None` if the password was not tried; else the account as
/// it was at that moment, and what the directory said.
pub(super) async fn try_password(
    services: &Services,
    directory: &dyn Directory,
    (subject, _turn): (&Subject, &MutexGuard<'_, ()>),
    account: Option<&Account>,
    password: &Password,
) -> Result<Option<(Account, PasswordCheck)>, Error> {
    // Read again inside the turn: tries made while waiting for it have counted.
    let account = match account {
        Some(account) => directory.load(account.key.guid).await?,
        None => None,
    };
    let granted = may_try_password(services, subject, account.as_ref()).await?;
    let (Some(account), true) = (account, granted) else { return Ok(None) };
    let check = directory.verify_password(&account, password).await;
    match &check {
        Ok(PasswordCheck::LockedOut) => count(services, subject, Tally::refund_password).await?,
        // Without an answer it is not known whether it was counted over there: it stays counted here.
        Ok(PasswordCheck::Wrong) | Err(_) => {}
        Ok(_) => count(services, subject, Tally::forgive_passwords).await?,
    }
    Ok(Some((account, check?)))
}
