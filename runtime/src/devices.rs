//! Device nodes: always those of the host, opened, verified, and bound by descriptor. No node is
//! ever made, and none of an image works.

use crate::error::{Error, Step};
use bulkhead_cgroup::{ALL_DEVICES, DEFAULT_DEVICES, DeviceKind, DeviceRule};
use bulkhead_policy::proto::{DeviceSpec, UserMode};
use bulkhead_policy::{DevicePermit, EffectiveContainer};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::mount::OpenTreeFlags;
use std::os::fd::{AsFd, OwnedFd};

/// Nodes of every container, with their numbers
/// ([devices.txt](https://docs.kernel.org/admin-guide/devices.html), major 1 and 5).
pub(crate) const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// What a container's cgroup is to admit: the built-in nodes, its own devices as they are now, and
/// every device for a privileged container in the host's user namespace.
///
/// # Errors
/// [`Error::Kernel`] if a device is missing, [`Error::Invalid`] if it is none, or not of the kind
/// that policy admits.
pub fn device_rules(container: &EffectiveContainer) -> Result<Vec<DeviceRule>, Error> {
    let spec = &container.spec;
    if spec.privileged && spec.namespaces.user == UserMode::Host {
        return Ok(ALL_DEVICES.to_vec());
    }
    let mut rules = DEFAULT_DEVICES.to_vec();
    for (device, permit) in spec.devices.iter().zip(&container.devices) {
        let (_, stat) = open(device, *permit)?;
        let block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        rules.push(DeviceRule {
            kind: if block { DeviceKind::Block } else { DeviceKind::Char },
            major: Some(rustix::fs::major(stat.st_rdev)),
            minor: Some(rustix::fs::minor(stat.st_rdev)),
            access: device.access,
        });
    }
    Ok(rules)
}

/// Detached mounts of [`NODES`], in that order.
pub(crate) fn open_nodes() -> Result<Vec<OwnedFd>, Error> {
    let mut nodes = Vec::with_capacity(NODES.len());
    for (name, major, minor) in NODES {
        let path = format!("/dev/{name}");
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let node = rustix::mount::open_tree(rustix::fs::CWD, &path, flags).step(&path)?;
        let stat = rustix::fs::fstat(&node).step(&path)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
            || stat.st_rdev != rustix::fs::makedev(major, minor)
        {
            return Err(Error::invalid(format!("{path} of the host is not {major}:{minor}")));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// A detached mount of one device.
pub(crate) fn open_mount(device: &DeviceSpec, permit: DevicePermit) -> Result<OwnedFd, Error> {
    let (file, _) = open(device, permit)?;
    crate::sources::detach(file.as_fd(), false).step_at(|| device.host.to_string())
}

fn open(device: &DeviceSpec, permit: DevicePermit) -> Result<(OwnedFd, Stat), Error> {
    let host = &device.host;
    if !host.is_at_or_below("/dev") || !device.target.is_at_or_below("/dev") {
        return Err(Error::invalid(format!("device {host}: not below /dev")));
    }
    let dev =
        rustix::fs::open("/dev", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step("/dev")?;
    let path = host.relative().strip_prefix(b"dev/").unwrap_or(b".");
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file =
        rustix::fs::openat2(dev, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
            .step_at(|| format!("device {host}"))?;
    let stat = rustix::fs::statat(&file, "", AtFlags::EMPTY_PATH).step_at(|| host.to_string())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => Ok((file, stat)),
        FileType::BlockDevice if permit.block => Ok((file, stat)),
        FileType::BlockDevice => {
            Err(Error::invalid(format!("device {host}: a block device, not permitted")))
        }
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => Err(Error::invalid(format!("device {host}: not a device"))),
    }
}
