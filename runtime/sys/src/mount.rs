//! [`mount_setattr(2)`](https://man7.org/linux/man-pages/man2/mount_setattr.2.html), Linux 5.12.

use crate::{Error, check};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Not writable.
pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-id bits and file capabilities do not count.
pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device nodes do not work.
pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// No program may be executed.
pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// What of a mount is to change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// [`RDONLY`], [`NOSUID`], [`NODEV`], [`NOEXEC`] to set.
    pub set: u64,
    /// Propagation; none: as it is.
    pub propagation: Option<Propagation>,
    /// A user namespace by whose maps ids on disk become ids here; for detached mounts only.
    pub idmap: Option<BorrowedFd<'a>>,
    /// Mounts below it too.
    pub recursive: bool,
}

/// `mount_namespaces(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Neither way.
    Private,
    /// From the mount it was cloned of.
    Slave,
    /// Both ways.
    Shared,
}

/// Change the mount that `mount` is the root of.
///
/// # Errors
/// `EINVAL`: not the root of a mount, or the file system cannot be id-mapped; `EPERM`: locked, or
/// id-mapped already; `EBUSY`: files are open for writing.
pub fn set_attributes(mount: impl AsFd, attributes: &Attributes<'_>) -> Result<(), Error> {
    let attr = libc::mount_attr {
        attr_set: attributes.set | attributes.idmap.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
        attr_clr: 0,
        propagation: match attributes.propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Shared) => libc::MS_SHARED,
        },
        userns_fd: attributes
            .idmap
            .map_or(0, |namespace| u64::from(namespace.as_raw_fd().cast_unsigned())),
    };
    let recursive = if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path is a NUL-terminated constant; the kernel reads `attr`, whose size is
    // given, and writes nothing. Descriptors are borrowed beyond the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    check("mount_setattr", result)
}
