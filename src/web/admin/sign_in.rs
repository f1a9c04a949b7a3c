//! Signing in to the panel, and the link by which the first account is made.

use std::{net::IpAddr, sync::Arc, time::Duration};

use poem::{
    Endpoint, Request, Response, Result,
    http::{Method, StatusCode},
};
use serde::Serialize;

use super::{COOKIE, PATH, draw, is_genuine, limited, redirect, redirect_under, session};
use crate::{
    domain::{
        account::LogonName,
        admin::{AdminSession, LocalAdmin, Stage},
        code::Code,
        field::{Field, Problem, Problems},
        refusal::{Refusal, Service},
        secret::{Password, SecretText},
    },
    flows::{
        Error,
        access::{self, Invited},
        identify::Identified,
        session::SessionId,
        sign_in::{self, Next, Standing},
    },
    render::Language,
    web::{
        Site, address, csrf,
        form::{self, Form},
        language, problem,
        user::{credential, methods::Qr, page, set_cookie_at},
    },
};

/// How often refused links of one address, and of all together, are written down.
const NOTES_PER_MINUTE: u32 = 5;
const NOTES_PER_SECOND: u32 = 5;

/// The value that the list of domains has for the account of Regain itself.
const LOCAL: &str = "-";

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    form: page::Form,
    sign_in: Words,
}

/// What a page of signing in shows.
#[derive(Serialize, Default)]
struct Words {
    /// `password`, `code`, `app` (which is being set up) or `setup`.
    step: &'static str,
    username: String,
    /// Whether it is for someone who comes by an invitation.
    invited: bool,
    domains: Vec<page::Choice>,
    /// What a passkey is to sign; nothing if there is none.
    passkey: String,
    qr: Option<Qr>,
    secret: String,
    least: usize,
}

/// A visitor of these pages. Before there is a session of the panel, forms are bound to a passing one.
struct Guest<'a> {
    site: &'a Site,
    language: &'a Language,
    session: SessionId,
    is_new: bool,
    address: IpAddr,
    path: String,
}

impl<'a> Guest<'a> {
    fn of(site: &'a Site, language: &'a Language, request: &Request) -> Result<Self, Error> {
        let known = session(request);
        Ok(Self {
            site,
            language,
            is_new: known.is_none(),
            session: known.map_or_else(SessionId::new, Ok)?,
            address: address(request),
            path: request.uri().path().to_owned(),
        })
    }

    fn page(&self, words: Words, problems: &Problems, status: StatusCode) -> Response {
        let token = csrf::token(&self.site.services.keys.forms, &self.session, &self.path, "admin");
        let form = page::Form::new(self.site, self.language, self.path.clone(), token, problems);
        let page = page::Page::new(self.site, self.language, "admin", "credentials");
        let context = Context { page, form, sign_in: words };
        let mut response = draw(self.site, self.language, "admin/sign_in.html", context, status);
        if self.is_new {
            set_cookie_at(&mut response, (COOKIE, PATH), &self.session.cookie(), None);
        }
        response
    }

    /// The page of a step, with what was wrong with it.
    fn step(
        &self,
        pending: Option<&AdminSession>,
        username: &str,
        problems: &Problems,
    ) -> Result<Response, Error> {
        let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let Some(pending) = pending else {
            let words = Words {
                step: "password",
                username: username.to_owned(),
                domains: domains(self.site, self.language),
                ..Words::default()
            };
            return Ok(self.page(words, problems, status));
        };
        let passkey = pending.asked.as_ref().map(|asked| asked.options.clone()).unwrap_or_default();
        let mut words = Words { step: "code", passkey, ..Words::default() };
        if pending.stage != Stage::Code {
            let secret = sign_in::shown_secret(&self.site.services, pending)
                .ok_or_else(|| Error::Internal("the secret of an app can't be opened".into()))?;
            let product = &self.site.services.settings.load().general.product_name;
            words.step = "app";
            words.qr = Some(Qr::of(secret.address(&format!("{product} admin"), &pending.name).reveal())?);
            secret.typed().reveal().clone_into(&mut words.secret);
        }
        Ok(self.page(words, problems, status))
    }

    /// The page of an invitation, with what was wrong with it. The account of Regain itself needs none.
    fn invited(&self, username: &str, problems: &Problems) -> Response {
        let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let mut domains = domains(self.site, self.language);
        domains.pop();
        let words = Words {
            step: "password",
            invited: true,
            username: username.to_owned(),
            domains,
            ..Words::default()
        };
        self.page(words, problems, status)
    }

    /// Reads a form that was sent from the page itself.
    async fn form(&self, request: &mut Request) -> Result<Option<Form>, Error> {
        let same_site = csrf::is_same_site(request, &self.site.hosts);
        let Some(mut form) = Form::read(request, form::MAXIMUM_BYTES).await else { return Ok(None) };
        if self.is_new || !same_site || !is_genuine(self.site, &self.session, &self.path, &mut form) {
            return Err(Error::Refused(Refusal::FormForged));
        }
        Ok(Some(form))
    }
}

/// The domains that can be chosen, and the account of Regain itself.
fn domains(site: &Site, language: &Language) -> Vec<page::Choice> {
    let domains = page::offered(&site.services.settings.load(), &site.services.domains());
    let first = domains.first().map(|domain| domain.netbios.clone()).unwrap_or_default();
    let mut choices: Vec<_> =
        domains.iter().map(|domain| page::Choice::plain(&domain.netbios, &first)).collect();
    let local = site.renderer.texts().text(&language.code, "admin.local", &[]);
    choices.push(page::Choice::labelled(LOCAL, &local, choices.is_empty()));
    choices
}

/// Answers no sooner than the deadline of uniform replies.
async fn uniformly(site: &Site, answer: impl Future<Output = Response>) -> Response {
    let began = tokio::time::Instant::now();
    let deadline = u64::from(site.services.settings.load().security.reply_deadline_ms);
    let response = answer.await;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(whole) = took.checked_div(deadline) {
        tokio::time::sleep_until(began + Duration::from_millis((whole + 1).saturating_mul(deadline))).await;
    }
    response
}

/// `/admin/sign-in`
pub(super) struct SignIn(pub Arc<Site>);

impl Endpoint for SignIn {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let site = &self.0;
        let language = language(site, &request);
        let refuse = |error: &Error| problem::page(site, &language, None, error).0;
        let guest = match Guest::of(site, &language, &request) {
            Ok(guest) => guest,
            Err(error) => return Ok(refuse(&error)),
        };
        if request.method() != Method::POST {
            return Ok(show(&guest).await.unwrap_or_else(|error| refuse(&error)));
        }
        if let Some(response) = limited(site, &language, guest.address) {
            return Ok(response);
        }
        Ok(uniformly(site, async { take(&guest, &mut request).await.unwrap_or_else(|error| refuse(&error)) })
            .await)
    }
}

/// Where a visitor stands. A directory that doesn't answer keeps nobody from signing in with the account of Regain itself.
async fn standing(guest: &Guest<'_>) -> Result<Standing, Error> {
    match sign_in::standing(&guest.site.services, &guest.session).await {
        Err(Error::Unavailable(Service::Directory, _)) => Ok(Standing::None),
        other => other,
    }
}

async fn show(guest: &Guest<'_>) -> Result<Response, Error> {
    match standing(guest).await? {
        Standing::Signed(_) => Ok(redirect("/admin")),
        Standing::Pending(pending) => guest.step(Some(&pending), "", &Problems::new()),
        Standing::None => guest.step(None, "", &Problems::new()),
    }
}

async fn take(guest: &Guest<'_>, request: &mut Request) -> Result<Response, Error> {
    let Some(mut form) = guest.form(request).await? else { return Ok(StatusCode::REQUEST_TIMEOUT.into()) };
    let services = &guest.site.services;
    let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
    match standing(guest).await? {
        Standing::Signed(_) => Ok(redirect("/admin")),
        Standing::Pending(_) if action == "cancel" => {
            sign_in::end(services, &guest.session.hash()).await?;
            Ok(redirect("/admin/sign-in"))
        }
        Standing::Pending(pending) if action == "passkey" => {
            let mut problems = Problems::new();
            let answer = credential(&mut form, &mut problems);
            if let Some(problem) = form.finish() {
                problems.extend(&Problems::of_form(problem));
            }
            if let Some(answer) = answer.filter(|_| problems.is_empty()) {
                let answer = answer.reveal();
                match sign_in::confirm_by_passkey(services, &guest.session, &pending.who, answer).await? {
                    Next::On(session) => return Ok(redirect_under(&session, "/admin")),
                    Next::Wrong(wrong) => problems = wrong,
                }
            }
            // Something else is asked by now.
            match standing(guest).await? {
                Standing::Pending(pending) => guest.step(Some(&pending), "", &problems),
                _ => Err(Error::Refused(Refusal::SessionExpired)),
            }
        }
        Standing::Pending(pending) => {
            let mut problems = Problems::new();
            let code = problems.keep(Field::Code, form.take("code").and_then(|text| Code::parse(&text)));
            if let Some(problem) = form.finish() {
                problems.extend(&Problems::of_form(problem));
            }
            let Some(code) = code.filter(|_| problems.is_empty()) else {
                return guest.step(Some(&pending), "", &problems);
            };
            match sign_in::confirm(services, &guest.session, &pending, code).await? {
                Next::On(session) => Ok(redirect_under(&session, "/admin")),
                Next::Wrong(problems) => guest.step(Some(&pending), "", &problems),
            }
        }
        Standing::None => enter(guest, form, None).await,
    }
}

/// Name and password, of someone who may come by an invitation.
async fn enter(guest: &Guest<'_>, mut form: Form, invited: Option<Invited>) -> Result<Response, Error> {
    let services = &guest.site.services;
    let again = |typed: &str, problems: &Problems, is_invited: bool| {
        if is_invited { Ok(guest.invited(typed, problems)) } else { guest.step(None, typed, problems) }
    };
    let is_invited = invited.is_some();
    let mut problems = Problems::new();
    let username = problems.keep(Field::Username, form.take("username"));
    let domain = problems.keep(Field::Domain, form.take("domain"));
    let password = problems.keep(Field::Password, form.take("password").and_then(Password::parse));
    if let Some(problem) = form.finish() {
        problems.extend(&Problems::of_form(problem));
    }
    let typed: String = username
        .as_ref()
        .map(|name| name.reveal().chars().take(LogonName::MAXIMUM_CHARACTERS).collect())
        .unwrap_or_default();
    let (Some(username), Some(domain), Some(password), true) =
        (username, domain, password, problems.is_empty())
    else {
        return again(&typed, &problems, is_invited);
    };
    let next = if domain.reveal() == LOCAL {
        sign_in::enter_local(services, guest.address, username.reveal().trim(), password).await?
    } else {
        match LogonName::parse(username.reveal(), domain.reveal(), &services.domains()) {
            Ok((domain, name)) => {
                let who = Identified { typed: username.reveal().trim().to_owned(), domain, name };
                sign_in::enter(services, guest.address, who, password, invited).await?
            }
            Err((_, problem)) => Next::Wrong(Problems::of(Field::Username, problem)),
        }
    };
    match next {
        Next::On(session) => Ok(redirect_under(&session, "/admin/sign-in")),
        Next::Wrong(problems) => again(&typed, &problems, is_invited),
    }
}

/// `/admin/invite/TOKEN`
pub(super) struct Invite(pub Arc<Site>);

impl Endpoint for Invite {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let site = &self.0;
        let language = language(site, &request);
        let refuse = |error: &Error| problem::page(site, &language, None, error).0;
        let guest = match Guest::of(site, &language, &request) {
            Ok(guest) => guest,
            Err(error) => return Ok(refuse(&error)),
        };
        let token = request.raw_path_param("token").unwrap_or_default().to_owned();
        let invited = async || match access::find_invitation(&site.services, &token).await? {
            Some(invited) => Ok(invited),
            None => Err(refused_link(&guest, Refusal::InvitationVoid).await),
        };
        if request.method() != Method::POST {
            let shown = invited().await.map(|_| guest.invited("", &Problems::new()));
            return Ok(shown.unwrap_or_else(|error| refuse(&error)));
        }
        if let Some(response) = limited(site, &language, guest.address) {
            return Ok(response);
        }
        let take = async {
            let Some(form) = guest.form(&mut request).await? else {
                return Ok(StatusCode::REQUEST_TIMEOUT.into());
            };
            enter(&guest, form, Some(invited().await?)).await
        };
        let answer = async { take.await.unwrap_or_else(|error: Error| refuse(&error)) };
        Ok(Box::pin(uniformly(site, answer)).await)
    }
}

/// Writes down that a link was not good. Anyone can try some: not each is written down.
async fn refused_link(guest: &Guest<'_>, refusal: Refusal) -> Error {
    let services = &guest.site.services;
    let (per_minute, per_second) = (NOTES_PER_MINUTE, NOTES_PER_SECOND);
    if guest.site.noted.take(guest.address, per_minute, per_second, services.clock.now()).is_ok() {
        sign_in::note_refused_link(services, guest.address, refusal).await;
    }
    Error::Refused(refusal)
}

/// `/admin/setup/TOKEN`
pub(super) struct SetUp(pub Arc<Site>);

impl Endpoint for SetUp {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let site = &self.0;
        let language = language(site, &request);
        let refuse = |error: &Error| problem::page(site, &language, None, error).0;
        let answer = async {
            let guest = Guest::of(site, &language, &request)?;
            let token = request.raw_path_param("token").unwrap_or_default().to_owned();
            if request.method() == Method::POST {
                if let Some(response) = limited(site, &language, guest.address) {
                    return Ok(response);
                }
                return set_up(&guest, &token, &mut request).await;
            }
            if !sign_in::is_invited(&site.services, &token).await? {
                return Err(refused_link(&guest, Refusal::SetupLinkVoid).await);
            }
            Ok(guest.page(first_account(""), &Problems::new(), StatusCode::OK))
        };
        let answer: Result<Response, Error> = answer.await;
        Ok(answer.unwrap_or_else(|error| refuse(&error)))
    }
}

fn first_account(username: &str) -> Words {
    let username = if username.is_empty() { "admin" } else { username };
    Words {
        step: "setup",
        username: username.to_owned(),
        least: LocalAdmin::LEAST_CHARACTERS,
        ..Words::default()
    }
}

async fn set_up(guest: &Guest<'_>, token: &str, request: &mut Request) -> Result<Response, Error> {
    let Some(mut form) = guest.form(request).await? else { return Ok(StatusCode::REQUEST_TIMEOUT.into()) };
    let mut problems = Problems::new();
    let name = problems.keep(Field::Username, form.take("username").and_then(|text| local_name(&text)));
    let new = problems.keep(Field::NewPassword, form.take("new_password").and_then(Password::parse));
    let again =
        problems.keep(Field::ConfirmPassword, form.take("confirm_password").and_then(Password::parse));
    if let Some(problem) = form.finish() {
        problems.extend(&Problems::of_form(problem));
    }
    if let (Some(new), Some(again)) = (&new, &again) {
        let least = LocalAdmin::LEAST_CHARACTERS;
        if new.reveal().chars().count() < least {
            let minimum = u32::try_from(least).unwrap_or(u32::MAX);
            problems.push(Field::NewPassword, Problem::PasswordTooShort { minimum });
        } else if !new.same_as(again) {
            problems.push(Field::ConfirmPassword, Problem::PasswordsDiffer);
        }
    }
    let typed = name.clone().unwrap_or_default();
    let (Some(name), Some(new), true) = (name, new, problems.is_empty()) else {
        return Ok(guest.page(first_account(&typed), &problems, StatusCode::UNPROCESSABLE_ENTITY));
    };
    match sign_in::set_up(&guest.site.services, token, guest.address, name, new).await? {
        Next::On(session) => Ok(redirect_under(&session, "/admin/sign-in")),
        Next::Wrong(problems) => {
            Ok(guest.page(first_account(&typed), &problems, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

/// The name of the account of Regain itself: letters, digits and a few signs.
fn local_name(text: &SecretText) -> Result<String, Problem> {
    let name = text.reveal().trim();
    if name.is_empty() {
        return Err(Problem::FieldEmpty);
    }
    if name.chars().count() > LocalAdmin::MOST_CHARACTERS {
        return Err(Problem::FieldTooLong);
    }
    if !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        return Err(Problem::UsernameMalformed);
    }
    Ok(name.to_owned())
}
