//! Grants: dangerous containers that root has written down. What apid may still choose is what
//! changes neither what runs nor with which rights: names, addresses, limits that only tighten.

use crate::capability;
use crate::policy::{DeviceRoot, Grant, Privileged, Section};
use bulkhead_proto::{
    ContainerId, ContainerSpec, HostOr, List, MountSpec, NetworkMode, Seccomp, Share, UserMode,
};

/// Environment variables that the engine sets itself.
const ENGINES_ENV: [&[u8]; 2] = [b"HOSTNAME=", b"TERM="];
/// Files that the engine writes itself.
const ENGINES_FILES: [&[u8]; 3] = [b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"];

impl Grant {
    /// Whether the request is the one that is written down.
    pub(super) fn is_for(&self, spec: &ContainerSpec) -> bool {
        // Cheap before dear: most requests have other layers.
        *self.spec.layers == *spec.layers
            && self.spec.process.args == spec.process.args
            && self.spec == pinned(spec)
    }

    /// The section with all that the granted container needs, for that container alone.
    pub(super) fn widen(&self, section: &Section) -> Section {
        let (mut wide, spec) = (section.clone(), &self.spec);
        let process = &spec.process;
        if spec.privileged {
            wide.privileged = Privileged::Host;
        }
        wide.capabilities.max |= process.cap_add & capability::ALL;
        wide.capabilities.max_host_userns |= process.cap_add & capability::ALL;
        let may = &mut wide.namespaces;
        may.user_host |= spec.namespaces.user == UserMode::Host;
        may.pid_host |= spec.namespaces.pid == Share::Host;
        may.ipc_host |= spec.namespaces.ipc == Share::Host;
        may.network_host |= spec.namespaces.network == NetworkMode::Host;
        may.uts_host |= spec.namespaces.uts == HostOr::Host;
        may.cgroup_host |= spec.namespaces.cgroup == HostOr::Host;
        wide.seccomp.unconfined |= process.seccomp == Seccomp::Unconfined;
        wide.no_new_privs.may_be_off |= process.no_new_privs == Some(false);
        wide.mounts.unmask |= spec.unmask;
        wide.binds = self.binds.clone();
        let devices = spec.devices.iter().map(|device| DeviceRoot {
            path: device.host.clone(),
            access: device.access,
            block: true,
        });
        wide.devices = List::try_from(devices.collect::<Vec<_>>()).unwrap_or_default();
        let names = spec.sysctls.iter().map(|sysctl| sysctl.name.clone());
        wide.sysctls.allow = List::try_from(names.collect::<Vec<_>>()).unwrap_or_default();
        wide
    }
}

/// The request with everything cut away that a grant does not pin, and lists in one order.
pub fn pinned(spec: &ContainerSpec) -> ContainerSpec {
    let mut spec = spec.clone();
    spec.id = ContainerId::from_bytes([0; 32]);
    spec.hostname = Default::default();
    spec.domainname = Default::default();
    spec.resources = Default::default();
    spec.endpoints = Default::default();
    spec.masked_paths = Default::default();
    spec.readonly_paths = Default::default();
    (spec.init, spec.read_only, spec.shm_bytes) = (false, false, None);
    if spec.namespaces.network == NetworkMode::Endpoints {
        spec.namespaces.network = NetworkMode::None;
    }
    let process = &mut spec.process;
    process.terminal = None;
    process.cap_drop = 0;
    process.rlimits = Default::default();
    process.oom_score_adj = None;
    let engines = |text: &[u8]| ENGINES_ENV.iter().any(|name| text.starts_with(name));
    let mut env = std::mem::take(&mut process.env).into_vec();
    env.retain(|variable| !engines(variable.as_bytes()));
    env.sort();
    process.env = List::try_from(env).unwrap_or_default();
    let mut mounts = std::mem::take(&mut spec.mounts).into_vec();
    mounts.retain(|mount| match mount {
        MountSpec::File { target, .. } => !ENGINES_FILES.contains(&target.as_bytes()),
        MountSpec::Tmpfs { .. } | MountSpec::Bind { .. } | MountSpec::Volume { .. } => true,
    });
    for mount in &mut mounts {
        match mount {
            MountSpec::Bind { recursive, create, .. } => (*recursive, *create) = (true, false),
            MountSpec::Volume { copy_up, .. } => *copy_up = false,
            MountSpec::Tmpfs { bytes, mode, read_only, no_exec, .. } => {
                (*bytes, *mode, *read_only, *no_exec) = (None, 0o1777, false, false);
            }
            MountSpec::File { .. } => {}
        }
    }
    mounts.sort_by(|one, other| super::mounts::target(one).cmp(super::mounts::target(other)));
    spec.mounts = List::try_from(mounts).unwrap_or_default();
    let mut devices = std::mem::take(&mut spec.devices).into_vec();
    devices.sort_by(|one, other| (&one.target, &one.host).cmp(&(&other.target, &other.host)));
    spec.devices = List::try_from(devices).unwrap_or_default();
    let mut sysctls = std::mem::take(&mut spec.sysctls).into_vec();
    sysctls.sort_by(|one, other| one.name.cmp(&other.name));
    spec.sysctls = List::try_from(sysctls).unwrap_or_default();
    spec
}
