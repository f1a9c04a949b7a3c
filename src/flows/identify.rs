//! The first page: who is it. It answers the same for every name.

use super::{Error, Next, Services, Visitor, attempt, random};
use crate::{
    domain::{
        account::{DomainName, LogonName},
        enrollment::{Enrollment, Question},
        flow::{Asked, Flow, Kind, Questions, Step},
        lockout::{Allowance, Tally},
        refusal::Refusal,
    },
    store::{self, keyring::keyed_hash},
};

/// A name as typed and understood.
#[derive(Debug, Clone)]
pub struct Identified {
    /// As typed.
    pub typed: String,
    /// The domain it is to be looked for in.
    pub domain: DomainName,
    /// What to look for.
    pub name: LogonName,
}

/// Begins a reset or an unlock: finds the account, if there is one, and asks the first question, in any case.
pub async fn begin_proof(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    who: Identified,
) -> Result<Next, Error> {
    let settings = services.settings.load_full();
    let account = services.directory(&who.domain)?.find(&who.name).await?;
    let subject = services.subject_of(account.as_ref(), &who.domain, &who.name.canonical());
    let now = services.now();

    let turn = services.turns.of(&subject).await;
    let limit = settings.limits.starts_per_account_per_hour;
    let allowance = attempt::count(services, &subject, |tally| tally.spend_start(limit, now)).await?;
    drop(turn);
    if let Allowance::Wait(wait) = allowance {
        return Err(Error::Refused(Refusal::RateLimited { seconds: wait.as_secs() }));
    }
    let enrollment = match &account {
        Some(account) => services.store.find::<Enrollment>(&account.key).await?,
        None => None,
    };
    if settings.security.friendly_messages && enrollment.is_none() {
        return Err(Error::Refused(Refusal::EnrollmentMissing));
    }
    let tally = services.store.find::<Tally>(&subject).await?;
    if tally.is_some_and(|tally| tally.is_locked(settings.security.wrong_answers_until_lockout)) {
        return Err(Error::Refused(Refusal::RegainLockout));
    }
    let first = enrollment.as_ref().and_then(|enrollment| enrollment.questions.first());
    let (question, asked) = match (account, &enrollment, first) {
        (Some(account), Some(enrollment), Some(first)) => {
            let asked =
                Asked::Enrolled { account: account.key, enrolled_at: enrollment.enrolled_at, index: 0 };
            (first.question.clone(), asked)
        }
        _ => (decoy(services, &who), Asked::Decoy),
    };
    let total = settings.enroll.questions as usize;
    let step = Step::Question(Questions { subject, question, total, asked, tried: Vec::new() });
    start(services, visitor, kind, who, step).await
}

/// Begins a change: nothing is looked up before both passwords are there.
pub async fn begin_change(services: &Services, visitor: &Visitor, who: Identified) -> Result<Next, Error> {
    start(services, visitor, Kind::Change, who, Step::Credentials).await
}

async fn start(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    who: Identified,
    step: Step,
) -> Result<Next, Error> {
    let now = services.now();
    let flow = Flow {
        nonce: random()?,
        started_at: now,
        touched_at: now,
        username: who.typed,
        domain: who.domain,
        step,
    };
    let key = visitor.key(kind);
    let before = services.store.find::<Flow>(&key).await?;
    // A write that is not settled is not forgotten because someone begins anew.
    if before.as_ref().is_some_and(|before| matches!(before.step, Step::Writing(_))) {
        return Ok(Next::Moved(None));
    }
    match services.store.batch().write(&key, before.as_ref(), &flow).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// The question for a name that has none: always the same for the same name, drawn from the default language's list,
/// as real ones mostly are. It hangs on the name as typed, not on an account, which there may or may not be.
fn decoy(services: &Services, who: &Identified) -> Question {
    let settings = services.settings.load();
    let list = settings.enroll.questions_in(&settings.general.language);
    let (domain, name) = (who.domain.as_str(), who.name.canonical());
    Question::decoy(list, |text| {
        keyed_hash(&services.keys.decoys, &[b"question", domain.as_bytes(), name.as_bytes(), text.as_bytes()])
    })
}
