//! Where clients come from.

use crate::stream::socket::ClientSocket;
use rustix::fs::{Gid, Mode};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The first descriptor that a service manager passes. Source: sd_listen_fds(3).
const LISTEN_FDS_START: i32 = 3;
/// Docker's port without TLS.
const TCP_DEFAULT_PORT: u16 = 2375;

/// A value of `--host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `unix:///run/bulkhead/api/docker.sock`
    Unix(PathBuf),
    /// `tcp://127.0.0.1:2375`
    Tcp(SocketAddr),
    /// `fd://`: what the service manager listens on.
    Passed,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Unix(path)),
                false => Err(format!("host \"{text}\": the path of a socket begins with /")),
            };
        }
        if text == "fd://" {
            return Ok(Self::Passed);
        }
        if let Some(place) = text.strip_prefix("tcp://") {
            return tcp_address(place.trim_end_matches('/'))
                .map(Self::Tcp)
                .ok_or_else(|| format!("host \"{text}\": not an IP address and a port"));
        }
        Err(format!("host \"{text}\": it begins with unix://, tcp:// or fd://"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Passed => f.write_str("fd://"),
        }
    }
}

fn tcp_address(place: &str) -> Option<SocketAddr> {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    match place.strip_prefix(':') {
        Some(port) => port.parse().ok().map(local),
        None if place.is_empty() => Some(local(TCP_DEFAULT_PORT)),
        None => place
            .parse()
            .ok()
            .or_else(|| place.parse().ok().map(|ip| SocketAddr::new(ip, TCP_DEFAULT_PORT))),
    }
}

/// Who may connect to a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketAccess {
    /// Permission bits, such as 0o660.
    pub(crate) mode: u32,
    /// The group; none: the daemon's.
    pub(crate) group: Option<u32>,
}

/// A socket that listens, not yet part of a runtime.
#[derive(Debug)]
pub(crate) enum Bound {
    Unix(std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
}

/// Open all sockets of an address.
///
/// # Errors
///
/// The sentence that the administrator reads.
pub(crate) fn bind(address: &Address, access: SocketAccess) -> Result<Vec<Bound>, String> {
    match address {
        Address::Unix(path) => bind_unix(path, access).map(|bound| vec![bound]),
        Address::Tcp(socket) => {
            let listener = std::net::TcpListener::bind(socket)
                .map_err(|error| format!("listen on {address}: {error}"))?;
            Ok(vec![Bound::Tcp(listener)])
        }
        Address::Passed => passed(),
    }
}

/// The socket appears at its path complete: bound aside, permissions set, then renamed over what
/// an earlier daemon left behind.
fn bind_unix(path: &Path, access: SocketAccess) -> Result<Bound, String> {
    let failed = |deed: &str, error: io::Error| {
        Err(format!("listen on {}: {deed}: {error}", path.display()))
    };
    if let Ok(there) = path.symlink_metadata() {
        if !there.file_type().is_socket() {
            return Err(format!("listen on {}: it is not a socket", path.display()));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(format!("listen on {}: another daemon does", path.display()));
        }
    }
    let mut aside = path.to_owned().into_os_string();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let listener = match std::os::unix::net::UnixListener::bind(&aside) {
        Ok(listener) => listener,
        Err(error) => return failed("bind", error),
    };
    let publish = || -> io::Result<()> {
        if let Some(group) = access.group {
            std::os::unix::fs::chown(&aside, None, Some(group))?;
        }
        let here = rustix::fs::CWD;
        rustix::fs::chmodat(
            here,
            &aside,
            Mode::from_raw_mode(access.mode),
            rustix::fs::AtFlags::empty(),
        )?;
        std::fs::rename(&aside, path)
    };
    if let Err(error) = publish() {
        drop(std::fs::remove_file(&aside));
        return failed("set owner and mode", error);
    }
    Ok(Bound::Unix(listener))
}

/// sd_listen_fds(3), for sockets only.
fn passed() -> Result<Vec<Bound>, String> {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    let ours = variable("LISTEN_PID").is_some_and(|pid| pid.unsigned_abs() == std::process::id());
    let count = variable("LISTEN_FDS").filter(|count| ours && *count > 0);
    let Some(count) = count else {
        return Err("fd://: the service manager passes no sockets (LISTEN_FDS)".to_owned());
    };
    (LISTEN_FDS_START..LISTEN_FDS_START.saturating_add(count)).map(passed_socket).collect()
}

fn passed_socket(number: i32) -> Result<Bound, String> {
    let failed = |error: io::Error| format!("fd://: descriptor {number}: {error}");
    let fd = own_descriptor(number).map_err(failed)?;
    let domain = rustix::net::sockopt::socket_domain(&fd).map_err(|errno| failed(errno.into()))?;
    if domain == rustix::net::AddressFamily::UNIX {
        return Ok(Bound::Unix(fd.into()));
    }
    Ok(Bound::Tcp(fd.into()))
}

/// A number cannot be made an owned descriptor without a promise that nobody else owns it; a
/// duplicate of it, which pidfd_getfd(2) makes of any process's descriptors, needs none.
fn own_descriptor(number: i32) -> io::Result<OwnedFd> {
    let own = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    )?;
    Ok(rustix::process::pidfd_getfd(
        own.as_fd(),
        number,
        rustix::process::PidfdGetfdFlags::empty(),
    )?)
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(tokio::net::UnixListener),
    Tcp(tokio::net::TcpListener),
}

impl Listener {
    /// Make it part of the runtime.
    pub(crate) fn new(bound: Bound) -> io::Result<Self> {
        match bound {
            Bound::Unix(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(listener).map(Self::Unix)
            }
            Bound::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener).map(Self::Tcp)
            }
        }
    }

    /// The next client.
    pub(crate) async fn accept(&self) -> io::Result<ClientSocket> {
        match self {
            Self::Unix(listener) => Ok(listener.accept().await?.0.into()),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
        }
    }
}

/// The id of a group by name or number, from `/etc/group`.
///
/// # Errors
///
/// The sentence that the administrator reads.
pub(crate) fn group_id(name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group")
        .map_err(|error| format!("read /etc/group: {error}"))?;
    let id = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1))?
    });
    id.and_then(|id| id.parse::<u32>().ok())
        .map(|id| Gid::from_raw(id).as_raw())
        .ok_or_else(|| format!("group \"{name}\" is not in /etc/group"))
}
