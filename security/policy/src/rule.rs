//! Rules by name, and what they found in a request.

use bulkhead_proto::{Refusal, Text};
use std::fmt;

/// A rule of the policy: its name in audit records and refusals, and what root would write in
/// `policy.toml` to permit what it denies.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Short name.
    pub id: &'static str,
    /// What to write where.
    pub knob: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $knob:literal)*) => {
        $(pub(crate) const $name: &Rule = &Rule { id: $id, knob: $knob };)*
        /// All rules, for documentation and tests.
        pub const RULES: &[&Rule] = &[$($name),*];
    };
}

rules! {
    PEER "peer" "a section with this uid in policy.toml"
    PRIVILEGED "privileged" "privileged = \"userns-only\" in policy.toml"
    PRIVILEGED_HOST "privileged.host" "privileged = \"host\" in policy.toml"
    EXEC_PRIVILEGED "exec.privileged" "exec_privileged = true in policy.toml"
    CAPS_MAX "caps.max" "[capabilities] max in policy.toml"
    CAPS_HOST "caps.max_host_userns" "[capabilities] max_host_userns in policy.toml"
    USER_HOST "userns.host" "[namespaces] user_host = true in policy.toml"
    PID_HOST "pidns.host" "[namespaces] pid_host = true in policy.toml"
    IPC_HOST "ipcns.host" "[namespaces] ipc_host = true in policy.toml"
    NETWORK_HOST "netns.host" "[namespaces] network_host = true in policy.toml"
    UTS_HOST "utsns.host" "[namespaces] uts_host = true in policy.toml"
    CGROUP_HOST "cgroupns.host" "[namespaces] cgroup_host = true in policy.toml"
    JOIN "namespace.join" "[namespaces] join = true in policy.toml"
    JOIN_GRANT "namespace.join.grant" "exec = true in the [[grants]] entry of that container"
    SECCOMP_UNCONFINED "seccomp.unconfined" "[seccomp] unconfined = true in policy.toml"
    SECCOMP_PROGRAM "seccomp.program" "[seccomp] program = true in policy.toml"
    NO_NEW_PRIVS "no_new_privs" "[no_new_privs] may_be_off = true in policy.toml"
    UNMASK "unmask" "[mounts] unmask = true in policy.toml"
    BIND "bind.root" "a [[binds]] entry in policy.toml whose source is this directory or one above"
    BIND_FLOOR "bind.floor" "never by [[binds]]; a [[grants]] entry in policy.toml"
    BIND_SYSTEM "bind.system" "a [[binds]] entry for this very directory, or system = true, in policy.toml"
    BIND_WRITE "bind.read_only" "[[binds]] read_only = false for its root in policy.toml"
    BIND_SLAVE "bind.slave" "[[binds]] slave = true for its root in policy.toml"
    BIND_SHARED "bind.shared" "[[binds]] shared = true for its root in policy.toml"
    TARGET "mount.target" "none: what the engine mounts there must not be covered"
    TMPFS "tmpfs.max" "[mounts] tmpfs_bytes in policy.toml"
    SHM "shm.max" "[mounts] shm_bytes in policy.toml"
    DEVICE "device" "a [[devices]] entry in policy.toml with this path and access"
    SYSCTL_HOST "sysctl.namespaced" "none: the parameter is the host's, not a namespace's"
    SYSCTL_SHARED "sysctl.private" "none: the container must have that namespace for itself"
    SYSCTL "sysctl.allow" "[sysctls] allow in policy.toml"
    RLIMIT "rlimit.max" "[rlimits.max] in policy.toml"
    OOM_SCORE "oom.score_adj_min" "[oom] score_adj_min in policy.toml"
    OOM_KILL "oom.kill_disable" "[oom] kill_disable = true in policy.toml"
    MEMORY "memory.max" "[resources] memory in policy.toml"
    SWAP "memory_and_swap.max" "[resources] memory_and_swap in policy.toml"
    CPUS "cpus.max" "[resources] cpus in policy.toml"
    PIDS "pids.max" "[resources] pids in policy.toml"
    BLOCK_IO "block_io" "[resources] block_io in policy.toml"
    NETWORK_CREATE "network.create" "[networks] create = true in policy.toml"
    NETWORK_POOL "network.pools" "[networks] pools in policy.toml"
}

/// One dangerous thing that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The Docker API's name of it, with the value: `HostConfig.PidMode=host`.
    pub field: String,
    /// Which rule decides.
    pub rule: &'static Rule,
    /// How.
    pub allowed: bool,
}

/// Why a request is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Policy says no.
    Denied {
        /// The Docker API's name of what was asked.
        field: String,
        /// The rule's name.
        rule: &'static str,
        /// What root would have to write where.
        knob: &'static str,
    },
    /// The request contradicts itself or names something that there cannot be.
    Invalid {
        /// What is wrong, naming the field.
        what: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Refusal::from(self.clone()).fmt(f)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied { field, rule, knob } => {
                Self::Denied { field: text(&field), rule: text(rule), knob: text(knob) }
            }
            Refused::Invalid { what } => Self::Invalid { what: text(&what) },
        }
    }
}

/// Cut to fit.
fn text(long: &str) -> Text {
    let bytes: Vec<u8> = long.bytes().filter(|byte| *byte != 0).take(2048).collect();
    Text::try_from(bytes).unwrap_or_default()
}

/// Goes over a request and writes down what it finds.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) findings: Vec<Finding>,
    /// What is wrong with the request beside policy.
    pub(crate) invalid: Option<String>,
}

impl Judge {
    /// Something dangerous is asked for; `allowed` by this rule or not.
    pub(crate) fn ask(&mut self, rule: &'static Rule, allowed: bool, field: impl Into<String>) {
        self.findings.push(Finding { field: field.into(), rule, allowed });
    }

    /// Unless `holds`, the request makes no sense.
    pub(crate) fn valid(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.invalid.is_none() {
            self.invalid = Some(what());
        }
    }

    /// The rule under which all of it is permitted, or why it is not.
    pub(crate) fn verdict(self) -> Result<&'static str, Refused> {
        if let Some(what) = self.invalid {
            return Err(Refused::Invalid { what });
        }
        match self.findings.iter().find(|finding| !finding.allowed) {
            Some(Finding { field, rule, .. }) => {
                Err(Refused::Denied { field: field.clone(), rule: rule.id, knob: rule.knob })
            }
            None => Ok(self.findings.first().map_or("default", |finding| finding.rule.id)),
        }
    }
}
