//! The task that takes a process's output from its pipes or pty to the log and to whoever is
//! attached.
//!
//! ```text
//!              splice            read            format
//!   pipe ───────────────> spool ──────> memory ─────────> json-file, then checkpoint
//!                                          └───────────> attached clients
//! ```
//!
//! Every step leaves files from which a new process can go on: see [`super::checkpoint`]. Without
//! a log (driver `none`, and exec) output is read and handed on directly, or read and forgotten.
//!
//! Once the process has ended, everything it wrote is in the pipe. The copier then takes what is
//! there and does not wait for others who may still hold the writing end. The attached and
//! those who follow the log see the end when the owner says so ([`Hub::end`], `Shelf::end`): when it
//! has noted how the process ended, which is the next thing they ask.

use super::hub::Hub;
use super::sink::{Begin, LogSink, LogTarget};
use super::spool::{self, BURST_BYTES, Found, Transfer};
use crate::stream::StreamKind;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What a pipe holds unless told otherwise (`pipe(7)`).
const PIPE_BYTES: usize = 64 * 1024;
/// The most that is taken after the process has ended: more than a pipe can hold, so all that it
/// wrote itself; anything beyond comes from someone else.
const LAST_BYTES: usize = 4 * BURST_BYTES;

/// Where output comes from.
#[derive(Debug)]
pub(crate) enum Sources {
    /// Read ends of stdout and stderr.
    Pipes(OwnedFd, OwnedFd),
    /// A pty's master.
    Terminal(OwnedFd),
    /// Nothing more comes; only what an earlier process left is to be finished.
    Ended,
}

/// A running copier.
#[derive(Debug)]
pub(crate) struct Copier {
    ended: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Copier {
    /// Start to copy, on a runtime of its own so that a slow disk does not hold up the API.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        sources: Sources,
        hub: Arc<Hub>,
        log: Option<(LogTarget, Begin)>,
    ) -> io::Result<Self> {
        let _entered = runtime.enter();
        let streams = match sources {
            Sources::Pipes(stdout, stderr) => {
                let out = Stream::new(StreamKind::Stdout, stdout, Transfer::Splice)?;
                vec![out, Stream::new(StreamKind::Stderr, stderr, Transfer::Splice)?]
            }
            Sources::Terminal(master) => {
                vec![Stream::new(StreamKind::Stdout, master, Transfer::Copy)?]
            }
            Sources::Ended => Vec::new(),
        };
        if let Some((target, _)) = &log {
            // Now, so that who follows from now on waits for the end of this run.
            target.shelf.begin();
        }
        let (ended, process_ended) = oneshot::channel();
        let task = runtime.spawn(async move {
            let mut sink = log.map(|(target, begin)| Box::new(LogSink::new(target, begin)));
            copy(streams, &hub, sink.as_deref_mut(), process_ended).await;
            if let Some(sink) = sink {
                sink.finish();
            }
        });
        Ok(Self { ended: Some(ended), task })
    }

    /// The process has ended: take what is left, and return when it is where it belongs.
    pub(crate) async fn finish(mut self) {
        drop(self.ended.take());
        if let Err(error) = (&mut self.task).await {
            tracing::error!("copying output failed: {error}");
        }
    }

    /// Wait until all streams have ended by themselves.
    pub(crate) async fn until_end(mut self) {
        if let Err(error) = (&mut self.task).await {
            tracing::error!("copying output failed: {error}");
        }
    }
}

/// A copier that is dropped stops where it is; a new one goes on from there.
impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One stream of a process.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) kind: StreamKind,
    fd: AsyncFd<OwnedFd>,
    pub(super) how: Transfer,
    open: bool,
    /// The process has ended: do not ask the reactor, which may not have heard of the last bytes.
    ended: bool,
}

impl Stream {
    fn new(kind: StreamKind, fd: OwnedFd, how: Transfer) -> io::Result<Self> {
        Ok(Self { kind, fd: crate::stream::non_blocking(fd)?, how, open: true, ended: false })
    }

    /// Try without waiting. After `WouldBlock` the reactor wakes the task when there is more.
    pub(super) fn attempt<R>(
        &self,
        operation: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.ended {
            operation(self.fd.as_fd())
        } else {
            self.fd.try_io(Interest::READABLE, |fd| operation(fd.as_fd()))
        }
    }

    /// Take what there is and only hand it on.
    pub(super) async fn pass_on(&self, hub: &Hub) -> io::Result<Found> {
        let mut buffer = vec![0; PIPE_BYTES];
        let count = self.attempt(|fd| spool::read(fd, &mut buffer))?;
        if count == 0 {
            return Ok(Found::End);
        }
        buffer.truncate(count);
        if !hub.is_empty() {
            hub.send(self.kind, Bytes::from(buffer)).await;
        }
        Ok(Found::Bytes(count))
    }

    async fn readable(&self) {
        if let Ok(mut guard) = self.fd.readable().await {
            guard.retain_ready();
        }
    }

    /// Make the kernel move what is on its way between a pty's two ends: poll(2) does.
    fn settle(&self) {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap_or_default();
    }

    /// A pipe that was full once will be full again. An unprivileged process may not always.
    fn widen(&self) {
        if self.how == Transfer::Splice {
            rustix::pipe::fcntl_setpipe_size(&self.fd, BURST_BYTES).unwrap_or_default();
        }
    }
}

async fn copy(
    mut streams: Vec<Stream>,
    hub: &Hub,
    mut sink: Option<&mut LogSink>,
    mut process_ended: oneshot::Receiver<()>,
) {
    while streams.iter().any(|stream| stream.open) {
        let mut open = streams.iter_mut().filter(|stream| stream.open);
        let stream = match (open.next(), open.next()) {
            (Some(first), Some(second)) => tokio::select! {
                () = first.readable() => first,
                () = second.readable() => second,
                _ = &mut process_ended => break,
            },
            (Some(only), None) => tokio::select! {
                () = only.readable() => only,
                _ = &mut process_ended => break,
            },
            (None, _) => break,
        };
        pass(stream, hub, sink.as_deref_mut()).await;
    }
    for stream in &mut streams {
        stream.settle();
        stream.ended = true;
        let mut left = LAST_BYTES;
        while let Some(taken) = pass(stream, hub, sink.as_deref_mut()).await {
            left = left.saturating_sub(taken);
            stream.open &= left > 0;
        }
    }
}

/// Take one burst. None: there is nothing now, or there never will be.
async fn pass(stream: &mut Stream, hub: &Hub, sink: Option<&mut LogSink>) -> Option<usize> {
    if !stream.open {
        return None;
    }
    let taken = match sink {
        Some(log) => log.take(stream, hub).await,
        None => stream.pass_on(hub).await,
    };
    match taken {
        Ok(Found::Bytes(count)) => {
            if count == PIPE_BYTES {
                stream.widen();
            }
            return Some(count);
        }
        Ok(Found::End) => stream.open = false,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => {
            tracing::error!("reading a container's output failed: {error}");
            stream.open = false;
        }
    }
    None
}

#[cfg(test)]
mod tests;
