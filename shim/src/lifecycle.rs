//! Create, start and exec: what makes processes.

use crate::event_loop::Token;
use crate::janitor;
use crate::monitor::{ToMonitor, say};
use crate::refusal::{because, kernel, not_found, text};
use crate::reply::ReplyTo;
use crate::server::{Answer, Server};
use crate::spawn::{self, Job, What};
use crate::table::{Container, State, Task};
use bulkhead_policy::{
    Counts, EffectiveContainer, EffectiveExec, Peer, Permit, decide_join, seccomp,
};
use bulkhead_proto::{
    ContainerId, ContainerSpec, NetworkMode, Phase, Refusal, Share, Target, UserMode,
};
use bulkhead_runtime::Joined;
use bulkhead_sys::fork::{self, Forked};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Server {
    /// `Create`: ids, files, then a forked child that does the rest. It answers when it is ready.
    pub(crate) fn create(
        &mut self,
        permit: Permit<EffectiveContainer>,
        fds: Vec<OwnedFd>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        let spec = &permit.granted().spec;
        let target = Target::Container { id: spec.id };
        if let Some(task) = self.table.tasks.get(&target) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        if let Some(layer) = spec.layers.iter().find(|layer| !self.host.dirs.layer(layer).is_dir())
        {
            return Err(not_found(format_args!("layer sha256:{layer}")));
        }
        let program = program(permit.granted().confinement.seccomp_program, fds)?;
        let joined = self.joined(spec, to)?;
        let fresh = !self.table.containers.contains_key(&spec.id);
        self.room_for(permit.granted(), fresh, to)?;
        let base = self.claim_ids(spec)?;
        let container = Container {
            base,
            layers: spec.layers.to_vec(),
            effective: Some(Rc::new(permit.granted().clone())),
            program: program.clone().map(Rc::new),
        };
        self.table.containers.insert(spec.id, container);
        let what = What::Create { permit: &permit, joined, program };
        let forked = self.fork_monitor(target, base, what);
        self.register(target, forked, State::Creating { reply: to, fresh })
    }

    /// `Exec`: the same for a further process.
    pub(crate) fn exec(
        &mut self,
        permit: Permit<EffectiveExec>,
        fds: Vec<OwnedFd>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        drop(fds);
        let spec = &permit.granted().spec;
        let target = Target::Exec { id: spec.container, exec: spec.exec };
        if self.table.tasks.contains_key(&target) {
            return Err(Refusal::Exists { what: text(format_args!("exec {}", spec.exec)) });
        }
        let of_container =
            |other: &&Target| matches!(other, Target::Exec { id, .. } if *id == spec.container);
        let execs = self.table.tasks.keys().filter(of_container).count();
        if execs >= self.counts(to).map_or(0, |counts| counts.execs as usize) {
            return Err(Refusal::Exhausted { what: text("[counts] execs in policy.toml") });
        }
        let init = Target::Container { id: spec.container };
        let task = self.table.task(&init)?;
        if !matches!(task.state, State::Running) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        let process = task.process.as_ref().ok_or(Refusal::WrongPhase { phase: Phase::Created })?;
        let init_pid = process.effective.pid;
        let init = process.pidfd.try_clone().map_err(because)?;
        let container = self.table.containers.get(&spec.container);
        let container =
            container.ok_or_else(|| not_found(format_args!("container {}", spec.container)))?;
        let effective = container
            .effective
            .clone()
            .ok_or_else(|| kernel("the container was created by another version; restart it"))?;
        if effective.grant.as_ref().is_some_and(|grant| !grant.exec) {
            return Err(Refusal::Denied {
                field: text("POST /containers/{id}/exec"),
                rule: text("grant.exec"),
                knob: text("exec = true in the container's [[grants]] entry of policy.toml"),
            });
        }
        let (base, program) = (container.base, container.program.clone());
        let what = What::Exec {
            permit: &permit,
            container: &effective,
            init: &init,
            init_pid,
            program: program.map(|program| program.to_vec()),
        };
        let forked = self.fork_monitor(target, base, what);
        self.register(target, forked, State::Creating { reply: to, fresh: true })
    }

    /// `Start`: open the gate. The monitor answers when the program runs.
    pub(crate) fn start(
        &mut self,
        permit: &Permit<ContainerId>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        let task = self.table.task(&Target::Container { id: *permit.granted() })?;
        if !matches!(task.state, State::Created) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        say(&task.monitor, &ToMonitor::Open, &[]).map_err(because)?;
        task.state = State::Starting { reply: to };
        Ok(Answer::Later)
    }

    /// The policy's counts: containers of the engine, and containers of one grant.
    fn room_for(
        &mut self,
        wanted: &EffectiveContainer,
        fresh: bool,
        to: ReplyTo,
    ) -> Result<(), Refusal> {
        let counts = self.counts(to);
        if fresh
            && self.table.containers.len() >= counts.map_or(0, |counts| counts.containers as usize)
        {
            return Err(Refusal::Exhausted { what: text("[counts] containers in policy.toml") });
        }
        let Some(grant) = &wanted.grant else { return Ok(()) };
        let using = self.table.containers.values().filter(|container| {
            let granted = container.effective.as_ref().and_then(|held| held.grant.as_ref());
            granted.is_some_and(|other| other.name == grant.name)
        });
        if using.count() >= grant.instances as usize {
            return Err(Refusal::Exhausted {
                what: text(format_args!("instances of grant {}", grant.name)),
            });
        }
        Ok(())
    }

    /// How much the one who asks may have at once.
    pub(crate) fn counts(&mut self, to: ReplyTo) -> Option<Counts> {
        let uid = self.peers.get(to.peer)?.uid;
        self.host.policy.section(uid).map(|section| section.counts)
    }

    fn fork_monitor(&self, target: Target, base: u32, what: What<'_>) -> Result<OwnedFd, Refusal> {
        let (ours, theirs) = crate::sockets::pair().map_err(because)?;
        match fork::fork(self.host.proof).map_err(because)? {
            Forked::Parent { .. } => Ok(ours),
            Forked::Child => {
                drop(ours);
                spawn::run(Job { host: &self.host, target, base, shim: theirs, what })
            }
        }
    }

    fn register(
        &mut self,
        target: Target,
        forked: Result<OwnedFd, Refusal>,
        state: State,
    ) -> Result<Answer, Refusal> {
        let token = self.table.new_token();
        let added = forked.and_then(|monitor| {
            self.poller.add(&monitor, Token::Monitor(token)).map_err(because)?;
            Ok(monitor)
        });
        match added {
            Ok(monitor) => {
                let task = Task::new(state, monitor, token);
                self.table.insert(target, task);
                Ok(Answer::Later)
            }
            Err(refusal) => {
                if let State::Creating { fresh: true, .. } = state {
                    self.undo_create(&target);
                }
                Err(refusal)
            }
        }
    }

    /// The container's ids: those it has, those of the container it joins, or a new range; and its
    /// directory, whose owner is the lease.
    fn claim_ids(&mut self, spec: &ContainerSpec) -> Result<u32, Refusal> {
        if let Some(container) = self.table.containers.get(&spec.id) {
            return Ok(container.base);
        }
        let shared = joined_user(spec).and_then(|id| self.table.containers.get(&id));
        let base = match (spec.namespaces.user, shared) {
            (UserMode::Host, _) => 0,
            (UserMode::Private, Some(other)) => other.base,
            (UserMode::Private, None) => {
                self.ranges.lease().map_err(because)?.ok_or_else(|| Refusal::Exhausted {
                    what: text("user id ranges of this host"),
                })?
            }
        };
        if let Err(error) = self.make_container_dir(spec, base) {
            self.drop_container_dir(&spec.id, base);
            return Err(kernel(format_args!("container directory: {error}")));
        }
        Ok(base)
    }

    fn make_container_dir(&self, spec: &ContainerSpec, base: u32) -> io::Result<()> {
        let path = self.host.dirs.container(&spec.id);
        std::fs::create_dir(&path)?;
        // For a shim that finds the container without a process: which layers are in use.
        let layers: String = spec.layers.iter().map(|layer| format!("{layer}\n")).collect();
        std::fs::write(path.join("layers"), layers)?;
        for name in ["upper", "work"] {
            let inner = path.join(name);
            std::fs::create_dir(&inner)?;
            std::os::unix::fs::chown(&inner, Some(base), Some(base))?;
        }
        Ok(())
    }

    /// Rename a container's files into the trash; its range is free when the janitor is done.
    pub(crate) fn drop_container_dir(&mut self, id: &ContainerId, base: u32) {
        let path = self.host.dirs.container(id);
        self.counter += 1;
        let name = format!("{base}-{}-{}", crate::monitor::now_ns(), self.counter);
        match std::fs::rename(&path, self.host.dirs.trash().join(name)) {
            Ok(()) => self.clean_trash(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.free_range(base),
            Err(error) => self.note(&id.to_string(), &format!("cannot move to trash: {error}")),
        }
    }

    /// A range is free when no container and no trash has it.
    fn free_range(&mut self, base: u32) {
        if base != 0 && !self.table.containers.values().any(|container| container.base == base) {
            self.ranges.free(base);
        }
    }

    /// Have the trash deleted, now or when the janitor at work is done.
    pub(crate) fn clean_trash(&mut self) {
        if self.janitor.is_some() {
            self.more_trash = true;
            return;
        }
        match janitor::start(self.host.proof, &self.host.dirs.trash()) {
            Ok(pidfd) => {
                if self.poller.add(&pidfd, Token::Janitor).is_ok() {
                    self.janitor = Some(pidfd);
                }
            }
            Err(error) => self.note("", &format!("janitor: {error}")),
        }
    }

    /// Until the trash is empty; for `--purge`.
    pub(crate) fn wait_for_janitor(&mut self) {
        while let Some(janitor) = &self.janitor {
            let mut poll = [rustix::event::PollFd::new(janitor, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut poll, None) {
                Ok(_) => self.janitor_done(),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Free the ranges that the trash no longer holds.
    pub(crate) fn janitor_done(&mut self) {
        self.janitor = None;
        let Ok(left) = janitor::ranges_in(&self.host.dirs.trash()) else { return };
        let in_use = |base: &u32| {
            left.contains(base) || self.table.containers.values().any(|held| held.base == *base)
        };
        self.ranges.retain(in_use);
        if std::mem::take(&mut self.more_trash) {
            self.clean_trash();
        }
    }

    /// A create that failed leaves nothing.
    pub(crate) fn undo_create(&mut self, target: &Target) {
        if let Target::Container { id } = target
            && let Some(container) = self.table.containers.remove(id)
        {
            self.drop_container_dir(id, container.base);
        }
    }

    /// Namespaces of other containers that this one joins.
    fn joined(&mut self, spec: &ContainerSpec, to: ReplyTo) -> Result<Joined, Refusal> {
        let mut joined = Joined::default();
        let asker = Peer { uid: self.peers.get(to.peer).map_or(u32::MAX, |peer| peer.uid) };
        for id in joins(spec) {
            let held = self.table.containers.get(&id).and_then(|held| held.effective.clone());
            let held = held.ok_or_else(|| not_found(format_args!("container {id}")))?;
            decide_join(&self.host.policy, asker, spec, id, &held)?;
        }
        let mut open = |id: ContainerId, kind: &str| -> Result<OwnedFd, Refusal> {
            let task = self.table.live(&Target::Container { id })?;
            let process =
                task.process.as_ref().ok_or_else(|| not_found(format_args!("container {id}")))?;
            let path = format!("/proc/{}/ns/{kind}", process.effective.pid);
            let namespace = std::fs::File::open(path).map_err(because)?;
            // The pid was not reused if the process is still there now that the file is open.
            bulkhead_sys::fork::pidfd_signal(&process.pidfd, 0).map_err(because)?;
            Ok(namespace.into())
        };
        if let Some(id) = joined_user(spec) {
            joined.user = Some(open(id, "user")?);
        }
        if let Share::Container { id } = spec.namespaces.pid {
            joined.pid = Some(open(id, "pid")?);
        }
        if let Share::Container { id } = spec.namespaces.ipc {
            joined.ipc = Some(open(id, "ipc")?);
        }
        if let NetworkMode::Container { id } = spec.namespaces.network {
            joined.net = Some(open(id, "net")?);
        }
        Ok(joined)
    }
}

/// The containers whose namespaces this one joins.
fn joins(spec: &ContainerSpec) -> impl Iterator<Item = ContainerId> {
    let shared = |share: Share| match share {
        Share::Container { id } => Some(id),
        Share::Private | Share::Host => None,
    };
    let network = match spec.namespaces.network {
        NetworkMode::Container { id } => Some(id),
        NetworkMode::None | NetworkMode::Host | NetworkMode::Endpoints => None,
    };
    [shared(spec.namespaces.pid), shared(spec.namespaces.ipc), network].into_iter().flatten()
}

/// The container whose user namespace this one has to share: processes see each other's, so they
/// must have the same ids.
fn joined_user(spec: &ContainerSpec) -> Option<ContainerId> {
    match (spec.namespaces.pid, spec.namespaces.ipc) {
        (Share::Container { id }, _) | (_, Share::Container { id }) => Some(id),
        (Share::Private | Share::Host, Share::Private | Share::Host) => None,
    }
}

/// The request's own filter, if there is one, checked.
fn program(wanted: bool, fds: Vec<OwnedFd>) -> Result<Option<Vec<u8>>, Refusal> {
    let invalid = |what: String| Refusal::Invalid { what: text(what) };
    match (wanted, fds.first()) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(invalid("a filter came along that was not announced".to_owned())),
        (true, None) => Err(invalid("HostConfig.SecurityOpt: the filter is missing".to_owned())),
        (true, Some(fd)) => {
            let size = rustix::fs::fstat(fd).map_err(because)?.st_size;
            let length = usize::try_from(size).unwrap_or(usize::MAX);
            let bytes = crate::channel::read_sealed(std::os::fd::AsFd::as_fd(fd), length)
                .map_err(|error| invalid(format!("HostConfig.SecurityOpt: {error}")))?;
            seccomp::validate(&bytes)
                .map_err(|error| invalid(format!("HostConfig.SecurityOpt: {error}")))?;
            Ok(Some(bytes))
        }
    }
}
