//! The fast way into a group.
//!
//! To move *another* process, the kernel stops all forks and exits of the host for a moment, and
//! waits for that: one RCU grace period, 5 to 15 milliseconds on a quiet host. It need not when a
//! process is made in the group, or when a process of one thread moves itself by the v1 file
//! `tasks`: some 20 microseconds a hierarchy.

use crate::Error;
use crate::node::{Node, read_whole};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a process that is about to be cloned needs to enter a group: open files, so that it may do so
/// without root's privileges, in namespaces of its own.
#[derive(Debug)]
pub struct Entrance<'a> {
    /// Directory, and list of processes, of the v2 group.
    unified: Option<(&'a Node, OwnedFd)>,
    /// `tasks` of the v1 groups.
    tasks: Vec<OwnedFd>,
}

impl<'a> Entrance<'a> {
    pub(crate) fn new(nodes: &'a [Node]) -> Result<Self, Error> {
        let mut entrance = Self { unified: None, tasks: Vec::with_capacity(nodes.len()) };
        for node in nodes {
            let file = if node.unified { "cgroup.procs" } else { "tasks" };
            let missing = Error::Unsupported { limit: "entering", file };
            let fd = node.open(file, OFlags::RDWR)?.ok_or(missing)?;
            if node.unified {
                entrance.unified = Some((node, fd));
            } else {
                entrance.tasks.push(fd);
            }
        }
        Ok(entrance)
    }

    /// The directory for clone3(2) with `CLONE_INTO_CGROUP`: on v2 and on hybrid hosts. Without it
    /// [`Self::enter`] does the same, slowly.
    pub fn clone_into_fd(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(|(node, _)| node.as_fd())
    }

    /// Move the calling process into the group, in every hierarchy in which it is not there yet. It
    /// must have one thread, and is to call this before anything that a limit should hold for.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn enter(&self) -> Result<(), Error> {
        let file = "tasks";
        for fd in &self.tasks {
            retry_on_intr(|| rustix::io::pwrite(fd, b"0", 0))
                .map_err(|errno| Error::kernel("write", file, errno))?;
        }
        let Some((_, procs)) = &self.unified else { return Ok(()) };
        let file = "cgroup.procs";
        let members =
            read_whole(procs.as_fd()).map_err(|source| Error::kernel("read", file, source))?;
        let own = rustix::process::getpid().as_raw_pid().to_string();
        if !members.lines().any(|member| member == own) {
            retry_on_intr(|| rustix::io::pwrite(procs, b"0", 0))
                .map_err(|errno| Error::kernel("write", file, errno))?;
        }
        Ok(())
    }
}
