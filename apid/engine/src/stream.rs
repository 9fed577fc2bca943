//! A process's standard streams as callers see them.

use bytes::Bytes;

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
#[derive(Debug)]
pub struct Output {}

impl Output {
    /// The next piece, never empty; none: the streams have ended, or this reader was too slow for
    /// too long. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        None
    }
}

/// Standard input of a process. Dropping it closes the process's standard input when Docker would
/// (`StdinOnce` without a terminal).
#[derive(Debug)]
pub struct Input {}

impl Input {
    /// Write all of it, waiting while the process does not read.
    ///
    /// # Errors
    /// The process does not read any more.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// The client's input has ended (half-close).
    pub async fn close(self) {}
}
