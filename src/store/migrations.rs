//! In which form the records are, as a whole: a number in the store itself. An older store is brought to the present form
//! step by step; a newer one is refused, because this program would misread it or lose what it doesn't know.
//!
//! Each step can be broken off and be done again. The number is raised when a step is done.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{
    Error, Store,
    engine::Engine,
    keyring::Keyring,
    record::{self, Kept, Space},
};

/// The form of a store that has no number.
const FIRST: u32 = 1;

/// What leads from one form to the next, in order: the first from 1 to 2.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The events of the audit log are sealed.
    SealEvents,
    /// There are events of backups.
    EventsOfBackups,
}

const STEPS: [Step; 2] = [Step::SealEvents, Step::EventsOfBackups];

/// The present form. A step more raises it.
#[expect(clippy::cast_possible_truncation, reason = "there are a few")]
pub(super) const PRESENT: u32 = FIRST + STEPS.len() as u32;

/// The number, and the program that wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Format {
    number: u32,
    by: String,
}

impl Format {
    fn of(number: u32) -> Self {
        Self { number, by: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

impl Kept for Format {
    const SPACE: Space = Space::Meta;
    type Key = ();
    fn key((): &()) -> Vec<u8> {
        [&[Self::SPACE.letter()], &b"format"[..]].concat()
    }
}

/// An older form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Older(u32);

/// What a copy of an older store is to be called that is made before it is changed.
pub fn copy_name() -> String {
    format!("backup-before-format-{PRESENT}")
}

/// Refuses what a newer program has written, before anything else of it is read.
pub(super) async fn refuse_newer(engine: &dyn Engine) -> Result<(), Error> {
    let Some(raw) = engine.find(&Format::key(&())).await? else { return Ok(()) };
    let format: Format = record::decode(&raw)?;
    if format.number <= PRESENT {
        return Ok(());
    }
    Err(Error::Newer(format!(
        "the data folder is in format {}, written by Regain {}; this is Regain {}, which knows formats up to {PRESENT} \
         only. Start the newer program, or restore a backup from before it was first started",
        format.number,
        format.by,
        env!("CARGO_PKG_VERSION")
    )))
}

impl Store {
    /// The older form it is in, if it is. A new store is in the present form from its first moment.
    pub async fn older(&self) -> Result<Option<Older>, Error> {
        if let Some(format) = self.find::<Format>(&()).await? {
            return Ok((format.number < PRESENT).then_some(Older(format.number)));
        }
        // What the engine keeps for itself lies before all letters.
        let any = self.engine.scan(Bound::Included(vec![1]), Bound::Unbounded, 1).await?;
        if !any.is_empty() {
            return Ok(Some(Older(FIRST)));
        }
        self.batch().put(&(), &Format::of(PRESENT)).commit().await?;
        Ok(None)
    }

    /// Brings it from that form to the present one. `was_sealed` says that the audit log was sealed before, whatever the
    /// store says: an event without a seal is a forged one then.
    pub async fn migrate(&self, from: Older, keys: &Keyring, was_sealed: bool) -> Result<(), Error> {
        for (number, step) in (FIRST + 1..).zip(STEPS).filter(|(number, _)| *number > from.0) {
            tracing::info!(number, ?step, "the store is brought to another format");
            match step {
                Step::SealEvents if was_sealed || !self.log.now().is_empty() => {}
                Step::SealEvents => self.seal_older(&keys.audit).await?,
                // Nothing is written otherwise; older programs don't know their words.
                Step::EventsOfBackups => {}
            }
            self.batch().put(&(), &Format::of(number)).commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        domain::secret::Key,
        store::engine::{Options, SledEngine},
    };

    #[test]
    fn an_event_that_older_programs_do_not_know_raises_the_form() {
        // They would take its word in the audit log for damage, instead of saying that the store is a newer one.
        assert_eq!((crate::domain::audit::Action::ALL.len(), PRESENT), (20, 3));
    }

    fn engine(folder: &tempfile::TempDir) -> Arc<dyn Engine> {
        let options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };
        Arc::new(SledEngine::open(folder.path(), &options).unwrap())
    }

    #[tokio::test]
    async fn a_new_store_is_in_the_present_form_and_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(engine(&folder)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(store.older().await.unwrap(), None);
        }
        assert_eq!(*store.find::<Format>(&()).await.unwrap().unwrap(), Format::of(PRESENT));
    }

    #[tokio::test]
    async fn an_older_one_is_migrated_once_even_if_that_is_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(engine(&folder)).await.unwrap();
        store.batch().put(&(), &crate::store::SettingsVersion(3)).commit().await.unwrap();
        let keys = Keyring::from_secret(&Key::new([7; 32]));
        let older = store.older().await.unwrap().unwrap();
        assert_eq!((older, store.older().await.unwrap()), (Older(FIRST), Some(older)));
        for _ in 0..2 {
            store.migrate(older, &keys, false).await.unwrap();
            assert_eq!(store.older().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_newer_one_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder);
        let store = Store::open(Arc::clone(&engine)).await.unwrap();
        let newer = Format { number: PRESENT + 1, by: "9.8.7".into() };
        store.batch().put(&(), &newer).commit().await.unwrap();
        let Err(error) = Store::open(engine).await else { panic!("it was opened") };
        let text = error.to_string();
        assert!(text.contains("by Regain 9.8.7") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
}
