//! The steps: one file for each thing a person can do, and the only place where steps are put in order.
//!
//! Every step that writes is one durable batch of the store, with its audit event in it. What was proved is kept in
//! the flow's step, which only the function that did the proving can set.

pub mod access;
pub mod answer;
pub mod api_tokens;
pub mod attempt;
pub mod backup;
pub mod certificate;
pub mod change;
pub mod change_settings;
pub mod code;
pub mod coverage;
mod dispatch;
pub mod enroll;
pub mod enrolled;
pub mod forward;
pub mod hashing;
pub mod held;
pub mod identify;
pub mod import;
pub mod manage_users;
pub mod methods;
pub mod new_password;
mod operators;
pub mod outbox;
pub mod panel_passkeys;
pub mod prove;
pub mod purge;
pub mod remind;
pub mod reset;
pub mod rounds;
pub mod saved_views;
pub mod session;
pub mod set_up;
pub mod settle;
pub mod sign_in;
pub mod story;
pub mod transfer;
pub mod try_out;
pub mod unlock;
pub mod verify;
pub mod view;
mod write;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    directory::{self, Directory},
    domain::{
        account::{Account, Domain, DomainName},
        audit::{Action, Event, Outcome},
        clock::{Clock, Timestamp},
        field::Problems,
        flow::{Flow, Kind},
        lockout::Subject,
        password_rules::Rules,
        permission::{self, Rule, require_served},
        refusal::{Refusal, Service},
    },
    notify::Notifier,
    passkeys::Passkeys,
    settings::{Settings, layers::Fixed},
    store::{
        self, Found, SessionKey, Store,
        keyring::{Keyring, keyed_hash},
    },
};
use hashing::HashPool;
use session::SessionId;

/// Makes the directories of the domains that settings name; why it can't, if it can't.
pub type Connect = Box<dyn Fn(&Settings) -> Result<Vec<Arc<dyn Directory>>, String> + Send + Sync>;

/// All that the flows work with.
pub struct Services {
    /// The domains that are served; others when the settings of the domains change.
    pub directories: ArcSwap<Vec<Arc<dyn Directory>>>,
    /// Makes the directories that settings name.
    pub connect: Connect,
    /// What is remembered.
    pub store: Store,
    /// The keys outside the store.
    pub keys: Arc<Keyring>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where hashes of answers are computed.
    pub hashing: HashPool,
    /// The settings, swapped when they change.
    pub settings: ArcSwap<Settings>,
    /// The version of what was changed of them, as far as it is in force.
    pub in_force: AtomicU64,
    /// The settings that file and environment fix.
    pub fixed: Fixed,
    /// Who composes and delivers messages.
    pub notifier: Notifier,
    /// The host name of the pages, by which those who watch know this machine.
    pub host: String,
    /// Who asks for passkeys; nobody if the pages have no host name.
    pub passkeys: Option<Passkeys>,
    /// The sender's memory.
    pub outbox: outbox::Outbox,
    /// How far events were sent on.
    pub reached: forward::Reached,
    /// Where the audit log is verified.
    pub verification: verify::Verification,
    /// Where an import of enrollments is worked at.
    pub import: import::Desk,
    /// Who shows the certificate of the pages, and orders one.
    pub door: Arc<dyn certificate::Door>,
    /// What is remembered of ordering it.
    pub certificate: certificate::Desk,
    /// How far looking for accounts that are gone is.
    pub purge: rounds::Desk,
    /// How far counting who has enrolled is.
    pub coverage: rounds::Desk,
    /// Where backups are made.
    pub backup: backup::Desk,
    /// One turn at a time for those who are counted against.
    pub turns: attempt::Turns,
}

impl Services {
    /// The domains' names, in the order of configuration.
    pub fn domains(&self) -> Vec<Domain> {
        self.directories.load().iter().map(|directory| directory.domain().clone()).collect()
    }

    pub(crate) fn directory(&self, name: &DomainName) -> Result<Arc<dyn Directory>, Error> {
        self.directories
            .load()
            .iter()
            .find(|directory| directory.domain().name == *name)
            .map(Arc::clone)
            .ok_or_else(|| Error::Internal(format!("the domain {name} is no longer configured")))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn subject_of(
        &self,
        account: Option<&Account>,
        domain: &DomainName,
        canonical: &str,
    ) -> Subject {
        if let Some(account) = account {
            return Subject::Known(account.key.clone());
        }
        let hash =
            keyed_hash(&self.keys.decoys, &[b"subject", domain.as_str().as_bytes(), canonical.as_bytes()]);
        let mut name = [0; 16];
        name.copy_from_slice(&hash[..16]);
        Subject::Unknown { domain: domain.clone(), name }
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.load().security.idle_timeout_seconds))
    }
}

/// Refuses accounts that are not served, and those that are not permitted this.
pub(crate) fn require_permitted(services: &Services, kind: Kind, account: &Account) -> Result<(), Refusal> {
    require_served(account)?;
    let settings = services.settings.load();
    // Whoever may use the panel could otherwise be let into it by a mailbox or by answers.
    if matches!(kind, Kind::Reset | Kind::Unlock) && settings.admin.role(account).is_some() {
        return Err(Refusal::AccountPrivileged);
    }
    let rule = settings.permissions.rule(kind);
    if rule != Rule::Everyone && account.group_sids.is_empty() {
        tracing::error!(account = %account.key.guid, "the groups of an account can't be read (tokenGroups)");
    }
    permission::require_permitted(rule, account)
}

/// Random bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Internal("no random numbers".into()))?;
    Ok(bytes)
}

/// Who is on the other side.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The address the visitor comes from; `None` if nobody is there and a job acts in the visitor's stead.
    pub address: Option<IpAddr>,
    /// The language of the pages, if someone reads them.
    pub language: Option<String>,
    /// The browser's session.
    pub session: SessionId,
}

impl Visitor {
    /// The key of the visitor's flow of that kind.
    pub fn key(&self, kind: Kind) -> SessionKey {
        self.session.key(kind)
    }
}

/// Where a step led.
#[derive(Debug)]
pub enum Next {
    /// On: the page is at the flow's own path. A new session, if something was proved.
    Moved(Option<SessionId>),
    /// The form has to be filled in again. A new session, if something was proved all the same.
    Wrong(Problems, Option<SessionId>),
    /// So has that of a change: the old password is right, and these are the rules for the new one.
    Unfit(Problems, Option<SessionId>, Box<Rules>),
}

/// Why a step could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The person is not served.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// Something below is in trouble; later it may work.
    #[error("{}: {text}", .0.code(), text = .1)]
    Unavailable(Service, String),
    /// Something is wrong with the program or its set-up.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// The key among the texts and the outcome in the audit log.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Unavailable(service, _) => service.code(),
            Self::Internal(_) => "internal",
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let text = error.to_string();
        match error {
            store::Error::Conflict => Self::Unavailable(Service::Busy, text),
            store::Error::ReadOnly(_) => Self::Unavailable(Service::StoreSpace, text),
            store::Error::Unavailable(_) => Self::Unavailable(Service::Store, text),
            store::Error::Damaged(_) | store::Error::Newer(_) => Self::Internal(text),
        }
    }
}

impl From<directory::Error> for Error {
    fn from(error: directory::Error) -> Self {
        let text = error.to_string();
        match error {
            directory::Error::Unavailable(_) => Self::Unavailable(Service::Directory, text),
            directory::Error::OutcomeUnknown(_) => Self::Unavailable(Service::Outcome, text),
            directory::Error::Refused(..) | directory::Error::Unexpected(_) => Self::Internal(text),
        }
    }
}

/// Where a visitor is in a flow.
pub enum Place {
    /// At its first page.
    Start,
    /// At its first page, because too much time went by.
    Expired,
    /// Under way.
    UnderWay(Box<Found<Flow>>),
}

/// Finds out where a visitor is.
pub async fn locate(services: &Services, visitor: &Visitor, kind: Kind) -> Result<Place, Error> {
    Ok(match services.store.find::<Flow>(&visitor.key(kind)).await? {
        None => Place::Start,
        Some(flow) if flow.is_over(services.idle_timeout(), services.now()) => Place::Expired,
        Some(flow) => Place::UnderWay(Box::new(flow)),
    })
}

/// Gives a flow up.
pub async fn cancel(services: &Services, visitor: &Visitor, kind: Kind) -> Result<(), Error> {
    let key = visitor.key(kind);
    if let Some(flow) = services.store.find::<Flow>(&key).await?
        && !matches!(flow.step, crate::domain::flow::Step::Writing(_))
    {
        match services.store.batch().remove(&key, &flow).commit().await {
            Ok(()) | Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// An event of a visitor's flow.
pub fn event(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    outcome: Outcome,
    who: (&str, &DomainName),
    detail: &str,
) -> Event {
    Event {
        at: services.now(),
        outcome,
        source: if visitor.address.is_some() { "web" } else { "job" }.into(),
        user: who.0.chars().take(256).collect(),
        domain: who.1.to_string(),
        action: match kind {
            Kind::Enroll => Action::Enroll,
            Kind::Reset => Action::Reset,
            Kind::Unlock => Action::Unlock,
            Kind::Change => Action::Change,
        },
        detail: detail.into(),
        source_ip: visitor.address,
        source_user: None,
        account: None,
        reference: None,
    }
}

/// Writes an event down outside any batch: a failure, which the visitor is told of in any case.
/// `page_language` is that of the page on which it happened, for the alert about it.
pub async fn note(services: &Services, event: Event, page_language: Option<&str>) {
    let batch = outbox::record(services, services.store.batch(), &event, page_language);
    if let Err(error) = batch.commit().await {
        tracing::error!(%error, action = ?event.action, detail = event.detail, "an audit event could not be written");
    }
}
