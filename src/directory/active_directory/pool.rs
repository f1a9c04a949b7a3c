//! The service account's connections: a few, kept open, handed out only when sound. No user's password is ever
//! checked on one of these, for a failed bind would leave the connection with the identity it had before.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ldap3::controls::RawControl;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    super::{Error, PasswordCheck},
    connection::{Connection, Fault, Outcome, Search},
    network::Network,
    password::Write,
    reply,
};
use crate::domain::secret::Password;

/// Domain controllers close an idle connection after 900 s (MaxConnIdleTime); firewalls forget it without a word.
const LONGEST_IDLE: Duration = Duration::from_secs(600);
/// After this long a connection is asked whether it is still one, before something is sent that can't be repeated.
const IDLE_BEFORE_PROBE: Duration = Duration::from_secs(15);
/// How long that question may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// Group membership and password of the service account are looked at anew this often.
const LONGEST_AGE: Duration = Duration::from_secs(3600);

/// After how long the service account's password is tried again once it was found wrong, the first, second … time.
/// Each try counts towards its lockout: no half hour sees more than four.
const WAITS_AFTER_WRONG_PASSWORD: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(240), Duration::from_secs(900)];
/// The same for all other refusals, which count for nothing.
const WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// The history and minimum age of passwords bind a reset (MS-ADTS 3.1.1.3.4.1.27), since Windows Server 2012.
pub const POLICY_HINTS: &str = "1.2.840.113556.1.4.2239";
/// The same under its first number, of Windows Server 2008 R2.
pub const POLICY_HINTS_DEPRECATED: &str = "1.2.840.113556.1.4.2066";
/// SEQUENCE { INTEGER 1 }.
const ENFORCE: [u8; 5] = [0x30, 3, 2, 1, 1];

/// A connection on which the service account is bound.
pub struct ServiceConnection {
    connection: Connection,
    /// Under which number the controller offers policy hints.
    policy_hints: Option<&'static str>,
    /// Every SID of the service account.
    sids: Arc<[String]>,
}

/// An answer and who asked.
pub struct Answer {
    /// The answer.
    pub outcome: Outcome,
    /// Every SID of the service account.
    pub own_sids: Arc<[String]>,
    /// Whether the controller that answered offers policy hints.
    pub policy_hints: bool,
}

/// The service account and its connections.
pub struct Pool {
    network: Arc<Network>,
    account: String,
    password: Password,
    idle: Mutex<Vec<ServiceConnection>>,
    places: Semaphore,
    /// Held while the service account is tried, so that a wrong password is tried once and not once per visitor.
    trying: tokio::sync::Mutex<()>,
    refusal: Mutex<Refusal>,
}

/// That the service account was refused, and until when it is not tried again.
#[derive(Default)]
struct Refusal {
    until: Option<Instant>,
    wrong_passwords_in_a_row: usize,
    reason: String,
}

/// What is asked of a service connection.
enum Request<'a> {
    Search(&'a Search<'a>),
    Write(&'a str, &'a Write<'a>),
}

impl Pool {
    /// No connection is opened before one is needed.
    pub fn new(network: Arc<Network>, account: String, password: Password, size: usize) -> Self {
        let places = Semaphore::new(size.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            network,
            account,
            password,
            places,
            idle: Mutex::default(),
            trying: tokio::sync::Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    /// A search, repeated on another controller if the answer does not come.
    pub async fn search(&self, search: &Search<'_>) -> Result<Answer, Error> {
        self.perform(&Request::Search(search)).await
    }

    /// A write, never repeated once it can have been received.
    pub async fn write(&self, object: &str, write: &Write<'_>) -> Result<Outcome, Error> {
        Ok(self.perform(&Request::Write(object, write)).await?.outcome)
    }

    /// Binds as the service account, whatever came of it before.
    pub async fn bind(&self, connection: &mut Connection) -> Result<Outcome, Fault> {
        connection.bind(&self.account, &self.password).await
    }

    async fn perform(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let dialer = &self.network.dialer;
        let patience = dialer.connect_timeout + dialer.operation_timeout;
        let Ok(Ok(place)) = timeout(patience, self.places.acquire()).await else {
            return Err(Error::Unavailable("all connections are busy".to_owned()));
        };
        // A connection may turn out dead when it is used; one for each that could be idle, and each controller anew.
        let idle = self.idle().len();
        let mut tries_left = idle + self.network.controllers().await?.len() + 1;
        loop {
            tries_left -= 1;
            let mut service = self.checkout().await?;
            let reason = match service.perform(request).await {
                Ok(outcome) if reply::is_unavailable(outcome.code) => {
                    service.connection.controller.has_failed(Instant::now());
                    reply::words(outcome.code, &outcome.text)
                }
                Ok(outcome) if reply::is_identity_lost(outcome.code, &outcome.text) => {
                    reply::words(outcome.code, &outcome.text)
                }
                Ok(outcome) => {
                    let own_sids = Arc::clone(&service.sids);
                    let policy_hints = service.policy_hints.is_some();
                    self.idle().push(service);
                    drop(place);
                    return Ok(Answer { outcome, own_sids, policy_hints });
                }
                Err(Fault::NoAnswer(reason) | Fault::Silent(reason))
                    if matches!(request, Request::Write(..)) =>
                {
                    let controller = &service.connection.controller;
                    return Err(Error::OutcomeUnknown(format!("{controller}: {reason}")));
                }
                Err(Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) => reason,
            };
            if tries_left == 0 {
                return Err(Error::Unavailable(format!("{}: {reason}", service.connection.controller)));
            }
            tracing::debug!(controller = %service.connection.controller, %reason, "trying another connection");
        }
    }

    /// A sound connection: an idle one or a new one.
    async fn checkout(&self) -> Result<ServiceConnection, Error> {
        while let Some(mut service) = self.take_idle() {
            if let Some(better) = self.network.better(&service.connection.controller).await {
                let controller = Arc::clone(&better.controller);
                // If that one refuses the service account the other may go on.
                if let Ok(Ok(better)) = self.introduce(better).await {
                    return Ok(better);
                }
                controller.has_failed(Instant::now());
            }
            if service.connection.idle() < IDLE_BEFORE_PROBE || service.connection.probe(PROBE_PATIENCE).await
            {
                return Ok(service);
            }
        }
        self.open().await
    }

    fn take_idle(&self) -> Option<ServiceConnection> {
        let mut idle = self.idle();
        idle.retain_mut(|service| {
            service.connection.is_sound()
                && service.connection.idle() < LONGEST_IDLE
                && service.connection.age() < LONGEST_AGE
        });
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ServiceConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection with the service account bound on it.
    async fn open(&self) -> Result<ServiceConnection, Error> {
        let mut tries_left = self.network.controllers().await?.len();
        loop {
            self.may_bind()?;
            let connection = self.network.connect().await?;
            let controller = Arc::clone(&connection.controller);
            match self.introduce(connection).await? {
                Ok(service) => return Ok(service),
                Err(reason) => {
                    controller.has_failed(Instant::now());
                    tries_left = tries_left.saturating_sub(1);
                    if tries_left == 0 {
                        return Err(Error::Unavailable(format!("{controller}: {reason}")));
                    }
                }
            }
        }
    }

    /// Binds as the service account and reads what the controller offers. The inner error is of the controller,
    /// the outer one of the service account: another controller would say the same.
    async fn introduce(
        &self,
        mut connection: Connection,
    ) -> Result<Result<ServiceConnection, String>, Error> {
        let trying = self.trying.lock().await;
        self.may_bind()?;
        if !connection.is_sound() {
            return Ok(Err("it stopped answering meanwhile".to_owned()));
        }
        let bound = match self.bind(&mut connection).await {
            Ok(bound) if reply::is_unavailable(bound.code) => {
                return Ok(Err(reply::words(bound.code, &bound.text)));
            }
            Ok(bound) => bound,
            Err(Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) => {
                return Ok(Err(reason));
            }
        };
        self.judge(&reply::of_bind(bound.code, &bound.text))?;
        drop(trying);
        let root = Search::of_object("", &["supportedControl", "tokenGroups"]);
        let outcome = match connection.search(&root).await {
            Ok(outcome) => outcome,
            Err(Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) => {
                return Ok(Err(reason));
            }
        };
        let root = outcome.entries.first();
        let offers = |control: &&str| root.is_some_and(|root| root.has("supportedControl", control));
        Ok(Ok(ServiceConnection {
            connection,
            policy_hints: [POLICY_HINTS, POLICY_HINTS_DEPRECATED].into_iter().find(offers),
            sids: root.map(|root| root.sids("tokenGroups")).unwrap_or_default().into(),
        }))
    }

    fn refusal(&self) -> MutexGuard<'_, Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the service account may be tried: not right after it was refused, lest Regain lock it out itself.
    fn may_bind(&self) -> Result<(), Error> {
        let refusal = self.refusal();
        if refusal.until.is_some_and(|until| Instant::now() < until) {
            return Err(Error::Unavailable(refusal.reason.clone()));
        }
        Ok(())
    }

    fn judge(&self, check: &Result<PasswordCheck, Error>) -> Result<(), Error> {
        let mut refusal = self.refusal();
        if matches!(check, Ok(PasswordCheck::Right)) {
            *refusal = Refusal::default();
            return Ok(());
        }
        let wait = if matches!(check, Ok(PasswordCheck::Wrong)) {
            let nth = refusal.wrong_passwords_in_a_row.min(WAITS_AFTER_WRONG_PASSWORD.len() - 1);
            refusal.wrong_passwords_in_a_row += 1;
            WAITS_AFTER_WRONG_PASSWORD[nth]
        } else {
            WAIT_AFTER_REFUSAL
        };
        refusal.until = Some(Instant::now() + wait);
        refusal.reason = format!("the service account is refused: {}", service_refusal(check));
        tracing::error!(account = %self.account, retry_s = wait.as_secs(), "{}", refusal.reason);
        Err(Error::Unavailable(refusal.reason.clone()))
    }
}

/// Why the service account can't be used, in words.
pub fn service_refusal(check: &Result<PasswordCheck, Error>) -> String {
    match check {
        Ok(PasswordCheck::Right) => "it is not".to_owned(),
        Ok(PasswordCheck::RightButMustChange) => "its password has expired or must be changed".to_owned(),
        Ok(PasswordCheck::RightButDisabled) => "it is disabled".to_owned(),
        Ok(PasswordCheck::RightButAccountExpired) => "it has expired".to_owned(),
        Ok(PasswordCheck::RightButRestricted) => {
            "it may not log on at this hour or from this computer".to_owned()
        }
        Ok(PasswordCheck::Wrong) => "its name or password is wrong".to_owned(),
        Ok(PasswordCheck::LockedOut) => "it is locked out".to_owned(),
        Err(error) => error.to_string(),
    }
}

impl ServiceConnection {
    async fn perform(&mut self, request: &Request<'_>) -> Result<Outcome, Fault> {
        match request {
            Request::Search(search) => self.connection.search(search).await,
            Request::Write(object, write) => {
                let control = match write {
                    Write::Reset { enforce_history: true, .. } => self.policy_hints.map(enforce_history),
                    _ => None,
                };
                self.connection.modify(object, write.modifications(), control).await
            }
        }
    }
}

fn enforce_history(number: &'static str) -> RawControl {
    RawControl { ctype: number.to_owned(), crit: true, val: Some(ENFORCE.to_vec()) }
}
