//! `/demo/outbox`: what the demo would have sent. There is no such page outside the demo.

use std::sync::Arc;

use poem::{Endpoint, Request, Response, Result, error::NotFoundError, http::StatusCode};
use serde::Serialize;

use super::{Site, language, user::page};
use crate::{domain::message::Message, notify::Kept};

/// As a page, or as JSON.
pub struct Outbox {
    /// The site.
    pub site: Arc<Site>,
    /// Whether as JSON.
    pub json: bool,
}

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    messages: Vec<Sent>,
}

/// A message, with the names under which monitors and tests read it.
#[derive(Serialize)]
struct Sent {
    channel: &'static str,
    to: String,
    subject: String,
    body: String,
    time: String,
}

impl Sent {
    fn of(Kept { at, message }: Kept) -> Self {
        let (channel, to, time) = (message.channel().as_str(), message.to().to_owned(), at.to_string());
        match message {
            Message::Mail(mail) => Self { channel, to, subject: mail.subject, body: mail.text, time },
            Message::Sms(sms) => Self { channel, to, subject: String::new(), body: sms.text, time },
        }
    }
}

impl Endpoint for Outbox {
    type Output = Response;
    async fn call(&self, request: Request) -> Result<Response> {
        let site = &self.site;
        let kept = site.services.notifier.kept().ok_or(NotFoundError)?;
        let messages: Vec<_> = kept.into_iter().map(Sent::of).collect();
        if self.json {
            let body = serde_json::to_vec(&messages).map_err(poem::error::InternalServerError)?;
            return Ok(Response::builder().content_type("application/json").body(body));
        }
        let language = &language(site, &request);
        let page = page::Page::new(site, language, "menu", "outbox");
        let context = Context { page, messages };
        Ok(page::render(site, "user/outbox.html", &language.code, context, StatusCode::OK))
    }
}
