//! The domains that are served, and looking someone up in them.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, add_domain, draw,
    settings::{self, FindingRow, may_try},
};
use crate::{
    domain::{
        account::Account,
        admin::Role,
        field::{Field, Problem, Problems},
        refusal::Refusal,
    },
    flows::{
        Error,
        try_out::{self, Look, Tried},
    },
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/domains";
/// The longest name that is looked up.
const LONGEST: usize = 300;

/// `/admin/domains`
pub(super) struct Domains;

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own in the template")]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    saved: bool,
    domains: Vec<DomainRow>,
    /// Where they are fixed, if they are.
    fixed: Option<String>,
    may_change: bool,
    may_add: bool,
    typed: String,
    look: Option<LookRows>,
    /// Nobody was found of that name.
    is_nobody: bool,
}

#[derive(Serialize)]
struct DomainRow {
    netbios: String,
    name: String,
    href: String,
    /// The value of its button.
    index: usize,
    findings: Vec<FindingRow>,
}

/// What Regain sees of someone, as rows.
#[derive(Serialize)]
struct LookRows {
    name: String,
    facts: Vec<(&'static str, String)>,
    permissions: Vec<(&'static str, String)>,
}

/// What is on the page besides the domains.
#[derive(Default)]
struct State {
    problems: Problems,
    typed: String,
    look: Option<Look>,
    is_nobody: bool,
    findings: Option<(usize, Vec<FindingRow>)>,
    often: bool,
}

fn draw_domains(seat: &Seat<'_>, mut state: State) -> Response {
    let site = seat.site;
    let services = &site.services;
    let texts = site.renderer.texts();
    let say = |key: &str| texts.text(&seat.language.code, key, &[]);
    let has_tab = !services.settings.load().domain.is_empty();
    let domains = services.domains().into_iter().enumerate().map(|(index, domain)| DomainRow {
        netbios: domain.netbios,
        name: domain.name.to_string(),
        href: if has_tab { format!("/admin/settings/domain.{index}") } else { String::new() },
        index,
        findings: state.findings.take_if(|(of, _)| *of == index).map(|(_, rows)| rows).unwrap_or_default(),
    });
    let domains = domains.collect();
    let status = if state.problems.is_empty() && !state.often {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let mut form = page::Form::new(site, seat.language, PATH.to_owned(), seat.token(PATH), &state.problems);
    if state.often {
        form.summarise(say("admin.trial.often"));
    }
    let look = state.look.map(|look| LookRows {
        name: look.account.qualified_name(),
        permissions: look
            .permissions
            .iter()
            .map(|(kind, refusal)| {
                let key =
                    refusal.map_or("admin.look.may".to_owned(), |it| format!("refusal.{}.title", it.code()));
                (kind.as_str(), say(&key))
            })
            .collect(),
        facts: facts(&look.account, look.is_enrolled, say),
    });
    let context = Context {
        page: page::Page::new(site, seat.language, "admin", "settings"),
        panel: Panel::new(seat, "domain"),
        form,
        saved: seat.request.uri().query() == Some("saved"),
        domains,
        fixed: services.fixed.source("domain.0").filter(|_| has_tab).map(str::to_owned),
        may_change: seat.admin.role == Role::Administrator,
        may_add: add_domain::is_offered(seat),
        typed: state.typed,
        look,
        is_nobody: state.is_nobody,
    };
    draw(site, seat.language, "admin/domains.html", context, status)
}

/// What is known of an account: a row each, its label among the texts.
fn facts(account: &Account, is_enrolled: bool, say: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let yes = |it: bool| say(if it { "admin.look.yes" } else { "admin.look.no" });
    let text = |it: &Option<String>| it.clone().unwrap_or_else(|| say("admin.look.none"));
    vec![
        ("dn", account.distinguished_name.clone()),
        ("upn", text(&account.user_principal_name)),
        ("mail", text(&account.mail)),
        ("mobile", text(&account.mobile)),
        ("enrolled", yes(is_enrolled)),
        ("locked", yes(account.locked)),
        ("disabled", yes(account.disabled)),
        ("expired", yes(account.expired)),
        ("privileged", yes(account.privileged)),
        ("groups", account.group_sids.len().to_string()),
        ("minimum_length", account.policy.minimum_length.to_string()),
        ("threshold", account.policy.lockout_threshold.to_string()),
    ]
}

#[async_trait]
impl Page for Domains {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        Ok(draw_domains(&seat, State::default()))
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let mut state = State::default();
        let text_of =
            |form: &mut Form, name: &str| form.take(name).map(|text| text.reveal().trim().to_owned());
        let action = text_of(&mut form, "action").unwrap_or_default();
        let typed = text_of(&mut form, "username");
        if let Some(problem) = form.finish() {
            return Ok(draw_domains(&seat, State { problems: Problems::of_form(problem), ..state }));
        }
        if !may_try(&seat) {
            return Ok(draw_domains(&seat, State { often: true, typed: typed.unwrap_or_default(), ..state }));
        }
        let services = &seat.site.services;
        if let Some(index) = action.strip_prefix("try ").and_then(|index| index.parse().ok()) {
            state.typed = typed.unwrap_or_default();
            match try_out::domain(services, &seat.editor(), &[], index).await? {
                Tried::Told(findings) => {
                    state.findings = Some((index, findings.into_iter().map(FindingRow::from).collect()));
                }
                Tried::Wrong(faults) => {
                    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    return Err(Error::Internal(faults.join("; ")));
                }
            }
            return Ok(draw_domains(&seat, state));
        }
        if action != "look" {
            return Err(Error::Refused(Refusal::NotFound));
        }
        let name = typed.and_then(|name| {
            if name.is_empty() {
                return Err(Problem::FieldEmpty);
            }
            if name.chars().count() > LONGEST { Err(Problem::FieldTooLong) } else { Ok(name) }
        });
        if let Some(name) = state.problems.keep(Field::Username, name) {
            match try_out::look_up(services, &name).await? {
                Ok(look) => {
                    state.is_nobody = look.is_none();
                    state.look = look;
                }
                Err(problem) => state.problems.push(Field::Username, problem),
            }
            state.typed = name;
        }
        Ok(draw_domains(&seat, state))
    }
}
