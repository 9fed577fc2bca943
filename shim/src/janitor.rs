//! Deletes what containers wrote: trees that an enemy has shaped, of any depth and size.
//!
//! A forked process with two capabilities works through the trash directory. It never recurses and
//! never follows a link: a directory that is not empty is renamed to the top of the trash, under
//! the same prefix, and dealt with there. Names begin with the tree's id range (`<base>-`), so the
//! range is free when no such name is left.

use crate::drop::keep_only;
use bulkhead_sys::fork::{self, Forked, SingleThreaded};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Start a janitor; its pidfd becomes readable when it is done.
pub(crate) fn start(proof: SingleThreaded, trash: &Path) -> Result<OwnedFd, bulkhead_sys::Error> {
    match fork::fork(proof)? {
        Forked::Parent { pidfd, .. } => Ok(pidfd),
        Forked::Child => fork::exit(match sweep(trash) {
            Ok(()) => 0,
            Err(_) => 1,
        }),
    }
}

/// The id ranges that still have inodes in the trash.
pub(crate) fn ranges_in(trash: &Path) -> io::Result<BTreeSet<u32>> {
    let mut bases = BTreeSet::new();
    for entry in std::fs::read_dir(trash)? {
        let name = entry?.file_name();
        if let Some((base, _)) = name.to_str().and_then(|name| name.split_once('-'))
            && let Ok(base) = base.parse()
        {
            bases.insert(base);
        }
    }
    Ok(bases)
}

fn sweep(trash: &Path) -> io::Result<()> {
    let directory = open(rustix::fs::CWD, &path(trash)?)?;
    fork::close_all_but(&[directory.as_fd()]).map_err(io::Error::other)?;
    // Other owners' directories, and their sticky ones.
    keep_only(CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER).map_err(io::Error::other)?;
    let mut counter = 0;
    let mut left = usize::MAX;
    loop {
        let names = names(&directory)?;
        // What cannot be deleted (an immutable file, say) stays, with its range; no endless loop.
        if names.is_empty() || names.len() == left && counter == 0 {
            return Ok(());
        }
        left = names.len();
        counter = 0;
        for name in names {
            empty(&directory, &name, &mut counter)?;
        }
    }
}

/// Delete one name of the trash, and all below it that is not a full directory; those move up.
fn empty(trash: &OwnedFd, name: &CStr, counter: &mut u64) -> io::Result<()> {
    match rustix::fs::unlinkat(trash, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        _ => return Ok(()),
    }
    let directory = open(trash.as_fd(), name)?;
    let prefix = name.to_bytes().split(|byte| *byte == b'-').next().unwrap_or_default();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = entry.file_name();
        if matches!(inner.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(&directory, inner, AtFlags::empty()) {
                Err(Errno::ISDIR) => {}
                _ => continue,
            }
        }
        if rustix::fs::unlinkat(&directory, inner, AtFlags::REMOVEDIR) == Err(Errno::NOTEMPTY) {
            move_up(trash, &directory, inner, prefix, counter)?;
        }
    }
    match rustix::fs::unlinkat(trash, name, AtFlags::REMOVEDIR) {
        // Something could not be deleted, or was moved in front of the reader: next round.
        Err(Errno::NOTEMPTY) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn move_up(
    trash: &OwnedFd,
    directory: &OwnedFd,
    inner: &CStr,
    prefix: &[u8],
    counter: &mut u64,
) -> io::Result<()> {
    loop {
        *counter += 1;
        let mut to = prefix.to_vec();
        to.extend(format!("-{}-{counter}", std::process::id()).bytes());
        let to = CString::new(to).map_err(io::Error::other)?;
        match rustix::fs::renameat_with(
            directory,
            inner,
            trash,
            &to,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(()) => return Ok(()),
        }
    }
}

fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn open(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_deleted_without_following_links() {
        let top = std::env::temp_dir().join(format!("bulkhead-janitor-{}", std::process::id()));
        let (trash, canary) = (top.join("trash"), top.join("canary"));
        std::fs::create_dir_all(trash.join("524288-x")).unwrap();
        std::fs::create_dir_all(&canary).unwrap();
        std::fs::write(canary.join("file"), "kept").unwrap();
        std::os::unix::fs::symlink(&canary, trash.join("524288-x/link")).unwrap();
        let mut here = open(rustix::fs::CWD, &path(&trash.join("524288-x")).unwrap()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, c"deep", Mode::RWXU).unwrap();
            here = open(here.as_fd(), c"deep").unwrap();
        }
        assert_eq!(ranges_in(&trash).unwrap(), BTreeSet::from([524_288]));

        // The test runner has threads, so no fork: the sweep itself, on a directory of its own.
        let directory = open(rustix::fs::CWD, &path(&trash).unwrap()).unwrap();
        let mut counter = 0;
        while let Some(name) = names(&directory).unwrap().first() {
            empty(&directory, name, &mut counter).unwrap();
        }

        assert!(ranges_in(&trash).unwrap().is_empty());
        assert_eq!(std::fs::read_to_string(canary.join("file")).unwrap(), "kept");
        std::fs::remove_dir_all(&top).unwrap();
    }
}
