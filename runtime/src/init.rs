//! A container's first process, from clone to exec: the whole set-up, one line a step.

use crate::create::Job;
use crate::error::{Error, Step};
use crate::line::{Line, Word};
use crate::process::{self, Bounds, Program, user::User};
use crate::rootfs::{Cgroups, Root};
use crate::stage;
use bulkhead_policy::EffectiveContainer;
use bulkhead_policy::proto::{HostOr, NetworkMode};
use bulkhead_sys::fork;
use rustix::fs::Mode;
use rustix::thread::UnshareFlags;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

/// Status of a process whose program is not there, or cannot be executed, as shells have it.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// The new process's whole life before its program.
pub(crate) fn run(job: Job<'_>) -> ! {
    let line = job.line.again();
    let Ok(line) = line else { fork::exit(NOT_EXECUTABLE) };
    let Err(error) = set_up(job);
    fail(&line, &error)
}

fn set_up(job: Job<'_>) -> Result<Infallible, Error> {
    let Job { plan, mut sources, stdio, line, entrance, bounds, staged } = job;
    let container = plan.permit.granted();
    let spec = &container.spec;
    let hear = |word: Word| line.wait(word).ok_or_else(abandoned);

    process::hide()?;
    entrance.enter().map_err(Error::Cgroup)?;
    fork::reset_signals().step("signals")?;
    rustix::process::umask(Mode::empty());
    hear(Word::Mapped)?;
    process::become_container_root()?;
    let cgroups = unshare_cgroups(container)?;
    if staged {
        sources.replace_foreign(stage::take(sources.foreign().len())?);
    }
    let root = Root::build(plan, &sources)?;
    let streams = root.connect(stdio, &line)?;
    root.mount_all(plan, &sources)?;
    root.mount_cgroups(&cgroups)?;
    set_names(container)?;
    if !plan.endpoints.is_empty() {
        hear(Word::Connected)?;
    }
    configure_network(plan)?;
    process::set_sysctls(root.proc.as_fd(), &container.sysctls)?;
    root.mask(plan)?;
    root.enter()?;
    let user = User::resolve(root.dir.as_fd(), &spec.process.user, &spec.process.groups, plan.ids)?;
    process::enter_cwd(root.dir.as_fd(), &spec.process.cwd, &user)?;
    root.seal(spec.read_only)?;
    process::forget_keys()?;
    streams.start_session(&user)?;
    let program = Program::new(&spec.process, &user)?;
    let last = LastSteps { streams: streams.all(), line: line.as_fd(), init: plan.init };
    last.take(&user, &bounds, program)
}

/// The rest, which an exec has in common with a container's first process.
#[derive(Debug)]
pub(crate) struct LastSteps<'a> {
    pub streams: [BorrowedFd<'a>; 3],
    pub line: BorrowedFd<'a>,
    pub init: Option<BorrowedFd<'a>>,
}

impl LastSteps<'_> {
    /// Nothing is left but three streams, the line and the init program; rights are dropped; the
    /// caller hears that the process is ready; at its word the process becomes its program.
    ///
    /// # Errors
    /// Only before a descriptor has been closed. After that nothing may return: callers own values
    /// whose numbers are somebody else's now.
    pub(crate) fn take(
        self,
        user: &User,
        bounds: &Bounds<'_>,
        program: Program,
    ) -> Result<Infallible, Error> {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let mut keep = self.streams.to_vec();
        keep.push(self.line);
        keep.extend(self.init);
        let Ok(owned) = bulkhead_sys::process::arrange_descriptors(&keep, self.streams.len())
        else {
            fork::exit(NOT_EXECUTABLE)
        };
        let mut owned = owned.into_iter();
        let Some(line) = owned.next().map(Line::from) else { fork::exit(NOT_EXECUTABLE) };
        if let Err(error) = process::confine(user, bounds).and_then(|()| line.report_ready()) {
            fail(&line, &error)
        }
        if line.wait(Word::Start).is_none() {
            fork::exit(NOT_EXECUTABLE)
        }
        let error = program.exec(owned.next());
        fail(&line, &error)
    }
}

/// Say why, and end.
pub(crate) fn fail(line: &Line, error: &Error) -> ! {
    line.report_failure(error);
    let not_found = matches!(error, Error::Program { errno, .. } if *errno == ENOENT);
    fork::exit(if not_found { NOT_FOUND } else { NOT_EXECUTABLE })
}

const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();

fn abandoned() -> Error {
    Error::Kernel { what: "the caller is gone".to_owned(), source: None }
}

/// Its root is the cgroup that the process has entered, so this comes after that.
fn unshare_cgroups(container: &EffectiveContainer) -> Result<Cgroups, Error> {
    match container.spec.namespaces.cgroup {
        HostOr::Host => Ok(Cgroups::Hosts),
        HostOr::Private => {
            let cgroups = Cgroups::of_this_process()?;
            fork::unshare(UnshareFlags::NEWCGROUP).step("cgroup namespace")?;
            Ok(cgroups)
        }
    }
}

fn set_names(container: &EffectiveContainer) -> Result<(), Error> {
    let spec = &container.spec;
    if spec.namespaces.uts == HostOr::Host {
        return Ok(());
    }
    rustix::system::sethostname(spec.hostname.as_bytes()).step("sethostname")?;
    rustix::system::setdomainname(spec.domainname.as_bytes()).step("setdomainname")
}

/// In the new network namespace only: another's is configured already.
fn configure_network(plan: &crate::Plan<'_>) -> Result<(), Error> {
    match plan.permit.granted().spec.namespaces.network {
        NetworkMode::None => bulkhead_network::loopback_up().map_err(Error::Network),
        NetworkMode::Endpoints => {
            bulkhead_network::configure_inside(&plan.endpoints).map_err(Error::Network)
        }
        NetworkMode::Host | NetworkMode::Container { .. } => Ok(()),
    }
}
