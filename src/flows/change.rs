//! The second page of a change: old and new password. Nothing about the account is said, and nothing about the flow
//! changes, before the old password is proved: a stranger sees no difference between one name and another.

use super::{
    Error, Next, Services, Visitor, attempt, identify::Identified, new_password, note, require_permitted,
    write,
};
use crate::{
    directory::{self, PasswordCheck, Refused},
    domain::{
        audit::{Event, Outcome},
        field::{Field, Problem, Problems},
        flow::{Ending, Flow, Kind, Step, Write},
        refusal::Refusal,
        secret::Password,
    },
    store::Found,
};

/// Changes the password of the account the flow names, if the old one is right.
pub async fn finish(
    services: &Services,
    visitor: &Visitor,
    flow: Found<Flow>,
    who: Identified,
    old: Password,
    new: Password,
) -> Result<Next, Error> {
    if flow.step != Step::Credentials {
        return Ok(Next::Moved(None));
    }
    let directory = services.directory(&who.domain)?;
    let found = directory.find(&who.name).await?;
    let subject = services.subject_of(found.as_ref(), &who.domain, &who.name.canonical());
    let turn = services.turns.of(&subject).await;
    // Read again inside the turn: the same form sent twice costs one try.
    let flow = match services.store.find::<Flow>(&visitor.key(Kind::Change)).await? {
        Some(now) if now.step == Step::Credentials && now.nonce == flow.nonce => now,
        _ => return Ok(Next::Moved(None)),
    };
    let tried = attempt::try_password(services, &*directory, (&subject, &turn), found.as_ref(), &old).await?;
    let account = match tried {
        None | Some((_, PasswordCheck::Wrong | PasswordCheck::LockedOut)) => {
            let code = Problem::NameOrPasswordWrong.code();
            let who = (who.typed.as_str(), &who.domain);
            let failure = super::event(services, visitor, Kind::Change, Outcome::Failure, who, code);
            let account = found.map(|account| account.key.guid);
            note(services, Event { account, ..failure }, visitor.language.as_deref()).await;
            return Ok(Next::Wrong(Problems::of(Field::OldPassword, Problem::NameOrPasswordWrong), None));
        }
        Some((account, _)) => account,
    };
    require_permitted(services, Kind::Change, &account).map_err(Error::Refused)?;
    let rules = Box::new(new_password::rules(services, &account, Kind::Change));
    let problems = new_password::problems(services, &rules, &new, Some(&old)).await?;
    if !problems.is_empty() {
        let failure =
            write::audit(services, visitor, Kind::Change, Outcome::Failure, &account, problems.code());
        note(services, failure, visitor.language.as_deref()).await;
        return Ok(Next::Unfit(problems, None, rules));
    }
    let what = Write::Change { before: account.password_last_set };
    let intended = write::intend(services, (visitor, visitor), Kind::Change, &flow, &account, what).await?;
    let Some(writing) = intended else { return Ok(Next::Moved(None)) };
    let result = directory.change_password(&account, &old, &new).await;
    if let Err(directory::Error::Refused(Refused::MayNotChange, _)) = &result {
        let key = &account.key;
        write::take_back(services, visitor, Kind::Change, &writing, key, None, None).await?;
        return Err(Error::Refused(Refusal::CannotChangePassword));
    }
    let steps = (Ending::Changed, Some(Step::Credentials));
    let next = write::conclude(services, visitor, Kind::Change, &writing, &account, steps, result).await?;
    // Only the directory's judgement of the new password comes back so.
    Ok(match next {
        Next::Wrong(problems, session) => Next::Unfit(problems, session, rules),
        next => next,
    })
}
