//! Proportional shares (PSS) of every process of an engine: a page that n processes map counts as
//! one n-th for each. Containers' own programs are not counted.

use crate::table::Report;
use bulkhead_tests::Engine;
use std::fs;
use std::path::Path;

/// How many run when it is measured.
pub const CONTAINERS: usize = 50;

/// KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shares {
    pub shim: f64,
    pub apid: f64,
    /// Monitors, workers, janitors.
    pub others: f64,
    /// How many those are.
    pub count: usize,
}

impl Shares {
    /// Everything.
    pub fn total(&self) -> f64 {
        self.shim + self.apid + self.others
    }
}

/// As it is now.
pub fn of(engine: &Engine) -> Shares {
    let (shim, apid) = (engine.pid("shim"), engine.pid("apid"));
    let mut shares = Shares::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        if pid == shim {
            shares.shim = pss(&entry.path());
        } else if pid == apid {
            shares.apid = pss(&entry.path());
        } else if is_of(&entry.path(), engine, shim) {
            shares.others += pss(&entry.path());
            shares.count += 1;
        }
    }
    shares
}

/// What 50 containers added.
pub fn report(report: &mut Report, before: Shares, after: Shares) {
    let each = |kib: f64| kib / CONTAINERS as f64;
    report.kib("shim", after.shim);
    report.kib("apid", after.apid);
    report.kib(&format!("{} processes more", after.count), after.others);
    report.kib("their share / container", each(after.others));
    report.kib("all of ours / container", each(after.total() - before.total()));
}

/// Whether a process runs a program of ours and belongs to this engine.
fn is_of(process: &Path, engine: &Engine, shim: i32) -> bool {
    // A file, or a sealed copy in memory: `/memfd:bulkhead-shim (deleted)`.
    let program = fs::read_link(process.join("exe")).unwrap_or_default();
    let program = program.to_string_lossy().into_owned();
    let ours = ["bulkhead-shim", "bulkhead-apid", "bulkhead-worker"];
    if !ours.iter().any(|name| program.contains(name)) {
        return false;
    }
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let root = engine.root().to_string_lossy().into_owned();
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
    String::from_utf8_lossy(&line).contains(&root) || parent == Some(&shim.to_string())
}

fn pss(process: &Path) -> f64 {
    let text = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0.0)
}
