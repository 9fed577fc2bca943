//! Applies entries to a directory as Docker does, without ever leaving it.
//!
//! A parent directory is looked up with `openat2(2)` and `RESOLVE_IN_ROOT`: a symbolic link of
//! the layer leads, absolute or not, to a place in the layer, as it does for a program in the
//! container and for Docker's untar, which runs in a chroot. The last component is never
//! followed: files are made with `O_EXCL`, and what stood there before is removed first.
//!
//! | entry on | directory | anything else |
//! |---|---|---|
//! | directory | merged: owner, mode, times are the entry's | replaced |
//! | anything else | removed with all below it, replaced | replaced |
//!
//! Implied parents are made with mode 0755, as Docker does.

mod attributes;
mod remove;
mod tree;
mod whiteout;

use std::io::Read;
use std::os::fd::OwnedFd;

use bulkhead_archive::{Entry, Kind};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use self::tree::{Name, Parent, Tree};
use self::whiteout::Meaning;
use crate::error::Error;

/// The largest uid and gid: the storage range has 65,536.
const MAX_ID: u64 = 65_535;
/// How much of a file is written at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// Names of directories whose times are set at the end may take this much memory.
const MAX_NAMES_BYTES: usize = 128 * 1024 * 1024;
/// An entry that is replaced while it is replaced: not without another writer.
const MAX_TRIES: usize = 4;

/// What was left out, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Device nodes: a container has its own `/dev`, and the kernel refuses them here.
    pub(crate) devices: u64,
    /// Extended attributes that are not on the list, or that the filesystem does not have.
    pub(crate) xattrs: u64,
    /// aufs's own files, `.wh..wh.*`.
    pub(crate) aufs: u64,
}

/// Applies entries, in order.
pub(crate) struct Applier {
    tree: Tree,
    /// Directories and their times, which later entries would change.
    times: Vec<(Box<[u8]>, Timestamps)>,
    names_bytes: usize,
    skipped: Skipped,
    buffer: Vec<u8>,
}

impl Applier {
    /// Into an empty directory, with no bits masked: the sandbox has set umask(2) to 0.
    pub(crate) fn new(staging: OwnedFd) -> Result<Self, Error> {
        Ok(Self {
            tree: Tree::new(staging)?,
            times: Vec::new(),
            names_bytes: 0,
            skipped: Skipped::default(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Apply one entry, whose contents are read from `contents`.
    pub(crate) fn apply(&mut self, entry: &Entry, contents: &mut dyn Read) -> Result<(), Error> {
        self.dispatch(entry, contents).map_err(|error| error.of(&entry.path))
    }

    /// Set the directories' times, and see to it that all is on disk.
    pub(crate) fn finish(mut self) -> Result<Skipped, Error> {
        for (path, times) in std::mem::take(&mut self.times) {
            // A directory that a later entry replaced has that entry's times.
            if let Some(directory) = self.tree.existing_directory(&path)? {
                rustix::fs::futimens(&directory, &times).map_err(Error::call("utimensat"))?;
            }
        }
        self.tree.sync()?;
        Ok(self.skipped)
    }

    fn dispatch(&mut self, entry: &Entry, contents: &mut dyn Read) -> Result<(), Error> {
        let components = tree::components(&entry.path)?;
        let Some((name, parents)) = components.split_last() else {
            // Docker leaves the top directory as it is.
            let is_directory = entry.kind == Kind::Directory;
            let why = refused("the top directory as something else");
            return if is_directory { Ok(()) } else { Err(why) };
        };
        match whiteout::meaning(&components)? {
            Meaning::Plain => {}
            Meaning::Aufs => {
                self.skipped.aufs += 1;
                return Ok(());
            }
            Meaning::Opaque | Meaning::Whiteout(_)
                if entry.size != 0 || !matches!(entry.kind, Kind::Regular | Kind::HardLink) =>
            {
                return Err(refused("a whiteout is an empty file"));
            }
            Meaning::Opaque => return whiteout::make_opaque(&mut self.tree, parents),
            Meaning::Whiteout(hidden) => {
                let parent = self.tree.parent(parents)?;
                return whiteout::make_whiteout(&parent, hidden);
            }
        }
        let owner = owner(entry)?;
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            if entry.kind == Kind::CharDevice && (entry.major, entry.minor) == (0, 0) {
                return Err(refused("a character device 0:0, which would hide files"));
            }
            self.skipped.devices += 1;
            return Ok(());
        }
        let parent = self.tree.parent(parents)?;
        let place = Place { parent, name: Name::new(name)?, entry, owner };
        let made = match entry.kind {
            Kind::Directory => self.directory(&place),
            Kind::Regular => self.regular(&place, contents),
            Kind::Symlink => self.symlink(&place),
            Kind::Fifo => self.fifo(&place),
            Kind::HardLink => self.hard_link(&place),
            Kind::CharDevice | Kind::BlockDevice => Ok(()),
        };
        self.tree.put_back(place.parent);
        made
    }

    fn directory(&mut self, place: &Place<'_>) -> Result<(), Error> {
        let Place { parent, name, entry, .. } = place;
        let mut hides_lower = false;
        for _ in 0..MAX_TRIES {
            match parent.mkdir(name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::call("mkdirat")(errno)),
            }
            match parent.open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
                Ok(directory) => {
                    if hides_lower {
                        whiteout::set_opaque(&directory)?;
                    }
                    self.skipped.xattrs += attributes::set(&directory, entry, place.owner)?;
                    return self.remember_times(parent.path_of(name), times(entry));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    hides_lower |= whiteout::is_whiteout(parent, name)?;
                    self.clear(parent, name)?;
                }
                Err(errno) => return Err(Error::call("openat2")(errno)),
            }
        }
        Err(refused("replaced while it was made"))
    }

    fn regular(&mut self, place: &Place<'_>, contents: &mut dyn Read) -> Result<(), Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(place.entry.mode);
        let file = self.make(place, "openat2", |parent, name| parent.open(name, flags, mode))?;
        loop {
            let count = match contents.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut rest = self.buffer.get(..count).unwrap_or_default();
            while !rest.is_empty() {
                let written = rustix::io::write(&file, rest).map_err(Error::call("write"))?;
                rest = rest.get(written..).unwrap_or_default();
            }
        }
        self.skipped.xattrs += attributes::set(&file, place.entry, place.owner)?;
        rustix::fs::futimens(&file, &times(place.entry)).map_err(Error::call("utimensat"))
    }

    fn symlink(&mut self, place: &Place<'_>) -> Result<(), Error> {
        let target = Name::text(&place.entry.link)?;
        self.make(place, "symlinkat", |parent, name| parent.symlink(&target, name))?;
        self.skipped.xattrs += place.entry.xattrs.len() as u64;
        place.set_owner_and_times()
    }

    fn fifo(&mut self, place: &Place<'_>) -> Result<(), Error> {
        let mode = Mode::from_raw_mode(place.entry.mode & 0o777);
        self.make(place, "mknodat", |parent, name| parent.mknod(name, FileType::Fifo, mode))?;
        self.skipped.xattrs += place.entry.xattrs.len() as u64;
        place.set_owner_and_times()
    }

    /// A further name of a file of this layer. Owner, mode and times are the file's.
    fn hard_link(&mut self, place: &Place<'_>) -> Result<(), Error> {
        let link = &place.entry.link;
        let components = tree::components(link)?;
        let Some((name, parents)) = components.split_last() else {
            return Err(refused("a hard link to the top directory"));
        };
        if !matches!(whiteout::meaning(&components)?, Meaning::Plain) {
            return Err(refused("a hard link to a whiteout"));
        }
        let missing =
            || Error::entry(&place.entry.path, format!("no {:?} to link to", lossy(link)));
        let from = self.tree.existing_parent(parents)?.ok_or_else(missing)?;
        let name = Name::new(name)?;
        let Some(target) = from.stat(&name)? else { return Err(missing()) };
        let target_type = FileType::from_raw_mode(target.st_mode);
        if target_type == FileType::Directory {
            return Err(refused("a hard link to a directory"));
        }
        if target_type == FileType::CharacterDevice {
            return Err(refused("a hard link to a whiteout"));
        }
        let there = place.parent.stat(&place.name)?;
        if there.is_some_and(|there| there.st_ino == target.st_ino) {
            return Ok(());
        }
        self.make(place, "linkat", |parent, to| from.link(&name, parent, to))
    }

    /// Make something that must not be there; what is there is removed first.
    fn make<T>(
        &mut self,
        place: &Place<'_>,
        call: &'static str,
        mut make: impl FnMut(&Parent, &Name) -> Result<T, Errno>,
    ) -> Result<T, Error> {
        for _ in 0..MAX_TRIES {
            match make(&place.parent, &place.name) {
                Err(Errno::EXIST) => self.clear(&place.parent, &place.name)?,
                other => return other.map_err(Error::call(call)),
            }
        }
        Err(refused("replaced while it was made"))
    }

    fn clear(&mut self, parent: &Parent, name: &Name) -> Result<(), Error> {
        self.tree.note_removal();
        remove::remove(parent, name)
    }

    fn remember_times(&mut self, path: Box<[u8]>, times: Timestamps) -> Result<(), Error> {
        self.names_bytes += path.len() + size_of::<(Box<[u8]>, Timestamps)>();
        if self.names_bytes > MAX_NAMES_BYTES {
            return Err(Error::Limit("names of directories: more than 128 MiB"));
        }
        self.times.push((path, times));
        Ok(())
    }
}

/// Where an entry goes.
struct Place<'a> {
    parent: Parent,
    name: Name,
    entry: &'a Entry,
    owner: (Uid, Gid),
}

impl Place<'_> {
    /// Of what cannot be opened for it.
    fn set_owner_and_times(&self) -> Result<(), Error> {
        let (uid, gid) = self.owner;
        self.parent.chown(&self.name, uid, gid).map_err(Error::call("fchownat"))?;
        self.parent
            .set_times(&self.name, &times(self.entry), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::call("utimensat"))
    }
}

fn owner(entry: &Entry) -> Result<(Uid, Gid), Error> {
    let id = |what: &str, id: u64| {
        u32::try_from(id)
            .ok()
            .filter(|_| id <= MAX_ID)
            .ok_or_else(|| Error::entry(&entry.path, format!("{what} {id} is more than {MAX_ID}")))
    };
    Ok((Uid::from_raw(id("uid", entry.uid)?), Gid::from_raw(id("gid", entry.gid)?)))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.seconds, tv_nsec: entry.mtime.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// An entry's fault; [`Applier::apply`] adds its name.
fn refused(why: &'static str) -> Error {
    Error::Refused(why)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
