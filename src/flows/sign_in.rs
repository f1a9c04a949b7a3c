//! Signing in to the admin panel: a password, then the code of an authenticator app; every step under a session of its
//! own. And the link by which the account of Regain itself is made.

use std::net::IpAddr;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Error, Services, access::Invited, answer, attempt, identify::Identified, note, outbox, panel_passkeys,
    random, session::SessionId,
};
use crate::{
    directory::PasswordCheck,
    domain::{
        account::{Account, AccountKey, DomainName},
        admin::{AdminId, AdminSession, Invitation, LocalAdmin, Role, SecondFactor, SetupLink, Stage},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        code::Code,
        enrollment::App,
        field::{Field, Problem, Problems},
        flow::Challenge,
        lockout::{Allowance, Subject, Tally},
        network::{network_of, site_of},
        refusal::Refusal,
        secret::Password,
        slow_hash::SlowHash,
        totp::TotpSecret,
    },
    store::{self, Found, keyring::keyed_hash, seal},
};

/// How often it is made sure that someone still may.
pub(super) const CHECK: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a step of signing in led.
#[derive(Debug)]
pub enum Next {
    /// On, under this session.
    On(SessionId),
    /// The form has to be filled in again.
    Wrong(Problems),
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Who it is.
    pub who: AdminId,
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they showed the code of their app a short while ago.
    pub is_fresh: bool,
}

/// Where a session of the panel stands.
#[derive(Debug)]
pub enum Standing {
    /// There is none, or it is over.
    None,
    /// Signing in.
    Pending(Box<Found<AdminSession>>),
    /// Signed in.
    Signed(Admin),
}

/// Makes a link for the console, if nobody could sign in yet, neither as Regain itself nor with a second factor: the
/// token in it.
pub async fn invite(services: &Services) -> Result<Option<String>, Error> {
    let store = &services.store;
    let is_open = store.find::<LocalAdmin>(&()).await?.is_none()
        && store.page::<SecondFactor>(None, 1).await?.is_empty();
    if is_open { make_link(services).await.map(Some) } else { Ok(None) }
}

/// Makes a link that is good whoever could sign in: for who has the console.
pub async fn make_link(services: &Services) -> Result<String, Error> {
    let (token, hash) = draw_link()?;
    adopt_link(services, &hash).await?;
    Ok(token)
}

/// A token of 256 bits for a link that is made outside this process: the token, and what is to be handed to [`adopt_link`].
pub fn draw_link() -> Result<(String, String), Error> {
    let token: [u8; 32] = random()?;
    Ok((URL_SAFE_NO_PAD.encode(token), URL_SAFE_NO_PAD.encode(sha256(&token))))
}

/// Takes up a link that was made on the console.
pub async fn adopt_link(services: &Services, hash: &str) -> Result<(), Error> {
    let hash = read_hash(hash)?;
    let link = SetupLink { hash, until: services.now() + SetupLink::LIFE };
    services.store.batch().put(&(), &link).commit().await?;
    Ok(())
}

/// What [`draw_link`] gave for it.
pub(super) fn read_hash(hash: &str) -> Result<[u8; 32], Error> {
    let hash = URL_SAFE_NO_PAD.decode(hash).ok().and_then(|hash| hash.try_into().ok());
    hash.ok_or_else(|| Error::Internal("it is not one of Regain's".into()))
}

/// The hash of the token in a link, if it could be one.
pub(super) fn hash_of(token: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(token).ok().map(|token| sha256(&token))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The link that the token is of, if it is good.
async fn link(services: &Services, token: &str) -> Result<Option<Found<SetupLink>>, Error> {
    let Some(hash) = hash_of(token) else { return Ok(None) };
    let link = services.store.find::<SetupLink>(&()).await?;
    Ok(link.filter(|link| verify_slices_are_equal(&link.hash, &hash).is_ok() && link.until > services.now()))
}

/// The secret of the app of an account, which gets one if it has none: for a demonstration.
pub async fn demonstrate(services: &Services, account: &Account) -> Result<TotpSecret, Error> {
    let who = AdminId::Account(account.key.clone());
    let sealed = match services.store.find::<SecondFactor>(&who).await? {
        Some(known) => known.into_inner().app.sealed,
        None => {
            let sealed = new_secret(services, &who)?;
            let app = App { sealed: sealed.clone(), added_at: services.now(), last_step: 0 };
            let factor = SecondFactor { name: account.qualified_name(), app, passkeys: Vec::new() };
            services.store.batch().write(&who, None, &factor).commit().await?;
            sealed
        }
    };
    open_secret(services, &who, &sealed).ok_or_else(|| Error::Internal("an app can't be opened".into()))
}

/// Whether the token in a link is good.
pub async fn is_invited(services: &Services, token: &str) -> Result<bool, Error> {
    Ok(link(services, token).await?.is_some())
}

/// Takes name and password of the account of Regain itself, by the link. It is made when its app has shown a code.
pub async fn set_up(
    services: &Services,
    token: &str,
    address: IpAddr,
    name: String,
    password: Password,
) -> Result<Next, Error> {
    let Some(link) = link(services, token).await? else { return Err(Error::Refused(Refusal::SetupLinkVoid)) };
    let (salt, cost) = (random()?, answer::hash_cost(services));
    let keys = std::sync::Arc::clone(&services.keys);
    let hashed = services
        .hashing
        .run(move || SlowHash::make(password.reveal().as_bytes(), salt, cost, &keys.pepper))
        .await?;
    let hash = hashed.map_err(|e| Error::Internal(e.to_string()))?;
    let admin = LocalAdmin { name: name.clone(), hash, made_at: services.now() };
    let sealed = new_secret(services, &AdminId::Local)?;
    let stage = Stage::NewLocal { admin, sealed, link: link.hash };
    let who = (AdminId::Local, name, Role::Administrator);
    begin(services, who, (stage, None, None), address).await.map(Next::On)
}

async fn begin(
    services: &Services,
    (who, name, role): (AdminId, String, Role),
    (stage, invitation, asked): (Stage, Option<[u8; 32]>, Option<Challenge>),
    address: IpAddr,
) -> Result<SessionId, Error> {
    let now = services.now();
    let session = SessionId::new()?;
    let record = AdminSession {
        who,
        name,
        role,
        stage,
        began_at: now,
        touched_at: now,
        proved_at: now,
        local_made_at: None,
        checked_at: now,
        address,
        invitation,
        asked,
        adding: None,
    };
    services.store.batch().insert(&session.hash(), &record).commit().await?;
    Ok(session)
}

fn new_secret(services: &Services, who: &AdminId) -> Result<String, Error> {
    let secret = TotpSecret::new(random()?);
    Ok(seal::seal(&services.keys.methods, &place(who), secret.reveal())?)
}

/// Where the secret of an administrator's app belongs.
pub(super) fn place(who: &AdminId) -> Vec<u8> {
    match who {
        AdminId::Local => b"admin\0".to_vec(),
        AdminId::Account(key) => {
            [b"admin\0", key.domain.as_str().as_bytes(), &[0], key.guid.bytes()].concat()
        }
    }
}

fn open_secret(services: &Services, who: &AdminId, sealed: &str) -> Option<TotpSecret> {
    let bytes = seal::open(&services.keys.methods, &place(who), sealed).ok()?;
    bytes.as_slice().try_into().ok().map(TotpSecret::new)
}

/// The secret of the app that is being set up, if one is.
pub fn shown_secret(services: &Services, session: &AdminSession) -> Option<TotpSecret> {
    match &session.stage {
        Stage::NewApp(sealed) | Stage::NewLocal { sealed, .. } => open_secret(services, &session.who, sealed),
        Stage::Code | Stage::Signed => None,
    }
}

/// Under what the tries of an administrator are counted: apart from those of the same person as a user.
fn subject(services: &Services, who: &AdminId) -> Subject {
    counted_as(services, &place(who))
}

/// Under what wrong passwords of the account of Regain itself are counted, each with its threshold: by where they come
/// from, and more of them by the site that is a part of. Counted all together, a stranger could keep its owner out on
/// the day it is needed.
fn doors(services: &Services, address: IpAddr) -> [(Subject, u32); 2] {
    let site = format!("site {}", site_of(address));
    [
        (counted_as(services, network_of(address).to_string().as_bytes()), 5),
        (counted_as(services, site.as_bytes()), 22),
    ]
}

fn counted_as(services: &Services, what: &[u8]) -> Subject {
    let hash = keyed_hash(&services.keys.decoys, &[b"admin", what]);
    let mut name = [0; 16];
    name.copy_from_slice(&hash[..16]);
    Subject::Unknown { domain: DomainName::new("admin"), name }
}

fn event(services: &Services, (name, address): (&str, IpAddr), outcome: Outcome, detail: &str) -> Event {
    Event {
        at: services.now(),
        outcome,
        source: "admin".into(),
        user: String::new(),
        domain: String::new(),
        action: Action::SignIn,
        detail: detail.into(),
        source_ip: Some(address),
        source_user: Some(name.chars().filter(|c| !c.is_control()).take(256).collect())
            .filter(|name: &String| !name.is_empty()),
        account: None,
        reference: None,
    }
}

/// Writes down that someone came by a link that was not good.
pub async fn note_refused_link(services: &Services, address: IpAddr, refusal: Refusal) {
    note(services, event(services, ("", address), Outcome::Failure, refusal.code()), None).await;
}

/// The answer to all who are not let in, so that the panel tells nobody that a password is right which opens nothing here.
fn closed() -> Next {
    Next::Wrong(Problems::of(Field::Password, Problem::PanelClosed))
}

/// Takes name and password of the account of Regain itself. After three wrong ones an address has to wait, after twenty
/// all of its site; the account is never locked.
pub async fn enter_local(
    services: &Services,
    address: IpAddr,
    name: &str,
    password: Password,
) -> Result<Next, Error> {
    let admin = services.store.find::<LocalAdmin>(&()).await?.map(Found::into_inner);
    let doors = doors(services, address);
    let _turn = services.turns.of(&doors[0].0).await;
    let now = services.now();
    for (subject, threshold) in &doors {
        let spend = |tally: &mut Tally| {
            let spent = tally.spend_password(None, *threshold, now);
            (spent, spent != Allowance::Granted && tally.tell_held_up())
        };
        let (spent, is_first) = attempt::count(services, subject, spend).await?;
        if let Allowance::Wait(wait) = spent {
            if is_first {
                let held_up = event(services, (name, address), Outcome::Failure, "rate_limited");
                note(services, held_up, None).await;
            }
            return Err(Error::Refused(Refusal::RateLimited { seconds: wait.as_secs() }));
        }
    }
    let is_name = admin.as_ref().is_some_and(|admin| admin.name.eq_ignore_ascii_case(name));
    let hash = admin
        .as_ref()
        .map_or_else(|| SlowHash::decoy(answer::hash_cost(services)), |admin| admin.hash.clone());
    let keys = std::sync::Arc::clone(&services.keys);
    let compared =
        services.hashing.run(move || hash.matches(password.reveal().as_bytes(), &keys.pepper)).await;
    let compared = match compared {
        Ok(compared) => compared,
        Err(error) => {
            // Nothing was compared: the try is given back.
            for (subject, _) in &doors {
                attempt::count(services, subject, Tally::refund_password).await?;
            }
            return Err(error);
        }
    };
    let is_right = compared.map_err(|e| Error::Internal(e.to_string()))?;
    let Some(admin) = admin.filter(|_| is_name && is_right) else {
        note(services, event(services, (name, address), Outcome::Failure, "password"), None).await;
        return Ok(closed());
    };
    for (subject, _) in &doors {
        attempt::count(services, subject, Tally::forgive_passwords).await?;
    }
    go_on(services, (AdminId::Local, admin.name, Role::Administrator), None, address).await
}

/// Takes name and password of an account of a directory, which may come by an invitation. Tries end while two are left
/// until its lockout, as anywhere.
pub async fn enter(
    services: &Services,
    address: IpAddr,
    who: Identified,
    password: Password,
    invited: Option<Invited>,
) -> Result<Next, Error> {
    let directory = services.directory(&who.domain)?;
    let found = directory.find(&who.name).await?;
    let subject = services.subject_of(found.as_ref(), &who.domain, &who.name.canonical());
    let turn = services.turns.of(&subject).await;
    let tried =
        attempt::try_password(services, &*directory, (&subject, &turn), found.as_ref(), &password).await?;
    drop(turn);
    let failed = |detail: &str| Event {
        domain: who.domain.to_string(),
        ..event(services, (&who.typed, address), Outcome::Failure, detail)
    };
    let account = match tried {
        Some((account, PasswordCheck::Right)) => account,
        None | Some((_, PasswordCheck::Wrong | PasswordCheck::LockedOut)) => {
            note(services, failed("password"), None).await;
            return Ok(closed());
        }
        Some(_) => {
            note(services, failed("account"), None).await;
            return Ok(closed());
        }
    };
    let role =
        services.settings.load().admin.role(&account).filter(|_| !account.disabled && !account.expired);
    let Some(role) = role else {
        note(services, failed("admin_not_permitted"), None).await;
        return Ok(closed());
    };
    let name = account.qualified_name();
    let invited = invited.filter(|invited| invited.invitation.is_for(&account)).map(|invited| invited.hash);
    go_on(services, (AdminId::Account(account.key), name, role), invited, address).await
}

/// The password was right. Alone it never lets anybody add the second factor: whoever has found it out could.
async fn go_on(
    services: &Services,
    who: (AdminId, String, Role),
    invited: Option<[u8; 32]>,
    address: IpAddr,
) -> Result<Next, Error> {
    let next = if let Some(known) = services.store.find::<SecondFactor>(&who.0).await? {
        (Stage::Code, None, panel_passkeys::ask(services, &known))
    } else if invited.is_some() {
        (Stage::NewApp(new_secret(services, &who.0)?), invited, None)
    } else {
        let failed = event(services, (&who.1, address), Outcome::Failure, "second_factor_missing");
        note(services, failed, None).await;
        return Ok(closed());
    };
    begin(services, who, next, address).await.map(Next::On)
}

/// Takes the code of the app: of the one that was set up before, or of the one that is being set up.
pub async fn confirm(
    services: &Services,
    session: &SessionId,
    seen: &AdminSession,
    code: Code,
) -> Result<Next, Error> {
    // Who makes the account anew is not held up by those who know its old password: the secret is on the page.
    let subject = match &seen.stage {
        Stage::NewLocal { link, .. } => counted_as(services, link),
        _ => subject(services, &seen.who),
    };
    let _turn = services.turns.of(&subject).await;
    let Some(found) = services.store.find::<AdminSession>(&session.hash()).await? else {
        return Err(Error::Refused(Refusal::SessionExpired));
    };
    let known = services.store.find::<SecondFactor>(&found.who).await?;
    let (sealed, after) = match (&found.stage, &known) {
        (Stage::Code, Some(known)) => (known.app.sealed.clone(), Some(known.app.last_step)),
        (Stage::NewApp(sealed), None) | (Stage::NewLocal { sealed, .. }, _) => (sealed.clone(), None),
        _ => return Err(Error::Refused(Refusal::SessionExpired)),
    };
    let Some(step) = try_code(services, &subject, &found, (&sealed, after), &code).await? else {
        return Ok(Next::Wrong(Problems::of(Field::Code, Problem::AppCodeWrong)));
    };
    let now = services.now();
    let before = known.as_deref().filter(|_| found.stage == Stage::Code);
    let app = App { sealed, added_at: before.map_or(now, |known| known.app.added_at), last_step: step };
    let passkeys = before.map(|known| known.passkeys.clone()).unwrap_or_default();
    let factor = SecondFactor { name: found.name.clone(), app, passkeys };
    sign(services, session, found, known, factor, now).await
}

/// Takes what a passkey signed, in the place of a code of the app.
pub async fn confirm_by_passkey(
    services: &Services,
    session: &SessionId,
    who: &AdminId,
    answer: &str,
) -> Result<Next, Error> {
    let subject = subject(services, who);
    let _turn = services.turns.of(&subject).await;
    let over = || Error::Refused(Refusal::SessionExpired);
    let found = services.store.find::<AdminSession>(&session.hash()).await?;
    let found = found.filter(|found| found.stage == Stage::Code).ok_or_else(over)?;
    let known = services.store.find::<SecondFactor>(&found.who).await?.ok_or_else(over)?;
    let Some(factor) = try_passkey(services, &subject, (session, &found), &known, answer).await? else {
        return Ok(Next::Wrong(Problems::of_form(Problem::PasskeyRefused)));
    };
    let factor = SecondFactor { name: found.name.clone(), ..factor };
    sign(services, session, found, Some(known), factor, services.now()).await
}

/// Counts a try, then looks whether one of the account's passkeys has signed what the session asks; the second factor
/// as it is to be kept from now on. What was asked is asked once: after a refusal it is something else.
async fn try_passkey(
    services: &Services,
    subject: &Subject,
    (session, found): (&SessionId, &Found<AdminSession>),
    known: &SecondFactor,
    answer: &str,
) -> Result<Option<SecondFactor>, Error> {
    let Some(challenge) = &found.asked else { return Err(Error::Refused(Refusal::SessionExpired)) };
    count_try(services, subject, found).await?;
    if let Some(used) = panel_passkeys::judge(services, &found.who, known, challenge, answer)? {
        attempt::count(services, subject, Tally::forgive_codes).await?;
        return Ok(Some(used));
    }
    let failed = event(services, (&found.name, found.address), Outcome::Failure, "passkey");
    let next = AdminSession { asked: panel_passkeys::ask(services, known), ..(**found).clone() };
    services.store.batch().replace(&session.hash(), found, &next).event(&failed).commit().await?;
    Ok(None)
}

/// Counts a try at a second factor, before anything is compared.
async fn count_try(services: &Services, subject: &Subject, session: &AdminSession) -> Result<(), Error> {
    let now = services.now();
    let waits = |tally: &mut Tally| {
        let wait = tally.wait_for_codes(now);
        if wait.is_none() {
            tally.count_code(now);
        }
        wait.map(|wait| (wait, tally.tell_held_up()))
    };
    let Some((wait, is_first)) = attempt::count(services, subject, waits).await? else { return Ok(()) };
    if is_first {
        let held_up = event(services, (&session.name, session.address), Outcome::Failure, "rate_limited");
        note(services, held_up, None).await;
    }
    Err(Error::Refused(Refusal::CodeTriesSpent { seconds: wait.as_secs() }))
}

/// Counts a try, then looks whether a code is the app's, and newer than the one of that step.
async fn try_code(
    services: &Services,
    subject: &Subject,
    session: &AdminSession,
    (sealed, after): (&str, Option<u64>),
    code: &Code,
) -> Result<Option<u64>, Error> {
    count_try(services, subject, session).await?;
    let step =
        open_secret(services, &session.who, sealed).and_then(|secret| secret.step_of(code, services.now()));
    let step = step.filter(|step| after.is_none_or(|after| *step > after));
    if step.is_some() {
        attempt::count(services, subject, Tally::forgive_codes).await?;
    } else {
        let failed = event(services, (&session.name, session.address), Outcome::Failure, "code");
        note(services, failed, None).await;
    }
    Ok(step)
}

/// Takes the code of the app from someone who is signed in, before what decides who is let in; false if it is wrong.
pub async fn prove_again(services: &Services, session: &SessionId, code: &Code) -> Result<bool, Error> {
    renew(services, session, async |subject, seen, known| {
        let app = (known.app.sealed.as_str(), Some(known.app.last_step));
        let step = try_code(services, subject, seen, app, code).await?;
        let factor = known.clone();
        Ok(step.map(|step| SecondFactor { app: App { last_step: step, ..factor.app }, ..factor }))
    })
    .await
}

/// The same with a passkey; what it signs is asked by [`panel_passkeys::offer`].
pub async fn prove_again_by_passkey(
    services: &Services,
    session: &SessionId,
    answer: &str,
) -> Result<bool, Error> {
    renew(services, session, async |subject, seen, known| {
        try_passkey(services, subject, (session, seen), known, answer).await
    })
    .await
}

/// Notes that someone who is signed in has just proved it again, if the trial gives a second factor to be kept.
async fn renew(
    services: &Services,
    session: &SessionId,
    trial: impl AsyncFnOnce(&Subject, &Found<AdminSession>, &SecondFactor) -> Result<Option<SecondFactor>, Error>,
) -> Result<bool, Error> {
    let key = session.hash();
    let over = || Error::Refused(Refusal::SessionExpired);
    let seen = services.store.find::<AdminSession>(&key).await?.ok_or_else(over)?;
    let subject = subject(services, &seen.who);
    let _turn = services.turns.of(&subject).await;
    // Read again inside the turn: what was asked may have been answered meanwhile.
    let seen = services.store.find::<AdminSession>(&key).await?.ok_or_else(over)?;
    let known = services.store.find::<SecondFactor>(&seen.who).await?.ok_or_else(over)?;
    let Some(factor) = trial(&subject, &seen, &known).await? else { return Ok(false) };
    loop {
        let found = services.store.find::<AdminSession>(&key).await?;
        let found = found.filter(|found| found.stage == Stage::Signed).ok_or_else(over)?;
        let now = services.now();
        let proved = AdminSession { proved_at: now, touched_at: now, asked: None, ..(*found).clone() };
        let event = event(services, (&found.name, found.address), Outcome::Success, "proved_again");
        let batch = services.store.batch().replace(&key, &found, &proved);
        match batch.replace(&seen.who, &known, &factor).event(&event).commit().await {
            Ok(()) => return Ok(true),
            // Another page of the same session was opened meanwhile; or the second factor was changed.
            Err(store::Error::Conflict)
                if services.store.find(&seen.who).await?.is_some_and(|now| now == known) => {}
            Err(store::Error::Conflict) => return Err(over()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Signs in, under a session that nobody has seen before.
async fn sign(
    services: &Services,
    session: &SessionId,
    found: Found<AdminSession>,
    known: Option<Found<SecondFactor>>,
    factor: SecondFactor,
    now: Timestamp,
) -> Result<Next, Error> {
    let fresh = SessionId::new()?;
    let local_made_at = match (&found.who, &found.stage) {
        (AdminId::Local, Stage::NewLocal { .. }) => Some(now),
        (AdminId::Local, _) => services.store.find::<LocalAdmin>(&()).await?.map(|account| account.made_at),
        (AdminId::Account(_), _) => None,
    };
    let signed = AdminSession {
        local_made_at,
        stage: Stage::Signed,
        began_at: now,
        touched_at: now,
        proved_at: now,
        asked: None,
        ..(*found).clone()
    };
    let mut batch = services
        .store
        .batch()
        .remove(&session.hash(), &found)
        .insert(&fresh.hash(), &signed)
        .write(&found.who, known.as_ref(), &factor);
    let mut detail = if known.is_none() { "app_added" } else { "" };
    if let Stage::NewApp(_) = &found.stage {
        let (hash, store) = (found.invitation.unwrap_or_default(), &services.store);
        let invitation = store.find::<Invitation>(&hash).await?.filter(|invitation| invitation.until > now);
        let Some(invitation) = invitation else { return Err(Error::Refused(Refusal::InvitationVoid)) };
        batch = batch.remove(&hash, &invitation);
    }
    if let Stage::NewLocal { admin, link, .. } = &found.stage {
        // The link is good once, whoever else has got as far with it.
        let Some(current) = services.store.find::<SetupLink>(&()).await?.filter(|now| now.hash == *link)
        else {
            return Err(Error::Refused(Refusal::SetupLinkVoid));
        };
        let before = services.store.find::<LocalAdmin>(&()).await?;
        // From now on: sessions of the account that was there before end.
        let admin = LocalAdmin { made_at: now, ..admin.clone() };
        batch = batch.remove(&(), &current).write(&(), before.as_ref(), &admin);
        detail = "setup";
    }
    if let (None, AdminId::Account(account)) = (&known, &found.who) {
        batch = outbox::tell_of_access(services, batch, account, (&signed.name, Some(signed.address)));
    }
    let event = event(services, (&signed.name, signed.address), Outcome::Success, detail);
    match batch.event(&event).commit().await {
        Ok(()) => Ok(Next::On(fresh)),
        Err(store::Error::Conflict) => Err(Error::Refused(Refusal::SessionExpired)),
        Err(error) => Err(error.into()),
    }
}

/// Where a session stands: whether it is over, and, each minute, whether its owner still may.
pub async fn standing(services: &Services, session: &SessionId) -> Result<Standing, Error> {
    let key = session.hash();
    let Some(found) = services.store.find::<AdminSession>(&key).await? else { return Ok(Standing::None) };
    let (settings, now) = (services.settings.load_full(), services.now());
    if found.is_over(settings.admin.idle(), settings.admin.longest(), now) {
        end(services, &key).await?;
        return Ok(Standing::None);
    }
    if found.stage != Stage::Signed {
        return Ok(Standing::Pending(Box::new(found)));
    }
    let mut current = (*found).clone();
    // The account of Regain itself is at hand; a directory is asked each minute.
    if found.who == AdminId::Local || now.since(found.checked_at) >= CHECK {
        let Some(role) = role_of(services, &found).await? else {
            end_with(services, &key, Some((Outcome::Failure, "membership_ended"))).await?;
            return Ok(Standing::None);
        };
        current.role = role;
        if found.who != AdminId::Local {
            current.checked_at = now;
        }
    }
    if now.since(found.touched_at) >= std::time::Duration::from_secs(15) {
        current.touched_at = now;
    }
    if current != *found {
        match services.store.batch().replace(&key, &found, &current).commit().await {
            // Ended in the meantime: then this is the last page of it. A disk without room ends nobody's session.
            Ok(()) | Err(store::Error::Conflict | store::Error::ReadOnly(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let is_fresh = current.is_fresh(now);
    Ok(Standing::Signed(Admin { who: current.who, name: current.name, role: current.role, is_fresh }))
}

async fn role_of(services: &Services, session: &AdminSession) -> Result<Option<Role>, Error> {
    match &session.who {
        AdminId::Local => {
            let account = services.store.find::<LocalAdmin>(&()).await?;
            let account = account.filter(|account| Some(account.made_at) == session.local_made_at);
            Ok(account.map(|_| Role::Administrator))
        }
        AdminId::Account(key) => role_of_account(services, key).await,
    }
}

async fn role_of_account(services: &Services, key: &AccountKey) -> Result<Option<Role>, Error> {
    let Ok(directory) = services.directory(&key.domain) else { return Ok(None) };
    let account = directory.load(key.guid).await?;
    let account = account.filter(|account| !account.disabled && !account.expired);
    Ok(account.and_then(|account| services.settings.load().admin.role(&account)))
}

/// Whether someone could still sign in as administrator: for what goes on in their name without a session.
pub(super) async fn is_administrator(services: &Services, who: &AdminId) -> Result<bool, Error> {
    if services.store.find::<SecondFactor>(who).await?.is_none() {
        return Ok(false);
    }
    match who {
        AdminId::Local => Ok(services.store.find::<LocalAdmin>(&()).await?.is_some()),
        AdminId::Account(key) => Ok(role_of_account(services, key).await? == Some(Role::Administrator)),
    }
}

/// Ends a session, by the hash of its secret, whatever else happens to it meanwhile.
pub async fn end(services: &Services, key: &[u8; 32]) -> Result<(), Error> {
    end_with(services, key, None).await
}

/// Ends the session of someone who signs out.
pub async fn sign_out(services: &Services, key: &[u8; 32]) -> Result<(), Error> {
    end_with(services, key, Some((Outcome::Success, "signed_out"))).await
}

async fn end_with(services: &Services, key: &[u8; 32], told: Option<(Outcome, &str)>) -> Result<(), Error> {
    while let Some(found) = services.store.find::<AdminSession>(key).await? {
        let mut batch = services.store.batch().remove(key, &found);
        if let Some((outcome, detail)) = told {
            batch = batch.event(&event(services, (&found.name, found.address), outcome, detail));
        }
        match batch.commit().await {
            Ok(()) => break,
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
