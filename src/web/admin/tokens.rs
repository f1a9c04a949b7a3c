//! Tokens of the API: which there are, a new one that is shown once, and taking one back.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, access::hash_in, draw, minute, proof, redirect};
use crate::{
    domain::{
        admin::Role,
        api_token::{ApiToken, Scope},
        field::Problems,
        secret::SecretText,
    },
    flows::{
        Error,
        api_tokens::{self, Fault, Wish},
    },
    web::{
        form::Form,
        user::page::{self, Choice},
    },
};

const PATH: &str = "/admin/api";
/// For how many days a token can be made; 0 without end. The first is offered.
const DAYS: [u32; 4] = [365, 90, 30, 0];

/// `/admin/api`
pub(super) struct Tokens;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    tokens: Words,
}

#[derive(Serialize)]
struct Words {
    revoked: bool,
    /// Whether programs with a token are answered at all.
    is_on: bool,
    list: Vec<Known>,
    scopes: Vec<ScopeBox>,
    days: Vec<Choice>,
    name: String,
    most: usize,
    /// The token that was just made, shown this once.
    made: String,
}

#[derive(Serialize)]
struct Known {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    by: String,
    since: String,
    /// The day of its last use.
    used: String,
    until: String,
    is_over: bool,
}

#[derive(Serialize)]
struct ScopeBox {
    name: &'static str,
    /// The key among the texts.
    key: String,
    checked: bool,
}

/// What a form left.
#[derive(Default)]
struct Sent {
    name: String,
    scopes: Vec<Scope>,
    days: u32,
    fault: Option<(&'static str, &'static str)>,
    made: Option<SecretText>,
}

/// Where a fault is told, and the key of its sentence.
const fn sentence(fault: Fault) -> (&'static str, &'static str) {
    match fault {
        Fault::NameMalformed => ("name", "admin.tokens.fault.name"),
        Fault::NameTaken => ("name", "admin.tokens.fault.taken"),
        Fault::NoScope => ("scopes", "admin.tokens.fault.scopes"),
        Fault::TooMany => ("", "admin.tokens.fault.many"),
    }
}

async fn show(seat: &Seat<'_>, sent: Sent) -> Result<Response, Error> {
    let (site, services) = (seat.site, &seat.site.services);
    let now = services.clock.now();
    let text =
        |key: &str, values: &[(&str, &str)]| site.renderer.texts().text(&seat.language.code, key, values);
    let list = api_tokens::list(services).await?.into_iter().map(|(hash, token)| Known {
        id: URL_SAFE_NO_PAD.encode(hash),
        is_over: token.is_over(now),
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
        by: token.made_by,
        since: minute(token.made_at),
        used: token.used_at.map(|at| minute(at).chars().take(10).collect()).unwrap_or_default(),
        until: token.expires_at.map(minute).unwrap_or_default(),
        name: token.name,
    });
    let mut form = page::Form::new(site, seat.language, PATH.into(), seat.token(PATH), &Problems::new());
    let most = ApiToken::MAXIMUM_CHARACTERS.to_string();
    match sent.fault {
        Some(("", key)) => form.summarise(text(key, &[("maximum", &ApiToken::MOST.to_string())])),
        Some((field, key)) => form.add_fault(field.into(), text(key, &[("maximum", &most)])),
        None => {}
    }
    let scopes = Scope::ALL.into_iter().map(|scope| ScopeBox {
        name: scope.as_str(),
        key: scope.as_str().replace(':', "_"),
        checked: sent.scopes.contains(&scope),
    });
    let days = DAYS.into_iter().map(|days| {
        let label = match days {
            0 => text("admin.tokens.without_end", &[]),
            days => text("admin.tokens.days", &[("count", &days.to_string())]),
        };
        Choice::labelled(&days.to_string(), &label, days == sent.days)
    });
    let words = Words {
        revoked: seat.request.uri().query() == Some("revoked") && sent.fault.is_none() && sent.made.is_none(),
        is_on: services.settings.load().api.tokens,
        list: list.collect(),
        scopes: scopes.collect(),
        days: days.collect(),
        name: sent.name,
        most: ApiToken::MAXIMUM_CHARACTERS,
        made: sent.made.as_ref().map(|token| token.reveal().to_owned()).unwrap_or_default(),
    };
    let page = page::Page::new(site, seat.language, "admin", "tokens");
    let context = Context { page, panel: Panel::new(seat, "tokens"), form, tokens: words };
    let status = if sent.fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(draw(site, seat.language, "admin/tokens.html", context, status))
}

/// Makes the token that a form asks for.
async fn make(seat: &Seat<'_>, mut form: Form) -> Result<Response, Error> {
    let taken = |form: &mut Form, name: &str| form.take(name).map(|text| text.reveal().to_owned());
    let name = taken(&mut form, "name");
    let days = taken(&mut form, "days").ok().and_then(|days| days.parse().ok());
    let days = days.filter(|days| DAYS.contains(days));
    let scopes: Vec<Scope> = Scope::ALL
        .into_iter()
        .filter(|scope| form.is_checked(&format!("scope.{}", scope.as_str())))
        .collect();
    let (Ok(name), Some(days), None) = (name, days, form.finish()) else {
        let fault = Some(("", "invalid.field_unknown"));
        return show(seat, Sent { scopes, days: DAYS[0], fault, ..Sent::default() }).await;
    };
    let name = name.trim().to_owned();
    let wish = Wish { name: name.clone(), scopes: scopes.clone(), days: Some(days).filter(|days| *days > 0) };
    let sent = match api_tokens::make(&seat.site.services, &seat.editor(), wish).await? {
        Ok(token) => Sent { days: DAYS[0], made: Some(token), ..Sent::default() },
        Err(fault) => {
            let name = name.chars().take(2 * ApiToken::MAXIMUM_CHARACTERS).collect();
            Sent { name, scopes, days, fault: Some(sentence(fault)), ..Sent::default() }
        }
    };
    show(seat, sent).await
}

#[async_trait]
impl Page for Tokens {
    fn is_for(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        if !seat.admin.is_fresh {
            return Ok(proof::ask(&seat, PATH));
        }
        show(&seat, Sent { days: DAYS[0], ..Sent::default() }).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
        let (deed, id) = action.split_once(' ').unwrap_or((&action, ""));
        match deed {
            "prove" => proof::take(&seat, PATH, form).await,
            _ if !seat.admin.is_fresh => Ok(proof::ask_first(&seat, PATH)),
            "make" => make(&seat, form).await,
            "revoke" => {
                if let Some(hash) = hash_in(id) {
                    api_tokens::revoke(&seat.site.services, &seat.editor(), &hash).await?;
                }
                Ok(redirect("/admin/api?revoked"))
            }
            _ => Ok(redirect(PATH)),
        }
    }
}
