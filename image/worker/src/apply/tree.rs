//! Descriptor-relative access below the staging directory. No other module has its descriptor.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid, openat2,
};
use rustix::io::Errno;

use super::lossy;
use crate::error::Error;

/// The most directories that are made although no entry names them.
const MAX_IMPLIED: u64 = 1_000_000;
/// Their mode, as Docker makes them.
const IMPLIED_MODE: Mode = Mode::from_raw_mode(0o755);
/// openat2(2) says EAGAIN when something on the host was renamed while it walked through `..`.
const MAX_WALKS: usize = 1000;

/// The staging directory.
pub(super) struct Tree {
    root: OwnedFd,
    /// The last parent directory: neighbours in an archive share it.
    last: Option<Parent>,
    implied: u64,
    /// How often something was removed: a parent found before that may be another now.
    removals: u64,
}

/// An open directory of the layer.
#[derive(Clone)]
pub(super) struct Parent {
    path: Vec<u8>,
    directory: Rc<OwnedFd>,
    /// [`Tree::removals`] when it was found.
    found_at: u64,
}

/// One component: no slash, no NUL, not `.` or `..`. Or, by [`Name::text`], any text for the
/// kernel, such as a symbolic link's target.
#[derive(Debug)]
pub(super) struct Name(CString);

impl Tree {
    /// Check that the directory is empty.
    pub(super) fn new(root: OwnedFd) -> Result<Self, Error> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut entries = rustix::fs::RawDir::new(&root, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(Error::call("getdents64"))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Err(Error::Usage("the directory is not empty"));
            }
        }
        Ok(Self { root, last: None, implied: 0, removals: 0 })
    }

    /// The directory with these components, made if it is not there.
    pub(super) fn parent(&mut self, components: &[&[u8]]) -> Result<Parent, Error> {
        let path = components.join(&b'/');
        let usable = |last: &Parent| last.path == path && last.found_at == self.removals;
        if let Some(last) = self.last.take().filter(usable) {
            return Ok(last);
        }
        let directory = match self.walk(&path, OFlags::PATH) {
            Err(Errno::NOENT) => self.make_parents(components)?,
            other => other.map_err(parent_error(&path))?,
        };
        Ok(self.found(path, directory))
    }

    /// Keep a parent for the next entry.
    pub(super) fn put_back(&mut self, parent: Parent) {
        self.last = Some(parent);
    }

    /// Something is removed.
    pub(super) fn note_removal(&mut self) {
        self.removals += 1;
    }

    /// The directory with these components, if it is there.
    pub(super) fn existing_parent(&self, components: &[&[u8]]) -> Result<Option<Parent>, Error> {
        let path = components.join(&b'/');
        match self.walk(&path, OFlags::PATH) {
            Ok(directory) => Ok(Some(self.found(path, directory))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(parent_error(&path)(errno)),
        }
    }

    /// A directory by its whole path, opened for its attributes; `None`: not there, or replaced.
    pub(super) fn existing_directory(&self, path: &[u8]) -> Result<Option<OwnedFd>, Error> {
        match self.walk(path, OFlags::RDONLY | OFlags::NOFOLLOW) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(Error::call("openat2")(errno)),
        }
    }

    /// Everything to disk, in one call for all files.
    pub(super) fn sync(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&self.root).map_err(Error::call("syncfs"))
    }

    fn found(&self, path: Vec<u8>, directory: OwnedFd) -> Parent {
        Parent { path, directory: Rc::new(directory), found_at: self.removals }
    }

    /// From the front, make what is missing.
    fn make_parents(&mut self, components: &[&[u8]]) -> Result<OwnedFd, Error> {
        let mut path = Vec::new();
        let mut directory = self.walk(&path, OFlags::PATH).map_err(Error::call("openat2"))?;
        for component in components {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
            directory = match self.walk(&path, OFlags::PATH) {
                Err(Errno::NOENT) => {
                    self.implied += 1;
                    if self.implied > MAX_IMPLIED {
                        return Err(Error::Limit("implied directories: more than 1000000"));
                    }
                    let made = self.found(path.clone(), directory);
                    let name = Name::new(component)?;
                    // EEXIST: a symbolic link that leads nowhere.
                    made.mkdir(&name, IMPLIED_MODE).map_err(parent_error(&path))?;
                    // A setgid directory above would have given it its group.
                    made.chown(&name, Uid::ROOT, Gid::ROOT).map_err(parent_error(&path))?;
                    self.walk(&path, OFlags::PATH).map_err(parent_error(&path))?
                }
                other => other.map_err(parent_error(&path))?,
            };
        }
        Ok(directory)
    }

    /// Open a directory. Links are followed, and none leads out: `/` and `..` are the layer's.
    fn walk(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        for _ in 0..MAX_WALKS {
            match openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }
}

impl Parent {
    /// Open or make the named thing itself: no link is followed.
    pub(super) fn open(&self, name: &Name, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        openat2(&*self.directory, &name.0, flags, mode, resolve)
    }

    pub(super) fn mkdir(&self, name: &Name, mode: Mode) -> Result<(), Errno> {
        rustix::fs::mkdirat(&*self.directory, &name.0, mode)
    }

    pub(super) fn mknod(&self, name: &Name, kind: FileType, mode: Mode) -> Result<(), Errno> {
        rustix::fs::mknodat(&*self.directory, &name.0, kind, mode, 0)
    }

    pub(super) fn symlink(&self, target: &Name, name: &Name) -> Result<(), Errno> {
        rustix::fs::symlinkat(&target.0, &*self.directory, &name.0)
    }

    /// Another name, there, for the thing itself, here: a link is linked, not followed.
    pub(super) fn link(&self, name: &Name, there: &Self, to: &Name) -> Result<(), Errno> {
        let flags = AtFlags::empty();
        rustix::fs::linkat(&*self.directory, &name.0, &*there.directory, &to.0, flags)
    }

    pub(super) fn unlink(&self, name: &Name, flags: AtFlags) -> Result<(), Errno> {
        rustix::fs::unlinkat(&*self.directory, &name.0, flags)
    }

    pub(super) fn chown(&self, name: &Name, uid: Uid, gid: Gid) -> Result<(), Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&*self.directory, &name.0, Some(uid), Some(gid), flags)
    }

    pub(super) fn set_times(
        &self,
        name: &Name,
        times: &Timestamps,
        flags: AtFlags,
    ) -> Result<(), Errno> {
        rustix::fs::utimensat(&*self.directory, &name.0, times, flags)
    }

    /// What is there, links not followed.
    pub(super) fn stat(&self, name: &Name) -> Result<Option<Stat>, Error> {
        match rustix::fs::statat(&*self.directory, &name.0, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::call("newfstatat")(errno)),
        }
    }

    /// This directory, opened for its attributes.
    pub(super) fn reopen(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        openat2(&*self.directory, c".", flags, Mode::empty(), ResolveFlags::BENEATH)
    }

    /// A directory below this one, for removing what is in it.
    pub(super) fn below(&self, directory: OwnedFd) -> Self {
        Self { directory: Rc::new(directory), ..self.clone() }
    }

    /// The path of something in it.
    pub(super) fn path_of(&self, name: &Name) -> Box<[u8]> {
        let parts: [&[u8]; 3] = [&self.path, b"/", name.0.as_bytes()];
        parts.concat().into()
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.directory
    }
}

impl Name {
    /// One component.
    pub(super) fn new(component: &[u8]) -> Result<Self, Error> {
        if matches!(component, b"" | b"." | b"..") || component.contains(&b'/') {
            return Err(Error::Refused("not a name"));
        }
        Self::text(component)
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// Any text.
    pub(super) fn text(text: &[u8]) -> Result<Self, Error> {
        CString::new(text).map(Self).map_err(|_nul| Error::Refused("NUL in a name"))
    }
}

/// The components of a name in an archive; none: the top directory. A slash in front is the
/// layer's top, as for Docker; `..` is refused wherever it stands.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let components: Vec<&[u8]> = parts.collect();
    if components.contains(&b"..".as_slice()) {
        return Err(Error::Refused("`..` in a name"));
    }
    Ok(components)
}

fn parent_error(path: &[u8]) -> impl FnOnce(Errno) -> Error {
    move |errno| {
        let why = match errno {
            Errno::NOTDIR => "is not a directory".to_owned(),
            Errno::EXIST => "is a link that leads nowhere in the layer".to_owned(),
            other => other.to_string(),
        };
        Error::Parent { path: lossy(path), why }
    }
}
