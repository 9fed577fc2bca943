//! What the shim knows from its start on and never changes: policy, places, programs, the kernel.

use crate::dirs::Dirs;
use bulkhead_cgroup::{Hierarchy, Parent};
use bulkhead_network::Instance;
use bulkhead_policy::Policy;
use bulkhead_runtime::Features;
use bulkhead_sys::fork::SingleThreaded;
use seccompiler::BpfProgram;
use std::os::fd::OwnedFd;

/// See the module.
#[derive(Debug)]
pub(crate) struct Host {
    pub proof: SingleThreaded,
    pub dirs: Dirs,
    pub policy: Policy,
    pub hierarchy: Hierarchy,
    pub cgroups: Parent,
    /// The name of the cgroup that holds all of ours, for `Hello`.
    pub cgroup_parent: String,
    pub instance: Instance,
    pub tag: String,
    pub features: Features,
    /// The filter that monitors load.
    pub monitor_filter: BpfProgram,
    /// `bulkhead-worker`, opened at start: no path is looked up while requests are served.
    pub worker: OwnedFd,
    /// `bulkhead-init`; none: `--init` is refused.
    pub init: Option<OwnedFd>,
}

impl Host {
    /// Whether a process is in a cgroup of one of our containers: nobody there talks to the shim.
    pub(crate) fn is_in_container(&self, pid: i32) -> bool {
        // A process that is gone cannot talk either.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return true };
        let below = format!("/{}/", self.cgroup_parent.trim_matches('/'));
        text.lines().any(|line| line.contains(&below))
    }
}
