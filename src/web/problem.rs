//! One table from errors to pages: status, tone, words, reference number.

use poem::{
    Response,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;

use super::{Site, user::page};
use crate::{
    domain::{
        flow::Kind,
        refusal::{Refusal, Service},
    },
    flows::{self, Error},
    render::Language,
};

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    error: Words,
}

#[derive(Serialize)]
struct Words {
    kind: &'static str,
    title: String,
    text: String,
    next: String,
    reference: String,
    retry_href: String,
    retry_after: u64,
}

/// How an error is answered: status, tone, seconds after which to try again.
pub const fn manner(error: &Error) -> (StatusCode, &'static str, u64) {
    match error {
        Error::Refused(refusal) => match refusal {
            Refusal::RateLimited { seconds } | Refusal::CodeTriesSpent { seconds } => {
                (StatusCode::TOO_MANY_REQUESTS, "limit", *seconds)
            }
            Refusal::NotSetUp => (StatusCode::SERVICE_UNAVAILABLE, "trouble", 60),
            Refusal::HostUnknown => (StatusCode::MISDIRECTED_REQUEST, "notfound", 0),
            Refusal::NotFound | Refusal::MenuItemHidden => (StatusCode::NOT_FOUND, "notfound", 0),
            Refusal::MethodUnknown => (StatusCode::METHOD_NOT_ALLOWED, "notfound", 0),
            _ => (StatusCode::FORBIDDEN, "refused", 0),
        },
        Error::Unavailable(service, _) => {
            let seconds = match service {
                Service::Busy | Service::Outcome => 5,
                Service::Directory | Service::Store => 15,
                Service::StoreSpace => 60,
            };
            (StatusCode::SERVICE_UNAVAILABLE, "trouble", seconds)
        }
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "trouble", 0),
    }
}

/// Whether trying again may lead anywhere: most refusals stay as they are.
const fn is_worth_another_try(error: &Error) -> bool {
    !matches!(error, Error::Refused(refusal) if !matches!(
        refusal,
        Refusal::RateLimited { .. }
            | Refusal::CodeTriesSpent { .. }
            | Refusal::SessionExpired
            | Refusal::FormForged
    ))
}

/// Writes an error down, once: the visitor sees no cause, but the reference number that this gives.
pub fn log(kind: Option<Kind>, error: &Error) -> String {
    let reference = reference();
    match error {
        // What anyone can provoke at any rate must not fill the log.
        Error::Refused(
            refusal @ (Refusal::RateLimited { .. }
            | Refusal::HostUnknown
            | Refusal::NotFound
            | Refusal::MethodUnknown
            | Refusal::MenuItemHidden),
        ) => tracing::debug!(reference, code = refusal.code(), flow = ?kind, "refused"),
        Error::Refused(refusal) => tracing::info!(reference, code = refusal.code(), flow = ?kind, "refused"),
        Error::Unavailable(..) => tracing::warn!(reference, %error, flow = ?kind, "unavailable"),
        Error::Internal(_) => tracing::error!(reference, %error, flow = ?kind, "internal error"),
    }
    reference
}

/// The page of an error, and the reference number on it. The visitor sees no cause; the log has it, once.
pub fn page(site: &Site, language: &Language, kind: Option<Kind>, error: &Error) -> (Response, String) {
    let reference = log(kind, error);
    site.asked.failed(error);
    let (status, tone, seconds) = manner(error);
    let code = error.code();
    let count = match error {
        Error::Refused(Refusal::ResetTooSoon { days }) => days.to_string(),
        _ => seconds.to_string(),
    };
    let minutes = seconds.div_ceil(60).to_string();
    let values = [("days", count.as_str()), ("seconds", count.as_str()), ("minutes", minutes.as_str())];
    let text =
        |part: &str| site.renderer.texts().text(&language.code, &format!("refusal.{code}.{part}"), &values);
    let words = Words {
        kind: tone,
        title: text("title"),
        text: text("text"),
        // Nobody counts in seconds for long.
        next: text(if tone == "limit" && seconds > 120 { "next_minutes" } else { "next" }),
        reference: reference.clone(),
        retry_href: kind
            .filter(|_| is_worth_another_try(error))
            .map(|kind| format!("/{kind}"))
            .unwrap_or_default(),
        retry_after: seconds,
    };
    let page = page::Page::new(site, language, kind.map_or("menu", Kind::as_str), "error");
    let mut response =
        page::render(site, "user/error.html", &language.code, Context { page, error: words }, status);
    if seconds > 0
        && let Ok(value) = HeaderValue::try_from(seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    (response, reference)
}

/// A number a person can read out: eight characters without look-alikes (Crockford's base 32).
fn reference() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bytes: [u8; 8] = flows::random().unwrap_or_default();
    let digits: Vec<char> = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let (first, second) = digits.split_at(4);
    format!("R-{}-{}", first.iter().collect::<String>(), second.iter().collect::<String>())
}
