//! What the console hands over to the program that serves: links to the panel, as small files in the data folder. Only
//! who may write there can leave one.

use std::{
    fs,
    io::{self, ErrorKind, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::admin::SetupLink,
    flows::{Error, Services, access, change_settings::Editor, sign_in},
};

/// How often it is looked whether the console has made a link.
const ROUND: Duration = Duration::from_secs(2);
/// So far a clock may differ from the one that a file was written by.
const CLOCK: Duration = Duration::from_secs(60);
/// The longest that is handed over: a hash, and a name on a line of its own.
const LONGEST: u64 = 400;

/// What a link is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// To make the panel's own account anew.
    ResetAccess,
    /// To set up a first second factor.
    Invitation,
}

impl Link {
    const ALL: [Self; 2] = [Self::ResetAccess, Self::Invitation];

    /// The name of its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::ResetAccess => "reset-access",
            Self::Invitation => "invitation",
        }
    }
}

/// Takes up links that were made on the console, each once.
pub async fn await_links(folder: &Path, services: &Services, shutdown: CancellationToken) {
    let mut last: [Option<String>; 2] = Default::default();
    loop {
        for (link, last) in Link::ALL.into_iter().zip(&mut last) {
            let fault = match take(folder, link.file()) {
                Ok(None) => None,
                Ok(Some(text)) => match adopt(services, link, &text).await {
                    Ok(()) => {
                        tracing::warn!(?link, "a link to the admin panel was made on the console");
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Err(error) => Some(error.to_string()),
            };
            // What stays as it is, is told once.
            if let Some(error) = fault.as_ref().filter(|_| fault != *last) {
                tracing::error!(error, ?link, "a link made on the console can't be taken up");
            }
            *last = fault;
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_none() {
            return;
        }
    }
}

async fn adopt(services: &Services, link: Link, text: &str) -> Result<(), Error> {
    match link {
        Link::ResetAccess => sign_in::adopt_link(services, text.trim()).await,
        Link::Invitation => {
            let (hash, name) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
            let name = Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
            let by = Editor { who: None, name: "console".into(), address: None, source: "console" };
            access::adopt_invitation(services, &by, hash, name).await
        }
    }
}

/// Takes what the console left under that name, if it left something. It is moved away before it is looked at, so that
/// a newer one is never taken for it: it is good once, whatever becomes of it.
fn take(folder: &Path, name: &str) -> io::Result<Option<String>> {
    let (file, taken) = (folder.join(name), folder.join(format!("{name}.taken")));
    match fs::symlink_metadata(&file) {
        Ok(found) if found.is_dir() => return Err(wrong("is a folder")),
        Ok(_) => fs::rename(&file, &taken)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let text = read(&taken);
    fs::remove_file(&taken)?;
    text.map(Some)
}

/// A small file of the folder's owner or root that nobody else can write, no older than the link in it may be.
fn read(file: &Path) -> io::Result<String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    let found = opened.metadata()?;
    let is_own = found.uid() == 0 || found.uid() == rustix::process::geteuid().as_raw();
    let is_timely = match found.modified()?.elapsed() {
        Ok(age) => age <= SetupLink::LIFE,
        Err(ahead) => ahead.duration() <= CLOCK,
    };
    if !found.is_file() || found.len() > LONGEST {
        return Err(wrong("is no file that regain admin has made"));
    }
    if !is_own || found.mode() & 0o022 != 0 {
        return Err(wrong("belongs to another user, or others can write it"));
    }
    if !is_timely {
        return Err(wrong("is too old, or from the future"));
    }
    let mut text = String::new();
    opened.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        time::SystemTime,
    };

    use super::*;

    const NAME: &str = "reset-access";

    fn left(folder: &Path, content: &[u8], mode: u32) {
        fs::write(folder.join(NAME), content).unwrap();
        fs::set_permissions(folder.join(NAME), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_the_console_left_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(take(folder.path(), NAME).unwrap().is_none());
        left(folder.path(), b"hash\nCORP\\mary", 0o600);
        assert_eq!(take(folder.path(), NAME).unwrap().unwrap(), "hash\nCORP\\mary");
        assert!(take(folder.path(), NAME).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_anybody_could_have_left_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            assert!(take(folder.path(), NAME).is_err());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        };
        left(folder.path(), b"hash", 0o666);
        refused();
        left(folder.path(), &[b'x'; 500], 0o600);
        refused();
        left(folder.path(), b"\xff\xfe", 0o600);
        refused();
        symlink("/etc/hostname", folder.path().join(NAME)).unwrap();
        refused();
        for shift in [7200, -3700] {
            left(folder.path(), b"hash", 0o600);
            let file = fs::OpenOptions::new().write(true).open(folder.path().join(NAME)).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            let moved = |seconds: i64| match u64::try_from(seconds) {
                Ok(ahead) => now + Duration::from_secs(ahead),
                Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
            };
            let moved: SystemTime = moved(shift);
            file.set_modified(moved).unwrap();
            refused();
        }
        // A folder is nobody's message; it stays, and is told.
        fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(take(folder.path(), NAME).unwrap_err().to_string().contains("folder"));
        assert!(folder.path().join(NAME).is_dir());
    }
}
