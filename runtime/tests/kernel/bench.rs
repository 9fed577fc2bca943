//! How long a start takes, phase by phase. Not a test: `cargo test --release -p bulkhead-runtime
//! --test kernel -- --bench`.

use crate::rig::{Case, Rig};
use bulkhead_policy::proto::NetworkMode;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;

pub(crate) fn run(rig: &Rig) {
    bulkhead_runtime::prepare_filters(bulkhead_policy::capability::DOCKER);
    measure("default", || rig.program(&["/bin/true"]));
    measure("hardened", || rig.program(&["/bin/true"]).hardened());
    measure("host network", || {
        rig.program(&["/bin/true"]).with(|spec| spec.namespaces.network = NetworkMode::Host)
    });
    measure("host ids", || rig.program(&["/bin/true"]).host_ids());
    measure("overlay by paths", || {
        let mut case = rig.program(&["/bin/true"]);
        case.features.overlay_by_fd = false;
        case
    });
    exec(rig);
}

fn measure<'r>(name: &str, case: impl Fn() -> Case<'r>) {
    let mut phases: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let case = case();
        let mut last = Instant::now();
        let mut phase = |into: usize, phases: &mut [Vec<Duration>; 4]| {
            phases[into].push(last.elapsed());
            last = Instant::now();
        };
        // Making the cgroup is in it.
        let mut waiting = case.create().unwrap();
        phase(0, &mut phases);
        waiting.audit().unwrap();
        phase(1, &mut phases);
        waiting.open().unwrap();
        phase(2, &mut phases);
        assert_eq!(waiting.finish().code, 0);
        phase(3, &mut phases);
    }
    let [create, audit, open, end] = phases.map(median);
    println!("{name}: create {create:?}, audit {audit:?}, open {open:?}, end and cgroup {end:?}");
}

fn exec(rig: &Rig) {
    let mut waiting = rig.program(&["/bin/sleep", "1000"]).create().unwrap();
    waiting.open().unwrap();
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert_eq!(waiting.exec(|_| {}).unwrap().code, 0);
        all.push(start.elapsed());
    }
    println!("exec, audited, to its end: {:?}", median(all));
}

/// Median, and the tenth part from below, which other load on the machine does not reach.
fn median(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() / 10])
}
