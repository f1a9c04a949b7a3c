//! For monitors: is the program alive, and can it serve.

use std::sync::Arc;

use poem::{Endpoint, Request, Response, Result, http::StatusCode};
use time::OffsetDateTime;

use super::Site;

/// `/healthz`: the program answers. How long its certificate is good, everybody can see who connects; that another can't be
/// had, anybody may know, but not why.
pub struct Alive(pub Arc<Site>);

impl Endpoint for Alive {
    type Output = Response;
    async fn call(&self, _request: Request) -> Result<Response> {
        let seconds = self.0.services.clock.now().millis() / 1000;
        let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let days = self.0.certificates.days_left(now);
        let order = if self.0.services.certificate.is_failing() { "certificate_order failing\n" } else { "" };
        let text = format!("ok\ncertificate_days_left {days}\n{order}");
        Ok(Response::builder().content_type("text/plain; charset=utf-8").body(text))
    }
}

/// `/readyz`: the store can be written to. Which directory is down, a stranger need not know: the pages say so to
/// those concerned.
pub struct Ready(pub Arc<Site>);

impl Endpoint for Ready {
    type Output = Response;
    async fn call(&self, _request: Request) -> Result<Response> {
        let response = Response::builder().content_type("text/plain; charset=utf-8");
        Ok(match self.0.services.store.trouble() {
            None => response.body("ready\n"),
            Some(_) => {
                response.status(StatusCode::SERVICE_UNAVAILABLE).header("retry-after", "10").body("store\n")
            }
        })
    }
}
