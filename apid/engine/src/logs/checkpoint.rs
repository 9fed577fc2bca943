//! How far a container's output has got into its log file: what makes each byte appear in the log
//! exactly once, whenever this process is killed.
//!
//! The record is 64 bytes and written by one `pwrite(2)` after each write to the log; a killed
//! process leaves the old one or the new one. What the log has beyond the recorded length is cut
//! off at the next start and written again from the spool.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: u64 = u64::from_le_bytes(*b"bhlogpos");
const VERSION: u64 = 1;
const WORDS: usize = 8;

/// Where the spools and the log stand together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes of each spool (stdout, stderr) that are in the log.
    pub consumed: [u64; 2],
    /// Inode of the log file meant: another one is there after an interrupted rotation.
    pub log_inode: u64,
    /// The log file's length in bytes.
    pub log_length: u64,
}

/// The file that holds the position.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: File,
}

impl Checkpoint {
    /// The position that an earlier process left; none: there is none, or it is not one.
    pub(crate) fn read(path: &Path) -> Option<Position> {
        let bytes = std::fs::read(path).ok()?;
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let words: [[u8; 8]; WORDS] = words.try_into().ok()?;
        let [magic, version, out, err, log_inode, log_length, sum, 0] =
            words.map(u64::from_le_bytes)
        else {
            return None;
        };
        let position = Position { consumed: [out, err], log_inode, log_length };
        (magic == MAGIC && version == VERSION && sum == position.sum()).then_some(position)
    }

    /// Make the file, or take it over, and write down where things stand.
    pub(crate) fn open(path: &Path, position: Position) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?.into();
        let checkpoint = Self { path: path.to_owned(), file };
        checkpoint.write(position)?;
        Ok(checkpoint)
    }

    /// Write down where things stand.
    pub(crate) fn write(&self, position: Position) -> io::Result<()> {
        let [out, err] = position.consumed;
        let words =
            [MAGIC, VERSION, out, err, position.log_inode, position.log_length, position.sum(), 0];
        self.file.write_all_at(words.map(u64::to_le_bytes).as_flattened(), 0)
    }

    /// All output is in the log: without this file the spools mean nothing any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl Position {
    /// Against records torn by a power failure; not against anyone.
    fn sum(self) -> u64 {
        let [out, err] = self.consumed;
        [out, err, self.log_inode, self.log_length]
            .into_iter()
            .fold(MAGIC, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_and_garbage_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        assert_eq!(Checkpoint::read(&path), None);
        let first = Position { consumed: [1, 2], log_inode: 3, log_length: 4 };
        let checkpoint = Checkpoint::open(&path, first).unwrap();
        assert_eq!(Checkpoint::read(&path), Some(first));
        let second = Position { log_length: 5, ..first };
        checkpoint.write(second).unwrap();
        assert_eq!(Checkpoint::read(&path), Some(second));

        let mut torn = std::fs::read(&path).unwrap();
        torn[17] ^= 1;
        std::fs::write(&path, torn).unwrap();
        assert_eq!(Checkpoint::read(&path), None);
    }
}
