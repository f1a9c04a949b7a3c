//! The controllers of the domain, in the order they are to be asked, and which of them is to be left alone for a
//! while because it did not answer.
//!
//! The order stays the same as long as all answer: each controller counts wrong passwords by itself.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::{SettingsError, Transport, resolve::Resolver};
use crate::domain::account::DomainName;

/// How long a controller is left alone after its first failure; doubled with each further one.
const FIRST_REST: Duration = Duration::from_secs(2);
/// The longest it is left alone, and so the longest until it is found to be back.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Where the controllers are known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Listed by the operator, the preferred first: `dc1.corp.example`, `dc1.corp.example:1636`, `[::1]:636`.
    Listed(Vec<String>),
    /// Announced in DNS.
    Announced {
        /// The Active Directory site whose controllers are wanted; any if `None`.
        site: Option<String>,
    },
}

/// One domain controller.
pub struct Controller {
    /// What its certificate must say.
    pub name: ServerName<'static>,
    /// Its LDAP port.
    pub port: u16,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures_in_a_row: u32,
    failures_ever: u64,
    resting_until: Option<Instant>,
}

impl Controller {
    fn new(name: ServerName<'static>, port: u16) -> Self {
        Self { name, port, health: Mutex::default() }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is left alone at the moment.
    pub fn is_resting(&self, now: Instant) -> bool {
        self.health().resting_until.is_some_and(|until| now < until)
    }

    /// Whether it did not answer when it was last asked.
    pub fn is_failing(&self) -> bool {
        self.health().failures_in_a_row > 0
    }

    /// How often it has failed: a connection opened before the last failure is not to be trusted.
    pub fn failures_ever(&self) -> u64 {
        self.health().failures_ever
    }

    /// It did not answer.
    pub fn has_failed(&self, now: Instant) {
        let mut health = self.health();
        health.failures_ever += 1;
        // Several connections fail together; that is one failure.
        if health.resting_until.is_some_and(|until| now < until) {
            return;
        }
        let rest = FIRST_REST.saturating_mul(1 << health.failures_in_a_row.min(10)).min(LONGEST_REST);
        health.failures_in_a_row += 1;
        health.resting_until = Some(now + rest);
        tracing::warn!(controller = %self, rest_s = rest.as_secs(), "the domain controller does not answer");
    }

    /// It answered.
    pub fn has_answered(&self) {
        let mut health = self.health();
        if health.failures_in_a_row > 0 {
            tracing::info!(controller = %self, "the domain controller answers again");
            health.failures_in_a_row = 0;
            health.resting_until = None;
        }
    }
}

impl fmt::Display for Controller {
    /// `dc1.corp.example:636`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            ServerName::IpAddress(address) => SocketAddr::new((*address).into(), self.port).fmt(f),
            name => write!(f, "{}:{}", name.to_str(), self.port),
        }
    }
}

/// All controllers of the domain.
pub struct Controllers {
    domain: DomainName,
    source: Source,
    transport: Transport,
    /// In the order they are preferred; for announced ones as of the last answer.
    known: Mutex<Vec<Arc<Controller>>>,
}

impl Controllers {
    /// Understands the list; DNS is not asked yet.
    pub fn new(domain: DomainName, source: Source, transport: Transport) -> Result<Self, SettingsError> {
        let known = match &source {
            Source::Listed(list) if list.is_empty() => {
                return Err(SettingsError("the list of domain controllers is empty".to_owned()));
            }
            Source::Listed(list) => {
                let parsed = list.iter().map(|entry| parse(entry, transport));
                parsed.collect::<Result<_, _>>()?
            }
            Source::Announced { .. } => Vec::new(),
        };
        Ok(Self { domain, source, transport, known: Mutex::new(known) })
    }

    /// The controllers, the preferred first.
    pub async fn in_order(&self, resolver: &Resolver) -> Result<Vec<Arc<Controller>>, String> {
        if let Source::Announced { site } = &self.source {
            match resolver.controllers(&self.domain, site.as_deref()).await {
                Ok(announced) => self.adopt(&announced),
                // Better the controllers of a while ago than none.
                Err(reason) if !self.known().is_empty() => {
                    tracing::warn!(%reason, "the controllers can't be looked up; keeping those known");
                }
                Err(reason) => return Err(reason),
            }
        }
        Ok(self.known().clone())
    }

    /// Those that are known, without asking anybody.
    pub fn all(&self) -> Vec<Arc<Controller>> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Controller>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what DNS announces; what is known of a controller's health stays.
    fn adopt(&self, announced: &[(String, u16)]) {
        let mut known = self.known();
        let adopted: Vec<_> = announced
            .iter()
            .filter_map(|(name, port)| {
                // The record tells the port of plain LDAP, where StartTLS is spoken; LDAPS has no record.
                let port = if self.transport == Transport::Ldaps { Transport::Ldaps.port() } else { *port };
                let name = ServerName::try_from(name.clone()).ok()?;
                let before = known.iter().find(|known| known.name == name && known.port == port);
                Some(before.map_or_else(|| Arc::new(Controller::new(name, port)), Arc::clone))
            })
            .collect();
        *known = adopted;
    }
}

/// `host`, `host:port`, an IPv4 or IPv6 address, `[IPv6]:port`.
fn parse(entry: &str, transport: Transport) -> Result<Arc<Controller>, SettingsError> {
    let fault = || SettingsError(format!("{entry:?} is not a domain controller's name (host or host:port)"));
    let text = entry.trim();
    let (host, port) = if text.parse::<std::net::IpAddr>().is_ok() {
        (text, None)
    } else if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(fault)?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(fault)?) })
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map_or(Ok(transport.port()), |port| port.parse().map_err(|_| fault()))?;
    let name = ServerName::try_from(host.trim_end_matches('.').to_owned()).map_err(|_| fault())?;
    Ok(Arc::new(Controller::new(name, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_listed_by_name_or_address_with_or_without_a_port() {
        for (entry, shown) in [
            ("dc1.corp.example", "dc1.corp.example:636"),
            (" DC1.corp.example. ", "DC1.corp.example:636"),
            ("dc1.corp.example:1636", "dc1.corp.example:1636"),
            ("192.0.2.1", "192.0.2.1:636"),
            ("192.0.2.1:99", "192.0.2.1:99"),
            ("2001:db8::1", "[2001:db8::1]:636"),
            ("[2001:db8::1]", "[2001:db8::1]:636"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"),
        ] {
            assert_eq!(parse(entry, Transport::Ldaps).unwrap().to_string(), shown);
        }
        for entry in ["", "dc1:", "dc1:x", "dc1:70000", "[::1", "[::1]9", "ldaps://dc1", "a b"] {
            assert!(parse(entry, Transport::Ldaps).is_err(), "{entry}");
        }
    }

    #[test]
    fn a_failing_controller_is_left_alone_ever_longer_and_taken_back_at_once() {
        let controller = parse("dc1", Transport::StartTls).unwrap();
        let mut now = Instant::now();
        for rest in [2, 4, 8, 16, 30, 30] {
            controller.has_failed(now);
            now += Duration::from_secs(rest);
            assert!(controller.is_resting(now - Duration::from_millis(1)));
            assert!(!controller.is_resting(now));
        }
        controller.has_failed(now);
        controller.has_answered();
        assert!(!controller.is_resting(now));
        assert_eq!(controller.failures_ever(), 7);
    }

    #[test]
    fn what_dns_announces_keeps_its_health_and_its_port_only_for_starttls() {
        let announced = |transport| {
            let source = Source::Announced { site: None };
            Controllers::new(DomainName::new("corp.example"), source, transport).unwrap()
        };
        let controllers = announced(Transport::Ldaps);
        controllers.adopt(&[("dc1.corp.example".into(), 389)]);
        controllers.known()[0].has_failed(Instant::now());
        controllers.adopt(&[("dc2.corp.example".into(), 389), ("dc1.corp.example".into(), 389)]);
        let known: Vec<_> = controllers.known().iter().map(|c| (c.to_string(), c.failures_ever())).collect();
        assert_eq!(known, [("dc2.corp.example:636".into(), 0), ("dc1.corp.example:636".into(), 1)]);
        let controllers = announced(Transport::StartTls);
        controllers.adopt(&[("dc1.corp.example".into(), 1389)]);
        assert_eq!(controllers.known()[0].to_string(), "dc1.corp.example:1389");
    }
}
