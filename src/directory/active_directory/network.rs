//! A connection to whichever controller answers, the preferred one first. Nobody is bound on it yet.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    super::Error,
    connection::{Connection, Dialer},
    controllers::{Controller, Controllers},
};

/// How long a controller that failed before may take to show that it is back, while another one works.
const PATIENCE_WITH_RETURNING: Duration = Duration::from_secs(1);

/// The controllers and the way to them.
pub struct Network {
    /// How connections are made.
    pub dialer: Dialer,
    controllers: Controllers,
    /// When all controllers were last asked in vain while all were being left alone, and what came of it.
    scouted: Mutex<Option<(Instant, String)>>,
}

impl Network {
    /// Controllers and the way to them.
    pub fn new(dialer: Dialer, controllers: Controllers) -> Self {
        Self { dialer, controllers, scouted: Mutex::default() }
    }

    /// The controllers, the preferred first.
    pub async fn controllers(&self) -> Result<Vec<Arc<Controller>>, Error> {
        let in_order = timeout(self.dialer.connect_timeout, self.controllers.in_order(&self.dialer.resolver));
        match in_order.await {
            Ok(controllers) => controllers.map_err(Error::Unavailable),
            Err(_) => Err(Error::Unavailable("the name servers do not answer".to_owned())),
        }
    }

    /// The controllers that are known, and whether each answered when it was last asked.
    pub fn standing(&self) -> Vec<(String, bool)> {
        let known = self.controllers.all().into_iter();
        known.map(|controller| (controller.to_string(), !controller.is_failing())).collect()
    }

    /// A connection to the first controller that answers.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let controllers = self.controllers().await?;
        match self.first_of(&controllers, false).await {
            Ok(connection) => Ok(connection),
            Err(reasons) if !reasons.is_empty() => Err(Error::Unavailable(reasons)),
            Err(_) => self.scout(&controllers).await,
        }
    }

    /// A connection to a controller more preferred than `than`, if one that failed is back.
    pub async fn better(&self, than: &Arc<Controller>) -> Option<Connection> {
        let controllers = self.controllers().await.ok()?;
        let now = Instant::now();
        let preferred = controllers
            .iter()
            .take_while(|controller| !Arc::ptr_eq(controller, than))
            .find(|controller| !controller.is_resting(now))?;
        if let Ok(Ok(connection)) = timeout(PATIENCE_WITH_RETURNING, self.dialer.dial(preferred)).await {
            preferred.has_answered();
            return Some(connection);
        }
        preferred.has_failed(Instant::now());
        None
    }

    /// All controllers are being left alone. One caller at a time asks them anyway, so that a controller is back as
    /// soon as it answers; those who come meanwhile share what came of it instead of waiting as long each.
    async fn scout(&self, controllers: &[Arc<Controller>]) -> Result<Connection, Error> {
        let came = Instant::now();
        let mut scouted = self.scouted.lock().await;
        if let Some((when, reasons)) = &*scouted
            && *when >= came
        {
            return Err(Error::Unavailable(reasons.clone()));
        }
        let answer = match self.first_of(controllers, false).await {
            Err(reasons) if reasons.is_empty() => self.first_of(controllers, true).await,
            answer => answer,
        };
        answer.map_err(|reasons| {
            *scouted = Some((Instant::now(), reasons.clone()));
            Error::Unavailable(reasons)
        })
    }

    /// The first that answers, of those that aren't left alone or of all. The reasons are empty if none was asked.
    async fn first_of(
        &self,
        controllers: &[Arc<Controller>],
        even_resting: bool,
    ) -> Result<Connection, String> {
        let mut reasons = Vec::new();
        for controller in controllers {
            if !even_resting && controller.is_resting(Instant::now()) {
                continue;
            }
            match self.dialer.dial(controller).await {
                Ok(connection) => {
                    controller.has_answered();
                    return Ok(connection);
                }
                Err(fault) => {
                    controller.has_failed(Instant::now());
                    reasons.push(format!("{controller}: {fault}"));
                }
            }
        }
        Err(reasons.join("; "))
    }
}
