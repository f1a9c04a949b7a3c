//! How the operator's templates, texts and assets stand. They are changed in their folder, and only looked at here.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, redirect, settings};
use crate::{
    domain::admin::Role,
    flows::Error,
    render::Override,
    web::{form::Form, user::page},
};

/// `/admin/overrides`
pub(super) struct OverridesPage;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    /// The folder; none if there is none.
    folder: Option<String>,
    faults: Vec<Fault>,
    files: Vec<File>,
    /// The texts that languages lack.
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct Fault {
    /// Perhaps with a line; none for the folder itself.
    place: String,
    reason: String,
}

#[derive(Serialize)]
struct File {
    name: String,
    /// How it stands.
    word: &'static str,
}

#[derive(Serialize)]
struct Missing {
    language: String,
    count: usize,
    keys: String,
}

#[async_trait]
impl Page for OverridesPage {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let overrides = seat.site.renderer.overrides();
        let folder = overrides.as_ref().map(|overrides| overrides.folder.display().to_string());
        let (files, faults) = overrides.map(|it| (it.files, it.faults)).unwrap_or_default();
        let is_broken = |file: &Override| faults.iter().any(|fault| fault.file == file.file);
        let files = files.iter().map(|file| File {
            name: file.file.clone(),
            word: if is_broken(file) { "broken" } else { file.word() },
        });
        let files = files.collect();
        let faults = faults.iter().map(|fault| Fault {
            place: match fault.line {
                Some(line) => format!("{}:{line}", fault.file),
                None => fault.file.clone(),
            },
            reason: fault.reason.clone(),
        });
        let name = |code: &str| seat.texts.language(code).map_or(code, |known| &known.name).to_owned();
        let missing = seat.texts.missing().into_iter().map(|(code, keys)| Missing {
            language: name(&code),
            count: keys.len(),
            keys: keys.join(", "),
        });
        let context = Context {
            page: page::Page::new(seat.site, seat.language, "admin", "overrides"),
            panel: Panel::new(&seat, "overrides"),
            folder,
            faults: faults.collect(),
            files,
            missing: missing.collect(),
        };
        Ok(draw(seat.site, seat.language, "admin/overrides.html", context, StatusCode::OK))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin/overrides"))
    }
}
