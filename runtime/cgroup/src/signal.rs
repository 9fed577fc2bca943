//! Signals to all processes of a group.

use crate::Error;
use crate::cgroup::PATIENCE;
use crate::freezer::{self, Backoff};
use crate::node::{Controller, Node};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::time::Instant;

const SIGKILL: u8 = 9;
/// Descriptors that are open at a time.
const CHUNK: usize = 128;

pub(crate) fn kill(nodes: &[Node]) -> Result<(), Error> {
    let Some(first) = nodes.first() else { return Ok(()) };
    // Since Linux 5.14; the kernel sees to it that none escapes by forking.
    if first.unified && first.write("cgroup.kill", "1")? {
        return Ok(());
    }
    let freezer = nodes.iter().find(|node| node.controllers.contains(Controller::Freezer));
    let mut pause = Backoff::new(Instant::now().checked_add(PATIENCE));
    while !first.processes()?.is_empty() {
        let frozen = freezer.is_some_and(|freezer| freezer::freeze(freezer).is_ok());
        let sent = kill_listed(first);
        freezer.map_or(Ok(()), freezer::thaw)?;
        sent?;
        if frozen {
            break;
        }
        pause.wait("killed")?;
    }
    Ok(())
}

/// Kill what `cgroup.procs` lists, once.
pub(crate) fn kill_listed(node: &Node) -> Result<(), Error> {
    signal_listed(node, SIGKILL)
}

pub(crate) fn signal_all(nodes: &[Node], signal: u8) -> Result<(), Error> {
    match signal {
        SIGKILL => kill(nodes),
        1..=64 => nodes.first().map_or(Ok(()), |node| signal_listed(node, signal)),
        _ => Err(Error::Invalid { limit: "signal", reason: "not from 1 to 64" }),
    }
}

/// A pid may be another process by the time the signal is sent. So: open a pidfd, then read the list
/// again. If the pid is listed, it is a member's; the pidfd is then that member, or a process which
/// had the pid before and is gone, to which no signal comes.
fn signal_listed(node: &Node, signal: u8) -> Result<(), Error> {
    for chunk in node.processes()?.chunks(CHUNK) {
        let mut opened = Vec::with_capacity(chunk.len());
        for pid in chunk {
            let Some(raw) = i32::try_from(*pid).ok().and_then(Pid::from_raw) else { continue };
            match pidfd_open(raw, PidfdFlags::empty()) {
                Ok(fd) => opened.push((*pid, fd)),
                Err(Errno::SRCH | Errno::INVAL) => {}
                Err(errno) => return Err(Error::kernel("pidfd_open", &pid.to_string(), errno)),
            }
        }
        let members = node.processes()?;
        for (pid, fd) in opened.iter().filter(|(pid, _)| members.contains(pid)) {
            match bulkhead_sys::fork::pidfd_signal(fd, signal) {
                Err(error) if error.errno() != Some(Errno::SRCH.raw_os_error()) => {
                    return Err(Error::kernel("signal", &pid.to_string(), io::Error::other(error)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
