//! The daemon itself.

use crate::shape::{Map, is_default, shape};

/// Every failure: `{"message": ...}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    pub message: String,
}

shape! {
    /// `{"Id": ...}`
    pub struct IdResponse {
        pub id: String,
    }
}

shape! {
    /// `GET /version`
    pub struct Version {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub platform: Option<VersionPlatform>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub components: Option<Vec<VersionComponent>>,
        pub version: String,
        pub api_version: String,
        #[serde(rename = "MinAPIVersion")]
        pub min_api_version: String,
        pub git_commit: String,
        pub go_version: String,
        pub os: String,
        pub arch: String,
        #[serde(skip_serializing_if = "is_default")]
        pub kernel_version: String,
        #[serde(skip_serializing_if = "is_default")]
        pub experimental: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub build_time: String,
    }
}

shape! {
    /// The product's name.
    pub struct VersionPlatform {
        pub name: String,
    }
}

shape! {
    /// A program that the daemon consists of.
    pub struct VersionComponent {
        pub name: String,
        pub version: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub details: Option<Map<String>>,
    }
}

shape! {
    /// `GET /info`
    pub struct Info {
        #[serde(rename = "ID")]
        pub id: String,
        pub containers: u64,
        pub containers_running: u64,
        pub containers_paused: u64,
        pub containers_stopped: u64,
        pub images: u64,
        pub driver: String,
        /// Names and values.
        pub driver_status: Vec<[String; 2]>,
        pub plugins: PluginsInfo,
        pub memory_limit: bool,
        pub swap_limit: bool,
        pub cpu_cfs_period: bool,
        pub cpu_cfs_quota: bool,
        #[serde(rename = "CPUShares")]
        pub cpu_shares: bool,
        #[serde(rename = "CPUSet")]
        pub cpu_set: bool,
        pub pids_limit: bool,
        #[serde(rename = "IPv4Forwarding")]
        pub ipv4_forwarding: bool,
        pub bridge_nf_iptables: bool,
        #[serde(rename = "BridgeNfIp6tables")]
        pub bridge_nf_ip6tables: bool,
        pub debug: bool,
        #[serde(rename = "NFd")]
        pub n_fd: u64,
        pub oom_kill_disable: bool,
        #[serde(rename = "NGoroutines")]
        pub n_goroutines: u64,
        pub system_time: String,
        pub logging_driver: String,
        pub cgroup_driver: String,
        #[serde(skip_serializing_if = "is_default")]
        pub cgroup_version: String,
        #[serde(rename = "NEventsListener")]
        pub n_events_listener: u64,
        pub kernel_version: String,
        pub operating_system: String,
        #[serde(rename = "OSVersion")]
        pub os_version: String,
        #[serde(rename = "OSType")]
        pub os_type: String,
        pub architecture: String,
        pub index_server_address: String,
        pub registry_config: Option<RegistryConfig>,
        #[serde(rename = "NCPU")]
        pub n_cpu: u64,
        /// Bytes.
        pub mem_total: u64,
        pub generic_resources: Option<Vec<crate::Empty>>,
        pub docker_root_dir: String,
        pub http_proxy: String,
        pub https_proxy: String,
        pub no_proxy: String,
        pub name: String,
        pub labels: Vec<String>,
        pub experimental_build: bool,
        pub server_version: String,
        pub runtimes: Map<Runtime>,
        pub default_runtime: String,
        pub swarm: SwarmInfo,
        pub live_restore_enabled: bool,
        pub isolation: String,
        pub init_binary: String,
        pub containerd_commit: Commit,
        pub runc_commit: Commit,
        pub init_commit: Commit,
        pub security_options: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub default_address_pools: Option<Vec<AddressPool>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub firewall_backend: Option<FirewallInfo>,
        #[serde(rename = "CDISpecDirs")]
        pub cdi_spec_dirs: Vec<String>,
        pub warnings: Option<Vec<String>>,
    }
}

shape! {
    /// Names of drivers by kind.
    pub struct PluginsInfo {
        pub volume: Vec<String>,
        pub network: Vec<String>,
        pub authorization: Option<Vec<String>>,
        pub log: Vec<String>,
    }
}

shape! {
    /// How registries are spoken to.
    pub struct RegistryConfig {
        #[serde(rename = "InsecureRegistryCIDRs")]
        pub insecure_registry_cidrs: Vec<String>,
        pub index_configs: Map<IndexInfo>,
        pub mirrors: Option<Vec<String>>,
    }
}

shape! {
    /// One registry.
    pub struct IndexInfo {
        pub name: String,
        pub mirrors: Vec<String>,
        pub secure: bool,
        pub official: bool,
    }
}

/// A runtime; these names are in lower case in the API.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Runtime {
    pub path: String,
    #[serde(rename = "runtimeArgs", skip_serializing_if = "Option::is_none")]
    pub runtime_args: Option<Vec<String>>,
}

shape! {
    /// Always inactive here; clients look at `LocalNodeState`.
    pub struct SwarmInfo {
        #[serde(rename = "NodeID")]
        pub node_id: String,
        pub node_addr: String,
        /// `inactive`
        pub local_node_state: String,
        pub control_available: bool,
        pub error: String,
        pub remote_managers: Option<Vec<crate::Empty>>,
    }
}

shape! {
    /// The version of a program.
    pub struct Commit {
        #[serde(rename = "ID")]
        pub id: String,
    }
}

shape! {
    /// A pool that networks take subnets from.
    pub struct AddressPool {
        /// `172.17.0.0/12`
        pub base: String,
        /// Prefix length of a subnet.
        pub size: u8,
    }
}

shape! {
    /// Who writes packet filter rules.
    pub struct FirewallInfo {
        /// `nftables`
        pub driver: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub info: Option<Vec<[String; 2]>>,
    }
}
