//! Deleting the enrollments of those who were ticked in the users' table, once it was confirmed.

use poem::{Response, http::StatusCode};
use serde::Serialize;

use crate::{
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        admin::Role,
        refusal::Refusal,
    },
    flows::{Error, manage_users},
    web::{
        admin::{Panel, Seat, draw, redirect},
        form::Form,
        user::page,
    },
};

/// So many at a time.
const MOST: usize = 100;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    users: Vec<Ticked>,
    names: String,
    back: String,
    view: String,
}

#[derive(Serialize)]
struct Ticked {
    id: String,
    name: String,
    domain: String,
    email: String,
}

fn account_of(id: &str) -> Option<AccountKey> {
    let (guid, domain) = id.split_once('@')?;
    Some(AccountKey { domain: DomainName::new(domain), guid: ObjectGuid::parse(guid)? })
}

/// Takes the form: shows who is ticked, or deletes them if that was confirmed. `query` is that of the table's address.
pub(super) async fn take(
    seat: &Seat<'_>,
    is_confirmed: bool,
    query: String,
    form: &mut Form,
) -> Result<Response, Error> {
    if seat.admin.role < Role::HelpDesk {
        return Err(Error::Refused(Refusal::AdminNotPermitted));
    }
    let services = &seat.site.services;
    let names = form.take("names").map(|text| text.reveal().to_owned()).unwrap_or_default();
    let ticked: Vec<_> = names
        .split(' ')
        .take(MOST)
        .filter(|id| form.is_checked(&format!("pick.{id}")))
        .filter_map(|id| Some((id.to_owned(), account_of(id)?)))
        .collect();
    let mut users = Vec::new();
    for (id, key) in ticked {
        if let Some(user) = manage_users::find(services, &key, None).await?.filter(|user| user.is_enrolled) {
            users.push((id, user));
        }
    }
    let back = super::view::address("/admin/users", &query);
    if users.is_empty() {
        return Ok(redirect(&back));
    }
    if is_confirmed {
        for (_, user) in &users {
            manage_users::delete_enrollment(services, &seat.editor(), user).await?;
        }
        seat.site.desk.forget(&seat.admin.who);
        let mark = if query.is_empty() { "?" } else { "&" };
        return Ok(redirect(&format!("{back}{mark}done=deleted")));
    }
    let path = "/admin/users";
    let none = crate::domain::field::Problems::new();
    let context = Context {
        page: page::Page::new(seat.site, seat.language, "admin", "users"),
        panel: Panel::new(seat, "users"),
        form: page::Form::new(seat.site, seat.language, path.into(), seat.token(path), &none),
        names: users.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(" "),
        users: users
            .into_iter()
            .map(|(id, user)| Ticked {
                id,
                name: user.name,
                domain: user.key.domain.to_string(),
                email: user.email.unwrap_or_default(),
            })
            .collect(),
        back,
        view: query,
    };
    Ok(draw(seat.site, seat.language, "admin/delete.html", context, StatusCode::OK))
}
