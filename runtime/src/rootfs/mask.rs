//! Masked and read-only paths: parts of `/proc` and `/sys` that tell about, or change, the host.

use super::attach;
use super::mounts::Scratch;
use crate::error::{Error, Step};
use crate::resolve;
use crate::sources::detach;
use bulkhead_policy::proto::ContainerPath;
use bulkhead_sys::mount::{self, Attributes};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Cover each path with `null` or an empty, read-only directory. One that is not there needs none;
/// the audit compares with what the host has.
pub(super) fn mask(
    root: BorrowedFd<'_>,
    paths: &[ContainerPath],
    null: BorrowedFd<'_>,
    scratch: &Scratch,
) -> Result<(), Error> {
    for path in paths {
        let at = || format!("mask {path}");
        let Some(target) = there(root, path).step_at(at)? else { continue };
        let stat = rustix::fs::statat(&target, "", AtFlags::EMPTY_PATH).step_at(at)?;
        let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let empty = scratch.empty_directory().step_at(at)?;
            let read_only = Attributes { set: mount::RDONLY, ..Attributes::default() };
            mount::set_attributes(&empty, &read_only).step_at(at)?;
            empty
        } else {
            detach(null, false).step_at(at)?
        };
        attach(cover.as_fd(), target.as_fd()).step_at(at)?;
    }
    Ok(())
}

/// Bind each path onto itself, read-only, with what is mounted below it.
pub(super) fn make_read_only(root: BorrowedFd<'_>, paths: &[ContainerPath]) -> Result<(), Error> {
    for path in paths {
        let at = || format!("make {path} read-only");
        let Some(target) = there(root, path).step_at(at)? else { continue };
        let same = detach(target.as_fd(), true).step_at(at)?;
        let attributes =
            Attributes { set: mount::RDONLY, recursive: true, ..Attributes::default() };
        mount::set_attributes(&same, &attributes).step_at(at)?;
        attach(same.as_fd(), target.as_fd()).step_at(at)?;
    }
    Ok(())
}

fn there(root: BorrowedFd<'_>, path: &ContainerPath) -> Result<Option<OwnedFd>, Errno> {
    match resolve::open(root, path.as_bytes()) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}
