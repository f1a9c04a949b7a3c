//! The user pages: the menu and the four flows.

mod draw;
mod menu;
pub mod methods;
pub mod page;
mod take;

pub use draw::sample;
pub use menu::{Menu, draw as draw_menu};
pub(super) use take::{credential, passkey_name};

use std::{sync::Arc, time::Duration};

use poem::{
    Endpoint, Request, Response, Result,
    http::{HeaderValue, Method, header},
};

use super::{
    CLIENT_COOKIE, LANGUAGE_COOKIE, SESSION_COOKIE, Site, address, language, language::asked, problem,
};
use crate::{
    domain::{flow::Kind, refusal::Refusal},
    flows::{Error, Visitor, session::SessionId},
    render::Language,
    settings::Settings,
};

fn is_shown(settings: &Settings, kind: Kind) -> bool {
    match kind {
        Kind::Enroll => settings.general.show_enroll,
        Kind::Reset => settings.general.show_reset,
        Kind::Unlock => settings.general.show_unlock,
        Kind::Change => settings.general.show_change,
    }
}

/// `/enroll`, `/reset`, `/unlock`, `/change`: each from its first to its last step.
pub struct FlowPages {
    /// The site.
    pub site: Arc<Site>,
    /// The flow.
    pub kind: Kind,
}

impl Endpoint for FlowPages {
    type Output = Response;
    async fn call(&self, request: Request) -> Result<Response> {
        let (site, kind) = (&self.site, self.kind);
        let language = language(site, &request);
        if site.services.directories.load().is_empty() {
            return Ok(problem::page(site, &language, None, &Error::Refused(Refusal::NotSetUp)).0);
        }
        if !is_shown(&site.services.settings.load(), kind) {
            return Ok(problem::page(site, &language, None, &Error::Refused(Refusal::MenuItemHidden)).0);
        }
        if request.method() == Method::POST {
            return Ok(self.post(request, language).await);
        }
        let known = super::session(&request);
        let session = match &known {
            Some(session) => session.clone(),
            None => match SessionId::new() {
                Ok(session) => session,
                Err(error) => return Ok(problem::page(site, &language, Some(kind), &error).0),
            },
        };
        let visitor =
            Visitor { address: Some(address(&request)), language: Some(language.code.clone()), session };
        let query = Query::of(&request);
        let mut response = match draw::current(site, &visitor, &language, kind, &query).await {
            Ok(response) => response,
            Err(error) => problem::page(site, &language, Some(kind), &error).0,
        };
        if known.is_none() {
            set_cookie(&mut response, SESSION_COOKIE, &visitor.session.cookie(), None);
        }
        remember_language(&request, &language, &mut response);
        Ok(response)
    }
}

impl FlowPages {
    /// Takes a step, and answers no sooner than the deadline of uniform replies. (That a step runs to its end even
    /// when the visitor leaves in the middle is the serve loop's promise.)
    async fn post(&self, request: Request, language: Language) -> Response {
        let began = tokio::time::Instant::now();
        let deadline = u64::from(self.site.services.settings.load().security.reply_deadline_ms);
        let response = take::take(&self.site, request, &language, self.kind).await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(whole) = took.checked_div(deadline) {
            let due = (whole + 1).saturating_mul(deadline);
            tokio::time::sleep_until(began + Duration::from_millis(due)).await;
        }
        response
    }
}

/// What the address asks for: `?cmd=reset&username=mary&domain=CORP`, each of them alone too.
#[derive(Debug, Default)]
struct Query {
    command: Option<Kind>,
    username: String,
    domain: String,
}

impl Query {
    fn of(request: &Request) -> Self {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap_or_default();
        let find = |name: &str| {
            let value =
                pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            value.map(|value| value.chars().filter(|c| !c.is_control()).take(256).collect::<String>())
        };
        Self {
            command: find("cmd").and_then(|word| Kind::named(&word.to_lowercase())),
            username: find("username").unwrap_or_default(),
            domain: find("domain").unwrap_or_default(),
        }
    }

    const fn is_filled(&self) -> bool {
        !self.username.is_empty() || !self.domain.is_empty()
    }

    /// The part that fills in a form, as a query again.
    fn prefill(&self) -> String {
        let pairs: Vec<(&str, &str)> = [("username", &self.username), ("domain", &self.domain)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.as_str()))
            .collect();
        match serde_urlencoded::to_string(pairs) {
            Ok(query) if !query.is_empty() => format!("?{query}"),
            _ => String::new(),
        }
    }
}

/// Sets a cookie that no other host, no script and no plain connection can see or set.
fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: Option<u64>) {
    set_cookie_at(response, (name, "/"), value, seconds);
}

/// The same for a cookie that is sent to one part of the site only.
pub(super) fn set_cookie_at(
    response: &mut Response,
    (name, path): (&str, &str),
    value: &str,
    seconds: Option<u64>,
) {
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let cookie = format!("{name}={value}; Path={path}; Secure; HttpOnly; SameSite=Strict{age}");
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Keeps the language that was asked for in the address, and whether it is a logon screen.
fn remember_language(request: &Request, language: &Language, response: &mut Response) {
    if asked(request).is_some() {
        keep_language(response, &language.code);
    }
    match language::client(request) {
        Some(language::LOGON) => set_cookie(response, CLIENT_COOKIE, language::LOGON, None),
        Some(_) => set_cookie(response, CLIENT_COOKIE, "", Some(0)),
        None => {}
    }
}

/// Keeps a language for the next visits.
pub(super) fn keep_language(response: &mut Response, code: &str) {
    set_cookie(response, LANGUAGE_COOKIE, code, Some(365 * 24 * 60 * 60));
}
