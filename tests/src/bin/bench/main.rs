//! `make bench`: how long the engine takes, beside the peers that are installed and beside the
//! floor, in one run on one machine. Absolute times do not travel; the ratios do.
//!
//! What is compared is measured in turns (one of each, then again), so that a busy moment of the
//! machine hits all of them. Programs are those of `make build`; `floor` is built beside this one.
//! Nothing here fails a build: a bar that is missed is printed as missed.

mod api;
mod bundle;
mod engine;
mod measure;
mod memory;
mod peers;
mod stage;
mod table;

use bulkhead_tests::{Engine, Policy};
use measure::{Subject, interleave};
use std::time::Instant;
use table::{Bar, Report};

/// Rounds of what takes milliseconds.
const ROUNDS: usize = 40;
/// Rounds of what takes tenths of a second.
const PEER_ROUNDS: usize = 20;

fn main() {
    if !bulkhead_tests::is_root() {
        eprintln!("bench: needs root");
        std::process::exit(2);
    }
    let Some(tar) = bulkhead_tests::busybox() else {
        eprintln!("bench: needs busybox-static");
        std::process::exit(2);
    };
    let began = Instant::now();
    let mut report = Report::default();
    let place = tempfile::Builder::new().prefix("bench").tempdir_in("/var/tmp").expect("tempdir");
    let bundle = bundle::unpack(tar, &place.path().join("bundle"));
    daemons(&mut report, tar);
    let engine = Engine::start(Policy::Hardened);
    engine::import(&engine, tar);
    report.title("start and exec, in turns");
    starts(&mut report, &engine, &bundle);
    report.title("peers, in turns");
    peers(&mut report, &engine, &bundle, tar);
    report.title("200 containers, 8 at a time");
    engine::parallel(&mut report, &engine, &bundle);
    report.title("1,000,000 log lines of 100 bytes");
    engine::logs(&mut report, &engine);
    drop(engine);
    bars(&mut report);
    report.print(began.elapsed());
}

/// Memory and the API, on an engine that has done nothing else.
fn daemons(report: &mut Report, tar: &std::path::Path) {
    let engine = Engine::start(Policy::Hardened);
    report.title("memory, in proportional shares (PSS)");
    let fresh = memory::of(&engine);
    report.kib("shim, idle", fresh.shim);
    report.kib("apid, idle", fresh.apid);
    report.kib("daemons, idle", fresh.total());
    engine::import(&engine, tar);
    report.title("API requests a second");
    api::rates(report, &engine, "0 running", &["/_ping", "/version", "/containers/json"]);
    let before = memory::of(&engine);
    let names = engine::start_many(&engine, memory::CONTAINERS);
    api::rates(report, &engine, "50 running", &["/containers/json"]);
    report.title("memory, 50 containers running");
    match names {
        Ok(names) => {
            memory::report(report, before, memory::of(&engine));
            report.failed("rm -f of 50", engine::remove(&engine, &names));
        }
        Err(why) => report.skip("per running container", &why),
    }
}

/// Ours, beside bare `crun` and the floor.
fn starts(report: &mut Report, engine: &Engine, bundle: &bundle::Bundle) {
    let held = engine.bulkhead(&["run", "-d", "--name", "held", "busybox", "sleep", "1000000"]);
    if !held.status.success() {
        report.skip("start and exec", &String::from_utf8_lossy(&held.stderr));
        return;
    }
    let alone = stage::Stage::network();
    let hybrid = peers::without_unified();
    let mut subjects = vec![
        Subject::command("run --rm busybox true", || {
            engine::client(engine, &["run", "--rm", "busybox", "true"])
        }),
        peers::crun(bundle, &hybrid),
        peers::floor(bundle, &alone),
        Subject::command("run --rm --network none", || {
            engine::client(engine, &["run", "--rm", "--network", "none", "busybox", "true"])
        }),
        Subject::command("exec true", || engine::client(engine, &["exec", "held", "true"])),
        Subject::command("ps (one container)", || engine::client(engine, &["ps"])),
        Subject::command("version (the CLI alone)", || engine::client(engine, &["version"])),
    ];
    if bulkhead_tests::has_program("docker") {
        subjects.push(Subject::command("docker run --rm (Docker's CLI, our engine)", || {
            let mut command = engine.command("docker");
            command.args(["run", "--rm", "busybox", "true"]);
            command
        }));
    }
    report.outcomes(interleave(subjects, ROUNDS));
    report.outcomes(engine::detached(engine, PEER_ROUNDS));
    report.outcomes(engine::by_api(engine, PEER_ROUNDS));
    report.outcomes(peers::floor_inside(bundle, &alone, ROUNDS));
    report.failed("rm -f held", engine::remove(engine, &["held".to_owned()]));
}

/// The slow ones, and ours once more in the same turns.
fn peers(report: &mut Report, engine: &Engine, bundle: &bundle::Bundle, tar: &std::path::Path) {
    let podman = peers::Podman::set_up(tar);
    let mut subjects = vec![
        Subject::command("run --rm, beside peers", || {
            engine::client(engine, &["run", "--rm", "busybox", "true"])
        }),
        peers::runc(bundle),
    ];
    match &podman {
        Ok(podman) => subjects.extend(podman.subjects()),
        Err(why) => report.skip("podman run --rm", why),
    }
    if !bulkhead_tests::has_program("dockerd") {
        report.skip("dockerd: run --rm", "dockerd is not installed");
    }
    report.outcomes(interleave(subjects, PEER_ROUNDS));
    for peer in ["runc run (no network)", "podman run --rm"] {
        report.ratio("run --rm, beside peers", peer);
    }
}

/// What we want to be, and whether we are.
fn bars(report: &mut Report) {
    let run = "run --rm busybox true";
    report.ratio(run, "crun run (no network)");
    report.ratio(run, "floor");
    report.ratio("exec true", run);
    let ratio = |report: &Report, a: &str, b: &str| Some(report.median(a)? / report.median(b)?);
    let bars = [
        Bar::at_most("run --rm / crun run", ratio(report, run, "crun run (no network)"), 1.0),
        Bar::at_most("run --rm / floor", ratio(report, run, "floor"), 3.0),
        Bar::at_most("exec / run --rm", ratio(report, "exec true", run), 0.5),
        Bar::at_least("starts a second", report.median("run -d, starts a second"), 100.0),
        Bar::at_most("KiB a running container", report.median("all of ours / container"), 150.0),
        Bar::at_most("KiB of idle daemons", report.median("daemons, idle"), 20.0 * 1024.0),
    ];
    report.bars(bars);
}
