//! A process's standard streams as callers see them.

use crate::logs::{LogReader, Subscription};
use bytes::Bytes;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

/// Which stream a piece of output came from. With a terminal all output is `Stdout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard output; 1 in Docker's stream header.
    Stdout,
    /// Standard error; 2 in Docker's stream header.
    Stderr,
}

/// The streams of one attach, exec or log reading.
#[derive(Debug)]
pub struct Attached {
    /// The process has a terminal: output goes to the client raw, without stream headers.
    pub terminal: bool,
    /// What it writes.
    pub output: Output,
    /// What it reads; none: not asked for, or it has no standard input.
    pub input: Option<Input>,
}

/// What a process writes. Dropping it detaches.
#[derive(Debug, Default)]
pub struct Output {
    /// First what the log has ...
    log: Option<Box<LogReader>>,
    /// ... then what comes.
    live: Option<Subscription>,
}

impl Output {
    pub(crate) fn new(log: Option<LogReader>, live: Option<Subscription>) -> Self {
        Self { log: log.map(Box::new), live }
    }

    /// The next piece, never empty; none: the streams have ended, or this reader was too slow for
    /// too long. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        if let Some(log) = &mut self.log {
            if let Some(piece) = log.next().await {
                return Some(piece);
            }
            self.log = None;
        }
        match &mut self.live {
            Some(live) => live.next().await,
            None => None,
        }
    }
}

/// The writing end of a process's standard input: a pipe, or a pty's master.
pub(crate) type StdinFd = Arc<AsyncFd<OwnedFd>>;

/// Standard input of a container's run, or of an exec.
#[derive(Debug, Clone, Default)]
pub(crate) struct StdinState {
    /// Which run.
    pub run: u64,
    /// None: it is closed.
    pub fd: Option<StdinFd>,
}

impl StdinState {
    /// A run that takes no more input.
    pub(crate) fn closed(run: u64) -> Self {
        Self { run, fd: None }
    }
}

/// Standard input of a process. Dropping it closes the process's standard input when Docker would
/// (`StdinOnce` without a terminal).
#[derive(Debug)]
pub struct Input {
    /// Where the process's input appears, once it runs.
    source: watch::Receiver<StdinState>,
    /// The run that it is for.
    run: u64,
    /// Dropped when input has ended and that is to end the process's.
    _close: Option<oneshot::Sender<()>>,
}

impl Input {
    pub(crate) fn new(
        source: watch::Receiver<StdinState>,
        run: u64,
        close: Option<oneshot::Sender<()>>,
    ) -> Self {
        Self { source, run, _close: close }
    }

    /// Write all of it, waiting while the process does not read, or does not run yet.
    ///
    /// # Errors
    /// The process does not read any more.
    pub async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let run = self.run;
        let now = self.source.wait_for(|stdin| stdin.run >= run).await.or(Err(gone()))?.clone();
        let fd = now.fd.filter(|_| now.run == run).ok_or_else(gone)?;
        while !bytes.is_empty() {
            let written =
                fd.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// The client's input has ended (half-close).
    pub async fn close(self) {}
}

/// Make a descriptor ready for waiting. Its open file description is shared with the container's
/// monitor only, which does not read or write.
#[expect(deprecated, reason = "sound for an OwnedFd, whose number never changes; else unsafe code")]
pub(crate) fn non_blocking(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    AsyncFd::new(fd)
}
