//! Every field of a request that the API describes is read: what is not read cannot be refused.

use bulkhead_types::host_config::{
    BindOptions, DeviceMapping, DeviceRequest, ImageOptions, TmpfsOptions, VolumeOptions,
};
use bulkhead_types::{
    ContainerConfig, EndpointIpamConfig, EndpointSettings, ExecCreateBody, ExecStartBody,
    HealthConfig, HostConfig, Mount, PortBinding, RestartPolicy,
};
use serde::de::DeserializeOwned;

/// No field is a fraction: where it is read, it is refused; where it is skipped, it is not.
fn unread<T: DeserializeOwned>(fields: &[&'static str]) -> Vec<&'static str> {
    let skipped = |field: &&str| serde_json::from_str::<T>(&format!("{{\"{field}\":1.5}}")).is_ok();
    fields.iter().filter(|field| skipped(field)).copied().collect()
}

#[test]
fn every_field_of_a_request_is_read() {
    assert_eq!(unread::<HostConfig>(&HOST_CONFIG), NONE, "HostConfig");
    assert_eq!(unread::<ContainerConfig>(&CONTAINER_CONFIG), NONE, "ContainerConfig");
    assert_eq!(unread::<Mount>(&MOUNT), NONE, "Mount");
    assert_eq!(unread::<BindOptions>(&BIND_OPTIONS), NONE, "BindOptions");
    assert_eq!(unread::<VolumeOptions>(&VOLUME_OPTIONS), NONE, "VolumeOptions");
    assert_eq!(unread::<TmpfsOptions>(&TMPFS_OPTIONS), NONE, "TmpfsOptions");
    assert_eq!(unread::<ImageOptions>(&IMAGE_OPTIONS), NONE, "ImageOptions");
    assert_eq!(unread::<HealthConfig>(&HEALTH_CONFIG), NONE, "HealthConfig");
    assert_eq!(unread::<EndpointSettings>(&ENDPOINT_SETTINGS), NONE, "EndpointSettings");
    assert_eq!(unread::<EndpointIpamConfig>(&ENDPOINT_IPAM_CONFIG), NONE, "EndpointIpamConfig");
    assert_eq!(unread::<DeviceRequest>(&DEVICE_REQUEST), NONE, "DeviceRequest");
    assert_eq!(unread::<DeviceMapping>(&DEVICE_MAPPING), NONE, "DeviceMapping");
    assert_eq!(unread::<RestartPolicy>(&RESTART_POLICY), NONE, "RestartPolicy");
    assert_eq!(unread::<PortBinding>(&PORT_BINDING), NONE, "PortBinding");
    assert_eq!(unread::<ExecCreateBody>(&EXEC_CREATE_BODY), NONE, "ExecCreateBody");
    assert_eq!(unread::<ExecStartBody>(&EXEC_START_BODY), NONE, "ExecStartBody");
}

const NONE: Vec<&str> = Vec::new();

// As in the description of API version 1.56.
const HOST_CONFIG: [&str; 69] = [
    "CpuShares",
    "Memory",
    "CgroupParent",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "NanoCpus",
    "OomKillDisable",
    "Init",
    "PidsLimit",
    "Ulimits",
    "CpuCount",
    "CpuPercent",
    "IOMaximumIOps",
    "IOMaximumBandwidth",
    "Binds",
    "ContainerIDFile",
    "LogConfig",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "AutoRemove",
    "VolumeDriver",
    "VolumesFrom",
    "Mounts",
    "ConsoleSize",
    "Annotations",
    "CapAdd",
    "CapDrop",
    "CgroupnsMode",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IpcMode",
    "Cgroup",
    "Links",
    "OomScoreAdj",
    "PidMode",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "SecurityOpt",
    "StorageOpt",
    "Tmpfs",
    "UTSMode",
    "UsernsMode",
    "ShmSize",
    "Sysctls",
    "Runtime",
    "Isolation",
    "MaskedPaths",
    "ReadonlyPaths",
];
const CONTAINER_CONFIG: [&str; 24] = [
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
];
const MOUNT: [&str; 9] = [
    "Target",
    "Source",
    "Type",
    "ReadOnly",
    "Consistency",
    "BindOptions",
    "VolumeOptions",
    "ImageOptions",
    "TmpfsOptions",
];
const BIND_OPTIONS: [&str; 5] = [
    "Propagation",
    "NonRecursive",
    "CreateMountpoint",
    "ReadOnlyNonRecursive",
    "ReadOnlyForceRecursive",
];
const VOLUME_OPTIONS: [&str; 4] = ["NoCopy", "Labels", "DriverConfig", "Subpath"];
const TMPFS_OPTIONS: [&str; 3] = ["SizeBytes", "Mode", "Options"];
const IMAGE_OPTIONS: [&str; 1] = ["Subpath"];
const HEALTH_CONFIG: [&str; 6] =
    ["Test", "Interval", "Timeout", "Retries", "StartPeriod", "StartInterval"];
const ENDPOINT_SETTINGS: [&str; 15] = [
    "IPAMConfig",
    "Links",
    "MacAddress",
    "Aliases",
    "DriverOpts",
    "GwPriority",
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
];
const ENDPOINT_IPAM_CONFIG: [&str; 3] = ["IPv4Address", "IPv6Address", "LinkLocalIPs"];
const DEVICE_REQUEST: [&str; 5] = ["Driver", "Count", "DeviceIDs", "Capabilities", "Options"];
const DEVICE_MAPPING: [&str; 3] = ["PathOnHost", "PathInContainer", "CgroupPermissions"];
const RESTART_POLICY: [&str; 2] = ["Name", "MaximumRetryCount"];
const PORT_BINDING: [&str; 2] = ["HostIp", "HostPort"];
const EXEC_CREATE_BODY: [&str; 11] = [
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ConsoleSize",
    "DetachKeys",
    "Tty",
    "Env",
    "Cmd",
    "Privileged",
    "User",
    "WorkingDir",
];
const EXEC_START_BODY: [&str; 3] = ["Detach", "Tty", "ConsoleSize"];
