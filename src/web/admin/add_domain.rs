//! Adding a domain: a page a step, each tried against the real controllers.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, draw, redirect,
    settings::{self, FindingRow, may_try},
};
use crate::{
    domain::{
        admin::Role,
        code::Code,
        field::{Field, Problem, Problems},
        refusal::Refusal,
        secret::SecretText,
        set_up::DomainDraft,
    },
    flows::{
        Error,
        set_up::{self, Step},
        sign_in,
        try_out::Seen,
    },
    settings::Fault,
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/domains/new";
/// The most controllers that can be listed.
const MOST_CONTROLLERS: usize = 16;

/// `/admin/domains/new`
pub(super) struct AddDomain;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    step: &'static str,
    dns_name: String,
    controllers: String,
    is_starttls: bool,
    service_account: String,
    seen: Vec<SeenRow>,
    findings: Vec<FindingRow>,
    /// Whether the domain can be served although not all is well.
    may_go_on: bool,
    wants_code: bool,
    /// What the password would be for.
    mark: String,
}

/// A controller with what it shows.
#[derive(Serialize)]
struct SeenRow {
    controller: String,
    finding: FindingRow,
    chain: Vec<CertificateRow>,
}

#[derive(Serialize)]
struct CertificateRow {
    subject: String,
    issuer: String,
    ends: String,
    fingerprint: String,
    /// Whether it can be trusted as an authority.
    is_authority: bool,
}

impl From<Seen> for SeenRow {
    fn from(seen: Seen) -> Self {
        let chain = seen.chain.into_iter().map(|certificate| CertificateRow {
            is_authority: certificate.is_authority || certificate.subject == certificate.issuer,
            subject: certificate.subject,
            issuer: certificate.issuer,
            ends: certificate.ends,
            fingerprint: certificate.fingerprint,
        });
        Self { controller: seen.controller, chain: chain.collect(), finding: seen.finding.into() }
    }
}

/// What is on the page.
#[derive(Default)]
struct State {
    draft: DomainDraft,
    step: &'static str,
    seen: Vec<Seen>,
    findings: Vec<FindingRow>,
    may_go_on: bool,
    problems: Problems,
    faults: Vec<Fault>,
    often: bool,
}

fn draw_step(seat: &Seat<'_>, state: State) -> Result<Response, Error> {
    let site = seat.site;
    let mark = set_up::mark(&site.services, &state.draft)?;
    let texts = site.renderer.texts();
    let mut form = page::Form::new(site, seat.language, PATH.to_owned(), seat.token(PATH), &state.problems);
    let mut elsewhere = Vec::new();
    if state.often {
        elsewhere.push(texts.text(&seat.language.code, "admin.trial.often", &[]));
    }
    for fault in &state.faults {
        let label = texts.text(&seat.language.code, &format!("admin.new.{}", fault.key), &[]);
        match fault.key.as_str() {
            "dns_name" | "controllers" | "ca_certificates" | "service_account" | "service_password" => {
                form.add_fault(fault.key.clone(), format!("{label}: {}", fault.text));
            }
            _ => elsewhere.push(fault.to_string()),
        }
    }
    form.summarise(elsewhere.join(" "));
    let is_wrong = state.often || !state.faults.is_empty() || !state.problems.is_empty();
    let context = Context {
        page: page::Page::new(site, seat.language, "admin", "settings"),
        panel: Panel::new(seat, "domain"),
        form,
        step: state.step,
        dns_name: state.draft.dns_name,
        controllers: state.draft.controllers.join("\n"),
        is_starttls: state.draft.is_starttls,
        service_account: state.draft.service_account,
        seen: state.seen.into_iter().map(SeenRow::from).collect(),
        findings: state.findings,
        may_go_on: state.may_go_on,
        wants_code: state.step == "account" && !seat.admin.is_fresh,
        mark,
    };
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(draw(site, seat.language, "admin/add_domain.html", context, status))
}

/// Whether domains can be added here: not where the configuration names them, nor in the demo.
fn is_open(seat: &Seat<'_>) -> bool {
    !seat.site.demo && seat.site.services.fixed.source("domain.0").is_none()
}

/// The step that the draft has come to.
async fn at(seat: &Seat<'_>, draft: Option<DomainDraft>) -> Result<State, Error> {
    let Some(draft) = draft else { return Ok(State { step: "directory", ..State::default() }) };
    if draft.is_trusted {
        return Ok(State { step: "account", draft, ..State::default() });
    }
    if !may_try(seat) {
        return Ok(State { step: "directory", often: true, draft, ..State::default() });
    }
    let seen = set_up::look(&seat.site.services, &draft).await?;
    Ok(State { step: "certificate", seen, draft, ..State::default() })
}

#[async_trait]
impl Page for AddDomain {
    fn is_for(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        if !is_open(&seat) {
            return Ok(redirect("/admin/domains"));
        }
        let draft = set_up::draft(&seat.site.services).await?.map(|found| (*found).clone());
        let state = if seat.request.uri().query() == Some("step=directory") {
            State { step: "directory", draft: draft.unwrap_or_default(), ..State::default() }
        } else {
            at(&seat, draft).await?
        };
        draw_step(&seat, state)
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        if !is_open(&seat) {
            return Err(Error::Refused(Refusal::NotFound));
        }
        let services = &seat.site.services;
        let text_of = |form: &mut Form, name: &str| {
            form.take(name).map(|text| text.reveal().trim().to_owned()).unwrap_or_default()
        };
        let action = text_of(&mut form, "action");
        let known = set_up::draft(services).await?.map(|found| (*found).clone());
        match action.as_str() {
            "cancel" => {
                set_up::cancel(services).await?;
                return Ok(redirect("/admin/domains"));
            }
            "back" => return Ok(redirect("/admin/domains/new?step=directory")),
            _ => {}
        }
        let mut draft = known.unwrap_or_default();
        let (step, outcome) = match action.as_str() {
            "controllers" => {
                draft.dns_name = text_of(&mut form, "dns_name");
                let controllers = text_of(&mut form, "controllers");
                let controllers = controllers.lines().map(str::trim).filter(|line| !line.is_empty());
                draft.controllers = controllers.take(MOST_CONTROLLERS).map(str::to_owned).collect();
                draft.is_starttls = form.is_checked("starttls");
                let fine = form.finish();
                let editor = seat.editor();
                let finding = set_up::find_controllers(services, &editor, draft.clone());
                ("directory", try_step(&seat, fine, finding).await?)
            }
            "trust" => {
                let fingerprint = text_of(&mut form, "authority");
                let pem = text_of(&mut form, "ca_certificates").replace("\r\n", "\n");
                let fine = form.finish();
                let trusting = set_up::trust(services, draft.clone(), &fingerprint, &pem);
                ("certificate", try_step(&seat, fine, trusting).await?)
            }
            "serve" | "serve-even-so" => {
                draft.service_account = text_of(&mut form, "service_account");
                let password =
                    form.take("service_password").unwrap_or_else(|_| SecretText::new(String::new()));
                let code = form.take("code");
                let is_same = text_of(&mut form, "mark") == set_up::mark(services, &draft)?;
                let fine = form.finish();
                if !is_same {
                    // Somebody else has settled something meanwhile: as it stands now it is looked at first.
                    let faults =
                        vec![Fault::new("settings", "were changed meanwhile; look at them once more")];
                    return draw_step(
                        &seat,
                        State {
                            faults,
                            ..at(&seat, Some(draft).filter(|draft| !draft.dns_name.is_empty())).await?
                        },
                    );
                }
                let mut problems = Problems::new();
                if !seat.admin.is_fresh
                    && let Some(code) = problems.keep(Field::Code, code.and_then(|text| Code::parse(&text)))
                    && !sign_in::prove_again(services, seat.session, &code).await?
                {
                    problems.push(Field::Code, Problem::AppCodeWrong);
                }
                if !problems.is_empty() {
                    return draw_step(&seat, State { step: "account", draft, problems, ..State::default() });
                }
                let even_so = action == "serve-even-so";
                let editor = seat.editor();
                let serving = set_up::serve(services, &editor, draft.clone(), password, even_so);
                ("account", try_step(&seat, fine, serving).await?)
            }
            _ => return Err(Error::Refused(Refusal::NotFound)),
        };
        let state = match outcome {
            Err(state) => State { draft, step, ..state },
            Ok(Step::On) => return Ok(redirect(PATH)),
            Ok(Step::Served(_)) => return Ok(redirect("/admin/domains?saved")),
            Ok(Step::Wrong(faults)) => {
                // A page of certificates has them on it again.
                let seen =
                    if step == "certificate" { set_up::look(services, &draft).await? } else { Vec::new() };
                State { draft, step, seen, faults, ..State::default() }
            }
            Ok(Step::Untrusted(seen)) => State { step: "certificate", draft, seen, ..State::default() },
            Ok(Step::Mend(findings)) => State {
                may_go_on: step == "account"
                    && findings.iter().all(|finding| {
                        !finding.subject.ends_with("service account")
                            || finding.verdict == crate::flows::try_out::Verdict::Good
                    }),
                findings: findings.into_iter().map(FindingRow::from).collect(),
                step,
                draft,
                ..State::default()
            },
        };
        draw_step(&seat, state)
    }
}

/// Tries a step, unless the form is none of ours or there were too many trials.
async fn try_step(
    seat: &Seat<'_>,
    form: Option<Problem>,
    step: impl Future<Output = Result<Step, Error>>,
) -> Result<Result<Step, State>, Error> {
    if let Some(problem) = form {
        return Ok(Err(State { problems: Problems::of_form(problem), ..State::default() }));
    }
    if !may_try(seat) {
        return Ok(Err(State { often: true, ..State::default() }));
    }
    step.await.map(Ok)
}

/// The way here, for those who may go it.
pub(super) fn is_offered(seat: &Seat<'_>) -> bool {
    settings::is_for(seat.admin.role) && seat.admin.role == Role::Administrator && is_open(seat)
}
