//! Names to addresses, and the controllers that DNS announces (MS-ADTS 6.3.2.3, RFC 2782).
//!
//! Answers are kept as long as their TTL says, within a floor and a ceiling.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use rustls::pki_types::ServerName;

use crate::domain::account::DomainName;

/// A TTL shorter than this would mean a query for nearly every connection.
const FLOOR: Duration = Duration::from_secs(30);
/// A TTL longer than this would hide a new or retired controller for too long.
const CEILING: Duration = Duration::from_secs(10 * 60);
/// A name that isn't there may be there soon.
const NEGATIVE: Duration = Duration::from_secs(10);

/// The name servers, asked through a cache.
pub struct Resolver(Result<TokioResolver, String>);

impl Resolver {
    /// Asks `name_servers`, or those of the system if there are none. A system without any is only a fault once a
    /// name must be resolved.
    pub fn new(name_servers: &[SocketAddr], timeout: Duration) -> Self {
        let builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = name_servers.iter().map(|address| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                NameServerConfig::new(address.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.positive_min_ttl = Some(FLOOR);
            options.positive_max_ttl = Some(CEILING);
            options.negative_max_ttl = Some(NEGATIVE);
            options.timeout = timeout;
            options.attempts = 1;
            builder.build()
        });
        Self(resolver.map_err(|error| format!("no name server is configured: {error}")))
    }

    /// The addresses of a controller.
    pub async fn addresses(&self, name: &ServerName<'_>) -> Result<Vec<IpAddr>, String> {
        let name = match name {
            ServerName::IpAddress(address) => return Ok(vec![IpAddr::from(*address)]),
            ServerName::DnsName(name) => name.as_ref(),
            _ => return Err("neither a name nor an address".to_owned()),
        };
        let resolver = self.0.as_ref().map_err(Clone::clone)?;
        // A single label may want the search list; anything longer is meant as it stands.
        let absolute =
            if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.into() };
        let found = resolver.lookup_ip(absolute).await.map_err(|error| words(&error))?;
        let addresses: Vec<_> = found.iter().collect();
        if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
    }

    /// Name and LDAP port of the domain's controllers, the preferred first: by priority, then by weight. Weights
    /// are not rolled for as RFC 2782 has it: Regain is better off staying with one controller, because each counts
    /// wrong passwords by itself.
    pub async fn controllers(
        &self,
        domain: &DomainName,
        site: Option<&str>,
    ) -> Result<Vec<(String, u16)>, String> {
        let query = service_name(domain, site);
        let resolver = self.0.as_ref().map_err(Clone::clone)?;
        let unannounced = || {
            format!("no controllers are announced: DNS has no SRV records of {}", query.trim_end_matches('.'))
        };
        let found = resolver.srv_lookup(query.as_str()).await.map_err(|error| {
            if error.is_no_records_found() {
                unannounced()
            } else {
                format!("SRV {query}: {}", words(&error))
            }
        })?;
        let mut services: Vec<_> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(service) if !service.target.is_root() => {
                    let name = service.target.to_ascii().trim_end_matches('.').to_lowercase();
                    Some((service.priority, std::cmp::Reverse(service.weight), name, service.port))
                }
                _ => None,
            })
            .collect();
        services.sort();
        services.dedup();
        if services.is_empty() {
            return Err(unannounced());
        }
        Ok(services.into_iter().map(|(_, _, name, port)| (name, port)).collect())
    }
}

/// What went wrong, without the inner life of a query.
fn words(error: &NetError) -> String {
    match error {
        error if error.is_nx_domain() => "DNS has no such name".to_owned(),
        error if error.is_no_records_found() => "the name has no address".to_owned(),
        NetError::Timeout | NetError::NoConnections => "the name servers do not answer".to_owned(),
        error => error.to_string(),
    }
}

/// Under which name the controllers of a domain, or of one site of it, are announced.
pub fn service_name(domain: &DomainName, site: Option<&str>) -> String {
    let site = site.map(|site| format!("{site}._sites.")).unwrap_or_default();
    format!("_ldap._tcp.{site}dc._msdcs.{domain}.")
}
