//! `GET /containers/{id}/stats`: one sample of a container's counters.

use super::Groups;
use bulkhead_types::Map;
use bulkhead_types::stats::{
    BlkioEntry, BlkioStats, ContainerStats, CpuStats, CpuUsage, MemoryStats, NetworkStats,
    PidsStats, ThrottlingData,
};

/// Nanoseconds of a tick in `/proc/stat`.
const TICK_NS: u64 = 10_000_000;

/// A sample of the container whose first process is `pid`. `own_network`: it has a network
/// namespace of its own, so its interfaces are its.
pub(crate) fn stats(pid: u32, own_network: bool) -> std::io::Result<ContainerStats> {
    let groups = Groups::of(pid)?;
    let unified = groups.is_unified();
    Ok(ContainerStats {
        pids_stats: pids(&groups),
        blkio_stats: if unified { io_v2(&groups) } else { io_v1(&groups) },
        cpu_stats: if unified { cpu_v2(&groups) } else { cpu_v1(&groups) },
        memory_stats: if unified { memory_v2(&groups) } else { memory_v1(&groups) },
        networks: if own_network { interfaces(pid) } else { None },
        ..ContainerStats::default()
    })
}

/// `name value` a line.
fn pairs(text: &str) -> Map<u64> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn pids(groups: &Groups) -> PidsStats {
    PidsStats {
        current: groups.number("pids", "pids.current"),
        limit: groups.text("pids", "pids.max").map(|text| text.trim().parse().unwrap_or(u64::MAX)),
    }
}

fn cpu_v2(groups: &Groups) -> CpuStats {
    let stat = pairs(&groups.text("cpu", "cpu.stat").unwrap_or_default());
    let microseconds = |name: &str| stat.get(name).copied().unwrap_or(0) * 1_000;
    let count = |name: &str| stat.get(name).copied().unwrap_or(0);
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: microseconds("usage_usec"),
            percpu_usage: None,
            usage_in_kernelmode: microseconds("system_usec"),
            usage_in_usermode: microseconds("user_usec"),
        },
        throttling_data: ThrottlingData {
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: microseconds("throttled_usec"),
        },
        ..host_cpu()
    }
}

fn cpu_v1(groups: &Groups) -> CpuStats {
    let stat = pairs(&groups.text("cpuacct", "cpuacct.stat").unwrap_or_default());
    let ticks = |name: &str| stat.get(name).copied().unwrap_or(0) * TICK_NS;
    let throttled = pairs(&groups.text("cpu", "cpu.stat").unwrap_or_default());
    let count = |name: &str| throttled.get(name).copied().unwrap_or(0);
    let each = groups.text("cpuacct", "cpuacct.usage_percpu");
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: groups.number("cpuacct", "cpuacct.usage").unwrap_or(0),
            percpu_usage: each
                .map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect()),
            usage_in_kernelmode: ticks("system"),
            usage_in_usermode: ticks("user"),
        },
        throttling_data: ThrottlingData {
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: count("throttled_time"),
        },
        ..host_cpu()
    }
}

/// The whole host's: the first line of `/proc/stat` without guests' time, which is in user's.
fn host_cpu() -> CpuStats {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut lines = text.lines();
    let total: u64 = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    let cpus = lines.filter(|line| line.starts_with("cpu")).count();
    CpuStats {
        system_cpu_usage: Some(total * TICK_NS),
        online_cpus: u32::try_from(cpus).ok(),
        ..CpuStats::default()
    }
}

fn memory_v2(groups: &Groups) -> MemoryStats {
    MemoryStats {
        usage: groups.number("memory", "memory.current"),
        stats: pairs(&groups.text("memory", "memory.stat").unwrap_or_default()),
        limit: groups.number("memory", "memory.max").or_else(host_memory),
        ..MemoryStats::default()
    }
}

fn memory_v1(groups: &Groups) -> MemoryStats {
    let limit = groups.number("memory", "memory.limit_in_bytes");
    let host = host_memory();
    MemoryStats {
        usage: groups.number("memory", "memory.usage_in_bytes"),
        max_usage: groups.number("memory", "memory.max_usage_in_bytes"),
        stats: pairs(&groups.text("memory", "memory.stat").unwrap_or_default()),
        failcnt: groups.number("memory", "memory.failcnt"),
        limit: match (limit, host) {
            (Some(limit), Some(host)) => Some(limit.min(host)),
            (limit, host) => limit.or(host),
        },
    }
}

fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`
fn io_v2(groups: &Groups) -> BlkioStats {
    let mut service = Vec::new();
    let mut serviced = Vec::new();
    for line in groups.text("io", "io.stat").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = device(words.next()) else { continue };
        for word in words {
            let Some((name, value)) = word.split_once('=') else { continue };
            let (list, op) = match name {
                "rbytes" => (&mut service, "read"),
                "wbytes" => (&mut service, "write"),
                "rios" => (&mut serviced, "read"),
                "wios" => (&mut serviced, "write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    BlkioStats {
        io_service_bytes_recursive: Some(service),
        io_serviced_recursive: Some(serviced),
        ..BlkioStats::default()
    }
}

/// `8:0 Read 4096` a line.
fn io_v1(groups: &Groups) -> BlkioStats {
    let list = |file: &str| -> Vec<BlkioEntry> {
        let text = groups.text("blkio", file).unwrap_or_default();
        let entry = |line: &str| {
            let mut words = line.split_whitespace();
            let (major, minor) = device(words.next())?;
            let op = words.next()?.to_ascii_lowercase();
            Some(BlkioEntry { major, minor, op, value: words.next()?.parse().ok()? })
        };
        text.lines().filter_map(entry).collect()
    };
    BlkioStats {
        io_service_bytes_recursive: Some(list("blkio.throttle.io_service_bytes_recursive")),
        io_serviced_recursive: Some(list("blkio.throttle.io_serviced_recursive")),
        ..BlkioStats::default()
    }
}

fn device(word: Option<&str>) -> Option<(u64, u64)> {
    let (major, minor) = word?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `proc_pid_net(5)`, `dev`: what the container received is what its interfaces received.
fn interfaces(pid: u32) -> Option<Map<NetworkStats>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    let interface = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let values: Vec<u64> =
            counters.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let value = |at: usize| values.get(at).copied().unwrap_or(0);
        let stats = NetworkStats {
            rx_bytes: value(0),
            rx_packets: value(1),
            rx_errors: value(2),
            rx_dropped: value(3),
            tx_bytes: value(8),
            tx_packets: value(9),
            tx_errors: value(10),
            tx_dropped: value(11),
        };
        Some((name.trim().to_owned(), stats))
    };
    Some(text.lines().skip(2).filter_map(interface).filter(|(name, _)| name != "lo").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_figures() {
        let stats = stats(std::process::id(), true).unwrap();
        assert!(stats.cpu_stats.system_cpu_usage.is_some_and(|usage| usage > 0));
        assert!(stats.cpu_stats.online_cpus.is_some_and(|cpus| cpus > 0));
        assert!(stats.memory_stats.limit.is_some_and(|limit| limit > 0));
        assert!(!stats.networks.unwrap().contains_key("lo"));
    }

    #[test]
    fn pairs_are_names_and_numbers() {
        assert_eq!(pairs("a 1\nb x\nc 3\n"), Map::from([("a".into(), 1), ("c".into(), 3)]));
    }
}
