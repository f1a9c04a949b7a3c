//! Proving who one is: what is to be proved, in which order, in what other ways, and what comes of it.

use std::marker::PhantomData;

use super::{
    Error, Next, Services, Visitor, attempt, code, event, held, outbox, require_permitted,
    session::SessionId, unlock, write,
};
use crate::{
    domain::{
        account::{Account, AccountKey, ObjectGuid},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        enrollment::{Enrollment, Question},
        field::{Field, Problem, Problems},
        flow::{Asked, Factor, Flow, Kind, Questions, Step},
        lockout::{Subject, Tally},
        refusal::Refusal,
    },
    settings::{Order, Settings},
    store::{self, Batch, Found},
};

/// Marks of wrong tries kept for a step; the largest lockout limit.
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
    /// By what they enrolled, and a code if there are codes.
    Enrolled,
    /// By a code alone.
    Automatic,
}

/// The way for someone with that enrollment, or without one.
pub(super) fn way(settings: &Settings, enrollment: Option<&Enrollment>) -> Option<Way> {
    let has_own = enrollment
        .is_some_and(|enrollment| settings.ways().into_iter().any(|factor| enrollment.has_chosen(factor)));
    if has_own {
        return Some(Way::Enrolled);
    }
    settings.codes.enroll_automatically().then_some(Way::Automatic)
}

/// Whether enough was proved on that way. What was switched off in the meantime proves nothing; a code that can't be
/// sent counts as proved where that is allowed.
fn is_enough(settings: &Settings, way: Way, flow: &Flow) -> bool {
    let needed = match way {
        Way::Enrolled => settings.needed(),
        Way::Automatic => 1,
    };
    let proved = flow.proved.iter().filter(|factor| settings.is_on(**factor)).count();
    let waived = flow.no_address && settings.codes.without_destination && asks_questions_first(settings);
    proved + usize::from(waived) >= needed
}

fn asks_questions_first(settings: &Settings) -> bool {
    settings.order() == Order::QuestionsFirst
}

/// Whether a flow still is worth what it has come to: nothing was enrolled anew, removed or switched off since.
pub(super) fn is_current(settings: &Settings, flow: &Flow, enrollment: &Enrollment) -> bool {
    flow.stamp == Some(enrollment.stamp())
        && way(settings, Some(enrollment)).is_some_and(|way| is_enough(settings, way, flow))
}

/// Whether what was proved has become worthless, since the person has enrolled anew or changed their ways of proving.
pub(super) fn is_outdated(flow: &Flow, enrollment: Option<&Enrollment>) -> bool {
    !flow.proved.is_empty() && flow.stamp != enrollment.map(Enrollment::stamp)
}

/// Ends a flow in which what was proved has become worthless.
pub(super) async fn end(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
) -> Result<Next, Error> {
    services.store.batch().remove(&visitor.key(kind), flow).commit().await?;
    Err(Error::Refused(Refusal::SessionExpired))
}

/// What is to be proved first, on that way.
pub(super) fn first_factor(settings: &Settings, way: Way) -> Factor {
    match way {
        Way::Enrolled => settings.ways().first().copied().unwrap_or(Factor::Questions),
        Way::Automatic => Factor::Code,
    }
}

/// Whether this can be asked for next, of someone who has that enrollment. Where the code comes first, no question is
/// shown without it.
fn can_ask(settings: &Settings, factor: Factor, proved: &[Factor], enrollment: Option<&Enrollment>) -> bool {
    let has = |factor| enrollment.is_some_and(|enrollment| enrollment.has(factor));
    match factor {
        _ if proved.contains(&factor) => false,
        Factor::Code => true,
        Factor::Questions => {
            let is_free = asks_questions_first(settings) || !settings.codes.are_on();
            has(factor) && (is_free || proved.contains(&Factor::Code))
        }
        held => has(held),
    }
}

/// Who is to be proved.
pub(super) struct Person {
    /// The account.
    pub account: AccountKey,
    /// Its enrollment, if there is one.
    pub enrollment: Option<Enrollment>,
    /// What it was before something of it was used up; it is written together with what comes of it.
    unused: Option<Found<Enrollment>>,
}

impl Person {
    /// With that enrollment.
    pub const fn of(account: AccountKey, enrollment: Option<Enrollment>) -> Self {
        Self { account, enrollment, unused: None }
    }

    /// Someone who has used up something of their enrollment.
    pub const fn after_use(account: AccountKey, unused: Found<Enrollment>, used: Enrollment) -> Self {
        Self { account, enrollment: Some(used), unused: Some(unused) }
    }

    /// Adds to the batch that takes the next step what is used up with it: both are written, or neither.
    pub fn used_up<'a>(&self, batch: Batch<'a>) -> Batch<'a> {
        match (&self.unused, &self.enrollment) {
            (Some(unused), Some(used)) => batch.replace(&self.account, unused, used),
            _ => batch,
        }
    }

    /// What else they can be asked for, in order. Whether a code can be sent is found out when it is to be sent.
    pub fn more(&self, settings: &Settings, proved: &[Factor]) -> Vec<Factor> {
        let ways = settings.ways().into_iter();
        ways.filter(|factor| can_ask(settings, *factor, proved, self.enrollment.as_ref())).collect()
    }

    /// Whether a step that was left can be come back to: it is about this person as they are now, and a code of it was
    /// sent and is good.
    fn can_come_back_to(&self, step: &Step, now: Timestamp) -> bool {
        let enrolled = self.enrollment.as_ref().map(|enrollment| enrollment.enrolled_at);
        match step {
            Step::Code(awaited) => {
                awaited.account.as_ref() == Some(&self.account)
                    && awaited.enrolled_at == enrolled
                    && awaited.expires_at.is_none_or(|expires_at| expires_at > now)
            }
            Step::Question(questions) => match &questions.asked {
                Asked::Enrolled { account, enrolled_at, .. } => {
                    *account == self.account && Some(*enrolled_at) == enrolled
                }
                Asked::Decoy => false,
            },
            _ => true,
        }
    }
}

/// Who a step is about, as directory and store have it now.
pub(super) struct Present {
    /// The account; none for a name that nobody has.
    pub account: Option<Account>,
    /// Its enrollment.
    pub enrollment: Option<Found<Enrollment>>,
}

/// Looks the person up. One search for every name, whether an account has it or not.
pub(super) async fn look_up(services: &Services, subject: &Subject) -> Result<Present, Error> {
    match subject {
        Subject::Known(key) => Ok(Present {
            account: services.directory(&key.domain)?.load(key.guid).await?,
            enrollment: services.store.find::<Enrollment>(key).await?,
        }),
        Subject::Unknown { domain, name } => {
            services.directory(domain)?.load(ObjectGuid::from_bytes(*name)).await?;
            Ok(Present { account: None, enrollment: None })
        }
    }
}

/// In what other ways the person may prove themselves at this step. Before anything is proved these are the same for
/// every name: those that show nothing of an account and send nothing.
pub(super) fn alternatives(settings: &Settings, flow: &Flow, enrollment: Option<&Enrollment>) -> Vec<Factor> {
    let Some(current) = flow.step.factor() else { return Vec::new() };
    let is_offered = |factor: Factor| match factor {
        _ if flow.proved.is_empty() => factor.is_held() || flow.parked(factor).is_some(),
        Factor::Code if flow.no_address => false,
        _ => can_ask(settings, factor, &flow.proved, enrollment),
    };
    let ways = settings.ways().into_iter();
    ways.filter(|way| *way != current && is_offered(*way)).collect()
}

/// Goes to another way of proving; the step that is left can be come back to.
pub async fn switch(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    factor: Factor,
) -> Result<Next, Error> {
    let Some(subject) = seen.step.subject() else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let flow = services.store.find::<Flow>(&visitor.key(kind)).await?;
    let Some(flow) = flow.filter(|flow| flow.nonce == seen.nonce && flow.step.subject() == Some(subject))
    else {
        return Ok(Next::Moved(None));
    };
    if is_outdated(&flow, found.enrollment.as_deref()) {
        return end(services, visitor, kind, &flow).await;
    }
    let settings = services.settings.load_full();
    if !alternatives(&settings, &flow, found.enrollment.as_deref()).contains(&factor) {
        return Ok(Next::Moved(None));
    }
    let flow = flow.revised(Flow::park);
    if let (false, Subject::Known(account)) = (flow.proved.is_empty(), subject) {
        let person = Person::of(account.clone(), found.enrollment.map(Found::into_inner));
        return ask(services, visitor, kind, flow, person, &[factor], |_| ()).await;
    }
    let mut left = None;
    let flow = flow.revised(|flow| left = flow.unpark(factor));
    let step = match left {
        Some(step) => step,
        None => held::step(services, factor, subject.clone())?,
    };
    let next = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
    match services.store.batch().replace(&visitor.key(kind), &flow, &next).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// One thing more was proved. What is left to be proved comes next; if nothing is, what was asked for. `settle` is what
/// becomes of the count.
pub(super) async fn go_on(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: Found<Flow>,
    person: Person,
    factor: Factor,
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let settings = services.settings.load_full();
    let way = way(&settings, person.enrollment.as_ref()).filter(|_| settings.is_on(factor));
    let is_outdated = is_outdated(&flow, person.enrollment.as_ref());
    let Some(way) = way.filter(|_| !is_outdated) else {
        attempt::count(services, &Subject::Known(person.account), settle).await?;
        return end(services, visitor, kind, &flow).await;
    };
    let flow = flow.revised(|flow| {
        flow.proved.push(factor);
        flow.parked.retain(|step| step.factor() != Some(factor));
        flow.stamp = person.enrollment.as_ref().map(Enrollment::stamp);
    });
    if is_enough(&settings, way, &flow) {
        return Box::pin(complete(services, visitor, kind, &flow, person, settle)).await;
    }
    let mut more = person.more(&settings, &flow.proved);
    // What someone has just turned away from comes last.
    more.sort_by_key(|factor| flow.parked(*factor).is_some());
    Box::pin(ask(services, visitor, kind, flow, person, &more, settle)).await
}

/// Asks for the first of these that can be asked for.
async fn ask(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    mut flow: Found<Flow>,
    person: Person,
    more: &[Factor],
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let subject = Subject::Known(person.account.clone());
    let account = match served(services, kind, &person).await {
        Ok(account) => account,
        Err(error) => {
            attempt::count(services, &subject, &settle).await?;
            return Err(error);
        }
    };
    for (index, factor) in more.iter().enumerate() {
        let mut left = None;
        flow = flow.revised(|flow| left = flow.unpark(*factor));
        let left = left.filter(|step| person.can_come_back_to(step, services.now()));
        let step = match (left, factor) {
            (Some(step), _) => step,
            (None, Factor::Code) => {
                let dispatch = match code::prepare(services, visitor, kind, &flow, (&account, &person)) {
                    Ok(dispatch) => dispatch,
                    Err(error) => {
                        attempt::count(services, &subject, &settle).await?;
                        return Err(error);
                    }
                };
                let is_last = index + 1 == more.len();
                if dispatch.refused == Some(Refusal::CodeUndeliverable) && !is_last {
                    flow = flow.revised(|flow| flow.no_address = true);
                    continue;
                }
                return code::ask(services, visitor, kind, flow, person, dispatch, settle).await;
            }
            (None, Factor::Questions) => {
                let total = person.enrollment.as_ref().map_or(0, |enrollment| enrollment.questions.len());
                let first = person.enrollment.as_ref().and_then(|e| first_question(&person.account, e));
                let Some((question, asked)) = first else { continue };
                let (subject, tried) = (subject.clone(), Vec::new());
                Step::Question(Questions { subject, question, total, asked, tried })
            }
            (None, held) => held::step(services, *held, subject.clone())?,
        };
        let next = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
        attempt::count_with(services, &subject, settle, |batch, ()| {
            person.used_up(batch.replace(&visitor.key(kind), &flow, &next))
        })
        .await?;
        return Ok(Next::Moved(None));
    }
    attempt::count(services, &subject, settle).await?;
    Err(Error::Refused(Refusal::MethodsMissing))
}

/// A person without an address has proved all that they can beside the code, and as much as is needed with it: they may
/// go on without it, where that is allowed.
pub(super) fn may_do_without_code(settings: &Settings, flow: &Flow, person: &Person) -> bool {
    let waived = Flow { no_address: true, ..flow.clone() };
    person.more(settings, &flow.proved).iter().all(|factor| *factor == Factor::Code)
        && way(settings, person.enrollment.as_ref()) == Some(Way::Enrolled)
        && is_enough(settings, Way::Enrolled, &waived)
}

/// The first question of an enrollment.
pub(super) fn first_question(account: &AccountKey, enrollment: &Enrollment) -> Option<(Question, Asked)> {
    let question = enrollment.questions.first()?.question.clone();
    let account = account.clone();
    Some((question, Asked::Enrolled { account, enrolled_at: enrollment.enrolled_at, index: 0 }))
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
        tally.forgive_codes();
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
        None => person.used_up(batch),
    };
    let stamp = made.as_ref().map_or(flow.stamp, |(enrollment, _)| Some(enrollment.stamp()));
    if kind != Kind::Reset {
        let ((), together) =
            attempt::count_with(services, &subject, clear, |batch, ()| with_enrollment(batch)).await?;
        if !together {
            return Ok(Next::Moved(None));
        }
        return unlock::carry_out(services, visitor, owner, flow, found).await;
    }
    let step = Step::NewPassword { account: found.key.clone(), proved_at: now };
    let moved = Flow { step, stamp, touched_at: now, ..flow.clone().into_inner() };
    let ((), moved) = attempt::count_with(services, &subject, clear, |batch, ()| {
        let batch = batch.replace(&visitor.key(kind), flow, &flow.moved(now));
        with_enrollment(batch.insert(&owner.key(kind), &moved))
    })
    .await?;
    Ok(Next::Moved(moved.then_some(fresh)))
}

/// The enrollment of someone who has proved with a code alone, and the event of it; nobody is told of it.
fn enroll(services: &Services, visitor: &Visitor, account: &Account, now: Timestamp) -> (Enrollment, Event) {
    let blank = Enrollment::blank(account.sam_account_name.clone(), now);
    let enrollment = Enrollment { automatic: true, ..blank };
    (enrollment, write::audit(services, visitor, Kind::Enroll, Outcome::Success, account, "automatic"))
}

/// The account, if it is served.
pub(super) async fn served(services: &Services, kind: Kind, person: &Person) -> Result<Account, Error> {
    let found = services.directory(&person.account.domain)?.load(person.account.guid).await?;
    let found = found.ok_or(Error::Refused(Refusal::AccountNotServed))?;
    require_permitted(services, kind, &found).map_err(Error::Refused)?;
    if kind == Kind::Reset {
        super::reset::require_due(services, person.enrollment.as_ref(), &found).map_err(Error::Refused)?;
    }
    Ok(found)
}

/// Something was wrong, and a try was spent on it: the count stands, and the last of them ends the flow. `close` says
/// whether it was the last.
pub(super) async fn refuse_wrong(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    (subject, mark): (&Subject, [u8; 8]),
    (field, problem): (Field, Problem),
    close: impl Fn(&mut Tally) -> Option<Refusal>,
) -> Result<Next, Error> {
    let failure = failure(services, visitor, kind, flow, subject, problem);
    let mut marked = Flow { touched_at: services.now(), ..flow.clone().into_inner() };
    if let Some(tried) = marked.step.tried_mut() {
        tried.push(mark);
        // Without a lockout there is no end to them: the latest few matter.
        let excess = tried.len().saturating_sub(MOST_MARKS);
        tried.drain(..excess);
    }
    let key = visitor.key(kind);
    let failed = (&failure, visitor.language.as_deref());
    let locks = |refusal: &Option<Refusal>| *refusal == Some(Refusal::RegainLockout);
    let (refusal, moved) = attempt::count_with(services, subject, close, |batch, refusal| {
        let batch = wrong(services, batch, failed, locks(refusal));
        if refusal.is_some() { batch.remove(&key, flow) } else { batch.replace(&key, flow, &marked) }
    })
    .await?;
    if !moved {
        // The flow was written in between (a page looked at again): the events must not be lost with it.
        wrong(services, services.store.batch(), failed, locks(&refusal)).commit().await?;
    }
    let again = Next::Wrong(Problems::of(field, problem), None);
    refusal.map_or(Ok(again), |refusal| Err(Error::Refused(refusal)))
}

/// The event of something that was not taken.
pub(super) fn failure(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Flow,
    subject: &Subject,
    problem: Problem,
) -> Event {
    let who = (flow.username.as_str(), &flow.domain);
    let account = match subject {
        Subject::Known(account) => Some(account.guid),
        Subject::Unknown { .. } => None,
    };
    Event { account, ..event(services, visitor, kind, Outcome::Failure, who, problem.code()) }
}

/// The events of something wrong.
fn wrong<'a>(
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
