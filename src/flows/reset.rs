//! The last step of a reset: the new password.

use std::time::Duration;

use super::{
    Error, Next, Services, Visitor, new_password, note,
    prove::{self, Reset, Verified},
    require_permitted, write,
};
use crate::{
    directory::ResetOptions,
    domain::{
        account::Account,
        audit::Outcome,
        enrollment::Enrollment,
        flow::{Ending, Flow, Kind, Step, Write},
        lockout::{Subject, Tally},
        refusal::Refusal,
        secret::Password,
    },
    store::Found,
};

const DAY: u64 = 24 * 60 * 60;

/// Refuses a reset that comes too soon after the last one, by the setting or, if the directory's rules are to hold
/// at a reset, by its minimum age.
pub(super) fn require_due(
    services: &Services,
    enrollment: Option<&Enrollment>,
    account: &Account,
) -> Result<(), Refusal> {
    let settings = services.settings.load();
    let now = services.now();
    let between = Duration::from_secs(u64::from(settings.security.minimum_days_between_resets) * DAY);
    let reset_at = enrollment.and_then(|enrollment| enrollment.reset_at);
    let ours = reset_at.map_or(Duration::ZERO, |last| between.saturating_sub(now.since(last)));
    let theirs =
        if settings.security.enforce_history && account.enforces_history && account.password_last_set > 0 {
            let set_at = crate::domain::clock::Timestamp::from_filetime(account.password_last_set);
            account.policy.minimum_age.saturating_sub(now.since(set_at))
        } else {
            Duration::ZERO
        };
    let left = ours.max(theirs);
    if left.is_zero() {
        return Ok(());
    }
    Err(Refusal::ResetTooSoon { days: u32::try_from(left.as_secs().div_ceil(DAY)).unwrap_or(u32::MAX) })
}

/// Sets the new password of the account that the flow has proved.
pub async fn finish(
    services: &Services,
    visitor: &Visitor,
    flow: Found<Flow>,
    new: Password,
) -> Result<Next, Error> {
    let Some(proof) = Verified::<Reset>::of(&flow) else { return Ok(Next::Moved(None)) };
    set_password(services, visitor, &flow, proof, new).await
}

/// A proof is as good as the enrollment it was made against: enrolling again, changing one's ways of proving, another
/// reset or a Regain lockout since then ends it, in whatever browser it was made; so does switching off what it was
/// proved with.
async fn require_current(services: &Services, flow: &Flow, proof: &Verified<Reset>) -> Result<(), Error> {
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    let subject = Subject::Known(proof.account().clone());
    if services.store.find::<Tally>(&subject).await?.is_some_and(|tally| tally.is_locked(limit)) {
        return Err(Error::Refused(Refusal::RegainLockout));
    }
    let current = services.store.find::<Enrollment>(proof.account()).await?.is_some_and(|enrollment| {
        prove::is_current(&services.settings.load(), flow, &enrollment)
            && enrollment.reset_at.is_none_or(|reset_at| reset_at <= proof.proved_at())
    });
    if current { Ok(()) } else { Err(Error::Refused(Refusal::SessionExpired)) }
}

async fn set_password(
    services: &Services,
    visitor: &Visitor,
    flow: &Found<Flow>,
    proof: Verified<Reset>,
    new: Password,
) -> Result<Next, Error> {
    let key = proof.account().clone();
    let directory = services.directory(&key.domain)?;
    let Some(account) = directory.load(key.guid).await? else {
        return Err(Error::Refused(Refusal::AccountNotServed));
    };
    require_permitted(services, Kind::Reset, &account).map_err(Error::Refused)?;
    let rules = new_password::rules(services, &account, Kind::Reset);
    let problems = new_password::problems(services, &rules, &new, None).await?;
    if !problems.is_empty() {
        let failure =
            write::audit(services, visitor, Kind::Reset, Outcome::Failure, &account, problems.code());
        note(services, failure, visitor.language.as_deref()).await;
        return Ok(Next::Wrong(problems, None));
    }
    let settings = services.settings.load_full();
    require_current(services, flow, &proof).await?;
    let options = ResetOptions {
        must_change_at_logon: settings.security.must_change_after_reset && !account.password_never_expires,
        enforce_history: settings.security.enforce_history,
    };
    let what = Write::Reset {
        before: account.password_last_set,
        proved_at: proof.proved_at(),
        must_change: options.must_change_at_logon,
    };
    let intended = write::intend(services, (visitor, visitor), Kind::Reset, flow, &account, what).await?;
    let Some(writing) = intended else { return Ok(Next::Moved(None)) };
    let result = directory.reset_password(&account, &new, options).await;
    let ending = Ending::Reset { must_change: options.must_change_at_logon };
    let back = Step::NewPassword { account: key, proved_at: proof.proved_at() };
    write::conclude(services, visitor, Kind::Reset, &writing, &account, (ending, Some(back)), result).await
}
