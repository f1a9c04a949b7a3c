//! Verifies the audit log when somebody asks for it.

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, verify};

/// Works until `shutdown`.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    let work = async {
        loop {
            verify::work(services).await;
            services.verification.is_asked().await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}
