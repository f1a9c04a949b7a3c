//! Setting a domain up, step by step: where its controllers are, whose certificates are trusted, and as whom Regain
//! works there. Each step is tried against the real controllers before the next; nothing is served until the last.
//!
//! What was settled so far is kept, without any secret, so that it can be left and gone on with. Nobody's password is
//! sent to a controller whose certificate was not trusted.

use std::sync::Arc;

use toml::Value;

use super::{
    Error, Services,
    change_settings::{self, Change, Edit, Editor},
    try_out::{self, Certificate, Finding, Seen, Verdict},
};
use crate::{
    directory::Directory,
    domain::{refusal::Refusal, secret::SecretText, set_up::DomainDraft},
    settings::{DomainSettings, Fault, Secret, Settings, Transport},
    store::{self, Found, keyring::keyed_hash},
};

/// Where a step led.
#[derive(Debug)]
pub enum Step {
    /// What was typed can't be right.
    Wrong(Vec<Fault>),
    /// On to the next.
    On,
    /// Controllers were seen, and none of them shows a certificate that is trusted.
    Untrusted(Vec<Seen>),
    /// Something has to be mended first.
    Mend(Vec<Finding>),
    /// The domain is served from now on; what else was found.
    Served(Vec<Finding>),
}

/// What was settled so far.
pub async fn draft(services: &Services) -> Result<Option<Found<DomainDraft>>, Error> {
    Ok(services.store.find::<DomainDraft>(&()).await?)
}

/// What tells a draft from one that leads elsewhere: a page carries it, so that nobody's password goes to a place that
/// somebody else has settled meanwhile.
pub fn mark(services: &Services, draft: &DomainDraft) -> Result<String, Error> {
    let places = DomainDraft { service_account: String::new(), ..draft.clone() };
    let places = serde_json::to_vec(&places).map_err(|error| Error::Internal(error.to_string()))?;
    let hash = keyed_hash(&services.keys.decoys, &[b"domain draft", &places]);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Gives it up.
pub async fn cancel(services: &Services) -> Result<(), Error> {
    let Some(found) = draft(services).await? else { return Ok(()) };
    match services.store.batch().remove(&(), &found).commit().await {
        Ok(()) | Err(store::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn keep(services: &Services, draft: &DomainDraft) -> Result<(), Error> {
    Ok(services.store.batch().put(&(), draft).commit().await?)
}

/// Takes the domain's name, and looks for its controllers.
pub async fn find_controllers(
    services: &Services,
    editor: &Editor,
    draft: DomainDraft,
) -> Result<Step, Error> {
    if draft.dns_name.is_empty() {
        return Ok(Step::Wrong(vec![Fault::new("dns_name", "is needed: for instance corp.example")]));
    }
    let faults = faults(&draft);
    if !faults.is_empty() {
        return Ok(Step::Wrong(faults));
    }
    let step = survey(services, DomainDraft { is_trusted: false, ..draft.clone() }).await?;
    let what = format!("domain {} {}", draft.dns_name, draft.controllers.join(" "));
    try_out::tell(services, editor, what.trim(), !matches!(step, Step::Mend(_))).await;
    Ok(step)
}

/// Trusts the certificate authority with that fingerprint, of those that the controllers show; or those in a PEM text.
pub async fn trust(
    services: &Services,
    draft: DomainDraft,
    fingerprint: &str,
    pem: &str,
) -> Result<Step, Error> {
    let chosen = if pem.trim().is_empty() {
        // Shown once more, and not taken from the form: it can't be exchanged on the way.
        let seen = look(services, &draft).await?;
        let is_chosen = |certificate: &&Certificate| certificate.fingerprint == fingerprint;
        let certificate = seen.iter().flat_map(|seen| &seen.chain).find(is_chosen);
        certificate.map(|certificate| certificate.pem.clone())
    } else {
        Some(pem.to_owned())
    };
    let Some(chosen) = chosen else {
        let text = "Choose a certificate authority, or paste its certificate";
        return Ok(Step::Wrong(vec![Fault::new("ca_certificates", text)]));
    };
    let draft = DomainDraft { ca_certificates: Some(chosen), ..draft };
    let faults = faults(&draft);
    if !faults.is_empty() {
        return Ok(Step::Wrong(faults));
    }
    survey(services, draft).await
}

/// What the controllers show, as things stand in the draft.
pub async fn look(services: &Services, draft: &DomainDraft) -> Result<Vec<Seen>, Error> {
    let directory = match connect(services, &settings_of(draft)) {
        Ok(directory) => directory,
        Err(Some(text)) => return Ok(vec![unseen(draft, text)]),
        Err(None) => return Err(Error::Refused(Refusal::NotFound)),
    };
    match directory.survey().await {
        Ok(seen) => Ok(seen),
        Err(error) => {
            let text = format!(
                "{error}. Let Regain ask a name server that knows the domain (name_servers in the configuration file), \
                 or list controllers"
            );
            Ok(vec![unseen(draft, text)])
        }
    }
}

fn unseen(draft: &DomainDraft, text: String) -> Seen {
    let finding = Finding { subject: draft.dns_name.clone(), verdict: Verdict::Bad, text };
    Seen { controller: String::new(), chain: Vec::new(), finding }
}

/// Looks at the controllers, and keeps what was settled.
async fn survey(services: &Services, draft: DomainDraft) -> Result<Step, Error> {
    let seen = look(services, &draft).await?;
    // Those that are down may come back; one that is trusted is enough to go on.
    let is_trusted = seen.is_empty() || seen.iter().any(|seen| seen.finding.verdict != Verdict::Bad);
    let has_shown = seen.iter().any(|seen| !seen.chain.is_empty());
    if !is_trusted && !has_shown {
        return Ok(Step::Mend(seen.into_iter().map(|seen| seen.finding).collect()));
    }
    keep(services, &DomainDraft { is_trusted, ..draft }).await?;
    Ok(if is_trusted { Step::On } else { Step::Untrusted(seen) })
}

/// Takes the service account, and serves the domain if all is well with it, or `even_so`.
pub async fn serve(
    services: &Services,
    editor: &Editor,
    draft: DomainDraft,
    password: SecretText,
    even_so: bool,
) -> Result<Step, Error> {
    let mut faults = Vec::new();
    if draft.service_account.is_empty() {
        faults.push(Fault::new("service_account", "is needed"));
    }
    if password.reveal().is_empty() {
        faults.push(Fault::new("service_password", "is needed"));
    }
    if !draft.is_trusted || !faults.is_empty() {
        return Ok(Step::Wrong(faults));
    }
    keep(services, &draft).await?;
    let mut domain = settings_of(&draft);
    domain.service_password = Some(Secret::new(password.reveal().to_owned()));
    let directory = match connect(services, &domain) {
        Ok(directory) => directory,
        Err(Some(text)) => return Ok(Step::Wrong(vec![Fault::new("service_account", text)])),
        Err(None) => return Err(Error::Refused(Refusal::NotFound)),
    };
    let mut findings = directory.examine().await;
    match directory.names().await {
        Ok(names) if names.name.as_str() != draft.dns_name.trim_end_matches('.').to_lowercase() => {
            let text = format!("the directory calls itself {}: set that name", names.name);
            return Ok(Step::Wrong(vec![Fault::new("dns_name", text)]));
        }
        Ok(names) => {
            let is_guessed = names.netbios != domain.netbios_name;
            domain.netbios_name = names.netbios;
            // The commands that mend rights have that name in them.
            if is_guessed && is_bad(&findings) {
                let again = connect(services, &domain).ok();
                if let Some(directory) = again {
                    findings = directory.examine().await;
                }
            }
        }
        // Without a bind there is no name; what is wrong is among the findings, or said now.
        Err(error) if !is_bad(&findings) => {
            let finding =
                Finding { subject: draft.dns_name.clone(), verdict: Verdict::Bad, text: error.to_string() };
            findings.push(finding);
            return Ok(Step::Mend(findings));
        }
        Err(_) => return Ok(Step::Mend(findings)),
    }
    if is_bad(&findings) && !even_so {
        return Ok(Step::Mend(findings));
    }
    match add(services, editor, &draft, domain).await? {
        Change::Made(_) => {
            cancel(services).await?;
            Ok(Step::Served(findings))
        }
        Change::Wrong(faults) => Ok(Step::Wrong(faults)),
        Change::Conflict => {
            Ok(Step::Wrong(vec![Fault::new("settings", "were changed meanwhile; try again")]))
        }
    }
}

fn is_bad(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Bad)
}

/// Adds the domain behind those that are there.
async fn add(
    services: &Services,
    editor: &Editor,
    draft: &DomainDraft,
    domain: DomainSettings,
) -> Result<Change, Error> {
    let (version, changed) = change_settings::load(services).await?;
    let index = changed.get("domain").and_then(Value::as_array).map_or(0, Vec::len);
    let text = |text: &str| Value::String(text.to_owned());
    let mut values = vec![
        ("dns_name", text(draft.dns_name.trim_end_matches('.'))),
        ("netbios_name", text(&domain.netbios_name)),
        ("service_account", text(&domain.service_account)),
    ];
    if let Some(password) = &domain.service_password {
        values.push(("service_password", text(password.reveal())));
    }
    if !draft.controllers.is_empty() {
        values.push(("controllers", Value::from(draft.controllers.clone())));
    }
    if draft.is_starttls {
        values.push(("transport", text("starttls")));
    }
    if let Some(certificates) = &draft.ca_certificates {
        values.push(("ca_certificates", text(certificates)));
    }
    let edits = values
        .into_iter()
        .map(|(key, value)| Edit { key: format!("domain.{index}.{key}"), value: Some(value) });
    change_settings::change(services, editor, version, edits.collect()).await
}

/// The settings of the domain as far as they are known. Until the directory tells its NetBIOS name, that is taken for
/// the first part of the DNS name.
fn settings_of(draft: &DomainDraft) -> DomainSettings {
    let first = draft.dns_name.split('.').next().unwrap_or_default();
    DomainSettings {
        dns_name: draft.dns_name.clone(),
        netbios_name: first.to_uppercase().chars().take(15).collect(),
        controllers: draft.controllers.clone(),
        transport: if draft.is_starttls { Transport::StartTls } else { Transport::Ldaps },
        ca_certificates: draft.ca_certificates.clone(),
        service_account: draft.service_account.clone(),
        // Nobody is bound before there is one.
        service_password: Some(Secret::new("-".into())),
        ..DomainSettings::default()
    }
}

/// What is wrong with the draft itself: by key of the domain's settings.
fn faults(draft: &DomainDraft) -> Vec<Fault> {
    let mut domain = settings_of(draft);
    // What comes later is not missing yet.
    domain.service_account = "-".into();
    let mut faults = Vec::new();
    domain.check_typed("settings.domain.0", &[], &mut faults);
    let settings = Settings { domain: vec![domain], ..Settings::default() };
    faults.extend(settings.faults());
    let faults = faults.into_iter().filter_map(|fault| {
        let key = fault.key.strip_prefix("settings.domain.0.")?;
        Some(Fault::new(key.split('.').next().unwrap_or(key), fault.text))
    });
    faults.collect()
}

/// The one directory of such settings; why there is none.
fn connect(services: &Services, domain: &DomainSettings) -> Result<Arc<dyn Directory>, Option<String>> {
    let settings = Settings { domain: vec![domain.clone()], ..Settings::default() };
    let directories = (services.connect)(&settings).map_err(Some)?;
    directories.into_iter().next().ok_or(None)
}
