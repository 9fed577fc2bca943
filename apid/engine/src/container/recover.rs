//! Taking up containers after a restart of ours, of the shim or of the host.
//!
//! What the shim holds is the truth about processes; what the database holds is the truth about
//! everything else. The two are compared once at start and once for each new connection.

use super::record::{State, Status};
use super::{Container, Phase};
use crate::engine::Inner;
use crate::logs::{Begin, Copier, Sources};
use crate::translate::Restart;
use bulkhead_proto::{
    ContainerId, ExitStatus, Known, Phase as ShimPhase, Request, Signal, SignalRequest, Target,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What Docker shows when nobody saw how a process ended.
const UNSEEN: u8 = 255;

/// Our first look: take up what runs, write down what ended, remove what nobody knows.
pub(crate) async fn take_up(engine: &Arc<Inner>, known: &[Known]) {
    let by_id = containers_of(known);
    for known in known {
        remove_stranger(engine, known);
    }
    for container in engine.all() {
        container.take_up(engine, by_id.get(&container.id).copied()).await;
    }
}

/// A new connection while we ran on: what happened meanwhile.
pub(crate) fn compare(engine: &Arc<Inner>, connection: u64, known: &[Known]) {
    let by_id = containers_of(known);
    for container in engine.all() {
        let (engine, known) = (Arc::clone(engine), by_id.get(&container.id).copied());
        tokio::spawn(async move { container.compare(&engine, connection, known).await });
    }
    for exec in engine.execs.older_than(connection) {
        if known.iter().all(|known| known.target != exec.target()) {
            exec.heard_exit(engine, unseen());
        }
    }
    for known in known {
        match (known.target, known.exit) {
            (target @ Target::Exec { .. }, Some(status)) => engine.heard_exit(target, status),
            _ => remove_stranger(engine, known),
        }
    }
}

fn containers_of(known: &[Known]) -> BTreeMap<ContainerId, Known> {
    let container = |known: &Known| match known.target {
        Target::Container { id } => Some((id, *known)),
        Target::Exec { .. } => None,
    };
    known.iter().filter_map(container).collect()
}

/// A process that the shim holds and we have no record of: of an exec that was started before we
/// were, or of a container whose removal was cut short.
fn remove_stranger(engine: &Arc<Inner>, known: &Known) {
    let engine = Arc::clone(engine);
    let Known { target, phase, .. } = *known;
    match target {
        Target::Exec { exec, .. } => {
            if !engine.execs.has(&exec.to_string()) {
                tokio::spawn(async move { crate::exec::drain_stranger(&engine, target).await });
            }
        }
        Target::Container { id } if engine.get(&id).is_none() => {
            tracing::warn!("the shim has a container that is not in engine.db: {id} ({phase})");
            tokio::spawn(async move { clear_away(&engine, id, phase).await });
        }
        Target::Container { .. } => {}
    }
}

/// Have the shim remove a container that is none of ours. One that runs is killed: the news of its
/// end leads here again.
pub(crate) async fn clear_away(engine: &Inner, id: ContainerId, phase: ShimPhase) {
    let target = Target::Container { id };
    let requests = match phase {
        ShimPhase::Created | ShimPhase::Running | ShimPhase::Frozen => {
            vec![Request::Signal(SignalRequest { target, signal: Signal::KILL, all: true })]
        }
        ShimPhase::Stopped => vec![Request::Release(target), Request::Remove(id)],
        ShimPhase::Released => vec![Request::Remove(id)],
    };
    for request in requests {
        if let Err(error) = engine.shim.order(request).await {
            tracing::warn!("removing unknown container {id}: {error}");
            return;
        }
    }
}

impl Container {
    async fn take_up(self: &Arc<Self>, engine: &Arc<Inner>, known: Option<Known>) {
        let mut phase = self.phase.lock().await;
        let was = self.set_state(|state| state.known_to_shim |= known.is_some());
        match known.map(|known| (known.phase, known.exit)) {
            Some((at @ (ShimPhase::Running | ShimPhase::Frozen), _)) => {
                self.adopt(engine, &mut phase, at == ShimPhase::Frozen).await;
            }
            Some((ShimPhase::Stopped, exit)) => {
                let status = exit.unwrap_or_else(unseen);
                self.adopt(engine, &mut phase, false).await;
                if let Phase::Running(running) = std::mem::replace(&mut *phase, Phase::Idle) {
                    running.copier.finish().await;
                }
                let ran = ran(&was, status);
                self.after_exit(engine, &mut phase, status, ran).await;
            }
            Some((ShimPhase::Created, _)) => {
                // At its gate, and whoever wanted to open it is gone. It ends as one that ran: its
                // policy says what comes then.
                self.adopt(engine, &mut phase, false).await;
                clear_away(engine, self.id, ShimPhase::Created).await;
            }
            Some((ShimPhase::Released, _)) | None => self.settle(engine, &mut phase, &was).await,
        }
    }

    /// It runs, and we have lost hold of it.
    async fn adopt(self: &Arc<Self>, engine: &Arc<Inner>, phase: &mut Phase, frozen: bool) {
        let adopted = engine.shim.process(Request::Adopt(self.target()), Vec::new()).await;
        let run = self.run.fetch_add(1, Ordering::AcqRel) + 1;
        let pid = adopted.as_ref().map_or(0, |created| created.effective.pid);
        let running = match adopted {
            Ok(created) => self.connect(engine, created, run, Begin::Resume),
            Err(error) => Err(std::io::Error::other(error)),
        };
        match running {
            Ok(running) if frozen => *phase = Phase::Paused(running),
            Ok(running) => *phase = Phase::Running(running),
            Err(error) => {
                tracing::error!("taking up {}: {error}", self.id);
                return;
            }
        }
        let state = self.set_state(|state| {
            if state.started_ns == 0 {
                state.started_ns = crate::events::now_ns();
            }
            state.status = if frozen { Status::Paused } else { Status::Running };
            state.pid = pid;
        });
        if let Some(endpoint) = &state.endpoint {
            engine.networks.restore(self.id, endpoint);
        }
        engine.store.later(state.to_write(&self.id));
        self.life.send_modify(|life| life.running = true);
    }

    /// It has no process. Was it to have one?
    async fn settle(self: &Arc<Self>, engine: &Arc<Inner>, phase: &mut Phase, was: &State) {
        let definition = self.definition();
        self.finish_log(engine).await;
        let lost = was.status.is_alive();
        let state = self.set_state(|state| {
            state.pid = 0;
            state.endpoint = None;
            state.status = match was.status {
                Status::Running | Status::Paused => {
                    state.exit_code = i64::from(UNSEEN);
                    state.finished_ns = crate::events::now_ns();
                    Status::Exited
                }
                Status::Starting if was.finished_ns == 0 => Status::Created,
                Status::Starting | Status::Restarting | Status::Removing => Status::Exited,
                other @ (Status::Created | Status::Exited | Status::Dead) => other,
            };
        });
        if state != *was {
            engine.store.later(state.to_write(&self.id));
        }
        if lost {
            self.emit(engine, "die", &[("exitCode", state.exit_code.to_string())]);
            self.life.send_modify(|life| life.exit_code = state.exit_code);
        }
        let interrupted = !matches!(was.status, Status::Created | Status::Exited);
        let ran_once = was.finished_ns != 0 || interrupted;
        if was.status == Status::Removing || (definition.plan.auto_remove && ran_once) {
            if let Err(error) = self.remove_now(engine, phase).await {
                tracing::error!("removing {}: {error}", self.id);
                self.stuck(engine, error.message()).await;
            }
        } else if ran_once && starts_at_boot(definition.plan.restart, &state, interrupted) {
            self.set_state(|state| state.status = Status::Restarting);
            self.life.send_modify(|life| life.running = true);
            *phase = self.restart_after(engine, Duration::ZERO);
        }
    }

    /// Put what an earlier process left in the spools into the log.
    async fn finish_log(&self, engine: &Inner) {
        let Some(target) = self.log_target() else { return };
        if !target.is_unfinished() {
            return;
        }
        let log = Some((target, Begin::Resume));
        let copier =
            Copier::start(engine.log_runtime(), Sources::Ended, Arc::clone(&self.hub), log);
        match copier {
            Ok(copier) => copier.finish().await,
            Err(error) => tracing::error!("finishing the log of {}: {error}", self.id),
        }
        self.end_streams();
    }

    /// The shim was away for a moment. What it knew at the beginning of this connection says
    /// nothing of a process that came by it.
    async fn compare(self: Arc<Self>, engine: &Arc<Inner>, connection: u64, known: Option<Known>) {
        let phase = self.phase.lock().await;
        let (Phase::Running(running) | Phase::Paused(running)) = &*phase else { return };
        let older = running.connection < connection;
        let exit = match known.map(|known| (known.phase, known.exit)) {
            Some((ShimPhase::Running | ShimPhase::Frozen | ShimPhase::Created, _)) => None,
            Some((ShimPhase::Stopped, exit)) => Some(exit.unwrap_or_else(unseen)),
            Some((ShimPhase::Released, _)) | None => Some(unseen()),
        };
        if let Some(status) = exit.filter(|_| older) {
            self.heard_exit(engine, status);
        }
    }
}

fn unseen() -> ExitStatus {
    let at_ns = u64::try_from(crate::events::now_ns()).unwrap_or_default();
    ExitStatus { code: UNSEEN, signal: 0, oom_killed: false, at_ns }
}

fn ran(was: &State, status: ExitStatus) -> Duration {
    let began = u64::try_from(was.started_ns).unwrap_or_default();
    Duration::from_nanos(status.at_ns.saturating_sub(began))
}

/// moby `container.ShouldRestart`, at the daemon's start.
fn starts_at_boot(policy: Restart, state: &State, interrupted: bool) -> bool {
    match policy {
        Restart::No => false,
        Restart::Always => true,
        Restart::UnlessStopped => !state.stopped_by_client,
        Restart::OnFailure(most) => {
            interrupted && state.exit_code != 0 && (most == 0 || state.restart_count < most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_decide_what_starts_at_boot() {
        let state = |stopped_by_client, exit_code| State {
            stopped_by_client,
            exit_code,
            ..State::default()
        };
        for (policy, stopped, code, interrupted, starts) in [
            (Restart::No, false, 255, true, false),
            (Restart::Always, true, 0, false, true),
            (Restart::UnlessStopped, false, 0, true, true),
            (Restart::UnlessStopped, true, 0, false, false),
            (Restart::OnFailure(0), false, 255, true, true),
            (Restart::OnFailure(0), false, 1, false, false),
        ] {
            let state = state(stopped, code);
            assert_eq!(starts_at_boot(policy, &state, interrupted), starts, "{policy:?}");
        }
    }
}
