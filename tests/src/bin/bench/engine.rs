//! Our engine, by its CLI and by its API.

use crate::api::Client;
use crate::bundle::Bundle;
use crate::measure::{self, Outcome, Subject, interleave};
use crate::peers;
use crate::table::Report;
use bulkhead_tests::Engine;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Containers of the parallel start.
const MANY: usize = 200;
const AT_ONCE: usize = 8;
const LINES: usize = 1_000_000;
/// Rounds of what takes seconds.
const LONG_ROUNDS: usize = 3;

/// Our CLI, told where the engine is.
pub fn client(engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = engine.command(engine.cli());
    command.args(arguments);
    command
}

/// The image of everything here.
pub fn import(engine: &Engine, tar: &Path) {
    let tar = tar.to_str().expect("UTF-8");
    let output = engine.bulkhead(&["import", tar, "busybox"]);
    assert!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
}

/// `run -d` and `rm -f` of what it started.
pub fn detached(engine: &Engine, rounds: usize) -> Vec<Outcome> {
    let subjects = vec![
        Subject::command("run -d", || {
            client(engine, &["run", "-d", "--name", "detached", "busybox", "sleep", "1000000"])
        }),
        Subject::command("rm -f of a running one", || client(engine, &["rm", "-f", "detached"])),
    ];
    measure::in_order(subjects, rounds)
}

/// One container's life without a CLI, on one connection.
pub fn by_api(engine: &Engine, rounds: usize) -> Vec<Outcome> {
    let client = match Client::connect(&engine.socket()) {
        Ok(client) => RefCell::new(client),
        Err(why) => return vec![Outcome { name: "API".to_owned(), times: Err(why) }],
    };
    let id = RefCell::new(String::new());
    let ask = |method: &str, path: String, body: &str| {
        let began = Instant::now();
        let answer = client.borrow_mut().ask(method, &path, body)?;
        Ok::<_, String>((began.elapsed(), answer))
    };
    let life = vec![
        Subject::new("API: create", || {
            let body = r#"{"Image":"busybox","Cmd":["true"]}"#;
            let (time, answer) = ask("POST", "/containers/create".to_owned(), body)?;
            let answer: serde_json::Value =
                serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
            *id.borrow_mut() = answer["Id"].as_str().unwrap_or_default().to_owned();
            Ok(time)
        }),
        Subject::new("API: start", || {
            Ok(ask("POST", format!("/containers/{}/start", id.borrow()), "")?.0)
        }),
        Subject::new("API: wait", || {
            Ok(ask("POST", format!("/containers/{}/wait", id.borrow()), "")?.0)
        }),
        Subject::new("API: delete", || {
            Ok(ask("DELETE", format!("/containers/{}", id.borrow()), "")?.0)
        }),
    ];
    measure::in_order(life, rounds)
}

/// So many running containers; their ids.
pub fn start_many(engine: &Engine, count: usize) -> Result<Vec<String>, String> {
    start_timed(engine, count).map(|(_, ids)| ids)
}

fn start_timed(engine: &Engine, count: usize) -> Result<(Duration, Vec<String>), String> {
    let arguments = ["run", "-d", "busybox", "sleep", "1000000"].map(OsStr::new);
    let mut command = measure::many(count, AT_ONCE, engine.cli(), &arguments);
    command.env("DOCKER_HOST", engine.docker_host());
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    let copy = file.try_clone().map_err(|error| error.to_string())?;
    let time = measure::time_into(command, copy.into())?;
    let mut ids = String::new();
    file.rewind().map_err(|error| error.to_string())?;
    file.read_to_string(&mut ids).map_err(|error| error.to_string())?;
    let ids: Vec<String> = ids.lines().map(str::to_owned).collect();
    if ids.len() == count { Ok((time, ids)) } else { Err(format!("{} of {count}", ids.len())) }
}

/// Remove them, running or not; how long it took.
pub fn remove(engine: &Engine, names: &[String]) -> Result<Duration, String> {
    let arguments: Vec<&str> =
        ["rm", "-f"].into_iter().chain(names.iter().map(String::as_str)).collect();
    measure::time(client(engine, &arguments))
}

/// Starts a second, beside what the kernel alone takes.
pub fn parallel(report: &mut Report, engine: &Engine, bundle: &Bundle) {
    let rate = |time: Duration| MANY as f64 / time.as_secs_f64();
    let mut floor = Ok(Vec::new());
    let mut ours = Ok((Vec::new(), Vec::new()));
    for _ in 0..LONG_ROUNDS {
        floor = floor.and_then(|mut rates: Vec<f64>| {
            rates.push(rate(peers::floor_parallel(bundle, MANY, AT_ONCE)?));
            Ok(rates)
        });
        ours = ours.and_then(|(mut started, mut removed): (Vec<f64>, Vec<f64>)| {
            let (time, ids) = start_timed(engine, MANY)?;
            started.push(rate(time));
            removed.push(rate(remove(engine, &ids)?));
            Ok((started, removed))
        });
    }
    report.rates("floor, a second", "/s", floor);
    let started = ours.as_ref().map(|(started, _)| started.clone()).map_err(Clone::clone);
    report.rates("run -d, starts a second", "/s", started);
    report.rates("rm -f of all, a second", "/s", ours.map(|(_, removed)| removed));
    report.ratio("run -d, starts a second", "floor, a second");
}

/// A million lines through each driver, and out again.
pub fn logs(report: &mut Report, engine: &Engine) {
    let produce = format!("yes {} | head -n {LINES}", "x".repeat(99));
    let quiet = format!("{produce} > /dev/null");
    let run = |driver: &'static str, script: &str| {
        let arguments = ["run", "--rm", "--log-driver", driver, "busybox", "sh", "-c", script];
        client(engine, &arguments)
    };
    let host = || {
        let mut command = Command::new("busybox");
        command.args(["sh", "-c", &quiet]);
        command
    };
    let detach = ["run", "-d", "--name", "lines", "busybox", "sh", "-c", &produce];
    let finished = measure::time(client(engine, &detach))
        .and_then(|_| measure::time(client(engine, &["wait", "lines"])));
    report.outcomes(interleave(
        vec![
            Subject::command("the producer alone, on the host", host),
            Subject::command("run --rm, its output to /dev/null inside", || run("none", &quiet)),
            Subject::command("run --rm, driver none", || run("none", &produce)),
            Subject::command("run --rm, json-file", || run("json-file", &produce)),
            Subject::new("logs to /dev/null", || {
                finished.clone()?;
                measure::time(client(engine, &["logs", "lines"]))
            }),
        ],
        LONG_ROUNDS,
    ));
    let lines = count_lines(client(engine, &["logs", "lines"]));
    match lines {
        Ok(LINES) => {}
        Ok(other) => report.skip("logs", &format!("{other} lines came back, not {LINES}")),
        Err(why) => report.skip("logs", &why),
    }
    report.failed("rm -f lines", remove(engine, &["lines".to_owned()]));
}

fn count_lines(mut command: Command) -> Result<usize, String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut lines = 0;
    let mut buffer = vec![0; 1 << 16];
    if let Some(stdout) = &mut child.stdout {
        loop {
            match stdout.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => break,
                count => lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count(),
            }
        }
    }
    child.wait().map_err(|error| error.to_string())?;
    Ok(lines)
}
