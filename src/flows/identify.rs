//! The first page: who is it. It answers the same for every name.

use super::{
    Error, Next, Services, Visitor, attempt, code,
    dispatch::{Dispatch, Occasion},
    held,
    prove::{self, Way},
    random,
};
use crate::{
    domain::{
        account::{Account, DomainName, LogonName},
        enrollment::{Enrollment, Question},
        flow::{Asked, Factor, Flow, Kind, Questions, Step},
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

/// Begins a reset or an unlock: finds the account, if there is one, and asks for the first proof, in any case.
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
    let enrollment = enrollment.map(Found::into_inner);
    let way = account.as_ref().and_then(|_| prove::way(&settings, enrollment.as_ref()));
    let mut begun = Begun::at(services, visitor, kind, who.clone()).await?;
    let mut dispatch = None;
    let first = first_factor(services, &who, account.as_ref(), way);
    begun.flow.step = if first.is_held() {
        held::step(services, first, subject.clone())?
    } else if first == Factor::Code {
        let occasion = Occasion::of(&begun.flow, kind);
        let known = (account.as_ref(), enrollment.as_ref());
        let made = Dispatch::prepare(services, visitor, occasion, subject.clone(), known, 0)?;
        let step = Step::Code(made.step.clone());
        dispatch = Some(made);
        step
    } else {
        let enrolled = enrollment.filter(|_| way == Some(Way::Enrolled));
        let first = account
            .zip(enrolled)
            .and_then(|(account, enrollment)| prove::first_question(&account.key, &enrollment));
        let (question, asked) = first.unwrap_or_else(|| (decoy(services, &who), Asked::Decoy));
        let total = settings.enroll.questions as usize;
        Step::Question(Questions { subject: subject.clone(), question, total, asked, tried: Vec::new() })
    };

    let now = services.now();
    let limit = settings.limits.starts_per_account_per_hour;
    let lockout = settings.security.wrong_answers_until_lockout;
    let no_enrollment = settings.security.friendly_messages && way.is_none();
    // The start is counted in any case, in the batch that begins the flow, if one begins.
    let judge = |tally: &mut Tally| match tally.spend_start(limit, now) {
        Allowance::Wait(wait) => Some(Refusal::RateLimited { seconds: wait.as_secs() }),
        _ if no_enrollment => Some(Refusal::EnrollmentMissing),
        _ if first != Factor::Questions => code::closed(tally, lockout, now),
        _ if tally.is_locked(lockout) => Some(Refusal::RegainLockout),
        _ => None,
    };
    let _turn = services.turns.of(&subject).await;
    let (refusal, _) = attempt::count_with(services, &subject, judge, |batch, refusal| {
        if refusal.is_some() || begun.is_barred() {
            return batch;
        }
        let batch = begun.written(batch);
        dispatch.iter().fold(batch, |batch, dispatch| dispatch.added_to(batch))
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}

/// What is to be proved first. Names that nobody has are asked for what those are asked for who have one.
fn first_factor(
    services: &Services,
    who: &Identified,
    account: Option<&Account>,
    way: Option<Way>,
) -> Factor {
    let settings = services.settings.load();
    let way = way.unwrap_or_else(|| {
        // Where those without an enrollment have a way of their own, a name that doesn't exist is on one or the other,
        // always on the same: neither tells that it exists.
        let (domain, name) = (who.domain.as_str(), who.name.canonical());
        let hash = keyed_hash(&services.keys.decoys, &[b"way", domain.as_bytes(), name.as_bytes()]);
        let on_either = account.is_none() && settings.codes.enroll_automatically();
        if on_either && hash[0].is_multiple_of(2) { Way::Automatic } else { Way::Enrolled }
    });
    prove::first_factor(&settings, way)
}

/// Begins a change: nothing is looked up before both passwords are there.
pub async fn begin_change(services: &Services, visitor: &Visitor, who: Identified) -> Result<Next, Error> {
    let begun = Begun::at(services, visitor, Kind::Change, who).await?;
    if begun.is_barred() {
        return Ok(Next::Moved(None));
    }
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
    /// At the step at which nothing is known yet.
    async fn at(services: &Services, visitor: &Visitor, kind: Kind, who: Identified) -> Result<Self, Error> {
        let now = services.now();
        let flow = Flow {
            nonce: random()?,
            started_at: now,
            touched_at: now,
            username: who.typed,
            domain: who.domain,
            proved: Vec::new(),
            stamp: None,
            no_address: false,
            parked: Vec::new(),
            step: Step::Credentials,
        };
        let key = visitor.key(kind);
        Ok(Self { before: services.store.find::<Flow>(&key).await?, key, flow })
    }

    /// Whether it can't begin: a write that is not settled is not forgotten because someone begins anew.
    fn is_barred(&self) -> bool {
        self.before.as_ref().is_some_and(|before| matches!(before.step, Step::Writing(_)))
    }

    fn written<'a>(&self, batch: Batch<'a>) -> Batch<'a> {
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
