//! HTTPS: the certificate that browsers see, and whether it will do.

use std::sync::Arc;

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Page, Panel, Seat, draw,
    settings::{self, FindingRow, may_try},
};
use crate::{
    domain::{admin::Role, clock::Timestamp, field::Problems, refusal::Refusal},
    flows::Error,
    web::{Site, form::Form, user::page},
};

const PATH: &str = "/admin/https";

/// `/admin/https`
pub(super) struct Https;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    facts: Vec<(&'static str, String)>,
    is_self_signed: bool,
    may_check: bool,
    findings: Vec<FindingRow>,
}

/// The time as certificates count it.
fn now(site: &Site) -> OffsetDateTime {
    let seconds = site.services.clock.now().millis() / 1000;
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// How many days are left, in words.
pub(super) fn days_left(seat: &Seat<'_>) -> String {
    let certificates = &seat.site.certificates;
    let days = certificates.days_left(now(seat.site)).to_string();
    let key = if certificates.is_self_signed() { "self_signed" } else { "days" };
    let texts = seat.site.renderer.texts();
    texts.text(&seat.language.code, &format!("admin.certificate.{key}"), &[("days", &days)])
}

fn draw_page(seat: &Seat<'_>, findings: Vec<FindingRow>, often: bool) -> Result<Response, Error> {
    let site = seat.site;
    let known = site.certificates.facts().map_err(|error| Error::Internal(error.to_string()))?;
    let minute = |at: OffsetDateTime| super::minute(Timestamp::from_millis(at.unix_timestamp() * 1000));
    let mut facts = vec![
        ("hosts", site.hosts.join(", ")),
        ("days", days_left(seat)),
        ("names", known.names.join(", ")),
        ("issuer", known.issuer),
        ("valid", format!("{} – {}", minute(known.not_before), minute(known.not_after))),
        ("fingerprint", known.fingerprint),
    ];
    if let Some((certificate, key)) = known.files {
        facts.push(("files", format!("{}, {}", certificate.display(), key.display())));
    }
    let status = if often { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut form =
        page::Form::new(site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::default());
    if often {
        form.summarise(site.renderer.texts().text(&seat.language.code, "admin.trial.often", &[]));
    }
    let context = Context {
        page: page::Page::new(site, seat.language, "admin", "https"),
        panel: Panel::new(seat, "https"),
        form,
        facts,
        is_self_signed: site.certificates.is_self_signed(),
        may_check: seat.admin.role == Role::Administrator,
        findings,
    };
    Ok(draw(site, seat.language, "admin/https.html", context, status))
}

#[async_trait]
impl Page for Https {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        draw_page(&seat, Vec::new(), false)
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        if !form.take("action").is_ok_and(|action| action.reveal() == "check") {
            return Err(Error::Refused(Refusal::NotFound));
        }
        if !may_try(&seat) {
            return draw_page(&seat, Vec::new(), true);
        }
        let (certificates, hosts, now) =
            (Arc::clone(&seat.site.certificates), seat.site.hosts.clone(), now(seat.site));
        let findings = tokio::task::spawn_blocking(move || certificates.examine(&hosts, now));
        let findings = findings.await.map_err(|error| Error::Internal(error.to_string()))?;
        draw_page(&seat, findings.into_iter().map(FindingRow::from).collect(), false)
    }
}
