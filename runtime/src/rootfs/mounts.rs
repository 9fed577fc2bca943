//! The mounts that were asked for. Targets are resolved below the container's root and mounted on
//! by descriptor, so that a link in the image leads nowhere else (class B1, B6, B12).

use super::{attach, attach_aside, instance};
use crate::error::{Error, Step};
use crate::resolve::{self, Make};
use crate::sources::detach;
use bulkhead_policy::EffectiveContainer;
use bulkhead_policy::proto::{ContainerPath, ContainerSpec, MountSpec};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room for the files that the engine writes and that the container may write more to.
const FILES_BYTES: &str = "8m";
/// `PROC_SUPER_MAGIC`, `SYSFS_MAGIC`, `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` of
/// `linux/magic.h`.
const PROTECTED: [rustix::fs::FsWord; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];

/// A tmpfs that is nowhere in the container; only single files of it, and one empty directory, are
/// bound there.
#[derive(Debug)]
pub(super) struct Scratch(OwnedFd);

impl Scratch {
    /// With the files of the spec, named by their place among the mounts.
    pub(super) fn mount(spec: &ContainerSpec) -> Result<Self, Error> {
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let scratch = instance("tmpfs", &[("mode", "755"), ("size", FILES_BYTES)], flags)
            .step("fsmount(tmpfs) for files")?;
        attach_aside(scratch.as_fd()).step("attach files")?;
        rustix::fs::mkdirat(&scratch, "empty", Mode::from_raw_mode(0o755)).step("mkdir")?;
        for (number, mount) in spec.mounts.iter().enumerate() {
            if let MountSpec::File { target, content, mode } = mount {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(mode & 0o777);
                rustix::fs::openat(&scratch, number.to_string(), flags, mode)
                    .and_then(|file| rustix::io::write(file, content.as_bytes()))
                    .step_at(|| format!("write {target}"))?;
            }
        }
        Ok(Self(scratch))
    }

    /// A detached mount of one file.
    fn file(&self, number: usize) -> Result<OwnedFd, Errno> {
        self.detached(&number.to_string())
    }

    /// A detached mount of the empty directory.
    pub(super) fn empty_directory(&self) -> Result<OwnedFd, Errno> {
        self.detached("empty")
    }

    fn detached(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        detach(file.as_fd(), false)
    }
}

/// All of them, in order.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    container: &EffectiveContainer,
    binds: &[OwnedFd],
    scratch: &Scratch,
) -> Result<(), Error> {
    let mut binds = binds.iter();
    for (number, spec) in container.spec.mounts.iter().enumerate() {
        match spec {
            MountSpec::Tmpfs { target, bytes, mode, read_only, no_exec } => {
                let mut flags =
                    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
                flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, *read_only);
                flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, *no_exec);
                let (mode, bytes) = (format!("{:o}", mode & 0o1777), bytes.map(|b| b.to_string()));
                let size = bytes.as_ref().map(|bytes| ("size", bytes.as_str()));
                let options: Vec<_> = [("mode", mode.as_str())].into_iter().chain(size).collect();
                let tmpfs = instance("tmpfs", &options, flags)
                    .step_at(|| format!("fsmount(tmpfs) for {target}"))?;
                put(root, target, tmpfs)?;
            }
            MountSpec::File { target, .. } => {
                let file = scratch.file(number).step_at(|| format!("file {target}"))?;
                put(root, target, file)?;
            }
            MountSpec::Bind { target, .. } => {
                let bind = binds.next().ok_or_else(|| Error::invalid("a bind without source"))?;
                let bind = rustix::io::fcntl_dupfd_cloexec(bind, 0).step("bind")?;
                put(root, target, bind)?;
            }
            MountSpec::Volume { name, .. } => {
                return Err(Error::Unsupported { what: format!("named volume {name}") });
            }
        }
    }
    Ok(())
}

fn put(root: BorrowedFd<'_>, target: &ContainerPath, mount: OwnedFd) -> Result<(), Error> {
    let at = || format!("mount {target}");
    let kind = |fd: &OwnedFd| -> Result<bool, Error> {
        let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH).step_at(at)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    if target.relative().is_empty()
        || target.is_at_or_below("/proc")
        || target.is_at_or_below("/sys")
    {
        return Err(Error::invalid(format!("mount target {target}: / and below /proc, /sys")));
    }
    let directory = kind(&mount)?;
    let make = if directory { Make::Directory } else { Make::File };
    let place = resolve::open_or_make(root, target.as_bytes(), make)?;
    if kind(&place)? != directory {
        let what = if directory { "a directory onto a file" } else { "a file onto a directory" };
        return Err(Error::invalid(format!("mount target {target}: {what}")));
    }
    let covered = rustix::fs::fstatfs(&place).step_at(at)?.f_type;
    if PROTECTED.contains(&covered) {
        return Err(Error::invalid(format!("mount target {target} leads below /proc or /sys")));
    }
    attach(mount.as_fd(), place.as_fd()).step_at(at)
}
