//! The file that a container's output is moved into before anything else is done with it.
//!
//! For a pipe, `splice(2)` takes the bytes out and puts them into the file in one step that a
//! `SIGKILL` cannot divide: what is not in the file is still in the pipe, which the container's
//! monitor keeps. So the file's length is the stream's position. A pty has no such call; there
//! `read(2)` and `pwrite(2)` follow each other, and a kill between the two loses what was read.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The most bytes moved at once; also the size that a busy pipe is given, Linux's limit for
/// unprivileged processes (`/proc/sys/fs/pipe-max-size`).
pub(crate) const BURST_BYTES: usize = 1024 * 1024;
/// How much processed content collects before it is given back to the file system.
const PUNCH_BYTES: u64 = 1024 * 1024;
/// Holes begin and end at pages.
const PAGE_BYTES: u64 = 4096;
/// The most that one `read(2)` of a pty gives.
const TERMINAL_BYTES: usize = 64 * 1024;

/// How bytes get from a descriptor into the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// `splice(2)`: a pipe.
    Splice,
    /// `read(2)`: a pty's master.
    Copy,
}

/// What a transfer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes.
    Bytes(usize),
    /// No writer is left.
    End,
}

/// One stream's spool.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    length: u64,
    punched: u64,
}

impl Spool {
    /// A new, empty spool, or (`keep`) the one an earlier process left, or a new one.
    pub(crate) fn open(path: &Path, keep: bool) -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).create(true).truncate(!keep).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length, punched: 0 })
    }

    /// Bytes that have come so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Move what there is, at most [`BURST_BYTES`]. `WouldBlock`: there is nothing now.
    pub(crate) fn fill(&mut self, source: impl AsFd, how: Transfer) -> io::Result<Found> {
        let moved = match how {
            Transfer::Splice => {
                let mut at = self.length;
                rustix::pipe::splice(
                    source,
                    None,
                    &self.file,
                    Some(&mut at),
                    BURST_BYTES,
                    SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
                )?
            }
            Transfer::Copy => {
                let mut buffer = vec![0; TERMINAL_BYTES];
                let count = read(source.as_fd(), &mut buffer)?;
                self.file.write_all_at(buffer.get(..count).unwrap_or_default(), self.length)?;
                count
            }
        };
        self.length += moved as u64;
        Ok(if moved == 0 { Found::End } else { Found::Bytes(moved) })
    }

    /// The bytes from here on, at most `most`, behind what is in `buffer`.
    pub(crate) fn read(&self, from: u64, most: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let wanted = usize::try_from(self.length.saturating_sub(from)).unwrap_or(most).min(most);
        let start = buffer.len();
        buffer.reserve_exact(wanted);
        while buffer.len() < start + wanted {
            let at = from + (buffer.len() - start) as u64;
            if rustix::io::pread(&self.file, rustix::buffer::spare_capacity(buffer), at)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        buffer.truncate(start + wanted);
        Ok(())
    }

    /// Give what lies before `upto` back to the file system, now and then. The length stays.
    pub(crate) fn forget(&mut self, upto: u64) {
        let upto = upto / PAGE_BYTES * PAGE_BYTES;
        if upto < self.punched + PUNCH_BYTES {
            return;
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let length = upto - self.punched;
        // A file system without holes keeps the bytes until the container stops.
        if rustix::fs::fallocate(&self.file, hole, self.punched, length).is_ok() {
            self.punched = upto;
        }
    }
}

/// Delete a spool; it need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether there is something to read, or the end, without taking it.
pub(crate) fn probe(fd: BorrowedFd<'_>) -> io::Result<Found> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default()))?;
    let [found] = fds.each_ref().map(PollFd::revents);
    if found.contains(PollFlags::IN) {
        Ok(Found::Bytes(1))
    } else if found.is_empty() {
        Err(io::ErrorKind::WouldBlock.into())
    } else {
        Ok(Found::End)
    }
}

/// Read what a pipe or a pty's master has; 0: the end. A master answers `EIO` once every slave is
/// closed.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match rustix::io::read(fd, buffer) {
        Err(Errno::IO) => Ok(0),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_in_the_spool_is_no_longer_in_the_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("stdout"), true).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let nothing = spool.fill(&reader, Transfer::Splice).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        writer.write_all(b"hello ").unwrap();
        assert_eq!(spool.fill(&reader, Transfer::Splice).unwrap(), Found::Bytes(6));
        writer.write_all(b"world").unwrap();
        drop(writer);
        assert_eq!(spool.fill(&reader, Transfer::Splice).unwrap(), Found::Bytes(5));
        assert_eq!(spool.fill(&reader, Transfer::Splice).unwrap(), Found::End);

        let mut back = Vec::new();
        spool.read(6, 100, &mut back).unwrap();
        assert_eq!((back.as_slice(), spool.length()), (&b"world"[..], 11));
    }

    #[test]
    fn forgotten_content_takes_no_room_and_the_length_stays() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        std::fs::write(&path, vec![b'x'; 3 * 1024 * 1024]).unwrap();
        let mut spool = Spool::open(&path, true).unwrap();
        let before = path.metadata().unwrap();
        spool.forget(2 * 1024 * 1024 + 5);
        let after = path.metadata().unwrap();
        assert_eq!(before.len(), after.len());
        assert!(after.blocks() < before.blocks(), "{} {}", after.blocks(), before.blocks());
    }
}
