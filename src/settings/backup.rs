//! The Backup tab: where backups are made by themselves, when, and how many of them are kept.

use std::path::PathBuf;

use super::{form, table::tab};

tab! {
    /// The Backup tab.
    pub struct Backup {
        /// The folder that a backup is made in each day: a whole path, best on another disk or a share. It has to exist and to be
        /// writable for the user Regain runs as; one that is missing, such as a share that is not mounted, is not made. One
        /// outside the data folder has to be named in the configuration, here or in confinement.writable: Regain can write
        /// nowhere else. The backups are sealed: keep a copy of the secret file elsewhere, without it they can't be put back.
        /// Not set: none are made.
        folder: Option<PathBuf> = None, as form::absolute_path;
        /// The hour of the day (UTC) from which on it is made.
        hour: u32 = 2, in 0..=23;
        /// So many backups are kept in the folder; older ones are removed. Other files there are left alone, and so are the
        /// backups of a Regain with another secret file.
        keep: u32 = 14, in 1..=1000;
    }
}
