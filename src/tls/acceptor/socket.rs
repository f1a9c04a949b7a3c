//! Where is listened: addresses, and sockets in the file system.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as Dial,
    },
    path::{Path, PathBuf},
    task::{Context, Poll, ready},
};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use super::Accepted;
use crate::domain::network::Place;

/// Connections the kernel may hold for us before they are accepted.
const BACKLOG: u32 = 1024;

/// Who may open a socket in the file system: its owner and its group.
const MODE: u32 = 0o660;

/// The bytes as they come in.
pub type Wire = Either<TcpStream, UnixStream>;

/// Something to listen on.
#[derive(Debug, Clone)]
pub struct Door {
    /// Where it is.
    pub place: Place,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Self { place: Place::Address(address), proxy_protocol: false }
    }
}

/// A place that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {place}: {source}{}", advice(place, source))]
pub struct BindError {
    /// The place asked for.
    pub place: Place,
    /// What the system said.
    pub source: io::Error,
}

fn advice(place: &Place, error: &io::Error) -> &'static str {
    match (error.kind(), place) {
        (io::ErrorKind::AddrInUse, Place::Address(_)) => {
            "; another program listens there, find it with `ss -ltnp`"
        }
        (io::ErrorKind::AddrInUse, Place::Socket(_)) => {
            "; another program listens there, find it with `ss -lxp`, or it is a file that is no socket"
        }
        (io::ErrorKind::PermissionDenied, Place::Address(_)) => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit grants it) or a higher port"
        }
        (io::ErrorKind::PermissionDenied, Place::Socket(_)) => {
            "; its folder must be writable for the user Regain runs as"
        }
        (io::ErrorKind::NotFound, _) => "; its folder must exist",
        (io::ErrorKind::AddrNotAvailable, _) => "; this machine has no such address",
        _ => "",
    }
}

/// What is listened on.
pub(super) struct Socket {
    bound: Bound,
    proxy_protocol: bool,
}

enum Bound {
    Tcp(TcpListener, SocketAddr),
    /// With the path that is to be removed in the end.
    Unix(UnixListener, PathBuf),
}

pub(super) fn open(door: &Door, all: &[Door]) -> Result<Socket, BindError> {
    let bound = match &door.place {
        Place::Address(address) => listen(*address, all)
            .and_then(|socket| socket.local_addr().map(|local| Bound::Tcp(socket, local))),
        Place::Socket(path) => listen_in_files(path).map(|socket| Bound::Unix(socket, path.clone())),
    };
    let failed = |source| BindError { place: door.place.clone(), source };
    Ok(Socket { bound: bound.map_err(failed)?, proxy_protocol: door.proxy_protocol })
}

impl Socket {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.bound {
            Bound::Tcp(_, local) => Some(*local),
            Bound::Unix(..) => None,
        }
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let (wire, remote) = match &self.bound {
            Bound::Tcp(socket, _) => {
                let (tcp, remote) = ready!(socket.poll_accept(cx))?;
                // On a socket for both families an IPv4 client comes as ::ffff:a.b.c.d.
                (Either::Left(tcp), Some(SocketAddr::new(remote.ip().to_canonical(), remote.port())))
            }
            Bound::Unix(socket, _) => (Either::Right(ready!(socket.poll_accept(cx))?.0), None),
        };
        let (local, proxy_protocol) = (self.address(), self.proxy_protocol);
        Poll::Ready(Ok(Accepted { wire, local, remote, proxy_protocol }))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Bound::Unix(_, path) = &self.bound {
            // What is left over is replaced at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

fn listen(address: SocketAddr, all: &[Door]) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the connections of the run before.
    socket.set_reuseaddr(true)?;
    // [::] alone takes IPv4 too; beside 0.0.0.0 on the same port it would be "in use".
    let beside_ipv4 = |other: &Door| matches!(other.place, Place::Address(other) if other.is_ipv4() && other.port() == address.port());
    if address.is_ipv6() && all.iter().any(beside_ipv4) {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn listen_in_files(path: &Path) -> io::Result<UnixListener> {
    // A program that was killed leaves its socket behind; one at which somebody answers is not ours to take.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && Dial::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(socket)
}
