//! `regain serve`

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, say};
use crate::{
    app::{self, App},
    config::Config,
    confine::{self, Confined},
    telemetry,
};

/// Gives up what is not needed; nothing if it is not to.
pub(super) fn confine(config: &Config) -> Result<Option<Confined>, Failure> {
    if !config.confinement.enabled {
        return Ok(None);
    }
    app::make_folder(&config.data).map_err(|e| Failure(e.to_string()))?;
    let runs_programs = config.settings.sms.program.is_some();
    Ok(Some(confine::confine(&config.writable_folders(), runs_programs)))
}

pub(super) async fn run(config: &Config, confined: Option<Confined>) -> Result<(), Failure> {
    telemetry::start(&config.log).map_err(Failure)?;
    match confined {
        Some(Confined { files, calls: Ok(()) }) => tracing::info!(files, "confined to what it needs"),
        Some(Confined { files, calls: Err(error) }) => {
            tracing::warn!(files, error, "calls of the kernel could not be confined (seccomp)");
        }
        None => tracing::warn!("not confined: confinement.enabled is false"),
    }
    let app = App::open(config, None).await.map_err(|e| Failure(e.to_string()))?;
    let addresses: Vec<String> = app.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        base_url = config.base_url.as_ref().map(crate::config::BaseUrl::origin),
        addresses = addresses.join(" "),
        api = app.api_addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        handed_to_proxies =
            config.plain_places().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        "serving"
    );
    if let Some(link) = app.setup_link().await.map_err(|e| Failure(e.to_string()))? {
        invite(&link);
    }
    Box::pin(app.serve(until_signalled()?)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Not to the log: whoever reads it there could use it.
pub(super) fn invite(link: &str) {
    say(&format!(
        "Nobody can sign in to the admin panel yet. Make the first account with this link; it is good once, for an hour:\n\n  {link}\n"
    ));
}

/// Is cancelled at SIGTERM or SIGINT. At a second one the program ends at once.
pub(super) fn until_signalled() -> Result<CancellationToken, Failure> {
    let failed = |e: std::io::Error| Failure(format!("signals: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                std::process::exit(130);
            }
            tracing::info!("stopping: what is under way is finished first");
            cancelled.cancel();
        }
    });
    Ok(token)
}
