//! Works off the import of enrollments that an administrator has begun.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Services, import};

/// At the latest after so long a table that nobody has decided about is looked for.
const LOOK: Duration = Duration::from_secs(60);

/// Works until `shutdown`; the line under way then is finished first, and the rest is forgotten.
pub(super) async fn run(services: &Services, shutdown: &CancellationToken) {
    loop {
        import::work(services, shutdown).await;
        tokio::select! {
            () = services.import.has_work() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => {
                services.import.close();
                return import::keep(services).await;
            }
        }
    }
}
