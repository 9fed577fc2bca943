//! Which process is which daemon.
//!
//! A pid file holds the pid and when the process started, in clock ticks since boot as
//! /proc/PID/stat says. A pid alone may by now be another process's; the two together are not. A
//! signal goes through a pidfd that was opened before the comparison, so that it reaches the process
//! that was compared.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::failure::Failure;

/// A daemon that runs.
#[derive(Debug)]
pub(super) struct Running {
    /// Its process id, for people.
    pub(super) pid: u32,
    fd: OwnedFd,
}

/// A daemon's pid file.
#[derive(Debug)]
pub(super) struct Record(PathBuf);

impl Record {
    /// The file of that name below `run`.
    pub(super) fn new(run: &Path, daemon: &str) -> Self {
        Self(run.join(format!("{daemon}.pid")))
    }

    /// The process it speaks of, if that still runs.
    pub(super) fn running(&self) -> Option<Running> {
        let text = fs::read_to_string(&self.0).ok()?;
        let mut words = text.split_whitespace();
        let pid: u32 = words.next()?.parse().ok()?;
        let started: u64 = words.next()?.parse().ok()?;
        let running = Running::open(pid).ok()?;
        // One that has ended and that nobody has waited for is still there, and does not run.
        let ended = running.wait(Duration::ZERO);
        (started_at(pid) == Some(started) && !ended).then_some(running)
    }

    /// Note a process that was just started.
    pub(super) fn write(&self, pid: u32) -> Result<Running, Failure> {
        let failed = |error| Failure::io(self.0.display(), &error);
        let running = Running::open(pid).map_err(|errno| failed(errno.into()))?;
        let started = started_at(pid)
            .ok_or_else(|| Failure::new(format!("/proc/{pid}/stat cannot be read")))?;
        let draft = self.0.with_extension("pid.new");
        fs::write(&draft, format!("{pid} {started}\n"))
            .and_then(|()| fs::rename(&draft, &self.0))
            .map_err(failed)?;
        Ok(running)
    }

    /// Forget the process.
    pub(super) fn remove(&self) {
        fs::remove_file(&self.0).unwrap_or(());
    }
}

impl Running {
    fn open(pid: u32) -> rustix::io::Result<Self> {
        let raw =
            i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::INVAL)?;
        Ok(Self { pid, fd: pidfd_open(raw, PidfdFlags::empty())? })
    }

    /// Send a signal. That the process has ended meanwhile is no failure.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(Failure::io(format!("signal to pid {}", self.pid), &errno.into())),
        }
    }

    /// Wait until it has ended; false if it has not after so long.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// For poll: readable once the process has ended.
    pub(super) fn ended_fd(&self) -> &OwnedFd {
        &self.fd
    }
}

/// A duration as poll takes it.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Field 22 of /proc/PID/stat, proc(5). The second field may hold spaces and parentheses.
fn started_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_one_process_and_not_of_its_pid() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record::new(directory.path(), "x");
        assert!(record.running().is_none(), "no file");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        record.write(child.id()).unwrap();
        let running = record.running().unwrap();
        assert_eq!(running.pid, child.id());
        assert!(!running.wait(Duration::ZERO));

        fs::write(directory.path().join("x.pid"), format!("{} 1\n", child.id())).unwrap();
        assert!(record.running().is_none(), "another process with that pid");

        record.write(child.id()).unwrap();
        running.signal(Signal::KILL).unwrap();
        assert!(running.wait(Duration::from_secs(10)));
        child.wait().unwrap();
        assert!(record.running().is_none(), "it has ended");
    }
}
