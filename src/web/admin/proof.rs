//! The code of the app, wanted once more before what is worth it: a page of its own in front of the one that was asked
//! for, so that nothing typed there is lost.

use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Panel, Seat, draw, redirect};
use crate::{
    domain::{
        code::Code,
        field::{Field, Problem, Problems},
    },
    flows::{Error, sign_in},
    web::{form::Form, user::page},
};

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
}

/// The page that asks for it, in front of that one.
pub(super) fn ask(seat: &Seat<'_>, path: &str) -> Response {
    draw_with(seat, path, &Problems::new(), StatusCode::OK)
}

/// The same, instead of doing what was asked for: the proof is no longer fresh.
pub(super) fn ask_first(seat: &Seat<'_>, path: &str) -> Response {
    draw_with(seat, path, &Problems::of_form(Problem::ProofStale), StatusCode::FORBIDDEN)
}

/// Takes the code and goes on to the page.
pub(super) async fn take(seat: &Seat<'_>, path: &str, mut form: Form) -> Result<Response, Error> {
    let mut problems = Problems::new();
    let code = form.take("code").and_then(|text| Code::parse(&text));
    let code = problems.keep(Field::Code, code);
    if let Some(problem) = form.finish() {
        problems.extend(&Problems::of_form(problem));
    }
    if let (Some(code), true) = (code, problems.is_empty()) {
        if sign_in::prove_again(&seat.site.services, seat.session, &code).await? {
            return Ok(redirect(path));
        }
        problems.push(Field::Code, Problem::AppCodeWrong);
    }
    Ok(draw_with(seat, path, &problems, StatusCode::UNPROCESSABLE_ENTITY))
}

fn draw_with(seat: &Seat<'_>, path: &str, problems: &Problems, status: StatusCode) -> Response {
    let page = page::Page::new(seat.site, seat.language, "admin", "prove");
    let form = page::Form::new(seat.site, seat.language, path.to_owned(), seat.token(path), problems);
    draw(
        seat.site,
        seat.language,
        "admin/prove.html",
        Context { page, panel: Panel::new(seat, ""), form },
        status,
    )
}
