//! One container's group.

use crate::node::{Controller, Node};
use crate::{DeviceRule, Entrance, Error, cpu, cpuset, devices, freezer, io, memory, pids, signal};
use bulkhead_policy::proto::Resources;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long freezing and removal may take before they are given up: processes in uninterruptible
/// sleep, or with much memory to return, need their time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A container's group in every hierarchy.
///
/// It holds one descriptor a hierarchy. Dropping it changes nothing; [`crate::Parent::open`] has it
/// again.
#[derive(Debug)]
pub struct Cgroup {
    name: String,
    /// The first lists and freezes.
    nodes: Vec<Node>,
    complete: bool,
    version: u8,
}

impl Cgroup {
    pub(crate) fn new(name: &str, nodes: Vec<Node>, complete: bool, version: u8) -> Self {
        Self { name: name.to_owned(), nodes, complete, version }
    }

    /// Its name below the parent.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// On v2, the directory for `CLONE_INTO_CGROUP`: a process cloned so needs no [`Self::attach`].
    /// None on v1 and hybrid hosts, where it does not suffice.
    pub fn clone_into_fd(&self) -> Option<BorrowedFd<'_>> {
        self.nodes.first().filter(|_| self.version == 2).map(Node::as_fd)
    }

    /// The way in for a process that is yet to be cloned; on v1 and hybrid hosts milliseconds faster
    /// than [`Self::attach`].
    ///
    /// # Errors
    /// [`Error::Incomplete`]; [`Error::Kernel`].
    pub fn entrance(&self) -> Result<Entrance<'_>, Error> {
        self.check_complete()?;
        Entrance::new(&self.nodes)
    }

    /// Move a process and its threads here, in every hierarchy. It takes an RCU grace period (5 to
    /// 15 ms on a quiet host, asleep; less if one was moved just before). The caller sees to it
    /// that `pid` is still the process it means: its own child, not yet waited for.
    ///
    /// On v1 the limits of `cpuset` must have been applied before, or be those of the parent.
    ///
    /// # Errors
    /// [`Error::Incomplete`]; [`Error::Kernel`] with `ESRCH` if there is no such process. It may
    /// then have been moved in some hierarchies.
    pub fn attach(&self, pid: u32) -> Result<(), Error> {
        self.check_complete()?;
        let pid = pid.to_string();
        for node in &self.nodes {
            if !node.write("cgroup.procs", &pid)? {
                return Err(Error::NotFound { name: self.name.clone() });
            }
        }
        Ok(())
    }

    /// Set those limits that are there, and read each back. What is `None`, no throttle of a
    /// device, and no `oom_kill_disable` change nothing.
    ///
    /// `memory` without `memory_and_swap`: where there was no limit, no swap may be used; where
    /// there was one, as much swap as before.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Unsupported`], [`Error::NotApplied`], [`Error::Kernel`]
    /// (`EBUSY` on v1 if more memory is in use than shall be). Limits before the failed one in the
    /// order memory, CPU, cpuset, pids, block I/O are then set.
    pub fn apply(&self, resources: &Resources) -> Result<(), Error> {
        memory::apply(self, resources)?;
        cpu::apply(self, resources)?;
        cpuset::apply(self, resources)?;
        pids::apply(self, resources)?;
        io::apply(self, resources)
    }

    /// Admit access to these devices and to no others, from now on; descriptors that are open stay
    /// so.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Unsupported`], [`Error::NotApplied`], [`Error::Kernel`]. No
    /// more than before is then admitted, except on v1 those rules that were already added.
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<(), Error> {
        devices::set(self, rules)
    }

    /// Stop every process, and wait until all are.
    ///
    /// # Errors
    /// [`Error::Timeout`]: some did not stop within ten seconds; all run again.
    pub fn freeze(&self) -> Result<(), Error> {
        freezer::freeze(self.freezer()?)
    }

    /// Let every process run, and wait until all may.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Kernel`].
    pub fn thaw(&self) -> Result<(), Error> {
        freezer::thaw(self.freezer()?)
    }

    /// Whether it is frozen, or about to be.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn is_frozen(&self) -> Result<bool, Error> {
        freezer::is_frozen(self.freezer()?)
    }

    /// Send `SIGKILL` to every process, frozen ones and those in groups below included, so that
    /// none escapes by forking. Does not wait for their end; [`Self::remove`] does.
    ///
    /// # Errors
    /// [`Error::Kernel`]; [`Error::Timeout`] on v1, if processes come faster than they go.
    pub fn kill(&self) -> Result<(), Error> {
        signal::kill(&self.nodes)
    }

    /// Send a signal, 1 to 64, to every process that is here now.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Kernel`].
    pub fn signal_all(&self, signal: u8) -> Result<(), Error> {
        signal::signal_all(&self.nodes, signal)
    }

    /// The pids of the processes here and in groups below, as of now.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn procs(&self) -> Result<Vec<u32>, Error> {
        self.nodes.first().map_or(Ok(Vec::new()), Node::processes)
    }

    /// Whether no process is here or below. A process that has ended but was not waited for is not.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        match self.nodes.first() {
            Some(node) if node.unified => freezer::event_is(node, "populated 0"),
            _ => Ok(self.procs()?.is_empty()),
        }
    }

    /// How many processes the kernel's OOM killer has killed here.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a memory controller; [`Error::Kernel`].
    pub fn oom_kills(&self) -> Result<u64, Error> {
        memory::read_oom_kills(self.oom_fd()?)
    }

    /// A descriptor for [`crate::read_oom_kills`], open for reading only: it stays good for a
    /// holder without privileges, as long as the group is there.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a memory controller; [`Error::Kernel`].
    pub fn oom_fd(&self) -> Result<OwnedFd, Error> {
        memory::open_events(self)
    }

    /// Kill what is left in it, wait for its end, and remove it from every hierarchy, groups below
    /// included.
    ///
    /// # Errors
    /// [`Error::Timeout`] after ten seconds; [`Error::Kernel`]. It can be opened and removed again.
    pub fn remove(self) -> Result<(), Error> {
        if !self.is_empty()? {
            self.kill()?;
        }
        let deadline = Instant::now().checked_add(PATIENCE);
        for node in &self.nodes {
            if node.unified {
                freezer::wait_event(node, "populated 0", deadline)?;
            }
            let above = node.above()?;
            let mut pause = freezer::Backoff::new(deadline);
            while !above.remove(&self.name)? {
                signal::kill_listed(node)?;
                pause.wait("empty")?;
            }
        }
        Ok(())
    }

    /// A process in some hierarchies only would be limited by some controllers only.
    fn check_complete(&self) -> Result<(), Error> {
        if self.complete { Ok(()) } else { Err(Error::Incomplete { name: self.name.clone() }) }
    }

    /// The directory of a controller.
    pub(crate) fn node(&self, controller: Controller) -> Option<&Node> {
        self.nodes.iter().find(|node| node.controllers.contains(controller))
    }

    /// The directory in which to set `limit`; without its controller the error names `file`.
    pub(crate) fn limited(
        &self,
        controller: Controller,
        limit: &'static str,
        file: &'static str,
    ) -> Result<&Node, Error> {
        self.node(controller).ok_or(Error::Unsupported { limit, file })
    }

    fn freezer(&self) -> Result<&Node, Error> {
        self.limited(Controller::Freezer, "freezing", "cgroup.freeze")
    }
}
