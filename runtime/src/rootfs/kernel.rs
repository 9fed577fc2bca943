//! `/proc`, `/sys` and `/sys/fs/cgroup`.

use super::{attach, attach_at, attach_below_root, instance};
use crate::error::{Error, Step};
use crate::resolve;
use bulkhead_sys::mount::{self, Attributes};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
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

/// What this process's cgroup namespace will show once it is unshared.
#[derive(Debug)]
pub(crate) enum Cgroups {
    /// Nothing: the namespace is the host's.
    Hosts,
    /// Cgroup v2.
    Unified,
    /// The controllers of each v1 hierarchy in which the process has a group, as `cpu,cpuacct`.
    Hierarchies(Vec<String>),
}

impl Cgroups {
    /// By `/proc/self/cgroup` of the host's procfs. The process must be in its cgroup already and
    /// still in the host's cgroup namespace: where it is in the root group then, there is nothing
    /// to show but others.
    pub(crate) fn of_this_process() -> Result<Self, Error> {
        let text = read("/proc/self/cgroup").step("/proc/self/cgroup")?;
        let mut groups = Vec::new();
        let mut only_unified = true;
        for line in text.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let has_controllers = !controllers.is_empty() && !controllers.contains('=');
            only_unified &= !has_controllers;
            if has_controllers && path != "/" {
                groups.push(controllers.to_owned());
            }
        }
        Ok(if only_unified { Self::Unified } else { Self::Hierarchies(groups) })
    }
}

fn read(path: &str) -> Result<String, Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = vec![0; CGROUPS_BYTES];
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest)? {
            0 => break,
            count => length += count,
        }
    }
    buffer.truncate(length);
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

/// `/sys/fs/cgroup`, read-only, as seen from this process's cgroup namespace: cgroup v2, or a
/// directory with one mount a v1 hierarchy. A hierarchy that the kernel does not let be mounted
/// here is left out; it only informs.
pub(super) fn mount_cgroups(root: BorrowedFd<'_>, cgroups: &Cgroups) -> Result<(), Error> {
    let target = match resolve::open(root, b"/sys/fs/cgroup") {
        Ok(target) => target,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).step("/sys/fs/cgroup"),
    };
    let hierarchies = match cgroups {
        Cgroups::Hosts => return Ok(()),
        Cgroups::Unified => {
            return match instance("cgroup2", &[], INERT_READ_ONLY) {
                Ok(cgroup) => attach(cgroup.as_fd(), target.as_fd()).step("mount /sys/fs/cgroup"),
                Err(_) => Ok(()),
            };
        }
        Cgroups::Hierarchies(hierarchies) => hierarchies,
    };
    let options = [("mode", "755"), ("size", "64k")];
    let directory = instance("tmpfs", &options, INERT).step("tmpfs for /sys/fs/cgroup")?;
    attach(directory.as_fd(), target.as_fd()).step("mount /sys/fs/cgroup")?;
    for controllers in hierarchies {
        let Ok(mount) = v1_mount(controllers) else { continue };
        rustix::fs::mkdirat(&directory, controllers, Mode::from_raw_mode(0o755))
            .and_then(|()| attach_at(mount.as_fd(), directory.as_fd(), controllers))
            .step_at(|| format!("mount /sys/fs/cgroup/{controllers}"))?;
        for controller in controllers.split(',').filter(|one| *one != controllers) {
            rustix::fs::symlinkat(controllers, &directory, controller)
                .step_at(|| format!("link /sys/fs/cgroup/{controller}"))?;
        }
    }
    let read_only = Attributes { set: mount::RDONLY, ..Attributes::default() };
    mount::set_attributes(&directory, &read_only).step("/sys/fs/cgroup read-only")
}

fn v1_mount(controllers: &str) -> Result<OwnedFd, Errno> {
    let context = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for controller in controllers.split(',') {
        fsconfig_set_flag(&context, controller)?;
    }
    fsconfig_set_string(&context, "source", "cgroup")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, INERT_READ_ONLY)
}
