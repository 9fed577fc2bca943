//! `/proc`, `/sys` and `/sys/fs/cgroup`.

use super::{attach, attach_at, attach_below_root, instance};
use crate::error::{Error, Step};
use crate::resolve;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const INERT_READ_ONLY: MountAttrFlags = INERT.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// The most bytes of `/proc/self/cgroup`: a line a v1 hierarchy, of which there are a dozen.
const CGROUPS_BYTES: usize = 16 * 1024;

/// `/proc`, of this process's pid namespace, or the host's if that is what it has been given.
pub(super) fn mount_proc(
    root: BorrowedFd<'_>,
    borrowed: Option<&OwnedFd>,
) -> Result<OwnedFd, Error> {
    let proc = match borrowed {
        Some(proc) => rustix::io::fcntl_dupfd_cloexec(proc, 0).step("/proc")?,
        None => instance("proc", &[], INERT).step("fsmount(proc)")?,
    };
    attach_below_root(root, "proc", proc.as_fd())?;
    Ok(proc)
}

/// `/sys`, of this process's network namespace, or the host's; read-only.
pub(super) fn mount_sys(root: BorrowedFd<'_>, borrowed: Option<&OwnedFd>) -> Result<(), Error> {
    match borrowed {
        Some(sys) => attach_below_root(root, "sys", sys.as_fd()),
        None => {
            let sys = instance("sysfs", &[], INERT_READ_ONLY).step("fsmount(sysfs)")?;
            attach_below_root(root, "sys", sys.as_fd())
        }
    }
}

/// `/sys/fs/cgroup`, read-only, as seen from this process's cgroup namespace: cgroup v2, or a
/// directory with one mount a v1 hierarchy. A hierarchy that the kernel does not let be mounted
/// here is left out; it only informs.
pub(super) fn mount_cgroups(root: BorrowedFd<'_>, proc: BorrowedFd<'_>) -> Result<(), Error> {
    let target = match resolve::open(root, b"/sys/fs/cgroup") {
        Ok(target) => target,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).step("/sys/fs/cgroup"),
    };
    let hierarchies = v1_hierarchies(proc).step("/proc/self/cgroup")?;
    if hierarchies.is_empty() {
        return match instance("cgroup2", &[], INERT_READ_ONLY) {
            Ok(cgroup) => attach(cgroup.as_fd(), target.as_fd()).step("mount /sys/fs/cgroup"),
            Err(_) => Ok(()),
        };
    }
    let options = [("mode", "755"), ("size", "64k")];
    let directory = instance("tmpfs", &options, INERT).step("tmpfs for /sys/fs/cgroup")?;
    attach(directory.as_fd(), target.as_fd()).step("mount /sys/fs/cgroup")?;
    for controllers in hierarchies {
        let Ok(mount) = v1_mount(&controllers) else { continue };
        rustix::fs::mkdirat(&directory, &controllers, Mode::from_raw_mode(0o755))
            .and_then(|()| attach_at(mount.as_fd(), directory.as_fd(), &controllers))
            .step_at(|| format!("mount /sys/fs/cgroup/{controllers}"))?;
        for controller in controllers.split(',').filter(|one| **one != *controllers) {
            rustix::fs::symlinkat(&controllers, &directory, controller)
                .step_at(|| format!("link /sys/fs/cgroup/{controller}"))?;
        }
    }
    let read_only =
        bulkhead_sys::mount::Attributes { set: bulkhead_sys::mount::RDONLY, ..Default::default() };
    bulkhead_sys::mount::set_attributes(&directory, &read_only).step("/sys/fs/cgroup read-only")
}

/// The controllers of each v1 hierarchy, as `cpu,cpuacct`. Hierarchies without any are left out.
fn v1_hierarchies(proc: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, "self/cgroup", flags, Mode::empty())?;
    let mut buffer = vec![0; CGROUPS_BYTES];
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest)? {
            0 => break,
            count => length += count,
        }
    }
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    let controllers = text.lines().filter_map(|line| line.split(':').nth(1));
    let named = controllers.filter(|names| !names.is_empty() && !names.contains('='));
    Ok(named.map(str::to_owned).collect())
}

fn v1_mount(controllers: &str) -> Result<OwnedFd, Errno> {
    let context = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for controller in controllers.split(',') {
        fsconfig_set_flag(&context, controller)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, INERT_READ_ONLY)
}
