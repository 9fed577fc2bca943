//! What monitors and workers say, and what follows from it.

use crate::channel::ChannelError;
use crate::monitor::{FromMonitor, ToMonitor, hear, now_ns, say};
use crate::refusal::{because, kernel};
use crate::server::{Answer, Server};
use crate::table::{Process, State, Task};
use bulkhead_proto::{Effective, Event, ExitStatus, FdLayout, Refusal, Reply, Stdio, Target};
use std::os::fd::OwnedFd;

impl Server {
    /// One message of a monitor.
    pub(crate) fn hear_monitor(&mut self, token: u64) {
        let Some(target) = self.table.tokens.get(&token).copied() else { return };
        let Some(task) = self.table.tasks.get_mut(&target) else { return };
        match hear::<FromMonitor>(&task.monitor) {
            Ok((FromMonitor::Ready { effective, stdio }, fds)) => {
                self.task_ready(&target, effective, stdio, fds);
            }
            Ok((FromMonitor::Failed { refusal }, _)) => self.task_failed(&target, refusal),
            Ok((FromMonitor::Started, _)) => self.task_started(&target),
            Ok((FromMonitor::NotStarted { refusal }, _)) => self.task_not_started(&target, refusal),
            Ok((FromMonitor::Exited { status }, _)) => self.task_exited(&target, status),
            Ok((FromMonitor::Described { effective, stdio, .. }, fds)) => {
                self.task_described(&target, effective, stdio, fds);
            }
            Err(ChannelError::WouldBlock) => {}
            Err(_) => self.monitor_closed(&target),
        }
    }

    /// The process waits at its gate: compare it with the permit, then say so. An exec goes on at
    /// once.
    fn task_ready(
        &mut self,
        target: &Target,
        effective: Effective,
        stdio: Stdio,
        fds: Vec<OwnedFd>,
    ) {
        let audited = self.audit_process(target, &effective, fds.first());
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        let State::Creating { reply, .. } = task.state else { return };
        let ready = audited.and_then(|()| {
            let pidfd = fds.first().ok_or_else(|| kernel("monitor: no pidfd"))?;
            let pidfd = pidfd.try_clone().map_err(because)?;
            task.process = Some(Process { pidfd, effective, stdio });
            if let Target::Exec { .. } = target {
                say(&task.monitor, &ToMonitor::Open, &[]).map_err(because)?;
                task.state = State::Starting { reply };
                task.handed_out = fds;
                return Ok(Answer::Later);
            }
            task.state = State::Created;
            Ok(created(effective, stdio, fds))
        });
        match ready {
            Ok(answer) => self.answer(reply, Ok(answer)),
            Err(refusal) => {
                // It must not run. Closing the line makes the monitor end, and the gate with it.
                self.note(&target.container().to_string(), &format!("audit: {refusal}"));
                self.task_failed(target, refusal);
            }
        }
    }

    /// Re-read the process from the kernel and compare it with the permit.
    fn audit_process(
        &self,
        target: &Target,
        effective: &Effective,
        pidfd: Option<&OwnedFd>,
    ) -> Result<(), Refusal> {
        let container = self.table.containers.get(&target.container());
        let permitted = container.and_then(|container| container.effective.as_ref());
        let (Some(container), Some(permitted), Some(pidfd)) = (container, permitted, pidfd) else {
            return Err(kernel("nothing to compare the process with"));
        };
        let expected = bulkhead_runtime::Expected {
            container: permitted,
            base: container.base,
            exec: matches!(target, Target::Exec { .. }),
            cgroup: format!("/{}/{}", self.host.cgroup_parent, target.container()),
            cgroup_version: self.host.hierarchy.version(),
        };
        bulkhead_runtime::audit(pidfd, effective.pid, &expected).map_err(|mismatches| {
            let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
            kernel(format_args!("the process is not as permitted: {}", texts.join("; ")))
        })
    }

    /// There is no process. Nothing of the attempt stays.
    fn task_failed(&mut self, target: &Target, refusal: Refusal) {
        let Some(task) = self.table.forget(target) else { return };
        self.poller.remove(&task.monitor);
        drop(task.monitor);
        if let Some(process) = &task.process {
            bulkhead_sys::fork::pidfd_signal(&process.pidfd, 9).unwrap_or_default();
        }
        let cleared = self.clear_away(target);
        if let Err(left) = cleared {
            self.note(&target.container().to_string(), &left.to_string());
        }
        if let State::Creating { reply, fresh } = task.state {
            if fresh {
                self.undo_create(target);
            }
            self.answer(reply, Err(refusal));
        }
    }

    fn task_started(&mut self, target: &Target) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        let State::Starting { reply } = task.state else { return };
        task.state = State::Running;
        let fds = std::mem::take(&mut task.handed_out);
        let answer = match (target, &task.process) {
            (Target::Exec { .. }, Some(process)) => created(process.effective, process.stdio, fds),
            _ => Answer::DONE,
        };
        self.answer(reply, Ok(answer));
    }

    /// The program could not be run. The monitor ends; then whoever waits is told.
    fn task_not_started(&mut self, target: &Target, refusal: Refusal) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        let State::Starting { reply } = task.state else { return };
        task.handed_out.clear();
        let gone = say(&task.monitor, &ToMonitor::Release, &[]).is_err();
        task.state = State::Releasing { reply, refusal: Some(refusal) };
        if gone {
            self.monitor_ended(target);
        }
    }

    fn task_exited(&mut self, target: &Target, status: ExitStatus) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        if matches!(task.state, State::Created | State::Running | State::Frozen) {
            task.state = State::Stopped(status);
            let event = Event::Exited { target: *target, status };
            self.peers.broadcast(std::os::fd::AsFd::as_fd(&self.poller.epoll), &event);
        }
    }

    fn task_described(
        &mut self,
        target: &Target,
        effective: Effective,
        stdio: Stdio,
        fds: Vec<OwnedFd>,
    ) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        if let Some(reply) = task.adopting.take() {
            self.answer(reply, Ok(created(effective, stdio, fds)));
        }
    }

    /// A monitor closed its line: as told, or because it died.
    fn monitor_closed(&mut self, target: &Target) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        self.poller.remove(&task.monitor);
        match task.state {
            State::Releasing { .. } => self.monitor_ended(target),
            State::Creating { .. } => {
                self.task_failed(target, kernel("the monitor died while it set the process up"));
            }
            State::Stopped(_) => {}
            State::Created | State::Starting { .. } | State::Running | State::Frozen => {
                self.monitor_died(target);
            }
        }
    }

    /// Without its monitor a process has nobody to wait for it: it is killed and counts as such.
    fn monitor_died(&mut self, target: &Target) {
        let Some(task) = self.table.tasks.get_mut(target) else { return };
        if let Some(process) = &task.process {
            bulkhead_sys::fork::pidfd_signal(&process.pidfd, 9).unwrap_or_default();
        }
        let waiting = if let State::Starting { reply } = &task.state { Some(*reply) } else { None };
        task.state = State::Running;
        self.note(&target.container().to_string(), "the monitor died; its process is killed");
        let status = ExitStatus { code: 137, signal: 9, oom_killed: false, at_ns: now_ns() };
        self.task_exited(target, status);
        if let Some(reply) = waiting {
            self.answer(reply, Err(kernel("the monitor died")));
        }
    }

    /// A worker said something or ended.
    pub(crate) fn hear_worker(&mut self, number: u64) {
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let Some(result) = worker.advance(&self.host.dirs) else { return };
        let Some(worker) = self.workers.remove(&number) else { return };
        self.poller.remove(&worker.result);
        let known = result.as_ref().is_ok_and(|layer| !layer.known);
        let answer = result.map(|layer| Answer::Now(Reply::Unpacked { layer }, Vec::new()));
        self.answer(worker.reply, answer);
        if !known {
            self.clean_trash();
        }
    }
}

fn created(effective: Effective, stdio: Stdio, fds: Vec<OwnedFd>) -> Answer {
    Answer::Now(Reply::Created { fds: FdLayout { pidfd: true, stdio }, effective }, fds)
}

impl Task {
    /// A task whose monitor has just been forked or found.
    pub(crate) fn new(state: State, monitor: OwnedFd, token: u64) -> Self {
        Self { state, monitor, token, process: None, adopting: None, handed_out: Vec::new() }
    }
}
