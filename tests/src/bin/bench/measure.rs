//! Times of programs, taken in turns.

use crate::stage;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds that are not counted.
const WARM_UP: usize = 3;
/// Between two measurements, so that what the kernel does behind the first (network namespaces,
/// mounts, cgroups are taken down later) is not counted to the second.
const SETTLE: Duration = Duration::from_millis(10);
/// What takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times, or why there are none.
pub type Times = Result<Vec<Duration>, String>;

/// What one subject came to.
pub struct Outcome {
    pub name: String,
    pub times: Times,
}

/// Something that is timed again and again.
pub struct Subject<'a> {
    name: String,
    once: Box<dyn FnMut() -> Result<Duration, String> + 'a>,
}

impl<'a> Subject<'a> {
    /// `once` says how long what counts of it took.
    pub fn new(
        name: impl Into<String>,
        once: impl FnMut() -> Result<Duration, String> + 'a,
    ) -> Self {
        Self { name: name.into(), once: Box::new(once) }
    }

    /// A program from launch to end.
    pub fn command(name: impl Into<String>, mut make: impl FnMut() -> Command + 'a) -> Self {
        Self::new(name, move || time(make()))
    }

    /// The same in other namespaces.
    pub fn on_stage(
        name: impl Into<String>,
        stage: &'a stage::Stage,
        mut make: impl FnMut() -> Command + 'a,
    ) -> Self {
        Self::new(name, move || stage.time(make()))
    }
}

/// One of each, then again. A subject that fails once is out, and says why.
pub fn interleave(mut subjects: Vec<Subject<'_>>, rounds: usize) -> Vec<Outcome> {
    let mut times: Vec<Times> = subjects.iter().map(|_| Ok(Vec::with_capacity(rounds))).collect();
    for round in 0..WARM_UP + rounds {
        // Who comes after whom is not always the same.
        for place in 0..subjects.len() {
            let which = (place + round) % subjects.len();
            let Ok(taken) = &mut times[which] else { continue };
            std::thread::sleep(SETTLE);
            match (subjects[which].once)() {
                Ok(_) if round < WARM_UP => {}
                Ok(time) => taken.push(time),
                Err(why) => times[which] = Err(why),
            }
        }
    }
    let names = subjects.into_iter().map(|subject| subject.name);
    names.zip(times).map(|(name, times)| Outcome { name, times }).collect()
}

/// Each of them in each round, always in this order: a later one needs what an earlier one did. When
/// one fails, all are over.
pub fn in_order(mut subjects: Vec<Subject<'_>>, rounds: usize) -> Vec<Outcome> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); subjects.len()];
    let mut failed = None;
    'rounds: for round in 0..WARM_UP + rounds {
        for (subject, taken) in subjects.iter_mut().zip(&mut times) {
            std::thread::sleep(SETTLE);
            match (subject.once)() {
                Ok(_) if round < WARM_UP => {}
                Ok(time) => taken.push(time),
                Err(why) => {
                    failed = Some(format!("{}: {why}", subject.name));
                    break 'rounds;
                }
            }
        }
    }
    let times = times.into_iter().map(|times| failed.clone().map_or(Ok(times), Err));
    let names = subjects.into_iter().map(|subject| subject.name);
    names.zip(times).map(|(name, times)| Outcome { name, times }).collect()
}

/// A program `count` times with the same arguments, `at_once` at a time.
pub fn many(count: usize, at_once: usize, program: PathBuf, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("sh");
    let script = r#"count=$1 at_once=$2; shift 2; seq "$count" | xargs -P "$at_once" -I{} "$@""#;
    command.args(["-c", script, "sh"]).args([count.to_string(), at_once.to_string()]);
    command.arg(program).args(arguments);
    command
}

/// How long a program takes from launch to end, its output thrown away.
pub fn time(mut command: Command) -> Result<Duration, String> {
    let said = File::from(memory_file()?);
    let stderr = said.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    time_as_it_is(command, said)
}

/// The same with standard output going to `stdout`.
pub fn time_into(mut command: Command, stdout: Stdio) -> Result<Duration, String> {
    let said = File::from(memory_file()?);
    let stderr = said.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    time_as_it_is(command, said)
}

fn time_as_it_is(mut command: Command, mut said: File) -> Result<Duration, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let pidfd = pidfd.map_err(|error| format!("pidfd_open: {error}"))?;
    let mut poll = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = rustix::event::poll(&mut poll, Some(&limit)).unwrap_or(0) > 0;
    if !ended {
        child.kill().map_err(|error| format!("kill: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("wait: {error}"))?;
    let taken = began.elapsed();
    if !ended {
        return Err(format!("{name}: stuck for {PATIENCE:?}"));
    }
    if status.success() {
        return Ok(taken);
    }
    let mut text = String::new();
    said.rewind().map_err(|error| error.to_string())?;
    said.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{name}: {status}: {last}"))
}

fn memory_file() -> Result<std::os::fd::OwnedFd, String> {
    rustix::fs::memfd_create("stderr", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| format!("memfd_create: {error}"))
}

/// The value below which `share` of the sorted values are, between neighbours.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len().saturating_sub(1)) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low_value), Some(high_value)) => {
            low_value + (high_value - low_value) * (place - low as f64)
        }
        _ => f64::NAN,
    }
}
