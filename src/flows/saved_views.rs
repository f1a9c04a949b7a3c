//! Keeping views of the console's tables under a name. What is shared is everybody's to see and in the audit log.

use super::{Error, Services, change_settings::Editor};
use crate::{
    domain::{
        admin::AdminId,
        audit::{Action, Event, Outcome},
        saved_view::{SavedView, Shelf, ShelfKey},
    },
    store::{self, Found},
};

/// The views of a table: one's own, and those that are shared.
pub async fn list(
    services: &Services,
    table: &'static str,
    who: &AdminId,
) -> Result<(Vec<SavedView>, Vec<SavedView>), Error> {
    let own = services.store.find::<Shelf>(&ShelfKey { table, owner: Some(who.clone()) }).await?;
    let shared = services.store.find::<Shelf>(&ShelfKey { table, owner: None }).await?;
    let views = |shelf: Option<Found<Shelf>>| shelf.map(|shelf| shelf.into_inner().views).unwrap_or_default();
    Ok((views(own), views(shared)))
}

/// Keeps a view; false if there is no room.
pub async fn keep(services: &Services, by: &Editor, key: &ShelfKey, view: SavedView) -> Result<bool, Error> {
    change(services, by, key, ("view_shared", &view.name.clone()), |shelf| shelf.put(view.clone())).await
}

/// Takes the view of that name away; false if there is none.
pub async fn drop(services: &Services, by: &Editor, key: &ShelfKey, name: &str) -> Result<bool, Error> {
    change(services, by, key, ("view_dropped", name), |shelf| shelf.take(name).is_some()).await
}

async fn change(
    services: &Services,
    by: &Editor,
    key: &ShelfKey,
    (what, name): (&str, &str),
    change: impl Fn(&mut Shelf) -> bool,
) -> Result<bool, Error> {
    loop {
        let found = services.store.find::<Shelf>(key).await?;
        let mut shelf = found.clone().map(Found::into_inner).unwrap_or_default();
        if !change(&mut shelf) {
            return Ok(false);
        }
        let mut batch = services.store.batch().write(key, found.as_ref(), &shelf);
        if key.owner.is_none() {
            batch = batch.event(&event(services, by, format!("{what}: {}: {name}", key.table)));
        }
        match batch.commit().await {
            Ok(()) => return Ok(true),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn event(services: &Services, by: &Editor, detail: String) -> Event {
    Event {
        at: services.now(),
        outcome: Outcome::Success,
        source: by.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Setting,
        detail,
        source_ip: by.address,
        source_user: Some(by.name.clone()),
        account: None,
        reference: None,
    }
}
