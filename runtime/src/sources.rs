//! What of the host goes into the container, opened and cloned by root as detached mounts before
//! there is a process. These are the only paths of the host that a start ever walks.

use crate::error::{Error, Step};
use crate::idmap::{Map, Maps};
use crate::plan::{Ids, Plan};
use crate::{devices, stdio};
use bulkhead_policy::proto::{
    HostPath, MountSpec, NetworkMode, Propagation as Wanted, Share, UserMode,
};
use bulkhead_policy::{BindRule, EffectiveContainer};
use bulkhead_sys::mount::{self, Attributes, Propagation};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Detached mounts.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Layers, the lowest first: id-mapped, read-only, inert.
    pub layers: Vec<OwnedFd>,
    /// The directory with `upper` and `work`.
    pub writable: OwnedFd,
    /// [`devices::NODES`].
    pub nodes: Vec<OwnedFd>,
    /// The spec's devices, in order.
    pub devices: Vec<OwnedFd>,
    /// The spec's binds, in order.
    pub binds: Vec<OwnedFd>,
    /// The host's `/proc`, where the container has no pid namespace of its own to mount one of.
    pub proc: Option<OwnedFd>,
    /// The host's `/sys`, where it has no network namespace of its own.
    pub sys: Option<OwnedFd>,
    /// The host's `/dev/shm`, with its IPC namespace.
    pub shm: Option<OwnedFd>,
}

impl Sources {
    /// Open everything; both ends of the standard streams come along.
    pub(crate) fn open(plan: &Plan<'_>) -> Result<(Self, stdio::Near, stdio::Far), Error> {
        let container = plan.permit.granted();
        let mut maps = Maps::default();
        let map = Map::of_layers(plan.storage_base, plan.ids);
        let mut layers = Vec::with_capacity(plan.layers.len());
        for directory in &plan.layers {
            let layer = detach(directory.as_fd(), false).step("open_tree(layer)")?;
            let inert = Attributes {
                set: mount::RDONLY | mount::NOSUID | mount::NODEV,
                propagation: Some(Propagation::Private),
                idmap: Some(maps.namespace(map)?),
                recursive: false,
            };
            mount::set_attributes(&layer, &inert).step("id map of a layer")?;
            layers.push(layer);
        }
        let process = &container.spec.process;
        let (stdio, far) = stdio::open(process, plan.ids)?;
        let sources = Self {
            layers,
            writable: writable(plan)?,
            nodes: devices::open_nodes()?,
            devices: (container.spec.devices.iter().zip(&container.devices))
                .map(|(device, permit)| devices::open_mount(device, *permit))
                .collect::<Result<_, _>>()?,
            binds: binds(container, plan.ids, &mut maps)?,
            proc: borrowed("/proc", owned_elsewhere(container, container.spec.namespaces.pid))?,
            sys: borrowed("/sys", foreign_network(container, plan))?,
            shm: borrowed("/dev/shm", container.spec.namespaces.ipc == Share::Host)?,
        };
        Ok((sources, stdio, far))
    }
}

impl Sources {
    /// Those that show the host's file systems, in a fixed order.
    pub(crate) fn foreign(&self) -> Vec<BorrowedFd<'_>> {
        let borrowed = [&self.proc, &self.sys, &self.shm].into_iter().flatten();
        borrowed.chain(&self.binds).map(AsFd::as_fd).collect()
    }

    /// Others in their stead, in the same order.
    pub(crate) fn replace_foreign(&mut self, mounts: Vec<OwnedFd>) {
        let borrowed = [&mut self.proc, &mut self.sys, &mut self.shm].into_iter().flatten();
        borrowed.chain(&mut self.binds).zip(mounts).for_each(|(old, new)| *old = new);
    }
}

/// A new, detached mount of what `file` is; with `recursive` of what is mounted below it, too.
pub(crate) fn detach(file: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(file, "", flags)
}

/// The overlay's directories, and the mount they are in.
fn writable(plan: &Plan<'_>) -> Result<OwnedFd, Error> {
    let root = plan.ids.root();
    for name in ["upper", "work"] {
        match rustix::fs::mkdirat(&plan.writable, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let (uid, gid) = (Uid::from_raw(root), Gid::from_raw(root));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&plan.writable, name, Some(uid), Some(gid), flags)
                    .step_at(|| format!("chown {name}"))?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).step_at(|| format!("mkdir {name}")),
        }
    }
    let writable = detach(plan.writable.as_fd(), false).step("open_tree(writable layer)")?;
    let inert = Attributes {
        set: mount::NOSUID | mount::NODEV,
        propagation: Some(Propagation::Private),
        ..Attributes::default()
    };
    mount::set_attributes(&writable, &inert).step("writable layer")?;
    Ok(writable)
}

/// A user namespace of one's own cannot mount file systems that show a namespace of others.
fn owned_elsewhere(container: &EffectiveContainer, share: Share) -> bool {
    container.spec.namespaces.user == UserMode::Private && share == Share::Host
}

fn foreign_network(container: &EffectiveContainer, plan: &Plan<'_>) -> bool {
    container.spec.namespaces.user == UserMode::Private
        && match container.spec.namespaces.network {
            NetworkMode::None | NetworkMode::Endpoints => false,
            NetworkMode::Host => true,
            NetworkMode::Container { .. } => plan.join.user.is_none(),
        }
}

/// The host's file system at `path`, without what is mounted below it.
fn borrowed(path: &str, wanted: bool) -> Result<Option<OwnedFd>, Error> {
    if !wanted {
        return Ok(None);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, path, flags).step(path)?;
    let read_only = if path == "/sys" { mount::RDONLY } else { 0 };
    let inert = Attributes {
        set: read_only | mount::NOSUID | mount::NODEV | mount::NOEXEC,
        propagation: Some(Propagation::Private),
        ..Attributes::default()
    };
    mount::set_attributes(&mount, &inert).step(path)?;
    Ok(Some(mount))
}

/// File systems whose files are the kernel: never a bind source without a grant.
/// Numbers from `linux/magic.h`: proc, sysfs, cgroup, cgroup2, devpts, securityfs, debugfs,
/// tracefs, bpf, efivarfs, pstore, configfs, selinuxfs.
const KERNEL_INTERFACES: [u32; 13] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x7363_6673,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
    0xde5e_81e4,
    0x6165_676c,
    0x6265_6570,
    0xf97c_ff8c,
];

fn binds(container: &EffectiveContainer, ids: Ids, maps: &mut Maps) -> Result<Vec<OwnedFd>, Error> {
    let mut rules = container.binds.iter();
    let mut binds = Vec::with_capacity(container.binds.len());
    for wanted in container.spec.mounts.iter() {
        let MountSpec::Bind { source, read_only, propagation, recursive, create, .. } = wanted
        else {
            continue;
        };
        let rule = rules.next().ok_or_else(|| Error::invalid("a bind without a rule"))?;
        let file = open_source(source, rule, *create)?;
        let at = || format!("bind source {source}");
        let magic = rustix::fs::fstatfs(&file).step_at(at)?.f_type;
        if container.grant.is_none() && KERNEL_INTERFACES.iter().any(|known| is(magic, *known)) {
            return Err(Error::invalid(format!("bind source {source}: a kernel interface")));
        }
        let recursive = *recursive && rule.cross_mounts;
        let bind = detach(file.as_fd(), recursive).step_at(at)?;
        let flag = |wanted: bool, flag: u64| if wanted { flag } else { 0 };
        let idmap = match Map::of_bind(rule.idmap, ids) {
            Some(map) => Some(maps.namespace(map)?),
            None => None,
        };
        let attributes = Attributes {
            set: flag(*read_only || rule.read_only, mount::RDONLY)
                | flag(!rule.suid, mount::NOSUID)
                | flag(!rule.dev, mount::NODEV)
                | flag(rule.no_exec, mount::NOEXEC),
            propagation: Some(match propagation {
                Wanted::Slave if rule.slave || rule.shared => Propagation::Slave,
                Wanted::Shared if rule.shared && ids == Ids::Host => Propagation::Shared,
                Wanted::Shared if rule.shared => {
                    let what =
                        format!("bind source {source}: shared propagation out of a user namespace");
                    return Err(Error::Unsupported { what });
                }
                Wanted::Private | Wanted::Slave | Wanted::Shared => Propagation::Private,
            }),
            idmap,
            recursive,
        };
        mount::set_attributes(&bind, &attributes).step_at(at)?;
        binds.push(bind);
    }
    Ok(binds)
}

/// `f_type` has another type on each architecture; its low 32 bits are the number.
fn is(magic: rustix::fs::FsWord, known: u32) -> bool {
    magic == rustix::fs::FsWord::from(known)
}

/// What a bind shows: below the policy's root, without following a link.
fn open_source(source: &HostPath, rule: &BindRule, create: bool) -> Result<OwnedFd, Error> {
    let host = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step("/")?;
    let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let root = open_beneath(host.as_fd(), rule.root.relative(), no_links)
        .step_at(|| format!("bind root {}", rule.root))?;
    let Ok(rest) = source.as_path().strip_prefix(rule.root.as_path()) else {
        return Err(Error::invalid(format!("bind source {source}: not below {}", rule.root)));
    };
    let mut resolve = no_links;
    resolve.set(ResolveFlags::NO_XDEV, !rule.cross_mounts);
    let mut at = root;
    for name in rest {
        let name = std::os::unix::ffi::OsStrExt::as_bytes(name);
        let mut next = open_beneath(at.as_fd(), name, resolve);
        if let (Err(Errno::NOENT), true, Some((owner, mode))) = (&next, create, rule.create) {
            make_directory(at.as_fd(), name, owner, mode)
                .step_at(|| format!("create bind source {source}"))?;
            next = open_beneath(at.as_fd(), name, resolve);
        }
        if matches!(next, Err(Errno::NOENT)) {
            return Err(Error::invalid(format!("bind source path does not exist: {source}")));
        }
        at = next.step_at(|| format!("bind source {source}"))?;
    }
    Ok(at)
}

fn open_beneath(at: BorrowedFd<'_>, path: &[u8], how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(at, path, flags, Mode::empty(), how | ResolveFlags::BENEATH)
}

fn make_directory(at: BorrowedFd<'_>, name: &[u8], owner: u32, mode: u32) -> Result<(), Errno> {
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(at, name, flags, Mode::empty())?;
    let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
    rustix::fs::fchown(&directory, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode & 0o1777))
}
