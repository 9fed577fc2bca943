//! Limits of the cgroup.

use crate::policy::{BlockIo, Section};
use crate::rule::{self, Judge};
use bulkhead_proto::Resources;

/// Microseconds; the kernel's default and what Docker takes when only a quota is given.
const PERIOD_US: u64 = 100_000;
/// More than any machine has.
const MAX_CPU: u64 = 65_535;

/// Whether what is asked makes sense and is within bounds.
pub(super) fn check(judge: &mut Judge, section: &Section, asked: &Resources) {
    memory(judge, section, asked);
    cpu(judge, section, asked);
    let may = &section.resources;
    if let Some(pids) = asked.pids {
        judge.valid(pids > 0, || "HostConfig.PidsLimit=0 leaves no process".to_owned());
        if pids > may.pids_default {
            let field = match pids {
                u64::MAX => "HostConfig.PidsLimit=-1".to_owned(),
                _ => format!("HostConfig.PidsLimit={pids}"),
            };
            judge.ask(rule::PIDS, pids <= may.pids, field);
        }
    }
    judge.valid(asked.blkio_weight.is_none_or(|weight| (10..=1000).contains(&weight)), || {
        "HostConfig.BlkioWeight is not between 10 and 1000".to_owned()
    });
    for throttle in asked.blkio_throttles.iter() {
        let (major, minor) = (throttle.major, throttle.minor);
        let allowed = match &may.block_io {
            BlockIo::Any => true,
            BlockIo::Listed { devices } => {
                devices.iter().any(|device| (device.major, device.minor) == (major, minor))
            }
        };
        judge.ask(rule::BLOCK_IO, allowed, format!("HostConfig.BlkioDevice*={major}:{minor}"));
    }
    if asked.oom_kill_disable {
        judge.ask(rule::OOM_KILL, section.oom.kill_disable, "HostConfig.OomKillDisable=true");
    }
}

fn memory(judge: &mut Judge, section: &Section, asked: &Resources) {
    let may = &section.resources;
    judge.valid(asked.memory != Some(0) && asked.memory_reservation != Some(0), || {
        "HostConfig.Memory of 0 bytes".to_owned()
    });
    if let (Some(memory), Some(max)) = (asked.memory, may.memory) {
        judge.ask(rule::MEMORY, memory <= max, format!("HostConfig.Memory={memory}"));
    }
    if let Some(both) = asked.memory_and_swap {
        judge.valid(asked.memory.is_none_or(|memory| memory <= both), || {
            "HostConfig.MemorySwap is memory and swap together, and less than Memory".to_owned()
        });
        if may.memory_and_swap < u64::MAX {
            let field = format!("HostConfig.MemorySwap={both}");
            judge.ask(rule::SWAP, both <= may.memory_and_swap, field);
        }
    }
}

fn cpu(judge: &mut Judge, section: &Section, asked: &Resources) {
    judge.valid(asked.cpu_shares.is_none_or(|shares| (2..=262_144).contains(&shares)), || {
        "HostConfig.CpuShares is not between 2 and 262144".to_owned()
    });
    let period = asked.cpu_period_us.unwrap_or(PERIOD_US);
    judge.valid((1_000..=1_000_000).contains(&period), || {
        "HostConfig.CpuPeriod is not between 1000 and 1000000 microseconds".to_owned()
    });
    if let Some(quota) = asked.cpu_quota_us {
        judge.valid(quota >= 1_000, || "HostConfig.CpuQuota is less than 1000".to_owned());
        if let Some(max) = section.resources.cpus_milli {
            let allowed = u128::from(quota) * 1000 <= u128::from(max) * u128::from(period);
            judge.ask(rule::CPUS, allowed, format!("HostConfig.CpuQuota={quota}"));
        }
    }
    let sets = [("CpusetCpus", &asked.cpuset_cpus), ("CpusetMems", &asked.cpuset_mems)];
    for (field, set) in sets {
        judge.valid(set.as_ref().is_none_or(|set| is_cpu_list(set.as_bytes())), || {
            format!("HostConfig.{field} is not a list such as 0-3,7")
        });
    }
}

/// `cpuset(7)`, list format: `0-3,7`.
fn is_cpu_list(text: &[u8]) -> bool {
    let number = |digits: &[u8]| {
        let text = std::str::from_utf8(digits).ok()?;
        let plain =
            !digits.is_empty() && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
        text.parse().ok().filter(|number: &u64| plain && *number <= MAX_CPU)
    };
    text.split(|byte| *byte == b',').all(|range| {
        let mut ends = range.split(|byte| *byte == b'-').map(number);
        match (ends.next(), ends.next(), ends.next()) {
            (Some(Some(_)), None, None) => true,
            (Some(Some(first)), Some(Some(last)), None) => first <= last,
            _ => false,
        }
    })
}

/// Defaults where nothing is asked.
pub(super) fn fill(section: &Section, asked: &mut Resources) {
    let may = &section.resources;
    asked.pids = Some(asked.pids.unwrap_or(may.pids_default));
    if let Some(max) = may.memory {
        asked.memory.get_or_insert(max);
    }
    if let (Some(max), None) = (may.cpus_milli, asked.cpu_quota_us) {
        let period = asked.cpu_period_us.unwrap_or(PERIOD_US);
        asked.cpu_quota_us = Some((max.saturating_mul(period) / 1000).max(1_000));
    }
}
