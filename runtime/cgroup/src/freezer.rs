//! Stopping a group: `cgroup.freeze` on v2, `freezer.state` on v1; and waiting for a group's events.

use crate::Error;
use crate::cgroup::PATIENCE;
use crate::node::{Node, read_whole};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

pub(crate) fn freeze(node: &Node) -> Result<(), Error> {
    let deadline = Instant::now().checked_add(PATIENCE);
    let result = if node.unified {
        set_unified(node, "1").and_then(|()| wait_event(node, "frozen 1", deadline))
    } else {
        set_v1(node, "FROZEN", deadline)
    };
    // Half frozen is no state to leave a container in; the error to tell is the first.
    result.inspect_err(|_| drop(thaw(node)))
}

pub(crate) fn thaw(node: &Node) -> Result<(), Error> {
    let deadline = Instant::now().checked_add(PATIENCE);
    if node.unified {
        set_unified(node, "0")?;
        wait_event(node, "frozen 0", deadline)
    } else {
        set_v1(node, "THAWED", deadline)
    }
}

pub(crate) fn is_frozen(node: &Node) -> Result<bool, Error> {
    Ok(if node.unified {
        node.read("cgroup.freeze")?.trim_end() == "1"
    } else {
        node.read("freezer.state")?.trim_end() != "THAWED"
    })
}

fn set_unified(node: &Node, value: &'static str) -> Result<(), Error> {
    node.set("freezing", "cgroup.freeze", value, |found| found == value)
}

/// On v1 reading the state is what makes the kernel look whether all are frozen; a process that was
/// being forked meanwhile is caught by writing again.
fn set_v1(node: &Node, state: &'static str, deadline: Option<Instant>) -> Result<(), Error> {
    let mut pause = Backoff::new(deadline);
    loop {
        let file = "freezer.state";
        if !node.write(file, state)? {
            return Err(Error::Unsupported { limit: "freezing", file });
        }
        if node.read(file)?.trim_end() == state {
            return Ok(());
        }
        pause.wait(if state == "FROZEN" { "frozen" } else { "thawed" })?;
    }
}

/// Whether `cgroup.events` of a v2 group has this line.
pub(crate) fn event_is(node: &Node, line: &str) -> Result<bool, Error> {
    Ok(node.read("cgroup.events")?.lines().any(|found| found == line))
}

/// Wait until `cgroup.events` of a v2 group has this line: the kernel tells of changes by `POLLPRI`
/// on a descriptor that has been read.
pub(crate) fn wait_event(
    node: &Node,
    line: &'static str,
    deadline: Option<Instant>,
) -> Result<(), Error> {
    let file = "cgroup.events";
    let failed = |call| move |source: std::io::Error| Error::kernel(call, file, source);
    let Some(fd) = node.open(file, OFlags::RDONLY)? else {
        return Err(Error::Unsupported { limit: "cgroup events", file });
    };
    loop {
        let text = read_whole(fd.as_fd()).map_err(failed("read"))?;
        if text.lines().any(|found| found == line) {
            return Ok(());
        }
        let left = remaining(deadline);
        if left.is_zero() {
            return Err(Error::Timeout { event: line });
        }
        let mut polled = [PollFd::new(&fd, PollFlags::PRI)];
        match rustix::event::poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("poll")(errno.into())),
        }
    }
}

fn remaining(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
}

/// Longer and longer pauses, for what the kernel has no event for: states of v1 groups.
#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Option<Instant>,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self { deadline, next: Duration::from_micros(50) }
    }

    pub(crate) fn wait(&mut self, event: &'static str) -> Result<(), Error> {
        let left = remaining(self.deadline);
        if left.is_zero() {
            return Err(Error::Timeout { event });
        }
        std::thread::sleep(self.next.min(left));
        self.next = self.next.saturating_mul(2).min(Duration::from_millis(10));
        Ok(())
    }
}
