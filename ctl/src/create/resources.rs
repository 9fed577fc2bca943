//! Limits, as `run` and `update` send them.

use serde_json::{Value, json};

use super::{Fields, ints, texts};
use crate::flags::{Args, check};

/// The resource limits that can be set on a process, by Docker's names for them.
const ULIMITS: [&str; 16] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
    "as",
];

/// Put the limits asked for into `fields`.
pub(crate) fn fill(args: &Args, fields: &mut Fields) -> Result<(), String> {
    texts(args, &[("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")], fields);
    ints(
        args,
        &[
            ("blkio-weight", "BlkioWeight"),
            ("cpu-count", "CpuCount"),
            ("cpu-percent", "CpuPercent"),
            ("cpu-period", "CpuPeriod"),
            ("cpu-quota", "CpuQuota"),
            ("cpu-rt-period", "CpuRealtimePeriod"),
            ("cpu-rt-runtime", "CpuRealtimeRuntime"),
            ("cpu-shares", "CpuShares"),
            ("io-maxiops", "IOMaximumIOps"),
            ("pids-limit", "PidsLimit"),
        ],
        fields,
    );
    for (flag, key) in [
        ("memory", "Memory"),
        ("memory-reservation", "MemoryReservation"),
        ("memory-swap", "MemorySwap"),
        ("kernel-memory", "KernelMemory"),
        ("io-maxbandwidth", "IOMaximumBandwidth"),
    ] {
        if let Some(bytes) = args.bytes(flag) {
            fields.insert(key.to_owned(), bytes.into());
        }
    }
    if let Some(cpus) = args.last("cpus") {
        fields.insert("NanoCpus".to_owned(), check::parse_nano_cpus(cpus)?.into());
    }
    match args.int("memory-swappiness") {
        Some(-1) | None => {}
        Some(swappiness @ 0..=100) => {
            fields.insert("MemorySwappiness".to_owned(), swappiness.into());
        }
        Some(swappiness) => {
            return Err(format!(
                "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
            ));
        }
    }
    let ulimits = args.all("ulimit").map(ulimit).collect::<Result<Vec<_>, _>>()?;
    if !ulimits.is_empty() {
        fields.insert("Ulimits".to_owned(), ulimits.into());
    }
    if let Some(policy) = args.last("restart") {
        fields.insert("RestartPolicy".to_owned(), restart_policy(policy)?);
    }
    Ok(())
}

/// `name=soft[:hard]`.
pub(crate) fn ulimit(text: &str) -> Result<Value, String> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [both] => (check::parse_int(both)?, check::parse_int(both)?),
        [soft, hard] => (check::parse_int(soft)?, check::parse_int(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 {
        let must = "ulimit soft limit must be less than or equal to hard limit:";
        if soft == -1 {
            return Err(format!("{must} soft: -1 (unlimited), hard: {hard}"));
        }
        if soft > hard {
            return Err(format!("{must} {soft} > {hard}"));
        }
    }
    Ok(json!({"Name": name, "Soft": soft, "Hard": hard}))
}

/// `no`, `always`, `unless-stopped`, `on-failure[:times]`.
fn restart_policy(text: &str) -> Result<Value, String> {
    let (name, times) = match text.split_once(':') {
        None => (text, None),
        Some(("", _)) => {
            return Err("invalid restart policy format: no policy provided before colon".to_owned());
        }
        Some((name, times)) => {
            let times = times.parse::<i32>().map_err(|_not_a_number| {
                "invalid restart policy format: maximum retry count must be an integer"
            })?;
            (name, Some(times))
        }
    };
    Ok(match times {
        None => json!({"Name": name}),
        Some(times) => json!({"Name": name, "MaximumRetryCount": times}),
    })
}
