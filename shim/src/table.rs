//! What the shim holds: containers (ids and files, kept until removed) and tasks (processes with a
//! monitor, kept until released).

use crate::reply::ReplyTo;
use bulkhead_policy::EffectiveContainer;
use bulkhead_proto::{
    ContainerId, Effective, ExitStatus, Known, LayerId, Phase, Refusal, Stdio, Target,
};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A container: what stays when its processes are gone.
#[derive(Debug)]
pub(crate) struct Container {
    /// First id of its range; 0 with the host's user namespace.
    pub base: u32,
    /// Layers below it, so that they are not deleted.
    pub layers: Vec<LayerId>,
    /// As it was created last; none: not since this shim runs, and no monitor told.
    pub effective: Option<Rc<EffectiveContainer>>,
    /// The request's own system-call filter, for execs.
    pub program: Option<Rc<Vec<u8>>>,
}

/// Where a task is, with what that phase needs.
#[derive(Debug)]
pub(crate) enum State {
    /// Its monitor is setting it up.
    Creating {
        /// Who waits for it.
        reply: ReplyTo,
        /// The container is new: nothing of it stays if this fails.
        fresh: bool,
    },
    /// At the gate.
    Created,
    /// The gate is opening.
    Starting {
        /// Who waits for it.
        reply: ReplyTo,
    },
    /// Its program runs.
    Running,
    /// Its cgroup is frozen.
    Frozen,
    /// It has ended.
    Stopped(ExitStatus),
    /// Its monitor is ending.
    Releasing {
        /// Who waits for it.
        reply: ReplyTo,
        /// What to answer instead of done: the program could not be started.
        refusal: Option<Refusal>,
    },
}

/// A process with a monitor.
#[derive(Debug)]
pub(crate) struct Task {
    pub state: State,
    /// The line to its monitor.
    pub monitor: OwnedFd,
    /// The event loop's number for it.
    pub token: u64,
    /// Once it is there.
    pub process: Option<Process>,
    /// Who waits to have its descriptors again.
    pub adopting: Option<ReplyTo>,
    /// Descriptors for apid that wait until the program runs.
    pub handed_out: Vec<OwnedFd>,
}

/// A process that was set up.
#[derive(Debug)]
pub(crate) struct Process {
    pub pidfd: OwnedFd,
    pub effective: Effective,
    pub stdio: Stdio,
}

impl Task {
    /// As apid counts.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Creating { .. } | State::Created | State::Starting { .. } => Phase::Created,
            State::Running => Phase::Running,
            State::Frozen => Phase::Frozen,
            State::Stopped(_) | State::Releasing { .. } => Phase::Stopped,
        }
    }

    /// How it ended.
    pub(crate) fn exit(&self) -> Option<ExitStatus> {
        match self.state {
            State::Stopped(status) => Some(status),
            State::Creating { .. }
            | State::Created
            | State::Starting { .. }
            | State::Running
            | State::Frozen
            | State::Releasing { .. } => None,
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub containers: BTreeMap<ContainerId, Container>,
    pub tasks: BTreeMap<Target, Task>,
    /// Task by the event loop's number.
    pub tokens: BTreeMap<u64, Target>,
    next_token: u64,
}

impl Table {
    /// A number that no task had before.
    pub(crate) fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Add a task.
    pub(crate) fn insert(&mut self, target: Target, task: Task) {
        self.tokens.insert(task.token, target);
        self.tasks.insert(target, task);
    }

    /// The task, or what to answer.
    pub(crate) fn task(&mut self, target: &Target) -> Result<&mut Task, Refusal> {
        let known = self.containers.contains_key(&target.container());
        self.tasks.get_mut(target).ok_or_else(|| match (target, known) {
            (Target::Container { .. }, true) => Refusal::WrongPhase { phase: Phase::Released },
            (Target::Container { id }, false) => {
                crate::refusal::not_found(format_args!("container {id}"))
            }
            (Target::Exec { exec, .. }, _) => {
                crate::refusal::not_found(format_args!("exec {exec}"))
            }
        })
    }

    /// The task if its program runs or is frozen.
    pub(crate) fn live(&mut self, target: &Target) -> Result<&mut Task, Refusal> {
        let task = self.task(target)?;
        match task.state {
            State::Running | State::Frozen => Ok(task),
            State::Creating { .. }
            | State::Created
            | State::Starting { .. }
            | State::Stopped(_)
            | State::Releasing { .. } => Err(Refusal::WrongPhase { phase: task.phase() }),
        }
    }

    /// Forget a task and its number.
    pub(crate) fn forget(&mut self, target: &Target) -> Option<Task> {
        let task = self.tasks.remove(target)?;
        self.tokens.remove(&task.token);
        Some(task)
    }

    /// Whether any container stands on the layer.
    pub(crate) fn uses_layer(&self, layer: &LayerId) -> bool {
        self.containers.values().any(|container| container.layers.contains(layer))
    }

    /// The targets and phases behind `after`, containers without a task as `Released`.
    pub(crate) fn known(&self, after: Option<&Target>, most: usize) -> Vec<Known> {
        let released = self.containers.keys().map(|id| Target::Container { id: *id });
        let mut all: BTreeMap<Target, (Phase, Option<ExitStatus>)> =
            released.map(|target| (target, (Phase::Released, None))).collect();
        for (target, task) in &self.tasks {
            all.insert(*target, (task.phase(), task.exit()));
        }
        all.into_iter()
            .filter(|(target, _)| after.is_none_or(|after| target > after))
            .take(most)
            .map(|(target, (phase, exit))| Known { target, phase, exit })
            .collect()
    }
}
