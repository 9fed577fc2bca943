//! Paths in `/proc` and `/sys` that a container does not get to see or to write: Docker's list
//! (`daemon/pkg/oci/defaults.go` of moby 29). They tell about the host or steer its hardware and do
//! not belong to any namespace.

use bulkhead_proto::ContainerPath;

/// Hidden.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Not writable.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All paths to mask on a host with this many CPUs. One that the kernel does not have is passed
/// over by whoever masks it.
pub fn masked(cpus: u32) -> Vec<ContainerPath> {
    let thermal = (0..cpus).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    MASKED.iter().map(|path| (*path).to_owned()).chain(thermal).filter_map(path).collect()
}

/// All paths to make read-only.
pub fn read_only() -> Vec<ContainerPath> {
    READ_ONLY.iter().map(|path| (*path).to_owned()).filter_map(path).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "fits an iterator of owned strings")]
fn path(text: String) -> Option<ContainerPath> {
    ContainerPath::new(text.as_bytes()).ok()
}
