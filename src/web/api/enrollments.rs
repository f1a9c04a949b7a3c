//! Whether somebody is enrolled, in the very answers of the product Regain replaces. A name that nobody has is not enrolled, like
//! those who have not enrolled yet.

use poem::{
    Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde::Serialize;

use super::{
    address::asked_about,
    address_of, admit,
    answer::{Problem, json},
    count,
};
use crate::{domain::api_token::Scope, flows::enrolled::is_enrolled, web::Site};

/// Whoever is enrolled mostly stays so: two weeks.
const KEPT: &str = "private, max-age=1209600";

/// The answer.
#[derive(Serialize)]
struct Answer {
    /// Left out during maintenance.
    #[serde(rename = "isEnrolled", skip_serializing_if = "Option::is_none")]
    is_enrolled: Option<bool>,
}

/// Answers the question at that path.
pub(super) async fn answer(site: &Site, request: &Request, path: &str) -> Response {
    match ask(site, request, path).await {
        Ok(is_enrolled) => {
            let mut response = json(StatusCode::OK, &Answer { is_enrolled });
            if is_enrolled == Some(true) {
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
            }
            response
        }
        Err(problem) => problem.to_question(),
    }
}

async fn ask(site: &Site, request: &Request, path: &str) -> Result<Option<bool>, Problem> {
    let api = &site.services.settings.load_full().api;
    if !api.enrollments || !api.is_open_to(address_of(request)) {
        return Err(Problem::Disabled);
    }
    count(site, request)?;
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Problem::MethodUnknown { allowed: "GET, HEAD".into() });
    }
    if api.enrollments_need_token {
        admit(site, request, Scope::EnrollmentsRead).await?;
    }
    let (domain, name) = asked_about(site, request, path)?;
    if api.maintenance {
        return Ok(None);
    }
    Ok(Some(is_enrolled(&site.services, &domain, &name).await?))
}
