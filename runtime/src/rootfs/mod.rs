//! The root filesystem, made by the new process in its own mount namespace. All mounts are made
//! detached and put in place by descriptor; until [`Root::enter`] the host's tree is still the
//! process's root, and nothing of the image is ever found through it.

mod dev;
mod kernel;
mod mask;
mod mounts;
mod overlay;

use crate::error::{Error, Step};
use crate::line::Line;
use crate::plan::Plan;
use crate::resolve;
use crate::sources::Sources;
use crate::stdio::Connected;
use bulkhead_sys::mount::{self, Attributes};
pub(crate) use kernel::Cgroups;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A container's root filesystem.
#[derive(Debug)]
pub(crate) struct Root {
    /// The overlay's root.
    pub dir: OwnedFd,
    /// The root of `/proc`, of the process's own pid namespace where it has one.
    pub proc: OwnedFd,
    dev: dev::Dev,
    scratch: mounts::Scratch,
}

impl Root {
    /// Overlay, `/proc`, `/sys` and `/dev`.
    pub(crate) fn build(plan: &Plan<'_>, sources: &Sources) -> Result<Self, Error> {
        let container = plan.permit.granted();
        keep_from_host()?;
        // Before the overlay, or it would stand on top of it, aside as both are.
        let scratch = mounts::Scratch::mount(&container.spec)?;
        let dir = overlay::mount(&sources.layers, &sources.writable, plan.features)?;
        let proc = kernel::mount_proc(dir.as_fd(), sources.proc.as_ref())?;
        kernel::mount_sys(dir.as_fd(), sources.sys.as_ref())?;
        let dev = dev::mount(dir.as_fd(), &container.spec, sources)?;
        Ok(Self { dir, proc, dev, scratch })
    }

    /// The process's streams: pipes as they are, or a terminal of the container's own devpts, which
    /// is the console then.
    pub(crate) fn connect(
        &self,
        stdio: crate::stdio::Near,
        line: &Line,
    ) -> Result<Connected, Error> {
        self.dev.connect(stdio, line)
    }

    /// The mounts that were asked for, in their order, and the devices.
    pub(crate) fn mount_all(&self, plan: &Plan<'_>, sources: &Sources) -> Result<(), Error> {
        let container = plan.permit.granted();
        self.dev.bind_devices(&container.spec, &sources.devices)?;
        mounts::mount(self.dir.as_fd(), container, &sources.binds, &self.scratch)
    }

    /// `/sys/fs/cgroup`; the process must be in its cgroup namespace already.
    pub(crate) fn mount_cgroups(&self, cgroups: &Cgroups) -> Result<(), Error> {
        kernel::mount_cgroups(self.dir.as_fd(), cgroups)
    }

    /// Masked and read-only paths.
    pub(crate) fn mask(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let container = plan.permit.granted();
        let null = self.dev.null();
        mask::mask(self.dir.as_fd(), &container.masked_paths, null, &self.scratch)?;
        mask::make_read_only(self.dir.as_fd(), &container.readonly_paths)
    }

    /// It becomes the process's root, and the host's tree is gone.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        rustix::process::fchdir(&self.dir).step("chdir to the new root")?;
        rustix::process::pivot_root(".", ".").step("pivot_root")?;
        // "." is the old root now, on top of the new one.
        rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)
            .step("unmount old root")?;
        rustix::process::chdir("/").step("chdir to /")
    }

    /// Nothing more will be made in it.
    pub(crate) fn seal(&self, read_only: bool) -> Result<(), Error> {
        if !read_only {
            return Ok(());
        }
        let attributes = Attributes { set: mount::RDONLY, ..Attributes::default() };
        mount::set_attributes(&self.dir, &attributes).step("read-only root")
    }
}

/// What is mounted from here on stays in this mount namespace.
fn keep_from_host() -> Result<(), Error> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).step("make / private")
}

/// A new, detached instance of a file system.
fn instance(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        match *value {
            "" => rustix::mount::fsconfig_set_flag(&context, *key)?,
            value => rustix::mount::fsconfig_set_string(&context, *key, value)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Put a detached mount on what `target` is.
fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// Put a detached mount on the entry `name` of a directory, which is not followed.
fn attach_at(mount: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", directory, name, flags)
}

/// Put a detached mount on a directory that every host has: there it is in this mount namespace, can
/// be used by descriptor, and goes with the host's tree. Not on `/`, where [`Root::enter`] wants the
/// old root to be the topmost.
fn attach_aside(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    attach_at(mount, CWD, "/dev")
}

/// Put a detached mount on a directory right below the root.
fn attach_below_root(root: BorrowedFd<'_>, name: &str, mount: BorrowedFd<'_>) -> Result<(), Error> {
    let target = resolve::ordinary_directory(root, name)?;
    attach(mount, target.as_fd()).step_at(|| format!("mount /{name}"))
}
