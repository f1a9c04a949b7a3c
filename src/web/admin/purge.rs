//! Deleted accounts: what the last look for them has found, how far one is that is under way, and a button for another.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, draw, minute, redirect,
    round::{Round, is_asked_for},
    settings,
};
use crate::{
    domain::{
        admin::Role,
        field::Problems,
        purge::{Report, Skipped},
    },
    flows::{Error, purge},
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/purge";

/// `/admin/purge`
pub(super) struct Purge;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    round: Round,
    purge: Words,
}

#[derive(Serialize)]
struct Words {
    /// After how many days; 0 never.
    days: u32,
    last: Option<LastWords>,
}

#[derive(Serialize)]
struct LastWords {
    started: String,
    ended: Option<String>,
    domains: Vec<DomainWords>,
}

#[derive(Serialize)]
struct DomainWords {
    domain: String,
    looked_at: usize,
    missing: usize,
    purged: usize,
    skipped: &'static str,
    is_wrong: bool,
}

impl From<Report> for LastWords {
    fn from(report: Report) -> Self {
        let domains = report.domains.into_iter().map(|it| DomainWords {
            domain: it.domain,
            looked_at: it.looked_at,
            missing: it.missing,
            purged: it.purged,
            skipped: it.skipped.map_or("none", Skipped::code),
            is_wrong: it.skipped.is_some(),
        });
        Self { domains: domains.collect(), started: minute(report.started), ended: report.ended.map(minute) }
    }
}

async fn draw_page(seat: &Seat<'_>, fault: Option<&str>, status: StatusCode) -> Result<Response, Error> {
    let services = &seat.site.services;
    let mut form =
        page::Form::new(seat.site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::new());
    if let Some(key) = fault {
        form.summarise(seat.say(key, &[]));
    }
    let round = Round::of(seat, &services.purge, "admin.purge.progress");
    let purge = Words {
        days: services.settings.load().enroll.purge_after_days,
        last: purge::last(services).await?.map(LastWords::from),
    };
    let page = page::Page::new(seat.site, seat.language, "admin", "purge");
    let context = Context { page, panel: Panel::new(seat, "purge"), form, round, purge };
    Ok(draw(seat.site, seat.language, "admin/purge.html", context, status))
}

#[async_trait]
impl Page for Purge {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        draw_page(&seat, None, StatusCode::OK).await
    }

    async fn take(&self, seat: Seat<'_>, form: Form) -> Result<Response, Error> {
        if is_asked_for(form, &seat.site.services.purge) {
            return Ok(redirect(PATH));
        }
        draw_page(&seat, Some("invalid.field_unknown"), StatusCode::UNPROCESSABLE_ENTITY).await
    }
}
