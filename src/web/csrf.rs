//! Forms can only be sent from a page that was made for the same session, flow and step; and only from the site itself.

use std::fmt::Write as _;

use poem::{Request, http::header};

use crate::{domain::secret::Key, flows::session::SessionId, store::keyring::keyed_hash};

/// The token of a form: the tag of its step, and a keyed hash of tag, page and session.
pub fn token(key: &Key, session: &SessionId, page: &str, tag: &str) -> String {
    let mut token = format!("{tag}.");
    for byte in &mac(key, session, page, tag)[..16] {
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The tag of a token that was made for this session and page.
pub fn verify<'a>(key: &Key, session: &SessionId, page: &str, token: &'a str) -> Option<&'a str> {
    let (tag, _) = token.split_once('.')?;
    let expected = self::token(key, session, page, tag);
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), token.as_bytes()).ok()?;
    Some(tag)
}

fn mac(key: &Key, session: &SessionId, page: &str, tag: &str) -> [u8; 32] {
    keyed_hash(key, &[session.bytes(), page.as_bytes(), tag.as_bytes()])
}

/// Whether a POST may have come from the site's own pages: what the browser says of its origin must not speak
/// against it (Fetch Metadata; RFC 6454). Engines too old to say anything are left to the token.
pub fn is_same_site(request: &Request, hosts: &[String]) -> bool {
    let value = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("\0"));
    let fetch_site = value(header::HeaderName::from_static("sec-fetch-site"));
    let origin = value(header::ORIGIN);
    fetch_site.is_none_or(|site| site == "same-origin" || site == "none")
        && origin.is_none_or(|origin| {
            // A browser that hides its origin, by its user's choice, may still vouch for it.
            if origin == "null" {
                return fetch_site == Some("same-origin");
            }
            origin
                .strip_prefix("https://")
                .is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_session_flow_and_tag_only() {
        let (key, mine, other) = (Key::new([1; 32]), SessionId::new().unwrap(), SessionId::new().unwrap());
        let token = token(&key, &mine, "reset", "start");
        assert_eq!(verify(&key, &mine, "reset", &token), Some("start"));
        assert_eq!(verify(&key, &other, "reset", &token), None);
        assert_eq!(verify(&key, &mine, "unlock", &token), None);
        assert_eq!(verify(&Key::new([2; 32]), &mine, "reset", &token), None);
        assert_eq!(verify(&key, &mine, "reset", &token.replace("start", "p")), None);
        for junk in ["", ".", "start", "start.", "start.00"] {
            assert_eq!(verify(&key, &mine, "reset", junk), None);
        }
    }

    #[test]
    fn posts_from_elsewhere_are_told_apart() {
        let hosts = vec!["reset.corp.example".to_owned()];
        let from = |name: &'static str, value: &'static str| {
            is_same_site(&Request::builder().header(name, value).finish(), &hosts)
        };
        assert!(is_same_site(&Request::default(), &hosts));
        assert!(from("origin", "https://reset.corp.example"));
        assert!(from("sec-fetch-site", "same-origin"));
        for origin in
            ["null", "https://evil.example", "http://reset.corp.example", "https://reset.corp.example:8443"]
        {
            assert!(!from("origin", origin), "{origin}");
        }
        let vouched =
            Request::builder().header("origin", "null").header("sec-fetch-site", "same-origin").finish();
        assert!(is_same_site(&vouched, &hosts));
        for site in ["cross-site", "same-site"] {
            assert!(!from("sec-fetch-site", site), "{site}");
        }
    }
}
