//! `HostConfig`: what of the host a container gets. Every field of the API is read, so that the
//! engine can refuse what it does not do; none is skipped in silence.

use crate::shape::{Map, is_default, shape};

/// Published ports: keys are `port/proto`; `null` values are exposed, not published.
pub type PortMap = Map<Option<Vec<PortBinding>>>;

shape! {
    /// The part of a container's configuration that depends on the host.
    pub struct HostConfig {
        pub binds: Option<Vec<String>>,
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        pub log_config: LogConfig,
        pub network_mode: String,
        pub port_bindings: Option<PortMap>,
        pub restart_policy: RestartPolicy,
        pub auto_remove: bool,
        pub volume_driver: String,
        pub volumes_from: Option<Vec<String>>,
        /// Height and width in characters.
        pub console_size: [u32; 2],
        #[serde(skip_serializing_if = "Option::is_none")]
        pub annotations: Option<Map<String>>,
        pub cap_add: Option<Vec<String>>,
        pub cap_drop: Option<Vec<String>>,
        pub cgroupns_mode: String,
        pub dns: Option<Vec<String>>,
        pub dns_options: Option<Vec<String>>,
        pub dns_search: Option<Vec<String>>,
        pub extra_hosts: Option<Vec<String>>,
        pub group_add: Option<Vec<String>>,
        pub ipc_mode: String,
        pub cgroup: String,
        pub links: Option<Vec<String>>,
        pub oom_score_adj: i64,
        pub pid_mode: String,
        pub privileged: bool,
        pub publish_all_ports: bool,
        pub readonly_rootfs: bool,
        pub security_opt: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub storage_opt: Option<Map<String>>,
        /// Keys are paths, values mount options.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs: Option<Map<String>>,
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        pub userns_mode: String,
        /// Bytes; 0: the default.
        pub shm_size: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sysctls: Option<Map<String>>,
        #[serde(skip_serializing_if = "is_default")]
        pub runtime: String,
        pub isolation: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub mounts: Option<Vec<Mount>>,
        pub masked_paths: Option<Vec<String>>,
        pub readonly_paths: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,
    }
    flatten {
        pub resources: Resources,
    }
}

shape! {
    /// Limits; what `POST /containers/{id}/update` may change.
    pub struct Resources {
        /// Relative weight.
        pub cpu_shares: i64,
        /// Bytes.
        pub memory: i64,
        /// Billionths of a CPU.
        pub nano_cpus: i64,
        pub cgroup_parent: String,
        pub blkio_weight: u16,
        pub blkio_weight_device: Option<Vec<WeightDevice>>,
        pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// Microseconds.
        pub cpu_period: i64,
        /// Microseconds of CPU time a period.
        pub cpu_quota: i64,
        /// Microseconds.
        pub cpu_realtime_period: i64,
        /// Microseconds.
        pub cpu_realtime_runtime: i64,
        pub cpuset_cpus: String,
        pub cpuset_mems: String,
        pub devices: Option<Vec<DeviceMapping>>,
        pub device_cgroup_rules: Option<Vec<String>>,
        pub device_requests: Option<Vec<DeviceRequest>>,
        /// Bytes; gone from newer API versions.
        #[serde(skip_serializing_if = "is_default")]
        pub kernel_memory: i64,
        /// Bytes; gone from newer API versions.
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_default")]
        pub kernel_memory_tcp: i64,
        /// Bytes.
        pub memory_reservation: i64,
        /// Memory and swap in bytes; -1: swap without limit.
        pub memory_swap: i64,
        /// 0 to 100; -1 and none: the host's.
        pub memory_swappiness: Option<i64>,
        pub oom_kill_disable: Option<bool>,
        /// 0, -1 and none: no limit asked for.
        pub pids_limit: Option<i64>,
        pub ulimits: Option<Vec<Ulimit>>,
        pub cpu_count: i64,
        pub cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
    }
}

shape! {
    /// Where a container's output goes. An empty type is the daemon's default.
    pub struct LogConfig {
        pub r#type: String,
        pub config: Option<Map<String>>,
    }
}

shape! {
    /// `no`, `always`, `on-failure`, `unless-stopped`; empty is `no`.
    pub struct RestartPolicy {
        pub name: String,
        pub maximum_retry_count: i64,
    }
}

shape! {
    /// A host address and port; text, as in the API. An empty port: any.
    pub struct PortBinding {
        pub host_ip: String,
        pub host_port: String,
    }
}

shape! {
    /// A mount in its long form.
    pub struct Mount {
        #[serde(skip_serializing_if = "is_default")]
        pub r#type: String,
        #[serde(skip_serializing_if = "is_default")]
        pub source: String,
        #[serde(skip_serializing_if = "is_default")]
        pub target: String,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub consistency: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options: Option<BindOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options: Option<VolumeOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_options: Option<ImageOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options: Option<TmpfsOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_options: Option<crate::Empty>,
    }
}

shape! {
    /// Of a `bind` mount.
    pub struct BindOptions {
        #[serde(skip_serializing_if = "is_default")]
        pub propagation: String,
        #[serde(skip_serializing_if = "is_default")]
        pub non_recursive: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub create_mountpoint: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only_non_recursive: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only_force_recursive: bool,
    }
}

shape! {
    /// Of a `volume` mount.
    pub struct VolumeOptions {
        #[serde(skip_serializing_if = "is_default")]
        pub no_copy: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "is_default")]
        pub subpath: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config: Option<DriverConfig>,
    }
}

shape! {
    /// A driver and its options.
    pub struct DriverConfig {
        #[serde(skip_serializing_if = "is_default")]
        pub name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub options: Option<Map<String>>,
    }
}

shape! {
    /// Of an `image` mount.
    pub struct ImageOptions {
        #[serde(skip_serializing_if = "is_default")]
        pub subpath: String,
    }
}

shape! {
    /// Of a `tmpfs` mount.
    pub struct TmpfsOptions {
        /// 0: half of the host's memory.
        #[serde(skip_serializing_if = "is_default")]
        pub size_bytes: i64,
        /// Permission bits; 0: 0o1777.
        #[serde(skip_serializing_if = "is_default")]
        pub mode: u32,
        /// Each a flag, or a name and a value.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub options: Option<Vec<Vec<String>>>,
    }
}

shape! {
    /// A device of the host in the container.
    pub struct DeviceMapping {
        pub path_on_host: String,
        pub path_in_container: String,
        /// Of `rwm`.
        pub cgroup_permissions: String,
    }
}

shape! {
    /// Devices asked for by capability, such as GPUs.
    pub struct DeviceRequest {
        pub driver: String,
        /// -1: all.
        pub count: i64,
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Option<Vec<String>>,
        pub capabilities: Option<Vec<Vec<String>>>,
        pub options: Option<Map<String>>,
    }
}

shape! {
    /// A weight on one block device.
    pub struct WeightDevice {
        pub path: String,
        pub weight: u16,
    }
}

shape! {
    /// A limit on one block device, bytes or operations a second.
    pub struct ThrottleDevice {
        pub path: String,
        pub rate: u64,
    }
}

shape! {
    /// A resource limit; -1: none.
    pub struct Ulimit {
        pub name: String,
        pub hard: i64,
        pub soft: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_stand_beside_the_other_fields() {
        let read: HostConfig = serde_json::from_str(
            r#"{"Memory":1024,"Binds":null,"IOMaximumIOps":3,"PortBindings":{"80/tcp":null}}"#,
        )
        .unwrap();
        assert_eq!(read.resources.memory, 1024);
        assert_eq!(read.resources.io_maximum_iops, 3);
        assert_eq!(read.port_bindings.unwrap()["80/tcp"], None);
    }

    #[test]
    fn a_wrong_type_in_a_flattened_field_is_an_error() {
        assert!(serde_json::from_str::<HostConfig>(r#"{"Memory":"1g"}"#).is_err());
    }

    #[test]
    fn null_resources_are_the_default() {
        let read: HostConfig =
            serde_json::from_str(r#"{"Memory":null,"ConsoleSize":null,"LogConfig":null}"#).unwrap();
        assert_eq!(read, HostConfig::default());
    }
}
