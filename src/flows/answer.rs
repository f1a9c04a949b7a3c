//! The questions: one a page, always in the same order, the next only after a right answer.

use std::sync::Arc;

use super::{
    Error, Next, Services, Visitor, attempt,
    prove::{self, Person},
    random,
};
use crate::{
    domain::{
        account::AccountKey,
        answer::{Answer, AnswerHash},
        enrollment::Enrollment,
        field::{Field, Problem, Problems},
        flow::{Asked, Factor, Flow, Kind, Questions, Step},
        lockout::{Allowance, Subject, Tally},
        refusal::Refusal,
        slow_hash::{HashCost, HashFault},
    },
    store::{self, Found},
};

/// Takes an answer to the question that the flow stands at. The subject's turn is held to the end: of two equal
/// answers (a double click) the second finds the first one's outcome.
pub async fn enter(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Flow,
    answer: Answer,
) -> Result<Next, Error> {
    let Step::Question(questions) = &flow.step else { return Ok(Next::Moved(None)) };
    let subject = questions.subject.clone();
    let _turn = services.turns.of(&subject).await;
    let Some((flow, enrollment)) = present(services, visitor, kind, flow, questions).await? else {
        return Ok(Next::Moved(None));
    };
    let Step::Question(questions) = &flow.step else { return Ok(Next::Moved(None)) };
    let mark = mark(services, &flow, questions, &answer);
    if questions.tried.contains(&mark) {
        return Ok(wrong());
    }
    spend(services, visitor, kind, &flow, &subject).await?;

    let compared = compare(services, questions, enrollment.as_ref(), answer).await;
    let (right, renewed) = match compared {
        Ok(compared) => compared,
        Err(error) => {
            // Nothing was compared, so nothing was learned: the try is given back.
            attempt::count(services, &subject, Tally::refund_answer).await?;
            return Err(error);
        }
    };
    match (&questions.asked, enrollment) {
        (Asked::Enrolled { account, enrolled_at, index }, Some(enrollment)) if right => {
            let at =
                Asked::Enrolled { account: account.clone(), enrolled_at: *enrolled_at, index: index + 1 };
            let enrollment = renew(services, account, enrollment, *index, renewed).await?;
            let Some(next) = enrollment.questions.get(index + 1) else {
                let person = Person::of(account.clone(), Some(enrollment));
                let settle = Tally::refund_answer;
                return prove::go_on(services, visitor, kind, flow, person, Factor::Questions, settle).await;
            };
            let (question, total) = (next.question.clone(), enrollment.questions.len());
            let next = Questions { subject: subject.clone(), question, total, asked: at, tried: Vec::new() };
            let step = Step::Question(next);
            let next = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
            attempt::count_with(services, &subject, Tally::refund_answer, |batch, ()| {
                batch.replace(&visitor.key(kind), &flow, &next)
            })
            .await?;
            Ok(Next::Moved(None))
        }
        _ => {
            let (limit, now) =
                (services.settings.load().security.wrong_answers_until_lockout, services.now());
            let close = |tally: &mut Tally| tally.lock_if_spent(limit, now).then_some(Refusal::RegainLockout);
            let problem = (Field::AnswerOnly, Problem::AnswerWrong);
            prove::refuse_wrong(services, visitor, kind, &flow, (&subject, mark), problem, close).await
        }
    }
}

fn wrong() -> Next {
    Next::Wrong(Problems::of(Field::AnswerOnly, Problem::AnswerWrong), None)
}

/// Flow and enrollment as they are now that it is this answer's turn; `None` if the flow has moved on.
async fn present(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    questions: &Questions,
) -> Result<Option<(Found<Flow>, Option<Found<Enrollment>>)>, Error> {
    let key = visitor.key(kind);
    let Some(flow) = services.store.find::<Flow>(&key).await? else { return Ok(None) };
    match &flow.step {
        Step::Question(current) if flow.nonce == seen.nonce && current.asked == questions.asked => {}
        _ => return Ok(None),
    }
    let Asked::Enrolled { account, enrolled_at, .. } = &questions.asked else {
        return Ok(Some((flow, None)));
    };
    match services.store.find::<Enrollment>(account).await? {
        Some(enrollment)
            if enrollment.enrolled_at == *enrolled_at && !prove::is_outdated(&flow, Some(&enrollment)) =>
        {
            Ok(Some((flow, Some(enrollment))))
        }
        // Enrolled again, changed, or deleted, since the flow began.
        _ => {
            services.store.batch().remove(&key, &flow).commit().await?;
            Err(Error::Refused(Refusal::SessionExpired))
        }
    }
}

/// The mark of an answer in this flow, by which the same wrong one is known again.
fn mark(services: &Services, flow: &Flow, questions: &Questions, answer: &Answer) -> [u8; 8] {
    let index = match &questions.asked {
        Asked::Enrolled { index, .. } => *index as u64,
        Asked::Decoy => 0,
    };
    attempt::mark(services, flow, &index.to_be_bytes(), answer.bytes())
}

/// Spends one try, durably, before anything is compared.
async fn spend(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    subject: &Subject,
) -> Result<(), Error> {
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    let now = services.now();
    let allowance = attempt::count(services, subject, |tally| tally.spend_answer(limit, now)).await?;
    if allowance == Allowance::Granted {
        return Ok(());
    }
    services.store.batch().remove(&visitor.key(kind), flow).commit().await?;
    Err(Error::Refused(Refusal::RegainLockout))
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
    compared.map_err(|e: HashFault| Error::Internal(e.to_string()))
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
