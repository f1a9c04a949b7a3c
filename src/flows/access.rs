//! Who has a way into the admin panel: invitations, second factors, sessions, and how administrators look after them.

use super::{Error, Services, change_settings::Editor, outbox, sign_in};
use crate::{
    domain::{
        account::{DomainName, LogonName},
        admin::{AdminId, AdminSession, Invitation, Role, SecondFactor, Stage},
        audit::{Action, Event, Outcome},
        refusal::Refusal,
    },
    store::{self, Found, Kept},
};

/// So many records are read at a time.
const PAGE: usize = 500;

/// An invitation that someone comes by.
#[derive(Debug)]
pub struct Invited {
    /// The hash of its token.
    pub hash: [u8; 32],
    /// What it says.
    pub invitation: Invitation,
}

/// A session of someone who is signed in.
#[derive(Debug)]
pub struct Session {
    /// The hash of its secret.
    pub key: [u8; 32],
    /// What is kept of it.
    pub record: AdminSession,
}

/// The name of an account as an invitation has it; `None` if there is no such account.
pub async fn invitee(
    services: &Services,
    domain: &DomainName,
    name: &LogonName,
) -> Result<Option<String>, Error> {
    let account = services.directory(domain)?.find(name).await?;
    Ok(account.map(|account| account.qualified_name()))
}

/// Makes an invitation, for someone or for whoever may use the panel: the token in it.
pub async fn invite(services: &Services, by: &Editor, name: Option<String>) -> Result<String, Error> {
    let (token, hash) = sign_in::draw_link()?;
    adopt_invitation(services, by, &hash, name).await?;
    Ok(token)
}

/// Takes up an invitation whose token was drawn elsewhere, see [`sign_in::draw_link`].
pub async fn adopt_invitation(
    services: &Services,
    by: &Editor,
    hash: &str,
    name: Option<String>,
) -> Result<(), Error> {
    let event = event(services, by, "invited", (name.as_deref().unwrap_or_default(), None));
    let until = services.now() + Invitation::LIFE;
    let invitation = Invitation { name, by: by.name.clone(), until };
    let batch = services.store.batch().insert(&sign_in::read_hash(hash)?, &invitation);
    batch.event(&event).commit().await?;
    Ok(())
}

/// The invitation that the token is of, if it is good.
pub async fn find_invitation(services: &Services, token: &str) -> Result<Option<Invited>, Error> {
    let Some(hash) = sign_in::hash_of(token) else { return Ok(None) };
    let found = services.store.find::<Invitation>(&hash).await?.map(Found::into_inner);
    let found = found.filter(|invitation| invitation.until > services.now());
    Ok(found.map(|invitation| Invited { hash, invitation }))
}

/// The invitations that are open.
pub async fn list_invitations(services: &Services) -> Result<Vec<Invited>, Error> {
    let now = services.now();
    let all = list::<Invitation>(services).await?.into_iter();
    let open = all.filter(|(_, invitation)| invitation.until > now);
    let open = open.filter_map(|(key, invitation)| {
        Some(Invited { hash: key.get(1..)?.try_into().ok()?, invitation: invitation.into_inner() })
    });
    Ok(open.collect())
}

/// Takes an invitation back.
pub async fn revoke_invitation(services: &Services, by: &Editor, hash: &[u8; 32]) -> Result<(), Error> {
    let Some(found) = services.store.find::<Invitation>(hash).await? else { return Ok(()) };
    let whose = (found.name.as_deref().unwrap_or_default(), None);
    let event = event(services, by, "invitation_revoked", whose);
    match services.store.batch().remove(hash, &found).event(&event).commit().await {
        // It was used, or somebody else was faster.
        Ok(()) | Err(store::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The second factors there are.
pub async fn list_factors(services: &Services) -> Result<Vec<(AdminId, SecondFactor)>, Error> {
    let all = list::<SecondFactor>(services).await?.into_iter();
    let all = all.filter_map(|(key, factor)| Some((store::owner_of_factor(&key)?, factor.into_inner())));
    Ok(all.collect())
}

/// The second factor of who is signed in.
pub async fn find_factor(services: &Services, who: &AdminId) -> Result<Option<SecondFactor>, Error> {
    Ok(services.store.find::<SecondFactor>(who).await?.map(Found::into_inner))
}

/// Takes a colleague's second factor away, and ends their sessions: for who has lost the phone. That of Regain's own
/// account is made anew on the console, and nobody takes their own last one.
pub async fn reset_factor(services: &Services, by: &Editor, who: &AdminId) -> Result<(), Error> {
    let AdminId::Account(account) = who else { return Err(Error::Refused(Refusal::AdminNotPermitted)) };
    if by.who.as_ref() == Some(who) {
        return Err(Error::Refused(Refusal::AdminNotPermitted));
    }
    loop {
        let Some(found) = services.store.find::<SecondFactor>(who).await? else { return Ok(()) };
        let event = event(services, by, "second_factor_reset", (&found.name, Some(who)));
        let mut batch = services.store.batch().remove(who, &found).event(&event);
        for (key, session) in list::<AdminSession>(services).await? {
            if session.who == *who {
                batch = batch.remove_raw(key, &session);
            }
        }
        let batch = outbox::tell_of_access(services, batch, account, (&found.name, by.address));
        match batch.commit().await {
            Ok(()) => return Ok(()),
            // One of the sessions was just used.
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The sessions of those who are signed in; of one person only, if one is named.
pub async fn list_sessions(services: &Services, of: Option<&AdminId>) -> Result<Vec<Session>, Error> {
    let (settings, now) = (services.settings.load_full(), services.now());
    let (idle, longest) = (settings.admin.idle(), settings.admin.longest());
    let all = list::<AdminSession>(services).await?.into_iter();
    let open = all.filter(|(_, session)| {
        session.stage == Stage::Signed
            && !session.is_over(idle, longest, now)
            && of.is_none_or(|of| *of == session.who)
    });
    let sessions = open.filter_map(|(key, session)| {
        Some(Session { key: key.get(1..)?.try_into().ok()?, record: session.into_inner() })
    });
    let mut sessions: Vec<Session> = sessions.collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.record.touched_at));
    Ok(sessions)
}

/// Ends a session: administrators anybody's, others their own.
pub async fn end_session(
    services: &Services,
    (by, role): (&Editor, Role),
    key: &[u8; 32],
) -> Result<(), Error> {
    while let Some(found) = services.store.find::<AdminSession>(key).await? {
        if role < Role::Administrator && by.who.as_ref() != Some(&found.who) {
            return Err(Error::Refused(Refusal::AdminNotPermitted));
        }
        let event = event(services, by, "session_ended", (&found.name, Some(&found.who)));
        match services.store.batch().remove(key, &found).event(&event).commit().await {
            Ok(()) => break,
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// All of a kind, however many: who knows a password can begin many sessions, behind which others must not be hidden.
pub(super) async fn list<R: Kept>(services: &Services) -> Result<Vec<(Vec<u8>, Found<R>)>, Error> {
    let mut all: Vec<(Vec<u8>, Found<R>)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page = services.store.page::<R>(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// An event about somebody's way into the panel: what was done, and to whose.
pub(super) fn event(
    services: &Services,
    by: &Editor,
    detail: &str,
    whose: (&str, Option<&AdminId>),
) -> Event {
    let account = match whose.1 {
        Some(AdminId::Account(key)) => Some(key),
        _ => None,
    };
    Event {
        at: services.now(),
        outcome: Outcome::Success,
        source: by.source.into(),
        user: whose.0.to_owned(),
        domain: account.map(|key| key.domain.to_string()).unwrap_or_default(),
        action: Action::Access,
        detail: detail.into(),
        source_ip: by.address,
        source_user: Some(by.name.clone()),
        account: account.map(|key| key.guid),
        reference: None,
    }
}
