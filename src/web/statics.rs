//! Style sheet, script and icons.

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result,
    error::NotFoundError,
    http::{StatusCode, header},
};

use super::Site;

/// The media type of style sheets.
pub(super) const CSS: &str = "text/css; charset=utf-8";

/// `/assets/…`
pub struct Assets(pub Arc<Site>);

impl Endpoint for Assets {
    type Output = Response;
    async fn call(&self, request: Request) -> Result<Response> {
        let name = request.raw_path_param("name").unwrap_or_default();
        let assets = self.0.renderer.assets();
        let asset = assets.find(name).ok_or(NotFoundError)?;
        Ok(answer(&request, &asset.bytes, asset.media_type, &asset.version))
    }
}

/// Answers with a file that has an address for each of its versions, unless the browser has it already.
pub(super) fn answer(request: &Request, bytes: &[u8], media_type: &str, version: &str) -> Response {
    let tag = format!("\"{version}\"");
    let versioned = request.uri().query().is_some_and(|query| query == format!("v={version}"));
    // An address with the right version never shows anything else.
    let caching = if versioned { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|tags| {
            tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
        })
    });
    let response = Response::builder().header(header::ETAG, &tag).header(header::CACHE_CONTROL, caching);
    if known {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(media_type).body(bytes.to_vec())
}
