//! All settings as one file: written, and taken from another appliance after a look at what it would change.

use async_trait::async_trait;
use poem::{
    Response,
    http::{StatusCode, header},
};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, proof, redirect};
use crate::{
    domain::{admin::Role, field::Problems, secret::SecretText},
    flows::{
        Error,
        change_settings::{Change, Editor},
        transfer::{self, MAXIMUM_BYTES, Passphrase, Plan},
    },
    settings::Fault,
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/transfer";
/// The most bytes of a form: a plan has the settings of both in it, sealed and encoded.
const MAXIMUM_FORM: usize = 2 * 1024 * 1024;

/// `/admin/transfer`
pub(super) struct Transfer;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    transfer: Words,
}

#[derive(Serialize, Default)]
struct Words {
    saved: bool,
    least: usize,
    /// Whether it is about a file that was looked at.
    is_preview: bool,
    plan: String,
    changes: Vec<String>,
    /// Keys that are not taken, and where they are fixed or why not.
    fixed: Vec<(String, String)>,
    kept: Vec<String>,
    faults: Vec<String>,
    /// The secrets that have to be given, and whether they are there to be removed instead.
    wanted: Vec<(String, bool)>,
}

/// Something to be said at a field, or of the form as a whole.
type Told<'a> = (&'a str, String);

fn draw_page(seat: &Seat<'_>, words: Words, told: Option<Told<'_>>, status: StatusCode) -> Response {
    let mut form =
        page::Form::new(seat.site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::new());
    match told {
        Some(("", text)) => form.summarise(text),
        Some((field, text)) => form.add_fault(field.to_owned(), text),
        None => {}
    }
    let page = page::Page::new(seat.site, seat.language, "admin", "transfer");
    let transfer = Words { least: Passphrase::LEAST_CHARACTERS, ..words };
    let context = Context { page, panel: Panel::new(seat, "transfer"), form, transfer };
    draw(seat.site, seat.language, "admin/transfer.html", context, status)
}

fn text(seat: &Seat<'_>, key: &str) -> String {
    let least = Passphrase::LEAST_CHARACTERS.to_string();
    seat.say(key, &[("minimum", &least)])
}

fn refuse(seat: &Seat<'_>, field: &str, key: &str) -> Response {
    draw_page(seat, Words::default(), Some((field, text(seat, key))), StatusCode::UNPROCESSABLE_ENTITY)
}

fn editor(seat: &Seat<'_>) -> Editor {
    Editor { source: "import", ..seat.editor() }
}

/// Gives the file to the browser.
async fn export(seat: &Seat<'_>, mut form: Form) -> Result<Response, Error> {
    let (one, other) = (form.take("passphrase"), form.take("confirm_passphrase"));
    let (Ok(one), Ok(other), None) = (one, other, form.finish()) else {
        return Ok(refuse(seat, "", "invalid.field_unknown"));
    };
    let (one, other) = (Passphrase::new(&one), Passphrase::new(&other));
    if !one.same_as(&other) {
        return Ok(refuse(seat, "confirm_passphrase", "admin.transfer.fault.differ"));
    }
    if !one.is_empty() && !one.is_long_enough() {
        return Ok(refuse(seat, "passphrase", "admin.transfer.fault.short"));
    }
    let passphrase = Some(&one).filter(|one| !one.is_empty());
    let file = transfer::export(&seat.site.services, &seat.editor(), passphrase).await?;
    Ok(Response::builder()
        .content_type("application/toml; charset=utf-8")
        .header(header::CONTENT_DISPOSITION, "attachment; filename=\"regain-settings.toml\"")
        .body(file))
}

/// Looks at a file, and shows what it would change.
async fn look(seat: &Seat<'_>, mut form: Form) -> Result<Response, Error> {
    let (file, pasted, passphrase) =
        (form.take_file("file"), form.take("text"), form.take("file_passphrase"));
    if form.finish().is_some() {
        return Ok(refuse(seat, "", "invalid.field_unknown"));
    }
    let (Ok(file), Ok(pasted), Ok(passphrase)) = (file, pasted, passphrase) else {
        return Ok(refuse(seat, "file", "admin.transfer.fault.not_text"));
    };
    let bytes = match (file.as_slice(), pasted.reveal().trim().as_bytes()) {
        ([], []) => return Ok(refuse(seat, "file", "admin.transfer.fault.nothing")),
        (file, []) => file,
        ([], pasted) => pasted,
        _ => return Ok(refuse(seat, "file", "admin.import.fault.both")),
    };
    if bytes.len() > MAXIMUM_BYTES {
        return Ok(refuse(seat, "file", "admin.transfer.fault.too_large"));
    }
    let Ok(content) = std::str::from_utf8(bytes) else {
        return Ok(refuse(seat, "file", "admin.transfer.fault.not_text"));
    };
    let file = match transfer::read(content.trim_start_matches('\u{feff}')) {
        Ok(file) => file,
        Err(faults) => {
            let words =
                Words { faults: faults.iter().map(ToString::to_string).collect(), ..Words::default() };
            let told = ("file", text(seat, "admin.transfer.fault.refused"));
            return Ok(draw_page(seat, words, Some(told), StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let passphrase = Passphrase::new(&passphrase);
    if !file.has_secrets() && !passphrase.is_empty() {
        return Ok(refuse(seat, "file_passphrase", "admin.transfer.fault.no_secrets"));
    }
    let passphrase = Some(&passphrase).filter(|passphrase| !passphrase.is_empty());
    match transfer::plan(&seat.site.services, &editor(seat), file, passphrase).await? {
        Some(plan) => show_plan(seat, &plan, None, StatusCode::OK).await,
        None => Ok(refuse(seat, "file_passphrase", "admin.transfer.fault.passphrase")),
    }
}

/// Shows what a plan would change. `refused` is what was found to be in the way when it was to be applied.
async fn show_plan(
    seat: &Seat<'_>,
    plan: &Plan,
    refused: Option<Vec<Fault>>,
    status: StatusCode,
) -> Result<Response, Error> {
    let services = &seat.site.services;
    let preview = plan.preview(services).await?;
    let told = refused.as_ref().map(|_| ("", text(seat, "admin.transfer.fault.in_the_way")));
    let faults = refused.unwrap_or(preview.faults);
    let wanted = transfer::wanted(&faults).into_iter().map(|key| {
        let is_kept = preview.kept.contains(&key);
        (key, is_kept)
    });
    let wanted = wanted.collect();
    let words = Words {
        is_preview: true,
        plan: plan.sealed(services, seat.session)?,
        changes: preview.changes,
        fixed: preview.fixed.into_iter().map(|fixed| with_reason(seat, fixed)).collect(),
        wanted,
        kept: preview.kept,
        faults: faults.iter().map(ToString::to_string).collect(),
        ..Words::default()
    };
    Ok(draw_page(seat, words, told, status))
}

/// A key that is not taken, and why not: where it is fixed, or that it is for the configuration only.
fn with_reason(seat: &Seat<'_>, (key, source): (String, String)) -> (String, String) {
    let reason = match source.as_str() {
        "" if key.starts_with("domain.") => text(seat, "admin.transfer.ca_file"),
        "" => text(seat, "admin.transfer.for_the_file"),
        _ => source,
    };
    (key, reason)
}

/// Applies what was looked at.
async fn apply(seat: &Seat<'_>, mut form: Form) -> Result<Response, Error> {
    let services = &seat.site.services;
    let sealed = form.take("plan");
    let plan = sealed.ok().and_then(|sealed| Plan::opened(services, seat.session, sealed.reveal()));
    let Some(plan) = plan else { return Ok(refuse(seat, "", "admin.transfer.fault.stale")) };
    let mut secrets = Vec::new();
    for key in plan.places_of_secrets()? {
        let given = form.take(&format!("secret.{key}"));
        let given = given.unwrap_or_else(|_| SecretText::new(String::new()));
        let is_removed = form.is_checked(&format!("secret.{key}.remove"));
        if is_removed || !given.reveal().is_empty() {
            secrets.push((key, Some(given).filter(|_| !is_removed)));
        }
    }
    if form.finish().is_some() {
        return Ok(refuse(seat, "", "invalid.field_unknown"));
    }
    match transfer::apply(services, &editor(seat), &plan, &secrets).await? {
        Change::Made(_) => Ok(redirect("/admin/transfer?saved")),
        Change::Wrong(faults) => show_plan(seat, &plan, Some(faults), StatusCode::UNPROCESSABLE_ENTITY).await,
        Change::Conflict => Ok(refuse(seat, "", "admin.transfer.fault.conflict")),
    }
}

#[async_trait]
impl Page for Transfer {
    fn is_for(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    fn longest_upload(&self) -> Option<usize> {
        Some(MAXIMUM_FORM)
    }

    async fn refuse_large(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let told = ("file", text(&seat, "admin.transfer.fault.too_large"));
        Ok(draw_page(&seat, Words::default(), Some(told), StatusCode::PAYLOAD_TOO_LARGE))
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        if !seat.admin.is_fresh {
            return Ok(proof::ask(&seat, PATH));
        }
        let saved = seat.request.uri().query() == Some("saved");
        Ok(draw_page(&seat, Words { saved, ..Words::default() }, None, StatusCode::OK))
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
        match action.as_str() {
            "prove" => proof::take(&seat, PATH, form).await,
            _ if !seat.admin.is_fresh => Ok(proof::ask_first(&seat, PATH)),
            "export" => export(&seat, form).await,
            "look" => look(&seat, form).await,
            "apply" => apply(&seat, form).await,
            _ => Ok(refuse(&seat, "", "invalid.field_unknown")),
        }
    }
}
