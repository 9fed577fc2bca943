//! The caller's side of a container's start.

use crate::error::{Error, Step};
use crate::idmap::{Map, write_proc};
use crate::line::{Line, News, Word};
use crate::plan::{Ids, Joined, Plan};
use crate::process::{self, Bounds, Limits};
use crate::sources::Sources;
use crate::stdio::{Near, Streams};
use crate::{init, stage};
use bulkhead_cgroup::Entrance;
use bulkhead_policy::proto::{HostOr, NetworkMode, Share, UserMode};
use bulkhead_sys::clone::{Clone as How, clone};
use bulkhead_sys::fork::{self, Forked, SingleThreaded};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A process that is set up and waits at its gate.
#[derive(Debug)]
pub struct Created {
    /// Its pid, in the caller's pid namespace.
    pub pid: u32,
    /// Its pidfd. The caller is its parent and waits for it.
    pub pidfd: OwnedFd,
    /// The caller's ends of its standard streams.
    pub stdio: Streams,
    /// What lets it go.
    pub gate: Gate,
}

/// Where a process waits before it becomes its program. Dropped unopened, the process ends.
#[derive(Debug)]
pub struct Gate(Line);

impl Gate {
    pub(crate) fn new(line: Line) -> Self {
        Self(line)
    }

    /// Let the process exec, and wait until it has, or has failed to. Needs no privilege.
    ///
    /// # Errors
    /// [`Error::Program`]: it failed; the process ends with status 127 (`ENOENT`) or 126.
    pub fn open(self) -> Result<(), Error> {
        self.0.tell(Word::Start)?;
        match self.0.hear()? {
            News::Closed => Ok(()),
            News::Failed(error) => Err(error),
            News::Ready | News::Terminal(_) | News::Sibling(..) => Err(unexpected()),
        }
    }

    /// Its descriptors, which must stay open until it is opened.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 1] {
        [self.0.as_fd()]
    }
}

/// Make a container: namespaces, root filesystem, first process. Returns once that has finished all
/// its set-up and waits at the gate.
///
/// The calling process must have one thread, is root, and is not dumpable afterwards.
///
/// # Errors
/// See [`Error`]. No process is left then.
pub fn create(plan: &Plan<'_>) -> Result<Created, Error> {
    plan.check()?;
    let alone = SingleThreaded::check().map_err(|error| Error::invalid(error.to_string()))?;
    process::hide()?;
    if plan.join.pid.is_some() {
        process::check_hideable()?;
    }
    let container = plan.permit.granted();
    let (sources, stdio, far) = Sources::open(plan)?;
    let (line, theirs) = Line::pair()?;
    let entrance = plan.cgroup.entrance().map_err(Error::Cgroup)?;
    let process = &container.spec.process;
    let limits = Limits { all: &container.rlimits, asked: &process.rlimits };
    let bounds = Bounds {
        own_limits: (plan.ids == Ids::Host).then_some(limits),
        capabilities: container.confinement.capabilities,
        no_new_privs: container.confinement.no_new_privs,
        filters: process::filters(&container.confinement, plan.seccomp_program.as_deref()),
    };
    let staged = plan.ids != Ids::Host && !sources.foreign().is_empty();
    let job = Job { plan, sources, stdio, line: theirs, entrance, bounds, staged };
    let child = spawn(alone, job, &line)?;
    if let (Ids::Range { base }, None) = (plan.ids, &plan.join.user) {
        Map::of_container(base).write(child.pid())?;
    }
    line.tell(Word::Mapped)?;
    if !plan.endpoints.is_empty() {
        bulkhead_network::attach(child.pid(), &plan.endpoints).map_err(Error::Network)?;
        line.tell(Word::Connected)?;
    }
    let terminal = child.until_ready(&line)?;
    child.limit(process.oom_score_adj, plan.ids, limits)?;
    let stdio = far.complete(terminal)?;
    let (pid, pidfd) = child.keep()?;
    Ok(Created { pid, pidfd, stdio, gate: Gate::new(line) })
}

/// What the new process needs to know and to hold.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub plan: &'a Plan<'a>,
    pub sources: Sources,
    pub stdio: Near,
    pub line: Line,
    pub entrance: Entrance<'a>,
    pub bounds: Bounds<'a>,
    /// Mounts of the host are taken from the stage.
    pub staged: bool,
}

/// A new process that does not outlive a failure: killed and reaped if dropped.
#[derive(Debug)]
pub(crate) struct Child(Option<(u32, OwnedFd)>);

impl Child {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd) -> Self {
        Self(Some((pid, pidfd)))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.as_ref().map_or(0, |(pid, _)| *pid)
    }

    /// It is the caller's now.
    pub(crate) fn keep(mut self) -> Result<(u32, OwnedFd), Error> {
        self.0.take().ok_or_else(unexpected)
    }

    /// Its place in the OOM killer's order, and its resource limits.
    pub(crate) fn limit(
        &self,
        oom_score_adj: Option<i16>,
        ids: Ids,
        limits: Limits<'_>,
    ) -> Result<(), Error> {
        let adjustment = oom_score_adj.unwrap_or(0);
        write_proc(self.pid(), "oom_score_adj", &adjustment.to_string())?;
        match ids {
            // In its own user namespace it could not raise them.
            Ids::Range { .. } => limits.set(Some(self.pid())),
            // It has set them itself, before it was another user than the caller.
            Ids::Host => Ok(()),
        }
    }

    /// Until it waits at the gate; its terminal's master, if it has made one.
    pub(crate) fn until_ready(&self, line: &Line) -> Result<Option<OwnedFd>, Error> {
        let mut terminal = None;
        loop {
            match line.hear()? {
                News::Ready => return Ok(terminal),
                News::Terminal(master) => terminal = Some(master),
                News::Failed(error) => return Err(error),
                News::Closed => {
                    let what = "the new process ended before it was set up".to_owned();
                    return Err(Error::Kernel { what, source: None });
                }
                News::Sibling(..) => return Err(unexpected()),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some((_, pidfd)) = &self.0 {
            // It may have ended by itself; then it is only to be reaped.
            fork::pidfd_signal(pidfd, 9).unwrap_or_default();
            reap(pidfd);
        }
    }
}

fn reap(pidfd: &OwnedFd) {
    let ended = || waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    while ended().is_err_and(|errno| errno == rustix::io::Errno::INTR) {}
}

fn unexpected() -> Error {
    Error::Kernel { what: "unexpected message of the new process".to_owned(), source: None }
}

/// Clone the first process. The job goes with it: here all its descriptors are closed.
fn spawn(alone: SingleThreaded, job: Job<'_>, line: &Line) -> Result<Child, Error> {
    if job.plan.join.any() || job.staged {
        return spawn_between(alone, job, line);
    }
    let namespaces = Some(namespaces(job.plan));
    let how = How { namespaces, cgroup: job.entrance.clone_into_fd(), sibling: false };
    match clone(alone, &how).step("new namespaces")? {
        Forked::Child => init::run(job),
        Forked::Parent { pidfd, pid } => Ok(Child::new(pid, pidfd)),
    }
}

/// With namespaces of another container, or mounts of the host: a process in between enters them and
/// puts these on the stage, clones the first process in its own stead, and is gone.
fn spawn_between(alone: SingleThreaded, job: Job<'_>, line: &Line) -> Result<Child, Error> {
    let forked = fork::fork(alone).step("fork")?;
    let Forked::Parent { pidfd: between, .. } = forked else {
        let namespaces = Some(namespaces(job.plan));
        let how = How { namespaces, cgroup: job.entrance.clone_into_fd(), sibling: true };
        let staged = if job.staged { stage::put(&job.sources.foreign()) } else { Ok(()) };
        let cloned = staged
            .and_then(|()| enter(&job.plan.join))
            .and_then(|()| clone(alone, &how).step("new namespaces"));
        match cloned {
            Ok(Forked::Child) => init::run(job),
            Ok(Forked::Parent { pidfd, pid }) => {
                job.line.send_sibling(pid, pidfd.as_fd()).unwrap_or_default();
                fork::exit(0)
            }
            Err(error) => init::fail(&job.line, &error),
        }
    };
    let heard = line.hear();
    reap(&between);
    match heard? {
        News::Sibling(pid, pidfd) => Ok(Child::new(pid, pidfd)),
        News::Failed(error) => Err(error),
        News::Closed | News::Ready | News::Terminal(_) => Err(unexpected()),
    }
}

/// The user namespace last: it takes the rights over all others.
fn enter(join: &Joined) -> Result<(), Error> {
    let spaces = [
        (&join.net, LinkNameSpaceType::Network, "join network namespace"),
        (&join.ipc, LinkNameSpaceType::InterProcessCommunication, "join IPC namespace"),
        (&join.pid, LinkNameSpaceType::ProcessID, "join pid namespace"),
        (&join.user, LinkNameSpaceType::User, "join user namespace"),
    ];
    for (space, kind, what) in spaces {
        if let Some(space) = space {
            move_into_link_name_space(space.as_fd(), Some(kind)).step(what)?;
        }
    }
    Ok(())
}

/// Those that are made for it. The cgroup namespace comes later, once it is in its cgroup.
fn namespaces(plan: &Plan<'_>) -> UnshareFlags {
    let wanted = plan.permit.granted().spec.namespaces;
    let own_user = wanted.user == UserMode::Private && plan.join.user.is_none();
    let own_network = matches!(wanted.network, NetworkMode::None | NetworkMode::Endpoints);
    let mut flags = UnshareFlags::NEWNS;
    flags.set(UnshareFlags::NEWUSER, own_user);
    flags.set(UnshareFlags::NEWPID, wanted.pid == Share::Private);
    flags.set(UnshareFlags::NEWIPC, wanted.ipc == Share::Private);
    flags.set(UnshareFlags::NEWNET, own_network);
    flags.set(UnshareFlags::NEWUTS, wanted.uts == HostOr::Private);
    flags
}
