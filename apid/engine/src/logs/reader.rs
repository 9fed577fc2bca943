//! `docker logs`: lines out of the log's files, the oldest first, and new ones as they come.

use super::file::{Progress, Shelf};
use super::line::Line;
use crate::options::LogsOptions;
use crate::stream::StreamKind;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How much is read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// Lines of one stream are handed on together up to this size.
const PIECE_BYTES: usize = 64 * 1024;
/// A line longer than this is not ours: 16 KiB with every byte escaped, and attributes.
const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// Reads a log.
#[derive(Debug)]
pub(crate) struct LogReader {
    shelf: Arc<Shelf>,
    progress: watch::Receiver<Progress>,
    state: State,
    pieces: VecDeque<(StreamKind, Bytes)>,
    follow: bool,
}

/// Where the cursor is.
#[derive(Debug)]
enum State {
    /// Here.
    Idle(Box<Cursor>),
    /// With a thread that may wait for the disk.
    Reading(JoinHandle<(Box<Cursor>, Pieces, io::Result<bool>)>),
    /// Gone: the log cannot be read.
    Failed,
}

/// What a reading thread needs.
#[derive(Debug)]
struct Cursor {
    options: LogsOptions,
    /// The files to read, the oldest first, each to its length.
    files: VecDeque<(File, u64)>,
    /// Where in the first of them.
    at: u64,
    /// The rotation that the last file was current at.
    rotation: u64,
    /// Read and not yet a whole line.
    carry: Vec<u8>,
    /// `until` is reached.
    done: bool,
}

impl LogReader {
    /// Read what there is, and with `follow` what comes until the container's run ends.
    pub(crate) fn open(shelf: Arc<Shelf>, options: LogsOptions) -> io::Result<Self> {
        let progress = shelf.watch();
        let (files, now) = shelf.open_all()?;
        let mut cursor = Cursor {
            options,
            files: files.into(),
            at: 0,
            rotation: now.rotations,
            carry: Vec::new(),
            done: false,
        };
        if let Some(tail) = options.tail {
            cursor.skip_to_tail(tail)?;
        }
        let state = State::Idle(Box::new(cursor));
        Ok(Self { shelf, progress, state, pieces: VecDeque::new(), follow: options.follow })
    }

    /// The next piece: whole lines of one stream. None: the end, or the log cannot be read, which
    /// our own log says. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            match self.advance().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.state = State::Failed;
                    tracing::error!("reading {}: {error}", self.shelf.path().display());
                    return None;
                }
            }
        }
    }

    /// Read a block, or wait until there is one. False: there never will be.
    async fn advance(&mut self) -> io::Result<bool> {
        // Before reading: what is written after this wakes the wait below.
        let now = *self.progress.borrow_and_update();
        let (mut cursor, mut pieces, more) = self.read().await?;
        pieces.close();
        self.pieces.extend(pieces.done);
        let mut go_on = more? || !self.pieces.is_empty();
        let last = cursor.done || !self.follow;
        if !go_on && !last {
            go_on = cursor.go_on(&self.shelf, now)?;
        }
        self.state = State::Idle(cursor);
        if go_on || last || now.ended {
            return Ok(go_on);
        }
        Ok(self.progress.changed().await.is_ok())
    }

    async fn read(&mut self) -> io::Result<(Box<Cursor>, Pieces, io::Result<bool>)> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(mut cursor) => State::Reading(tokio::task::spawn_blocking(move || {
                let mut pieces = Pieces::default();
                let more = cursor.read_block(&mut pieces);
                (cursor, pieces, more)
            })),
            other @ (State::Reading(_) | State::Failed) => other,
        };
        match &mut self.state {
            State::Reading(thread) => thread.await.map_err(io::Error::other),
            State::Idle(_) | State::Failed => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Cursor {
    /// Read up to [`READ_BYTES`] of the first file. False: all files are read to their lengths.
    fn read_block(&mut self, pieces: &mut Pieces) -> io::Result<bool> {
        loop {
            let Some((file, length)) = self.files.front() else { return Ok(false) };
            let left = length.saturating_sub(self.at);
            if left == 0 {
                if self.files.len() == 1 {
                    return Ok(false);
                }
                self.files.pop_front();
                self.at = 0;
                self.carry.clear();
                continue;
            }
            let wanted = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let carried = self.carry.len();
            self.carry.resize(carried + wanted, 0);
            let target = self.carry.get_mut(carried..).unwrap_or_default();
            file.read_exact_at(target, self.at)?;
            self.at += wanted as u64;
            self.take_lines(pieces);
            return Ok(!self.done);
        }
    }

    fn take_lines(&mut self, pieces: &mut Pieces) {
        let carry = std::mem::take(&mut self.carry);
        let mut rest = carry.as_slice();
        while let Some(end) = super::line::newline(rest) {
            let (line, behind) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            rest = behind;
            // Someone else's line is skipped.
            if let Ok(line) = serde_json::from_slice::<Line<'_>>(line) {
                self.take_line(&line, pieces);
            }
            if self.done {
                return;
            }
        }
        if rest.len() <= LONGEST_LINE_BYTES {
            self.carry = rest.to_vec();
        }
    }

    fn take_line(&mut self, line: &Line<'_>, pieces: &mut Pieces) {
        let options = &self.options;
        if options.since.is_some() || options.until.is_some() {
            let Some(at) = line.at_ns() else { return };
            if options.until.is_some_and(|until| at > until) {
                self.done = true;
                return;
            }
            if options.since.is_some_and(|since| at < since) {
                return;
            }
        }
        let kind = line.kind();
        let wanted = match kind {
            StreamKind::Stdout => options.stdout,
            StreamKind::Stderr => options.stderr,
        };
        if !wanted {
            return;
        }
        let out = pieces.of(kind);
        if options.timestamps {
            out.extend_from_slice(fixed_time(&line.time).as_bytes());
            out.push(b' ');
        }
        if options.details {
            out.extend_from_slice(details(&line.attrs).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.log.as_bytes());
    }

    /// More of the last file, or the one after it. False: there is nothing new.
    fn go_on(&mut self, shelf: &Shelf, now: Progress) -> io::Result<bool> {
        let Some((file, length)) = self.files.back_mut() else {
            // There was no file at all when reading began.
            let some = now.length > 0 || now.rotations > self.rotation;
            return Ok(some && self.open(shelf, now, self.rotation)?);
        };
        if now.rotations == self.rotation {
            let grown = *length < now.length;
            *length = now.length;
            return Ok(grown);
        }
        // The file was rotated away: it is complete now. Then the next.
        let complete = file.metadata()?.len();
        if *length < complete {
            *length = complete;
            return Ok(true);
        }
        self.open(shelf, now, self.rotation + 1)
    }

    fn open(&mut self, shelf: &Shelf, now: Progress, rotation: u64) -> io::Result<bool> {
        let (file, rotation) = shelf.open_from(rotation)?;
        let length = if rotation == now.rotations { now.length } else { file.metadata()?.len() };
        self.rotation = rotation;
        self.files.push_back((file, length));
        Ok(true)
    }

    /// Leave only the last lines, whichever stream they are of.
    fn skip_to_tail(&mut self, lines: u64) -> io::Result<()> {
        let mut missing = lines;
        let mut kept = VecDeque::new();
        while let Some((file, length)) = self.files.pop_back() {
            let (start, found) = tail_start(&file, length, missing)?;
            missing -= found;
            kept.push_front((file, length));
            self.at = start;
            if missing == 0 {
                break;
            }
        }
        self.files = kept;
        Ok(())
    }
}

/// Where the last `lines` lines of a file begin, and how many lines that is if it has fewer.
fn tail_start(file: &File, length: u64, lines: u64) -> io::Result<(u64, u64)> {
    if lines == 0 {
        return Ok((length, 0));
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut end = length;
    let mut newlines = 0;
    while end > 0 {
        let begin = end.saturating_sub(READ_BYTES as u64);
        let size = usize::try_from(end - begin).unwrap_or(READ_BYTES);
        let block = buffer.get_mut(..size).unwrap_or_default();
        file.read_exact_at(block, begin)?;
        for (at, byte) in block.iter().enumerate().rev() {
            if *byte != b'\n' {
                continue;
            }
            // The newline before the first wanted line is one more than there are lines.
            if newlines == lines {
                return Ok((begin + at as u64 + 1, lines));
            }
            newlines += 1;
        }
        end = begin;
    }
    Ok((0, newlines))
}

/// Lines put together by stream.
#[derive(Debug, Default)]
struct Pieces {
    done: VecDeque<(StreamKind, Bytes)>,
    open: Option<(StreamKind, Vec<u8>)>,
}

impl Pieces {
    fn of(&mut self, kind: StreamKind) -> &mut Vec<u8> {
        let fits = |(of, text): &(StreamKind, Vec<u8>)| *of == kind && text.len() < PIECE_BYTES;
        if !self.open.as_ref().is_some_and(fits) {
            self.close();
        }
        &mut self.open.get_or_insert_with(|| (kind, Vec::new())).1
    }

    fn close(&mut self) {
        if let Some((kind, text)) = self.open.take()
            && !text.is_empty()
        {
            self.done.push_back((kind, text.into()));
        }
    }
}

/// Docker's `--timestamps`: always nine digits of fraction.
fn fixed_time(time: &str) -> String {
    let text = time.trim_end_matches('Z');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}.{fraction:0<9}Z")
}

/// Docker's `--details`: `key=value,key=value`, each as in a query string.
fn details(attributes: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (key, value) in attributes {
        if !out.is_empty() {
            out.push(',');
        }
        query_escape(&mut out, key);
        out.push('=');
        query_escape(&mut out, value);
    }
    out
}

/// Go's `url.QueryEscape`.
fn query_escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            // Writing to a string does not fail.
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
}
