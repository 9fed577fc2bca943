//! Telling the service manager that the daemon is ready: sd_notify(3), the datagram of it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one. Connected before the sandbox closes.
#[derive(Debug)]
pub(crate) struct ServiceManager(Option<UnixDatagram>);

impl ServiceManager {
    /// As `NOTIFY_SOCKET` says; a manager that cannot be reached is none.
    pub(crate) fn find() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").map(|name| connect(&name));
        match socket.transpose() {
            Ok(socket) => Self(socket),
            Err(error) => {
                tracing::warn!("NOTIFY_SOCKET: {error}");
                Self(None)
            }
        }
    }

    /// `READY=1`, `STOPPING=1` and the like.
    pub(crate) fn tell(&self, state: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(state.as_bytes())
        {
            // Whoever only waited for the start is gone by the end.
            tracing::debug!("NOTIFY_SOCKET: {error}");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
