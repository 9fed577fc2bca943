//! Paths in a container, resolved below its root by descriptor.
//!
//! The kernel does it (`openat2(2)`, `RESOLVE_IN_ROOT`, no magic links) where everything is there.
//! What is missing is made component by component: each step opens one name below a descriptor
//! without following it, `..` goes back to a descriptor that was opened before, and a link's text
//! starts over from the root. No step can leave the root, whoever renames what meanwhile.

use crate::error::{Error, Step};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many links as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// openat2(2) gives `EAGAIN` while somebody renames or mounts; so often in a row is an attack.
const MAX_TRIES: usize = 32;

/// `PROC_SUPER_MAGIC` of `linux/magic.h`.
const PROC: rustix::fs::FsWord = 0x9fa0;

/// What to make of a path's last component if it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// A directory, mode 0755, as all directories above it.
    Directory,
    /// An empty file, mode 0644.
    File,
}

/// What is at `path` (absolute, `/` for the root) below `root`, as `O_PATH`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    open_as(root, path, OFlags::PATH)
}

/// The same, opened with `flags`.
pub(crate) fn open_as(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how))
}

/// The same; what is missing is made, owned by who this process is. Links that lead nowhere are
/// followed, and their targets made.
pub(crate) fn open_or_make(
    root: BorrowedFd<'_>,
    path: &[u8],
    make: Make,
) -> Result<OwnedFd, Error> {
    let at = || format!("{}", path.escape_ascii());
    match open(root, path) {
        Err(Errno::NOENT) => Walk::new(root, path).and_then(|walk| walk.run(make)).step_at(at),
        found => found.step_at(at),
    }
}

/// A directory right below the root that the engine mounts on. It must not be a link: what the
/// image meant by one is not what is protected there (class B2, B7).
pub(crate) fn ordinary_directory(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Error> {
    let open = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        retry(|| rustix::fs::openat2(root, name, flags, Mode::empty(), how))
    };
    let opened = match open() {
        Err(Errno::NOENT) => {
            rustix::fs::mkdirat(root, name, Mode::from_raw_mode(0o755))
                .step_at(|| format!("mkdir /{name}"))?;
            open()
        }
        opened => opened,
    };
    match opened {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            Err(Error::invalid(format!("/{name} of the image must be an ordinary directory")))
        }
        opened => opened.step_at(|| format!("/{name}")),
    }
}

fn retry<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..MAX_TRIES {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    open()
}

/// A walk that makes what is missing.
struct Walk {
    /// The directories from the root to where we are.
    trail: Vec<OwnedFd>,
    /// Names still to go, the next one last.
    names: Vec<Vec<u8>>,
    links: usize,
}

impl Walk {
    fn new(root: BorrowedFd<'_>, path: &[u8]) -> Result<Self, Errno> {
        let root = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
        let mut walk = Self { trail: vec![root], names: Vec::new(), links: 0 };
        walk.push(path);
        Ok(walk)
    }

    fn push(&mut self, path: &[u8]) {
        let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
        self.names.extend(names.rev().map(<[u8]>::to_vec));
    }

    fn run(mut self, make: Make) -> Result<OwnedFd, Errno> {
        while let Some(name) = self.names.pop() {
            if name == b".." {
                if self.trail.len() > 1 {
                    self.trail.pop();
                }
                continue;
            }
            let here = self.trail.last().ok_or(Errno::NOENT)?.as_fd();
            let next = match step(here, &name) {
                Err(Errno::NOENT) => {
                    make_one(
                        here,
                        &name,
                        if self.names.is_empty() { make } else { Make::Directory },
                    )?;
                    step(here, &name)?
                }
                next => next?,
            };
            let stat = rustix::fs::statat(&next, "", AtFlags::EMPTY_PATH)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                // Nothing can be made there, and `/proc/self/fd/N` is no path.
                if rustix::fs::fstatfs(&next)?.f_type == PROC {
                    return Err(Errno::LOOP);
                }
                self.follow(&next)?;
            } else {
                self.trail.push(next);
            }
        }
        self.trail.pop().ok_or(Errno::NOENT)
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        let target = target.as_bytes();
        if target.first() == Some(&b'/') {
            self.trail.truncate(1);
        }
        self.push(target);
        Ok(())
    }
}

/// One name, not followed.
fn step(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(at, name, flags, Mode::empty(), how))
}

fn make_one(at: BorrowedFd<'_>, name: &[u8], make: Make) -> Result<(), Errno> {
    let made = match make {
        Make::Directory => rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)),
        Make::File => {
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(at, name, FileType::RegularFile, mode, 0)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}
