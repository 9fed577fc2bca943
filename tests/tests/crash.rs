//! `kill -9` of our daemons at any moment, under load: no container stops, no exit status and no
//! log line is missing or there twice, and the engine that comes back has nothing stray.

use bulkhead_tests::{Engine, Policy, busybox, need, skip, wait_until};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How often daemons are killed; `BULKHEAD_KILLS` for a longer run.
fn kills() -> u32 {
    std::env::var("BULKHEAD_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// Small numbers without a pattern (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Ends the load even when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A counter that a container prints, a number a line, so that each line is known.
const COUNT: &str = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; if [ $((i % 50)) = 0 ]; then usleep 2000; fi; done; echo end; exit 42";

#[test]
fn daemons_may_be_killed_at_any_moment() {
    need!("daemons_may_be_killed_at_any_moment", root);
    need!("daemons_may_be_killed_at_any_moment", "docker");
    let Some(tar) = busybox() else {
        return skip("daemons_may_be_killed_at_any_moment", "busybox-static is not installed");
    };
    let engine = Engine::start(Policy::Hardened);
    engine.import(tar, "busybox");
    let names = ["c1", "c2", "c3"];
    for name in names {
        engine.docker_ok(&["run", "-d", "--name", name, "busybox", "sh", "-c", COUNT]);
    }
    let pids: Vec<_> = names.map(|name| engine.inspect(name)["State"]["Pid"].clone()).into();
    let stop = AtomicBool::new(false);
    let started = AtomicU32::new(0);
    std::thread::scope(|scope| {
        // Load: containers come and go while the daemons die. Requests may fail; nothing may hang
        // or be left.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if engine.docker(&["run", "--rm", "busybox", "true"]).status.success() {
                    started.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _stop = StopAtEnd(&stop);
        let mut random = Random(u64::from(std::process::id()));
        for round in 0..kills() {
            // A moment is a number of API requests, so that it falls into different work each time.
            for _ in 0..random.below(6) {
                engine.docker(&["ps"]);
            }
            match random.below(3) {
                0 => engine.kill("shim"),
                1 => engine.kill("apid"),
                _ => {
                    engine.kill("apid");
                    engine.kill("shim");
                }
            }
            engine.up();
            for (name, pid) in names.iter().zip(&pids) {
                let state = engine.inspect(name)["State"].clone();
                assert_eq!(state["Running"], true, "round {round}: {name}: {state}");
                assert_eq!(&state["Pid"], pid, "round {round}: {name} is the same process");
            }
        }
    });
    println!(
        "{} kills, {} short containers came through meanwhile",
        kills(),
        started.load(Ordering::Relaxed)
    );
    for name in names {
        engine.docker_ok(&["exec", name, "touch", "/stop"]);
        assert_eq!(engine.docker_ok(&["wait", name]), "42", "{name}: exit status");
        let logs = engine.docker_ok(&["logs", name]);
        let lines: Vec<&str> = logs.lines().collect();
        let (last, numbers) = lines.split_last().expect("lines");
        assert_eq!(*last, "end");
        for (index, line) in numbers.iter().enumerate() {
            assert_eq!(
                *line,
                (index + 1).to_string(),
                "{name}: line {} of {}",
                index + 1,
                numbers.len()
            );
        }
        assert!(numbers.len() > 100, "{name}: {} lines", numbers.len());
    }
    engine.docker_ok(&["rm", "c1", "c2", "c3"]);
    // Those of the load whose `run` died with a daemon.
    engine.docker_ok(&["container", "prune", "-f"]);
    wait_until("all short containers are gone", Duration::from_secs(30), || {
        engine.docker_ok(&["ps", "-aq"]).is_empty()
    });
}

#[test]
fn an_exit_while_both_daemons_are_dead_is_not_lost() {
    need!("an_exit_while_both_daemons_are_dead_is_not_lost", root);
    need!("an_exit_while_both_daemons_are_dead_is_not_lost", "docker");
    let Some(tar) = busybox() else {
        return skip(
            "an_exit_while_both_daemons_are_dead_is_not_lost",
            "busybox-static is not installed",
        );
    };
    let engine = Engine::start(Policy::Hardened);
    engine.import(tar, "busybox");
    let fifo = "mkfifo /tmp/f; echo waiting; read line < /tmp/f; echo got $line; exit 17";
    engine.docker_ok(&["run", "-d", "--name", "late", "busybox", "sh", "-c", fifo]);
    wait_until("it waits", Duration::from_secs(10), || {
        engine.docker_ok(&["logs", "late"]).contains("waiting")
    });
    let pid = engine.inspect("late")["State"]["Pid"].as_i64().expect("pid");
    engine.kill("apid");
    engine.kill("shim");
    // From outside, through the process's own root.
    let fifo = format!("/proc/{pid}/root/tmp/f");
    std::fs::write(fifo, "it\n").expect("the fifo");
    wait_until("it ended", Duration::from_secs(10), || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_or(true, |stat| stat.contains(") Z "))
    });
    engine.up();
    assert_eq!(engine.docker_ok(&["wait", "late"]), "17");
    assert_eq!(engine.docker_ok(&["logs", "late"]), "waiting\ngot it");
    engine.docker_ok(&["rm", "late"]);
}

#[test]
fn a_running_container_can_be_used_after_both_daemons_came_back() {
    need!("a_running_container_can_be_used_after_both_daemons_came_back", root);
    need!("a_running_container_can_be_used_after_both_daemons_came_back", "docker");
    let Some(tar) = busybox() else {
        return skip(
            "a_running_container_can_be_used_after_both_daemons_came_back",
            "busybox-static is not installed",
        );
    };
    let engine = Engine::start(Policy::Hardened);
    engine.import(tar, "busybox");
    engine.docker_ok(&["run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "1000"]);
    engine.kill("shim");
    engine.kill("apid");
    engine.up();
    let bounding = engine.docker_ok(&["exec", "box", "grep", "CapBnd", "/proc/1/status"]);
    assert_eq!(
        engine.docker_ok(&["exec", "box", "grep", "CapBnd", "/proc/self/status"]),
        bounding,
        "the same confinement"
    );
    engine.docker_ok(&["update", "-m", "96m", "--memory-swap", "96m", "box"]);
    assert_eq!(engine.inspect("box")["HostConfig"]["Memory"], 96 << 20);
    engine.docker_ok(&["pause", "box"]);
    engine.kill("shim");
    engine.up();
    assert_eq!(engine.inspect("box")["State"]["Paused"], true);
    engine.docker_ok(&["unpause", "box"]);
    engine.docker_ok(&["stop", "-t", "0", "box"]);
    engine.docker_ok(&["rm", "box"]);
}
