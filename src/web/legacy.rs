//! The reference product's addresses, so that intranet links and logon-screen clients need no change.

use poem::{Response, Route, handler, http::StatusCode, web::Path};

/// What stands before `/api/enrollments/…`.
pub const BEFORE_API: &str = "/pwreset/apr.dll";

/// `/pwreset/`, `/pwreset/apr.dll?cmd=…`, `/pwreset/en_default.htm`.
pub fn routes() -> Route {
    Route::new().at("/", program).at("/apr.dll", program).at("/:page", page)
}

fn see(location: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header("location", location).finish()
}

#[handler]
fn program(uri: &poem::http::Uri) -> Response {
    match uri.query() {
        Some(query) => see(&format!("/?{query}")),
        None => see("/"),
    }
}

#[handler]
fn page(Path(page): Path<String>) -> Response {
    match page.strip_suffix("_default.htm") {
        Some(language) if language.len() == 2 && language.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            see(&format!("/?lang={language}"))
        }
        _ if page == "default.htm" => see("/"),
        _ => StatusCode::NOT_FOUND.into(),
    }
}
