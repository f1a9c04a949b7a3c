//! Has the certificate ordered when it is due, and told of when it runs out.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, certificate};

/// How often it is looked whether something is due, or other settings are in force.
const LOOK: Duration = Duration::from_secs(2);

/// Works until `shutdown`. What goes wrong is logged once, not at each look.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let work = async {
        let mut told = None;
        loop {
            let fault = certificate::round(services).await.err().map(|error| error.to_string());
            if let Some(error) = fault.as_ref().filter(|_| fault != told) {
                tracing::error!(error, "the certificate can't be looked after");
            }
            told = fault;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = services.certificate.is_asked() => {}
            }
        }
    };
    shutdown.run_until_cancelled(work).await;
}
