//! The second page of a change: old and new password. Nothing about the account is said before the old one is proved.

use super::{Error, Next, Services, Visitor, attempt, identify::Identified, note, write};
use crate::{
    directory::{self, PasswordCheck, Refused},
    domain::{
        account::Account,
        audit::Outcome,
        field::{Field, Problem, Problems},
        flow::{Ending, Flow, Kind, Step, Write},
        lockout::{Subject, Tally},
        permission::require_served,
        refusal::Refusal,
        secret::Password,
    },
    store::Found,
};

fn wrong() -> Next {
    Next::Wrong(Problems::of(Field::OldPassword, Problem::NameOrPasswordWrong), None)
}

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
    let noted = |code: &'static str, account: Option<&Account>| {
        let mut failure =
            super::event(services, visitor, Kind::Change, Outcome::Failure, (&who.typed, &who.domain), code);
        failure.account = account.map(|account| account.key.guid);
        failure
    };
    let Some(account) = found else {
        attempt::may_try_password(services, &subject, None).await?;
        note(services, noted("name_or_password_wrong", None)).await;
        return Ok(wrong());
    };
    // What may only be said to the owner is said after a check of the password; a change goes straight to the
    // directory, which checks the old password itself.
    let reason = match require_served(&account) {
        Err(refusal) => Some(Err(Error::Refused(refusal))),
        Ok(()) => account
            .policy
            .check(&new, &account)
            .err()
            .map(|problem| Ok(Next::Wrong(Problems::of(Field::NewPassword, problem), None))),
    };
    if let Some(reason) = reason {
        return match attempt::try_password(services, directory, &subject, &account, &old).await? {
            None | Some(PasswordCheck::Wrong | PasswordCheck::LockedOut) => {
                note(services, noted("name_or_password_wrong", Some(&account))).await;
                Ok(wrong())
            }
            Some(_) => {
                if let Ok(Next::Wrong(problems, _)) = &reason {
                    note(services, noted(problems.code(), Some(&account))).await;
                }
                reason
            }
        };
    }
    change(services, visitor, flow, (directory, &subject, account), &old, &new).await
}

async fn change(
    services: &Services,
    visitor: &Visitor,
    flow: Found<Flow>,
    (directory, subject, account): (&dyn directory::Directory, &Subject, Account),
    old: &Password,
    new: &Password,
) -> Result<Next, Error> {
    let turn = services.turns.of(subject).await;
    // Read again inside the turn: tries made while waiting for it have counted.
    let account = directory.load(account.key.guid).await?.unwrap_or(account);
    if !attempt::may_try_password(services, subject, Some(&account)).await? {
        note(
            services,
            write::audit(services, visitor, Kind::Change, Outcome::Failure, &account, "password_not_tried"),
        )
        .await;
        return Ok(wrong());
    }
    let what = Write::Change { before: account.password_last_set };
    let intended = write::intend(services, (visitor, visitor), Kind::Change, &flow, &account, what).await?;
    let Some(writing) = intended else { return Ok(Next::Moved(None)) };
    let result = directory.change_password(&account, old, new).await;
    // A policy is looked at only after the old password was found right.
    let proved = matches!(&result, Ok(()) | Err(directory::Error::Refused(Refused::Policy(_), _)));
    if proved {
        attempt::count(services, subject, Tally::forgive_passwords).await?;
    }
    drop(turn);
    let uniform = match &result {
        Err(directory::Error::Refused(Refused::WrongPassword, _)) => true,
        Err(directory::Error::Refused(Refused::LockedOut, _)) => {
            attempt::count(services, subject, Tally::refund_password).await?;
            true
        }
        Err(directory::Error::Refused(Refused::MayNotChange, _)) => {
            // That rule is looked at before the old password: only its owner may learn of it.
            attempt::count(services, subject, Tally::refund_password).await?;
            let check = attempt::try_password(services, directory, subject, &account, old).await?;
            if matches!(check, Some(check) if !matches!(check, PasswordCheck::Wrong | PasswordCheck::LockedOut))
            {
                write::take_back(services, visitor, Kind::Change, &writing, &account.key, None, None).await?;
                return Err(Error::Refused(Refusal::CannotChangePassword));
            }
            true
        }
        _ => false,
    };
    if uniform {
        let code = Problem::NameOrPasswordWrong.code();
        write::take_back(
            services,
            visitor,
            Kind::Change,
            &writing,
            &account.key,
            Some(Step::Credentials),
            Some(code),
        )
        .await?;
        return Ok(wrong());
    }
    let steps = (Ending::Changed, Some(Step::Credentials));
    write::conclude(services, visitor, Kind::Change, &writing, &account, steps, result).await
}
