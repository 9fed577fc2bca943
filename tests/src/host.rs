//! What the host has: for leak checks, and for waiting.

use std::path::Path;
use std::time::{Duration, Instant};

/// Names of kernel objects and files that must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    mounts: String,
    core_pattern: String,
}

impl Snapshot {
    /// As it is now.
    pub fn take() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self { mounts: mounts(), core_pattern: read("/proc/sys/kernel/core_pattern") }
    }
}

/// Whether this is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Ask until it holds; for state that no event announces. Fails the test after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::yield_now();
    }
}

/// This namespace's mount table.
pub(crate) fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// Mounts below a directory.
pub(crate) fn mounts_of(root: &Path) -> Vec<String> {
    let root = root.to_string_lossy().into_owned();
    mounts().lines().filter(|line| line.contains(&root)).map(str::to_owned).collect()
}

/// As ARCHITECTURE.md says: 8 hex digits of FNV-1a-64 over the state directory's path.
pub(crate) fn instance_tag(state: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = state.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash >> 32)
}

/// Everything of an engine that a stopped one must not have: processes, cgroups, links, tables.
pub(crate) fn leftovers(tag: &str, root: &Path) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        // The kernel takes network namespaces and cgroups down behind the last process.
        let left = leftovers_now(tag, root);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::yield_now();
    }
}

fn leftovers_now(tag: &str, root: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        for path in [hierarchy.path(), hierarchy.path().join(format!("bulkhead-{tag}"))] {
            if path.ends_with(format!("bulkhead-{tag}")) && path.exists() {
                left.push(format!("cgroup {}", path.display()));
            }
        }
    }
    for link in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let name = link.file_name().to_string_lossy().into_owned();
        let alias = std::fs::read_to_string(link.path().join("ifalias")).unwrap_or_default();
        if name.contains(tag) || alias.contains(tag) {
            left.push(format!("link {name}"));
        }
    }
    if let Ok(tables) = std::process::Command::new("nft").args(["list", "tables"]).output() {
        let text = String::from_utf8_lossy(&tables.stdout).into_owned();
        left.extend(
            text.lines().filter(|line| line.contains(tag)).map(|line| format!("nft {line}")),
        );
    }
    let root_text = root.to_string_lossy();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("bulkhead-") && line.contains(&*root_text) {
            left.push(format!("process {} {line}", process.file_name().to_string_lossy()));
        }
    }
    for place in ["run/monitors", "lib/shim/containers", "lib/shim/trash", "lib/shim/staging"] {
        for entry in std::fs::read_dir(root.join(place)).into_iter().flatten().flatten() {
            left.push(format!("file {}", entry.path().display()));
        }
    }
    left
}
