//! Sessions and access: who is signed in, who has a second factor, and invitations for those who have none yet.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, minute, redirect};
use crate::{
    domain::{
        account::LogonName,
        admin::{AdminId, Role},
        code::Code,
        field::{Field, Problem, Problems},
        refusal::Refusal,
    },
    flows::{
        Error, access,
        panel_passkeys::{self, Deed},
        sign_in,
    },
    web::{
        form::Form,
        user::{
            credential,
            page::{self, Choice},
            passkey_name,
        },
    },
};

const PATH: &str = "/admin/access";

/// What can have been done, by the word in the address and among the texts.
const DONE: [&str; 6] =
    ["session_ended", "factor_reset", "invitation_revoked", "proved", "passkey_added", "passkey_removed"];

/// `/admin/access`
pub(super) struct Access;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    access: Words,
}

#[derive(Serialize)]
struct Words {
    done: &'static str,
    /// Whether it is an administrator who looks; and whether one has to show once more that it is oneself.
    may_manage: bool,
    wants_proof: bool,
    sessions: Vec<Session>,
    factors: Vec<Factor>,
    invitations: Vec<Invitation>,
    /// One's own, and what the browser is given: to make another, or for a proof.
    passkeys: Vec<Passkey>,
    options: String,
    domains: Vec<Choice>,
    username: String,
    /// The invitation that was just made, shown this once.
    link: String,
}

#[derive(Serialize)]
struct Session {
    id: String,
    name: String,
    role: &'static str,
    address: String,
    since: String,
    last: String,
    own: bool,
}

#[derive(Serialize)]
struct Factor {
    id: String,
    name: String,
    since: String,
    /// Whether it can be reset here: not one's own, nor that of Regain's account.
    other: bool,
}

#[derive(Serialize)]
struct Passkey {
    id: String,
    name: String,
    since: String,
}

#[derive(Serialize)]
struct Invitation {
    id: String,
    name: String,
    by: String,
    until: String,
}

/// Names a person in a form; `-` is the account of Regain itself.
fn id_of(who: &AdminId) -> String {
    match who {
        AdminId::Local => "-".into(),
        AdminId::Account(key) => format!("{}@{}", key.guid, key.domain),
    }
}

pub(super) fn hash_in(id: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()
}

/// What a form left to be said.
#[derive(Default)]
struct Answer {
    problems: Problems,
    username: String,
    link: String,
    /// Whether a proof is wanted before it is done.
    unproved: bool,
}

async fn show(seat: &Seat<'_>, answer: Answer) -> Result<Response, Error> {
    let site = seat.site;
    let services = &site.services;
    let may_manage = seat.admin.role >= Role::Administrator;
    let of = (!may_manage).then_some(&seat.admin.who);
    let own = seat.session.hash();
    let sessions = access::list_sessions(services, of).await?.into_iter().map(|session| Session {
        id: URL_SAFE_NO_PAD.encode(session.key),
        name: session.record.name,
        role: session.record.role.as_str(),
        address: session.record.address.to_string(),
        since: minute(session.record.began_at),
        last: minute(session.record.touched_at),
        own: session.key == own,
    });
    let (mut factors, mut invitations) = (Vec::new(), Vec::new());
    if may_manage {
        factors.extend(access::list_factors(services).await?.into_iter().map(|(who, factor)| Factor {
            id: id_of(&who),
            since: minute(factor.app.added_at),
            other: who != AdminId::Local && who != seat.admin.who,
            name: if factor.name.is_empty() { id_of(&who) } else { factor.name },
        }));
        invitations.extend(access::list_invitations(services).await?.into_iter().map(|invited| Invitation {
            id: URL_SAFE_NO_PAD.encode(invited.hash),
            name: invited.invitation.name.unwrap_or_default(),
            by: invited.invitation.by,
            until: minute(invited.invitation.until),
        }));
    }
    let own_factor = access::find_factor(services, &seat.admin.who).await?;
    let passkeys = own_factor.into_iter().flat_map(|factor| factor.passkeys).map(|passkey| Passkey {
        id: passkey.id,
        name: passkey.name,
        since: minute(passkey.added_at),
    });
    let deed = if seat.admin.is_fresh { Deed::Add } else { Deed::Prove };
    let options = panel_passkeys::offer(services, seat.session, deed).await?.unwrap_or_default();
    let asked = seat.request.uri().query().unwrap_or_default();
    let is_wrong = answer.unproved || !answer.problems.is_empty();
    let done = if is_wrong || !answer.link.is_empty() { "" } else { asked };
    let token = seat.token(PATH);
    let mut form = page::Form::new(site, seat.language, PATH.into(), token, &answer.problems);
    if answer.unproved {
        form.summarise(site.renderer.texts().text(&seat.language.code, "admin.access.unproved", &[]));
    }
    let domains = page::offered(&services.settings.load(), &services.domains());
    let first = domains.first().map(|domain| domain.netbios.clone()).unwrap_or_default();
    let words = Words {
        done: DONE.into_iter().find(|known| *known == done).unwrap_or_default(),
        may_manage,
        wants_proof: !seat.admin.is_fresh,
        passkeys: passkeys.collect(),
        options,
        sessions: sessions.collect(),
        factors,
        invitations,
        domains: domains.iter().map(|domain| Choice::plain(&domain.netbios, &first)).collect(),
        username: answer.username,
        link: answer.link,
    };
    let page = page::Page::new(site, seat.language, "admin", "access");
    let context = Context { page, panel: Panel::new(seat, "access"), form, access: words };
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(draw(site, seat.language, "admin/access.html", context, status))
}

fn done(what: &str) -> Response {
    redirect(&format!("{PATH}?{what}"))
}

/// Makes an invitation, for the account that was named or for whoever may use the panel.
async fn invite(seat: &Seat<'_>, username: &str, domain: &str) -> Result<Answer, Error> {
    let services = &seat.site.services;
    let username = username.trim();
    let name = if username.is_empty() {
        None
    } else {
        let wrong = |field, problem| Answer {
            problems: Problems::of(field, problem),
            username: username.chars().take(LogonName::MAXIMUM_CHARACTERS).collect(),
            ..Answer::default()
        };
        let (domain, name) = match LogonName::parse(username, domain, &services.domains()) {
            Ok(understood) => understood,
            Err((_, problem)) => return Ok(wrong(Field::Username, problem)),
        };
        match access::invitee(services, &domain, &name).await? {
            Some(name) => Some(name),
            None => return Ok(wrong(Field::Username, Problem::AccountUnknown)),
        }
    };
    let token = access::invite(services, &seat.editor(), name).await?;
    let host = seat.site.hosts.first().map(String::as_str).unwrap_or_default();
    Ok(Answer { link: format!("https://{host}/admin/invite/{token}"), ..Answer::default() })
}

#[async_trait]
impl Page for Access {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    fn is_sent_by(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        show(&seat, Answer::default()).await
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let services = &seat.site.services;
        let editor = seat.editor();
        let mut text = |name: &str| form.take(name).map(|text| text.reveal().to_owned()).unwrap_or_default();
        let (action, username, domain) = (text("action"), text("username"), text("domain"));
        let code = form.take("code").and_then(|text| Code::parse(&text));
        let name = form.take("name").and_then(|text| passkey_name(&text));
        let mut problems = Problems::new();
        let signed = form.has("credential").then(|| credential(&mut form, &mut problems)).flatten();
        if let Some(problem) = form.finish() {
            return show(&seat, Answer { problems: Problems::of_form(problem), ..Answer::default() }).await;
        }
        let (deed, id) = action.split_once(' ').unwrap_or((&action, ""));
        if deed == "end" {
            if let Some(key) = hash_in(id) {
                access::end_session(services, (&editor, seat.admin.role), &key).await?;
            }
            return Ok(done("session_ended"));
        }
        if ["revoke", "reset", "invite"].contains(&deed) && seat.admin.role < Role::Administrator {
            return Err(Error::Refused(Refusal::AdminNotPermitted));
        }
        match deed {
            "revoke" => {
                if let Some(hash) = hash_in(id) {
                    access::revoke_invitation(services, &editor, &hash).await?;
                }
                Ok(done("invitation_revoked"))
            }
            "prove" => {
                if let Some(code) = problems.keep(Field::AppCode, code) {
                    if sign_in::prove_again(services, seat.session, &code).await? {
                        return Ok(done("proved"));
                    }
                    problems.push(Field::AppCode, Problem::AppCodeWrong);
                }
                show(&seat, Answer { problems, ..Answer::default() }).await
            }
            "prove-passkey" => {
                if let Some(signed) = signed {
                    let answer = signed.reveal();
                    if sign_in::prove_again_by_passkey(services, seat.session, answer).await? {
                        return Ok(done("proved"));
                    }
                    problems = Problems::of_form(Problem::PasskeyRefused);
                }
                show(&seat, Answer { problems, ..Answer::default() }).await
            }
            // All else decides who is let in.
            _ if !seat.admin.is_fresh => show(&seat, Answer { unproved: true, ..Answer::default() }).await,
            "reset" => {
                let factors = access::list_factors(services).await?;
                if let Some((who, _)) = factors.iter().find(|(who, _)| id_of(who) == id) {
                    access::reset_factor(services, &editor, who).await?;
                }
                Ok(done("factor_reset"))
            }
            "add" => {
                if let (Some(signed), Some(name)) = (signed, problems.keep(Field::Name, name)) {
                    let made = (signed.reveal(), name);
                    problems = panel_passkeys::add(services, &editor, seat.session, made).await?;
                    if problems.is_empty() {
                        return Ok(done("passkey_added"));
                    }
                }
                show(&seat, Answer { problems, ..Answer::default() }).await
            }
            "remove" => {
                panel_passkeys::remove(services, &editor, &seat.admin.who, id).await?;
                Ok(done("passkey_removed"))
            }
            "invite" => show(&seat, invite(&seat, &username, &domain).await?).await,
            _ => Ok(redirect(PATH)),
        }
    }
}
