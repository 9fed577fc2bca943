//! A further process in a running container.

use crate::create::{Child, Created, Gate};
use crate::error::{Error, Step};
use crate::init::{self, LastSteps};
use crate::line::Line;
use crate::plan::{ExecPlan, Ids};
use crate::process::{self, Bounds, Limits, Program, user::User};
use crate::resolve;
use crate::stdio::{self, Connected, Near};
use bulkhead_cgroup::Entrance;
use bulkhead_policy::capability;
use bulkhead_policy::proto::{HostOr, NetworkMode, Share};
use bulkhead_sys::clone::{Clone as How, clone};
use bulkhead_sys::fork::{self, Forked, SingleThreaded};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS: rustix::fs::FsWord = 0x1cd1;

/// Start a process in all namespaces, the cgroup and the bounds of a container. Returns once it
/// waits at its gate.
///
/// The calling process must have one thread, is root, and is not dumpable afterwards.
///
/// # Errors
/// See [`Error`]. No process is left then.
pub fn exec(plan: &ExecPlan<'_>) -> Result<Created, Error> {
    check(plan)?;
    let alone = SingleThreaded::check().map_err(|error| Error::invalid(error.to_string()))?;
    process::hide()?;
    let granted = plan.permit.granted();
    let (near, far) = stdio::open(&granted.spec.process, plan.ids)?;
    let (line, theirs) = Line::pair()?;
    let entrance = plan.cgroup.entrance().map_err(Error::Cgroup)?;
    let bounds = bounds(plan);
    let elsewhere = PidNamespace::enter(plan)?;
    let job = ExecJob { plan, near, line: theirs, entrance, bounds };
    let cgroup = job.entrance.clone_into_fd();
    let how = How { namespaces: None, cgroup, sibling: false };
    let child = match clone(alone, &how).step("clone")? {
        Forked::Child => run(job),
        Forked::Parent { pidfd, pid } => Child::new(pid, pidfd),
    };
    drop(job);
    elsewhere.leave()?;
    let terminal = child.until_ready(&line)?;
    let score = plan.container.spec.process.oom_score_adj;
    child.limit(score, plan.ids, limits(plan))?;
    let stdio = far.complete(terminal)?;
    let (pid, pidfd) = child.keep()?;
    Ok(Created { pid, pidfd, stdio, gate: Gate::new(line) })
}

fn check(plan: &ExecPlan<'_>) -> Result<(), Error> {
    let process = &plan.permit.granted().spec.process;
    if process.args.is_empty() {
        return Err(Error::invalid("no program to run"));
    }
    if plan.seccomp_program.is_some() != plan.container.confinement.seccomp_program {
        return Err(Error::invalid("the container's system-call filter is missing"));
    }
    process::check_hideable()
}

/// At most the container's own; with `privileged` all that its user namespace has.
fn bounds<'a>(plan: &ExecPlan<'a>) -> Bounds<'a> {
    let granted = plan.permit.granted();
    let process = &granted.spec.process;
    let confinement = &plan.container.confinement;
    let most = if granted.privileged { capability::ALL } else { confinement.capabilities };
    Bounds {
        own_limits: (plan.ids == Ids::Host).then(|| limits(plan)),
        capabilities: most & !process.cap_drop,
        no_new_privs: confinement.no_new_privs || process.no_new_privs == Some(true),
        filters: process::filters(confinement, plan.seccomp_program.as_deref()),
    }
}

fn limits<'a>(plan: &ExecPlan<'a>) -> Limits<'a> {
    let granted = plan.permit.granted();
    Limits { all: &granted.rlimits, asked: &granted.spec.process.rlimits }
}

/// The caller's children are born in the container's pid namespace while this is there.
struct PidNamespace(Option<OwnedFd>);

impl PidNamespace {
    fn enter(plan: &ExecPlan<'_>) -> Result<Self, Error> {
        if plan.container.spec.namespaces.pid == Share::Host {
            return Ok(Self(None));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open("/proc/self/ns/pid", flags, Mode::empty()).step("ns/pid")?;
        move_into_thread_name_spaces(plan.init, ThreadNameSpaceType::PROCESS_ID)
            .step("setns(pid)")?;
        Ok(Self(Some(own)))
    }

    fn leave(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |own| {
            move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))
                .step("setns(own pid)")
        })
    }
}

struct ExecJob<'a> {
    plan: &'a ExecPlan<'a>,
    near: Near,
    line: Line,
    entrance: Entrance<'a>,
    bounds: Bounds<'a>,
}

fn run(job: ExecJob<'_>) -> ! {
    let line = job.line.again();
    let Ok(line) = line else { fork::exit(126) };
    let Err(error) = set_up(job);
    init::fail(&line, &error)
}

/// The new process's set-up, one line a step.
fn set_up(job: ExecJob<'_>) -> Result<Infallible, Error> {
    let ExecJob { plan, near, line, entrance, bounds } = job;
    let process = &plan.permit.granted().spec.process;
    let own = &plan.container.spec.process;

    process::hide()?;
    entrance.enter().map_err(Error::Cgroup)?;
    fork::reset_signals().step("signals")?;
    move_into_thread_name_spaces(plan.init, shared_with(plan)).step("setns(container)")?;
    process::become_container_root()?;
    rustix::process::umask(Mode::empty());
    let root = open_root()?;
    let (name, groups) = match process.user.is_empty() {
        true => (&own.user, &own.groups),
        false => (&process.user, &process.groups),
    };
    let user = User::resolve(root.as_fd(), name, groups, plan.ids)?;
    process::enter_cwd(root.as_fd(), &process.cwd, &user)?;
    process::forget_keys()?;
    let streams = connect(root.as_fd(), near, &line)?;
    streams.start_session(&user)?;
    let program = Program::new(process, &user)?;
    let last = LastSteps { streams: streams.all(), line: line.as_fd(), init: None };
    last.take(&user, &bounds, program)
}

/// All namespaces that the container does not share with the host.
fn shared_with(plan: &ExecPlan<'_>) -> ThreadNameSpaceType {
    let spaces = plan.container.spec.namespaces;
    let mut kinds = ThreadNameSpaceType::MOUNT;
    kinds.set(ThreadNameSpaceType::USER, matches!(plan.ids, Ids::Range { .. }));
    kinds.set(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION, spaces.ipc != Share::Host);
    kinds.set(ThreadNameSpaceType::NETWORK, spaces.network != NetworkMode::Host);
    kinds.set(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME, spaces.uts != HostOr::Host);
    kinds.set(ThreadNameSpaceType::CONTROL_GROUP, spaces.cgroup != HostOr::Host);
    kinds
}

/// The container's root, which setns(2) has made this process's.
fn open_root() -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).step("open /")
}

fn connect(root: BorrowedFd<'_>, near: Near, line: &Line) -> Result<Connected, Error> {
    match near {
        Near::Pipes { stdin: Some(stdin), stdout, stderr } => {
            Ok(Connected::Pipes { stdin, stdout, stderr })
        }
        Near::Pipes { stdin: None, stdout, stderr } => {
            let null = || resolve::open_as(root, b"/dev/null", OFlags::RDONLY | OFlags::NONBLOCK);
            let stdin = null().step("open /dev/null")?;
            let stat = rustix::fs::fstat(&stdin).step("/dev/null")?;
            if stat.st_rdev != rustix::fs::makedev(1, 3) {
                return Err(Error::invalid("/dev/null of the container is not the null device"));
            }
            Ok(Connected::Pipes { stdin, stdout, stderr })
        }
        Near::Terminal(size) => {
            let devpts = resolve::open(root, b"/dev/pts").step("/dev/pts")?;
            if rustix::fs::fstatfs(&devpts).step("/dev/pts")?.f_type != DEVPTS {
                return Err(Error::invalid("/dev/pts of the container is not devpts"));
            }
            stdio::open_terminal(devpts.as_fd(), size, line).map(Connected::Terminal)
        }
    }
}
