//! What is done to processes that exist: signals, freezer, limits, streams; and their end.

use crate::monitor::{ToMonitor, say};
use crate::refusal::{because, kernel};
use crate::reply::ReplyTo;
use crate::server::{Answer, Server};
use crate::table::{State, Task};
use bulkhead_cgroup::Cgroup;
use bulkhead_policy::Permit;
use bulkhead_proto::{
    ContainerId, PAGE, Refusal, Reply, Signal, SignalRequest, Target, UpdateRequest,
};

impl Server {
    /// `Signal`
    pub(crate) fn signal(&mut self, permit: &Permit<SignalRequest>) -> Result<Answer, Refusal> {
        let SignalRequest { target, signal, all } = *permit.granted();
        let task = self.table.task(&target)?;
        let frozen = matches!(task.state, State::Frozen);
        // A created process may be killed too; it has not run anything yet.
        let process = match (&task.state, &task.process) {
            (
                State::Created | State::Starting { .. } | State::Running | State::Frozen,
                Some(process),
            ) => process,
            _ => return Err(Refusal::WrongPhase { phase: task.phase() }),
        };
        if all && matches!(target, Target::Container { .. }) {
            let cgroup = self.cgroup(&target.container())?;
            let done = if signal == Signal::KILL {
                cgroup.kill()
            } else {
                cgroup.signal_all(signal.number())
            };
            done.map_err(because)?;
        } else {
            bulkhead_sys::fork::pidfd_signal(&process.pidfd, signal.number()).map_err(because)?;
        }
        if frozen && signal == Signal::KILL {
            // A frozen process of cgroup v1 dies only when it is thawed.
            self.cgroup(&target.container())?.thaw().map_err(because)?;
        }
        Ok(Answer::DONE)
    }

    /// `CloseStdin`
    pub(crate) fn close_stdin(&mut self, permit: &Permit<Target>) -> Result<Answer, Refusal> {
        let task = self.table.task(permit.granted())?;
        say(&task.monitor, &ToMonitor::CloseStdin, &[]).map_err(because)?;
        Ok(Answer::DONE)
    }

    /// `Freeze`
    pub(crate) fn freeze(&mut self, permit: &Permit<ContainerId>) -> Result<Answer, Refusal> {
        self.change_phase(*permit.granted(), State::Frozen, Cgroup::freeze)
    }

    /// `Thaw`
    pub(crate) fn thaw(&mut self, permit: &Permit<ContainerId>) -> Result<Answer, Refusal> {
        self.change_phase(*permit.granted(), State::Running, Cgroup::thaw)
    }

    fn change_phase(
        &mut self,
        id: ContainerId,
        to: State,
        change: fn(&Cgroup) -> Result<(), bulkhead_cgroup::Error>,
    ) -> Result<Answer, Refusal> {
        let cgroup = self.cgroup(&id);
        let task = self.table.live(&Target::Container { id })?;
        if std::mem::discriminant(&task.state) == std::mem::discriminant(&to) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        change(&cgroup?).map_err(because)?;
        task.state = to;
        Ok(Answer::DONE)
    }

    /// `Update`
    pub(crate) fn update(&mut self, permit: &Permit<UpdateRequest>) -> Result<Answer, Refusal> {
        let UpdateRequest { id, resources } = permit.granted();
        let task = self.table.task(&Target::Container { id: *id })?;
        if !matches!(task.state, State::Created | State::Running | State::Frozen) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        self.cgroup(id)?.apply(resources).map_err(because)?;
        Ok(Answer::DONE)
    }

    /// `Adopt`: the monitor is asked for its descriptors; they go on to apid.
    pub(crate) fn adopt(
        &mut self,
        permit: &Permit<Target>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        let task = self.table.task(permit.granted())?;
        if matches!(task.state, State::Creating { .. } | State::Releasing { .. }) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        say(&task.monitor, &ToMonitor::Describe, &[]).map_err(because)?;
        task.adopting = Some(to);
        Ok(Answer::Later)
    }

    /// `Release`: the monitor ends; the rest is done when it has.
    pub(crate) fn release(
        &mut self,
        permit: &Permit<Target>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        let target = *permit.granted();
        let task = self.table.task(&target)?;
        if !matches!(task.state, State::Stopped(_)) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        let gone = say(&task.monitor, &ToMonitor::Release, &[]).is_err();
        task.state = State::Releasing { reply: to, refusal: None };
        if gone {
            self.monitor_ended(&target);
        }
        Ok(Answer::Later)
    }

    /// The monitor of a released task is gone: cgroup, directory and name go too, and whoever
    /// waited is answered.
    pub(crate) fn monitor_ended(&mut self, target: &Target) {
        let Some(Task { state, monitor, .. }) = self.table.forget(target) else { return };
        self.poller.remove(&monitor);
        let left = self.clear_away(target);
        if let State::Releasing { reply, refusal } = state {
            let answer = match (refusal, left) {
                (Some(refusal), _) => Err(refusal),
                (None, Ok(())) => Ok(Answer::DONE),
                (None, Err(refusal)) => Err(refusal),
            };
            self.answer(reply, answer);
        }
    }

    /// Remove the cgroup of a container without processes, and a monitor's directory.
    pub(crate) fn clear_away(&mut self, target: &Target) -> Result<(), Refusal> {
        let mut result = Ok(());
        if let Target::Container { id } = target
            && let Ok(cgroup) = self.host.cgroups.open(&id.to_string())
        {
            // With the host's pid namespace, or after a crash, something may still run there.
            result = cgroup.kill().and_then(|()| cgroup.remove()).map_err(because);
        }
        match std::fs::remove_dir_all(self.host.dirs.monitor(target)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                result.and_then(|()| Err(kernel(error)))
            }
            _ => result,
        }
    }

    /// `Remove`
    pub(crate) fn remove(&mut self, permit: &Permit<ContainerId>) -> Result<Answer, Refusal> {
        let id = *permit.granted();
        if let Some(task) = self.table.tasks.get(&Target::Container { id }) {
            return Err(Refusal::WrongPhase { phase: task.phase() });
        }
        let container = self.table.containers.remove(&id);
        let container =
            container.ok_or_else(|| crate::refusal::not_found(format_args!("container {id}")))?;
        self.drop_container_dir(&id, container.base);
        Ok(Answer::DONE)
    }

    /// `Recover`
    pub(crate) fn recover_page(
        &mut self,
        permit: &Permit<Option<Target>>,
    ) -> Result<Answer, Refusal> {
        let known = self.table.known(permit.granted().as_ref(), PAGE);
        let known = known.try_into().map_err(because)?;
        Ok(Answer::Now(Reply::Recovered { known }, Vec::new()))
    }

    fn cgroup(&self, id: &ContainerId) -> Result<Cgroup, Refusal> {
        self.host.cgroups.open(&id.to_string()).map_err(because)
    }
}
