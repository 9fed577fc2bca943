//! The overlay of layers and writable directory
//! ([overlayfs](https://docs.kernel.org/filesystems/overlayfs.html)), mounted by the container's
//! own root, whose rights it uses from then on.

use super::{attach_aside, attach_at, instance};
use crate::error::{Error, Step};
use crate::plan::Features;
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags};
use std::fmt::Write;
use std::os::fd::{AsFd, OwnedFd};

/// `OVERLAYFS_SUPER_MAGIC` of `linux/magic.h`.
const MAGIC: rustix::fs::FsWord = 0x794c_7630;

/// The root of the overlay, attached aside. `layers`: the lowest first.
pub(super) fn mount(
    layers: &[OwnedFd],
    writable: &OwnedFd,
    features: Features,
) -> Result<OwnedFd, Error> {
    let root = if features.overlay_by_fd {
        by_descriptors(layers, writable)?
    } else {
        by_paths(layers, writable)?
    };
    // An upper directory that overlayfs cannot write to makes it read-only without an error.
    let kind = rustix::fs::fstatfs(&root).step("statfs(overlay)")?.f_type;
    let flags = rustix::fs::fstatvfs(&root).step("statfs(overlay)")?.f_flag;
    if kind != MAGIC || flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(Error::Kernel {
            what: "overlay: the kernel mounted it read-only: unfit writable layer".to_owned(),
            source: None,
        });
    }
    Ok(root)
}

/// Linux 6.13 and later.
fn by_descriptors(layers: &[OwnedFd], writable: &OwnedFd) -> Result<OwnedFd, Error> {
    // The overlay takes only mounts of its own mount namespace.
    for mount in layers.iter().chain([writable]) {
        attach_aside(mount.as_fd()).step("attach layer")?;
    }
    let overlay =
        rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).step("fsopen(overlay)")?;
    let set = |key: &str, directory: &OwnedFd| {
        rustix::mount::fsconfig_set_fd(&overlay, key, directory)
            .step_at(|| format!("overlay {key}"))
    };
    for layer in layers.iter().rev() {
        set("lowerdir+", &directory(layer, ".").step("open layer")?)?;
    }
    set("upperdir", &directory(writable, "upper").step("open upper")?)?;
    set("workdir", &directory(writable, "work").step("open work")?)?;
    let finish = || -> Result<OwnedFd, Errno> {
        rustix::mount::fsconfig_set_string(&overlay, "source", "overlay")?;
        rustix::mount::fsconfig_set_flag(&overlay, "userxattr")?;
        rustix::mount::fsconfig_set_string(&overlay, "index", "off")?;
        rustix::mount::fsconfig_create(&overlay)?;
        let none = MountAttrFlags::empty();
        rustix::mount::fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, none)
    };
    let root = finish().step("mount overlay")?;
    attach_aside(root.as_fd()).step("attach overlay")?;
    Ok(root)
}

/// Before: the same mounts, by short names below a private tmpfs.
fn by_paths(layers: &[OwnedFd], writable: &OwnedFd) -> Result<OwnedFd, Error> {
    let place = || -> Result<OwnedFd, Errno> {
        let place =
            instance("tmpfs", &[("size", "64k"), ("mode", "700")], MountAttrFlags::empty())?;
        attach_aside(place.as_fd())?;
        let make = |name: &str| rustix::fs::mkdirat(&place, name, Mode::RWXU);
        for (number, layer) in layers.iter().enumerate() {
            let name = number.to_string();
            make(&name)?;
            attach_at(layer.as_fd(), place.as_fd(), &name)?;
        }
        make("w")?;
        attach_at(writable.as_fd(), place.as_fd(), "w")?;
        make("root")?;
        rustix::process::fchdir(&place)?;
        Ok(place)
    };
    let place = place().step("attach layers")?;
    let mut options = "userxattr,index=off,upperdir=w/upper,workdir=w/work,lowerdir=".to_owned();
    for number in (0..layers.len()).rev() {
        let separator = if number == 0 { "" } else { ":" };
        write!(options, "{number}{separator}").unwrap_or_default();
    }
    let options = std::ffi::CString::new(options).map_err(|_nul| Error::invalid("layers"))?;
    rustix::mount::mount("overlay", "root", "overlay", MountFlags::empty(), options.as_c_str())
        .step("mount overlay")?;
    rustix::fs::openat(
        &place,
        "root",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .step("open overlay")
}

/// Really opened: before Linux 6.15 `O_PATH` is not enough for the overlay.
fn directory(at: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}
