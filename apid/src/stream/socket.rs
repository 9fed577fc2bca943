//! A client's connection, whichever way it came.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client.
///
/// While a request is served, a client that has only closed its sending half is still there, and
/// one that has closed all of it is gone: HTTP libraries know one kind of end only, so the first
/// is hidden from them (see [`Serving`]).
#[derive(Debug)]
pub(crate) struct ClientSocket {
    kind: Kind,
    serving: ServingFlag,
}

#[derive(Debug)]
enum Kind {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl From<UnixStream> for ClientSocket {
    fn from(stream: UnixStream) -> Self {
        Self { kind: Kind::Unix(stream), serving: ServingFlag::default() }
    }
}

impl From<TcpStream> for ClientSocket {
    fn from(stream: TcpStream) -> Self {
        Self { kind: Kind::Tcp(stream), serving: ServingFlag::default() }
    }
}

impl ClientSocket {
    /// A handle by which requests mark their beginning and end.
    pub(crate) fn serving(&self) -> ServingFlag {
        self.serving.clone()
    }

    /// Whether a unix socket's other end is closed altogether. TCP does not tell before we write.
    fn is_hung_up(&self) -> bool {
        is_hung_up(self.as_fd())
    }

    fn hides_end(&self) -> bool {
        matches!(self.kind, Kind::Unix(_)) && !self.serving.is_idle() && !self.is_hung_up()
    }
}

/// Whether the other end of this socket is closed in both directions.
pub(crate) fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::HUP | PollFlags::ERR;
    matches!(poll(&mut fds, Some(&now)), Ok(1..))
        && fds.iter().any(|fd| fd.revents().intersects(gone))
}

/// What a connection is doing.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServingFlag(Arc<AtomicU8>);

const IDLE: u8 = 0;
const ANSWERING: u8 = 1;
const STREAMING: u8 = 2;

impl ServingFlag {
    /// A request has come.
    pub(crate) fn begin(&self) -> Serving {
        self.0.store(ANSWERING, Ordering::Relaxed);
        Serving(self.clone())
    }

    /// An answer that may never end is on its way.
    pub(crate) fn is_streaming(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STREAMING
    }

    fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == IDLE
    }
}

/// A request being served; dropped when its answer is on its way.
#[derive(Debug)]
pub(crate) struct Serving(ServingFlag);

impl Serving {
    /// The answer is a stream.
    pub(crate) fn streams(&self) {
        self.0.0.store(STREAMING, Ordering::Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.store(IDLE, Ordering::Relaxed);
    }
}

impl AsFd for ClientSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Unix(stream) => stream.as_fd(),
            Kind::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.kind {
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let ended = matches!(read, Poll::Ready(Ok(())))
            && buffer.filled().len() == before
            && buffer.remaining() > 0;
        if ended && self.hides_end() { Poll::Pending } else { read }
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Kind::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn half_closed_is_there_and_closed_is_gone() {
        let (mut client, socket) = UnixStream::pair().unwrap();
        let socket = ClientSocket::from(socket);
        client.shutdown().await.unwrap();
        assert!(!socket.is_hung_up());
        drop(client);
        assert!(socket.is_hung_up());
    }

    #[tokio::test]
    async fn the_end_of_a_half_closed_client_is_seen_between_requests_only() {
        let (mut client, socket) = UnixStream::pair().unwrap();
        let mut socket = ClientSocket::from(socket);
        client.shutdown().await.unwrap();
        let serving = socket.serving().begin();
        let mut byte = [0];
        tokio::select! {
            biased;
            read = socket.read(&mut byte) => panic!("{read:?}"),
            () = std::future::ready(()) => {}
        }
        drop(serving);
        assert_eq!(socket.read(&mut byte).await.unwrap(), 0);
    }
}
