//! What a caller says beside the permit: the descriptors and ids that it holds for the container.

use bulkhead_cgroup::Cgroup;
use bulkhead_network::EndpointPlan;
use bulkhead_policy::proto::UserMode;
use bulkhead_policy::{EffectiveContainer, EffectiveExec, Permit};
use rustix::fs::{Mode, OFlags};
use rustix::mount::FsOpenFlags;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How many ids a container has of its own, and how many a layer's files may have.
pub const RANGE: u32 = 65_536;

/// Which ids of the host a container's ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Its own: id N of the container is `base + N` of the host, for N below [`RANGE`].
    Range {
        /// The first.
        base: u32,
    },
    /// The host's: no user namespace.
    Host,
}

impl Ids {
    /// The host's id of the container's root.
    pub fn root(self) -> u32 {
        match self {
            Self::Range { base } => base,
            Self::Host => 0,
        }
    }

    /// Whether the container may have this id.
    pub(crate) fn contain(self, id: u32) -> bool {
        match self {
            Self::Range { .. } => id < RANGE,
            // As Docker: 2^31 and above are negative somewhere.
            Self::Host => i32::try_from(id).is_ok(),
        }
    }
}

/// Namespaces of another container that this one joins. With `user`, [`Plan::ids`] are that
/// container's.
#[derive(Debug, Default)]
pub struct Joined {
    /// Its user namespace; needed to share `pid` or `ipc`.
    pub user: Option<OwnedFd>,
    /// Its pid namespace.
    pub pid: Option<OwnedFd>,
    /// Its IPC namespace. `/dev/shm` is not shared.
    pub ipc: Option<OwnedFd>,
    /// Its network namespace.
    pub net: Option<OwnedFd>,
}

impl Joined {
    /// The same, with descriptors of its own.
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn try_clone(&self) -> io::Result<Self> {
        let again = |fd: &Option<OwnedFd>| fd.as_ref().map(OwnedFd::try_clone).transpose();
        Ok(Self {
            user: again(&self.user)?,
            pid: again(&self.pid)?,
            ipc: again(&self.ipc)?,
            net: again(&self.net)?,
        })
    }

    pub(crate) fn any(&self) -> bool {
        [&self.user, &self.pid, &self.ipc, &self.net].into_iter().any(Option::is_some)
    }
}

/// Everything that [`crate::create`] needs.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What may be done.
    pub permit: &'a Permit<EffectiveContainer>,
    /// With which ids.
    pub ids: Ids,
    /// Files of layers are owned on disk by this id (the image's root) and those after it.
    pub storage_base: u32,
    /// Directories of the layer store (`O_PATH`), the lowest first; at least one.
    pub layers: Vec<OwnedFd>,
    /// The directory (`O_PATH`) that holds `upper` and `work` of the overlay. They are made, owned
    /// by the container's root, if missing.
    pub writable: OwnedFd,
    /// Namespaces that are not its own.
    pub join: Joined,
    /// Its control group, limits already applied.
    pub cgroup: &'a Cgroup,
    /// Its interfaces.
    pub endpoints: Vec<EndpointPlan>,
    /// A static program to run as pid 1 with the container's program as arguments. Best a sealed
    /// memfd: processes of the container can open what they run.
    pub init: Option<BorrowedFd<'a>>,
    /// The request's own system-call filter: `struct sock_filter`s, validated by policy.
    pub seccomp_program: Option<Vec<u8>>,
    /// What this kernel can.
    pub features: Features,
}

impl Plan<'_> {
    /// What contradicts the permit.
    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        let container = self.permit.granted();
        let spec = &container.spec;
        let private = spec.namespaces.user == UserMode::Private;
        let rules = [
            (private == matches!(self.ids, Ids::Range { .. }), "ids do not fit the user namespace"),
            (!self.layers.is_empty(), "a container needs at least one layer"),
            (self.layers.len() == spec.layers.len(), "not as many layers as permitted"),
            (container.binds.len() == binds(container), "not as many bind rules as binds"),
            (container.devices.len() == spec.devices.len(), "not as many device rules as devices"),
            (self.endpoints.len() == spec.endpoints.len(), "not as many endpoints as permitted"),
            (
                self.seccomp_program.is_some() == container.confinement.seccomp_program,
                "the system-call filter is missing, or not permitted",
            ),
            (self.init.is_some() == spec.init, "the init program is missing, or not asked for"),
            (self.joins_fit(), "namespaces to join are missing, or not permitted"),
            (!spec.process.args.is_empty(), "no program to run"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(crate::Error::invalid(broken)),
            None => Ok(()),
        }
    }

    fn joins_fit(&self) -> bool {
        use bulkhead_policy::proto::{NetworkMode, Share};
        let spec = self.permit.granted().spec.namespaces;
        let shared = |share: Share| matches!(share, Share::Container { .. });
        let private = spec.user == UserMode::Private;
        shared(spec.pid) == self.join.pid.is_some()
            && shared(spec.ipc) == self.join.ipc.is_some()
            && matches!(spec.network, NetworkMode::Container { .. }) == self.join.net.is_some()
            && (private && (shared(spec.pid) || shared(spec.ipc))) == self.join.user.is_some()
    }
}

fn binds(container: &EffectiveContainer) -> usize {
    use bulkhead_policy::proto::MountSpec;
    container.spec.mounts.iter().filter(|mount| matches!(mount, MountSpec::Bind { .. })).count()
}

/// Everything that [`crate::exec`] needs.
#[derive(Debug)]
pub struct ExecPlan<'a> {
    /// What may be done.
    pub permit: &'a Permit<EffectiveExec>,
    /// The container it is done in, as it was decided.
    pub container: &'a EffectiveContainer,
    /// pidfd of the container's first process.
    pub init: BorrowedFd<'a>,
    /// Its pid.
    pub init_pid: u32,
    /// The container's control group.
    pub cgroup: &'a Cgroup,
    /// The container's ids.
    pub ids: Ids,
    /// The container's own system-call filter.
    pub seccomp_program: Option<Vec<u8>>,
}

/// What differs between kernels from 6.1 on. Probe once; a test may claim less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Overlay takes its directories as descriptors (`FSCONFIG_SET_FD`, Linux 6.13). Otherwise by
    /// paths below a private tmpfs.
    pub overlay_by_fd: bool,
}

impl Features {
    /// Ask the kernel. What cannot be asked is taken for missing.
    pub fn probe() -> Self {
        let overlay_by_fd = || -> rustix::io::Result<()> {
            let overlay = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open("/", flags, Mode::empty())?;
            rustix::mount::fsconfig_set_fd(&overlay, "lowerdir+", &root)
        };
        Self { overlay_by_fd: overlay_by_fd().is_ok() }
    }
}
