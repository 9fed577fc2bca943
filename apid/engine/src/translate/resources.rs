//! `Resources`: limits and devices. Checks and texts are those of moby's
//! `daemon/daemon_unix.go`, `verifyPlatformContainerResources`.

use super::{container_path, limited, not_done, some, text};
use crate::error::{EngineError, Result};
use bulkhead_proto::{
    BlkioThrottle, DeviceSpec, HostPath, Resources as Limits, Rlimit, ThrottleKind,
};
use bulkhead_types::host_config::{DeviceMapping, ThrottleDevice, Ulimit};
use bulkhead_types::{Resources, RestartPolicy};

/// Docker's smallest memory limit in bytes.
const MIN_MEMORY: i64 = 6 * 1024 * 1024;
/// The period of `NanoCpus` in microseconds.
const NANO_PERIOD_US: u64 = 100_000;

/// What becomes of `Resources`.
#[derive(Debug)]
pub(super) struct Translated {
    pub limits: Limits,
    pub devices: Vec<DeviceSpec>,
    pub rlimits: Vec<Rlimit>,
}

/// Translate all of them.
#[expect(clippy::too_many_lines, reason = "a walk of all fields, a line or two each")]
pub(super) fn translate(asked: &Resources, warnings: &mut Vec<String>) -> Result<Translated> {
    let Resources {
        cpu_shares,
        memory,
        nano_cpus,
        cgroup_parent,
        blkio_weight,
        blkio_weight_device,
        blkio_device_read_bps,
        blkio_device_write_bps,
        blkio_device_read_iops,
        blkio_device_write_iops,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        cpuset_cpus,
        cpuset_mems,
        devices,
        device_cgroup_rules,
        device_requests,
        kernel_memory,
        kernel_memory_tcp,
        memory_reservation,
        memory_swap,
        memory_swappiness,
        oom_kill_disable,
        pids_limit,
        ulimits,
        cpu_count,
        cpu_percent,
        io_maximum_iops,
        io_maximum_bandwidth,
    } = asked;
    not_done("HostConfig.CgroupParent", !cgroup_parent.is_empty(), "choosing the parent cgroup")?;
    not_done(
        "HostConfig.BlkioWeightDevice",
        some(blkio_weight_device),
        "block I/O weight by device",
    )?;
    let realtime = *cpu_realtime_period != 0 || *cpu_realtime_runtime != 0;
    not_done("HostConfig.CpuRealtimePeriod", realtime, "real-time scheduling")?;
    not_done("HostConfig.DeviceCgroupRules", some(device_cgroup_rules), "a list of device rules")?;
    not_done(
        "HostConfig.DeviceRequests",
        some(device_requests),
        "asking for devices by capability",
    )?;
    let kernel = *kernel_memory != 0 || *kernel_memory_tcp != 0;
    not_done("HostConfig.KernelMemory", kernel, "a limit of kernel memory")?;
    let swappiness = memory_swappiness.is_some_and(|value| value != -1);
    not_done("HostConfig.MemorySwappiness", swappiness, "memory swappiness")?;
    let windows =
        *cpu_count != 0 || *cpu_percent != 0 || *io_maximum_iops != 0 || *io_maximum_bandwidth != 0;
    not_done("HostConfig.CpuCount", windows, "a limit of Windows containers")?;

    let (memory, memory_and_swap) = memory_limits(*memory, *memory_swap, *memory_reservation)?;
    let (cpu_quota_us, cpu_period_us) = cpu_time(*nano_cpus, *cpu_period, *cpu_quota)?;
    let mut throttles = Vec::new();
    for (kind, field, list) in [
        (ThrottleKind::ReadBytes, "BlkioDeviceReadBps", blkio_device_read_bps),
        (ThrottleKind::WriteBytes, "BlkioDeviceWriteBps", blkio_device_write_bps),
        (ThrottleKind::ReadOperations, "BlkioDeviceReadIOps", blkio_device_read_iops),
        (ThrottleKind::WriteOperations, "BlkioDeviceWriteIOps", blkio_device_write_iops),
    ] {
        for device in list.iter().flatten() {
            throttles.push(throttle(kind, field, device)?);
        }
    }
    let oom_kill_disable = oom_kill_disable.unwrap_or(false);
    if oom_kill_disable && memory.is_none() {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can \
             result in the system running out of resources."
                .to_owned(),
        );
    }
    let limits = Limits {
        memory,
        memory_and_swap,
        memory_reservation: positive("HostConfig.MemoryReservation", *memory_reservation)?,
        cpu_shares: cpu_weight(*cpu_shares)?,
        cpu_quota_us,
        cpu_period_us,
        cpuset_cpus: cpuset("cpuset cpus", cpuset_cpus)?,
        cpuset_mems: cpuset("cpuset mems", cpuset_mems)?,
        pids: match pids_limit {
            None | Some(0) => None,
            Some(limit) => Some(u64::try_from(*limit).unwrap_or(u64::MAX)),
        },
        blkio_weight: match blkio_weight {
            0 => None,
            10..=1000 => Some(*blkio_weight),
            _ => return Err(EngineError::bad("Range of blkio weight is from 10 to 1000")),
        },
        blkio_throttles: limited("HostConfig.BlkioDevice", throttles)?,
        oom_kill_disable,
    };
    Ok(Translated {
        limits,
        devices: devices.iter().flatten().map(device).collect::<Result<_>>()?,
        rlimits: ulimits.iter().flatten().map(rlimit).collect::<Result<_>>()?,
    })
}

/// The limits of an update: only what the shim can change while the container runs.
pub(crate) fn for_update(asked: &Resources) -> Result<Limits> {
    not_done("Devices", some(&asked.devices), "changing devices of a running container")?;
    not_done("Ulimits", some(&asked.ulimits), "changing ulimits of a running container")?;
    Ok(translate(asked, &mut Vec::new())?.limits)
}

/// Docker's rules for restart policies.
pub(crate) fn validate_restart(policy: &RestartPolicy) -> Result<()> {
    let RestartPolicy { name, maximum_retry_count } = policy;
    match name.as_str() {
        "always" | "unless-stopped" | "no" | "" if *maximum_retry_count != 0 => {
            Err(EngineError::bad(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ))
        }
        "always" | "unless-stopped" | "no" | "" => Ok(()),
        "on-failure" if *maximum_retry_count < 0 => {
            Err(EngineError::bad("invalid restart policy: maximum retry count cannot be negative"))
        }
        "on-failure" => Ok(()),
        _ => Err(EngineError::bad(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
        ))),
    }
}

fn positive(field: &str, value: i64) -> Result<Option<u64>> {
    match u64::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(EngineError::bad(format!("{field}: {value} is negative"))),
    }
}

fn memory_limits(memory: i64, swap: i64, reservation: i64) -> Result<(Option<u64>, Option<u64>)> {
    let bad = |text: &str| Err(EngineError::bad(text));
    if memory != 0 && memory < MIN_MEMORY {
        return bad("Minimum memory limit allowed is 6MB");
    }
    if reservation != 0 && reservation < MIN_MEMORY {
        return bad("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > memory {
        return bad(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if memory == 0 && swap > 0 {
        return bad(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if memory > 0 && swap > 0 && swap < memory {
        return bad("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    let both = match swap {
        -1 => Some(u64::MAX),
        _ => positive("HostConfig.MemorySwap", swap)?,
    };
    Ok((positive("HostConfig.Memory", memory)?, both))
}

/// Quota and period in microseconds.
fn cpu_time(nano_cpus: i64, period: i64, quota: i64) -> Result<(Option<u64>, Option<u64>)> {
    let bad = |text: &str| Err(EngineError::bad(text));
    if nano_cpus != 0 {
        if period > 0 {
            return bad("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if quota > 0 {
            return bad("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let nano = u64::try_from(nano_cpus).unwrap_or(0);
        if nano < 10_000_000 || nano > cpus as u64 * 1_000_000_000 {
            return Err(EngineError::bad(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
        return Ok((Some(nano * NANO_PERIOD_US / 1_000_000_000), Some(NANO_PERIOD_US)));
    }
    if period != 0 && !(1_000..=1_000_000).contains(&period) {
        return bad(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if quota > 0 && quota < 1_000 {
        return bad("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    // Docker's -1: no quota.
    let quota = u64::try_from(quota).ok().filter(|quota| *quota > 0);
    Ok((quota, positive("HostConfig.CpuPeriod", period)?))
}

fn cpu_weight(shares: i64) -> Result<Option<u64>> {
    match u64::try_from(shares) {
        Ok(0) => Ok(None),
        // The kernel's own limits; Docker passes anything on and the kernel cuts it.
        Ok(shares) => Ok(Some(shares.clamp(2, 262_144))),
        Err(_) => Err(EngineError::bad(format!(
            "invalid CPU shares ({shares}): value must be a positive integer"
        ))),
    }
}

/// `0-3,7`, as in `cpuset(7)`. Which of them exist, the kernel says.
fn cpuset(what: &str, list: &str) -> Result<Option<bulkhead_proto::ByteString<1024>>> {
    if list.is_empty() {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u16>().ok();
    let fits = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            number(first).zip(number(last)).is_some_and(|(first, last)| first <= last)
        }
        None => number(part).is_some(),
    };
    if !list.split(',').all(fits) {
        return Err(EngineError::bad(format!("Invalid value {list} for {what}")));
    }
    text(what, list).map(Some)
}

fn throttle(kind: ThrottleKind, field: &str, device: &ThrottleDevice) -> Result<BlkioThrottle> {
    let bad =
        |why: &str| EngineError::bad(format!("HostConfig.{field}: \"{}\": {why}", device.path));
    let found = rustix::fs::stat(device.path.as_str()).map_err(|error| bad(&error.to_string()))?;
    if rustix::fs::FileType::from_raw_mode(found.st_mode) != rustix::fs::FileType::BlockDevice {
        return Err(bad("not a block device"));
    }
    Ok(BlkioThrottle {
        major: rustix::fs::major(found.st_rdev),
        minor: rustix::fs::minor(found.st_rdev),
        kind,
        rate: device.rate,
    })
}

fn device(mapping: &DeviceMapping) -> Result<DeviceSpec> {
    let DeviceMapping { path_on_host, path_in_container, cgroup_permissions } = mapping;
    let target = if path_in_container.is_empty() { path_on_host } else { path_in_container };
    let permissions = if cgroup_permissions.is_empty() { "rwm" } else { cgroup_permissions };
    let mut access = 0;
    for letter in permissions.bytes() {
        access |= match letter {
            b'm' => 1,
            b'r' => 2,
            b'w' => 4,
            _ => return Err(EngineError::bad(format!("invalid device mode: {permissions}"))),
        };
    }
    let field = "HostConfig.Devices";
    let host = HostPath::new(path_on_host.as_bytes())
        .map_err(|error| EngineError::bad(format!("{field}: \"{path_on_host}\": {error}")))?;
    Ok(DeviceSpec { host, target: container_path(field, target)?, access })
}

/// `RLIMIT_*` of `resource.h`, as `docker --ulimit` names them.
const RLIMITS: &[(&str, u8)] = &[
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

fn rlimit(limit: &Ulimit) -> Result<Rlimit> {
    let known = RLIMITS.iter().find(|(name, _)| *name == limit.name);
    let Some((_, resource)) = known else {
        return Err(EngineError::bad(format!("invalid ulimit type: {}", limit.name)));
    };
    // -1 is no limit.
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let (soft, hard) = (value(limit.soft), value(limit.hard));
    if soft > hard {
        return Err(EngineError::bad(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            limit.soft, limit.hard
        )));
    }
    Ok(Rlimit { resource: *resource, soft, hard })
}
