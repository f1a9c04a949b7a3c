//! Coverage: how many have enrolled of the people who may, domain by domain, and a button to count again.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, draw, minute, redirect,
    round::{Round, is_asked_for},
};
use crate::{
    domain::{
        admin::Role,
        coverage::{Count, OfDomain},
        field::Problems,
    },
    flows::{Error, coverage},
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/coverage";

/// `/admin/coverage`
pub(super) struct Coverage;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    round: Round,
    total: Option<CountWords>,
    domains: Vec<DomainWords>,
}

#[derive(Serialize)]
struct DomainWords {
    domain: String,
    count: Option<CountWords>,
    /// Since when it can't be counted, if it can't.
    failing_since: Option<String>,
}

impl From<OfDomain> for DomainWords {
    fn from(of: OfDomain) -> Self {
        Self {
            domain: of.domain,
            count: of.count.map(CountWords::from),
            failing_since: of.failing_since.map(minute),
        }
    }
}

/// A count, as it is shown.
#[derive(Serialize)]
pub(super) struct CountWords {
    at: String,
    permitted: usize,
    enrolled: usize,
    /// None if nobody may enroll.
    percent: Option<usize>,
}

impl From<Count> for CountWords {
    fn from(count: Count) -> Self {
        let (permitted, enrolled) = (count.permitted, count.enrolled);
        Self { at: minute(count.at), permitted, enrolled, percent: count.percent() }
    }
}

async fn draw_page(seat: &Seat<'_>, fault: Option<&str>, status: StatusCode) -> Result<Response, Error> {
    let services = &seat.site.services;
    let mut form =
        page::Form::new(seat.site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::new());
    if let Some(key) = fault {
        form.summarise(seat.say(key, &[]));
    }
    let last = coverage::last(services).await?;
    let context = Context {
        page: page::Page::new(seat.site, seat.language, "admin", "coverage"),
        panel: Panel::new(seat, "coverage"),
        form,
        round: Round::of(seat, &services.coverage, "admin.coverage.progress"),
        total: last.total().map(CountWords::from),
        domains: last.domains.into_iter().map(DomainWords::from).collect(),
    };
    Ok(draw(seat.site, seat.language, "admin/coverage.html", context, status))
}

#[async_trait]
impl Page for Coverage {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        draw_page(&seat, None, StatusCode::OK).await
    }

    async fn take(&self, seat: Seat<'_>, form: Form) -> Result<Response, Error> {
        if is_asked_for(form, &seat.site.services.coverage) {
            return Ok(redirect(PATH));
        }
        draw_page(&seat, Some("invalid.field_unknown"), StatusCode::UNPROCESSABLE_ENTITY).await
    }
}
