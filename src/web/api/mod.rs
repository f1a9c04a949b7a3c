//! What programs ask: whether somebody is enrolled, as the product Regain replaces answers it, and behind tokens with scopes
//! users, events, and what a help desk does for users.
//!
//! Every operation is in one table: from it come the way to it, what a token needs for it, and the test that the description
//! knows it. There are no cookies here, so nothing can be done with those of a browser that was lured.

mod address;
mod answer;
mod description;
mod enrollments;
mod events;
mod users;

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result, Route,
    error::NotFoundError,
    http::{Method, header},
};

use super::{
    Site, address as address_of, legacy,
    limit::{AddressLimits, Buckets, Excess},
};
use crate::{
    domain::api_token::Scope,
    flows::{
        Error,
        api_tokens::{self, Holder},
    },
};
use address::Given;
use answer::Problem;

/// The longest address.
const MAXIMUM_URI: usize = 2048;
/// What answers to the question that the product Regain replaces knows.
const ENROLLMENTS: &str = "/api/enrollments";

/// How often the API may be asked.
#[derive(Debug, Default)]
pub struct Limits {
    addresses: AddressLimits,
    /// By the hash of the token.
    tokens: Buckets<[u8; 32]>,
}

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    AskByDomain,
    AskByUpn,
    ListUsers,
    ShowUser,
    ClearLockout,
    DeleteEnrollment,
    ListEvents,
    Describe,
    Read,
}

/// How it is asked for.
struct Operation {
    method: Method,
    /// The path; what stands in braces is given.
    path: &'static str,
    /// What a token needs; none is needed otherwise.
    scope: Option<Scope>,
    deed: Deed,
}

const fn operation(method: Method, path: &'static str, scope: Option<Scope>, deed: Deed) -> Operation {
    Operation { method, path, scope, deed }
}

const USER: &str = "/api/v1/users/{domain}/{user}";

/// Every operation.
const OPERATIONS: [Operation; 9] = [
    // Whether these two need a token is a setting.
    operation(Method::GET, "/api/enrollments/upn/{upn}", None, Deed::AskByUpn),
    operation(Method::GET, "/api/enrollments/{domain}/{user}", None, Deed::AskByDomain),
    operation(Method::GET, "/api/v1/users", Some(Scope::UsersRead), Deed::ListUsers),
    operation(Method::GET, USER, Some(Scope::UsersRead), Deed::ShowUser),
    operation(
        Method::POST,
        "/api/v1/users/{domain}/{user}/clear-lockout",
        Some(Scope::UsersWrite),
        Deed::ClearLockout,
    ),
    operation(
        Method::DELETE,
        "/api/v1/users/{domain}/{user}/enrollment",
        Some(Scope::UsersWrite),
        Deed::DeleteEnrollment,
    ),
    operation(Method::GET, "/api/v1/events", Some(Scope::EventsRead), Deed::ListEvents),
    operation(Method::GET, "/api/openapi.json", None, Deed::Describe),
    operation(Method::GET, "/api", None, Deed::Read),
];

/// Every operation as method and path, with what is given in braces.
pub fn operations() -> impl Iterator<Item = (Method, &'static str)> {
    OPERATIONS.into_iter().map(|operation| (operation.method, operation.path))
}

/// Whether a path is one of the API's.
pub(super) fn is_at(path: &str) -> bool {
    let path = path.strip_prefix(legacy::BEFORE_API).unwrap_or(path);
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds all addresses of the API.
pub(super) fn add_routes(routes: Route, site: &Arc<Site>) -> Route {
    // Not nested: an address that can't be decoded would then not come here.
    [String::new(), legacy::BEFORE_API.to_owned()].iter().fold(routes, |routes, before| {
        let api = || Api(Arc::clone(site));
        routes.at(format!("{before}/api"), api()).at(format!("{before}/api/*rest"), api())
    })
}

/// What is behind an operation's path.
enum Found {
    Operation(Operation, Vec<String>),
    /// There is something, for these methods.
    OtherMethod(String),
    /// Something given in the path can't be understood.
    Malformed,
    Nothing,
}

/// Finds the operation; a look at the head alone is one at all of it (RFC 9110 9.3.2).
fn find(method: &Method, path: &str) -> Found {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let (mut allowed, mut is_malformed) = (Vec::new(), false);
    for operation in OPERATIONS {
        match address::given(operation.path, path) {
            Given::Nothing => {}
            _ if operation.method != method => {
                allowed.push(operation.method.to_string());
                if operation.method == Method::GET {
                    allowed.push("HEAD".to_owned());
                }
            }
            Given::Malformed => is_malformed = true,
            Given::Parts(given) => return Found::Operation(operation, given),
        }
    }
    match (is_malformed, allowed.is_empty()) {
        (true, _) => Found::Malformed,
        (false, false) => Found::OtherMethod(allowed.join(", ")),
        (false, true) => Found::Nothing,
    }
}

/// The whole API.
struct Api(Arc<Site>);

impl Endpoint for Api {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let site = self.0.as_ref();
        let path = request.original_uri().path().to_owned();
        let replaced = path.strip_prefix(legacy::BEFORE_API);
        let is_replaced = replaced.is_some();
        let path = replaced.unwrap_or(&path);
        let is_question =
            path.strip_prefix(ENROLLMENTS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_question {
            return Ok(enrollments::answer(site, &request, path).await);
        }
        let settings = site.services.settings.load_full();
        let is_served = if path.starts_with("/api/v1/") { settings.api.tokens } else { settings.api.is_on() };
        // The product that is replaced has nothing but the question.
        if is_replaced || !is_served || !settings.api.is_open_to(address_of(&request)) {
            return Err(NotFoundError.into());
        }
        Ok(perform(site, &request, path).await.unwrap_or_else(Response::from))
    }
}

/// Does what is asked for.
async fn perform(site: &Site, request: &Request, path: &str) -> Result<Response, Problem> {
    count(site, request)?;
    if is_long(request) {
        return Err(Problem::PathMalformed);
    }
    let (operation, given) = match find(request.method(), path) {
        Found::Operation(operation, given) => (operation, given),
        Found::OtherMethod(allowed) => return Err(Problem::MethodUnknown { allowed }),
        Found::Malformed => return Err(Problem::PathMalformed),
        Found::Nothing => return Err(Problem::NotFound),
    };
    let holder = match operation.scope {
        Some(scope) => Some(admit(site, request, scope).await?),
        None => None,
    };
    let query = request.uri().query().unwrap_or_default();
    match (operation.deed, holder) {
        (Deed::Describe, _) => Ok(description::json()),
        (Deed::Read, _) => Ok(description::page(site, request)),
        (Deed::ListUsers, Some(_)) => users::list(site, query).await,
        (Deed::ShowUser, Some(_)) => users::show(site, &given).await,
        (Deed::ClearLockout, Some(holder)) => users::clear_lockout(site, request, &holder, &given).await,
        (Deed::DeleteEnrollment, Some(holder)) => {
            users::delete_enrollment(site, request, &holder, &given).await
        }
        (Deed::ListEvents, Some(_)) => events::list(site, query).await,
        // The questions are answered before; nothing else is done without a token.
        _ => Err(Problem::NotFound),
    }
}

fn is_long(request: &Request) -> bool {
    request.original_uri().path_and_query().is_some_and(|address| address.as_str().len() > MAXIMUM_URI)
}

/// Takes a try of the address, before anything is looked up.
fn count(site: &Site, request: &Request) -> Result<(), Problem> {
    let limits = &site.services.settings.load().limits;
    let most = (limits.requests_per_address_per_minute, limits.requests_per_second_overall);
    let now = site.services.clock.now();
    site.api.addresses.take(address_of(request), most.0, most.1, now).map_err(limited)
}

fn limited(excess: Excess) -> Problem {
    Problem::RateLimited { seconds: excess.wait.as_secs() }
}

/// Who shows a token that is good for that. Whether there is none, it is unknown or has ended, is not told.
async fn admit(site: &Site, request: &Request, scope: Scope) -> Result<Holder, Problem> {
    let holder = match bearer(request) {
        Some(token) => api_tokens::admit(&site.services, token).await?,
        None => None,
    };
    let holder = holder.ok_or(Problem::TokenMissing)?;
    let settings = site.services.settings.load();
    let most = settings.api.requests_per_token_per_minute;
    site.api.tokens.take(holder.hash, most, site.services.clock.now()).map_err(limited)?;
    if !holder.may(scope) {
        return Err(Problem::ScopeMissing(scope));
    }
    Ok(holder)
}

/// The token of a request (RFC 6750 2.1), if it has one only.
fn bearer(request: &Request) -> Option<&str> {
    let mut all = request.headers().get_all(header::AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
