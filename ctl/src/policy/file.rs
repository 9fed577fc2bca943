//! The shape of `policy.toml`. Every key may be missing: then the base's value holds. A list replaces
//! the base's list. `presets/hardened.toml` explains each key.

use super::value::{
    Access, Address, BlockDevices, CapabilitySet, Cpus, Id, Idmap, Inside, Mode, Number, Outside,
    Size, Soft, Text,
};
use bulkhead_policy::Privileged;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One peer's section; the file itself is the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionFile {
    /// At the top only.
    pub(super) name: Option<Text>,
    pub(super) base: Base,
    pub(super) uid: Option<u32>,
    #[serde(default, deserialize_with = "super::value::privileged")]
    pub(super) privileged: Option<Privileged>,
    pub(super) exec_privileged: Option<bool>,
    pub(super) binds: Option<Vec<BindFile>>,
    pub(super) mounts: Option<MountsFile>,
    pub(super) devices: Option<Vec<DeviceFile>>,
    pub(super) capabilities: Option<CapabilitiesFile>,
    pub(super) namespaces: Option<NamespacesFile>,
    pub(super) seccomp: Option<SeccompFile>,
    pub(super) no_new_privs: Option<NoNewPrivsFile>,
    pub(super) sysctls: Option<SysctlsFile>,
    pub(super) rlimits: Option<RlimitsFile>,
    pub(super) oom: Option<OomFile>,
    pub(super) resources: Option<ResourcesFile>,
    pub(super) networks: Option<NetworksFile>,
    pub(super) images: Option<ImagesFile>,
    pub(super) counts: Option<CountsFile>,
    pub(super) grants: Option<Vec<GrantFile>>,
    /// At the top only: sections of further peers.
    pub(super) peers: Option<Vec<SectionFile>>,
}

/// Where a section starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Base {
    Hardened,
    Compat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindFile {
    pub(super) source: Outside,
    /// Of a grant only.
    pub(super) target: Option<Inside>,
    #[serde(default = "yes")]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) idmap: Idmap,
    #[serde(default = "yes")]
    pub(super) no_exec: bool,
    #[serde(default)]
    pub(super) suid: bool,
    #[serde(default)]
    pub(super) dev: bool,
    #[serde(default)]
    pub(super) cross_mounts: bool,
    pub(super) create: Option<CreateFile>,
    #[serde(default)]
    pub(super) slave: bool,
    #[serde(default)]
    pub(super) shared: bool,
    #[serde(default)]
    pub(super) system: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateFile {
    pub(super) uid: u32,
    pub(super) mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MountsFile {
    pub(super) tmpfs_bytes: Option<Size>,
    pub(super) shm_bytes: Option<Size>,
    pub(super) unmask: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceFile {
    pub(super) path: Outside,
    pub(super) access: Access,
    #[serde(default)]
    pub(super) block: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CapabilitiesFile {
    pub(super) default: Option<CapabilitySet>,
    pub(super) max: Option<CapabilitySet>,
    pub(super) max_host_userns: Option<CapabilitySet>,
}

/// Which namespaces are the host's: of a section, may be; of a grant, are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespacesFile {
    pub(super) user_host: Option<bool>,
    pub(super) pid_host: Option<bool>,
    pub(super) ipc_host: Option<bool>,
    pub(super) network_host: Option<bool>,
    pub(super) uts_host: Option<bool>,
    pub(super) cgroup_host: Option<bool>,
    /// Of a section only.
    pub(super) join: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeccompFile {
    pub(super) unconfined: Option<bool>,
    pub(super) program: Option<bool>,
    pub(super) replace_default: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoNewPrivsFile {
    pub(super) default: Option<bool>,
    pub(super) may_be_off: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SysctlsFile {
    pub(super) allow: Option<Vec<Text>>,
    pub(super) set: Option<BTreeMap<String, Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RlimitsFile {
    pub(super) default: Option<BTreeMap<String, Soft>>,
    pub(super) max: Option<BTreeMap<String, Soft>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OomFile {
    pub(super) score_adj_min: Option<i16>,
    pub(super) kill_disable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourcesFile {
    pub(super) memory: Option<Size>,
    pub(super) memory_and_swap: Option<Size>,
    pub(super) cpus: Option<Cpus>,
    pub(super) pids_default: Option<Number>,
    pub(super) pids: Option<Number>,
    pub(super) block_io: Option<BlockDevices>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworksFile {
    pub(super) create: Option<bool>,
    pub(super) pools: Option<Vec<Address>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImagesFile {
    pub(super) layer_bytes: Option<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountsFile {
    pub(super) containers: Option<u32>,
    pub(super) execs: Option<u32>,
    pub(super) layers: Option<u32>,
    pub(super) networks: Option<u32>,
}

/// One container that may be although the section denies it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantFile {
    pub(super) name: Text,
    /// `RootFS.Layers` of `image inspect`, in that order.
    pub(super) layers: Vec<Id>,
    /// Entrypoint and command together.
    pub(super) args: Vec<String>,
    /// The image's and the request's together; `HOSTNAME` and `TERM` need not be here.
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(super) cwd: Option<Inside>,
    #[serde(default)]
    pub(super) user: Text,
    #[serde(default)]
    pub(super) groups: Vec<Text>,
    #[serde(default)]
    pub(super) stdin: bool,
    #[serde(default)]
    pub(super) privileged: bool,
    #[serde(default)]
    pub(super) cap_add: CapabilitySet,
    #[serde(default)]
    pub(super) namespaces: NamespacesFile,
    #[serde(default)]
    pub(super) seccomp_unconfined: bool,
    pub(super) no_new_privs: Option<bool>,
    #[serde(default)]
    pub(super) unmask: bool,
    #[serde(default)]
    pub(super) binds: Vec<BindFile>,
    #[serde(default)]
    pub(super) volumes: Vec<VolumeFile>,
    /// Where a tmpfs is mounted.
    #[serde(default)]
    pub(super) tmpfs: Vec<Inside>,
    #[serde(default)]
    pub(super) devices: Vec<GrantDeviceFile>,
    #[serde(default)]
    pub(super) sysctls: BTreeMap<String, Text>,
    #[serde(default)]
    pub(super) without_floor: bool,
    #[serde(default)]
    pub(super) exec: bool,
    #[serde(default = "one")]
    pub(super) instances: u32,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeFile {
    pub(super) name: Text,
    pub(super) target: Inside,
    #[serde(default)]
    pub(super) read_only: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantDeviceFile {
    pub(super) path: Outside,
    /// In the container; none: the same.
    pub(super) target: Option<Inside>,
    pub(super) access: Access,
}
