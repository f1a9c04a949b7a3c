//! The audit log, for programs that collect it.

use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    address::{limit, parameters},
    answer::{Problem, json},
};
use crate::{
    domain::audit::{Action, Numbered, Outcome},
    flows::Error,
    web::Site,
};

/// An event, with the names of its description.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    number: u64,
    at: String,
    outcome: Outcome,
    source: String,
    user: String,
    domain: String,
    action: Action,
    detail: String,
    source_ip: Option<String>,
    source_user: Option<String>,
    account: Option<String>,
    reference: Option<String>,
}

impl Shown {
    fn of(Numbered { number, event }: Numbered) -> Self {
        Self {
            number,
            at: event.at.to_string(),
            outcome: event.outcome,
            source: event.source,
            user: event.user,
            domain: event.domain,
            action: event.action,
            detail: event.detail,
            source_ip: event.source_ip.map(|address| address.to_string()),
            source_user: event.source_user,
            account: event.account.map(|guid| guid.to_string()),
            reference: event.reference,
        }
    }
}

#[derive(Serialize)]
struct Page {
    events: Vec<Shown>,
    /// What to give as `after` for those that follow, now or later.
    next: u64,
}

/// `GET /api/v1/events`
pub(super) async fn list(site: &Site, query: &str) -> Result<Response, Problem> {
    let [after, most] = parameters(query, ["after", "limit"])?;
    let after: u64 = match after {
        None => 0,
        Some(after) => after.parse().map_err(|_| Problem::ParameterMalformed("after".into()))?,
    };
    let most = limit(most.as_deref())?;
    let found = site.services.store.events_after(after, most).await.map_err(Error::from)?;
    let next = found.last().map_or(after, |last| last.number);
    Ok(json(StatusCode::OK, &Page { events: found.into_iter().map(Shown::of).collect(), next }))
}
