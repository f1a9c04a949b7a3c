//! Views that are kept under a name, on the page of their table.

use serde::Serialize;

use super::{Table, view::View};
use crate::{
    domain::{
        admin::Role,
        refusal::Refusal,
        saved_view::{SavedView, ShelfKey},
    },
    flows::{Error, saved_views},
    web::{admin::Seat, form::Form, user::page::Form as Words},
};

/// The views of a table as they are drawn.
#[derive(Serialize)]
pub(super) struct Saved {
    form: Words,
    own: Vec<Link>,
    shared: Vec<Link>,
    /// Whether one may share, and take back what is shared.
    may_share: bool,
    /// What the address says now.
    query: String,
    /// What was typed, if it could not be kept; and whether something was.
    name: String,
    is_done: bool,
}

#[derive(Serialize)]
struct Link {
    name: String,
    href: String,
    by: String,
    current: bool,
}

/// What a form of the page left to be said.
#[derive(Default)]
pub(super) struct Told {
    pub name: String,
    pub wrong: String,
}

/// What is kept of a table for whoever looks.
pub(super) async fn draw<T: Table>(
    seat: &Seat<'_>,
    view: &View<T>,
    told: Told,
    is_done: bool,
) -> Result<Saved, Error> {
    let path = format!("/admin/{}", T::KEY);
    let (own, shared) = saved_views::list(&seat.site.services, T::KEY, &seat.admin.who).await?;
    let query = view.first().query(&[]);
    let link = |view: SavedView| Link {
        href: super::view::address(&path, &view.query),
        current: view.query == query,
        name: view.name,
        by: view.by,
    };
    let none = crate::domain::field::Problems::new();
    let mut form = Words::new(seat.site, seat.language, path.clone(), seat.token(&path), &none);
    if !told.wrong.is_empty() {
        form.add_fault("view-name".into(), told.wrong);
    }
    Ok(Saved {
        form,
        own: own.into_iter().map(link).collect(),
        shared: shared.into_iter().map(link).collect(),
        may_share: seat.admin.role == Role::Administrator,
        query,
        name: told.name,
        is_done,
    })
}

/// What became of a form.
pub(super) enum Taken {
    /// It is done.
    Done,
    /// It is wrong.
    Wrong {
        /// The key among the texts.
        key: String,
        /// The name as typed.
        name: String,
    },
}

/// Takes the form: keeps a view of that address, or takes one away.
pub(super) async fn take<T: Table>(
    seat: &Seat<'_>,
    action: &str,
    view: &View<T>,
    form: &mut Form,
) -> Result<Taken, Error> {
    let services = &seat.site.services;
    let own = ShelfKey { table: T::KEY, owner: Some(seat.admin.who.clone()) };
    let shared = ShelfKey { table: T::KEY, owner: None };
    let (deed, name) = action.split_once(' ').unwrap_or((action, ""));
    let key = if deed.ends_with("shared") { shared } else { own };
    if key.owner.is_none() && seat.admin.role != Role::Administrator {
        return Err(Error::Refused(Refusal::AdminNotPermitted));
    }
    let editor = seat.editor();
    if deed.starts_with("drop") {
        saved_views::drop(services, &editor, &key, name).await?;
        return Ok(Taken::Done);
    }
    let typed = form.take("name").map(|text| text.reveal().to_owned()).unwrap_or_default();
    let shown = typed.chars().filter(|c| !c.is_control()).take(SavedView::MAXIMUM_CHARACTERS).collect();
    let name = match SavedView::name(&typed) {
        Ok(name) => name,
        Err(problem) => return Ok(Taken::Wrong { key: format!("invalid.{}", problem.code()), name: shown }),
    };
    if view.first().is_too_long() {
        return Ok(Taken::Wrong { key: "admin.wrong.too_long".into(), name: shown });
    }
    let kept = SavedView { name, query: view.first().query(&[]), by: editor.name.clone() };
    if saved_views::keep(services, &editor, &key, kept).await? {
        return Ok(Taken::Done);
    }
    Ok(Taken::Wrong { key: "admin.views.full".into(), name: shown })
}
