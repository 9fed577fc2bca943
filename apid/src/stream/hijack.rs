//! Connections that stop being HTTP: attach and exec.
//!
//! Docker takes the connection from its HTTP server and writes the head of the answer by hand, for
//! clients that ask for an upgrade (`101 UPGRADED`) and for older ones that do not (`200 OK` and,
//! without any framing, the stream). So do we: the handler's answer is a [`Hijack`], the HTTP
//! library is told to let go, and [`Hijack::run`] gets the socket with what was already read.

use crate::stream::detach::DetachKeys;
use crate::stream::socket::{ClientSocket, is_hung_up};
use crate::stream::stdcopy;
use bulkhead_engine::{Attached, Input, Output, StreamKind};
use bytes::{Buf, Bytes};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, split};

/// How often a client that has stopped sending is asked whether it is there at all.
const HANGUP_CHECK: Duration = Duration::from_secs(5);
/// What is read at once from a client that writes to a process, in bytes.
const INPUT_BYTES: usize = 32 * 1024;
/// What is read at once, and thrown away, from a client that does not.
const NO_INPUT_BYTES: usize = 512;

/// What runs once the connection is ours.
type Run = Box<dyn FnOnce(Hijacked) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The answer of a handler that takes the connection.
pub(crate) struct Hijack {
    content_type: &'static str,
    upgrade: bool,
    run: Run,
}

impl fmt::Debug for Hijack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hijack").field("upgrade", &self.upgrade).finish_non_exhaustive()
    }
}

impl Hijack {
    /// `content_type` is for clients that ask for an upgrade; the others get the raw one.
    pub(crate) fn new<F>(
        content_type: &'static str,
        upgrade: bool,
        run: impl FnOnce(Hijacked) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { content_type, upgrade, run: Box::new(|client| Box::pin(run(client))) }
    }

    /// The head of the answer, byte for byte as Docker writes it; `headers` are complete lines.
    fn head(&self, headers: &str) -> String {
        if self.upgrade {
            format!(
                "HTTP/1.1 101 UPGRADED\r\nContent-Type: {}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n{headers}\r\n",
                self.content_type
            )
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\n{headers}\r\n",
                crate::version::RAW_STREAM
            )
        }
    }

    /// Answer, and serve the stream to its end.
    pub(crate) async fn serve(self, mut client: Hijacked, headers: &str) {
        if client.write_all(self.head(headers).as_bytes()).await.is_ok() {
            (self.run)(client).await;
        }
    }
}

/// A connection that was HTTP's.
#[derive(Debug)]
pub(crate) struct Hijacked {
    early: Bytes,
    socket: ClientSocket,
}

impl Hijacked {
    /// `early` was read before and comes first.
    pub(crate) fn new(early: Bytes, socket: ClientSocket) -> Self {
        Self { early, socket }
    }

    /// Tell the client, on its standard output, and end.
    pub(crate) async fn fail(mut self, terminal: bool, message: &str) {
        let text = Bytes::from(format!("{message}\r\n"));
        let framed = stdcopy::frame(terminal, StreamKind::Stdout, text);
        if let Err(error) = self.write_all(&framed).await {
            tracing::debug!("the client left before it heard of a failure: {error}");
        }
    }

    /// Move bytes both ways until the process's output ends, the client is gone, or it types
    /// `keys`.
    pub(crate) async fn pump(self, attached: Attached, keys: Option<DetachKeys>) {
        let Ok(watched) = self.socket.as_fd().try_clone_to_owned() else { return };
        let Attached { terminal, output, input } = attached;
        let (reader, mut writer) = split(self);
        let outward = async {
            if let Err(error) = to_client(&mut writer, output, terminal).await {
                tracing::debug!("a client left its stream: {error}");
            }
        };
        tokio::select! {
            () = outward => {}
            () = from_client(reader, input, keys, watched) => {}
        }
        // Nothing is lost if the client has closed already.
        drop(writer.shutdown().await);
    }
}

async fn to_client(
    client: &mut (impl AsyncWrite + Unpin),
    mut output: Output,
    terminal: bool,
) -> io::Result<()> {
    while let Some((kind, piece)) = output.next().await {
        if terminal {
            client.write_all(&piece).await?;
        } else {
            let header = stdcopy::header(kind, piece.len());
            client.write_all_buf(&mut Buf::chain(header.as_slice(), piece)).await?;
        }
    }
    Ok(())
}

/// Ends when the client is gone or has typed the keys. A client that only stops sending goes on
/// receiving.
async fn from_client(
    mut client: impl AsyncRead + Unpin,
    mut input: Option<Input>,
    mut keys: Option<DetachKeys>,
    watched: OwnedFd,
) {
    let mut buffer = vec![0; if input.is_some() { INPUT_BYTES } else { NO_INPUT_BYTES }];
    // An error is an end as well: the other direction has it too.
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        let typed = buffer.get(..length).unwrap_or_default();
        let (passed, detach) = match &mut keys {
            Some(keys) => {
                let (passed, detach) = keys.filter(typed);
                (Cow::Owned(passed), detach)
            }
            None => (Cow::Borrowed(typed), false),
        };
        // A process that does not read any more still writes.
        if let Some(open) = &mut input
            && !passed.is_empty()
            && open.write(&passed).await.is_err()
        {
            input = None;
        }
        if detach {
            return;
        }
    }
    drop(buffer);
    if let Some(open) = input {
        open.close().await;
    }
    while !is_hung_up(watched.as_fd()) {
        tokio::time::sleep(HANGUP_CHECK).await;
    }
}

impl AsyncRead for Hijacked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let length = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hijacked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    const HEADERS: &str = "Api-Version: 1.51\r\n";

    #[tokio::test]
    async fn the_head_is_dockers_with_and_without_upgrade() {
        for (upgrade, head) in [
            (
                true,
                "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.51\r\n\r\n",
            ),
            (
                false,
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nApi-Version: 1.51\r\n\r\n",
            ),
        ] {
            let (mut client, socket) = UnixStream::pair().unwrap();
            let hijack = Hijack::new(crate::version::MULTIPLEXED_STREAM, upgrade, |client| {
                client.fail(false, "no")
            });
            hijack.serve(Hijacked::new(Bytes::new(), socket.into()), HEADERS).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, format!("{head}\x01\0\0\0\0\0\0\x04no\r\n"));
        }
    }

    #[tokio::test]
    async fn what_was_read_with_the_request_comes_first() {
        let (mut client, socket) = UnixStream::pair().unwrap();
        let mut hijacked = Hijacked::new(Bytes::from_static(b"early "), socket.into());
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut read = String::new();
        hijacked.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "early late");
    }
}
