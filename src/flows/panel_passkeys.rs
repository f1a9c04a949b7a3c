//! Passkeys in the place of the app's code: of those who may use the admin panel, apart from those they have as users.

use super::{Error, Services, access, change_settings::Editor, held, outbox, session::SessionId, sign_in};
use crate::{
    domain::{
        admin::{AdminId, AdminSession, SecondFactor, Stage},
        enrollment::Passkey,
        field::{Problem, Problems},
        flow::Challenge,
        refusal::Refusal,
    },
    passkeys::{Fault, Owner},
    store::{self, keyring::keyed_hash},
};

/// What a browser can be given on a page of someone who is signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// To sign, as a fresh proof.
    Prove,
    /// To make another passkey.
    Add,
}

/// What stands for an administrator on a device: another than for the same person as a user.
fn handle(services: &Services, who: &AdminId) -> [u8; 32] {
    keyed_hash(&services.keys.handles, &[b"admin", &sign_in::place(who)])
}

/// Something to sign, if there is a passkey that could.
pub(super) fn ask(services: &Services, known: &SecondFactor) -> Option<Challenge> {
    if known.passkeys.is_empty() {
        return None;
    }
    services
        .passkeys
        .as_ref()?
        .ask()
        .inspect_err(|fault| tracing::error!(%fault, "nothing can be asked"))
        .ok()
}

/// Looks whether one of the passkeys has signed what was asked; the second factor as it is to be kept from now on.
pub(super) fn judge(
    services: &Services,
    who: &AdminId,
    known: &SecondFactor,
    asked: &Challenge,
    answer: &str,
) -> Result<Option<SecondFactor>, Error> {
    match held::passkeys(services)?.judge(asked, answer, &handle(services, who), &known.passkeys) {
        Ok((index, credential)) => {
            let mut used = known.clone();
            if let Some(passkey) = used.passkeys.get_mut(index) {
                passkey.credential = credential;
                passkey.used_at = Some(services.now());
            }
            Ok(Some(used))
        }
        Err(fault) => {
            tracing::info!(?fault, "a passkey for the panel is refused");
            Ok(None)
        }
    }
}

fn invite(
    services: &Services,
    session: &AdminSession,
    known: &SecondFactor,
) -> Result<Option<Challenge>, Error> {
    let Some(passkeys) = services.passkeys.as_ref().filter(|_| known.passkeys.len() < Passkey::MOST) else {
        return Ok(None);
    };
    let handle = handle(services, &session.who);
    // So that the device's list tells it from the one that the same person has as a user.
    let name = format!("{} (admin)", session.name);
    let owner = Owner { handle: &handle, name: &name, display_name: &name };
    let invited = passkeys.invite(&owner, &known.passkeys);
    invited.map(Some).map_err(|fault| Error::Internal(fault.to_string()))
}

/// What the browser is given for that, if it can be done; kept with the session until it is answered.
pub async fn offer(services: &Services, session: &SessionId, deed: Deed) -> Result<Option<String>, Error> {
    let key = session.hash();
    loop {
        let Some(found) = services.store.find::<AdminSession>(&key).await? else { return Ok(None) };
        let Some(known) = services.store.find::<SecondFactor>(&found.who).await? else { return Ok(None) };
        let kept = match deed {
            Deed::Prove if known.passkeys.is_empty() => return Ok(None),
            Deed::Prove => &found.asked,
            Deed::Add => &found.adding,
        };
        if let Some(kept) = kept {
            return Ok(Some(kept.options.clone()));
        }
        let mut next = (*found).clone();
        let made = match deed {
            Deed::Prove => {
                next.asked = ask(services, &known);
                &next.asked
            }
            Deed::Add => {
                next.adding = invite(services, &found, &known)?;
                &next.adding
            }
        };
        let Some(options) = made.as_ref().map(|made| made.options.clone()) else { return Ok(None) };
        match services.store.batch().replace(&key, &found, &next).commit().await {
            Ok(()) => return Ok(Some(options)),
            Err(store::Error::Conflict) => {}
            // Without room on the disk the page is drawn all the same.
            Err(store::Error::ReadOnly(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Adds the passkey that a device has made, to those of who is signed in. What is wrong with it, if something is.
pub async fn add(
    services: &Services,
    by: &Editor,
    session: &SessionId,
    (answer, name): (&str, String),
) -> Result<Problems, Error> {
    let over = || Error::Refused(Refusal::SessionExpired);
    let key = session.hash();
    let found = services.store.find::<AdminSession>(&key).await?;
    let found = found.filter(|found| found.stage == Stage::Signed).ok_or_else(over)?;
    let known = services.store.find::<SecondFactor>(&found.who).await?.ok_or_else(over)?;
    let Some(adding) = &found.adding else { return Ok(Problems::of_form(Problem::PasskeyRefused)) };
    if known.passkeys.len() >= Passkey::MOST {
        return Ok(Problems::of_form(Problem::PasskeysTooMany));
    }
    // It is answered once, whatever comes of it.
    let answered = AdminSession { adding: None, ..(*found).clone() };
    let mut batch = services.store.batch().replace(&key, &found, &answered);
    let problems = match held::passkeys(services)?.accept(adding, answer, &known.passkeys) {
        Ok((id, credential)) => {
            let mut more = (*known).clone();
            more.passkeys.push(Passkey { id, name, credential, added_at: services.now(), used_at: None });
            let event = access::event(services, by, "passkey_added", (&found.name, Some(&found.who)));
            batch = batch.replace(&found.who, &known, &more).event(&event);
            if let AdminId::Account(account) = &found.who {
                batch = outbox::tell_of_access(services, batch, account, (&found.name, by.address));
            }
            Problems::new()
        }
        Err(fault) => {
            tracing::info!(?fault, "a new passkey for the panel is refused");
            Problems::of_form(match fault {
                Fault::Known => Problem::PasskeyKnown,
                Fault::Refused(_) => Problem::PasskeyRefused,
            })
        }
    };
    batch.commit().await?;
    Ok(problems)
}

/// Removes one of the passkeys of who is signed in. The app stays, so it is never the last second factor.
pub async fn remove(services: &Services, by: &Editor, who: &AdminId, id: &str) -> Result<(), Error> {
    let Some(known) = services.store.find::<SecondFactor>(who).await? else { return Ok(()) };
    let mut less = (*known).clone();
    less.passkeys.retain(|passkey| passkey.id != id);
    if less == *known {
        return Ok(());
    }
    let event = access::event(services, by, "passkey_removed", (&known.name, Some(who)));
    let mut batch = services.store.batch().replace(who, &known, &less).event(&event);
    if let AdminId::Account(account) = who {
        batch = outbox::tell_of_access(services, batch, account, (&known.name, by.address));
    }
    Ok(batch.commit().await?)
}
