//! What apid may ask. For each request: from which phase, which descriptors come along, what root
//! does, and who may. `PRIVSEP.md` has the same as a table; `tests/tidy.rs` keeps them together.

use crate::bounded::ByteString;
use crate::codec::{DecodeError, Wire};
use crate::id::{ContainerId, LayerId, NetworkId, Target};
use crate::spec::{ContainerSpec, ExecSpec, NetworkSpec, Resources};

macro_rules! requests {
    ($($(#[$meta:meta])* $kind:literal $name:ident($type:ty) fds $min:literal..=$max:literal,)*) => {
        /// One order to the shim. Who may give it is the policy section of the peer's uid.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(clippy::large_enum_variant, reason = "one at a time, decided and dropped")]
        pub enum Request {
            $($(#[$meta])* $name($type),)*
        }

        /// A request's number on the wire. Requests are even, replies are the request's number
        /// plus one, events are from 0x8000.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum RequestKind {
            $(#[doc = concat!("[`Request::", stringify!($name), "`]")] $name = $kind,)*
        }

        impl RequestKind {
            /// All requests there are.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The request's name, for the audit log.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The fewest and the most descriptors that come along (beside a large body's memfd).
            pub fn fds(self) -> std::ops::RangeInclusive<usize> {
                match self { $(Self::$name => $min..=$max,)* }
            }
        }

        impl TryFrom<u16> for RequestKind {
            type Error = DecodeError;

            fn try_from(kind: u16) -> Result<Self, DecodeError> {
                match kind {
                    $($kind => Ok(Self::$name),)*
                    _ => Err(DecodeError::UnknownKind(kind)),
                }
            }
        }

        impl Request {
            /// The request's number.
            pub fn kind(&self) -> RequestKind {
                match self { $(Self::$name(_) => RequestKind::$name,)* }
            }

            /// The body's bytes.
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Self::$name(body) => body.encode(),)* }
            }

            /// The request of this kind that these bytes are.
            ///
            /// # Errors
            /// The bytes are not exactly one such request.
            pub fn decode(kind: RequestKind, bytes: &[u8]) -> Result<Self, DecodeError> {
                Ok(match kind { $(RequestKind::$name => Self::$name(Wire::decode(bytes)?),)* })
            }
        }
    };
}

requests! {
    /// First on every connection; anything before it closes the connection. Answer:
    /// [`crate::Reply::Hello`]. Any peer that the policy has a section for.
    0x0002 Hello(HelloRequest) fds 0..=0,
    /// From nothing, or from `Stopped`, to `Created`. Root leases ids, makes the cgroup, forks the
    /// monitor, which clones the container's first process; that process sets itself up and waits.
    /// Descriptors: the system-call filter's memfd with [`crate::Seccomp::Program`]. Answer:
    /// [`crate::Reply::Created`] with standard streams and pidfd.
    0x0004 Create(ContainerSpec) fds 0..=1,
    /// `Created` to `Running`. Root compares the waiting process with its permit once more and
    /// lets it exec. Answer: [`crate::Reply::Done`] once exec succeeded.
    0x0006 Start(ContainerId) fds 0..=0,
    /// `Running`. A signal by pidfd to the process, or to every process of the container.
    0x0008 Signal(SignalRequest) fds 0..=0,
    /// `Running`. The monitor closes its duplicate of the process's standard input.
    0x000a CloseStdin(Target) fds 0..=0,
    /// `Running` to `Frozen`: the cgroup's freezer.
    0x000c Freeze(ContainerId) fds 0..=0,
    /// `Frozen` to `Running`.
    0x000e Thaw(ContainerId) fds 0..=0,
    /// `Created`, `Running` or `Frozen`. New limits, decided like those of create, read back.
    0x0010 Update(UpdateRequest) fds 0..=0,
    /// `Running`. A further process in the container; starts at once. Answer:
    /// [`crate::Reply::Created`] with its standard streams and pidfd. Descriptors as for create.
    0x0012 Exec(ExecSpec) fds 0..=1,
    /// Any phase after create. The same descriptors as create gave, again, after apid restarted.
    /// Answer: [`crate::Reply::Created`].
    0x0014 Adopt(Target) fds 0..=0,
    /// `Stopped`. apid has the exit status and has read the pipes dry: the monitor ends; for a
    /// container the cgroup and the network endpoints go too. Ids and root filesystem stay.
    0x0016 Release(Target) fds 0..=0,
    /// No monitor left. The writable layer is deleted and the id range is returned after that.
    0x0018 Remove(ContainerId) fds 0..=0,
    /// What the shim holds, by page. Answer: [`crate::Reply::Recovered`].
    0x001a Recover(RecoverRequest) fds 0..=0,
    /// A layer from a tar stream. Descriptor: the read end of a pipe or a socket. The shim never
    /// reads it: the worker does, in a user namespace of the storage range. Answer, at the
    /// stream's end: [`crate::Reply::Unpacked`].
    0x001c UnpackLayer(UnpackRequest) fds 1..=1,
    /// A layer that no container uses is deleted.
    0x001e RemoveLayer(LayerId) fds 0..=0,
    /// Which of the layers are there, by page. Answer: [`crate::Reply::Layers`].
    0x0020 ListLayers(ListLayersRequest) fds 0..=0,
    /// A bridge, its address and its firewall rules; done already is no error if it is the same.
    0x0022 CreateNetwork(NetworkSpec) fds 0..=0,
    /// A bridge without endpoints goes, with its rules.
    0x0024 RemoveNetwork(NetworkId) fds 0..=0,
}

crate::codec::record! {
    /// Who asks: for the log only.
    pub struct HelloRequest {
        /// Program and version.
        0 client: ByteString<64>,
    }
}

crate::codec::record! {
    /// Send a signal.
    #[derive(Copy)]
    pub struct SignalRequest {
        /// To whom.
        0 target: Target,
        /// 1 to 64.
        1 signal: Signal,
        /// To every process in the container's cgroup instead (for `SIGKILL` by `cgroup.kill`).
        2 all: bool,
    }
}

crate::codec::record! {
    /// Change limits. What is `None` stays.
    pub struct UpdateRequest {
        /// Whose.
        0 id: ContainerId,
        /// To what.
        1 resources: Resources,
    }
}

crate::codec::record! {
    /// Ask for the containers behind this one.
    #[derive(Copy)]
    pub struct RecoverRequest {
        /// The last one seen.
        0 after: Option<Target>,
    }
}

crate::codec::record! {
    /// Ask for the layers behind this one.
    #[derive(Copy)]
    pub struct ListLayersRequest {
        /// The last one seen.
        0 after: Option<LayerId>,
    }
}

crate::codec::record! {
    /// How to unpack.
    #[derive(Copy)]
    pub struct UnpackRequest {
        /// Refuse the layer if its uncompressed stream has another digest.
        0 expected: Option<LayerId>,
        /// The most bytes that the unpacked files may have; none: the policy's.
        1 max_bytes: Option<u64>,
    }
}

/// A signal number, 1 to 64 (`signal(7)`). 0, which only asks, is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// `SIGKILL`.
    pub const KILL: Self = Self(9);
    /// `SIGTERM`.
    pub const TERM: Self = Self(15);

    /// The signal with this number, if there is one.
    pub fn new(number: u8) -> Option<Self> {
        matches!(number, 1..=64).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Wire for Signal {
    fn put(&self, out: &mut crate::codec::Encoder) {
        out.unsigned(u64::from(self.0));
    }
    fn get(input: &mut crate::codec::Decoder<'_>) -> Result<Self, DecodeError> {
        Self::new(u8::get(input)?).ok_or(DecodeError::Value("signal"))
    }
}
