//! A connection taken over as a stream of bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;

use super::Error;

/// A blocking socket.
pub(crate) enum Socket {
    /// Of a unix socket.
    Unix(UnixStream),
    /// Of a TCP port.
    Tcp(TcpStream),
}

impl Socket {
    /// Say that nothing more will be sent.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both directions of a taken-over connection, for a thread each.
pub(crate) struct Hijacked {
    /// What the server sends.
    pub(crate) incoming: io::Chain<io::Cursor<Bytes>, Socket>,
    /// What the server gets.
    pub(crate) outgoing: Socket,
}

impl Hijacked {
    pub(super) fn new(upgraded: Upgraded) -> Result<Self, Error> {
        let (early, socket) = match upgraded.downcast::<TokioIo<tokio::net::UnixStream>>() {
            Ok(Parts { io, read_buf, .. }) => {
                let stream = io.into_inner().into_std().map_err(Error::Stream)?;
                stream.set_nonblocking(false).map_err(Error::Stream)?;
                (read_buf, Socket::Unix(stream))
            }
            Err(upgraded) => {
                let Ok(Parts { io, read_buf, .. }) =
                    upgraded.downcast::<TokioIo<tokio::net::TcpStream>>()
                else {
                    return Err(Error::NotUpgraded(101));
                };
                let stream = io.into_inner().into_std().map_err(Error::Stream)?;
                stream.set_nonblocking(false).map_err(Error::Stream)?;
                (read_buf, Socket::Tcp(stream))
            }
        };
        let outgoing = socket.try_clone().map_err(Error::Stream)?;
        Ok(Self { incoming: io::Cursor::new(early).chain(socket), outgoing })
    }
}
