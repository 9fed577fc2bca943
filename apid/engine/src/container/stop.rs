//! `stop`, `kill`, `restart`, `pause`, `unpause`.

use super::record::Status;
use super::{Container, Phase};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::options::StopOptions;
use crate::shim_client::ShimError;
use crate::translate::parse_signal;
use bulkhead_proto::{Refusal, Request, Signal, SignalRequest};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a killed process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// Ask it to end, then kill it. Returns when its end is written down.
    pub(crate) async fn stop(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        options: &StopOptions,
    ) -> Result<()> {
        let plan = self.definition().plan.stop;
        let signal = match options.signal.as_deref() {
            None | Some("") => plan.signal,
            Some(name) => parse_signal(name)?,
        };
        let timeout = match options.timeout {
            None => plan.timeout,
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        };
        let mut life = self.life.subscribe();
        let ended_before = life.borrow().ended;
        {
            let mut phase = self.phase.lock().await;
            match &*phase {
                Phase::Running(_) | Phase::Paused(_) => {}
                Phase::BackOff(timer) => {
                    timer.abort();
                    *phase = Phase::Idle;
                    return self.stopped_between_runs(engine).await;
                }
                Phase::Idle => return Err(EngineError::not_modified()),
                Phase::Gone => return Err(self.gone()),
            }
            self.client_stops(engine);
            self.send(engine, &mut phase, signal, false).await?;
        }
        let ended = life.wait_for(|life| life.ended > ended_before || life.removed);
        let in_time = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, ended).await.is_ok(),
            None => ended.await.is_ok(),
        };
        if !in_time {
            self.kill_and_wait(engine, ended_before).await?;
        }
        self.emit(engine, "stop", &[]);
        Ok(())
    }

    /// `SIGKILL` to everything in it, and wait until its end is written down.
    pub(super) async fn kill_and_wait(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        ended_before: u64,
    ) -> Result<()> {
        let mut life = self.life.subscribe();
        {
            let mut phase = self.phase.lock().await;
            if matches!(&*phase, Phase::Running(_) | Phase::Paused(_)) {
                self.send(engine, &mut phase, Signal::KILL, true).await?;
            }
        }
        let ended = life.wait_for(|life| life.ended > ended_before || life.removed);
        match tokio::time::timeout(KILL_PATIENCE, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(EngineError::internal(format!(
                "tried to kill container {}, but did not receive an exit event",
                self.id
            ))),
        }
    }

    /// `POST /containers/{id}/kill`
    pub(crate) async fn kill(self: &Arc<Self>, engine: &Arc<Inner>, name: &str) -> Result<()> {
        let signal = if name.is_empty() { Signal::KILL } else { parse_signal(name)? };
        let ends = signal == Signal::KILL || signal == self.definition().plan.stop.signal;
        let ended_before = self.life.borrow().ended;
        {
            let mut phase = self.phase.lock().await;
            match &*phase {
                Phase::Running(_) => {}
                Phase::Paused(_) if ends => {}
                Phase::Paused(_) => {
                    return Err(EngineError::conflict(format!(
                        "cannot kill container: {}: container {} is paused: unpause the container \
                         before stopping or killing",
                        self.id, self.id
                    )));
                }
                Phase::BackOff(timer) if ends => {
                    timer.abort();
                    *phase = Phase::Idle;
                    return self.stopped_between_runs(engine).await;
                }
                Phase::Idle | Phase::BackOff(_) => {
                    return Err(EngineError::conflict(format!(
                        "cannot kill container: {}: container {} is not running",
                        self.id, self.id
                    )));
                }
                Phase::Gone => return Err(self.gone()),
            }
            if ends {
                self.client_stops(engine);
            }
            self.send(engine, &mut phase, signal, signal == Signal::KILL).await?;
        }
        if signal == Signal::KILL {
            let mut life = self.life.subscribe();
            let ended = life.wait_for(|life| life.ended > ended_before || life.removed);
            // Docker does not fail either when that takes longer.
            drop(tokio::time::timeout(KILL_PATIENCE, ended).await);
        }
        Ok(())
    }

    /// `POST /containers/{id}/restart`
    pub(crate) async fn restart(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        options: &StopOptions,
    ) -> Result<()> {
        match self.stop(engine, options).await {
            Err(error) if error.kind() != crate::ErrorKind::NotModified => return Err(error),
            _ => {}
        }
        match self.start(engine).await {
            Err(error) if error.kind() != crate::ErrorKind::NotModified => return Err(error),
            _ => {}
        }
        self.emit(engine, "restart", &[]);
        Ok(())
    }

    /// `POST /containers/{id}/pause`
    pub(crate) async fn pause(self: &Arc<Self>, engine: &Arc<Inner>) -> Result<()> {
        let mut phase = self.phase.lock().await;
        match std::mem::replace(&mut *phase, Phase::Idle) {
            Phase::Running(running) => {
                let done = engine.shim.order(Request::Freeze(self.id)).await;
                if let Err(error) = done {
                    *phase = Phase::Running(running);
                    return Err(error.into());
                }
                *phase = Phase::Paused(running);
            }
            other @ (Phase::Idle | Phase::Paused(_) | Phase::BackOff(_) | Phase::Gone) => {
                let paused = matches!(&other, Phase::Paused(_));
                *phase = other;
                return Err(if paused {
                    EngineError::conflict(format!("container {} is already paused", self.id))
                } else {
                    self.not_running()
                });
            }
        }
        let state = self.set_state(|state| state.status = Status::Paused);
        engine.store.later(state.to_write(&self.id));
        self.emit(engine, "pause", &[]);
        Ok(())
    }

    /// `POST /containers/{id}/unpause`
    pub(crate) async fn unpause(self: &Arc<Self>, engine: &Arc<Inner>) -> Result<()> {
        let mut phase = self.phase.lock().await;
        if !matches!(&*phase, Phase::Paused(_)) {
            return Err(EngineError::conflict(format!("Container {} is not paused", self.id)));
        }
        self.thaw(engine, &mut phase).await
    }

    async fn thaw(&self, engine: &Inner, phase: &mut Phase) -> Result<()> {
        engine.shim.order(Request::Thaw(self.id)).await?;
        if let Phase::Paused(running) = std::mem::replace(phase, Phase::Idle) {
            *phase = Phase::Running(running);
        }
        let state = self.set_state(|state| state.status = Status::Running);
        engine.store.later(state.to_write(&self.id));
        self.emit(engine, "unpause", &[]);
        Ok(())
    }

    /// Send a signal to a process that may just have ended.
    async fn send(
        &self,
        engine: &Inner,
        phase: &mut Phase,
        signal: Signal,
        all: bool,
    ) -> Result<()> {
        let request = SignalRequest { target: self.target(), signal, all };
        match engine.shim.order(Request::Signal(request)).await {
            Ok(()) => {}
            Err(ShimError::Refused(Refusal::WrongPhase { .. })) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.emit(engine, "kill", &[("signal", signal.number().to_string())]);
        if matches!(phase, Phase::Paused(_)) && signal != Signal::KILL {
            // A frozen process gets its signal when it is thawed.
            self.thaw(engine, phase).await?;
        }
        Ok(())
    }

    /// It is not to be started again; `unless-stopped` remembers it over a restart of ours.
    pub(super) fn client_stops(&self, engine: &Inner) {
        self.no_restart.store(true, Ordering::Release);
        let state = self.set_state(|state| state.stopped_by_client = true);
        engine.store.later(state.to_write(&self.id));
    }

    /// Stopped while it waited to be started again.
    async fn stopped_between_runs(&self, engine: &Inner) -> Result<()> {
        self.no_restart.store(true, Ordering::Release);
        let state = self.set_state(|state| {
            state.status = Status::Exited;
            state.stopped_by_client = true;
        });
        engine.store.commit(vec![state.to_write(&self.id)]).await?;
        self.life.send_modify(|life| {
            life.running = false;
            life.ended += 1;
        });
        self.emit(engine, "stop", &[]);
        Ok(())
    }
}
