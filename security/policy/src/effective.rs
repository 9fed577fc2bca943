//! What a request becomes once policy has had its say: every default filled in, nothing left to
//! interpret. The runtime does exactly this and reads nothing else.

use bulkhead_proto::{
    ContainerId, ContainerPath, ContainerSpec, ExecSpec, HostPath, LayerId, Name, NetworkId,
    NetworkSpec, Rlimit, SignalRequest, Sysctl, Target, UnpackRequest, UpdateRequest, choice,
};

/// Proof that policy admits `T`. Only [`crate::decide`] makes one; privileged code takes nothing
/// else.
#[derive(Debug, Clone)]
pub struct Permit<T> {
    granted: T,
    rule: &'static str,
}

impl<T> Permit<T> {
    pub(crate) fn new(granted: T, rule: &'static str) -> Self {
        Self { granted, rule }
    }

    /// What may be done.
    pub fn granted(&self) -> &T {
        &self.granted
    }

    /// The rule that admitted it, for the audit log.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

macro_rules! permitted {
    ($($name:ident($type:ty) $($note:literal)?,)*) => {
        /// A decided request: one permit a kind, so that no operation can take another's.
        #[derive(Debug, Clone)]
        #[expect(clippy::large_enum_variant, reason = "made once a request and consumed at once")]
        pub enum Permitted {
            /// `Hello`
            Hello,
            $(#[doc = concat!("`", stringify!($name), "`" $(, "; ", $note)?)] $name(Permit<$type>),)*
        }

        impl Permitted {
            /// The rule that admitted the request, for the audit log.
            pub fn rule(&self) -> &'static str {
                match self {
                    Self::Hello => "default",
                    $(Self::$name(permit) => permit.rule,)*
                }
            }
        }
    };
}

permitted! {
    Create(EffectiveContainer),
    Start(ContainerId),
    Signal(SignalRequest),
    CloseStdin(Target),
    Freeze(ContainerId),
    Thaw(ContainerId),
    Update(UpdateRequest) "limits checked like those of create, defaults not filled in",
    Exec(EffectiveExec),
    Adopt(Target),
    Release(Target),
    Remove(ContainerId),
    Recover(Option<Target>),
    UnpackLayer(UnpackRequest) "`max_bytes` filled in",
    RemoveLayer(LayerId),
    ListLayers(Option<LayerId>),
    CreateNetwork(NetworkSpec),
    RemoveNetwork(NetworkId),
}

/// A container as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveContainer {
    /// What was asked. `resources.pids`, `process.no_new_privs`, `process.oom_score_adj` and
    /// `shm_bytes` are filled in (`pids`: `u64::MAX` is no limit).
    pub spec: ContainerSpec,
    /// What every process of the container may do at most.
    pub confinement: Confinement,
    /// For each `MountSpec::Bind` of the spec, in order: how the policy root admits it.
    pub binds: Vec<BindRule>,
    /// For each device of the spec, in order: what it may be.
    pub devices: Vec<DevicePermit>,
    /// All paths to mask: built-in and asked for, unless unmasked by policy.
    pub masked_paths: Vec<ContainerPath>,
    /// All paths to make read-only.
    pub readonly_paths: Vec<ContainerPath>,
    /// Kernel parameters to set: those asked for and the policy's own.
    pub sysctls: Vec<Sysctl>,
    /// Resource limits to set: those asked for over the policy's.
    pub rlimits: Vec<Rlimit>,
    /// The grant without which this would have been denied.
    pub grant: Option<GrantUse>,
}

/// What a device of the host may be once it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePermit {
    /// A block device, that is, somebody's file system; else only a character device.
    pub block: bool,
}

/// What comes with a grant. The shim holds the container to it for its whole life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantUse {
    /// The grant's name, for the audit log.
    pub name: Name,
    /// `exec` into the container is admitted; otherwise it is not: a grant pins what runs.
    pub exec: bool,
    /// The most containers that may use the grant at once.
    pub instances: u32,
}

/// The bounds of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Bounding set, and permitted and effective of a root process. Inheritable and ambient are
    /// always empty.
    pub capabilities: u64,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Load the shim's constant floor filter. Only a grant leaves it out.
    pub seccomp_floor: bool,
    /// Load the default profile (for these capabilities) on top of the floor.
    pub seccomp_default: bool,
    /// Load the request's own program on top.
    pub seccomp_program: bool,
}

/// How a policy root admits a bind mount below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRule {
    /// The policy's root: opened without following links; the rest of the source is resolved
    /// beneath it, without links and without leaving its file system unless `cross_mounts`.
    pub root: HostPath,
    /// How ids appear.
    pub idmap: BindIdmap,
    /// The container may never write.
    pub read_only: bool,
    /// No program may be executed from it.
    pub no_exec: bool,
    /// Set-id bits count (else nosuid).
    pub suid: bool,
    /// Device nodes work (else nodev).
    pub dev: bool,
    /// Mounts below the root may be entered.
    pub cross_mounts: bool,
    /// Owner uid and permission bits of a source directory that may be created.
    pub create: Option<(u32, u32)>,
    /// Slave or shared propagation may be had.
    pub slave: bool,
    /// Shared propagation may be had.
    pub shared: bool,
}

choice! {
    /// How ids of files on a bind mount appear in the container.
    #[derive(Copy)]
    pub enum BindIdmap {
        /// As on the host: mostly as nobody (65534).
        0 None,
        /// The container's root and this one host uid and gid are the same; others are nobody.
        1 Squash {
            /// The host's uid and gid.
            id: u32,
        },
        /// The container's uid N is the host's uid N: container root can make set-id files for
        /// host root. Only by policy, never by default.
        2 Full,
    }
}

/// A process in a running container as it will be. The runtime intersects it with what the
/// container itself was permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveExec {
    /// What was asked.
    pub spec: ExecSpec,
    /// The capabilities asked for beyond the container's own: none, or with `privileged` the
    /// policy's maximum. The shim intersects with the container's bounding set otherwise.
    pub privileged: bool,
    /// Resource limits to set.
    pub rlimits: Vec<Rlimit>,
}
