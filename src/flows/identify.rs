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
    store::{self, Batch, Found, SessionKey, keyring::keyed_hash},
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

    let enrollment = match &account {
        Some(account) => services.store.find::<Enrollment>(&account.key).await?,
        None => None,
    };
    let (question, asked) = match (account, &enrollment) {
        (Some(account), Some(enrollment)) if !enrollment.questions.is_empty() => {
            let asked =
                Asked::Enrolled { account: account.key, enrolled_at: enrollment.enrolled_at, index: 0 };
            (enrollment.questions[0].question.clone(), asked)
        }
        _ => (decoy(services, &who), Asked::Decoy),
    };
    let total = settings.enroll.questions as usize;
    let step =
        Step::Question(Questions { subject: subject.clone(), question, total, asked, tried: Vec::new() });
    let begun = Begun::at(services, visitor, kind, who, step).await?;

    let now = services.now();
    let limit = settings.limits.starts_per_account_per_hour;
    let lockout = settings.security.wrong_answers_until_lockout;
    let no_enrollment = settings.security.friendly_messages && enrollment.is_none();
    // The start is counted in any case, in the batch that begins the flow, if one begins.
    let judge = |tally: &mut Tally| match tally.spend_start(limit, now) {
        Allowance::Wait(wait) => Some(Refusal::RateLimited { seconds: wait.as_secs() }),
        _ if no_enrollment => Some(Refusal::EnrollmentMissing),
        _ if tally.is_locked(lockout) => Some(Refusal::RegainLockout),
        _ => None,
    };
    let _turn = services.turns.of(&subject).await;
    let (refusal, _) = attempt::count_with(services, &subject, judge, |batch, refusal| match refusal {
        None => begun.written(batch),
        Some(_) => batch,
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}

/// Begins a change: nothing is looked up before both passwords are there.
pub async fn begin_change(services: &Services, visitor: &Visitor, who: Identified) -> Result<Next, Error> {
    let begun = Begun::at(services, visitor, Kind::Change, who, Step::Credentials).await?;
    match begun.written(services.store.batch()).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// A flow that is to begin, in the place of the visitor's earlier one.
struct Begun {
    key: SessionKey,
    before: Option<Found<Flow>>,
    flow: Flow,
}

impl Begun {
    async fn at(
        services: &Services,
        visitor: &Visitor,
        kind: Kind,
        who: Identified,
        step: Step,
    ) -> Result<Self, Error> {
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
        Ok(Self { before: services.store.find::<Flow>(&key).await?, key, flow })
    }

    fn written<'a>(&self, batch: Batch<'a>) -> Batch<'a> {
        // A write that is not settled is not forgotten because someone begins anew.
        if self.before.as_ref().is_some_and(|before| matches!(before.step, Step::Writing(_))) {
            return batch;
        }
        batch.write(&self.key, self.before.as_ref(), &self.flow)
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
