//! `GET /containers/{id}/top`: what `ps` would say of the container's processes.

use super::Groups;
use crate::error::{EngineError, Result};
use bulkhead_types::ContainerTop;
use std::collections::BTreeSet;

/// Ticks a second in `proc_pid_stat(5)`: `sysconf(_SC_CLK_TCK)`, 100 on all of Linux's
/// architectures that we run on.
const TICKS: u64 = 100;
/// A page, likewise.
const PAGE_KIB: u64 = 4;

/// One process.
#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    user: String,
    /// In ticks.
    cpu: u64,
    /// In ticks after boot.
    began: u64,
    terminal: String,
    state: char,
    /// Pages and bytes.
    resident_kib: u64,
    virtual_kib: u64,
    command: String,
}

/// The processes of the container whose first process is `pid`, in the columns of `ps` with these
/// arguments: `-ef` or `aux`.
pub(crate) fn top(pid: u32, arguments: &str) -> Result<ContainerTop> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let full = match words.as_slice() {
        [] | ["-ef" | "ef" | "-f" | "-e"] => true,
        ["aux" | "-aux" | "axu" | "uax"] => false,
        _ => {
            return Err(EngineError::unsupported(format!(
                "ps arguments '{arguments}' are not implemented: '-ef' and 'aux' are"
            )));
        }
    };
    let groups = Groups::of(pid)
        .map_err(|error| EngineError::internal("reading the container's cgroup").because(error))?;
    let users = users();
    let pids = pids(&groups);
    let processes: Vec<Process> = pids.into_iter().filter_map(|pid| process(pid, &users)).collect();
    let uptime = uptime_ticks();
    Ok(if full { full_format(&processes, uptime) } else { user_format(&processes, uptime) })
}

fn full_format(processes: &[Process], uptime: u64) -> ContainerTop {
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    let row = |process: &Process| {
        vec![
            process.user.clone(),
            process.pid.to_string(),
            process.parent.to_string(),
            percent(process, uptime).to_string(),
            begin(process, uptime),
            process.terminal.clone(),
            cpu_time(process.cpu, true),
            process.command.clone(),
        ]
    };
    table(&titles, processes.iter().map(row))
}

fn user_format(processes: &[Process], uptime: u64) -> ContainerTop {
    let titles =
        ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
    let total = memory_kib().max(1);
    let row = |process: &Process| {
        let memory = process.resident_kib * 1000 / total;
        vec![
            process.user.clone(),
            process.pid.to_string(),
            format!("{}.0", percent(process, uptime)),
            format!("{}.{}", memory / 10, memory % 10),
            process.virtual_kib.to_string(),
            process.resident_kib.to_string(),
            process.terminal.clone(),
            process.state.to_string(),
            begin(process, uptime),
            cpu_time(process.cpu, false),
            process.command.clone(),
        ]
    };
    table(&titles, processes.iter().map(row))
}

fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> ContainerTop {
    ContainerTop {
        titles: titles.iter().map(|title| (*title).to_owned()).collect(),
        processes: rows.collect(),
    }
}

/// Everything in the cgroup, also in groups that the container made below it.
fn pids(groups: &Groups) -> BTreeSet<u32> {
    let directory = ["pids", "memory", "freezer"].iter().find_map(|name| groups.controller(name));
    let mut pids = BTreeSet::new();
    let mut waiting: Vec<_> = directory.into_iter().collect();
    while let Some(directory) = waiting.pop() {
        let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|pid| pid.parse::<u32>().ok()));
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    pids
}

/// None: it has ended.
fn process(pid: u32, users: &[(u32, String)]) -> Option<Process> {
    use std::os::unix::fs::MetadataExt;
    let directory = format!("/proc/{pid}");
    let uid = std::fs::metadata(&directory).ok()?.uid();
    let stat = std::fs::read_to_string(format!("{directory}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    // The state is field 3 of proc_pid_stat(5).
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let words = std::fs::read(format!("{directory}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let user = users.iter().find(|(known, _)| *known == uid).map(|(_, name)| name.clone());
    Some(Process {
        pid,
        parent: u32::try_from(number(4)?).ok()?,
        user: user.unwrap_or_else(|| uid.to_string()),
        cpu: number(14)? + number(15)?,
        began: number(22)?,
        terminal: terminal(number(7).unwrap_or(0)),
        state: fields.first()?.chars().next()?,
        resident_kib: number(24)? * PAGE_KIB,
        virtual_kib: number(23)? / 1024,
        command: if words.is_empty() { format!("[{name}]") } else { words.join(" ") },
    })
}

/// `tty_nr`: Linux's device number; unix98 ptys are majors 136 to 143.
fn terminal(device: u64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => "?".to_owned(),
    }
}

/// `TIME`: hours or minutes first.
fn cpu_time(ticks: u64, hours: bool) -> String {
    let seconds = ticks / TICKS;
    if hours {
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// CPU time as a part of the time since it began.
fn percent(process: &Process, uptime: u64) -> u64 {
    (process.cpu * 100) / uptime.saturating_sub(process.began).max(1)
}

/// When it began, in the host's time zone as `ps` has it: UTC, since we know no other.
fn begin(process: &Process, uptime: u64) -> String {
    let ago = i64::try_from(uptime.saturating_sub(process.began) / TICKS).unwrap_or(0);
    let began = jiff::Timestamp::now().as_second() - ago;
    let text = jiff::Timestamp::from_second(began).unwrap_or_default().to_string();
    if ago < 24 * 3600 {
        text.get(11..16).unwrap_or_default().to_owned()
    } else {
        text.get(..10).unwrap_or_default().to_owned()
    }
}

fn uptime_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let whole = text.split(['.', ' ']).next().and_then(|text| text.parse::<u64>().ok());
    whole.unwrap_or(0) * TICKS
}

fn memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The host's names of its users; ids of containers have none.
fn users() -> Vec<(u32, String)> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_ps_reads_it() {
        let own = std::process::id();
        let process = process(own, &users()).unwrap();
        assert_eq!(process.pid, own);
        assert!(process.command.contains("engine"), "{}", process.command);
        assert!(process.resident_kib > 0 && process.virtual_kib > process.resident_kib);
    }

    #[test]
    fn times_and_terminals_are_written_as_ps_writes_them() {
        assert_eq!(cpu_time(366_100, true), "01:01:01");
        assert_eq!(cpu_time(6_100, false), "1:01");
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
    }

    #[test]
    fn unknown_arguments_are_said() {
        let error = top(std::process::id(), "-o pid,cmd").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::NotImplemented);
    }
}
