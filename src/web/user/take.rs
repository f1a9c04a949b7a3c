//! Taking the step that a form asks for.

use poem::{
    Request, Response,
    http::{StatusCode, header},
};

use super::{
    draw::{self, Typed},
    set_cookie,
};
use crate::{
    domain::{
        account::{DomainName, LogonName, NameFault},
        answer::Answer,
        audit::{Event, Outcome},
        code::Code,
        contact::EmailAddress,
        enrollment::{Passkey, Question},
        field::{Field, Problem, Problems},
        flow::{Adding, Factor, Flow, Kind, Methods, Step},
        refusal::Refusal,
        secret::{Password, SecretText},
    },
    flows::{
        self, Error, Next, Place, Visitor, answer, change, code,
        enroll::{self, Answers},
        held,
        identify::{self, Identified},
        methods::{self, Deed},
        prove, reset,
        session::SessionId,
        view,
    },
    render::Language,
    store::Found,
    web::{
        SESSION_COOKIE, Site, address, csrf,
        form::{self, Form},
        problem,
    },
};

/// Refused forms of one address that are written down in a minute, and of all in a second: a handful of people's
/// mistakes, not a flood.
const NOTES_PER_MINUTE: u32 = 60;
const NOTES_PER_SECOND: u32 = 50;

/// How a step ended, for the answer.
struct Taken {
    result: Result<Next, Error>,
    typed: Typed,
    /// Whether the form was the first page's.
    from_start: bool,
    /// The name and domain that the audit log is to have for it.
    who: (String, String),
    /// Whether a wrong form is already in the audit log.
    noted: bool,
    /// Whether the visitor gave up.
    cancelled: bool,
}

/// Takes a posted form and answers it.
pub async fn take(site: &Site, mut request: Request, language: &Language, kind: Kind) -> Response {
    let address = address(&request);
    let services = &site.services;
    let settings = services.settings.load_full();
    let session = crate::web::session(&request);
    let visitor = Visitor {
        address: Some(address),
        language: Some(language.code.clone()),
        session: match session.clone().map_or_else(SessionId::new, Ok) {
            Ok(session) => session,
            Err(error) => return problem::page(site, language, Some(kind), &error).0,
        },
    };
    let limits =
        (settings.limits.requests_per_address_per_minute, settings.limits.requests_per_second_overall);
    if let Err(excess) = site.limits.take(address, limits.0, limits.1, services.clock.now()) {
        let error = Error::Refused(Refusal::RateLimited { seconds: excess.wait.as_secs() });
        let (response, reference) = problem::page(site, language, Some(kind), &error);
        // The first of a row is written down; the rest would be a way of filling the disk.
        if excess.first {
            note(site, &visitor, kind, ("", ""), error.code(), Some(reference)).await;
        }
        return response;
    }
    let same_site = csrf::is_same_site(&request, &site.hosts);
    let Some(form) = Form::read(&mut request, form::MAXIMUM_BYTES).await else {
        return StatusCode::REQUEST_TIMEOUT.into();
    };
    let taken = decide(site, &visitor, session.is_some() && same_site, kind, form).await;
    answer(site, visitor, language, kind, taken).await
}

async fn answer(site: &Site, visitor: Visitor, language: &Language, kind: Kind, taken: Taken) -> Response {
    let who = (taken.who.0.as_str(), taken.who.1.as_str());
    let drawn = match taken.result {
        Ok(Next::Moved(fresh)) => {
            let path = if taken.cancelled { "/".to_owned() } else { format!("/{kind}") };
            let mut response =
                Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, path).finish();
            if let Some(fresh) = fresh {
                set_cookie(&mut response, SESSION_COOKIE, &fresh.cookie(), None);
            }
            return response;
        }
        Ok(next @ (Next::Wrong(..) | Next::Unfit(..))) => {
            let (problems, fresh, rules) = match next {
                Next::Unfit(problems, fresh, rules) => (problems, fresh, Some(rules)),
                Next::Wrong(problems, fresh) => (problems, fresh, None),
                Next::Moved(fresh) => (Problems::new(), fresh, None),
            };
            if !taken.noted {
                note(site, &visitor, kind, who, problems.code(), None).await;
            }
            let proven = fresh.is_some();
            let visitor =
                Visitor { session: fresh.clone().unwrap_or(visitor.session.clone()), ..visitor.clone() };
            let from_start = taken.from_start && !proven;
            let wrong = (&taken.typed, &problems, rules);
            match draw::again(site, &visitor, language, kind, wrong, from_start).await {
                Ok(mut response) => {
                    if let Some(fresh) = fresh {
                        set_cookie(&mut response, SESSION_COOKIE, &fresh.cookie(), None);
                    }
                    return response;
                }
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    let (response, reference) = problem::page(site, language, Some(kind), &drawn);
    note(site, &visitor, kind, who, drawn.code(), Some(reference)).await;
    response
}

async fn note(
    site: &Site,
    visitor: &Visitor,
    kind: Kind,
    (user, domain): (&str, &str),
    detail: &str,
    reference: Option<String>,
) {
    let now = site.services.clock.now();
    // Only forms that name nobody are bounded here: they cost their sender nothing. All else is bounded by the limits
    // of the flows, and no flood may keep it out of the log.
    let anonymous = visitor.address.filter(|_| user.is_empty());
    if anonymous
        .is_some_and(|address| site.noted.take(address, NOTES_PER_MINUTE, NOTES_PER_SECOND, now).is_err())
    {
        return;
    }
    let domain = DomainName::new(&domain.chars().take(256).collect::<String>());
    let event = flows::event(&site.services, visitor, kind, Outcome::Failure, (user, &domain), detail);
    flows::note(&site.services, Event { reference, ..event }, visitor.language.as_deref()).await;
}

async fn decide(site: &Site, visitor: &Visitor, genuine: bool, kind: Kind, mut form: Form) -> Taken {
    let mut taken = Taken {
        result: Ok(Next::Moved(None)),
        typed: Typed::default(),
        from_start: false,
        who: (String::new(), String::new()),
        noted: false,
        cancelled: false,
    };
    if form.fault == Some(Problem::BodyTooLarge) && genuine {
        taken.result = Ok(Next::Wrong(Problems::of_form(Problem::BodyTooLarge), None));
        return taken;
    }
    let token = form.take("csrf").unwrap_or_else(|_| SecretText::new(String::new()));
    let tag = csrf::verify(&site.services.keys.forms, &visitor.session, kind.as_str(), token.reveal());
    let Some(tag) = tag.filter(|_| genuine) else {
        taken.result = Err(Error::Refused(Refusal::FormForged));
        return taken;
    };
    let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
    let result = match flows::locate(&site.services, visitor, kind).await {
        Err(error) => Err(error),
        Ok(_) if action == "cancel" => {
            taken.cancelled = true;
            flows::cancel(&site.services, visitor, kind).await.map(|()| Next::Moved(None))
        }
        // The first page sent twice: the other one has led on to a new session.
        Ok(Place::UnderWay(flow))
            if tag == view::START_TAG && flow.has_just_moved(site.services.clock.now()) =>
        {
            Ok(Next::Moved(None))
        }
        Ok(_) if tag == view::START_TAG => {
            taken.from_start = true;
            start(site, visitor, kind, &mut form, &mut taken).await
        }
        Ok(Place::UnderWay(flow)) if view::tag(&flow) == tag => {
            taken.who = (flow.username.clone(), flow.domain.to_string());
            Box::pin(step(site, visitor, kind, *flow, &action, &mut form, &mut taken)).await
        }
        // A form of a step that is done, or of an earlier flow: the visitor is put where they are.
        Ok(Place::UnderWay(_)) => Ok(Next::Moved(None)),
        Ok(Place::Start | Place::Expired) => Err(Error::Refused(Refusal::SessionExpired)),
    };
    taken.result = result;
    taken
}

/// A problem with any field the page doesn't have ends it before anything is done.
fn close(form: &Form, problems: &mut Problems) {
    if let Some(problem) = form.finish() {
        problems.extend(&Problems::of_form(problem));
    }
}

/// Takes name and domain out of the form.
fn identified(
    site: &Site,
    form: &mut Form,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<Identified> {
    let name = problems.keep(Field::Username, form.take("username"));
    let domain = problems.keep(Field::Domain, form.take("domain"));
    let (name, domain) = (name?, domain?);
    taken.typed.username = name.reveal().chars().take(LogonName::MAXIMUM_CHARACTERS).collect();
    taken.typed.domain = domain.reveal().chars().take(LogonName::MAXIMUM_CHARACTERS).collect();
    taken.who = (taken.typed.username.clone(), taken.typed.domain.clone());
    let settings = site.services.settings.load();
    let known = site.services.domains();
    // The domain offered first is the one meant when none is named.
    let mut domains = super::page::offered(&settings, &known);
    for other in known {
        if !domains.contains(&other) {
            domains.push(other);
        }
    }
    match LogonName::parse(name.reveal(), domain.reveal(), &domains) {
        Ok((domain, logon)) => {
            Some(Identified { typed: name.reveal().trim().to_owned(), domain, name: logon })
        }
        Err((fault, problem)) => {
            let field = match fault {
                NameFault::Username => Field::Username,
                NameFault::Domain => Field::Domain,
            };
            problems.push(field, problem);
            None
        }
    }
}

/// The first page of a flow.
async fn start(
    site: &Site,
    visitor: &Visitor,
    kind: Kind,
    form: &mut Form,
    taken: &mut Taken,
) -> Result<Next, Error> {
    let mut problems = Problems::new();
    let who = identified(site, form, taken, &mut problems);
    if kind != Kind::Enroll {
        close(form, &mut problems);
        return match who {
            Some(who) if problems.is_empty() => match kind {
                Kind::Change => identify::begin_change(&site.services, visitor, who).await,
                _ => identify::begin_proof(&site.services, visitor, kind, who).await,
            },
            _ => Ok(Next::Wrong(problems, None)),
        };
    }
    let password = problems.keep(Field::Password, form.take("password").and_then(Password::parse));
    let blank = all_blank(site, form);
    let name = who.as_ref().map(|who| who.name.canonical()).unwrap_or_default();
    let answers = answers(site, form, taken, &name);
    let mut unread = Problems::new();
    close(form, &mut unread);
    let (Some(who), Some(password), true) = (who, password, unread.is_empty()) else {
        if let (Err(more), false) = (&answers, blank) {
            problems.extend(more);
        }
        problems.extend(&unread);
        return Ok(Next::Wrong(problems, None));
    };
    taken.noted = true;
    let answers = (!blank).then_some(answers);
    enroll::begin(&site.services, visitor, who, password, answers).await
}

/// A later step.
async fn step(
    site: &Site,
    visitor: &Visitor,
    kind: Kind,
    flow: Found<Flow>,
    action: &str,
    form: &mut Form,
    taken: &mut Taken,
) -> Result<Next, Error> {
    let mut problems = Problems::new();
    if let Some(other) = action.strip_prefix("use-").and_then(Factor::named) {
        return prove::switch(&site.services, visitor, kind, &flow, other).await;
    }
    match &flow.step {
        Step::Question(_) => {
            let answer = form.take("answer").and_then(|text| Answer::parse(&text));
            let answer = problems.keep(Field::AnswerOnly, answer);
            close(form, &mut problems);
            match answer {
                Some(answer) if problems.is_empty() => {
                    taken.noted = true;
                    answer::enter(&site.services, visitor, kind, &flow, answer).await
                }
                _ => Ok(Next::Wrong(problems, None)),
            }
        }
        Step::Code(_) => {
            let code = form.take("code").and_then(|text| Code::parse(&text));
            close(form, &mut problems);
            if action == "resend" && problems.is_empty() {
                return code::resend(&site.services, visitor, kind, &flow).await;
            }
            match problems.keep(Field::Code, code) {
                Some(code) if problems.is_empty() => {
                    taken.noted = true;
                    code::enter(&site.services, visitor, kind, &flow, code).await
                }
                _ => Ok(Next::Wrong(problems, None)),
            }
        }
        Step::Held(asked) if asked.factor == Factor::Passkey => {
            let credential = credential(form, &mut problems);
            close(form, &mut problems);
            match credential {
                Some(credential) if problems.is_empty() => {
                    taken.noted = true;
                    held::sign(&site.services, visitor, kind, &flow, credential.reveal()).await
                }
                _ => Ok(Next::Wrong(problems, None)),
            }
        }
        Step::Held(asked) => {
            let field = if asked.factor == Factor::App { Field::AppCode } else { Field::RecoveryCode };
            let code = problems.keep(field, form.take("code").and_then(|text| Code::parse(&text)));
            close(form, &mut problems);
            match code {
                Some(code) if problems.is_empty() => {
                    taken.noted = true;
                    held::enter(&site.services, visitor, kind, &flow, code).await
                }
                _ => Ok(Next::Wrong(problems, None)),
            }
        }
        Step::Methods(now) => {
            let so_far = (&mut problems, &mut taken.typed);
            look_after_methods(site, visitor, &flow, (now, action), form, so_far).await
        }
        Step::NewPassword { .. } => match new_password(form, &mut problems, None) {
            Some(new) => {
                taken.noted = true;
                reset::finish(&site.services, visitor, flow, new).await
            }
            None => Ok(Next::Wrong(problems, None)),
        },
        Step::Credentials => {
            let old = form.take("old_password").and_then(Password::parse);
            let old = problems.keep(Field::OldPassword, old);
            let new = new_password(form, &mut problems, old.as_ref());
            let domains = site.services.domains();
            let who = LogonName::parse(&flow.username, flow.domain.as_str(), &domains);
            match (old, new, who) {
                (Some(old), Some(new), Ok((domain, name))) if problems.is_empty() => {
                    taken.noted = true;
                    let who = Identified { typed: flow.username.clone(), domain, name };
                    change::finish(&site.services, visitor, flow, who, old, new).await
                }
                (_, _, Err(_)) => Err(Error::Refused(Refusal::SessionExpired)),
                _ => Ok(Next::Wrong(problems, None)),
            }
        }
        Step::Questions { .. } => {
            let name = flow.username.rsplit('\\').next().unwrap_or_default().to_owned();
            let answers = answers(site, form, taken, &name);
            close(form, &mut problems);
            match answers {
                Ok(answers) if problems.is_empty() => {
                    enroll::finish(&site.services, visitor, flow, answers).await
                }
                Ok(_) => Ok(Next::Wrong(problems, None)),
                Err(more) => {
                    problems.extend(&more);
                    Ok(Next::Wrong(problems, None))
                }
            }
        }
        Step::Writing(_) | Step::Finished(_) | Step::Moved => Ok(Next::Moved(None)),
    }
}

/// What a passkey gave, as the script put it there.
pub(in crate::web) fn credential(form: &mut Form, problems: &mut Problems) -> Option<SecretText> {
    let credential = problems.keep(Field::Credential, form.take("credential"))?;
    if credential.reveal().is_empty() {
        problems.extend(&Problems::of_form(Problem::PasskeyMissing));
        return None;
    }
    Some(credential)
}

/// A form of the page where a person looks after the ways of proving themselves.
async fn look_after_methods(
    site: &Site,
    visitor: &Visitor,
    flow: &Flow,
    (now, action): (&Methods, &str),
    form: &mut Form,
    (problems, typed): (&mut Problems, &mut Typed),
) -> Result<Next, Error> {
    let services = &site.services;
    if let Some(deed) = Deed::parse(action) {
        return methods::act(services, visitor, flow, deed).await;
    }
    match &now.adding {
        Some(adding @ (Adding::App(_) | Adding::Address(_))) => {
            let field = if matches!(adding, Adding::App(_)) { Field::AppCode } else { Field::Code };
            let code = problems.keep(field, form.take("code").and_then(|text| Code::parse(&text)));
            close(form, problems);
            match code {
                Some(code) if problems.is_empty() => methods::confirm(services, visitor, flow, code).await,
                _ => Ok(Next::Wrong(problems.clone(), None)),
            }
        }
        Some(Adding::Passkey(_)) => {
            let credential = credential(form, problems);
            let name = problems.keep(Field::Name, form.take("name").and_then(|text| passkey_name(&text)));
            typed.name.clone_from(name.as_ref().unwrap_or(&String::new()));
            close(form, problems);
            match (credential, name) {
                (Some(credential), Some(name)) if problems.is_empty() => {
                    methods::register(services, visitor, flow, credential.reveal(), name).await
                }
                _ => Ok(Next::Wrong(problems.clone(), None)),
            }
        }
        Some(Adding::RecoveryCodes(_)) | None => Ok(Next::Moved(None)),
    }
}

/// What a passkey is to be called; it may be nothing. One that is too long is cut: the device has made the passkey by
/// then.
pub(in crate::web) fn passkey_name(text: &SecretText) -> Result<String, Problem> {
    let name: String = text.reveal().trim().chars().take(Passkey::MAXIMUM_CHARACTERS).collect();
    if name.chars().any(char::is_control) {
        return Err(Problem::FieldHasControlCharacters);
    }
    Ok(name)
}

/// Takes the new password out of the form, typed twice alike and not the old one.
fn new_password(form: &mut Form, problems: &mut Problems, old: Option<&Password>) -> Option<Password> {
    let new = problems.keep(Field::NewPassword, form.take("new_password").and_then(Password::parse));
    let confirm =
        problems.keep(Field::ConfirmPassword, form.take("confirm_password").and_then(Password::parse));
    close(form, problems);
    let new = new?;
    if !new.same_as(&confirm?) {
        problems.push(Field::ConfirmPassword, Problem::PasswordsDiffer);
    } else if old.is_some_and(|old| old.same_as(&new)) {
        problems.push(Field::NewPassword, Problem::PasswordSameAsOld);
    }
    problems.is_empty().then_some(new)
}

/// Whether nothing but name and password was filled in: then only they are checked, and the rest is asked next.
fn all_blank(site: &Site, form: &Form) -> bool {
    let count = site.services.settings.load().questions();
    form.is_blank("email")
        && (1..=count).all(|n| form.is_blank(&format!("question{n}")) && form.is_blank(&format!("answer{n}")))
}

/// Takes questions, answers and the e-mail address out of the form.
fn answers(site: &Site, form: &mut Form, taken: &mut Taken, username: &str) -> Result<Answers, Problems> {
    let settings = site.services.settings.load();
    let mut problems = Problems::new();
    let mut email = None;
    if settings.enroll.ask_email || form.has("email") {
        let text = form.take("email").map(|text| text.reveal().to_owned());
        if let Some(text) = problems.keep(Field::Email, text) {
            taken.typed.email = text.chars().take(EmailAddress::MAXIMUM_OCTETS).collect();
            if settings.enroll.ask_email {
                email = problems.keep(Field::Email, EmailAddress::parse(&text));
            }
        }
    }
    let given: Vec<_> = (1..=settings.questions())
        .map(|n| {
            let text = form.take(&format!("question{n}")).map(|text| text.reveal().to_owned());
            let typed = text.as_deref().unwrap_or_default();
            taken.typed.questions.push(typed.chars().take(Question::MAXIMUM_CHARACTERS).collect());
            (text, form.take(&format!("answer{n}")))
        })
        .collect();
    let pairs = enroll::judge(&settings, username, given, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Answers { pairs, email })
}
