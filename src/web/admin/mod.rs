//! The admin panel: signing in, and the settings. The guard stands before every page of it: who is signed in, whether
//! their role allows it, and whether a form was sent from the page it belongs to.

mod about;
mod access;
mod add_domain;
mod appearance;
mod backup;
mod chart;
mod control;
mod coverage;
mod domains;
mod frame;
mod https;
mod import;
mod names;
mod overrides;
mod overview;
mod passwords;
mod proof;
mod purge;
mod round;
mod settings;
mod sign_in;
mod table;
mod tokens;
mod transfer;
mod user;
mod verify;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use poem::{
    Endpoint, EndpointExt as _, Request, Response, Result, Route,
    endpoint::BoxEndpoint,
    error::NotFoundError,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde::Serialize;

use super::{
    Site, address, cookie, csrf,
    form::Form,
    language, problem,
    user::{keep_language, page, set_cookie_at},
};
use crate::{
    domain::{admin::Role, clock::Timestamp, field::Problem, refusal::Refusal},
    flows::{
        self, Error,
        change_settings::Editor,
        session::SessionId,
        sign_in::{Admin, Standing},
    },
    render::{Language, Texts},
};

pub use appearance::Drafts;
use frame::Panel;
use table::{Events, ExportPage, FilterPage, TablePage, Users};

/// The cookie of a session of the panel: no other host can set one of that name (RFC 6265bis 4.1.3.2).
const COOKIE: &str = "__Host-regain-admin";
const PATH: &str = "/";
/// The most a form of the panel may have: lists of questions in every language, as they were and as they are to be.
const MAXIMUM_FORM: usize = 256 * 1024;

/// What answers at an address.
enum Answers {
    /// A page for those who are signed in; it says itself for which roles.
    Guarded(fn() -> Box<dyn Page>),
    /// A page of signing in.
    Open(fn(&Arc<Site>) -> BoxEndpoint<'static, Response>),
}

/// Every address of the panel. The router is made of this, so that none can be without its guard.
const ROUTES: [(&str, Answers); 31] = [
    ("/admin", Answers::Guarded(|| Box::new(overview::Overview))),
    ("/admin/about", Answers::Guarded(|| Box::new(about::About))),
    ("/admin/about/licences.txt", Answers::Guarded(|| Box::new(about::Licences))),
    ("/admin/access", Answers::Guarded(|| Box::new(access::Access))),
    ("/admin/api", Answers::Guarded(|| Box::new(tokens::Tokens))),
    ("/admin/appearance/:view", Answers::Guarded(|| Box::new(appearance::Preview))),
    ("/admin/backup", Answers::Guarded(|| Box::new(backup::Backups))),
    ("/admin/coverage", Answers::Guarded(|| Box::new(coverage::Coverage))),
    ("/admin/domains/new", Answers::Guarded(|| Box::new(add_domain::AddDomain))),
    ("/admin/domains", Answers::Guarded(|| Box::new(domains::Domains))),
    ("/admin/events", Answers::Guarded(|| Box::new(TablePage::<Events>::new()))),
    ("/admin/events/filter", Answers::Guarded(|| Box::new(FilterPage::<Events>::new()))),
    ("/admin/events/export/:format", Answers::Guarded(|| Box::new(ExportPage::<Events>::new()))),
    ("/admin/users", Answers::Guarded(|| Box::new(TablePage::<Users>::new()))),
    ("/admin/users/filter", Answers::Guarded(|| Box::new(FilterPage::<Users>::new()))),
    ("/admin/users/export/:format", Answers::Guarded(|| Box::new(ExportPage::<Users>::new()))),
    ("/admin/users/:domain/:guid", Answers::Guarded(|| Box::new(user::UserPage))),
    ("/admin/events/verify", Answers::Guarded(|| Box::new(verify::Verify))),
    ("/admin/https", Answers::Guarded(|| Box::new(https::Https))),
    ("/admin/import", Answers::Guarded(|| Box::new(import::Import))),
    ("/admin/import/report", Answers::Guarded(|| Box::new(import::Report))),
    ("/admin/overrides", Answers::Guarded(|| Box::new(overrides::OverridesPage))),
    ("/admin/passwords", Answers::Guarded(|| Box::new(passwords::Passwords))),
    ("/admin/purge", Answers::Guarded(|| Box::new(purge::Purge))),
    ("/admin/transfer", Answers::Guarded(|| Box::new(transfer::Transfer))),
    ("/admin/search", Answers::Guarded(|| Box::new(overview::Search))),
    ("/admin/settings/:tab", Answers::Guarded(|| Box::new(settings::TabPage))),
    ("/admin/sign-out", Answers::Guarded(|| Box::new(SignOut))),
    ("/admin/sign-in", Answers::Open(|site| sign_in::SignIn(Arc::clone(site)).boxed())),
    ("/admin/invite/:token", Answers::Open(|site| sign_in::Invite(Arc::clone(site)).boxed())),
    ("/admin/setup/:token", Answers::Open(|site| sign_in::SetUp(Arc::clone(site)).boxed())),
];

/// Every address of the panel, with names in the place of what differs.
pub fn addresses() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|(address, _)| *address)
}

/// Adds all addresses of the panel.
pub fn add_routes(routes: Route, site: &Arc<Site>) -> Route {
    ROUTES.iter().fold(routes, |routes, (address, answers)| {
        let inner = match answers {
            Answers::Guarded(page) => Guarded { site: Arc::clone(site), page: page() }.boxed(),
            Answers::Open(endpoint) => endpoint(site),
        };
        routes.at(*address, Door { site: Arc::clone(site), inner })
    })
}

/// What stands before every address of the panel: for those who come from elsewhere there is nothing here.
struct Door {
    site: Arc<Site>,
    inner: BoxEndpoint<'static, Response>,
}

impl Endpoint for Door {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if !self.site.services.settings.load().admin.is_open_to(address(&request)) {
            return Err(NotFoundError.into());
        }
        let asked = language::asked(&request).map(|_| language(&self.site, &request).code);
        let mut response = self.inner.call(request).await?;
        if let Some(code) = asked {
            keep_language(&mut response, &code);
        }
        Ok(response)
    }
}

/// Who sits before a page, and at which.
struct Seat<'a> {
    site: &'a Site,
    language: &'a Language,
    texts: &'a Texts,
    admin: &'a Admin,
    session: &'a SessionId,
    address: IpAddr,
    request: &'a Request,
}

impl Seat<'_> {
    /// A text in the language of who sits there.
    fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.texts.text(&self.language.code, key, values)
    }

    /// The token of a form of the page at that path.
    fn token(&self, path: &str) -> String {
        csrf::token(&self.site.services.keys.forms, self.session, path, "admin")
    }

    /// Who it is, for the audit log.
    fn editor(&self) -> Editor {
        Editor {
            who: Some(self.admin.who.clone()),
            name: self.admin.name.clone(),
            address: Some(self.address),
            source: "admin",
        }
    }
}

/// A page of the panel.
#[async_trait]
trait Page: Send + Sync {
    /// Whether someone in that role may see it.
    fn is_for(&self, role: Role) -> bool;

    /// Whether someone in that role may send its form.
    fn is_sent_by(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    /// The most bytes of its form if there are files in it.
    fn longest_upload(&self) -> Option<usize> {
        None
    }

    /// The answer to a form that is too large to be read.
    async fn refuse_large(&self, _seat: Seat<'_>) -> Result<Response, Error> {
        Ok(StatusCode::PAYLOAD_TOO_LARGE.into())
    }

    /// Shows it.
    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error>;

    /// Takes its form.
    async fn take(&self, seat: Seat<'_>, form: Form) -> Result<Response, Error>;
}

/// A page with the guard before it.
struct Guarded {
    site: Arc<Site>,
    page: Box<dyn Page>,
}

impl Endpoint for Guarded {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let site = &self.site;
        let language = language(site, &request);
        let refuse = |error: &Error| problem::page(site, &language, None, error).0;
        let Some(session) = session(&request) else { return Ok(redirect("/admin/sign-in")) };
        let admin = match flows::sign_in::standing(&site.services, &session).await {
            Ok(Standing::Signed(admin)) => admin,
            Ok(Standing::None | Standing::Pending(_)) => return Ok(redirect("/admin/sign-in")),
            Err(error) => return Ok(refuse(&error)),
        };
        let is_post = request.method() == Method::POST;
        let is_permitted =
            if is_post { self.page.is_sent_by(admin.role) } else { self.page.is_for(admin.role) };
        if !is_permitted {
            return Ok(refuse(&Error::Refused(Refusal::AdminNotPermitted)));
        }
        let address = address(&request);
        let form = if is_post {
            if let Some(response) = limited(site, &language, address) {
                return Ok(response);
            }
            let same_site = csrf::is_same_site(&request, &site.hosts);
            let read = match self.page.longest_upload() {
                Some(most) => Form::read_with_files(&mut request, most).await,
                None => Form::read(&mut request, MAXIMUM_FORM).await,
            };
            let Some(mut form) = read else {
                return Ok(StatusCode::REQUEST_TIMEOUT.into());
            };
            let is_large = form.fault == Some(Problem::BodyTooLarge);
            // Without its token nothing is done with it but to say so.
            if !same_site || !is_large && !is_genuine(site, &session, request.uri().path(), &mut form) {
                return Ok(refuse(&Error::Refused(Refusal::FormForged)));
            }
            Some(form)
        } else {
            None
        };
        let texts = &site.renderer.texts();
        let seat = Seat {
            site,
            language: &language,
            texts,
            admin: &admin,
            session: &session,
            address,
            request: &request,
        };
        let answer = match form {
            Some(form) if form.fault == Some(Problem::BodyTooLarge) => self.page.refuse_large(seat).await,
            Some(form) => self.page.take(seat, form).await,
            None => self.page.show(seat).await,
        };
        Ok(answer.unwrap_or_else(|error| refuse(&error)))
    }
}

/// Takes the token out of a form, and says whether it was made for this session and page.
fn is_genuine(site: &Site, session: &SessionId, path: &str, form: &mut Form) -> bool {
    form.take("csrf").is_ok_and(|token| {
        csrf::verify(&site.services.keys.forms, session, path, token.reveal()) == Some("admin")
    })
}

/// The answer to an address that sends too many forms.
fn limited(site: &Site, language: &Language, address: IpAddr) -> Option<Response> {
    let settings = site.services.settings.load();
    let limits =
        (settings.limits.requests_per_address_per_minute, settings.limits.requests_per_second_overall);
    let excess = site.limits.take(address, limits.0, limits.1, site.services.clock.now()).err()?;
    let refusal = Refusal::RateLimited { seconds: excess.wait.as_secs() };
    Some(problem::page(site, language, None, &Error::Refused(refusal)).0)
}

fn session(request: &Request) -> Option<SessionId> {
    cookie(request, COOKIE).and_then(SessionId::parse)
}

fn redirect(to: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to).finish()
}

/// To the next page, under that session.
fn redirect_under(session: &SessionId, to: &str) -> Response {
    let mut response = redirect(to);
    set_cookie_at(&mut response, (COOKIE, PATH), &session.cookie(), None);
    response
}

/// `/admin/sign-out`
struct SignOut;

#[async_trait]
impl Page for SignOut {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    fn is_sent_by(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, _seat: Seat<'_>) -> Result<Response, Error> {
        Ok(redirect("/admin"))
    }

    async fn take(&self, seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        flows::sign_in::sign_out(&seat.site.services, &seat.session.hash()).await?;
        seat.site.drafts.forget(&seat.session.hash());
        let mut response = redirect("/admin/sign-in");
        set_cookie_at(&mut response, (COOKIE, PATH), "", Some(0));
        // Nor is a page to come back by the browser's Back button (ASVS 5.0 14.3.1).
        let what = HeaderValue::from_static("\"cache\", \"storage\"");
        response.headers_mut().insert("clear-site-data", what);
        Ok(response)
    }
}

/// To the minute, in UTC.
fn minute(at: Timestamp) -> String {
    at.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// Draws a page of the panel.
fn draw(
    site: &Site,
    language: &Language,
    template: &str,
    context: impl Serialize,
    status: StatusCode,
) -> Response {
    page::render(site, template, &language.code, context, status)
}
