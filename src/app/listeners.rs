//! Where the program listens.

use std::{net::SocketAddr, sync::Arc};

use super::Error;
use crate::{
    config::{Config, ProxyHeader},
    domain::network::Place,
    tls::{
        self, Certificates,
        acceptor::{Door, Limits, Listener, Neighbours},
    },
    web::client_ip::{Believed, Told},
};

/// All that is listened on.
pub(super) struct Listeners {
    /// For the pages, over HTTPS.
    pub secure: Listener,
    /// For the API alone, and the names it is called by.
    pub api: Option<(Listener, Vec<String>)>,
    /// For plain HTTP, which is sent on to HTTPS.
    pub redirected: Option<Listener>,
    /// For proxies, which are handed the pages in plain HTTP.
    pub handed: Option<Listener>,
    /// For those who watch.
    pub watched: Option<Listener>,
}

impl Listeners {
    /// Binds all of it.
    pub fn open(config: &Config, certificates: &Arc<Certificates>, limits: &Limits) -> Result<Self, Error> {
        let server_config = tls::server_config(Arc::clone(certificates)).map_err(|e| Error(e.to_string()))?;
        let secure = Listener::open(
            &doors(config, &config.listen_addresses()),
            Some(server_config),
            limits.clone(),
            neighbours(config, false),
        )
        .map_err(|e| Error::of("listen")(&e))?;
        let redirected = doors(config, &config.redirect_addresses());
        let watched = doors(config, &config.metrics_addresses());
        let handed: Vec<Door> = config.plain_places().into_iter().map(|place| door(config, place)).collect();
        Ok(Self {
            secure,
            api: listen_apart(config, Arc::clone(certificates), limits.clone())?,
            redirected: listen_plainly("listen_http", &redirected, limits, neighbours(config, false))?,
            watched: listen_plainly("listen_metrics", &watched, limits, Neighbours::default())?,
            handed: listen_plainly("listen_plain", &handed, limits, neighbours(config, true))?,
        })
    }
}

/// A listener without TLS, if there is to be one.
fn listen_plainly(
    key: &str,
    doors: &[Door],
    limits: &Limits,
    neighbours: Neighbours,
) -> Result<Option<Listener>, Error> {
    if doors.is_empty() {
        return Ok(None);
    }
    Listener::open(doors, None, limits.clone(), neighbours).map(Some).map_err(|e| Error::of(key)(&e))
}

fn door(config: &Config, place: Place) -> Door {
    Door { proxy_protocol: config.speaks_proxy_protocol(&place), place }
}

fn doors(config: &Config, addresses: &[SocketAddr]) -> Vec<Door> {
    addresses.iter().map(|address| door(config, Place::Address(*address))).collect()
}

fn neighbours(config: &Config, only: bool) -> Neighbours {
    Neighbours { trusted: config.trusted_networks(), only }
}

/// What is believed of proxies.
pub(super) fn believed(config: &Config) -> Believed {
    let header = match config.proxies.header {
        ProxyHeader::None => None,
        ProxyHeader::XForwardedFor => Some(Told::XForwardedFor),
        ProxyHeader::Forwarded => Some(Told::Forwarded),
    };
    Believed::of(config.trusted_networks(), header)
}

/// The listener of the API alone, if it is to have one, and the names it is called by.
fn listen_apart(
    config: &Config,
    certificates: Arc<Certificates>,
    limits: Limits,
) -> Result<Option<(Listener, Vec<String>)>, Error> {
    let addresses = config.api_addresses();
    if addresses.is_empty() {
        return Ok(None);
    }
    let server_config = tls::server_config(certificates).map_err(|e| Error(e.to_string()))?;
    let doors = doors(config, &addresses);
    let listener = Listener::open(&doors, Some(server_config), limits, neighbours(config, false));
    Ok(Some((listener.map_err(|e| Error::of("listen_api")(&e))?, config.api_hosts())))
}
