//! What the shim answers, and what it tells unasked.

use crate::bounded::{ByteString, List};
use crate::codec::{DecodeError, Wire, choice, record};
use crate::id::{ContainerId, LayerId, Target};

/// The most containers or layers in one page of an answer.
pub const PAGE: usize = 256;

/// A text for people, cut to fit.
pub type Text = ByteString<2048>;

choice! {
    /// The answer to one request; its header carries the request's number plus one.
    pub enum Reply {
        /// It is done.
        0 Done,
        /// It is not done, and nothing is left of the attempt.
        1 Refused {
            /// Why.
            refusal: Refusal,
        },
        /// Who answers.
        2 Hello {
            /// What there is.
            hello: Hello,
        },
        /// The process is there. Descriptors: as [`FdLayout`] says.
        3 Created {
            /// Which descriptors come along, in the order of its fields.
            fds: FdLayout,
            /// What was decided, for `inspect`.
            effective: Effective,
        },
        /// One page of what the shim holds, in order; less than [`PAGE`]: the last.
        4 Recovered {
            /// Processes.
            known: List<Known, PAGE>,
        },
        /// A layer is in the store.
        5 Unpacked {
            /// Which.
            layer: UnpackedLayer,
        },
        /// One page of layers, in order; less than [`PAGE`]: the last.
        6 Layers {
            /// Those there are.
            layers: List<LayerId, PAGE>,
        },
    }
}

impl Reply {
    /// A refusal.
    pub fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal }
    }
}

choice! {
    /// Why the shim did not do as asked, in the terms apid needs to answer its client.
    pub enum Refusal {
        /// Policy says no. The API answers 403 with all three.
        0 Denied {
            /// The Docker API's name of what was asked: `HostConfig.PidMode=host`.
            field: Text,
            /// The rule's name: `pidns.host`.
            rule: Text,
            /// What root would have to write where: `[namespaces] pid_host = true in policy.toml`.
            knob: Text,
        },
        /// apid named something that the shim does not hold.
        1 NotFound {
            /// What.
            what: Text,
        },
        /// The request does not fit the phase the container is in.
        2 WrongPhase {
            /// The phase.
            phase: Phase,
        },
        /// There is one already.
        3 Exists {
            /// What.
            what: Text,
        },
        /// The request contradicts itself, or the container's files make it impossible.
        4 Invalid {
            /// What is wrong, naming the field.
            what: Text,
        },
        /// This kernel or this build cannot.
        5 Unsupported {
            /// What, and since when the kernel can.
            what: Text,
        },
        /// The program could not be run: `execve(2)` or `chdir(2)` failed in the container.
        6 Program {
            /// errno.
            errno: i32,
            /// Which step, on what: `exec "foo"`, `chdir to cwd "/x"`.
            step: Text,
        },
        /// The kernel said no. The text is for people, not for decisions.
        7 Kernel {
            /// The call and its error.
            what: Text,
        },
        /// Something else uses it.
        8 InUse {
            /// What.
            what: Text,
        },
        /// A limit of the policy or of this build is reached: ids, containers, processes.
        9 Exhausted {
            /// Which.
            what: Text,
        },
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied { field, rule, knob } => {
                write!(f, "{field} denied by policy rule {rule}; to permit it: {knob}")
            }
            Self::NotFound { what } => write!(f, "no such {what}"),
            Self::WrongPhase { phase } => write!(f, "the container is {phase}"),
            Self::Exists { what } => write!(f, "{what} exists already"),
            Self::Invalid { what } | Self::Unsupported { what } | Self::Kernel { what } => {
                write!(f, "{what}")
            }
            Self::Program { errno, step } => {
                write!(f, "{step}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            Self::InUse { what } => write!(f, "{what} is in use"),
            Self::Exhausted { what } => write!(f, "limit reached: {what}"),
        }
    }
}

impl std::error::Error for Refusal {}

choice! {
    /// Where a container is in its life.
    #[derive(Copy, Hash)]
    pub enum Phase {
        /// Set up, waiting for start.
        0 Created,
        /// Its program runs.
        1 Running,
        /// Its processes are stopped by the freezer.
        2 Frozen,
        /// Its first process has ended; streams may still hold output.
        3 Stopped,
        /// No process and no cgroup; ids and root filesystem are kept.
        4 Released,
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Frozen => "paused",
            Self::Stopped => "stopped",
            Self::Released => "released",
        })
    }
}

record! {
    /// The shim introduces itself.
    pub struct Hello {
        /// Its version.
        0 version: ByteString<64>,
        /// Tells several engines on one host apart: 8 hex digits of the state directory's path.
        1 instance: ByteString<16>,
        /// Which cgroup hierarchy: 1 or 2 (a hybrid host is 1).
        2 cgroup_version: u8,
        /// The policy's name: `hardened`, `compat`, or what its file says.
        3 policy: ByteString<64>,
        /// SHA-256-free fingerprint of the compiled policy, 16 hex digits; for `info`.
        4 policy_fingerprint: ByteString<16>,
        /// Absolute directory of the cgroup below which containers are, for reading statistics;
        /// on v1 the path below each controller's mount.
        5 cgroup_parent: ByteString<256>,
        /// The name of the default bridge on this host.
        6 default_bridge: ByteString<16>,
        /// `nosuid` etc. defaults need not be told; whether new containers get no_new_privs is.
        7 no_new_privs: bool,
        /// The default limit of processes, 0: none.
        8 default_pids: u64,
    }
}

record! {
    /// Which descriptors a [`Reply::Created`] brings, in this order.
    #[derive(Copy)]
    pub struct FdLayout {
        /// A pidfd of the process; always.
        0 pidfd: bool,
        /// How its standard streams are connected.
        1 stdio: Stdio,
    }
}

choice! {
    /// Descriptors for standard streams, in this order.
    #[derive(Copy)]
    pub enum Stdio {
        /// Read end of stdout, read end of stderr.
        0 Output,
        /// Write end of stdin, read end of stdout, read end of stderr.
        1 InputOutput,
        /// The pty's master.
        2 Terminal,
    }
}

impl FdLayout {
    /// How many descriptors.
    pub fn count(self) -> usize {
        usize::from(self.pidfd)
            + match self.stdio {
                Stdio::Output => 2,
                Stdio::InputOutput => 3,
                Stdio::Terminal => 1,
            }
    }
}

record! {
    /// What the policy made of the request, as the kernel confirmed it.
    #[derive(Copy)]
    pub struct Effective {
        /// The process's pid in the host's namespace: for `inspect`, `top` and statistics; never
        /// accepted back.
        0 pid: u32,
        /// First host uid and gid of the container's range; 0 with the host's user namespace.
        1 uid_base: u32,
        /// The bounding set.
        2 capabilities: u64,
        /// `PR_SET_NO_NEW_PRIVS` is set.
        3 no_new_privs: bool,
        /// The processes limit that holds; 0: none.
        4 pids: u64,
    }
}

record! {
    /// One process tree the shim holds.
    #[derive(Copy)]
    pub struct Known {
        /// Which.
        0 target: Target,
        /// Where it is.
        1 phase: Phase,
        /// How it ended, once `Stopped`.
        2 exit: Option<ExitStatus>,
    }
}

record! {
    /// How a process ended.
    #[derive(Copy)]
    pub struct ExitStatus {
        /// Exit code; 128 + signal if a signal ended it, as shells and Docker count.
        0 code: u8,
        /// The signal that ended it; 0: none.
        1 signal: u8,
        /// The kernel's OOM killer struck in the container's cgroup.
        2 oom_killed: bool,
        /// Nanoseconds since 1970.
        3 at_ns: u64,
    }
}

record! {
    /// What became of a tar stream.
    #[derive(Copy)]
    pub struct UnpackedLayer {
        /// SHA-256 of the uncompressed stream.
        0 id: LayerId,
        /// SHA-256 of the stream as it came.
        1 digest: [u8; 32],
        /// Bytes of the stream as it came.
        2 packed_bytes: u64,
        /// Bytes of file contents.
        3 bytes: u64,
        /// Entries.
        4 entries: u64,
        /// The store had it already.
        5 known: bool,
    }
}

choice! {
    /// What the shim tells unasked.
    #[derive(Copy)]
    pub enum Event {
        /// A process ended. Repeated at [`crate::Request::Recover`] until released.
        0 Exited {
            /// Which.
            target: Target,
            /// How.
            status: ExitStatus,
        },
    }
}

/// The header kind of every [`Event`].
pub const EVENT_KIND: u16 = 0x8000;

impl Event {
    /// The container it is about.
    pub fn container(&self) -> ContainerId {
        match self {
            Self::Exited { target, .. } => target.container(),
        }
    }
}

/// What stands in a message from the shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromShim {
    /// An answer to the request with the header's sequence number.
    Reply(Reply),
    /// Unasked.
    Event(Event),
}

impl FromShim {
    /// Decode a body by its header's kind.
    ///
    /// # Errors
    /// The bytes are not exactly one reply or event.
    pub fn decode(kind: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
        if kind == EVENT_KIND {
            Event::decode(bytes).map(Self::Event)
        } else if kind < EVENT_KIND && kind % 2 == 1 {
            Reply::decode(bytes).map(Self::Reply)
        } else {
            Err(DecodeError::UnknownKind(kind))
        }
    }
}
