//! Writing to the directory: an intent is kept before, the result after, and what lies between is settled by reading.

use super::{Error, Next, Services, Visitor, event, note, outbox};
use crate::{
    directory,
    domain::{
        account::{Account, AccountKey},
        audit::{Event, Outcome},
        enrollment::Enrollment,
        field::{Field, Problem, Problems},
        flow::{Ending, Flow, Kind, Step, Write, Writing},
    },
    store::{self, Found},
};

/// Keeps the intent: from here on the flow is "writing", whatever becomes of this program. `None` if another
/// request was faster. `owner` is the visitor under a new session, if there is one.
pub(super) async fn intend(
    services: &Services,
    (visitor, owner): (&Visitor, &Visitor),
    kind: Kind,
    flow: &Found<Flow>,
    account: &Account,
    what: Write,
) -> Result<Option<Found<Flow>>, Error> {
    let now = services.now();
    let writing = Writing { account: account.key.clone(), what, since: now };
    let next = Flow { step: Step::Writing(writing), touched_at: now, ..flow.clone().into_inner() };
    let intent = audit(services, owner, kind, Outcome::Intent, account, "");
    let batch = services.store.batch().event(&intent);
    let batch = if visitor.key(kind) == owner.key(kind) {
        batch.replace(&visitor.key(kind), flow, &next)
    } else {
        batch.replace(&visitor.key(kind), flow, &flow.moved(now)).insert(&owner.key(kind), &next)
    };
    match batch.commit().await {
        Ok(()) => Ok(services.store.find::<Flow>(&owner.key(kind)).await?),
        Err(store::Error::Conflict) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the result of a write that was carried out: the flow is finished, the enrollment knows the date.
pub(super) async fn finish(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    account: &Account,
    ending: Ending,
) -> Result<(), Error> {
    let key = visitor.key(kind);
    let done = audit(services, visitor, kind, Outcome::Success, account, "");
    let finished =
        Flow { step: Step::Finished(ending), touched_at: services.now(), ..flow.clone().into_inner() };
    let mut with_flow = true;
    loop {
        let mut batch = outbox::record(services, services.store.batch(), &done, visitor.language.as_deref());
        if with_flow {
            batch = batch.replace(&key, flow, &finished);
        }
        if let Some(found) = services.store.find::<Enrollment>(&account.key).await? {
            let dated = dated(&found, services, visitor, account, ending);
            batch = batch.replace(&account.key, &found, &dated);
        }
        match batch.commit().await {
            Ok(()) => return Ok(()),
            // The enrollment was written in between, then once more; or the flow was settled by another request, then
            // all is done; or the flow is gone, then event and date must not go with it.
            Err(store::Error::Conflict) => match services.store.find::<Flow>(&key).await? {
                Some(now) if now.step == flow.step => {}
                Some(now) if matches!(now.step, Step::Finished(_)) => return Ok(()),
                _ => with_flow = false,
            },
            Err(error) => return Err(error.into()),
        }
    }
}

fn dated(
    found: &Found<Enrollment>,
    services: &Services,
    visitor: &Visitor,
    account: &Account,
    ending: Ending,
) -> Enrollment {
    let now = Some(services.now());
    let mut enrollment = found.clone().into_inner();
    enrollment.account_name.clone_from(&account.sam_account_name);
    if let Some(language) = &visitor.language {
        enrollment.language = Some(language.clone());
    }
    match ending {
        Ending::Reset { .. } => enrollment.reset_at = now,
        Ending::Unlocked { .. } => enrollment.unlocked_at = now,
        Ending::Changed => enrollment.changed_at = now,
        Ending::Enrolled { .. } | Ending::MethodsKept | Ending::MethodsMissing => {}
    }
    enrollment
}

/// The write was not carried out: the flow goes back to `step`. Why is written down here, unless the visitor gets a
/// page with a reference number: then that is written down with it.
pub(super) async fn take_back(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    account: &AccountKey,
    step: Option<Step>,
    detail: Option<&str>,
) -> Result<(), Error> {
    let key = visitor.key(kind);
    let failure = detail.map(|detail| {
        let who = (flow.username.as_str(), &flow.domain);
        let failure = event(services, visitor, kind, Outcome::Failure, who, detail);
        Event { account: Some(account.guid), ..failure }
    });
    let mut batch = services.store.batch();
    if let Some(failure) = &failure {
        batch = outbox::record(services, batch, failure, visitor.language.as_deref());
    }
    let batch = match step {
        Some(step) => {
            let back = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
            batch.replace(&key, flow, &back)
        }
        None => batch.remove(&key, flow),
    };
    match batch.commit().await {
        Ok(()) => Ok(()),
        // The flow has moved on, or is gone: the event must not go with it.
        Err(store::Error::Conflict) => {
            if let Some(failure) = failure {
                note(services, failure, visitor.language.as_deref()).await;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the directory said to a write, in the flow's terms. `back` is the step to return to if nothing was written.
pub(super) async fn conclude(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    account: &Account,
    (ending, back): (Ending, Option<Step>),
    result: Result<(), directory::Error>,
) -> Result<Next, Error> {
    // Under which session the flow goes on, for the visitor's cookie.
    let session = || Some(visitor.session.clone());
    match result {
        Ok(()) => {
            if let Err(error) = finish(services, visitor, kind, flow, account, ending).await {
                // It was done; that it can't be noted now must not look like a failure. The flow stays "writing"
                // and is settled when the store is back.
                tracing::error!(%error, account = %account.key.guid, "done in the directory, but not yet noted here");
            }
            Ok(Next::Moved(session()))
        }
        Err(directory::Error::Refused(directory::Refused::Policy(rule), text)) => {
            tracing::info!(account = %account.key.guid, reply = text, "the directory refused the password");
            let problem = problem_of(rule, account);
            take_back(services, visitor, kind, flow, &account.key, back, Some(problem.code())).await?;
            Ok(Next::Wrong(Problems::of(Field::NewPassword, problem), session()))
        }
        Err(error @ directory::Error::OutcomeUnknown(_)) => Err(error.into()),
        Err(error) => {
            let error = Error::from(error);
            take_back(services, visitor, kind, flow, &account.key, back, None).await?;
            Err(error)
        }
    }
}

/// The sentence for a rule that the directory found broken.
pub(super) const fn problem_of(rule: Option<directory::Rule>, account: &Account) -> Problem {
    match rule {
        Some(directory::Rule::Length) => Problem::PasswordTooShort { minimum: account.policy.minimum_length },
        Some(directory::Rule::Complexity) => Problem::PasswordTooSimple,
        Some(directory::Rule::History) => Problem::PasswordInHistory,
        Some(directory::Rule::MinimumAge) => Problem::PasswordTooYoung,
        None => Problem::PasswordRefused,
    }
}

/// An event about an account that is known.
pub(super) fn audit(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    outcome: Outcome,
    account: &Account,
    detail: &str,
) -> Event {
    let who = (account.sam_account_name.as_str(), &account.key.domain);
    let mut event = event(services, visitor, kind, outcome, who, detail);
    event.account = Some(account.key.guid);
    event
}
