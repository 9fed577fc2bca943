//! Proportional shares (PSS) of every process of an engine: a page that n processes map counts as
//! one n-th for each. Containers' own programs are not counted.

use crate::table::Report;
use bulkhead_tests::Engine;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    if after.count < CONTAINERS {
        // A figure that leaves some out would look better than it is.
        let why = format!("{} processes of ours found for {CONTAINERS} containers", after.count);
        report.skip("all of ours / container", &why);
        return;
    }
    let each = |kib: f64| kib / CONTAINERS as f64;
    report.kib("shim", after.shim);
    report.kib("apid", after.apid);
    report.kib(&format!("{} processes more", after.count), after.others);
    report.kib("their share / container", each(after.others));
    report.kib("all of ours / container", each(after.total() - before.total()));
}

/// The program that a process runs, as a file: also if it is a sealed copy without a name.
fn program(process: &Path) -> Option<(u64, u64)> {
    fs::metadata(process.join("exe")).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether a process runs the same program as the shim, and for this engine: it names its
/// directory or is a child of the shim. The programs of containers are others.
fn is_of(process: &Path, engine: &Engine, shim: i32) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    let related =
        parent == Some(&shim.to_string()) || line.contains(&*engine.root().to_string_lossy());
    let same = program(process).is_some_and(|file| program(&shim_directory(shim)) == Some(file));
    related && (same || line.contains("bulkhead-worker"))
}

fn shim_directory(shim: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{shim}"))
}

fn pss(process: &Path) -> f64 {
    let text = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0.0)
}
