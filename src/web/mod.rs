//! The web: what comes in over HTTP and what goes out. The only module that names poem.
//!
//! It turns requests into the types of the domain, calls the flows, and draws what came of it. It must not know how
//! anything is stored or which directory there is.

mod admin;
mod api;
pub mod client_ip;
pub mod csrf;
mod form;
mod headers;
mod health;
mod language;
mod legacy;
pub mod limit;
mod look;
mod metrics;
mod outbox;
mod problem;
pub mod server;
mod statics;
mod user;

use std::{net::IpAddr, sync::Arc};

use poem::{
    Endpoint, IntoEndpoint as _, Request, Response, Route,
    http::{StatusCode, header},
};

pub use admin::Drafts;
pub use admin::addresses as panel_addresses;
pub use api::{Limits as ApiLimits, operations as api_operations};
pub use look::Looks;
pub use metrics::Asked;

use crate::{
    domain::{
        clock::Timestamp,
        flow::Kind,
        refusal::{Refusal, Service},
    },
    flows::{Error, Services, session::SessionId},
    render::{Language, Renderer},
    report::desk::Desk,
    tls::Certificates,
};

/// What the pages work with.
pub struct Site {
    /// The flows' services.
    pub services: Arc<Services>,
    /// Templates, texts, assets.
    pub renderer: Arc<Renderer>,
    /// Who may ask how often.
    pub limits: limit::AddressLimits,
    /// Whose refused forms are written down how often: nobody may fill the disk with them.
    pub noted: limit::AddressLimits,
    /// Who may have the panel try things how often: what is tried reaches into the network.
    pub trials: limit::AddressLimits,
    /// How often the API may be asked, from an address and with a token.
    pub api: api::Limits,
    /// Whether the API has a listener of its own, and is not where the pages are.
    pub api_apart: bool,
    /// Where the tables of the panel are searched.
    pub desk: Desk,
    /// The certificate of the pages.
    pub certificates: Arc<Certificates>,
    /// The `Host` values that are answered, in lower case: host, with the port unless it is 443.
    pub hosts: Vec<String>,
    /// How the pages look by the settings in force.
    pub looks: Looks,
    /// How they would look by what administrators have typed and not saved.
    pub drafts: Drafts,
    /// What was asked of the pages, for those who watch.
    pub asked: Asked,
    /// When the program began to serve.
    pub began_at: Timestamp,
    /// Whether this is the demo: a notice on every page, and no HSTS for a name that is shared with others.
    pub demo: bool,
}

/// All addresses, with the guard before them.
pub fn routes(site: Arc<Site>) -> impl Endpoint {
    let mut routes = Route::new()
        .at("/", user::Menu::new(Arc::clone(&site)))
        .at("/healthz", health::Alive(Arc::clone(&site)))
        .at("/readyz", health::Ready(Arc::clone(&site)))
        .at("/assets/:name", statics::Assets(Arc::clone(&site)))
        .nest("/pwreset", legacy::routes());
    for (path, is_logo) in [("/appearance/logo", true), ("/appearance/style.css", false)] {
        routes = routes.at(path, look::Appearance { site: Arc::clone(&site), is_logo });
    }
    routes = admin::add_routes(routes, &site);
    if !site.api_apart {
        routes = api::add_routes(routes, &site);
    }
    if site.demo {
        for (path, json) in [("/demo/outbox", false), ("/demo/outbox.json", true)] {
            routes = routes.at(path, outbox::Outbox { site: Arc::clone(&site), json });
        }
    }
    for kind in Kind::ALL {
        routes = routes.at(format!("/{kind}"), user::FlowPages { site: Arc::clone(&site), kind });
    }
    headers::Guard { hosts: site.hosts.clone(), site, inner: routes.into_endpoint() }
}

/// The addresses of the API alone, for a listener of its own that is called by these names.
pub fn api_routes(site: Arc<Site>, hosts: Vec<String>) -> impl Endpoint {
    // What its description needs to be seen.
    let routes = Route::new().at("/assets/:name", statics::Assets(Arc::clone(&site)));
    let routes = api::add_routes(routes, &site);
    headers::Guard { hosts, site, inner: routes.into_endpoint() }
}

/// The addresses for those who watch, for a listener of its own: whoever gets there may know how everything stands.
pub fn watch_routes(site: &Arc<Site>) -> impl Endpoint + use<> {
    Route::new()
        .at("/healthz", health::Alive(Arc::clone(site)))
        .at("/readyz", health::Ready(Arc::clone(site)))
        .at("/metrics", metrics::Metrics(Arc::clone(site)))
}

/// The page of an answer that the serve loop gives without asking the routes.
pub fn bare_page(site: &Site, status: StatusCode) -> Response {
    let texts = site.renderer.texts();
    let error = match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            Error::Unavailable(Service::Busy, "the answer took too long".into())
        }
        StatusCode::INTERNAL_SERVER_ERROR => Error::Internal("a request panicked".into()),
        _ => Error::Refused(Refusal::NotFound),
    };
    let mut response = problem::page(site, texts.reference(), None, &error).0;
    response.set_status(status);
    headers::decorate(response.headers_mut(), site.demo);
    response
}

/// The cookie of the session.
const SESSION_COOKIE: &str = "__Host-regain";
/// The cookie of the chosen language.
const LANGUAGE_COOKIE: &str = "__Host-regain-language";
/// The cookie of what sort of browser it is, if not an ordinary one.
const CLIENT_COOKIE: &str = "__Host-regain-client";

/// The value of a cookie of the request.
fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let headers = request.headers().get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    let pairs = headers.flat_map(|pairs| pairs.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
    // Of two nobody knows which one is the browser's own.
    values.next().filter(|_| values.next().is_none())
}

/// The session of the request, if it has one.
fn session(request: &Request) -> Option<SessionId> {
    cookie(request, SESSION_COOKIE).and_then(SessionId::parse)
}

/// The visitor's address, behind proxies as they tell it.
fn address(request: &Request) -> IpAddr {
    request.remote_addr().as_socket_addr().map_or(client_ip::UNKNOWN, |address| address.ip().to_canonical())
}

/// The language of the pages for this request.
fn language(site: &Site, request: &Request) -> Language {
    language::choose(site, request)
}
