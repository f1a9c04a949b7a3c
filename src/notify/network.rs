//! What mail server and HTTP endpoint have in common: names, connections, trusted certificates.
//!
//! Must not know what is said over a connection.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::settings::form;

/// A host as it stands in an address, without the brackets of an IPv6 one.
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Whether no message goes to that address, whoever set the host: to none that stands for many or for whatever is near,
/// such as that at which clouds tell a machine its secrets; and to this machine only if the host is called so.
fn is_off_limits(host: &str, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_near = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_near
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_loopback() && !form::is_loopback(host)
}

/// The addresses of a host that messages are sent to.
pub async fn addresses(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<_> = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(format!("{host} has no address: {error}")),
        Err(_) => return Err(format!("the name servers don't answer for {host}")),
    };
    let (off_limits, open): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| is_off_limits(host, address.ip()));
    match off_limits.first() {
        Some(address) if open.is_empty() => {
            Err(format!("{host} leads to {}, where no message is sent", address.ip()))
        }
        None if open.is_empty() => Err(format!("{host} has no address")),
        _ => Ok(open),
    }
}

/// TCP to the first address of the host that takes it. Each has its share of the time. What was looked at is what is
/// connected to: the name is not looked up again.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, String> {
    let addresses = addresses(host, port, limit).await?;
    let share = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut reasons = Vec::new();
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An error would only make it slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => reasons.push(format!("{address}: {error}")),
            Err(_) => reasons.push(format!("{address}: no answer in time")),
        }
    }
    Err(reasons.join(", "))
}

/// The certificates in a PEM file.
pub fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |why: String| format!("the CA file {}: {why}", file.display());
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))?.collect();
    let found = found.map_err(|error| fault(error.to_string()))?;
    if found.is_empty() {
        return Err(fault("no certificate in it (PEM, `-----BEGIN CERTIFICATE-----`)".into()));
    }
    Ok(found)
}

/// TLS over a connection to that host, which has to show who it is: see [`client_config`].
pub async fn secure(
    host: String,
    stream: TcpStream,
    ca_file: Option<PathBuf>,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let tls = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref()))
        .await
        .map_err(|error| error.to_string())??;
    TlsConnector::from(tls).connect(name, stream).await.map_err(|error| error.to_string())
}

/// A client's side of TLS that trusts the authorities in the file, else those of the system. Blocks on the disk.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        for certificate in authorities(file)? {
            let fault = |error| format!("the CA file {}: {error}", file.display());
            roots.add(certificate).map_err(fault)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_the_neighbourhood_or_to_this_machine_under_another_name() {
        for (host, address) in [
            ("mx.example", "169.254.169.254"),
            ("169.254.169.254", "169.254.169.254"),
            ("::ffff:169.254.169.254", "::ffff:169.254.169.254"),
            ("fe80::1", "fe80::1"),
            ("0.0.0.0", "0.0.0.0"),
            ("::", "::"),
            ("224.0.0.1", "224.0.0.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("mx.example", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ] {
            assert!(is_off_limits(host, address.parse().unwrap()), "{host} {address}");
        }
        for (host, address) in [
            ("mx.example", "192.0.2.1"),
            ("mx.example", "10.0.0.25"),
            ("mx.example", "fd00::25"),
            ("localhost", "::1"),
            ("LOCALHOST", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert!(!is_off_limits(host, address.parse().unwrap()), "{host} {address}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_refused_where_nothing_is_sent() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let limit = Duration::from_secs(5);
        assert!(connect("127.0.0.1", port, limit).await.is_ok());
        let told = connect("0.0.0.0", port, limit).await.unwrap_err();
        assert_eq!(told, "0.0.0.0 leads to 0.0.0.0, where no message is sent");
    }
}
