//! The process: `Config`, and what of it is about running and stopping.

use super::security::Security;
use super::{Wish, container_path, limited, text};
use crate::error::{EngineError, Result};
use bulkhead_proto::{
    Argument, List, MAX_STRINGS, Name, ProcessSpec, Rlimit, Seccomp, Signal, TerminalSize,
};
use bulkhead_types::{ContainerConfig, ExecCreateBody, RestartPolicy};
use std::collections::BTreeSet;
use std::time::Duration;

/// Where programs are when an image does not say: Docker's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Docker's patience before `SIGKILL`.
const STOP_SECONDS: i64 = 10;

/// How a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub signal: Signal,
    /// Before `SIGKILL`; none: never.
    pub timeout: Option<Duration>,
}

/// When a container that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    No,
    /// After another exit code than 0, at most so often in a row; 0: without end.
    OnFailure(u64),
    Always,
    /// Unless a client has stopped it.
    UnlessStopped,
}

/// What is known of the process from elsewhere.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub hostname: &'a str,
    pub console_size: [u32; 2],
    pub groups: &'a Option<Vec<String>>,
    pub oom_score_adj: i64,
    pub security: &'a Security,
    pub rlimits: Vec<Rlimit>,
}

pub(super) fn translate(
    wish: Wish<'_>,
    asked: Asked<'_>,
    warnings: &mut Vec<String>,
) -> Result<ProcessSpec> {
    let ContainerConfig {
        // The network's.
        hostname: _,
        domainname: _,
        network_disabled: _,
        mac_address: _,
        user,
        // What the client did when it created the container.
        attach_stdin: _,
        attach_stdout: _,
        attach_stderr: _,
        exposed_ports,
        tty,
        open_stdin,
        // Attach looks at it.
        stdin_once: _,
        env,
        cmd,
        healthcheck,
        // Windows.
        args_escaped: _,
        image: _,
        volumes,
        working_dir,
        entrypoint,
        // Builds.
        on_build: _,
        shell: _,
        // For people and tools.
        labels: _,
        // See `stop`.
        stop_signal: _,
        stop_timeout: _,
    } = wish.config;

    for port in exposed_ports.keys() {
        check_port(port)?;
    }
    let health = healthcheck.as_ref().and_then(|check| check.test.as_ref());
    if health.is_some_and(|test| !matches!(test.first().map(String::as_str), None | Some("NONE"))) {
        warnings.push("Health checks are not implemented: the check is not run.".to_owned());
    }
    for path in volumes.iter().flat_map(|volumes| volumes.keys()) {
        container_path("Config.Volumes", path)?;
        warnings.push(format!(
            "Anonymous volumes are not implemented: {path} is part of the container's own layer."
        ));
    }
    let args = entrypoint.iter().chain(cmd).flat_map(|list| list.iter());
    let oom_score_adj = match i16::try_from(asked.oom_score_adj) {
        Ok(0) => None,
        Ok(score @ -1000..=1000) => Some(score),
        _ => {
            return Err(EngineError::bad(format!(
                "Invalid value {}, range for oom score adj is [-1000, 1000]",
                asked.oom_score_adj
            )));
        }
    };
    let groups = asked.groups.iter().flatten().map(|group| text::<256>("GroupAdd", group));
    Ok(ProcessSpec {
        args: strings("Cmd", args)?,
        env: environment(env.as_deref().unwrap_or_default(), asked.hostname, *tty)?,
        cwd: directory(working_dir)?,
        user: text("User", user)?,
        groups: limited("HostConfig.GroupAdd", groups.collect::<Result<Vec<Name>>>()?)?,
        terminal: tty.then(|| size(asked.console_size)),
        stdin: *open_stdin,
        cap_add: asked.security.cap_add,
        cap_drop: asked.security.cap_drop,
        no_new_privs: asked.security.no_new_privs,
        rlimits: limited("HostConfig.Ulimits", asked.rlimits)?,
        oom_score_adj,
        seccomp: asked.security.seccomp,
    })
}

/// The process of an exec in a container of this configuration. Environment and directory are the
/// container's unless given.
pub(crate) fn exec_process(body: &ExecCreateBody, container: &ProcessSpec) -> Result<ProcessSpec> {
    let ExecCreateBody {
        user,
        privileged: _,
        tty,
        console_size,
        attach_stdin,
        attach_stderr: _,
        attach_stdout: _,
        // The client looks for them.
        detach_keys: _,
        env,
        working_dir,
        cmd,
    } = body;
    let args = cmd.iter().flat_map(|list| list.iter());
    let inherited: Vec<String> = container
        .env
        .iter()
        .filter_map(|pair| std::str::from_utf8(pair.as_bytes()).ok().map(str::to_owned))
        .filter(|pair| !pair.starts_with("TERM=") || *tty)
        .collect();
    let merged = merge_environment(&inherited, env.as_deref().unwrap_or_default());
    let cwd = if working_dir.is_empty() { container.cwd.clone() } else { directory(working_dir)? };
    Ok(ProcessSpec {
        args: strings("Cmd", args)?,
        env: environment(&merged, "", *tty)?,
        cwd,
        user: if user.is_empty() { container.user.clone() } else { text("User", user)? },
        groups: container.groups.clone(),
        terminal: tty.then(|| size(console_size.unwrap_or_default())),
        stdin: *attach_stdin,
        cap_add: container.cap_add,
        cap_drop: container.cap_drop,
        no_new_privs: container.no_new_privs,
        rlimits: List::default(),
        oom_score_adj: None,
        seccomp: match container.seccomp {
            Seccomp::Unconfined => Seccomp::Unconfined,
            // The container's own filter holds for everything in it.
            Seccomp::Default | Seccomp::Program => Seccomp::Default,
        },
    })
}

/// Docker's `ReplaceOrAppendEnvValues`: later values replace earlier ones of the same name; a name
/// alone takes the variable away.
pub(crate) fn merge_environment(defaults: &[String], overrides: &[String]) -> Vec<String> {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let mut merged: Vec<String> = defaults.to_vec();
    for pair in overrides {
        let of = name(pair);
        let place = merged.iter().position(|known| name(known) == of);
        match (pair.contains('='), place) {
            (true, Some(at)) => {
                if let Some(slot) = merged.get_mut(at) {
                    pair.clone_into(slot);
                }
            }
            (true, None) => merged.push(pair.clone()),
            (false, Some(at)) => {
                merged.remove(at);
            }
            (false, None) => {}
        }
    }
    merged
}

/// When it is started again.
pub(super) fn restart(policy: &RestartPolicy, auto_remove: bool) -> Result<Restart> {
    super::validate_restart(policy)?;
    let restart = match policy.name.as_str() {
        "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        "on-failure" => {
            Restart::OnFailure(u64::try_from(policy.maximum_retry_count).unwrap_or_default())
        }
        _ => Restart::No,
    };
    if auto_remove && restart != Restart::No {
        return Err(EngineError::bad("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(restart)
}

/// How it is stopped.
pub(super) fn stop(config: &ContainerConfig) -> Result<Stop> {
    let signal = match config.stop_signal.as_str() {
        "" => Signal::TERM,
        name => parse_signal(name)?,
    };
    let seconds = config.stop_timeout.unwrap_or(STOP_SECONDS);
    Ok(Stop { signal, timeout: u64::try_from(seconds).ok().map(Duration::from_secs) })
}

/// Names of `signal(7)` by number, on x86 and ARM.
const SIGNALS: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
/// `SIGRTMIN` and `SIGRTMAX` as C programs see them.
const REAL_TIME: (u8, u8) = (34, 64);

/// A signal by number or name, with or without `SIG`, in any case; `RTMIN+3`, `RTMAX-1`.
///
/// # Errors
/// `BadParameter`, in Docker's words.
pub(crate) fn parse_signal(given: &str) -> Result<Signal> {
    let upper = given.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let (first, last) = REAL_TIME;
    let offset = |text: &str, sign: char| match text {
        "" => Some(0),
        _ => text.strip_prefix(sign)?.parse::<u8>().ok(),
    };
    let number = if let Ok(number) = upper.parse() {
        Some(number)
    } else if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        Some(*number)
    } else if let Some(behind) = name.strip_prefix("RTMIN") {
        offset(behind, '+').and_then(|by| first.checked_add(by)).filter(|number| *number <= last)
    } else if let Some(behind) = name.strip_prefix("RTMAX") {
        offset(behind, '-').and_then(|by| last.checked_sub(by)).filter(|number| *number >= first)
    } else {
        None
    };
    number.and_then(Signal::new).ok_or_else(|| EngineError::bad(format!("Invalid signal: {given}")))
}

fn strings<'s>(
    field: &str,
    list: impl Iterator<Item = &'s String>,
) -> Result<List<Argument, MAX_STRINGS>> {
    let all: Vec<Argument> = list.map(|item| text(field, item)).collect::<Result<_>>()?;
    if all.is_empty() {
        return Err(EngineError::bad("no command specified"));
    }
    limited(field, all)
}

/// Docker's own variables, then the configuration's.
fn environment(pairs: &[String], hostname: &str, tty: bool) -> Result<List<Argument, MAX_STRINGS>> {
    let mut own = vec![PATH.to_owned()];
    if !hostname.is_empty() {
        own.push(format!("HOSTNAME={hostname}"));
    }
    if tty {
        own.push("TERM=xterm".to_owned());
    }
    if let Some(bad) = pairs.iter().find(|pair| pair.is_empty() || pair.starts_with('=')) {
        return Err(EngineError::bad(format!("invalid environment variable: {bad}")));
    }
    let merged = merge_environment(&own, pairs);
    let mut names = BTreeSet::new();
    // The last of several wins.
    let mut kept: Vec<&String> = merged
        .iter()
        .rev()
        .filter(|pair| names.insert(pair.split_once('=').map(|(name, _)| name)))
        .collect();
    kept.reverse();
    let all: Vec<Argument> =
        kept.into_iter().map(|pair| text("Env", pair)).collect::<Result<_>>()?;
    limited("Env", all)
}

fn directory(path: &str) -> Result<bulkhead_proto::ContainerPath> {
    match path {
        "" => container_path("WorkingDir", "/"),
        absolute if absolute.starts_with('/') => container_path("WorkingDir", absolute),
        _ => Err(EngineError::bad(format!(
            "the working directory '{path}' is invalid, it needs to be an absolute path"
        ))),
    }
}

/// Height and width in characters; 0: Linux's own default, which clients then change.
fn size([rows, columns]: [u32; 2]) -> TerminalSize {
    let fits = |value| u16::try_from(value).unwrap_or(u16::MAX);
    TerminalSize { rows: fits(rows), columns: fits(columns) }
}

/// `80/tcp`, `80`, `8000-8010/udp`
fn check_port(port: &str) -> Result<()> {
    let (numbers, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u16>().ok();
    let range = number(first).zip(number(last)).is_some_and(|(first, last)| first <= last);
    if range && matches!(protocol, "tcp" | "udp" | "sctp") {
        return Ok(());
    }
    Err(EngineError::bad(format!("invalid port specification: \"{port}\"")))
}
