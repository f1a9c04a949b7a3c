//! What mail server and HTTP endpoint have in common: names, connections, trusted certificates.
//!
//! Must not know what is said over a connection.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// A host as it stands in an address, without the brackets of an IPv6 one.
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// TCP to the first address of the host that takes it. Each has its share of the time.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, String> {
    let addresses: Vec<_> = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(format!("{host} has no address: {error}")),
        Err(_) => return Err(format!("the name servers don't answer for {host}")),
    };
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
    Err(if reasons.is_empty() { format!("{host} has no address") } else { reasons.join(", ") })
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
