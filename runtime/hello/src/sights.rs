//! What the container sees of itself and of the host.

use bulkhead_policy::capability;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Names and what is there, in the order in which they are told.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim()
    };
    let set = |name: &str| u64::from_str_radix(field(name), 16).unwrap_or(0);
    vec![
        ("user", user(field("Uid"))),
        ("capabilities", capabilities(set("CapEff"))),
        ("at most", capabilities(set("CapBnd"))),
        ("no_new_privs", on_off(field("NoNewPrivs"))),
        ("system calls", filter(field("Seccomp"), field("Seccomp_filters"))),
        ("processes", format!("pid {} of {} that it sees", std::process::id(), processes())),
        ("hostname", trimmed("/proc/sys/kernel/hostname").unwrap_or_else(unknown)),
        ("addresses", addresses()),
        ("root directory", root()),
        ("memory limit", limit("memory.max", "memory/memory.limit_in_bytes", bytes)),
        ("process limit", limit("pids.max", "pids/pids.max", |text| text.to_owned())),
        ("CPU limit", cpu()),
        ("hidden paths", hidden()),
    ]
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Ids inside and the ones behind them (user_namespaces(7), `uid_map`).
fn user(ids: &str) -> String {
    let Some(uid) = ids.split_ascii_whitespace().next().and_then(|uid| uid.parse::<u32>().ok())
    else {
        return unknown();
    };
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let behind = map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let offset = uid.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    });
    match behind {
        Some(host) if host == uid => format!("uid {uid}, and uid {uid} on the host too"),
        Some(host) => format!("uid {uid} here, uid {host} on the host, which is nobody there"),
        None => format!("uid {uid}"),
    }
}

fn capabilities(set: u64) -> String {
    let short = |set: u64| {
        let names = capability::names(set).map(|name| name.replacen("CAP_", "", 1));
        names.collect::<Vec<_>>().join(" ")
    };
    let missing = capability::ALL & !set;
    let (have, all) = (set.count_ones(), capability::ALL.count_ones());
    match (have, missing.count_ones()) {
        (0, _) => "none".to_owned(),
        (_, 0) => format!("all {all}"),
        (have, lack) if lack < have => format!("{have} of {all}: all but {}", short(missing)),
        (have, _) => format!("{have} of {all}: {}", short(set)),
    }
}

fn on_off(flag: &str) -> String {
    match flag {
        "1" => "on: no program gives it more rights than it has".to_owned(),
        "0" => "off: set-id programs of the image work".to_owned(),
        _ => unknown(),
    }
}

fn filter(mode: &str, count: &str) -> String {
    match mode {
        "2" => format!("filtered, {count} filters"),
        "0" => "not filtered".to_owned(),
        other => format!("mode {other}"),
    }
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
}

/// The machine's own addresses, by the kernel's routing table (`/proc/net/fib_trie`): an address
/// line, and below it a `/32 host LOCAL` line.
fn addresses() -> String {
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut found: Vec<&str> = Vec::new();
    let mut last = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL" && !last.starts_with("127.") && !found.contains(&last) {
            found.push(last);
        }
    }
    if found.is_empty() { "none but loopback".to_owned() } else { found.join(", ") }
}

fn root() -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    let read_only =
        line.split(' ').nth(5).is_some_and(|flags| flags.split(',').any(|one| one == "ro"));
    let kind =
        line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("unknown");
    format!(
        "{kind}, {}; {} mounts",
        if read_only { "read-only" } else { "writable" },
        mounts.lines().count()
    )
}

/// A limit by its cgroup v2 or v1 file.
fn limit(v2: &str, v1: &str, tell: impl Fn(&str) -> String) -> String {
    let read = |name: &str| trimmed(&format!("/sys/fs/cgroup/{name}"));
    match read(v2).or_else(|| read(v1)).as_deref() {
        Some("max") => "none".to_owned(),
        Some(text) => tell(text),
        None => "not visible here".to_owned(),
    }
}

fn bytes(text: &str) -> String {
    match text.parse::<u64>() {
        // v1 has no word for "none": the largest multiple of a page.
        Ok(bytes) if bytes >= 1 << 62 => "none".to_owned(),
        Ok(bytes) => format!("{} MiB", bytes >> 20),
        Err(_) => text.to_owned(),
    }
}

fn cpu() -> String {
    let read = |name: &str| trimmed(&format!("/sys/fs/cgroup/{name}"));
    let quota = read("cpu.max").or_else(|| {
        Some(format!("{} {}", read("cpu/cpu.cfs_quota_us")?, read("cpu/cpu.cfs_period_us")?))
    });
    let Some(quota) = quota else { return "not visible here".to_owned() };
    let mut numbers = quota.split(' ').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(quota)), Some(Ok(period))) if period > 0 => {
            format!("{}.{:02} CPUs", quota / period, quota % period * 100 / period)
        }
        _ => "none".to_owned(),
    }
}

/// Paths that tell about the host, if they are covered.
fn hidden() -> String {
    const PATHS: [&str; 8] = [
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];
    let covered = |path: &&&str| match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        // The null device, 1:3.
        Ok(meta) => meta.file_type().is_char_device() && meta.rdev() == 0x103,
        Err(_) => false,
    };
    let all: Vec<&str> = PATHS.iter().filter(covered).copied().collect();
    if all.is_empty() { "none".to_owned() } else { all.join(" ") }
}
