//! Whiteouts: names that hide what lower layers have (OCI image spec, layer.md, "Whiteouts").
//!
//! On disk overlayfs wants a character device 0:0 in place of a hidden name, and an attribute on a
//! directory that hides its whole lower content (Linux, Documentation/filesystems/overlayfs.rst).
//! A name that begins with `.wh.` never gets to disk.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, XattrFlags, fsetxattr};
use rustix::io::Errno;

use super::refused;
use super::tree::{Name, Parent, Tree};
use crate::error::Error;

const PREFIX: &[u8] = b".wh.";
/// aufs's own files; one of them has a meaning to all.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// For overlays mounted with `userxattr`.
const OPAQUE_XATTR: &str = "user.overlay.opaque";

/// What a path says beside being a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// Nothing.
    Plain,
    /// The directory it is in hides all that is below.
    Opaque,
    /// This name beside it is hidden.
    Whiteout(&'a [u8]),
    /// Of use to aufs only.
    Aufs,
}

/// Read a path's components.
pub(super) fn meaning<'a>(components: &[&'a [u8]]) -> Result<Meaning<'a>, Error> {
    let Some(at) = components.iter().position(|name| name.starts_with(PREFIX)) else {
        return Ok(Meaning::Plain);
    };
    let name = components.get(at).copied().unwrap_or_default();
    let last = at + 1 == components.len();
    if name == OPAQUE && last {
        return Ok(Meaning::Opaque);
    }
    if name.starts_with(AUFS_PREFIX) {
        return Ok(Meaning::Aufs);
    }
    if !last {
        return Err(refused("a directory with a whiteout's name"));
    }
    match name.strip_prefix(PREFIX) {
        Some(b"" | b"." | b"..") | None => Err(refused("a whiteout of nothing")),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

/// Hide a name of lower layers. What this layer itself has there stays, whichever came first.
pub(super) fn make_whiteout(parent: &Parent, hidden: &[u8]) -> Result<(), Error> {
    let name = Name::new(hidden)?;
    match parent.mknod(&name, FileType::CharacterDevice, Mode::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::call("mknodat")(errno)),
    }
    // A directory of this layer would be merged with the lower one; anything else hides it anyway.
    match parent.open(&name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
        Ok(directory) => set_opaque(&directory),
        Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(errno) => Err(Error::call("openat2")(errno)),
    }
}

/// Hide all that lower layers have in a directory. At the top the kernel takes no notice of it,
/// nor does it with Docker.
pub(super) fn make_opaque(tree: &mut Tree, components: &[&[u8]]) -> Result<(), Error> {
    let parent = tree.parent(components)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = parent.reopen(flags).map_err(Error::call("openat2"))?;
    set_opaque(&directory)
}

/// Mark a directory. A filesystem that cannot is of no use for layers: that is an error.
pub(super) fn set_opaque(directory: &OwnedFd) -> Result<(), Error> {
    fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())
        .map_err(Error::call("fsetxattr(user.overlay.opaque)"))
}

/// Whether a whiteout stands there: no other device is ever made.
pub(super) fn is_whiteout(parent: &Parent, name: &Name) -> Result<bool, Error> {
    let stat = parent.stat(name)?;
    Ok(stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_what_it_does_for_docker() {
        let components =
            |path: &'static str| path.split('/').map(str::as_bytes).collect::<Vec<_>>();
        for (path, expected) in [
            ("a/b", Meaning::Plain),
            ("a/.whx", Meaning::Plain),
            ("a/.wh.b", Meaning::Whiteout(b"b")),
            (".wh.b", Meaning::Whiteout(b"b")),
            ("a/.wh..b", Meaning::Whiteout(b".b")),
            ("a/.wh....", Meaning::Whiteout(b"...")),
            ("a/.wh..wh..opq", Meaning::Opaque),
            (".wh..wh..opq", Meaning::Opaque),
            (".wh..wh.plnk/1.2", Meaning::Aufs),
            (".wh..wh.aufs", Meaning::Aufs),
        ] {
            assert_eq!(meaning(&components(path)).unwrap(), expected, "{path}");
        }
        for bad in [".wh.", "a/.wh..", ".wh...", ".wh.a/b", "a/.wh.b/.wh.c"] {
            assert!(meaning(&components(bad)).is_err(), "{bad}");
        }
    }
}
