//! Trying settings out before or after they are saved, and looking things up in the directories: what an administrator
//! asks the panel to do once, now.
//!
//! Nothing is changed by it. A secret that is not given anew is never sent to another place than before: the same
//! rule as for saving. What was tried is in the audit log.

use std::collections::BTreeMap;

use super::{
    Error, Services,
    change_settings::{self, Edit, Editor},
    note,
};
pub use crate::directory::{Certificate, Finding, Group, Seen, Verdict};
use crate::{
    directory::Groups,
    domain::{
        account::{Account, LogonName},
        audit::{Action, Event, Outcome},
        contact::{EmailAddress, PhoneNumber},
        field::Problem,
        flow::Kind,
        message::{Channel, Facts, Message, Topic},
        refusal::Refusal,
    },
    notify::{self, Fault as Undelivered, Standing, forward::Way},
    settings::{Fault, Settings},
};

/// So many groups are looked up by their SIDs for one page.
const NAMED: usize = 40;
/// The code in a text message that is sent to see whether it arrives.
const SAMPLE_CODE: &str = "123456";

/// What a trial told.
#[derive(Debug)]
pub enum Tried {
    /// The settings can't be tried.
    Wrong(Vec<Fault>),
    /// What was found, line by line.
    Told(Vec<Finding>),
}

/// Looks at a domain: controllers, certificates, service account, rights. `index` is its place among the domains.
pub async fn domain(
    services: &Services,
    editor: &Editor,
    edits: &[Edit],
    index: usize,
) -> Result<Tried, Error> {
    let settings = match change_settings::preview(services, edits).await? {
        Ok(settings) => settings,
        Err(faults) => return Ok(Tried::Wrong(faults)),
    };
    let directories = match (services.connect)(&settings) {
        Ok(directories) => directories,
        Err(text) => return Ok(Tried::Wrong(vec![Fault::new("settings.domain", text)])),
    };
    let Some(directory) = directories.get(index) else { return Err(Error::Refused(Refusal::NotFound)) };
    let findings = directory.examine().await;
    let listed = settings.domain.get(index).map(|domain| domain.controllers.join(" ")).unwrap_or_default();
    let what = format!("domain {} {listed}", directory.domain().name);
    tell(services, editor, what.trim(), findings.iter().all(|finding| finding.verdict != Verdict::Bad)).await;
    Ok(Tried::Told(findings))
}

/// Sends a mail, now, and says whether the server took it.
pub async fn mail(
    services: &Services,
    editor: &Editor,
    edits: &[Edit],
    to: EmailAddress,
    language: &str,
) -> Result<Tried, Error> {
    let settings = match change_settings::preview(services, edits).await? {
        Ok(settings) => settings,
        Err(faults) => return Ok(Tried::Wrong(faults)),
    };
    let facts = facts(services, editor, None);
    let sent = match services.notifier.mail(&settings, Topic::Trial, language, to, &facts) {
        Ok(mail) => send(services, &settings, Channel::Mail, Message::Mail(mail)).await,
        Err(fault) => Err(fault.to_string()),
    };
    let place = settings.mail.host.as_deref().unwrap_or_default();
    Ok(told(services, editor, (Channel::Mail, place), sent).await)
}

/// Sends a text message, now, and says whether it was taken.
pub async fn text_message(
    services: &Services,
    editor: &Editor,
    edits: &[Edit],
    to: PhoneNumber,
    language: &str,
) -> Result<Tried, Error> {
    let settings = match change_settings::preview(services, edits).await? {
        Ok(settings) => settings,
        Err(faults) => return Ok(Tried::Wrong(faults)),
    };
    let facts = facts(services, editor, Some(SAMPLE_CODE.to_owned()));
    let sent = match services.notifier.sms(&settings, language, to, &facts) {
        Ok(sms) => send(services, &settings, Channel::Sms, Message::Sms(sms)).await,
        Err(fault) => Err(fault.to_string()),
    };
    let place = settings.sms.url.as_deref().unwrap_or_default();
    Ok(told(services, editor, (Channel::Sms, place), sent).await)
}

/// Looks whether events of the audit log would arrive where they are sent on to. None is sent.
pub async fn forwarding(services: &Services, editor: &Editor, edits: &[Edit]) -> Result<Tried, Error> {
    let settings = match change_settings::preview(services, edits).await? {
        Ok(settings) => settings,
        Err(faults) => return Ok(Tried::Wrong(faults)),
    };
    if services.notifier.is_demo() {
        let text = "the demo sends nothing on, and looks nowhere";
        return Ok(Tried::Told(vec![Finding::new("demo", Verdict::Warning, text)]));
    }
    let mut findings = Vec::new();
    for way in Way::ALL {
        let (verdict, text) = match way.examine(&settings).await {
            Standing::Off => (Verdict::Warning, "is not set".to_owned()),
            Standing::Good(text) => (Verdict::Good, text),
            Standing::Bad(text) => (Verdict::Bad, text),
        };
        if verdict != Verdict::Warning {
            let place = match way {
                Way::Syslog => settings.audit.syslog_server.as_deref(),
                Way::Webhook => settings.audit.webhook_url.as_deref(),
            };
            let what = format!("{} {}", way.as_str(), place.unwrap_or_default());
            tell(services, editor, &what, verdict == Verdict::Good).await;
        }
        findings.push(Finding { subject: way.as_str().to_owned(), verdict, text });
    }
    Ok(Tried::Told(findings))
}

/// How it was sent, or why not: of a server that nobody speaks the protocol at, only that.
async fn send(
    services: &Services,
    settings: &Settings,
    channel: Channel,
    message: Message,
) -> Result<String, String> {
    if !services.notifier.delivers(settings, channel) {
        return Err("nothing is sent this way: choose a delivery first".into());
    }
    match services.notifier.send(settings, &message).await {
        Ok(()) => Ok(match notify::examine(settings, channel).await {
            Standing::Good(how) => how,
            _ => String::new(),
        }),
        Err(Undelivered::Later(text) | Undelivered::Never(text)) => Err(text),
    }
}

fn facts(services: &Services, editor: &Editor, code: Option<String>) -> Facts {
    let (domain, user) = editor.name.split_once('\\').unwrap_or(("Regain", &editor.name));
    Facts {
        user: user.to_owned(),
        domain: domain.to_owned(),
        at: services.now(),
        source_ip: editor.address,
        minutes: u32::from(code.is_some()),
        code,
        days: 0,
    }
}

async fn told(
    services: &Services,
    editor: &Editor,
    (channel, place): (Channel, &str),
    sent: Result<String, String>,
) -> Tried {
    let what = format!("{} {place}", channel.as_str());
    tell(services, editor, what.trim(), sent.is_ok()).await;
    let (verdict, text) = match sent {
        Ok(how) if how.is_empty() => (Verdict::Good, "it was taken; look whether it arrives".to_owned()),
        Ok(how) => (Verdict::Good, format!("it was taken ({how}); look whether it arrives")),
        Err(why) => (Verdict::Bad, why),
    };
    Tried::Told(vec![Finding { subject: channel.as_str().to_owned(), verdict, text }])
}

/// Writes down that something was tried.
pub(super) async fn tell(services: &Services, editor: &Editor, what: &str, is_good: bool) {
    let event = Event {
        at: services.now(),
        outcome: if is_good { Outcome::Success } else { Outcome::Failure },
        source: editor.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Setting,
        detail: format!("tried: {}", what.chars().take(500).collect::<String>()),
        source_ip: editor.address,
        source_user: Some(editor.name.clone()),
        account: None,
        reference: None,
    };
    note(services, event, None).await;
}

/// What Regain sees of someone.
#[derive(Debug)]
pub struct Look {
    /// The account.
    pub account: Account,
    /// What they may do, and what keeps them from it.
    pub permissions: Vec<(Kind, Option<Refusal>)>,
    /// Whether they are enrolled.
    pub is_enrolled: bool,
}

/// Finds someone by the name as it would be typed; `None` if that means nobody, or several.
pub async fn look_up(services: &Services, typed: &str) -> Result<Result<Option<Look>, Problem>, Error> {
    let (domain, name) = match LogonName::parse(typed, "", &services.domains()) {
        Ok(parsed) => parsed,
        Err((_, problem)) => return Ok(Err(problem)),
    };
    let directory = services.directory(&domain)?;
    let Some(account) = directory.find(&name).await? else { return Ok(Ok(None)) };
    let permissions = Kind::ALL
        .into_iter()
        .map(|kind| (kind, super::require_permitted(services, kind, &account).err()))
        .collect();
    let is_enrolled = services.store.find::<crate::domain::enrollment::Enrollment>(&account.key).await?;
    Ok(Ok(Some(Look { account, permissions, is_enrolled: is_enrolled.is_some() })))
}

/// Groups with a part of their name, of all domains, each with its domain's NetBIOS name.
pub async fn groups(services: &Services, part: &str) -> Result<Vec<(String, Group)>, Error> {
    let mut found = Vec::new();
    let wanted = if part.starts_with("S-1-") { Groups::WithSid(part) } else { Groups::Named(part) };
    for directory in services.directories.load_full().iter() {
        let groups = directory.find_groups(wanted).await?;
        let netbios = &directory.domain().netbios;
        found.extend(groups.into_iter().map(|group| (netbios.clone(), group)));
    }
    // Those that every controller has are the same in each domain.
    let mut seen = std::collections::HashSet::new();
    found.retain(|(_, group)| seen.insert(group.sid.clone()));
    Ok(found)
}

/// The names of groups by their SIDs, as far as the directories know them and answer.
pub async fn names_of_groups(services: &Services, sids: &[String]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let directories = services.directories.load_full();
    for sid in sids.iter().take(NAMED) {
        for directory in directories.iter() {
            match directory.find_groups(Groups::WithSid(sid)).await {
                Ok(groups) => {
                    let Some(group) = groups.first() else { continue };
                    names.insert(sid.clone(), format!("{}\\{}", directory.domain().netbios, group.name));
                    break;
                }
                // One that doesn't answer would be waited for again with the next.
                Err(_) => return names,
            }
        }
    }
    names
}
