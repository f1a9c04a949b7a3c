//! The guard before all pages: which hosts are answered, which methods, and the headers every answer carries,
//! errors included.

use std::{sync::Arc, time::Instant};

use poem::{
    Endpoint, IntoResponse as _, Request, Response, Result,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};

use super::{Site, api, metrics::area, problem};
use crate::{domain::refusal::Refusal, flows::Error};

/// The longest address.
const MAXIMUM_URI: usize = 2048;

/// Of every page but those below. No inline code or style anywhere; nothing from elsewhere; nobody may frame the pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// A page that shows others of ours in frames.
pub(super) fn allow_frames(response: &mut Response) {
    set_policy(response, &POLICY.replace("base-uri", "frame-src 'self'; base-uri"));
}

/// A page that is shown in a frame of ours: it sends nothing and runs nothing.
pub(super) fn allow_framing(response: &mut Response) {
    set_policy(
        response,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'self'; sandbox allow-same-origin",
    );
    response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
}

/// A picture that was brought along; it has style within it.
pub(super) fn lock(response: &mut Response) {
    set_policy(response, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox");
}

fn set_policy(response: &mut Response, policy: &str) {
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// What an answer may have set for itself.
const OWN: [(HeaderName, &str); 2] =
    [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_FRAME_OPTIONS, "DENY")];

/// On every answer.
const ALWAYS: [(&str, &str); 8] = [
    ("x-content-type-options", "nosniff"),
    // Not "no-referrer": with it browsers send their own forms with `Origin: null` (Fetch, "append a request Origin
    // header").
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
         microphone=(), midi=(), payment=(), usb=()",
    ),
    ("x-dns-prefetch-control", "off"),
    ("x-permitted-cross-domain-policies", "none"),
];

/// Two years, as the preload lists ask for (RFC 6797).
const STRICT_TRANSPORT: &str = "max-age=63072000; includeSubDomains";

/// The guard.
pub struct Guard<E> {
    /// What it needs to draw an error.
    pub site: Arc<Site>,
    /// The `Host` values that are answered.
    pub hosts: Vec<String>,
    /// What it guards.
    pub inner: E,
}

impl<E: Endpoint> Endpoint for Guard<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let (area, began) = (area(request.uri().path()), Instant::now());
        let response = self.answer(request).await?;
        self.site.asked.answered(area, response.status(), began.elapsed());
        Ok(response)
    }
}

impl<E: Endpoint> Guard<E> {
    async fn answer(&self, request: Request) -> Result<Response> {
        let site = &self.site;
        let language = super::language(site, &request);
        let refuse = |refusal| problem::page(site, &language, None, &Error::Refused(refusal)).0;
        let mut response = if let Err(refusal) = admit(&request, &self.hosts) {
            refuse(refusal)
        } else {
            match self.inner.call(request).await {
                Ok(response) => response.into_response(),
                Err(error) if error.is::<NotFoundError>() || error.status() == StatusCode::NOT_FOUND => {
                    refuse(Refusal::NotFound)
                }
                Err(error) if error.is::<MethodNotAllowedError>() => refuse(Refusal::MethodUnknown),
                // An address that can't be understood is not there either.
                Err(error) if error.status().is_client_error() => refuse(Refusal::NotFound),
                Err(error) => {
                    let internal = Error::Internal(error.to_string());
                    problem::page(site, &language, None, &internal).0
                }
            }
        };
        if response.status() == StatusCode::NOT_FOUND
            && response.headers().get(header::CONTENT_TYPE).is_none()
        {
            response = refuse(Refusal::NotFound);
        }
        decorate(response.headers_mut(), site.demo);
        Ok(response)
    }
}

/// Headers for answers of the server itself and of this guard alike.
pub(super) fn decorate(headers: &mut HeaderMap, demo: bool) {
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in OWN {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !demo {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn admit(request: &Request, hosts: &[String]) -> Result<(), Refusal> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = named.next().map(|value| value.to_str().unwrap_or_default());
    // HTTP/2 and absolute addresses carry the authority in the address; if there are two, they must agree.
    let authority = request.uri().authority().map(poem::http::uri::Authority::as_str);
    let name = match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            return Err(Refusal::HostUnknown);
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err(Refusal::HostUnknown),
    };
    if named.next().is_some() || !hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(Refusal::HostUnknown);
    }
    // The API has methods and errors of its own.
    if api::is_at(request.uri().path()) {
        return Ok(());
    }
    if ![Method::GET, Method::HEAD, Method::POST].contains(request.method()) {
        return Err(Refusal::MethodUnknown);
    }
    if request.uri().path_and_query().is_some_and(|address| address.as_str().len() > MAXIMUM_URI) {
        return Err(Refusal::NotFound);
    }
    Ok(())
}
