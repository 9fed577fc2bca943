//! `/dev`: a tmpfs of our own with the host's nodes bound into it, so that nothing of an image is
//! in it and no node can be made in it.

use super::{attach_at, attach_below_root, instance};
use crate::devices::NODES;
use crate::error::{Error, Step};
use crate::line::Line;
use crate::resolve::{self, Make};
use crate::sources::{Sources, detach};
use crate::stdio::{self, Connected, Near};
use bulkhead_policy::proto::{ContainerSpec, DeviceSpec, Share};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of the tmpfs itself, as Docker has it: it holds names, not contents.
const BYTES: &str = "65536k";
/// Bytes of `/dev/shm` if the request does not say.
const SHM_BYTES: u64 = 64 << 20;
/// The group `tty` in every distribution; owns terminals.
const TTY_GROUP: &str = "5";

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NOEXEC: MountAttrFlags = NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const INERT: MountAttrFlags = NOEXEC.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// The mounted `/dev`.
#[derive(Debug)]
pub(super) struct Dev {
    dir: OwnedFd,
    pts: OwnedFd,
    /// The bound node, verified before any image content was visible.
    null: OwnedFd,
}

pub(super) fn mount(
    root: BorrowedFd<'_>,
    spec: &ContainerSpec,
    sources: &Sources,
) -> Result<Dev, Error> {
    let options = [("mode", "755"), ("size", BYTES)];
    let dir = instance("tmpfs", &options, NOSUID).step("fsmount(tmpfs) for /dev")?;
    attach_below_root(root, "dev", dir.as_fd())?;
    for ((name, ..), node) in NODES.iter().zip(&sources.nodes) {
        place(dir.as_fd(), name, node.as_fd()).step_at(|| format!("bind /dev/{name}"))?;
    }
    for (target, name) in LINKS {
        rustix::fs::symlinkat(target, &dir, name).step_at(|| format!("link /dev/{name}"))?;
    }
    let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", TTY_GROUP)];
    let pts = instance("devpts", &options, NOEXEC).step("fsmount(devpts)")?;
    place_directory(dir.as_fd(), "pts", pts.as_fd()).step("mount /dev/pts")?;
    let shm = match &sources.shm {
        Some(shm) => rustix::io::fcntl_dupfd_cloexec(shm, 0),
        None => {
            let bytes = spec.shm_bytes.unwrap_or(SHM_BYTES).to_string();
            instance("tmpfs", &[("mode", "1777"), ("size", &bytes)], INERT)
        }
    };
    let shm = shm.step("fsmount(tmpfs) for /dev/shm")?;
    place_directory(dir.as_fd(), "shm", shm.as_fd()).step("mount /dev/shm")?;
    if spec.namespaces.ipc != Share::Host {
        let mqueue = instance("mqueue", &[], INERT).step("fsmount(mqueue)")?;
        place_directory(dir.as_fd(), "mqueue", mqueue.as_fd()).step("mount /dev/mqueue")?;
    }
    let null = sources.nodes.first().ok_or_else(|| Error::invalid("no /dev/null"))?;
    let null = rustix::io::fcntl_dupfd_cloexec(null, 0).step("/dev/null")?;
    Ok(Dev { dir, pts, null })
}

impl Dev {
    /// The mount of `/dev/null`.
    pub(super) fn null(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }

    pub(super) fn connect(&self, stdio: Near, line: &Line) -> Result<Connected, Error> {
        match stdio {
            Near::Pipes { stdin, stdout, stderr } => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let stdin = stdin.map_or_else(
                    || rustix::fs::openat(&self.dir, "null", flags, Mode::empty()),
                    Ok,
                );
                Ok(Connected::Pipes { stdin: stdin.step("open /dev/null")?, stdout, stderr })
            }
            Near::Terminal(size) => {
                let slave = stdio::open_terminal(self.pts.as_fd(), size, line)?;
                let console = detach(slave.as_fd(), false).step("open_tree(terminal)")?;
                place(self.dir.as_fd(), "console", console.as_fd()).step("bind /dev/console")?;
                Ok(Connected::Terminal(slave))
            }
        }
    }

    /// The devices that were asked for.
    pub(super) fn bind_devices(
        &self,
        spec: &ContainerSpec,
        devices: &[OwnedFd],
    ) -> Result<(), Error> {
        for (device, mount) in spec.devices.iter().zip(devices) {
            let target = resolve::open_or_make(self.dir.as_fd(), below_dev(device)?, Make::File)?;
            super::attach(mount.as_fd(), target.as_fd())
                .step_at(|| format!("bind {}", device.target))?;
        }
        Ok(())
    }
}

fn below_dev(device: &DeviceSpec) -> Result<&[u8], Error> {
    device
        .target
        .as_bytes()
        .strip_prefix(b"/dev/")
        .ok_or_else(|| Error::invalid(format!("device {}: not below /dev", device.target)))
}

/// Bind onto a new, empty file.
fn place(dir: BorrowedFd<'_>, name: &str, mount: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::mknodat(dir, name, FileType::RegularFile, Mode::empty(), 0)?;
    attach_at(mount, dir, name)
}

/// Mount onto a new directory.
fn place_directory(dir: BorrowedFd<'_>, name: &str, mount: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))?;
    attach_at(mount, dir, name)
}
