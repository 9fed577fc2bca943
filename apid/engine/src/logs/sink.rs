//! From the spool to the log file: the part of the copier that must survive being killed.

use super::checkpoint::Checkpoint;
use super::copier::Stream;
use super::file::{LogFile, Shelf};
use super::hub::Hub;
use super::line::{self, Clock};
use super::spool::{self, BURST_BYTES, Found, Spool, Transfer};
use crate::stream::StreamKind;
use bytes::Bytes;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The most bytes formatted in one go: a burst, and an unfinished line from before it.
const DIGEST_BYTES: usize = BURST_BYTES + line::MAX_LINE_BYTES;
/// Buffers above this size are given back when output slows down.
const KEPT_BYTES: usize = 64 * 1024;

/// Where output goes, beside the attached.
#[derive(Debug, Clone)]
pub(crate) struct LogTarget {
    /// For spools and checkpoint; made if it is not there.
    pub dir: PathBuf,
    /// The log.
    pub shelf: Arc<Shelf>,
    /// JSON object of attributes for every line; empty: none.
    pub attributes: Arc<str>,
}

impl LogTarget {
    /// An earlier process left output that is not in the log yet, or may not be.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.checkpoint().exists()
    }

    fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    fn spools(&self) -> [PathBuf; 2] {
        [self.dir.join("stdout.spool"), self.dir.join("stderr.spool")]
    }
}

/// What to do with what an earlier process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Put it into the log; then a new run of the container begins.
    Fresh,
    /// It is this run's.
    Resume,
}

/// The log of one run of a container.
#[derive(Debug)]
pub(super) struct LogSink {
    target: LogTarget,
    /// From the first byte on.
    run: Option<Run>,
    complained: bool,
}

#[derive(Debug)]
struct Run {
    checkpoint: Checkpoint,
    log: LogFile,
    spools: [Spool; 2],
    /// Bytes of each spool that are in the log.
    consumed: [u64; 2],
    /// Bytes of each spool that the attached have seen.
    shown: [u64; 2],
    /// Spool content, from `text_from` on.
    text: Vec<u8>,
    text_from: u64,
    lines: Vec<u8>,
}

impl LogSink {
    /// Take over what an earlier process left.
    pub(super) fn new(target: LogTarget, begin: Begin) -> Self {
        let mut sink = Self { target, run: None, complained: false };
        if Checkpoint::read(&sink.target.checkpoint()).is_some() {
            if sink.run().is_ok() {
                sink.digest_all(begin == Begin::Fresh);
            }
            if begin == Begin::Fresh {
                sink.clean_up();
            }
        }
        sink
    }

    /// Take a burst of a stream. `WouldBlock`: there is nothing now.
    pub(super) async fn take(&mut self, stream: &mut Stream, hub: &Hub) -> io::Result<Found> {
        let number = number(stream.kind);
        let how = stream.how;
        if self.run.is_none() && stream.attempt(spool::probe)? == Found::End {
            return Ok(Found::End);
        }
        let filled = match self.run() {
            Ok(run) => match run.spools.get_mut(number) {
                Some(spool) => stream.attempt(|fd| spool.fill(fd, how)),
                None => Ok(Found::End),
            },
            Err(error) => Err(error),
        };
        match filled {
            Ok(Found::Bytes(count)) => {
                self.digest(stream.kind, false, hub).await;
                Ok(Found::Bytes(count))
            }
            Ok(Found::End) => Ok(Found::End),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) if is(&error, Errno::INVAL) && how == Transfer::Splice => {
                // This file system does not take pages from pipes.
                stream.how = Transfer::Copy;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => {
                // A full disk does not stop a container.
                self.complain(&error);
                stream.pass_on(hub).await
            }
        }
    }

    /// All output has come: the last line may be without end.
    pub(super) fn finish(mut self) {
        self.digest_all(true);
        self.clean_up();
    }

    /// The files; made when the first byte has come.
    fn run(&mut self) -> io::Result<&mut Run> {
        let run = match self.run.take() {
            Some(run) => run,
            None => Run::open(&self.target)?,
        };
        Ok(self.run.insert(run))
    }

    async fn digest(&mut self, kind: StreamKind, last: bool, hub: &Hub) {
        let Some(run) = &mut self.run else { return };
        let mut clock = Clock::at(jiff::Timestamp::now());
        loop {
            let digested = run.digest(kind, last, &self.target.attributes, &mut clock);
            if let Some(piece) = run.unseen(kind, hub) {
                hub.send(kind, piece).await;
            }
            match digested {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.complain(&error),
            }
        }
    }

    fn digest_all(&mut self, last: bool) {
        let Some(run) = &mut self.run else { return };
        let mut clock = Clock::at(jiff::Timestamp::now());
        for kind in [StreamKind::Stdout, StreamKind::Stderr] {
            loop {
                match run.digest(kind, last, &self.target.attributes, &mut clock) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return self.complain(&error),
                }
            }
        }
    }

    fn clean_up(&mut self) {
        if let Err(error) = self.remove_files() {
            self.complain(&error);
        }
    }

    /// The checkpoint first: spools without one mean nothing.
    fn remove_files(&mut self) -> io::Result<()> {
        if let Some(run) = self.run.take() {
            run.checkpoint.remove()?;
            self.target.spools().iter().try_for_each(|path| spool::remove(path))?;
        }
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.complained {
            let log = self.target.shelf.path().display();
            tracing::error!("output is missing from {log}: {error}");
            self.complained = true;
        }
    }
}

impl Run {
    fn open(target: &LogTarget) -> io::Result<Self> {
        let found = Checkpoint::read(&target.checkpoint());
        let log = LogFile::open(Arc::clone(&target.shelf), found)?;
        let consumed = found.map_or([0; 2], |position| position.consumed);
        // Before the spools: a spool without a checkpoint is one that is done with.
        let checkpoint = Checkpoint::open(&target.checkpoint(), log.position(consumed))?;
        let [out, err] = target.spools();
        let spools = [Spool::open(&out, found.is_some())?, Spool::open(&err, found.is_some())?];
        let [out, err] = &spools;
        let lengths = [out.length(), err.length()];
        let [out, err] = consumed;
        let consumed = [out.min(lengths[0]), err.min(lengths[1])];
        let (text, lines) = (Vec::new(), Vec::new());
        Ok(Self { checkpoint, log, spools, consumed, shown: lengths, text, text_from: 0, lines })
    }

    /// Put the whole lines of a spool into the log, some at a time. True: there are more.
    fn digest(
        &mut self,
        kind: StreamKind,
        last: bool,
        attributes: &str,
        clock: &mut Clock,
    ) -> io::Result<bool> {
        let Self { spools: [out, err], consumed: [out_done, err_done], .. } = self;
        let (spool, done) = match kind {
            StreamKind::Stdout => (out, *out_done),
            StreamKind::Stderr => (err, *err_done),
        };
        self.text.clear();
        self.text_from = done;
        spool.read(done, DIGEST_BYTES, &mut self.text)?;
        let all = done + self.text.len() as u64 == spool.length();
        let mut rest = self.text.as_slice();
        self.lines.clear();
        while let Some((piece, newline, behind)) = line::split(rest, last && all) {
            if self.log.is_full(self.lines.len()) {
                write_out(&mut self.log, &mut self.lines)?;
                self.log.rotate()?;
                // A checkpoint may be one rotation behind, not two.
                self.consumed = self.consumed_but(kind, self.text.len() - rest.len());
                self.checkpoint.write(self.log.position(self.consumed))?;
            }
            line::append(&mut self.lines, piece, newline, kind, attributes, clock);
            rest = behind;
        }
        self.consumed = self.consumed_but(kind, self.text.len() - rest.len());
        let written = write_out(&mut self.log, &mut self.lines);
        self.checkpoint.write(self.log.position(self.consumed))?;
        self.log.publish();
        self.forget();
        if self.text.len() < KEPT_BYTES && self.lines.capacity() > KEPT_BYTES {
            self.lines = Vec::new();
            self.text.shrink_to(KEPT_BYTES);
        }
        written.map(|()| !all)
    }

    /// The positions once so many bytes of the text are in the log.
    fn consumed_but(&self, kind: StreamKind, taken: usize) -> [u64; 2] {
        let [out, err] = self.consumed;
        let done = self.text_from + taken as u64;
        match kind {
            StreamKind::Stdout => [done, err],
            StreamKind::Stderr => [out, done],
        }
    }

    fn forget(&mut self) {
        for (spool, done) in self.spools.iter_mut().zip(self.consumed) {
            spool.forget(done);
        }
    }

    /// What of the text the attached have not seen.
    fn unseen(&mut self, kind: StreamKind, hub: &Hub) -> Option<Bytes> {
        let shown = self.shown.get_mut(number(kind))?;
        let seen = usize::try_from(shown.saturating_sub(self.text_from)).ok()?;
        *shown = (*shown).max(self.text_from + self.text.len() as u64);
        let piece = self.text.get(seen..).filter(|piece| !piece.is_empty())?;
        (!hub.is_empty()).then(|| Bytes::copy_from_slice(piece))
    }
}

/// Lines that cannot be written are lost: keeping them would stop the container.
fn write_out(log: &mut LogFile, lines: &mut Vec<u8>) -> io::Result<()> {
    let written = log.write(lines);
    lines.clear();
    written
}

fn number(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Stdout => 0,
        StreamKind::Stderr => 1,
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
