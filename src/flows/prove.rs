//! Proving who one is: what is to be proved, in which order, and what comes of it. And the questions: one a page,
//! always in the same order, the next only after a right answer.

use std::{marker::PhantomData, sync::Arc};

use super::{
    Error, Next, Services, Visitor, attempt, code, event, outbox, random, session::SessionId, unlock, write,
};
use crate::{
    domain::{
        account::{Account, AccountKey},
        answer::{Answer, AnswerHash, HashCost},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        enrollment::{Enrollment, Question},
        field::{Field, Problem, Problems},
        flow::{Asked, Factor, Flow, Kind, Questions, Step},
        lockout::{Allowance, Subject, Tally},
        permission::require_served,
        refusal::Refusal,
    },
    settings::{Order, Settings},
    store::{self, Batch, Found},
};

/// Marks of wrong answers kept for a question; the largest lockout limit.
const MOST_MARKS: usize = 100;

/// What a proof is good for: a reset.
#[derive(Debug)]
pub struct Reset;

/// Proof that all was answered that had to be, for one account and one purpose. Only this module makes one.
#[derive(Debug)]
pub struct Verified<Purpose> {
    account: AccountKey,
    proved_at: Timestamp,
    purpose: PhantomData<Purpose>,
}

impl Verified<Reset> {
    /// The proof that a flow's step carries.
    pub(super) fn of(flow: &Flow) -> Option<Self> {
        match &flow.step {
            Step::NewPassword { account, proved_at } => {
                Some(Self { account: account.clone(), proved_at: *proved_at, purpose: PhantomData })
            }
            _ => None,
        }
    }
}

impl<Purpose> Verified<Purpose> {
    /// Whose proof it is.
    pub const fn account(&self) -> &AccountKey {
        &self.account
    }

    /// When it was proved.
    pub const fn proved_at(&self) -> Timestamp {
        self.proved_at
    }
}

/// How someone can prove who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// By the questions of an enrollment, and a code if there are codes.
    Enrolled,
    /// By a code alone.
    Automatic,
}

/// The way for someone with that enrollment, or without one.
pub(super) fn way(settings: &Settings, enrollment: Option<&Enrollment>) -> Option<Way> {
    match enrollment {
        Some(enrollment) if !enrollment.automatic => {
            (!enrollment.questions.is_empty()).then_some(Way::Enrolled)
        }
        _ => settings.codes.enroll_automatically().then_some(Way::Automatic),
    }
}

/// What is to be proved on that way, in order.
pub(super) fn factors(settings: &Settings, way: Way) -> &'static [Factor] {
    match (way, settings.order()) {
        (Way::Automatic, _) => &[Factor::Code],
        _ if !settings.codes.are_on() => &[Factor::Questions],
        (Way::Enrolled, Order::QuestionsFirst) => &[Factor::Questions, Factor::Code],
        (Way::Enrolled, Order::CodeFirst) => &[Factor::Code, Factor::Questions],
    }
}

/// Who is to be proved.
pub(super) struct Person {
    /// The account.
    pub account: AccountKey,
    /// Its enrollment, if there is one.
    pub enrollment: Option<Enrollment>,
}

/// One thing more was proved. What is left to be proved comes next; if nothing is, what was asked for. `settle` is what
/// becomes of the count.
pub(super) async fn go_on(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    person: Person,
    factor: Factor,
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let settings = services.settings.load_full();
    let Some(way) = way(&settings, person.enrollment.as_ref()) else {
        return Err(Error::Refused(Refusal::SessionExpired));
    };
    let mut proved = flow.proved.clone();
    proved.push(factor);
    match factors(&settings, way).iter().find(|factor| !proved.contains(factor)) {
        None => complete(services, visitor, kind, flow, person, settle).await,
        Some(Factor::Code) => code::ask(services, visitor, kind, flow, proved, person, settle).await,
        Some(Factor::Questions) => {
            let subject = Subject::Known(person.account.clone());
            let total = person.enrollment.as_ref().map_or(0, |enrollment| enrollment.questions.len());
            let first = person.enrollment.and_then(|enrollment| first_question(person.account, &enrollment));
            let Some((question, asked)) = first else {
                return Err(Error::Refused(Refusal::SessionExpired));
            };
            let step = Step::Question(Questions {
                subject: subject.clone(),
                question,
                total,
                asked,
                tried: Vec::new(),
            });
            let next = Flow { step, proved, touched_at: services.now(), ..flow.clone().into_inner() };
            attempt::count_with(services, &subject, settle, |batch, ()| {
                batch.replace(&visitor.key(kind), flow, &next)
            })
            .await?;
            Ok(Next::Moved(None))
        }
    }
}

/// The first question of an enrollment.
pub(super) fn first_question(account: AccountKey, enrollment: &Enrollment) -> Option<(Question, Asked)> {
    let question = enrollment.questions.first()?.question.clone();
    Some((question, Asked::Enrolled { account, enrolled_at: enrollment.enrolled_at, index: 0 }))
}

/// Takes an answer to the question that the flow stands at. The subject's turn is held to the end: of two equal
/// answers (a double click) the second finds the first one's outcome.
pub async fn answer(
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
                let person = Person { account: account.clone(), enrollment: Some(enrollment) };
                let settle = Tally::refund_answer;
                return go_on(services, visitor, kind, &flow, person, Factor::Questions, settle).await;
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
        _ => refuse_wrong(services, visitor, kind, &flow, &subject, mark).await,
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
        Some(enrollment) if enrollment.enrolled_at == *enrolled_at => Ok(Some((flow, Some(enrollment)))),
        // Enrolled again, or deleted, since the flow began.
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

/// All was proved, which clears the count. Only now is it said whether the account is served; then comes what was asked
/// for.
pub(super) async fn complete(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    person: Person,
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let subject = Subject::Known(person.account.clone());
    let clear = |tally: &mut Tally| {
        settle(tally);
        tally.forgive_answers();
    };
    // What was proved belongs to a session that nobody could have planted or seen before.
    let fresh = SessionId::new()?;
    let owner = Visitor { session: fresh.clone(), ..visitor.clone() };
    let found = match served(services, kind, &person).await {
        Ok(found) => found,
        Err(error) => {
            attempt::count(services, &subject, clear).await?;
            return Err(error);
        }
    };
    let now = services.now();
    let made = person.enrollment.is_none().then(|| enroll(services, visitor, &found, now));
    let with_enrollment = |batch| match &made {
        Some((enrollment, event)) => Batch::event(Batch::insert(batch, &found.key, enrollment), event),
        None => batch,
    };
    if kind != Kind::Reset {
        let ((), together) =
            attempt::count_with(services, &subject, clear, |batch, ()| with_enrollment(batch)).await?;
        if !together {
            return Ok(Next::Moved(None));
        }
        return unlock::carry_out(services, visitor, owner, flow, found).await;
    }
    let step = Step::NewPassword { account: found.key.clone(), proved_at: now };
    let moved = Flow { step, touched_at: now, ..flow.clone().into_inner() };
    let ((), moved) = attempt::count_with(services, &subject, clear, |batch, ()| {
        let batch = batch.replace(&visitor.key(kind), flow, &flow.moved(now));
        with_enrollment(batch.insert(&owner.key(kind), &moved))
    })
    .await?;
    Ok(Next::Moved(moved.then_some(fresh)))
}

/// The enrollment of someone who has proved with a code alone, and the event of it; nobody is told of it.
fn enroll(services: &Services, visitor: &Visitor, account: &Account, now: Timestamp) -> (Enrollment, Event) {
    let enrollment = Enrollment {
        account_name: account.sam_account_name.clone(),
        questions: Vec::new(),
        automatic: true,
        email: None,
        language: None,
        enrolled_at: now,
        reset_at: None,
        unlocked_at: None,
        changed_at: None,
    };
    (enrollment, write::audit(services, visitor, Kind::Enroll, Outcome::Success, account, "automatic"))
}

/// The account, if it is served.
pub(super) async fn served(services: &Services, kind: Kind, person: &Person) -> Result<Account, Error> {
    let found = services.directory(&person.account.domain)?.load(person.account.guid).await?;
    let found = found.ok_or(Error::Refused(Refusal::AccountNotServed))?;
    require_served(&found).map_err(Error::Refused)?;
    if kind == Kind::Reset {
        super::reset::require_due(services, person.enrollment.as_ref(), &found).map_err(Error::Refused)?;
    }
    Ok(found)
}

/// The answer was wrong: the count stands, and the last of them locks.
async fn refuse_wrong(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    subject: &Subject,
    mark: [u8; 8],
) -> Result<Next, Error> {
    let limit = services.settings.load().security.wrong_answers_until_lockout;
    let now = services.now();
    let who = (flow.username.as_str(), &flow.domain);
    let code = Problem::AnswerWrong.code();
    let mut failure = event(services, visitor, kind, Outcome::Failure, who, code);
    if let Subject::Known(account) = subject {
        failure.account = Some(account.guid);
    }
    let mut marked = Flow { touched_at: now, ..flow.clone().into_inner() };
    if let Step::Question(questions) = &mut marked.step {
        questions.tried.push(mark);
        // Without a lockout there is no end to them: the latest few matter.
        let excess = questions.tried.len().saturating_sub(MOST_MARKS);
        questions.tried.drain(..excess);
    }
    let key = visitor.key(kind);
    let failed = (&failure, visitor.language.as_deref());
    let lock = |tally: &mut Tally| tally.lock_if_spent(limit, now);
    let (locks, moved) = attempt::count_with(services, subject, lock, |batch, &locks| {
        let batch = wrong_answer(services, batch, failed, locks);
        if locks { batch.remove(&key, flow) } else { batch.replace(&key, flow, &marked) }
    })
    .await?;
    if !moved {
        // The flow was written in between (a page looked at again): the events must not be lost with it.
        wrong_answer(services, services.store.batch(), failed, locks).commit().await?;
    }
    if locks { Err(Error::Refused(Refusal::RegainLockout)) } else { Ok(wrong()) }
}

/// The events of a wrong answer or code.
pub(super) fn wrong_answer<'a>(
    services: &'a Services,
    batch: Batch<'a>,
    (failure, page_language): (&Event, Option<&str>),
    locks: bool,
) -> Batch<'a> {
    let batch = outbox::record(services, batch, failure, page_language);
    if !locks {
        return batch;
    }
    let lockout = Event { action: Action::Lockout, outcome: Outcome::Success, ..failure.clone() };
    outbox::record(services, batch, &lockout, page_language)
}
