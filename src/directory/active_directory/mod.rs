//! Active Directory: one domain behind [`Directory`]. The only place that names ldap3.
//!
//! The service account's connections are pooled (`pool`); each user's password is checked on a connection of its
//! own, bound by the account's DN and closed afterwards. Accounts are written by their objectGUID, so that a rename
//! between two steps changes nothing. Controllers are asked in a stable order (`network`, `controllers`) under
//! verified TLS (`tls`). What answers mean stands in one table (`reply`).
//!
//! It must not know the flows, nor decide whom to serve: it reports what an account is.

mod connection;
mod controllers;
mod entry;
mod examine;
mod filter;
mod network;
mod password;
mod policy;
mod pool;
mod reply;
mod resolve;
mod rights;
mod sid;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ldap3::Scope;
use tokio::time::Instant;

use self::{
    connection::{Dialer, Fault, Outcome, Search},
    controllers::Controllers,
    entry::{ACCOUNT_ATTRIBUTES, Context, Entry},
    network::Network,
    password::Write,
    pool::Pool,
    reply::Written,
    resolve::Resolver,
    tls::Anchors,
};
use super::{
    Directory, Error, Finding, Group, Groups, PasswordCheck, ResetOptions, Seen, matching::the_one_meant,
};
use crate::domain::{
    account::{Account, Domain, DomainName, LogonName, ObjectGuid},
    clock::{Clock, Timestamp},
    password_rules::PasswordPolicy,
    secret::Password,
};

pub use self::{controllers::Source, tls::Trust};

/// How long a policy is remembered. Accounts are always read anew.
const POLICY_LASTS: Duration = Duration::from_secs(60);

/// More candidates than this for one name are not told apart.
const MOST_CANDIDATES: i32 = 10;
/// Accounts in a page of a list; Active Directory gives at most 1000 (MaxPageSize).
const LISTED_AT_ONCE: i32 = 500;

/// How the connection is secured. There is no third way: a password never travels in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS from the first byte, port 636.
    Ldaps,
    /// TLS after asking for it, port 389.
    StartTls,
}

impl Transport {
    const fn port(self) -> u16 {
        match self {
            Self::Ldaps => 636,
            Self::StartTls => 389,
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::Ldaps => "ldaps",
            Self::StartTls => "ldap",
        }
    }
}

/// How a domain is reached.
#[derive(Debug)]
pub struct Settings {
    /// The domain's names.
    pub domain: Domain,
    /// Its controllers.
    pub controllers: Source,
    /// Name servers to ask; the system's if empty.
    pub name_servers: Vec<SocketAddr>,
    /// LDAPS or StartTLS.
    pub transport: Transport,
    /// Which CAs are trusted.
    pub trust: Trust,
    /// The service account: `svc-regain@corp.example`, `CORP\svc-regain` or its DN.
    pub account: String,
    /// Its password.
    pub password: Password,
    /// The domain's naming context; made of the DNS name if `None`.
    pub base: Option<String>,
    /// Where accounts are looked for; the whole domain if `None`.
    pub search_base: Option<String>,
    /// The attribute with the e-mail address.
    pub mail_attribute: String,
    /// The attribute with the mobile number.
    pub mobile_attribute: String,
    /// For finding the address, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For one request.
    pub operation_timeout: Duration,
    /// How many connections the service account keeps at most.
    pub pool_size: usize,
}

impl Settings {
    /// What has no default, and the defaults for the rest.
    pub fn new(domain: Domain, controllers: Source, account: String, password: Password) -> Self {
        Self {
            domain,
            controllers,
            name_servers: Vec::new(),
            transport: Transport::Ldaps,
            trust: Trust::System,
            account,
            password,
            base: None,
            search_base: None,
            mail_attribute: "mail".to_owned(),
            mobile_attribute: "mobile".to_owned(),
            connect_timeout: Duration::from_secs(3),
            operation_timeout: Duration::from_secs(5),
            pool_size: 4,
        }
    }
}

/// Settings that can't work, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// An entry, with who asked and what the controller offers.
struct Found {
    entry: Entry,
    own_sids: Arc<[String]>,
    policy_hints: bool,
}

/// A domain in Active Directory.
pub struct ActiveDirectory {
    domain: Domain,
    base: String,
    search_base: String,
    mail_attribute: String,
    mobile_attribute: String,
    /// For a directory that does not tell the connection's own SIDs.
    service_account: String,
    network: Arc<Network>,
    pool: Pool,
    clock: Arc<dyn Clock>,
    /// By DN of the domain's head or of a settings object; `None` is one that may not be read.
    policies: Mutex<HashMap<String, (Instant, Option<PasswordPolicy>)>>,
}

impl ActiveDirectory {
    /// Reads the CA files and understands the settings. Nothing is asked of the network yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let controllers =
            Controllers::new(settings.domain.name.clone(), settings.controllers, settings.transport)?;
        let dialer = Dialer {
            resolver: Resolver::new(&settings.name_servers, settings.connect_timeout),
            anchors: Anchors::load(&settings.trust)?,
            transport: settings.transport,
            connect_timeout: settings.connect_timeout,
            operation_timeout: settings.operation_timeout,
        };
        let network = Arc::new(Network::new(dialer, controllers));
        let base = settings.base.unwrap_or_else(|| naming_context(&settings.domain.name));
        Ok(Self {
            search_base: settings.search_base.unwrap_or_else(|| base.clone()),
            base,
            domain: settings.domain,
            mail_attribute: settings.mail_attribute,
            mobile_attribute: settings.mobile_attribute,
            service_account: settings.account.clone(),
            pool: Pool::new(Arc::clone(&network), settings.account, settings.password, settings.pool_size),
            network,
            clock,
            policies: Mutex::default(),
        })
    }

    /// The one entry at `base`.
    async fn read(&self, base: &str, attributes: &[&str]) -> Result<Option<Found>, Error> {
        let mut answer = self.pool.search(&Search::of_object(base, attributes)).await?;
        match answer.outcome.code {
            0 => {
                let (own_sids, policy_hints) = (answer.own_sids, answer.policy_hints);
                Ok(answer.outcome.entries.pop().map(|entry| Found { entry, own_sids, policy_hints }))
            }
            code if reply::is_absent(code) => Ok(None),
            code => Err(reply::unexpected(code, &answer.outcome.text)),
        }
    }

    /// The policy that applies to an account, given the settings object that wins for it.
    async fn policy_by(&self, settings_object: Option<&str>) -> Result<PasswordPolicy, Error> {
        if let Some(dn) = settings_object {
            let settings =
                self.remembered_policy(dn, &policy::SETTINGS_ATTRIBUTES, policy::of_settings).await?;
            if let Some(policy) = settings {
                return Ok(policy);
            }
        }
        let of_domain = |entry: &Entry| Some(policy::of_domain(entry));
        let domain = self.remembered_policy(&self.base, &policy::DOMAIN_ATTRIBUTES, of_domain).await?;
        let domain = domain
            .ok_or_else(|| Error::Unexpected(format!("{} does not exist; is it the domain's?", self.base)))?;
        Ok(PasswordPolicy { known: domain.known && settings_object.is_none(), ..domain })
    }

    async fn remembered_policy(
        &self,
        dn: &str,
        attributes: &[&str],
        understand: impl Fn(&Entry) -> Option<PasswordPolicy>,
    ) -> Result<Option<PasswordPolicy>, Error> {
        let remembered = self.policies.lock().unwrap_or_else(PoisonError::into_inner).get(dn).cloned();
        if let Some((since, policy)) = remembered
            && since.elapsed() < POLICY_LASTS
        {
            return Ok(policy);
        }
        let policy = self.read(dn, attributes).await?.and_then(|found| understand(&found.entry));
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.insert(dn.to_owned(), (Instant::now(), policy.clone()));
        Ok(policy)
    }

    /// The account at `base` as it is now.
    async fn account_at(&self, base: &str) -> Result<Option<Account>, Error> {
        let mut attributes = ACCOUNT_ATTRIBUTES.to_vec();
        attributes.extend([self.mail_attribute.as_str(), self.mobile_attribute.as_str()]);
        let Some(Found { entry, own_sids, policy_hints }) = self.read(base, &attributes).await? else {
            return Ok(None);
        };
        let policy = self.policy_by(entry.text("msDS-ResultantPSO").as_deref()).await?;
        let context = Context {
            domain: &self.domain,
            mail_attribute: &self.mail_attribute,
            mobile_attribute: &self.mobile_attribute,
            own_sids: &own_sids,
            service_account: &self.service_account,
            policy,
            policy_hints,
            now: self.now(),
        };
        entry::account(&entry, context).map(Some)
    }

    /// Looks all over the domain, also where accounts are not served.
    async fn search_domain(&self, filter: &str, limit: i32) -> Result<Outcome, Error> {
        let search = Search {
            base: &self.base,
            scope: Scope::Subtree,
            filter,
            attributes: &["objectGUID"],
            limit,
            with_security: false,
        };
        Ok(self.pool.search(&search).await?.outcome)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn write(&self, account: &Account, write: Write<'_>, written: Written) -> Result<(), Error> {
        let outcome = self.pool.write(&by_guid(account.key.guid), &write).await?;
        reply::of_write(written, outcome.code, &outcome.text)
    }
}

#[async_trait]
impl Directory for ActiveDirectory {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    async fn policy(&self) -> Result<PasswordPolicy, Error> {
        self.policy_by(None).await
    }

    async fn find(&self, name: &LogonName) -> Result<Option<Account>, Error> {
        let search = Search {
            base: &self.search_base,
            scope: Scope::Subtree,
            filter: &filter::by_name(name),
            attributes: &["objectGUID", "sAMAccountName", "userPrincipalName"],
            limit: MOST_CANDIDATES,
            with_security: false,
        };
        let outcome = self.pool.search(&search).await?.outcome;
        match outcome.code {
            0 => {}
            // More candidates than were asked for: nobody in particular is meant.
            code if reply::is_too_many(code) => return Ok(None),
            code => return Err(reply::unexpected(code, &outcome.text)),
        }
        let candidates: Vec<_> = outcome
            .entries
            .iter()
            .filter_map(|entry| {
                let guid = entry.bytes("objectGUID").and_then(ObjectGuid::from_directory)?;
                Some((guid, entry.text("sAMAccountName")?, entry.text("userPrincipalName")))
            })
            .collect();
        let meant = the_one_meant(name, candidates, |(_, sam, upn)| (sam, upn.as_deref()));
        match meant {
            Some((guid, _, _)) => self.load(guid).await,
            None => Ok(None),
        }
    }

    async fn load(&self, guid: ObjectGuid) -> Result<Option<Account>, Error> {
        self.account_at(&by_guid(guid)).await
    }

    async fn list(&self) -> Result<Vec<ObjectGuid>, Error> {
        // The pages of a search hang together by their connection (RFC 2696): one of its own, so that no other waits.
        let mut connection = self.network.connect().await?;
        let broken = |fault| match fault {
            Fault::NotSent(why) | Fault::NoAnswer(why) | Fault::Silent(why) => Error::Unavailable(why),
        };
        let bound = self.pool.bind(&mut connection).await.map_err(broken)?;
        if bound.code != 0 {
            return Err(Error::Unavailable(reply::words(bound.code, &bound.text)));
        }
        let search = Search {
            base: &self.search_base,
            scope: Scope::Subtree,
            filter: filter::PEOPLE,
            attributes: &["objectGUID"],
            limit: 0,
            with_security: false,
        };
        let (mut people, mut cookie) = (Vec::new(), Vec::new());
        loop {
            let (page, next) =
                connection.search_page(&search, LISTED_AT_ONCE, cookie).await.map_err(broken)?;
            if page.code != 0 {
                return Err(reply::unexpected(page.code, &page.text));
            }
            let guids = page.entries.iter().filter_map(|entry| entry.bytes("objectGUID"));
            people.extend(guids.filter_map(ObjectGuid::from_directory));
            if next.is_empty() {
                return Ok(people);
            }
            cookie = next;
        }
    }

    async fn existing(&self, guids: &[ObjectGuid]) -> Result<Vec<ObjectGuid>, Error> {
        if guids.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = self.search_domain(&filter::by_guids(guids), 0).await?;
        // Whatever else it says, a size limit above all, leaves open what there is besides.
        if outcome.code != 0 {
            return Err(reply::unexpected(outcome.code, &outcome.text));
        }
        let found = outcome.entries.iter().map(|entry| entry.bytes("objectGUID"));
        found
            .map(|bytes| bytes.and_then(ObjectGuid::from_directory))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Unexpected("an object was found that does not show its objectGUID".into()))
    }

    async fn probe(&self) -> Result<(), Error> {
        let own = &self.service_account;
        let unseen =
            || Error::Unexpected(format!("the service account {own} does not find itself in the domain"));
        // Its DN, if it is no name.
        if own.contains('=') {
            return self.read(own, &["objectGUID"]).await?.map(drop).ok_or_else(unseen);
        }
        let domains = std::slice::from_ref(&self.domain);
        let (_, name) = LogonName::parse(own, "", domains).map_err(|_| unseen())?;
        let outcome = self.search_domain(&filter::by_name(&name), MOST_CANDIDATES).await?;
        if outcome.code != 0 {
            return Err(reply::unexpected(outcome.code, &outcome.text));
        }
        if outcome.entries.is_empty() { Err(unseen()) } else { Ok(()) }
    }

    async fn find_groups(&self, wanted: Groups<'_>) -> Result<Vec<Group>, Error> {
        if wanted == Groups::Named("") {
            return Ok(Vec::new());
        }
        let search = Search {
            base: &self.base,
            scope: Scope::Subtree,
            filter: &filter::groups(wanted),
            attributes: &["objectSid", "sAMAccountName", "description"],
            limit: i32::try_from(Group::MOST).unwrap_or(i32::MAX),
            with_security: false,
        };
        let outcome = self.pool.search(&search).await?.outcome;
        if outcome.code != 0 && !reply::is_too_many(outcome.code) {
            return Err(reply::unexpected(outcome.code, &outcome.text));
        }
        let mut groups: Vec<_> = outcome
            .entries
            .iter()
            .filter_map(|entry| {
                Some(Group {
                    sid: entry.bytes("objectSid").and_then(sid::text)?,
                    name: entry.text("sAMAccountName")?,
                    description: entry.text("description").unwrap_or_default(),
                    distinguished_name: entry.dn.clone(),
                })
            })
            .collect();
        groups.sort_by_cached_key(|group| group.name.to_lowercase());
        Ok(groups)
    }

    async fn verify_password(&self, account: &Account, password: &Password) -> Result<PasswordCheck, Error> {
        let mut tries_left = self.network.controllers().await?.len();
        loop {
            tries_left = tries_left.saturating_sub(1);
            let mut connection = self.network.connect().await?;
            let controller = Arc::clone(&connection.controller);
            match connection.bind(&account.distinguished_name, password).await {
                Ok(bound) if reply::is_unavailable(bound.code) && tries_left > 0 => {
                    controller.has_failed(Instant::now());
                }
                Ok(bound) => return reply::of_bind(bound.code, &bound.text),
                Err(Fault::NotSent(_)) if tries_left > 0 => {}
                // It may have been counted; another try elsewhere would count twice.
                Err(Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) => {
                    return Err(Error::Unavailable(format!("{controller}: {reason}")));
                }
            }
        }
    }

    async fn change_password(&self, account: &Account, old: &Password, new: &Password) -> Result<(), Error> {
        self.write(account, Write::Change { old, new }, Written::Change).await
    }

    async fn reset_password(
        &self,
        account: &Account,
        new: &Password,
        options: ResetOptions,
    ) -> Result<(), Error> {
        let reset = Write::Reset {
            new,
            // The flag wins over pwdLastSet = 0, and Windows' own tools forbid the combination.
            must_change: options.must_change_at_logon && !account.password_never_expires,
            enforce_history: options.enforce_history,
        };
        self.write(account, reset, Written::Reset).await
    }

    async fn unlock(&self, account: &Account) -> Result<(), Error> {
        self.write(account, Write::Unlock, Written::Unlock).await
    }

    async fn examine(&self) -> Vec<Finding> {
        self.examine_all().await
    }

    fn controllers(&self) -> Vec<(String, bool)> {
        self.network.standing()
    }

    async fn survey(&self) -> Result<Vec<Seen>, Error> {
        self.survey_all().await
    }

    async fn names(&self) -> Result<Domain, Error> {
        let odd = || Error::Unexpected("the directory does not tell its names".into());
        let contexts = ["defaultNamingContext", "configurationNamingContext"];
        let root = self.read("", &contexts).await?.ok_or_else(odd)?.entry;
        let [base, configuration] = contexts.map(|name| root.text(name));
        let (base, configuration) = (base.ok_or_else(odd)?, configuration.ok_or_else(odd)?);
        // Each domain of the forest has a crossRef (MS-ADTS 6.1.1.2.1.1).
        let search = Search {
            base: &format!("CN=Partitions,{configuration}"),
            scope: Scope::OneLevel,
            filter: &filter::partition(&base),
            attributes: &["nETBIOSName", "dnsRoot"],
            limit: 1,
            with_security: false,
        };
        let outcome = self.pool.search(&search).await?.outcome;
        let entry = outcome.entries.first().ok_or_else(odd)?;
        let netbios = entry.text("nETBIOSName").ok_or_else(odd)?;
        let name = entry.text("dnsRoot").ok_or_else(odd)?;
        Ok(Domain { name: DomainName::new(&name), netbios })
    }
}

/// A base DN that finds the object wherever it has been moved (MS-ADTS 3.1.1.3.1.2.4).
fn by_guid(guid: ObjectGuid) -> String {
    format!("<GUID={guid}>")
}

/// `corp.example` → `DC=corp,DC=example`.
fn naming_context(domain: &DomainName) -> String {
    let labels: Vec<_> = domain.as_str().split('.').map(|label| format!("DC={label}")).collect();
    labels.join(",")
}
