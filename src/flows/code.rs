//! The code step: a code is sent, typed and compared.
//!
//! Where it comes before anything is proved, the step takes the same course for every name: for those who can't be
//! served nothing is sent, and no code is right.

use std::time::Duration;

use super::{
    Error, Next, Services, Visitor, attempt,
    dispatch::{Destinations, Dispatch, Occasion, hash},
    note,
    prove::{self, Person, Present, look_up},
};
use crate::{
    domain::{
        account::{Account, AccountKey, ObjectGuid},
        clock::Timestamp,
        code::Code,
        field::{Field, Problem, Problems},
        flow::{Awaited, Factor, Flow, Kind, Step},
        lockout::{Allowance, Subject, Tally},
        refusal::Refusal,
    },
    settings::Settings,
    store::Found,
};

/// Why no code is taken now, if so.
pub(super) fn closed(tally: &Tally, lockout: u32, now: Timestamp) -> Option<Refusal> {
    if tally.is_locked(lockout) {
        return Some(Refusal::RegainLockout);
    }
    tally.wait_for_codes(now).map(|wait| Refusal::CodeTriesSpent { seconds: wait.as_secs() })
}

/// Makes a code for a person who has proved something else.
pub(super) fn prepare(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Flow,
    (account, person): (&Account, &Person),
) -> Result<Dispatch, Error> {
    let known = (Some(account), person.enrollment.as_ref());
    let subject = Subject::Known(person.account.clone());
    Dispatch::prepare(services, visitor, Occasion::of(flow, kind), subject, known, 0)
}

/// Asks for the code that was made, and sends it. `settle` is what becomes of the count for the proof just made.
pub(super) async fn ask(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: Found<Flow>,
    person: Person,
    dispatch: Dispatch,
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let subject = Subject::Known(person.account.clone());
    let settings = services.settings.load_full();
    if let Some(refusal) = dispatch.refused {
        let is_homeless = refusal == Refusal::CodeUndeliverable && dispatch.has_nowhere;
        if !(is_homeless && prove::may_do_without_code(&settings, &flow, &person)) {
            attempt::count(services, &subject, settle).await?;
            return Err(Error::Refused(refusal));
        }
        tracing::info!(account = %person.account.guid, "goes on without a code, which can't be sent");
        dispatch.added_to(services.store.batch()).commit().await?;
        let flow = flow.revised(|flow| flow.no_address = true);
        return prove::complete(services, visitor, kind, &flow, person, settle).await;
    }
    let now = services.now();
    let step = Step::Code(dispatch.step.clone());
    let next = Flow { step, touched_at: now, ..flow.clone().into_inner() };
    let lockout = settings.security.wrong_answers_until_lockout;
    let judge = |tally: &mut Tally| {
        settle(tally);
        closed(tally, lockout, now)
    };
    let (refusal, _) = attempt::count_with(services, &subject, judge, |batch, refusal| match refusal {
        None => person.used_up(dispatch.added_to(batch.replace(&visitor.key(kind), &flow, &next))),
        Some(_) => batch,
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}

/// The flow as it is now that it is this form's turn; `None` if it has moved on.
async fn present(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
) -> Result<Option<(Found<Flow>, Awaited)>, Error> {
    let Step::Code(before) = &seen.step else { return Ok(None) };
    let found = services.store.find::<Flow>(&visitor.key(kind)).await?;
    Ok(found.and_then(|flow| match &flow.step {
        Step::Code(now) if flow.nonce == seen.nonce && now.resent == before.resent => {
            let awaited = now.clone();
            Some((flow, awaited))
        }
        _ => None,
    }))
}

fn wrong() -> Next {
    Next::Wrong(Problems::of(Field::Code, Problem::CodeWrong), None)
}

/// Takes a code. The subject's turn is held to the end, as with answers.
pub async fn enter(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    code: Code,
) -> Result<Next, Error> {
    let Step::Code(Awaited { subject, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, awaited)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let now = services.now();
    if awaited.expires_at.is_some_and(|expires_at| expires_at <= now) {
        let failure = prove::failure(services, visitor, kind, &flow, subject, Problem::CodeExpired);
        note(services, failure, visitor.language.as_deref()).await;
        return Ok(Next::Wrong(Problems::of(Field::Code, Problem::CodeExpired), None));
    }
    let mark = attempt::mark(services, &flow, b"code", code.reveal().as_bytes());
    if awaited.tried.contains(&mark) {
        return Ok(wrong());
    }
    let settings = services.settings.load_full();
    let counts = settings.codes.count_wrong_codes;
    let lockout = settings.security.wrong_answers_until_lockout;
    spend(services, visitor, kind, &flow, subject, counts).await?;

    let (is_right, is_outdated) = compare(services, kind, &flow, &awaited, &found, &code);
    if is_outdated {
        attempt::count(services, subject, |tally| refund(tally, counts)).await?;
        return prove::end(services, visitor, kind, &flow).await;
    }
    let (true, Some(account)) = (is_right, awaited.account) else {
        let problem = (Field::Code, Problem::CodeWrong);
        let close = |tally: &mut Tally| close(tally, counts.then_some(lockout), now);
        return prove::refuse_wrong(services, visitor, kind, &flow, (subject, mark), problem, close).await;
    };
    let person = Person::of(account, found.enrollment.map(Found::into_inner));
    // Wrong ones before it stay counted until all is proved.
    let settle = |tally: &mut Tally| refund(tally, counts);
    prove::go_on(services, visitor, kind, flow, person, Factor::Code, settle).await
}

/// What a wrong code leads to. `lockout` is the limit of wrong answers, if wrong codes count as such.
pub(super) fn close(tally: &mut Tally, lockout: Option<u32>, now: Timestamp) -> Option<Refusal> {
    if lockout.is_some_and(|limit| tally.lock_if_spent(limit, now)) {
        return Some(Refusal::RegainLockout);
    }
    closed(tally, 0, now)
}

/// Gives back the one try that was spent on a code.
pub(super) fn refund(tally: &mut Tally, counts: bool) {
    tally.refund_code();
    if counts {
        tally.refund_answer();
    }
}

/// Whether the code is right, and whether what was proved before it has become worthless. The same is computed for
/// those for whom nothing is right.
fn compare(
    services: &Services,
    kind: Kind,
    flow: &Flow,
    awaited: &Awaited,
    found: &Present,
    code: &Code,
) -> (bool, bool) {
    let enrollment = found.enrollment.as_deref();
    let destination = found
        .account
        .as_ref()
        .map_or([0; 16], |account| Destinations::of(services, account, enrollment).hash(services));
    let nobody = AccountKey { domain: flow.domain.clone(), guid: ObjectGuid::from_bytes([0; 16]) };
    let account = awaited.account.as_ref().unwrap_or(&nobody);
    let hash = hash(&services.keys.codes, Occasion::of(flow, kind), account, destination, code);
    let is_same = awaited.hash.matches(&hash);
    let Some(account) = &awaited.account else { return (false, false) };
    if destination != awaited.destination {
        tracing::info!(account = %account.guid, "a code is refused: it would go elsewhere now than where it was sent");
    }
    let is_current = enrollment.map(|enrollment| enrollment.enrolled_at) == awaited.enrolled_at
        && prove::way(&services.settings.load(), enrollment).is_some();
    // Before anything is proved nobody is told that someone has enrolled in the meantime.
    (is_same && is_current, (!is_current && !flow.proved.is_empty()) || prove::is_outdated(flow, enrollment))
}

/// Spends one try, durably, before anything is compared.
pub(super) async fn spend(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    subject: &Subject,
    counts: bool,
) -> Result<(), Error> {
    let lockout = services.settings.load().security.wrong_answers_until_lockout;
    let now = services.now();
    let judge = |tally: &mut Tally| {
        let refusal = closed(tally, lockout, now);
        if refusal.is_some() {
            return refusal;
        }
        if counts && tally.spend_answer(lockout, now) != Allowance::Granted {
            return Some(Refusal::RegainLockout);
        }
        tally.count_code(now);
        None
    };
    let Some(refusal) = attempt::count(services, subject, judge).await? else { return Ok(()) };
    services.store.batch().remove(&visitor.key(kind), flow).commit().await?;
    Err(Error::Refused(refusal))
}

/// How many seconds are to pass until another code can be asked for.
pub(super) fn wait_for_resend(settings: &Settings, awaited: &Awaited, now: Timestamp) -> u64 {
    let after = Duration::from_secs(settings.codes.resend_after_seconds.into());
    (awaited.sent_at + after).since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Sends another code; the one before is good for nothing from then on.
pub async fn resend(services: &Services, visitor: &Visitor, kind: Kind, seen: &Flow) -> Result<Next, Error> {
    let Step::Code(Awaited { subject, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, awaited)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let settings = services.settings.load_full();
    let now = services.now();
    if awaited.resent >= settings.codes.resends {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeNoMore), None));
    }
    let seconds = wait_for_resend(&settings, &awaited, now);
    if seconds > 0 {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeTooSoon { seconds }), None));
    }
    let enrollment = found.enrollment.as_deref();
    if prove::is_outdated(&flow, enrollment) {
        return prove::end(services, visitor, kind, &flow).await;
    }
    let known = (found.account.as_ref(), enrollment);
    let occasion = Occasion::of(&flow, kind);
    let resent = awaited.resent + 1;
    let dispatch = Dispatch::prepare(services, visitor, occasion, subject.clone(), known, resent)?;
    if !flow.proved.is_empty() && dispatch.step.account.is_none() {
        return Err(Error::Refused(dispatch.refused.unwrap_or(Refusal::AccountNotServed)));
    }
    let step = Step::Code(dispatch.step.clone());
    let next = Flow { step, touched_at: now, ..flow.clone().into_inner() };
    let lockout = settings.security.wrong_answers_until_lockout;
    let key = visitor.key(kind);
    let judge = |tally: &mut Tally| closed(tally, lockout, now);
    let (refusal, _) = attempt::count_with(services, subject, judge, |batch, refusal| match refusal {
        None => dispatch.added_to(batch.replace(&key, &flow, &next)),
        Some(_) => batch.remove(&key, &flow),
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}
