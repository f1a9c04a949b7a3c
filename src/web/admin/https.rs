//! HTTPS: the certificate that browsers see, whether it will do, and how ordering one stands.

use std::sync::Arc;

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Page, Panel, Seat, draw, redirect,
    settings::{self, FindingRow, may_try},
};
use crate::{
    domain::{admin::Role, certificate::TRIES, clock::Timestamp, field::Problems, refusal::Refusal},
    flows::{Error, certificate},
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
    acme: Option<Ordering>,
    may_check: bool,
    findings: Vec<FindingRow>,
}

/// How ordering a certificate stands.
#[derive(Serialize)]
struct Ordering {
    facts: Vec<(&'static str, String)>,
    /// Why the last try failed, and what to do about it.
    trouble: Option<(&'static str, String)>,
    is_running: bool,
    is_spent: bool,
    /// The most in an hour, and in a day.
    tries: (u32, u32),
    may_try: bool,
}

/// How ordering a certificate stands, if one is to be ordered.
async fn ordering(seat: &Seat<'_>) -> Result<Option<Ordering>, Error> {
    let Some(view) = certificate::view(&seat.site.services).await? else { return Ok(None) };
    let say = |key: &str| seat.say(&format!("admin.acme.{key}"), &[]);
    let now = seat.site.services.clock.now();
    let is_due = view.due_at.is_none_or(|due| due <= now);
    let at = |at: Option<Timestamp>| at.map_or_else(|| say("never"), super::minute);
    let wanted = view.wanted;
    let mut facts = vec![
        ("wanted", if wanted.names.is_empty() { say("nameless") } else { wanted.names.join(", ") }),
        ("directory", wanted.directory),
        ("account", wanted.contact.unwrap_or_else(|| say("anonymous"))),
        ("challenge", say(wanted.challenge.as_str())),
        ("tried", at(view.standing.tried_at)),
    ];
    if is_due {
        facts.push(("next", view.standing.next_at.map_or_else(|| say("at_once"), super::minute)));
    } else {
        facts.push(("renewal", at(view.due_at)));
    }
    let trouble = view.standing.trouble.filter(|_| !view.is_running);
    Ok(Some(Ordering {
        facts,
        trouble: trouble.map(|trouble| (trouble.cause.as_str(), trouble.text)),
        is_running: view.is_running,
        is_spent: view.is_spent,
        tries: TRIES,
        may_try: is_due && !view.is_running && seat.admin.role == Role::Administrator,
    }))
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

async fn draw_page(seat: &Seat<'_>, findings: Vec<FindingRow>, often: bool) -> Result<Response, Error> {
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
        acme: ordering(seat).await?,
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
        draw_page(&seat, Vec::new(), false).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let action = form.take("action").map(|action| action.reveal().to_owned()).unwrap_or_default();
        if !["check", "try"].contains(&action.as_str()) {
            return Err(Error::Refused(Refusal::NotFound));
        }
        if !may_try(&seat) {
            return draw_page(&seat, Vec::new(), true).await;
        }
        if action == "try" {
            seat.site.services.certificate.ask();
            return Ok(redirect(PATH));
        }
        let (certificates, hosts, now) =
            (Arc::clone(&seat.site.certificates), seat.site.hosts.clone(), now(seat.site));
        let findings = tokio::task::spawn_blocking(move || certificates.examine(&hosts, now));
        let findings = findings.await.map_err(|error| Error::Internal(error.to_string()))?;
        draw_page(&seat, findings.into_iter().map(FindingRow::from).collect(), false).await
    }
}
