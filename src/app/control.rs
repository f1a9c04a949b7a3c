//! The socket in the data folder by which the console asks the program that serves: who may write there may ask. What can
//! be asked is a closed list; an answer comes in frames, each with a letter and its length (4 bytes) before it.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    flows::{Services, backup},
    store::backup::Fault,
};

const SOCKET: &str = "control.sock";
/// The longest path of a socket, in bytes (unix(7): sun_path, without the NUL).
const LONGEST_PATH: usize = 107;
/// So many may ask at a time.
const MOST: usize = 4;
/// So long whoever asks may take to say what, and to take a piece of the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest piece of an answer, in bytes.
const LONGEST: usize = 64 << 20;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Request {
    /// A backup.
    Backup,
}

impl Request {
    /// As long as all of them are.
    const LENGTH: usize = 16;

    const fn bytes(self) -> &'static [u8; Self::LENGTH] {
        match self {
            Self::Backup => b"regain 1 backup\n",
        }
    }

    fn parse(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        [Self::Backup].into_iter().find(|request| request.bytes() == bytes)
    }
}

const PIECE: u8 = b'p';
const DONE: u8 = b'd';
const FAILED: u8 = b'f';

/// The path by which the socket is reached: through the folder, opened, where its own path is too long for one.
fn reach(folder: &Path) -> io::Result<(PathBuf, Option<fs::File>)> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path, None));
    }
    let opened = fs::File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd())), Some(opened)))
}

/// Binds it. The store is open: a socket that is there was left by a program that has ended.
fn bind(folder: &Path) -> io::Result<UnixListener> {
    let (path, _opened) = reach(folder)?;
    match fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(&path)?,
        Ok(_) => return Err(io::Error::other("something that is no socket is in its place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `shutdown`, and takes the socket away.
pub async fn serve(folder: &Path, services: &Arc<Services>, shutdown: CancellationToken) {
    let listener = match bind(folder) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "the console can't ask for backups: no socket");
            return;
        }
    };
    let mut answers = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = answers.join_next() => continue,
            accepted = listener.accept(), if answers.len() < MOST => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the console can't be answered");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            },
        };
        let services = Arc::clone(services);
        answers.spawn(async move {
            if let Err(error) = answer(stream, &services).await {
                tracing::warn!(%error, "an answer to the console was broken off");
            }
        });
    }
    answers.shutdown().await;
    if let Ok((path, _opened)) = reach(folder) {
        let _ = fs::remove_file(path);
    }
}

async fn answer(mut stream: UnixStream, services: &Services) -> io::Result<()> {
    // The mode of the socket says so already; not every system looks at it.
    let who = stream.peer_cred()?.uid();
    if who != 0 && who != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("another user asked"));
    }
    let mut asked = [0; Request::LENGTH];
    timeout(PATIENCE, stream.read_exact(&mut asked)).await??;
    let Some(Request::Backup) = Request::parse(&asked) else {
        return frame(&mut stream, FAILED, b"this Regain does not know what was asked").await;
    };
    let (out, mut pieces) = tokio::sync::mpsc::channel(4);
    let made = backup::for_console(services, out);
    let to = &mut stream;
    let sent = async move {
        while let Some(piece) = pieces.recv().await {
            frame(to, PIECE, &piece).await?;
        }
        Ok::<_, io::Error>(())
    };
    // For whom has gone it is not made to its end, and that is written down: with `sent` the way out is gone.
    let (made, sent) = tokio::join!(made, sent);
    sent?;
    match made {
        Ok(records) => frame(&mut stream, DONE, records.to_string().as_bytes()).await,
        Err(error) => frame(&mut stream, FAILED, error.to_string().as_bytes()).await,
    }
}

async fn frame(stream: &mut UnixStream, letter: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let write = async {
        stream.write_u8(letter).await?;
        stream.write_u32(length).await?;
        stream.write_all(bytes).await
    };
    timeout(PATIENCE, write).await?
}

/// Asks the program that serves there for a backup, and takes it piece by piece; how many records are in it, or nothing if
/// no program serves.
pub async fn fetch(
    folder: &Path,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Option<u64>, Fault> {
    let trouble = |error: io::Error| Fault::Trouble(error.to_string());
    let (path, _opened) = reach(folder).map_err(trouble)?;
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) => {
            return Ok(None);
        }
        Err(error) => return Err(Fault::Trouble(format!("{}: {error}", folder.join(SOCKET).display()))),
    };
    stream.write_all(Request::Backup.bytes()).await.map_err(trouble)?;
    loop {
        let broken =
            |_| Fault::Trouble("the program that serves broke the backup off; its log says why".into());
        let letter = stream.read_u8().await.map_err(broken)?;
        let length = stream.read_u32().await.map_err(broken)? as usize;
        if length > LONGEST {
            return Err(Fault::Trouble("what serves there is no Regain".into()));
        }
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.map_err(broken)?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match letter {
            PIECE => take(&bytes).map_err(trouble)?,
            DONE => return Ok(Some(text().parse().unwrap_or_default())),
            _ => return Err(Fault::Trouble(text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_with_a_long_name_has_one_too_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["short".to_owned(), "l".repeat(150)] {
            let folder = folder.path().join(name);
            fs::create_dir(&folder).unwrap();
            assert_eq!(fetch(&folder, |_| Ok(())).await.unwrap(), None);
            drop(bind(&folder).unwrap());
            assert_eq!(fetch(&folder, |_| Ok(())).await.unwrap(), None, "nobody listens any more");
            let _listener = bind(&folder).unwrap();
            let found = fs::symlink_metadata(folder.join(SOCKET)).unwrap();
            assert!(found.file_type().is_socket() && found.permissions().mode() & 0o777 == 0o600);
        }
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join(SOCKET), "mine").unwrap();
        assert!(bind(&taken).is_err() && taken.join(SOCKET).exists());
    }
}
