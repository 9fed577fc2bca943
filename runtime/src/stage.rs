//! Mounts of the host on their way into a user namespace.
//!
//! A detached mount that is simply moved into a container's mount namespace is the container's: who
//! has `CAP_SYS_ADMIN` there may remount it writable. The kernel locks the flags of a mount only
//! when a mount namespace is *copied* into a less privileged user namespace
//! (mount_namespaces(7), "Restrictions on mount namespaces"). So a process in between puts the
//! mounts on a stage in a mount namespace of its own, the container's first process is cloned from
//! there, and takes them from its copy of the stage.

use crate::error::{Error, Step};
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
};
use rustix::thread::UnshareFlags;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A directory that every host has. What is on it is of no use to either process.
const STAGE: &str = "/dev";

/// Process in between, still in the host's user namespace: put these on the stage.
pub(crate) fn put(mounts: &[BorrowedFd<'_>]) -> Result<(), Error> {
    bulkhead_sys::fork::unshare(UnshareFlags::NEWNS).step("mount namespace for the stage")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).step("make / private")?;
    set(mounts).step("stage of mounts")
}

fn set(mounts: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let (flags, none) = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    let stage = rustix::mount::fsmount(&context, flags, none)?;
    let from_empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&stage, "", CWD, STAGE, from_empty)?;
    for (number, mount) in mounts.iter().enumerate() {
        let name = number.to_string();
        let stat = rustix::fs::statat(mount, "", AtFlags::EMPTY_PATH)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            rustix::fs::mkdirat(&stage, &name, Mode::RWXU)?;
        } else {
            rustix::fs::mknodat(&stage, &name, FileType::RegularFile, Mode::RUSR, 0)?;
        }
        rustix::mount::move_mount(mount, "", &stage, &name, from_empty)?;
    }
    Ok(())
}

/// The container's first process: so many mounts from its copy of the stage, detached again, their
/// flags locked.
pub(crate) fn take(count: usize) -> Result<Vec<OwnedFd>, Error> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    (0..count)
        .map(|number| {
            let path = format!("{STAGE}/{number}");
            rustix::mount::open_tree(CWD, &path, flags).step("take from the stage")
        })
        .collect()
}
