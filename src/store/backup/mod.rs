//! Backups: all that is to outlive a disk, as it was at one moment, sealed; and putting one back.
//!
//! A backup is read while the program serves and writes. sled has no snapshots, so the records are read page by page, and
//! what is written meanwhile is [followed](crate::store::engine::Follower) and put between the pages: carried out in their
//! order, all of them together are the state at the moment the last was handed over.
//!
//! What becomes of each kind of record when a backup is put back, where there is a present store that can be read:
//!
//! | records | in the backup | after putting it back |
//! |---|---|---|
//! | enrollments | yes | as in the backup; codes of apps that could have been used are not good again; recovery codes are left only as far as they are now; passkeys of now keep their counters. If the log of now continues that of the backup, of somebody who is enrolled now only the app and the passkeys that are the same now |
//! | counts (lockouts) | yes | of each count the higher one; those that are counted now only stay |
//! | caps of messages, reminders | yes | those of now stay; else as in the backup |
//! | messages yet to be sent | no | those of now stay |
//! | settings, saved views, reports | yes | as in the backup |
//! | second factors, the panel's own account, tokens of the API | yes | if the log of now continues that of the backup: only those that are the same now: what was taken back since is not good again, and what was given since is not either. Else as in the backup |
//! | certificates | yes | those of now stay; else as in the backup |
//! | audit log, how far it was sent on | yes | if the log of now continues that of the backup, that of now: no event is lost. Else as in the backup |
//! | flows, sessions, invitations, links, accounts that are missed | no | none |
//! | indexes | of the log | that of those who enrolled is made anew |

mod file;
mod files;
mod merge;
mod restore;

use std::{io, ops::Bound, path::Path, time::Duration};

use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};

use super::{
    Store, engine,
    engine::Batch,
    keyring::Keyring,
    migrations::PRESENT,
    record::{Kept as _, Space, UsersIndexed},
};
use crate::domain::{backup::Made, clock::Timestamp};
pub use file::{CHUNK, Head};
use file::{Entry, Sealer};
pub use files::{Whole, examine, file_name, prune};
pub use restore::{Comparison, Contents, Restore, compare};

/// So many records are read at a time; a record has 48 KiB at most.
const PAGE: usize = 128;

/// So long a disk may take for what it is given at once.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Why there is no backup, or it can't be put back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("it is no backup of Regain")]
    NoBackup,
    /// It is not as it was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It was made with another secret file.
    #[error(
        "the backup was made with another secret file; put the one that belongs to it in place of the present one first"
    )]
    Foreign,
    /// A newer program made it.
    #[error("the backup is a newer program's: {0}")]
    Newer(String),
    /// Whoever was to take it has gone.
    #[error("nobody takes the backup any more")]
    Gone,
    /// Something else was in the way.
    #[error("{0}")]
    Trouble(String),
}

impl From<engine::Error> for Fault {
    fn from(error: engine::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<super::Error> for Fault {
    fn from(error: super::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// Whether what is kept under that key belongs into a backup.
fn belongs(key: &[u8]) -> bool {
    let left_out = [
        Space::UserHeaders,
        Space::UserBodies,
        Space::UserMarks,
        Space::Flows,
        Space::Outbox,
        Space::AdminSessions,
        Space::Invitations,
        Space::Missed,
    ];
    let is_link = key == crate::domain::admin::SetupLink::key(&());
    !left_out.iter().any(|space| key.first() == Some(&space.letter()))
        && !is_link
        && key != UsersIndexed::key(&())
}

impl Store {
    /// Makes a backup, and hands it over piece by piece; `progress` is told how many records are in it by now, which
    /// is returned at the end. What is written meanwhile waits in memory, 16 MiB of it at most: if it is not taken as fast as it is written, it is given up.
    pub async fn back_up(
        &self,
        keys: &Keyring,
        now: Timestamp,
        out: mpsc::Sender<Vec<u8>>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<u64, Fault> {
        let mut sealer = Sealer::new(keys, &Head::new(keys, PRESENT, now)?)?;
        let follower = self.engine.follow();
        let mut entries = 0;
        // What the engine keeps for itself lies before all letters.
        let mut from = Bound::Included(vec![1]);
        loop {
            let rows = self.engine.scan(from, Bound::Unbounded, PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            self.settle_cache(&rows).await?;
            for (key, value) in rows {
                if belongs(&key) {
                    sealer.add(&Entry::Put(key, value))?;
                    entries += 1;
                }
            }
            entries += hand_on(&mut sealer, follower.take()?)?;
            send(&out, sealer.take()).await?;
            progress(entries);
        }
        // What was read may have been carried out but not handed over: it is, before this is answered.
        match self.engine.commit(Batch::new().expect_absent(vec![Space::Meta.letter()])).await {
            Ok(()) | Err(engine::Error::ReadOnly(_) | engine::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let written = follower.take()?;
        drop(follower);
        entries += hand_on(&mut sealer, written)?;
        send(&out, sealer.end()?).await?;
        Ok(entries)
    }

    /// Makes a backup in a folder: the file is there when it is whole. `progress` is told its name besides.
    pub async fn back_up_into(
        &self,
        keys: &Keyring,
        now: Timestamp,
        folder: &Path,
        progress: &(dyn Fn(&str, u64) + Sync),
    ) -> Result<Made, Fault> {
        let name = file_name(keys, now);
        let to = folder.join(&name);
        let trouble = |error: io::Error| Fault::Trouble(format!("{}: {error}", folder.display()));
        let (out, mut pieces) = mpsc::channel::<Vec<u8>>(4);
        let writes = spawn_blocking(move || -> io::Result<(Whole, u64)> {
            let (mut file, mut bytes) = (Whole::begin(&to)?, 0);
            while let Some(piece) = pieces.blocking_recv() {
                file.write(&piece)?;
                bytes += piece.len() as u64;
            }
            Ok((file, bytes))
        });
        let made = self.back_up(keys, now, out, &|records| progress(&name, records)).await;
        // What can't be written is not taken any more either: it is said first.
        let written = in_time(PATIENCE, writes).await?.map_err(|error| Fault::Trouble(error.to_string()))?;
        let ((file, bytes), records) = (written.map_err(trouble)?, made?);
        let ended = in_time(PATIENCE, spawn_blocking(move || file.end())).await?;
        ended.map_err(|error| Fault::Trouble(error.to_string()))?.map_err(trouble)?;
        Ok(Made { at: now, file: name, bytes, records })
    }

    /// sled looks at the size of its cache once in so many accesses, and counts a page that is gone through as one.
    async fn settle_cache(&self, rows: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Fault> {
        for (key, _) in rows {
            self.engine.find(key).await?;
        }
        Ok(())
    }
}

fn hand_on(sealer: &mut Sealer, written: engine::Written) -> Result<u64, Fault> {
    let mut entries = 0;
    for (key, value) in written.into_iter().filter(|(key, _)| belongs(key)) {
        sealer.add(&match value {
            Some(value) => Entry::Put(key, value),
            None => Entry::Remove(key),
        })?;
        entries += 1;
    }
    Ok(entries)
}

async fn send(out: &mpsc::Sender<Vec<u8>>, bytes: Vec<u8>) -> Result<(), Fault> {
    if bytes.is_empty() {
        return Ok(());
    }
    in_time(PATIENCE, out.send(bytes)).await?.map_err(|_| Fault::Gone)
}

/// Waits for a disk; a share whose server is away may never answer.
async fn in_time<T>(patience: Duration, waits: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(patience, waits).await.map_err(|_| {
        let seconds = patience.as_secs();
        Fault::Trouble(format!(
            "nothing could be written for {seconds} seconds: the disk or share does not answer"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_never_answers_is_not_waited_for_without_end() {
        let (out, _taken_by_nobody) = mpsc::channel(1);
        send(&out, vec![1]).await.unwrap();
        let fault = in_time(Duration::ZERO, out.send(vec![2])).await.unwrap_err().to_string();
        assert!(fault.ends_with("the disk or share does not answer"), "{fault}");
    }
}
