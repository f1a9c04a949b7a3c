//! Backups: where they are made each day, how the last went, how far one is that is under way, and a button for another.

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
        backup::{Made, Report},
        field::Problems,
    },
    flows::{Error, backup},
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/backup";

/// `/admin/backup`
pub(super) struct Backups;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    round: Round,
    backup: Words,
}

#[derive(Serialize)]
struct Words {
    /// Empty if none are made.
    folder: String,
    hour: String,
    keep: u32,
    /// Why none can be made there at the moment.
    folder_wrong: String,
    last: Option<MadeWords>,
    /// When the last try ended, and what was wrong with it.
    tried: String,
    fault: String,
    /// Whether it was made all the same.
    is_made: bool,
}

#[derive(Serialize)]
struct MadeWords {
    at: String,
    file: String,
    bytes: u64,
    records: u64,
}

impl From<Made> for MadeWords {
    fn from(made: Made) -> Self {
        Self { at: minute(made.at), file: made.file, bytes: made.bytes, records: made.records }
    }
}

async fn words(seat: &Seat<'_>) -> Result<Words, Error> {
    let services = &seat.site.services;
    let settings = services.settings.load_full();
    let folder = settings.backup.folder.as_deref();
    let folder_wrong = match folder {
        Some(folder) => backup::trouble_in(folder).await.unwrap_or_default(),
        None => String::new(),
    };
    let Report { tried_at, fault, made, is_made, .. } = backup::last(services).await?;
    Ok(Words {
        folder: folder.map(|folder| folder.display().to_string()).unwrap_or_default(),
        hour: settings.backup.hour.to_string(),
        keep: settings.backup.keep,
        folder_wrong,
        last: made.map(MadeWords::from),
        tried: tried_at.map(minute).unwrap_or_default(),
        fault: fault.unwrap_or_default(),
        is_made,
    })
}

async fn draw_page(seat: &Seat<'_>, fault: Option<&str>, status: StatusCode) -> Result<Response, Error> {
    let mut form =
        page::Form::new(seat.site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::new());
    if let Some(key) = fault {
        form.summarise(seat.say(key, &[]));
    }
    let round = Round::of(seat, &seat.site.services.backup.daily, "admin.backup.progress");
    let page = page::Page::new(seat.site, seat.language, "admin", "backup");
    let context =
        Context { page, panel: Panel::new(seat, "backups"), form, round, backup: words(seat).await? };
    Ok(draw(seat.site, seat.language, "admin/backup.html", context, status))
}

#[async_trait]
impl Page for Backups {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        draw_page(&seat, None, StatusCode::OK).await
    }

    async fn take(&self, seat: Seat<'_>, form: Form) -> Result<Response, Error> {
        if is_asked_for(form, &seat.site.services.backup.daily) {
            return Ok(redirect(PATH));
        }
        draw_page(&seat, Some("invalid.field_unknown"), StatusCode::UNPROCESSABLE_ENTITY).await
    }
}
