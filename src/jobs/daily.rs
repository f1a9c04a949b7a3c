//! What is done once a day, or when an administrator asks for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flows::{Error, Services, backup, coverage, purge, rounds::Desk};

/// How often it is looked whether a day has gone by since the last round, in this run of the program or one before.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// The first look waits until those who come at the start are served.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// What it is.
#[derive(Clone, Copy)]
pub(super) enum Daily {
    /// Looking for enrollments of accounts that are gone.
    Purge,
    /// Counting who has enrolled.
    Coverage,
    /// Making a backup.
    Backup,
}

impl Daily {
    const fn what(self) -> &'static str {
        match self {
            Self::Purge => "looking for accounts that are gone",
            Self::Coverage => "counting who has enrolled",
            Self::Backup => "making a backup",
        }
    }

    const fn desk(self, services: &Services) -> &Desk {
        match self {
            Self::Purge => &services.purge,
            Self::Coverage => &services.coverage,
            Self::Backup => &services.backup.daily,
        }
    }

    async fn is_due(self, services: &Services) -> Result<bool, Error> {
        match self {
            Self::Purge => {
                Ok(purge::last(services).await?.is_none_or(|last| last.is_old(services.clock.now())))
            }
            Self::Coverage => coverage::is_due(services).await,
            Self::Backup => backup::is_due(services).await,
        }
    }

    async fn round(self, services: &Services, shutdown: &CancellationToken) -> Result<(), Error> {
        match self {
            Self::Purge => purge::round(services, shutdown).await.map(|_| ()),
            Self::Coverage => coverage::round(services, shutdown).await,
            Self::Backup => backup::round(services, shutdown).await,
        }
    }
}

/// Does it until `shutdown`.
pub(super) async fn run(daily: Daily, services: &Services, shutdown: &CancellationToken) {
    let desk = daily.desk(services);
    let mut wait = FIRST;
    loop {
        let is_asked = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = desk.is_asked() => true,
            () = tokio::time::sleep(wait) => false,
        };
        // The wait begins anew after each round.
        wait = LOOK;
        let result = match daily.is_due(services).await {
            Ok(false) if !is_asked => Ok(()),
            Err(error) if !is_asked => Err(error),
            _ => daily.round(services, shutdown).await,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "{} was broken off", daily.what());
        }
    }
}
