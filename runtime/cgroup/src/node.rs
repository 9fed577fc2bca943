//! One directory in one hierarchy, and its files.

use crate::Error;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a hierarchy controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Controller {
    Memory = 1,
    Cpu = 2,
    Cpuacct = 4,
    Cpuset = 8,
    Pids = 16,
    Io = 32,
    Devices = 64,
    Freezer = 128,
}

impl Controller {
    /// The controller with this name: an option of a v1 mount, or a word of `cgroup.controllers`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "memory" => Self::Memory,
            "cpu" => Self::Cpu,
            "cpuacct" => Self::Cpuacct,
            "cpuset" => Self::Cpuset,
            "pids" => Self::Pids,
            "io" | "blkio" => Self::Io,
            "devices" => Self::Devices,
            "freezer" => Self::Freezer,
            _ => return None,
        })
    }
}

/// Some controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Controllers(u8);

impl Controllers {
    pub(crate) fn contains(self, controller: Controller) -> bool {
        self.0 & controller as u8 != 0
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Controller> for Controllers {
    fn from_iter<T: IntoIterator<Item = Controller>>(controllers: T) -> Self {
        Self(controllers.into_iter().fold(0, |bits, controller| bits | controller as u8))
    }
}

/// A directory of a cgroup file system.
#[derive(Debug)]
pub(crate) struct Node {
    fd: OwnedFd,
    /// It is in the v2 hierarchy.
    pub(crate) unified: bool,
    /// What can be limited here.
    pub(crate) controllers: Controllers,
}

/// Directories below a cgroup that are walked: an engine's containers make none, a privileged one
/// may.
const MAX_DEPTH: usize = 64;

impl Node {
    pub(crate) fn new(fd: OwnedFd, unified: bool, controllers: Controllers) -> Self {
        Self { fd, unified, controllers }
    }

    /// Make a directory; `false`: it is there already.
    pub(crate) fn make(&self, name: &str) -> Result<bool, Error> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::kernel("mkdirat", name, errno)),
        }
    }

    /// Open a directory below, with the same controllers; none: it is not there.
    pub(crate) fn child(&self, name: &str) -> Result<Option<Self>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, ..*self })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::kernel("openat", name, errno)),
        }
    }

    /// The names of the directories below.
    pub(crate) fn children(&self) -> Result<Vec<String>, Error> {
        let failed = |errno| Error::kernel("getdents", ".", errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// The directory above.
    pub(crate) fn above(&self) -> Result<Self, Error> {
        self.child("..")?.ok_or_else(|| Error::kernel("openat", "..", Errno::NOENT))
    }

    /// Remove the directory `name` and those in it. `false`: a process is in one of them.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        self.remove_to(name, MAX_DEPTH)
    }

    fn remove_to(&self, name: &str, depth: usize) -> Result<bool, Error> {
        if self.rmdir(name)? {
            return Ok(true);
        }
        let (Some(node), Some(depth)) = (self.child(name)?, depth.checked_sub(1)) else {
            return Ok(false);
        };
        let children = node.children()?;
        for child in &children {
            if !node.remove_to(child, depth)? {
                return Ok(false);
            }
        }
        Ok(!children.is_empty() && self.rmdir(name)?)
    }

    fn rmdir(&self, name: &str) -> Result<bool, Error> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::BUSY | Errno::NOTEMPTY) => Ok(false),
            Err(errno) => Err(Error::kernel("rmdir", name, errno)),
        }
    }

    /// The pids of the processes in it and below; 0, a process of a pid namespace that is not below
    /// ours, is left out.
    pub(crate) fn processes(&self) -> Result<Vec<u32>, Error> {
        let mut pids = Vec::new();
        self.collect_processes(&mut pids, MAX_DEPTH)?;
        Ok(pids)
    }

    fn collect_processes(&self, pids: &mut Vec<u32>, depth: usize) -> Result<(), Error> {
        let text = self.read("cgroup.procs")?;
        pids.extend(
            text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &u32| *pid != 0),
        );
        for name in self.children()? {
            if let (Some(node), Some(depth)) = (self.child(&name)?, depth.checked_sub(1)) {
                node.collect_processes(pids, depth)?;
            }
        }
        Ok(())
    }

    /// Open a file in it; none: it is not there.
    pub(crate) fn open(&self, file: &str, flags: OFlags) -> Result<Option<OwnedFd>, Error> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, file, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::kernel("openat", file, errno)),
        }
    }

    /// What a file says.
    pub(crate) fn read(&self, file: &str) -> Result<String, Error> {
        self.read_optional(file)?.ok_or_else(|| Error::kernel("openat", file, Errno::NOENT))
    }

    /// What a file says; none: it is not there.
    pub(crate) fn read_optional(&self, file: &str) -> Result<Option<String>, Error> {
        let Some(fd) = self.open(file, OFlags::RDONLY)? else { return Ok(None) };
        read_whole(fd.as_fd()).map(Some).map_err(|source| Error::kernel("read", file, source))
    }

    /// Write `value` in one piece; `false`: there is no such file.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<bool, Error> {
        self.write_each(file, [value])
    }

    /// Write values, each in one piece; `false`: there is no such file.
    pub(crate) fn write_each<'a>(
        &self,
        file: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<bool, Error> {
        let Some(fd) = self.open(file, OFlags::WRONLY)? else { return Ok(false) };
        for value in values {
            match retry_on_intr(|| rustix::io::pwrite(&fd, value.as_bytes(), 0)) {
                Ok(written) if written == value.len() => {}
                Ok(_) => return Err(Error::kernel("write", file, Errno::IO)),
                Err(errno) => {
                    return Err(Error::kernel("write", &format!("{file} {value:?}"), errno));
                }
            }
        }
        Ok(true)
    }

    /// Set `limit` by writing `value` to `file`, and see that the kernel holds it: `holds` judges
    /// what the file says afterwards, without the line's end.
    pub(crate) fn set(
        &self,
        limit: &'static str,
        file: &'static str,
        value: &str,
        holds: impl FnOnce(&str) -> bool,
    ) -> Result<(), Error> {
        if !self.write(file, value)? {
            return Err(Error::Unsupported { limit, file });
        }
        self.check(limit, file, value, holds)
    }

    /// See that `file` says what `holds` admits.
    pub(crate) fn check(
        &self,
        limit: &'static str,
        file: &'static str,
        wanted: &str,
        holds: impl FnOnce(&str) -> bool,
    ) -> Result<(), Error> {
        let found = self.read(file)?;
        let found = found.trim_end();
        if holds(found) {
            Ok(())
        } else {
            Err(Error::NotApplied { limit, file, wanted: wanted.into(), found: found.into() })
        }
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Read a file of the kernel from its start.
pub(crate) fn read_whole(fd: BorrowedFd<'_>) -> std::io::Result<String> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        let room = bytes.get_mut(length..).unwrap_or_default();
        let position = u64::try_from(length).unwrap_or(u64::MAX);
        match retry_on_intr(|| rustix::io::pread(fd, &mut *room, position))? {
            0 => break,
            read => length = length.saturating_add(read),
        }
        if length == bytes.len() {
            bytes.resize(length.saturating_mul(2), 0);
        }
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|error| std::io::Error::other(error.utf8_error()))
}
