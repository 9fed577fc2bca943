//! What a shim writes down of a container so that the next one can serve it: for exec, and to know
//! which layers and ids are in use. In a root-only directory of `/run`; read back strictly.

use bulkhead_policy::{Confinement, EffectiveContainer, GrantUse};
use bulkhead_proto::{ContainerSpec, DecodeError, Name, Wire, record};

record! {
    /// A container as it was permitted, less what matters only while it is created.
    pub(crate) struct Recorded {
        /// What was asked for, defaults filled in.
        0 spec: ContainerSpec,
        /// First id of its range.
        1 base: u32,
        /// The bounding set.
        2 capabilities: u64,
        /// `PR_SET_NO_NEW_PRIVS`.
        3 no_new_privs: bool,
        /// The floor filter is loaded.
        4 seccomp_floor: bool,
        /// The default profile is loaded.
        5 seccomp_default: bool,
        /// The request's own filter is loaded; it is in the file beside.
        6 seccomp_program: bool,
        /// Further processes may be started in it: a grant may pin what runs.
        7 exec: bool,
    }
}

impl Recorded {
    pub(crate) fn new(container: &EffectiveContainer, base: u32) -> Self {
        let Confinement {
            capabilities,
            no_new_privs,
            seccomp_floor,
            seccomp_default,
            seccomp_program,
        } = container.confinement;
        Self {
            spec: container.spec.clone(),
            base,
            capabilities,
            no_new_privs,
            seccomp_floor,
            seccomp_default,
            seccomp_program,
            exec: container.grant.as_ref().is_none_or(|grant| grant.exec),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }

    /// As far as execs need it.
    pub(crate) fn into_effective(self) -> EffectiveContainer {
        let pinned = GrantUse { name: Name::default(), exec: false, instances: 0 };
        EffectiveContainer {
            devices: Vec::new(),
            grant: (!self.exec).then_some(pinned),
            confinement: Confinement {
                capabilities: self.capabilities,
                no_new_privs: self.no_new_privs,
                seccomp_floor: self.seccomp_floor,
                seccomp_default: self.seccomp_default,
                seccomp_program: self.seccomp_program,
            },
            spec: self.spec,
            binds: Vec::new(),
            masked_paths: Vec::new(),
            readonly_paths: Vec::new(),
            sysctls: Vec::new(),
            rlimits: Vec::new(),
        }
    }
}
