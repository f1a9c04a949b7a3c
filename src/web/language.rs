//! Which language a visitor reads: the one asked for in the address, else the one chosen before, else the browser's; and
//! whether on a logon screen (`?client=logon`, as long as the browser runs).

use poem::{Request, http::header};

use super::{CLIENT_COOKIE, LANGUAGE_COOKIE, Site, cookie};
use crate::render::Language;

/// The language for this request. The admin panel speaks fewer than the pages.
pub fn choose(site: &Site, request: &Request) -> Language {
    let texts = site.renderer.texts();
    let configured = site.services.settings.load().general.language.clone();
    let is_panel = is_of_panel(request.original_uri().path());
    let speaks = |code: &str| texts.language(code).filter(|language| language.has_panel || !is_panel);
    let language = asked(request)
        .and_then(|code| speaks(&code))
        .or_else(|| speaks(cookie(request, LANGUAGE_COOKIE)?))
        .or_else(|| {
            let header = request.headers().get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
            preferences(header).into_iter().find_map(speaks)
        })
        .or_else(|| speaks(&configured))
        .unwrap_or_else(|| texts.reference());
    let client = client(request).or_else(|| cookie(request, CLIENT_COOKIE));
    let is_for_logon = client == Some(LOGON) && !is_panel;
    Language { is_for_logon, ..language.clone() }
}

/// What a logon screen calls itself.
pub const LOGON: &str = "logon";

/// The client in the address (`?client=logon`).
pub fn client(request: &Request) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("client="))
}

fn is_of_panel(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

/// The language in the address (`?lang=de`).
pub fn asked(request: &Request) -> Option<String> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("lang=")).map(|code| code.chars().take(16).collect())
}

/// The codes of an Accept-Language header, the most wanted first (RFC 9110 12.5.4). Codes only count for what they
/// name: `*` and unknown ones lead nowhere.
fn preferences(header: &str) -> Vec<&str> {
    let mut wanted: Vec<(f32, &str)> = header
        .split(',')
        .take(32)
        .filter_map(|item| {
            let (code, quality) = match item.split_once(';') {
                None => (item, 1.0),
                Some((code, parameters)) => {
                    let quality = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok());
                    (code, quality.unwrap_or(0.0))
                }
            };
            (quality > 0.0).then_some((quality, code.trim()))
        })
        .collect();
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    wanted.into_iter().map(|(_, code)| code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_language_comes_first() {
        assert_eq!(preferences("fr;q=0.3, de-AT, en;q=0.7, xx;q=0"), ["de-AT", "en", "fr"]);
        assert_eq!(preferences("de;q=x"), Vec::<&str>::new());
    }
}
