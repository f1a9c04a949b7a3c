//! A webhook: events as JSON, posted and signed as Standard Webhooks (standardwebhooks.com, 1.0) has it: HMAC-SHA-256 over
//! identity, time and body, so that the receiver knows who sent it, and that it is not an old one sent again.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper::{Uri, header::CONTENT_TYPE};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::LIMIT;
use crate::{
    domain::{
        audit::{EventColumn, Numbered},
        clock::Timestamp,
        filter::{Cell, Column as _, Row as _},
    },
    notify::http,
    settings::Audit,
};

/// Posts events, all in one request.
pub async fn send(settings: &Audit, events: &[Numbered], now: Timestamp) -> Result<(), String> {
    let (Some(url), Some(secret)) = (&settings.webhook_url, &settings.webhook_secret) else {
        return Err("no webhook is set".into());
    };
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
    let url: Uri = url.parse().map_err(|_| "its address is none")?;
    // The same for the same events: a receiver can tell what it got twice.
    let id = format!("events-{}-{}", first.number, last.number);
    let body = body(events, now);
    let seconds = now.millis() / 1000;
    let request = http::request("POST", &url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature(secret.reveal(), &id, seconds, &body))
        .body(Full::from(body))
        .map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(LIMIT);
    let sent = http::send(&url, settings.webhook_ca_file.clone(), limit, request);
    let status = timeout(limit, sent).await.map_err(|_| "no answer in time")??;
    if status.is_success() { Ok(()) } else { Err(format!("it answered {}", status.as_u16())) }
}

/// Looks whether the endpoint is there; nothing is posted.
pub async fn examine(settings: &Audit) -> Result<String, String> {
    let url = settings.webhook_url.as_deref().ok_or("no webhook is set")?;
    let url: Uri = url.parse().map_err(|_| "its address is none")?;
    let limit = Duration::from_secs(LIMIT);
    let reached = http::reach(&url, settings.webhook_ca_file.clone(), limit);
    timeout(limit, reached).await.map_err(|_| "no answer in time")??;
    Ok(format!("{} takes connections", url.authority().map_or("", |authority| authority.as_str())))
}

fn body(events: &[Numbered], now: Timestamp) -> String {
    let events: Vec<Value> = events.iter().map(json).collect();
    serde_json::json!({
        "type": "audit.events",
        "timestamp": now.to_string(),
        "data": { "events": events },
    })
    .to_string()
}

/// An event, by the names of its columns.
fn json(event: &Numbered) -> Value {
    let mut fields = Map::new();
    fields.insert("number".into(), event.number.into());
    for column in EventColumn::ALL {
        let value = match event.cell(*column) {
            Cell::Empty => Value::Null,
            Cell::Time(time) => time.to_string().into(),
            Cell::Text(text) => text.into(),
        };
        fields.insert(column.key().into(), value);
    }
    fields.into()
}

/// A secret that begins with `whsec_` is base64 behind it; any other is taken as it is.
fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(secret.as_bytes()));
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_identity_time_and_body() {
        let own = signature("whsec_c2VjcmV0IGtleSBvZiAyNCBieXRlcw==", "events-1-2", 1_700_000_000, "{}");
        assert_eq!(own, signature("secret key of 24 bytes", "events-1-2", 1_700_000_000, "{}"));
        for other in [
            signature("another key of 24 bytes", "events-1-2", 1_700_000_000, "{}"),
            signature("secret key of 24 bytes", "events-1-3", 1_700_000_000, "{}"),
            signature("secret key of 24 bytes", "events-1-2", 1_700_000_001, "{}"),
            signature("secret key of 24 bytes", "events-1-2", 1_700_000_000, "{ }"),
        ] {
            assert_ne!(own, other);
        }
    }
}
