//! Proving oneself with something one holds: an authenticator app, a passkey, a recovery code on paper.
//!
//! To ask for one shows nothing of an account and sends nothing, so it may be done before anything is proved; for those
//! who have none, or don't exist, none is right.

use super::{
    Error, Next, Services, Visitor, attempt, code, note,
    prove::{self, Person, look_up},
    random,
};
use crate::{
    domain::{
        account::AccountKey,
        clock::Timestamp,
        code::{Code, CodeHash},
        enrollment::Enrollment,
        field::{Field, Problem, Problems},
        flow::{Challenge, Factor, Flow, Held, Kind, Step},
        lockout::{Subject, Tally},
        refusal::Refusal,
        totp::TotpSecret,
    },
    passkeys::Passkeys,
    store::{self, Found, keyring::keyed_hash, seal},
};

/// After so many passkeys that were refused one has to begin anew.
const MOST_REFUSALS: usize = 10;

/// The step at which one of these is asked for.
pub(super) fn step(services: &Services, factor: Factor, subject: Subject) -> Result<Step, Error> {
    let challenge = if factor == Factor::Passkey { Some(challenge(services)?) } else { None };
    Ok(Step::Held(Held { subject, factor, challenge, tried: Vec::new() }))
}

/// Who asks for passkeys.
pub(super) fn passkeys(services: &Services) -> Result<&Passkeys, Error> {
    services
        .passkeys
        .as_ref()
        .ok_or_else(|| Error::Internal("there are no passkeys without a host name".into()))
}

fn challenge(services: &Services) -> Result<Challenge, Error> {
    passkeys(services)?.ask().map_err(|fault| Error::Internal(fault.to_string()))
}

/// What stands for an account on a device.
pub(super) fn handle(services: &Services, account: &AccountKey) -> [u8; 32] {
    keyed_hash(&services.keys.handles, &[account.domain.as_str().as_bytes(), account.guid.bytes()])
}

/// Where something that is sealed belongs.
pub(super) fn place(account: &AccountKey, factor: Factor) -> Vec<u8> {
    let what = factor.as_str().as_bytes();
    [what, &[0], account.domain.as_str().as_bytes(), &[0], account.guid.bytes()].concat()
}

/// The hash of an account's recovery code.
pub(super) fn recovery_hash(services: &Services, account: &AccountKey, code: &Code) -> CodeHash {
    let parts = [account.domain.as_str().as_bytes(), account.guid.bytes(), code.reveal().as_bytes()];
    CodeHash::new(keyed_hash(&services.keys.recovery, &parts))
}

/// The flow as it is now that it is this form's turn; `None` if it has moved on.
async fn present(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
) -> Result<Option<(Found<Flow>, Held)>, Error> {
    let Step::Held(before) = &seen.step else { return Ok(None) };
    let found = services.store.find::<Flow>(&visitor.key(kind)).await?;
    Ok(found.and_then(|flow| match &flow.step {
        Step::Held(now)
            if flow.nonce == seen.nonce
                && now.factor == before.factor
                && now.challenge == before.challenge =>
        {
            let held = now.clone();
            Some((flow, held))
        }
        _ => None,
    }))
}

/// Takes the code of an app, or a recovery code. The subject's turn is held to the end, as with answers.
pub async fn enter(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    code: Code,
) -> Result<Next, Error> {
    let Step::Held(Held { subject, factor, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let problem = match factor {
        Factor::App => (Field::Code, Problem::AppCodeWrong),
        _ => (Field::Code, Problem::RecoveryCodeWrong),
    };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, held)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let mark = attempt::mark(services, &flow, factor.as_str().as_bytes(), code.reveal().as_bytes());
    if held.tried.contains(&mark) {
        return Ok(Next::Wrong(Problems::of(problem.0, problem.1), None));
    }
    let settings = services.settings.load_full();
    let (counts, now) = (settings.codes.count_wrong_codes, services.now());
    code::spend(services, visitor, kind, &flow, subject, counts).await?;

    let settle = |tally: &mut Tally| code::refund(tally, counts);
    let enrollment = found.enrollment;
    if prove::is_outdated(&flow, enrollment.as_deref()) {
        attempt::count(services, subject, settle).await?;
        return prove::end(services, visitor, kind, &flow).await;
    }
    let used = match factor {
        Factor::App => use_app(services, subject, enrollment.as_deref(), &code, now),
        _ => use_recovery_code(services, subject, enrollment.as_deref(), &code),
    };
    let (Some(used), Some(enrollment), Subject::Known(account)) = (used, enrollment, subject) else {
        let lockout = counts.then_some(settings.security.wrong_answers_until_lockout);
        let close = |tally: &mut Tally| code::close(tally, lockout, now);
        return prove::refuse_wrong(services, visitor, kind, &flow, (subject, mark), problem, close).await;
    };
    let person = Person::after_use(account.clone(), enrollment, used);
    prove::go_on(services, visitor, kind, flow, person, *factor, settle).await
}

/// The enrollment after an app's code was used, if it is right and was not used before. As much is computed where there
/// is no app.
fn use_app(
    services: &Services,
    subject: &Subject,
    enrollment: Option<&Enrollment>,
    code: &Code,
    now: Timestamp,
) -> Option<Enrollment> {
    let app = enrollment.and_then(|enrollment| enrollment.app.as_ref());
    let secret = match (app, subject) {
        (Some(app), Subject::Known(account)) => app_secret(services, account, &app.sealed),
        _ => None,
    };
    let is_real = secret.is_some();
    let step = secret.unwrap_or_else(|| TotpSecret::new([0; TotpSecret::BYTES])).step_of(code, now);
    let step = step.filter(|_| is_real)?;
    let mut used = enrollment?.clone();
    let app = used.app.as_mut().filter(|app| step > app.last_step)?;
    app.last_step = step;
    Some(used)
}

/// The secret of an account's app.
pub(super) fn app_secret(services: &Services, account: &AccountKey, sealed: &str) -> Option<TotpSecret> {
    match seal::open(&services.keys.methods, &place(account, Factor::App), sealed) {
        Ok(bytes) => bytes.as_slice().try_into().ok().map(TotpSecret::new),
        Err(error) => {
            tracing::error!(%error, account = %account.guid, "the secret of an authenticator app is lost");
            None
        }
    }
}

/// The enrollment without the recovery code, if it is one of those that are left.
fn use_recovery_code(
    services: &Services,
    subject: &Subject,
    enrollment: Option<&Enrollment>,
    code: &Code,
) -> Option<Enrollment> {
    let Subject::Known(account) = subject else { return None };
    let hash = recovery_hash(services, account, code);
    let mut used = enrollment?.clone();
    let codes = used.recovery_codes.as_mut()?;
    let before = codes.left.len();
    codes.left.retain(|left| !left.matches(&hash));
    (codes.left.len() < before).then_some(used)
}

/// Takes what a passkey signed. It can't be guessed, so no try is counted; but who is locked out is.
pub async fn sign(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    answer: &str,
) -> Result<Next, Error> {
    let Step::Held(Held { subject, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, held)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let Some(challenge) = &held.challenge else { return Ok(Next::Moved(None)) };
    let lockout = services.settings.load().security.wrong_answers_until_lockout;
    if services.store.find::<Tally>(subject).await?.is_some_and(|tally| tally.is_locked(lockout)) {
        services.store.batch().remove(&visitor.key(kind), &flow).commit().await?;
        return Err(Error::Refused(Refusal::RegainLockout));
    }
    let enrollment = found.enrollment;
    if prove::is_outdated(&flow, enrollment.as_deref()) {
        return prove::end(services, visitor, kind, &flow).await;
    }
    let (owner, own) = match (&enrollment, subject) {
        (Some(enrollment), Subject::Known(account)) => (handle(services, account), &enrollment.passkeys[..]),
        _ => ([0; 32], &[][..]),
    };
    let judged = passkeys(services)?.judge(challenge, answer, &owner, own);
    let ((index, credential), Some(enrollment), Subject::Known(account)) = (match judged {
        Ok(judged) => (judged, enrollment, subject),
        Err(fault) => {
            tracing::info!(?fault, "a passkey is refused");
            return refuse(services, visitor, kind, &flow, held).await;
        }
    }) else {
        return Ok(Next::Moved(None));
    };
    let mut used = (*enrollment).clone();
    if let Some(passkey) = used.passkeys.get_mut(index) {
        passkey.credential = credential;
        passkey.used_at = Some(services.now());
    }
    let person = Person::after_use(account.clone(), enrollment, used);
    prove::go_on(services, visitor, kind, flow, person, Factor::Passkey, |_| ()).await
}

/// The passkey was not taken: another challenge is made, but not without end.
async fn refuse(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    mut held: Held,
) -> Result<Next, Error> {
    let failure = prove::failure(services, visitor, kind, flow, &held.subject, Problem::PasskeyRefused);
    note(services, failure, visitor.language.as_deref()).await;
    let mark: [u8; 8] = random()?;
    held.tried.push(mark);
    let key = visitor.key(kind);
    let is_last = held.tried.len() >= MOST_REFUSALS;
    let batch = services.store.batch();
    let batch = if is_last {
        batch.remove(&key, flow)
    } else {
        let step = Step::Held(Held { challenge: Some(challenge(services)?), ..held });
        let next = Flow { step, touched_at: services.now(), ..flow.clone().into_inner() };
        batch.replace(&key, flow, &next)
    };
    match batch.commit().await {
        Ok(()) | Err(store::Error::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    if is_last {
        return Err(Error::Refused(Refusal::RateLimited { seconds: 60 }));
    }
    Ok(Next::Wrong(Problems::of_form(Problem::PasskeyRefused), None))
}

/// A recovery code: letters and digits that don't look alike.
pub(super) fn make_recovery_code() -> Result<Code, Error> {
    use crate::domain::{code::DIGITS_AND_LETTERS, enrollment::RecoveryCodes};
    Code::make(RecoveryCodes::LENGTH, DIGITS_AND_LETTERS, &random()?)
        .ok_or_else(|| Error::Internal("no code could be made of the random numbers".into()))
}
