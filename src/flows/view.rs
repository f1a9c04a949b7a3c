//! What a visitor is shown where they are.

use std::time::Duration;

use super::{
    Error, Place, Services, Visitor, code, enroll, held, locate, methods, new_password, prove, settle,
};
use crate::{
    domain::{
        account::Account,
        enrollment::{Enrollment, Question},
        flow::{self, Asked, Awaited, Ending, Factor, Flow, Kind, MethodChange, Methods, Step},
        lockout::Subject,
        password_rules::Rules,
        refusal::{Refusal, Service},
        secret::SecretText,
    },
    settings::Characters,
    store::Found,
};

/// The page of a step.
#[derive(Debug)]
pub enum View {
    /// Name and domain; on Enroll all fields.
    Start,
    /// A question.
    Question {
        /// Its text.
        question: Question,
        /// Which it is, from 1.
        number: usize,
        /// Of how many.
        total: usize,
    },
    /// A verification code.
    Code(Code),
    /// Something the person holds; of a passkey, what the browser is given.
    Held {
        /// What.
        factor: Factor,
        /// The passkey's options, as JSON.
        options: Option<String>,
    },
    /// A new password for a proven account, and what is asked of it.
    NewPassword(Box<Account>, Box<Rules>),
    /// Questions and answers for a proven account, and what it had before.
    Questions {
        /// `DOMAIN\name`.
        account: String,
        /// Whether too many wrong tries make it necessary.
        locked: bool,
        /// The present enrollment.
        present: Option<Box<Enrollment>>,
    },
    /// The ways of proving oneself.
    Methods(Box<Ways>),
    /// What is being added to them.
    Adding(Adding),
    /// Old and new password, for the name as typed.
    Credentials {
        /// As typed.
        username: String,
        /// What is asked of a new password, as far as that may be told; more once the old one was right.
        rules: Box<Rules>,
    },
    /// It is done.
    Finished {
        /// How it ended.
        ending: Ending,
        /// A recovery code was used for it.
        used_recovery_code: bool,
    },
}

/// The ways of proving oneself, of a person who has proved the password.
#[derive(Debug)]
pub struct Ways {
    /// `DOMAIN\name`.
    pub account: String,
    /// The enrollment.
    pub enrollment: Enrollment,
    /// What was done last.
    pub done: Option<MethodChange>,
    /// Whether the person has just enrolled; true within if that ended a Regain lockout.
    pub enrolled: Option<bool>,
    /// In how many ways a reset or unlock can be proved with these, a code included if it can be sent.
    pub usable: usize,
    /// Where a code would go, masked.
    pub destinations: Vec<String>,
    /// How many are needed.
    pub needed: usize,
}

/// Something that is being added to the ways of proving oneself.
#[derive(Debug)]
pub enum Adding {
    /// The e-mail address; a code was sent there.
    Address(Code),
    /// An authenticator app.
    App {
        /// What its QR code says.
        address: SecretText,
        /// Its secret, to be typed.
        typed: SecretText,
        /// `DOMAIN\name`.
        account: String,
    },
    /// A passkey; what the browser is given, as JSON.
    Passkey(String),
    /// Recovery codes.
    RecoveryCodes(Vec<SecretText>),
}

/// What is told about a code that is awaited.
#[derive(Debug)]
pub struct Code {
    /// Whether something was proved before, so that it can be said that a code was sent.
    pub is_sent: bool,
    /// Where it was sent, masked; empty if that is not told.
    pub destinations: Vec<String>,
    /// For how many minutes it is good; 0 without end.
    pub minutes: u32,
    /// Whether it has digits only.
    pub has_digits_only: bool,
    /// After how many seconds another one can be asked for; `None` if none can.
    pub resend_after: Option<u64>,
}

/// A view, with the token's tag of the step it shows.
#[derive(Debug)]
pub struct Shown {
    /// The page.
    pub view: View,
    /// What the form's token is bound to.
    pub tag: String,
    /// In what other ways the person may prove themselves.
    pub alternatives: Vec<Factor>,
    /// What was proved last, and how many ways are still needed.
    pub progress: Option<(Factor, usize)>,
}

impl Shown {
    /// The first page.
    pub fn start() -> Self {
        Self { view: View::Start, tag: START_TAG.into(), alternatives: Vec::new(), progress: None }
    }
}

/// The tag of the first page.
pub const START_TAG: &str = "start";

/// The tag of a step: a form of another step, or of another flow, has another.
pub fn tag(flow: &Flow) -> String {
    let step = match &flow.step {
        Step::Question(questions) => match &questions.asked {
            Asked::Enrolled { index, .. } => format!("q{index}"),
            Asked::Decoy => "q0".into(),
        },
        Step::Code(awaited) => format!("k{}", awaited.resent),
        Step::Held(held) => format!("h{}", held.factor.as_str()),
        Step::Methods(methods) => format!("o{}", methods.turn),
        Step::NewPassword { .. } => "p".into(),
        Step::Questions { .. } => "e".into(),
        Step::Credentials => "c".into(),
        Step::Writing(_) => "w".into(),
        Step::Finished(_) => "f".into(),
        Step::Moved => "m".into(),
    };
    let nonce = u64::from_be_bytes(flow.nonce);
    format!("{nonce:016x}{step}")
}

/// Looking at a page again counts as being there. Written down seldom; if that fails, the flow only
/// ends a little earlier.
async fn stay(services: &Services, visitor: &Visitor, kind: Kind, flow: &Found<Flow>) {
    let now = services.now();
    let idle = services.idle_timeout();
    if !idle.is_zero() && now.since(flow.touched_at) > Duration::from_secs(30).min(idle / 4) {
        let touched = Flow { touched_at: now, ..flow.clone().into_inner() };
        if let Err(error) = services.store.batch().replace(&visitor.key(kind), flow, &touched).commit().await
        {
            tracing::debug!(%error, "a flow's idle time was not renewed");
        }
    }
}

/// Finds out what to show. Reading only, but for a write whose result can be settled now, and the idle time.
pub async fn view(services: &Services, visitor: &Visitor, kind: Kind) -> Result<Shown, Error> {
    let mut place = locate(services, visitor, kind).await?;
    if let Place::UnderWay(flow) = &place
        && matches!(flow.step, Step::Writing(_))
    {
        let tag = tag(flow);
        match settle::settle(services, visitor, kind, flow).await? {
            settle::Settled::Done(ending) => {
                let view = View::Finished {
                    ending,
                    used_recovery_code: flow.proved.contains(&Factor::RecoveryCode),
                };
                return Ok(Shown { view, tag, alternatives: Vec::new(), progress: None });
            }
            settle::Settled::Open => {
                let text = "a write is not settled yet".to_owned();
                return Err(Error::Unavailable(Service::Outcome, text));
            }
            settle::Settled::NotDone => place = locate(services, visitor, kind).await?,
        }
    }
    let Place::UnderWay(flow) = place else { return Ok(Shown::start()) };
    stay(services, visitor, kind, &flow).await;
    let tag = tag(&flow);
    let view = match &flow.step {
        Step::Question(questions) => {
            let number = match &questions.asked {
                Asked::Enrolled { index, .. } => index + 1,
                Asked::Decoy => 1,
            };
            View::Question { question: questions.question.clone(), number, total: questions.total }
        }
        Step::Code(awaited) => View::Code(awaited_code(services, &flow, awaited)),
        Step::Held(held) => View::Held {
            factor: held.factor,
            options: held.challenge.as_ref().map(|challenge| challenge.options.clone()),
        },
        Step::NewPassword { account, .. } => {
            match services.directory(&account.domain)?.load(account.guid).await? {
                Some(account) => {
                    let rules = new_password::rules(services, &account, kind);
                    View::NewPassword(Box::new(account), Box::new(rules))
                }
                None => return Err(Error::Refused(Refusal::AccountNotServed)),
            }
        }
        Step::Questions { account, .. } => View::Questions {
            account: flow.username.clone(),
            locked: enroll::is_locked(services, account).await?,
            present: enroll::present(services, account).await?.map(Box::new),
        },
        Step::Methods(now) => methods_view(services, &flow, now).await?,
        Step::Credentials => View::Credentials {
            username: flow.username.clone(),
            rules: Box::new(new_password::rules_of_domain(services, &flow.domain).await),
        },
        Step::Writing(_) | Step::Moved => return Ok(Shown::start()),
        Step::Finished(ending) => View::Finished {
            ending: *ending,
            used_recovery_code: flow.proved.contains(&Factor::RecoveryCode),
        },
    };
    let alternatives = alternatives(services, &flow).await?;
    let needed = services.settings.load().needed();
    let last = flow.step.subject().and(flow.proved.last().copied());
    let progress = last.map(|last| (last, needed.saturating_sub(flow.proved.len()).max(1)));
    Ok(Shown { view, tag, alternatives, progress })
}

/// Before anything is proved no enrollment is looked at.
async fn alternatives(services: &Services, flow: &Flow) -> Result<Vec<Factor>, Error> {
    let enrollment = match flow.step.subject() {
        Some(Subject::Known(account)) if !flow.proved.is_empty() => {
            services.store.find::<Enrollment>(account).await?
        }
        _ => None,
    };
    Ok(prove::alternatives(&services.settings.load(), flow, enrollment.as_deref()))
}

async fn methods_view(services: &Services, flow: &Flow, now: &Methods) -> Result<View, Error> {
    let account = &now.account;
    let lost = || Error::Internal("what is being added can't be opened".into());
    Ok(match &now.adding {
        None => {
            let enrollment = services.store.find::<Enrollment>(account).await?;
            let enrollment = enrollment.ok_or(Error::Refused(Refusal::SessionExpired))?.into_inner();
            let found = services.directory(&account.domain)?.load(account.guid).await?;
            let found = found.ok_or(Error::Refused(Refusal::AccountNotServed))?;
            let (usable, destinations) = methods::usable(services, &found, &enrollment);
            View::Methods(Box::new(Ways {
                account: flow.username.clone(),
                enrollment,
                done: now.done,
                enrolled: now.enrolled.filter(|_| now.done.is_none()),
                usable,
                destinations,
                needed: services.settings.load().needed(),
            }))
        }
        Some(flow::Adding::Address(new)) => {
            let destinations = vec![new.address.as_str().to_owned()];
            let code = awaited_code(services, flow, &new.awaited);
            View::Adding(Adding::Address(Code { is_sent: true, destinations, ..code }))
        }
        Some(flow::Adding::App(sealed)) => {
            let secret = held::app_secret(services, account, sealed).ok_or_else(lost)?;
            let product = &services.settings.load().general.product_name;
            let address = secret.address(product, &flow.username);
            let account = flow.username.clone();
            View::Adding(Adding::App { address, typed: secret.typed(), account })
        }
        Some(flow::Adding::Passkey(challenge)) => View::Adding(Adding::Passkey(challenge.options.clone())),
        Some(flow::Adding::RecoveryCodes(sealed)) => {
            let codes = methods::recovery_codes(services, account, sealed).ok_or_else(lost)?;
            View::Adding(Adding::RecoveryCodes(codes))
        }
    })
}

fn awaited_code(services: &Services, flow: &Flow, awaited: &Awaited) -> Code {
    let settings = services.settings.load();
    let codes = &settings.codes;
    let may_resend = awaited.resent < codes.resends;
    Code {
        is_sent: !flow.proved.is_empty(),
        destinations: if codes.masked_destination { awaited.shown.clone() } else { Vec::new() },
        minutes: codes.minutes,
        has_digits_only: codes.characters == Characters::Digits,
        resend_after: may_resend.then(|| code::wait_for_resend(&settings, awaited, services.now())),
    }
}
