//! Proving who one is: one question a page, always in the same order, the next only after a right answer.

use std::{marker::PhantomData, sync::Arc};

use super::{
    Error, Next, Services, Visitor, attempt, event, note_failure, random, session::SessionId, unlock,
};
use crate::{
    domain::{
        account::AccountKey,
        answer::{Answer, AnswerHash, HashCost},
        audit::{Action, Event, Outcome},
        enrollment::Enrollment,
        field::{Field, Problem, Problems},
        flow::{Asked, Flow, Kind, Questions, Step},
        lockout::{Allowance, Subject, Tally},
        permission::require_served,
        refusal::Refusal,
    },
    store::{self, Found, keyring::keyed_hash},
};

/// What a proof is good for: a reset.
#[derive(Debug)]
pub struct Reset;

/// Proof that all was answered that had to be, for one account and one purpose. Only this module makes one.
#[derive(Debug)]
pub struct Verified<Purpose> {
    account: AccountKey,
    purpose: PhantomData<Purpose>,
}

impl Verified<Reset> {
    /// The proof that a flow's step carries.
    pub(super) fn of(flow: &Flow) -> Option<Self> {
        match &flow.step {
            Step::NewPassword { account } => Some(Self { account: account.clone(), purpose: PhantomData }),
            _ => None,
        }
    }
}

impl<Purpose> Verified<Purpose> {
    /// Whose proof it is.
    pub const fn account(&self) -> &AccountKey {
        &self.account
    }
}

/// Takes an answer to the question that the flow stands at.
pub async fn answer(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: Found<Flow>,
    answer: Answer,
) -> Result<Next, Error> {
    let Step::Question(questions) = &flow.step else { return Ok(Next::Moved(None)) };
    let spent = match spend(services, visitor, kind, &flow, questions, &answer).await? {
        Spending::Spent(spent) => *spent,
        Spending::KnownWrong => return Ok(wrong()),
        Spending::Moved => return Ok(Next::Moved(None)),
    };
    let Spent { flow, enrollment } = spent;
    let Step::Question(questions) = &flow.step else { return Ok(Next::Moved(None)) };

    let compared = compare(services, questions, enrollment.as_ref(), answer).await;
    let (right, renewed) = match compared {
        Ok(compared) => compared,
        Err(error) => {
            // Nothing was compared, so nothing was learned: the try is given back.
            attempt::count(services, &questions.subject, Tally::refund_answer).await?;
            unmark(services, visitor, kind, &flow).await;
            return Err(error);
        }
    };
    let Some(enrollment) = enrollment.filter(|_| right) else {
        return refuse_wrong(services, visitor, kind, &flow, &questions.subject).await;
    };
    let next = accept(services, visitor, kind, &flow, questions, (enrollment, renewed)).await;
    if next.is_err() {
        unmark(services, visitor, kind, &flow).await;
    }
    next
}

/// The answer was right: on to the next question, or to what was asked for.
async fn accept(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    questions: &Questions,
    (enrollment, renewed): (Found<Enrollment>, Option<AnswerHash>),
) -> Result<Next, Error> {
    let Asked::Enrolled { account, enrolled_at, index } = &questions.asked else {
        return refuse_wrong(services, visitor, kind, flow, &questions.subject).await;
    };
    let at = Asked::Enrolled { account: account.clone(), enrolled_at: *enrolled_at, index: index + 1 };
    let enrollment = renew(services, account, enrollment, *index, renewed).await?;
    if index + 1 < enrollment.questions.len() {
        attempt::count(services, &questions.subject, Tally::refund_answer).await?;
        let next = Questions { subject: questions.subject.clone(), asked: at, tried: Vec::new() };
        return advance(services, visitor, kind, flow, Step::Question(next)).await;
    }
    attempt::count(services, &questions.subject, Tally::forgive_answers).await?;
    proven(services, visitor, kind, flow, account.clone(), &enrollment).await
}

/// Takes back the mark of the answer just given, which was not found wrong: it may be given again.
async fn unmark(services: &Services, visitor: &Visitor, kind: Kind, flow: &Found<Flow>) {
    let mut unmarked = flow.clone().into_inner();
    if let Step::Question(questions) = &mut unmarked.step {
        questions.tried.pop();
    }
    match services.store.batch().replace(&visitor.key(kind), flow, &unmarked).commit().await {
        // The flow has moved on: so there is no mark any more.
        Ok(()) | Err(store::Error::Conflict) => {}
        Err(error) => tracing::warn!(%error, "the mark of an answer could not be taken back"),
    }
}

fn wrong() -> Next {
    Next::Wrong(Problems::of(Field::AnswerOnly, Problem::AnswerWrong), None)
}

struct Spent {
    flow: Found<Flow>,
    enrollment: Option<Found<Enrollment>>,
}

enum Spending {
    Spent(Box<Spent>),
    KnownWrong,
    Moved,
}

/// Spends one try, durably, before anything is compared.
async fn spend(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Found<Flow>,
    questions: &Questions,
    answer: &Answer,
) -> Result<Spending, Error> {
    let key = visitor.key(kind);
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    let _turn = services.turns.of(&questions.subject).await;
    // Read again inside the turn: a parallel answer may have moved the flow on.
    let Some(flow) = services.store.find::<Flow>(&key).await? else { return Ok(Spending::Moved) };
    let Step::Question(current) = &flow.step else { return Ok(Spending::Moved) };
    if flow.nonce != seen.nonce || current.asked != questions.asked {
        return Ok(Spending::Moved);
    }
    let enrollment = match &current.asked {
        Asked::Decoy(_) => None,
        Asked::Enrolled { account, enrolled_at, .. } => {
            match services.store.find::<Enrollment>(account).await? {
                Some(enrollment) if enrollment.enrolled_at == *enrolled_at => Some(enrollment),
                // Enrolled again, or deleted, since the flow began.
                _ => {
                    services.store.batch().remove(&key, &flow).commit().await?;
                    return Err(Error::Refused(Refusal::SessionExpired));
                }
            }
        }
    };
    let index = match &current.asked {
        Asked::Enrolled { index, .. } => *index as u64,
        Asked::Decoy(_) => 0,
    };
    let hash = keyed_hash(&services.keys.marks, &[&flow.nonce, &index.to_be_bytes(), answer.bytes()]);
    let mut mark = [0; 8];
    mark.copy_from_slice(&hash[..8]);
    if current.tried.contains(&mark) {
        return Ok(Spending::KnownWrong);
    }
    let found = services.store.find::<Tally>(&current.subject).await?;
    let mut tally = found.clone().map(Found::into_inner).unwrap_or_default();
    let now = services.now();
    if tally.spend_answer(limit, now) != Allowance::Granted {
        services.store.batch().remove(&key, &flow).commit().await?;
        return Err(Error::Refused(Refusal::RegainLockout));
    }
    let mut marked = flow.clone().into_inner();
    marked.touched_at = now;
    if let Step::Question(step) = &mut marked.step {
        step.tried.push(mark);
        // Only as many as there are tries matter; without a lockout the latest few do.
        let most = if limit == 0 { 16 } else { limit as usize };
        let excess = step.tried.len().saturating_sub(most);
        step.tried.drain(..excess);
    }
    let batch = services.store.batch().write(&current.subject, found.as_ref(), &tally);
    match batch.replace(&key, &flow, &marked).commit().await {
        Ok(()) => {}
        Err(store::Error::Conflict) => return Ok(Spending::Moved),
        Err(error) => return Err(error.into()),
    }
    let Some(flow) = services.store.find::<Flow>(&key).await? else { return Ok(Spending::Moved) };
    Ok(Spending::Spent(Box::new(Spent { flow, enrollment })))
}

/// Compares the answer; for a decoy with a hash that no answer has, so that it takes as long. With a right answer
/// comes a new hash, if the old one was made at another cost.
async fn compare(
    services: &Services,
    questions: &Questions,
    enrollment: Option<&Found<Enrollment>>,
    answer: Answer,
) -> Result<(bool, Option<AnswerHash>), Error> {
    let cost = hash_cost(services);
    let hash = match (&questions.asked, enrollment) {
        (Asked::Enrolled { index, .. }, Some(enrollment)) => {
            enrollment.questions.get(*index).map(|question| question.hash.clone())
        }
        _ => None,
    }
    .unwrap_or_else(|| AnswerHash::decoy(cost));
    let salt = random()?;
    let keys = Arc::clone(&services.keys);
    let compared = services
        .hashing
        .run(move || {
            let right = hash.matches(&answer, &keys.pepper)?;
            let renewed = if right && hash.is_outdated(cost) {
                Some(AnswerHash::make(&answer, salt, cost, &keys.pepper)?)
            } else {
                None
            };
            Ok((right, renewed))
        })
        .await?;
    compared.map_err(|e: crate::domain::answer::HashFault| Error::Internal(e.to_string()))
}

/// The cost of new hashes.
pub(super) fn hash_cost(services: &Services) -> HashCost {
    let settings = services.settings.load();
    HashCost {
        memory_kib: settings.security.hash_memory_kib,
        passes: settings.security.hash_passes,
        lanes: settings.security.hash_lanes,
    }
}

/// Keeps a hash made at the present cost in the place of the old one.
async fn renew(
    services: &Services,
    account: &AccountKey,
    enrollment: Found<Enrollment>,
    index: usize,
    renewed: Option<AnswerHash>,
) -> Result<Enrollment, Error> {
    let Some(hash) = renewed else { return Ok(enrollment.into_inner()) };
    let mut better = enrollment.clone().into_inner();
    if let Some(question) = better.questions.get_mut(index) {
        question.hash = hash;
    }
    match services.store.batch().replace(account, &enrollment, &better).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(better),
        Err(error) => Err(error.into()),
    }
}

/// Puts the flow at its next step, unless it has moved in the meantime.
pub(super) async fn advance(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    step: Step,
) -> Result<Next, Error> {
    let next = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
    match services.store.batch().replace(&visitor.key(kind), flow, &next).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// All was answered right. Only now is it said whether the account is served; then comes what was asked for.
async fn proven(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    account: AccountKey,
    enrollment: &Enrollment,
) -> Result<Next, Error> {
    let found = services.directory(&account.domain)?.load(account.guid).await?;
    let Some(found) = found else { return Err(Error::Refused(Refusal::AccountNotServed)) };
    require_served(&found).map_err(Error::Refused)?;
    // What was proved belongs to a session that nobody could have planted or seen before.
    let fresh = SessionId::new()?;
    let owner = Visitor { session: fresh.clone(), ..visitor.clone() };
    let now = services.now();
    let moved = match kind {
        Kind::Unlock => return unlock::carry_out(services, visitor, owner, flow, found).await,
        Kind::Reset => {
            super::reset::require_due(services, enrollment, &found).map_err(Error::Refused)?;
            Flow { step: Step::NewPassword { account }, touched_at: now, ..flow.clone().into_inner() }
        }
        Kind::Enroll | Kind::Change => return Err(Error::Internal("this flow asks no questions".into())),
    };
    let batch = services.store.batch().remove(&visitor.key(kind), flow);
    match batch.insert(&owner.key(kind), &moved).commit().await {
        Ok(()) => Ok(Next::Moved(Some(fresh))),
        Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// The answer was wrong: the count stands, and the last of them locks.
async fn refuse_wrong(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    subject: &Subject,
) -> Result<Next, Error> {
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    let now = services.now();
    let turn = services.turns.of(subject).await;
    let locks = attempt::count(services, subject, |tally| tally.lock_if_spent(limit, now)).await?;
    drop(turn);
    let mut failure = event(
        services,
        visitor,
        kind,
        Outcome::Failure,
        (&flow.username, &flow.domain),
        Problem::AnswerWrong.code(),
    );
    if let Subject::Known(account) = subject {
        failure.account = Some(account.guid);
    }
    if !locks {
        note_failure(services, failure).await;
        return Ok(wrong());
    }
    let lockout = Event { action: Action::Lockout, outcome: Outcome::Success, ..failure.clone() };
    let batch = services.store.batch().event(&failure).event(&lockout);
    match batch.remove(&visitor.key(kind), flow).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Err(Error::Refused(Refusal::RegainLockout)),
        Err(error) => Err(error.into()),
    }
}
