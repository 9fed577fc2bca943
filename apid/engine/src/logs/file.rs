//! The `json-file` log: `<id>-json.log`, and with rotation `.1`, `.2`, ... (the oldest last).

use super::checkpoint::Position;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How far back the end of an unfinished line is looked for.
const TORN_BYTES: u64 = 128 * 1024;

/// How large a log may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A file that has reached so many bytes is rotated; none: it grows.
    pub max_bytes: Option<u64>,
    /// So many files, the current one among them; at least 1.
    pub max_files: u32,
}

/// How far a log has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How often the file was rotated since this process began to look after it.
    pub rotations: u64,
    /// Bytes of the current file that are whole lines.
    pub length: u64,
    /// No more will come until the next start.
    pub ended: bool,
}

/// A container's log as its writer and its readers share it.
#[derive(Debug)]
pub(crate) struct Shelf {
    path: PathBuf,
    limits: Limits,
    /// Held while files are renamed or opened by name.
    order: Mutex<()>,
    progress: watch::Sender<Progress>,
}

impl Shelf {
    /// The log at this path; nobody writes it yet.
    pub(crate) fn new(path: PathBuf, limits: Limits) -> Self {
        let length = path.metadata().map_or(0, |file| file.len());
        let progress = watch::Sender::new(Progress { rotations: 0, length, ended: true });
        Self { path, limits, order: Mutex::new(()), progress }
    }

    /// Wakes whenever there is more.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The file that is written.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new run of the container begins.
    pub(crate) fn begin(&self) {
        self.progress.send_modify(|progress| progress.ended = false);
    }

    /// The run's output is complete.
    pub(crate) fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// The files there are, the oldest first, each opened and with the length it has now, and the
    /// progress that goes with them.
    pub(crate) fn open_all(&self) -> io::Result<(Vec<(File, u64)>, Progress)> {
        let _order = self.ordered();
        let progress = *self.progress.borrow();
        let mut files = Vec::new();
        for age in (0..self.limits.max_files).rev() {
            match File::open(self.aged(age)) {
                Ok(file) => {
                    let length = if age == 0 { progress.length } else { file.metadata()?.len() };
                    files.push((file, length));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok((files, progress))
    }

    /// The file that was current at this rotation, or the oldest there is if that is gone already;
    /// with its rotation.
    pub(crate) fn open_from(&self, rotation: u64) -> io::Result<(File, u64)> {
        let _order = self.ordered();
        let now = self.progress.borrow().rotations;
        let oldest = u64::from(self.limits.max_files.saturating_sub(1));
        let age = now.saturating_sub(rotation).min(oldest);
        let file = File::open(self.aged(u32::try_from(age).unwrap_or(u32::MAX)))?;
        Ok((file, now - age))
    }

    fn ordered(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn aged(&self, age: u32) -> PathBuf {
        if age == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }
}

/// The writer's side. There is one at a time.
#[derive(Debug)]
pub(crate) struct LogFile {
    shelf: Arc<Shelf>,
    file: File,
    length: u64,
    inode: u64,
}

impl LogFile {
    /// Open the log for writing. `position`: where an earlier process left it; what it wrote
    /// beyond that is cut off.
    pub(crate) fn open(shelf: Arc<Shelf>, position: Option<Position>) -> io::Result<Self> {
        let file = open_or_create(&shelf.path)?;
        let found = file.metadata()?;
        match position {
            Some(position) if position.log_inode == found.ino() => {
                file.set_len(position.log_length.min(found.len()))?;
            }
            Some(position) => {
                // It was killed while it rotated: the file meant is the previous one by now, and
                // whatever the new one has is not accounted for.
                let previous = File::options().write(true).open(shelf.aged(1)).ok();
                let previous = previous.filter(|file| {
                    file.metadata().is_ok_and(|found| found.ino() == position.log_inode)
                });
                if let Some(previous) = previous {
                    previous.set_len(position.log_length.min(previous.metadata()?.len()))?;
                    file.set_len(0)?;
                }
            }
            None => {}
        }
        let length = whole_lines(&file)?;
        let log = Self { shelf, file, length, inode: found.ino() };
        log.publish();
        Ok(log)
    }

    /// Where the log stands.
    pub(crate) fn position(&self, consumed: [u64; 2]) -> Position {
        Position { consumed, log_inode: self.inode, log_length: self.length }
    }

    /// Whether the next line belongs into a new file, when `pending` bytes are still to be
    /// written into this one.
    pub(crate) fn is_full(&self, pending: usize) -> bool {
        self.shelf.limits.max_bytes.is_some_and(|most| self.length + pending as u64 >= most)
    }

    /// Append whole lines. After a failure the file is as before.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(lines, self.length) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Let readers know of what was written.
    pub(crate) fn publish(&self) {
        self.shelf.progress.send_modify(|progress| progress.length = self.length);
    }

    /// Begin a new file.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let shelf = Arc::clone(&self.shelf);
        let _order = shelf.ordered();
        let oldest = shelf.limits.max_files.saturating_sub(1);
        for age in (0..oldest).rev() {
            match std::fs::rename(shelf.aged(age), shelf.aged(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if oldest == 0 {
            std::fs::remove_file(&shelf.path)?;
        }
        self.file = open_or_create(&shelf.path)?;
        self.file.set_len(0)?;
        self.inode = self.file.metadata()?.ino();
        self.length = 0;
        shelf.progress.send_modify(|progress| {
            progress.rotations += 1;
            progress.length = 0;
        });
        Ok(())
    }
}

fn open_or_create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)
}

/// Cut off a line without end, which a power failure may leave. The length then.
fn whole_lines(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TORN_BYTES);
    let mut tail = vec![0; usize::try_from(length - from).unwrap_or(0).min(1)];
    file.read_exact_at(&mut tail, length.saturating_sub(1))?;
    if tail.is_empty() || tail == [b'\n'] {
        return Ok(length);
    }
    let mut tail = vec![0; usize::try_from(length - from).unwrap_or(0)];
    file.read_exact_at(&mut tail, from)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(from, |at| from + at as u64 + 1);
    file.set_len(end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(dir: &Path, max_bytes: Option<u64>, max_files: u32) -> Arc<Shelf> {
        Arc::new(Shelf::new(dir.join("c-json.log"), Limits { max_bytes, max_files }))
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn rotation_keeps_so_many_files_the_oldest_last() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), Some(2), 3);
        let mut log = LogFile::open(Arc::clone(&shelf), None).unwrap();
        for line in ["1\n", "2\n", "3\n", "4\n"] {
            if log.is_full(0) {
                log.rotate().unwrap();
            }
            log.write(line.as_bytes()).unwrap();
        }
        log.publish();
        assert_eq!(names(dir.path()), ["c-json.log", "c-json.log.1", "c-json.log.2"]);
        let (files, progress) = shelf.open_all().unwrap();
        let text = |file: &File| std::io::read_to_string(file).unwrap();
        assert_eq!(files.iter().map(|(file, _)| text(file)).collect::<String>(), "2\n3\n4\n");
        assert_eq!(progress.rotations, 3);
        let (after, rotation) = shelf.open_from(2).unwrap();
        assert_eq!((text(&after), rotation), ("3\n".to_owned(), 2));
        let (oldest, rotation) = shelf.open_from(0).unwrap();
        assert_eq!((text(&oldest), rotation), ("2\n".to_owned(), 1));
    }

    #[test]
    fn one_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), Some(2), 1);
        let mut log = LogFile::open(Arc::clone(&shelf), None).unwrap();
        log.write(b"1\n").unwrap();
        log.rotate().unwrap();
        log.write(b"2\n").unwrap();
        assert_eq!(names(dir.path()), ["c-json.log"]);
        assert_eq!(std::fs::read(shelf.path()).unwrap(), b"2\n");
    }

    #[test]
    fn what_is_beyond_the_checkpoint_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), None, 1);
        let mut log = LogFile::open(Arc::clone(&shelf), None).unwrap();
        log.write(b"1\n2\n").unwrap();
        let position = log.position([4, 0]);
        log.write(b"3\n").unwrap();
        let log = LogFile::open(Arc::clone(&shelf), Some(position)).unwrap();
        assert_eq!(log.position([4, 0]), position);
        assert_eq!(std::fs::read(shelf.path()).unwrap(), b"1\n2\n");
    }

    #[test]
    fn a_rotation_that_was_cut_short_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), Some(2), 2);
        let mut log = LogFile::open(Arc::clone(&shelf), None).unwrap();
        log.write(b"1\n").unwrap();
        let position = log.position([2, 0]);
        log.write(b"again\n").unwrap();
        log.rotate().unwrap();
        log.write(b"not accounted for\n").unwrap();
        LogFile::open(Arc::clone(&shelf), Some(position)).unwrap();
        assert_eq!(std::fs::read(shelf.path()).unwrap(), b"");
        assert_eq!(std::fs::read(shelf.aged(1)).unwrap(), b"1\n");
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), None, 1);
        std::fs::write(shelf.path(), b"whole\nhal").unwrap();
        LogFile::open(Arc::clone(&shelf), None).unwrap();
        assert_eq!(std::fs::read(shelf.path()).unwrap(), b"whole\n");
    }
}
