//! Users, as a help desk sees them, and what it does for them.

use poem::{Request, Response, http::StatusCode};
use serde::Serialize;

use super::{
    address::{self, limit, parameters},
    address_of,
    answer::{Problem, json},
};
use crate::{
    domain::{
        account::{AccountKey, Domain, DomainName, ObjectGuid},
        clock::Timestamp,
    },
    flows::{
        api_tokens::Holder,
        change_settings::Editor,
        manage_users::{self, Filter, User},
    },
    web::Site,
};

/// A user, with the names of its description.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    user: String,
    domain: String,
    domain_name: String,
    guid: String,
    is_enrolled: bool,
    is_automatic: bool,
    is_locked: bool,
    email: Option<String>,
    enrolled_at: Option<String>,
    reset_at: Option<String>,
    unlocked_at: Option<String>,
    changed_at: Option<String>,
}

impl Shown {
    fn of(user: User, domains: &[Domain]) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let domain = domains.iter().find(|domain| domain.name == user.key.domain);
        Self {
            user: user.name,
            domain: domain.map_or_else(|| user.key.domain.to_string(), |domain| domain.netbios.clone()),
            domain_name: user.key.domain.to_string(),
            guid: user.key.guid.to_string(),
            is_enrolled: user.is_enrolled,
            is_automatic: user.is_automatic,
            is_locked: user.is_locked,
            email: user.email,
            enrolled_at: moment(user.enrolled_at),
            reset_at: moment(user.reset_at),
            unlocked_at: moment(user.unlocked_at),
            changed_at: moment(user.changed_at),
        }
    }
}

#[derive(Serialize)]
struct Page {
    users: Vec<Shown>,
    /// What to give as `after` for those that follow.
    next: Option<String>,
}

/// Behind whom to go on.
fn cursor(key: &AccountKey) -> String {
    format!("{}@{}", key.guid, key.domain)
}

fn read_cursor(text: &str) -> Option<AccountKey> {
    let (guid, domain) = text.split_once('@')?;
    Some(AccountKey { domain: DomainName::new(domain), guid: ObjectGuid::parse(guid)? })
}

/// `GET /api/v1/users`
pub(super) async fn list(site: &Site, query: &str) -> Result<Response, Problem> {
    let [domain, user, after, most] = parameters(query, ["domain", "user", "after", "limit"])?;
    let malformed = |name: &str| Problem::ParameterMalformed(name.to_owned());
    let domains = site.services.domains();
    let domain = match domain {
        None => None,
        Some(domain) => {
            let known = domains.iter().find(|known| known.is_called(&domain));
            Some(known.ok_or_else(|| malformed("domain"))?.name.clone())
        }
    };
    let after = match after {
        None => None,
        Some(after) => Some(read_cursor(&after).ok_or_else(|| malformed("after"))?),
    };
    let filter = Filter { domain, name: user };
    let most = limit(most.as_deref())?;
    let (users, next) = manage_users::list(&site.services, &filter, after.as_ref(), most).await?;
    let users = users.into_iter().map(|user| Shown::of(user, &domains)).collect();
    Ok(json(StatusCode::OK, &Page { users, next: next.as_ref().map(cursor) }))
}

/// The user of a path: by name, which the directory is asked for, or by objectGUID, which it is not.
async fn find(site: &Site, given: &[String]) -> Result<User, Problem> {
    let [domain, name] = given else { return Err(Problem::PathMalformed) };
    let domains = site.services.domains();
    let services = &site.services;
    let known = domains.iter().find(|known| known.is_called(domain.trim()));
    let (key, name) = match (ObjectGuid::parse(name), known) {
        (Some(guid), Some(domain)) => (AccountKey { domain: domain.name.clone(), guid }, None),
        (Some(_), None) => return Err(Problem::PathMalformed),
        (None, _) => {
            let (domain, name) = address::user(&domains, domain, name).ok_or(Problem::PathMalformed)?;
            let found = manage_users::identify(services, &domain, &name).await?;
            let (key, name) = found.ok_or(Problem::UserUnknown)?;
            (key, Some(name))
        }
    };
    manage_users::find(services, &key, name.as_deref()).await?.ok_or(Problem::UserUnknown)
}

/// `GET /api/v1/users/{domain}/{user}`
pub(super) async fn show(site: &Site, given: &[String]) -> Result<Response, Problem> {
    let user = find(site, given).await?;
    Ok(json(StatusCode::OK, &Shown::of(user, &site.services.domains())))
}

/// Who it is, for the audit log.
fn editor(request: &Request, holder: &Holder) -> Editor {
    Editor { who: None, name: holder.name.clone(), address: Some(address_of(request)), source: "api" }
}

/// `POST /api/v1/users/{domain}/{user}/clear-lockout`
pub(super) async fn clear_lockout(
    site: &Site,
    request: &Request,
    holder: &Holder,
    given: &[String],
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Body {
        cleared: bool,
    }
    let user = find(site, given).await?;
    let cleared = manage_users::clear_lockout(&site.services, &editor(request, holder), &user).await?;
    Ok(json(StatusCode::OK, &Body { cleared }))
}

/// `DELETE /api/v1/users/{domain}/{user}/enrollment`
pub(super) async fn delete_enrollment(
    site: &Site,
    request: &Request,
    holder: &Holder,
    given: &[String],
) -> Result<Response, Problem> {
    let user = find(site, given).await?;
    if manage_users::delete_enrollment(&site.services, &editor(request, holder), &user).await? {
        Ok(StatusCode::NO_CONTENT.into())
    } else {
        Err(Problem::EnrollmentMissing)
    }
}
