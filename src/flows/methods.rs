//! The ways of proving oneself, looked after by a person who has proved the password: an e-mail address is confirmed,
//! an app, a passkey, recovery codes are added and removed.
//!
//! What is added counts only once it was seen to work: a code of the app was right, the passkey has signed, the recovery
//! codes are said to be kept. Until then what there was before is good.

use zeroize::Zeroizing;

use super::{
    Error, Next, Services, Visitor, attempt, code,
    dispatch::{Destinations, Dispatch, Occasion},
    held, note, outbox, random, require_permitted, write,
};
use crate::{
    domain::{
        account::{Account, AccountKey},
        audit::{Action, Event, Outcome},
        code::Code,
        enrollment::{App, Enrollment, Passkey, RecoveryCodes},
        field::{Field, Problem, Problems},
        flow::{Adding, Challenge, Ending, Factor, Flow, Kind, MethodChange, Methods, NewAddress, Step},
        lockout::{Subject, Tally},
        refusal::Refusal,
        secret::SecretText,
        totp::TotpSecret,
    },
    passkeys::{self, Owner},
    settings::Settings,
    store::{self, Found, seal},
};

/// What a person asks for on the page of the methods.
#[derive(Debug, PartialEq, Eq)]
pub enum Deed {
    /// To add one.
    Add(Factor),
    /// To remove one; of the passkeys, the one with that credential ID.
    Remove(Factor, Option<String>),
    /// To choose questions and answers, or the address, anew.
    EnrollAnew,
    /// Back to the overview, without adding anything.
    Back,
    /// The recovery codes are kept.
    Kept,
    /// Another code to the address.
    Resend,
    /// That was all.
    Finish,
}

impl Deed {
    /// Understands the word of a button: `add-app`, `remove-passkey-ID`, `finish`.
    pub fn parse(word: &str) -> Option<Self> {
        if let Some(added) = word.strip_prefix("add-") {
            return Factor::named(added).filter(|factor| factor.is_held()).map(Self::Add);
        }
        if let Some(removed) = word.strip_prefix("remove-") {
            return Some(match removed.strip_prefix("passkey-") {
                Some(id) => Self::Remove(Factor::Passkey, Some(id.to_owned())),
                None => Self::Remove(
                    Factor::named(removed).filter(|f| matches!(f, Factor::App | Factor::RecoveryCode))?,
                    None,
                ),
            });
        }
        Some(match word {
            "enroll" => Self::EnrollAnew,
            "back" => Self::Back,
            "kept" => Self::Kept,
            "resend" => Self::Resend,
            "finish" => Self::Finish,
            _ => return None,
        })
    }
}

/// Whether people can add anything there.
pub(super) fn are_offered(settings: &Settings) -> bool {
    settings.ways().into_iter().any(Factor::is_held)
}

/// The step where a person looks after them.
pub(super) fn overview(account: &Account, enrolled: Option<bool>) -> Result<Methods, Error> {
    Ok(Methods {
        account: account.key.clone(),
        password_set: account.password_last_set,
        adding: None,
        done: None,
        enrolled,
        // A form of an earlier visit to this page, in the same flow, is of another turn.
        turn: u32::from_be_bytes(random()?) / 2,
    })
}

/// The person's flow, account and enrollment as they are now.
struct Present {
    flow: Found<Flow>,
    methods: Methods,
    account: Account,
    enrollment: Found<Enrollment>,
}

impl Present {
    /// The flow at the next turn of the methods' step.
    fn at(&self, services: &Services, adding: Option<Adding>, done: Option<MethodChange>) -> Flow {
        let turn = self.methods.turn + 1;
        let methods = Methods { adding, done, turn, ..self.methods.clone() };
        self.to(services, Step::Methods(methods))
    }

    fn to(&self, services: &Services, step: Step) -> Flow {
        Flow { step, touched_at: services.now(), ..self.flow.clone().into_inner() }
    }
}

/// `None` if the flow has moved on since the form was drawn.
async fn present(services: &Services, visitor: &Visitor, seen: &Flow) -> Result<Option<Present>, Error> {
    let Step::Methods(before) = &seen.step else { return Ok(None) };
    let key = visitor.key(Kind::Enroll);
    let Some(flow) = services.store.find::<Flow>(&key).await? else { return Ok(None) };
    let Step::Methods(methods) = &flow.step else { return Ok(None) };
    if flow.nonce != seen.nonce || methods.turn != before.turn {
        return Ok(None);
    }
    let account = services.directory(&methods.account.domain)?.load(methods.account.guid).await?;
    let account = account.ok_or(Error::Refused(Refusal::AccountNotServed))?;
    require_permitted(services, Kind::Enroll, &account).map_err(Error::Refused)?;
    if account.password_last_set != methods.password_set {
        return Err(Error::Refused(Refusal::SessionExpired));
    }
    let enrollment = services.store.find::<Enrollment>(&methods.account).await?;
    let enrollment = enrollment.ok_or(Error::Refused(Refusal::SessionExpired))?;
    let methods = methods.clone();
    Ok(Some(Present { flow, methods, account, enrollment }))
}

/// Does what a button asks for.
pub async fn act(services: &Services, visitor: &Visitor, seen: &Flow, deed: Deed) -> Result<Next, Error> {
    if deed == Deed::Resend {
        return resend(services, visitor, seen).await;
    }
    let Some(now) = present(services, visitor, seen).await? else { return Ok(Next::Moved(None)) };
    let settings = services.settings.load_full();
    match deed {
        Deed::Add(factor) if !settings.is_on(factor) => Ok(Next::Moved(None)),
        Deed::Add(Factor::Passkey) if now.enrollment.passkeys.len() >= Passkey::MOST => {
            Ok(Next::Wrong(Problems::of_form(Problem::PasskeysTooMany), None))
        }
        Deed::Add(factor) => {
            let adding = begin(services, &now, factor)?;
            turn(services, visitor, &now, now.at(services, Some(adding), None)).await
        }
        Deed::Remove(factor, id) => remove(services, visitor, &now, factor, id.as_deref()).await,
        Deed::EnrollAnew => {
            let password_set = now.methods.password_set;
            let step = Step::Questions { account: now.account.key.clone(), password_set };
            turn(services, visitor, &now, now.to(services, step)).await
        }
        Deed::Back if !are_offered(&settings) => finish(services, visitor, &now).await,
        Deed::Back => turn(services, visitor, &now, now.at(services, None, None)).await,
        Deed::Kept => keep_recovery_codes(services, visitor, &now).await,
        Deed::Resend => Ok(Next::Moved(None)),
        Deed::Finish => finish(services, visitor, &now).await,
    }
}

/// In which ways a person can prove themselves now; and where a code would go, masked.
pub(super) fn usable(
    services: &Services,
    account: &Account,
    enrollment: &Enrollment,
) -> (usize, Vec<String>) {
    let settings = services.settings.load();
    let destinations = Destinations::of(services, account, Some(enrollment)).masked();
    let can = |way: &Factor| match way {
        Factor::Code => !destinations.is_empty(),
        other => enrollment.has(*other),
    };
    (settings.ways().iter().filter(|way| can(way)).count(), destinations)
}

async fn finish(services: &Services, visitor: &Visitor, now: &Present) -> Result<Next, Error> {
    let (usable, _) = usable(services, &now.account, &now.enrollment);
    let ending = match now.methods.enrolled {
        _ if usable < services.settings.load().needed() => Ending::MethodsMissing,
        Some(cleared_lockout) => Ending::Enrolled { cleared_lockout },
        None => Ending::MethodsKept,
    };
    turn(services, visitor, now, now.to(services, Step::Finished(ending))).await
}

/// Writes the flow alone.
async fn turn(services: &Services, visitor: &Visitor, now: &Present, next: Flow) -> Result<Next, Error> {
    let batch = services.store.batch().replace(&visitor.key(Kind::Enroll), &now.flow, &next);
    match batch.commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// Writes the enrollment and the flow with it, and tells the person.
async fn change(
    services: &Services,
    visitor: &Visitor,
    now: &Present,
    mut enrollment: Enrollment,
    what: MethodChange,
    next: Flow,
) -> Result<Next, Error> {
    enrollment.revision = enrollment.revision.wrapping_add(1);
    let event = audit(services, visitor, &now.account, Outcome::Success, what.as_str());
    let (old, new) = (&now.enrollment.email, &enrollment.email);
    // Whoever put another address in place of it must not be the only one to hear of that.
    let former = old.clone().filter(|_| old != new);
    let batch = services.store.batch().replace(&now.account.key, &now.enrollment, &enrollment).replace(
        &visitor.key(Kind::Enroll),
        &now.flow,
        &next,
    );
    let batch = outbox::record_with(services, batch, &event, visitor.language.as_deref(), former);
    match batch.commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

fn audit(services: &Services, visitor: &Visitor, account: &Account, outcome: Outcome, detail: &str) -> Event {
    let event = write::audit(services, visitor, Kind::Enroll, outcome, account, detail);
    Event { action: Action::Methods, ..event }
}

fn begin(services: &Services, now: &Present, factor: Factor) -> Result<Adding, Error> {
    let account = &now.account.key;
    Ok(match factor {
        Factor::App => {
            let secret = TotpSecret::new(random()?);
            Adding::App(seal::seal(
                &services.keys.methods,
                &held::place(account, Factor::App),
                secret.reveal(),
            )?)
        }
        Factor::Passkey => Adding::Passkey(invite(services, now)?),
        _ => {
            let mut codes = Zeroizing::new(String::with_capacity(RecoveryCodes::NUMBER * 64));
            for _ in 0..RecoveryCodes::NUMBER {
                codes.push_str(held::make_recovery_code()?.reveal());
                codes.push('\n');
            }
            let place = held::place(account, Factor::RecoveryCode);
            Adding::RecoveryCodes(seal::seal(&services.keys.methods, &place, codes.as_bytes())?)
        }
    })
}

fn invite(services: &Services, now: &Present) -> Result<Challenge, Error> {
    let handle = held::handle(services, &now.account.key);
    let name = now.account.qualified_name();
    let display_name = now.account.display_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&name);
    let owner = Owner { handle: &handle, name: &name, display_name };
    let invited = held::passkeys(services)?.invite(&owner, &now.enrollment.passkeys);
    invited.map_err(|fault| Error::Internal(fault.to_string()))
}

async fn remove(
    services: &Services,
    visitor: &Visitor,
    now: &Present,
    factor: Factor,
    id: Option<&str>,
) -> Result<Next, Error> {
    let mut less = (*now.enrollment).clone();
    let what = match factor {
        Factor::App => {
            less.app = None;
            MethodChange::AppRemoved
        }
        Factor::Passkey => {
            less.passkeys.retain(|passkey| Some(passkey.id.as_str()) != id);
            MethodChange::PasskeyRemoved
        }
        _ => {
            less.recovery_codes = None;
            MethodChange::RecoveryCodesRemoved
        }
    };
    if less == *now.enrollment {
        return Ok(Next::Moved(None));
    }
    change(services, visitor, now, less, what, now.at(services, None, Some(what))).await
}

/// The recovery codes that are being added, to be shown; `None` if they can't be opened.
pub(super) fn recovery_codes(
    services: &Services,
    account: &AccountKey,
    sealed: &str,
) -> Option<Vec<SecretText>> {
    let place = held::place(account, Factor::RecoveryCode);
    let opened = seal::open(&services.keys.methods, &place, sealed).ok()?;
    let text = std::str::from_utf8(&opened).ok()?;
    Some(text.lines().map(|line| SecretText::new(line.to_owned())).collect())
}

async fn keep_recovery_codes(services: &Services, visitor: &Visitor, now: &Present) -> Result<Next, Error> {
    let Some(Adding::RecoveryCodes(sealed)) = &now.methods.adding else { return Ok(Next::Moved(None)) };
    let account = &now.account.key;
    let codes = recovery_codes(services, account, sealed)
        .ok_or_else(|| Error::Internal("the recovery codes that were shown can't be opened".into()))?;
    let codes = codes.iter().filter_map(|text| Code::parse(text).ok());
    let left = codes.map(|code| held::recovery_hash(services, account, &code)).collect();
    let mut more = (*now.enrollment).clone();
    more.recovery_codes = Some(RecoveryCodes { left, made_at: services.now() });
    let what = MethodChange::RecoveryCodesMade;
    change(services, visitor, now, more, what, now.at(services, None, Some(what))).await
}

/// Takes the code that was typed to confirm what is being added: an app's, or the one sent to the address.
pub async fn confirm(services: &Services, visitor: &Visitor, seen: &Flow, code: Code) -> Result<Next, Error> {
    let Step::Methods(Methods { account, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let subject = Subject::Known(account.clone());
    let _turn = services.turns.of(&subject).await;
    let Some(now) = present(services, visitor, seen).await? else { return Ok(Next::Moved(None)) };
    match now.methods.adding.clone() {
        Some(Adding::App(sealed)) => confirm_app(services, visitor, &now, sealed, &code).await,
        Some(Adding::Address(new)) => confirm_address(services, visitor, &now, *new, &code, &subject).await,
        _ => Ok(Next::Moved(None)),
    }
}

/// The secret is on the page where the code is wanted: there is nothing to guess, and nothing is counted.
async fn confirm_app(
    services: &Services,
    visitor: &Visitor,
    now: &Present,
    sealed: String,
    code: &Code,
) -> Result<Next, Error> {
    let secret = held::app_secret(services, &now.account.key, &sealed);
    let Some(step) = secret.and_then(|secret| secret.step_of(code, services.now())) else {
        return Ok(Next::Wrong(Problems::of(Field::Code, Problem::NewAppCodeWrong), None));
    };
    let mut more = (*now.enrollment).clone();
    more.app = Some(App { sealed, added_at: services.now(), last_step: step });
    let what = MethodChange::AppAdded;
    change(services, visitor, now, more, what, now.at(services, None, Some(what))).await
}

async fn confirm_address(
    services: &Services,
    visitor: &Visitor,
    now: &Present,
    mut new: NewAddress,
    code: &Code,
    subject: &Subject,
) -> Result<Next, Error> {
    let awaited = &new.awaited;
    if awaited.expires_at.is_some_and(|expires_at| expires_at <= services.now()) {
        return Ok(Next::Wrong(Problems::of(Field::Code, Problem::CodeExpired), None));
    }
    let wrong = || Ok(Next::Wrong(Problems::of(Field::Code, Problem::CodeWrong), None));
    let mark = attempt::mark(services, &now.flow, b"address", code.reveal().as_bytes());
    if awaited.tried.contains(&mark) {
        return wrong();
    }
    // Not towards the Regain lockout, which is about resets and unlocks.
    code::spend(services, visitor, Kind::Enroll, &now.flow, subject, false).await?;
    let hash = Dispatch::hash_for_address(services, &now.flow, &now.account.key, &new.address, code);
    if !awaited.hash.matches(&hash) {
        let detail = Problem::CodeWrong.code();
        note(services, audit(services, visitor, &now.account, Outcome::Failure, detail), None).await;
        new.awaited.tried.push(mark);
        let methods = Methods { adding: Some(Adding::Address(Box::new(new))), ..now.methods.clone() };
        turn(services, visitor, now, now.to(services, Step::Methods(methods))).await?;
        return wrong();
    }
    attempt::count(services, subject, Tally::refund_code).await?;
    let mut more = (*now.enrollment).clone();
    more.email = Some(new.address);
    more.email_confirmed = true;
    let what = MethodChange::AddressConfirmed;
    let next = if are_offered(&services.settings.load()) {
        now.at(services, None, Some(what))
    } else {
        let cleared_lockout = now.methods.enrolled.unwrap_or_default();
        now.to(services, Step::Finished(Ending::Enrolled { cleared_lockout }))
    };
    change(services, visitor, now, more, what, next).await
}

/// Sends another code to the address; the one before is good for nothing from then on.
async fn resend(services: &Services, visitor: &Visitor, seen: &Flow) -> Result<Next, Error> {
    let Some(now) = present(services, visitor, seen).await? else { return Ok(Next::Moved(None)) };
    let Some(Adding::Address(new)) = &now.methods.adding else { return Ok(Next::Moved(None)) };
    let settings = services.settings.load_full();
    if new.awaited.resent >= settings.codes.resends {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeNoMore), None));
    }
    let seconds = code::wait_for_resend(&settings, &new.awaited, services.now());
    if seconds > 0 {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeTooSoon { seconds }), None));
    }
    let occasion = Occasion::of(&now.flow, Kind::Enroll);
    let known = (&now.account, Some(&*now.enrollment));
    let resent = new.awaited.resent + 1;
    let dispatch = Dispatch::to_address(services, visitor, occasion, known, &new.address, resent)?;
    let adding = Adding::Address(Box::new(NewAddress {
        address: new.address.clone(),
        awaited: dispatch.step.clone(),
    }));
    let next = now.at(services, Some(adding), None);
    let batch = services.store.batch().replace(&visitor.key(Kind::Enroll), &now.flow, &next);
    match dispatch.added_to(batch).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(Next::Moved(None)),
        Err(error) => Err(error.into()),
    }
}

/// Takes a new passkey, and what it is to be called.
pub async fn register(
    services: &Services,
    visitor: &Visitor,
    seen: &Flow,
    answer: &str,
    name: String,
) -> Result<Next, Error> {
    let Some(now) = present(services, visitor, seen).await? else { return Ok(Next::Moved(None)) };
    let Some(Adding::Passkey(challenge)) = &now.methods.adding else { return Ok(Next::Moved(None)) };
    let accepted = held::passkeys(services)?.accept(challenge, answer, &now.enrollment.passkeys);
    let (id, credential) = match accepted {
        Ok(accepted) => accepted,
        Err(fault) => {
            tracing::info!(?fault, "a new passkey is refused");
            let problem = match fault {
                passkeys::Fault::Known => Problem::PasskeyKnown,
                passkeys::Fault::Refused(_) => Problem::PasskeyRefused,
            };
            let failure = audit(services, visitor, &now.account, Outcome::Failure, problem.code());
            note(services, failure, None).await;
            let adding = Adding::Passkey(invite(services, &now)?);
            turn(services, visitor, &now, now.at(services, Some(adding), None)).await?;
            return Ok(Next::Wrong(Problems::of_form(problem), None));
        }
    };
    let mut more = (*now.enrollment).clone();
    more.passkeys.push(Passkey { id, name, credential, added_at: services.now(), used_at: None });
    let what = MethodChange::PasskeyAdded;
    change(services, visitor, &now, more, what, now.at(services, None, Some(what))).await
}
