//! About: which version runs, since when, what it takes, and what it is made of.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, redirect};
use crate::{
    domain::admin::Role,
    flows::Error,
    web::{form::Form, user::page},
};

/// What is linked into the program, and the texts of its licences; made by `packaging/licences`.
const LICENCES: &str = include_str!("../../../packaging/licences.txt");

/// `/admin/about`
pub(super) struct About;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    facts: Vec<(&'static str, String)>,
    crates: Vec<Crate>,
}

/// What the program is made of.
#[derive(Serialize)]
struct Crate {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
    source: &'static str,
}

/// The lines at the head of the file.
fn crates() -> impl Iterator<Item = Crate> {
    LICENCES.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Crate {
            name: cells.next()?,
            version: cells.next()?,
            licence: cells.next()?,
            source: cells.next().filter(|source| source.starts_with("https://")).unwrap_or_default(),
        })
    })
}

/// A number of bytes, in MiB or GiB.
fn size(bytes: u64) -> String {
    let (unit, name) = if bytes < 1 << 30 { (1 << 20, "MiB") } else { (1 << 30, "GiB") };
    let tenths = (u128::from(bytes) * 10).div_ceil(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[async_trait]
impl Page for About {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let site = seat.site;
        let services = &site.services;
        let say = |key: &str, parameters: &[(&str, &str)]| {
            site.renderer.texts().text(&seat.language.code, &format!("admin.about.{key}"), parameters)
        };
        let minutes = services.clock.now().since(site.began_at).as_secs() / 60;
        let [days, hours, minutes] =
            [minutes / 1440, minutes / 60 % 24, minutes % 60].map(|part| part.to_string());
        let room = match services.store.room().await {
            Ok(room) => say("room", &[("taken", &size(room.taken)), ("left", &size(room.left))]),
            Err(error) => {
                tracing::error!(%error, "the size of the store is not known");
                say("unknown", &[])
            }
        };
        let facts = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("began", super::minute(site.began_at)),
            ("up", say("up_for", &[("days", &days), ("hours", &hours), ("minutes", &minutes)])),
            ("store", room),
        ];
        let page = page::Page::new(site, seat.language, "admin", "about");
        let context = Context { page, panel: Panel::new(&seat, "about"), facts, crates: crates().collect() };
        Ok(draw(site, seat.language, "admin/about.html", context, StatusCode::OK))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin/about"))
    }
}

/// `/admin/about/licences.txt`
pub(super) struct Licences;

#[async_trait]
impl Page for Licences {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, _seat: Seat<'_>) -> Result<Response, Error> {
        Ok(Response::builder().content_type("text/plain; charset=utf-8").body(LICENCES))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin/about"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_made_of_is_known_with_its_licences() {
        let crates: Vec<_> = crates().collect();
        for wanted in ["poem", "sled", "ldap3", "rustls", "lettre", "aws-lc-sys"] {
            let found = crates.iter().find(|it| it.name == wanted);
            assert!(found.is_some_and(|it| !it.licence.is_empty() && !it.version.is_empty()), "{wanted}");
        }
        assert!(LICENCES.contains("Permission is hereby granted"));
    }

    #[test]
    fn sizes_are_told_in_units_that_people_read() {
        for (bytes, text) in [
            (0, "0.0 MiB"),
            (1, "0.1 MiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "17179869184.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
