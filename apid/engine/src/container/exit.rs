//! A container's process has ended: its output, its status, and what comes then.

use super::record::{State, Status};
use super::start::emit_network;
use super::{Container, Phase};
use crate::engine::Inner;
use crate::error::ErrorKind;
use crate::stream::StdinState;
use crate::translate::Restart;
use bulkhead_proto::{ExitStatus, Request};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The first and the longest pause before a restart; it doubles from one to the other. Docker's.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// A container that ran so long was well: the next pause is the shortest again.
const WELL: Duration = Duration::from_secs(10);

impl Container {
    /// The process of this run has ended. Told twice is as good as once.
    pub(super) async fn ended(self: &Arc<Self>, engine: &Arc<Inner>, run: u64, status: ExitStatus) {
        let mut phase = self.phase.lock().await;
        if self.run.load(Ordering::Acquire) != run {
            return;
        }
        let running = match std::mem::replace(&mut *phase, Phase::Idle) {
            Phase::Running(running) | Phase::Paused(running) => running,
            other @ (Phase::Idle | Phase::BackOff(_) | Phase::Gone) => {
                // It never ran for us, or we have heard this before; then it is released already.
                *phase = other;
                if let Err(error) = engine.shim.order(Request::Release(self.target())).await {
                    tracing::debug!("releasing {}: {error}", self.id);
                }
                return;
            }
        };
        let ran = running.began.elapsed();
        running.copier.finish().await;
        self.stdin.send_replace(StdinState::closed(run));
        self.after_exit(engine, &mut phase, status, ran).await;
    }

    /// All output is where it belongs. Write the status down, then let go of what is left.
    pub(super) async fn after_exit(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        phase: &mut Phase,
        status: ExitStatus,
        ran: Duration,
    ) {
        let definition = self.definition();
        let removing = self.removing.load(Ordering::Acquire);
        let stopped = removing || self.no_restart.load(Ordering::Acquire);
        let before = self.state();
        let again = !stopped && restarts(definition.plan.restart, status.code, &before);
        let state = self.set_state(|state| {
            state.status = if again { Status::Restarting } else { Status::Exited };
            state.pid = 0;
            state.exit_code = i64::from(status.code);
            state.oom_killed = status.oom_killed;
            state.finished_ns = i64::try_from(status.at_ns).unwrap_or_default();
            state.endpoint = None;
            state.restart_count += u64::from(again);
        });
        self.end_streams();
        self.emit_end(engine, &state, ran);
        if removing || (definition.plan.auto_remove && !again) {
            // It will not be there to be asked how it ended: one commit for both.
            self.release(engine, before).await;
            self.tell_end(&state, false);
            if let Err(error) = self.remove_now(engine, phase).await {
                tracing::error!("removing {}: {error}", self.id);
                self.stuck(engine, &error.to_string()).await;
            }
            return;
        }
        if let Err(error) = engine.store.commit(vec![state.to_write(&self.id)]).await {
            tracing::error!("the exit of {} was not stored: {error}", self.id);
        }
        self.tell_end(&state, again);
        self.release(engine, before).await;
        if again {
            let first = if ran >= WELL { 1 } else { state.restart_count };
            *phase = self.restart_after(engine, pause(first));
        }
    }

    /// The status is durable: the shim may forget the process, and the address is free.
    async fn release(&self, engine: &Inner, before: State) {
        if let Err(error) = engine.shim.order(Request::Release(self.target())).await {
            // It is told again with the next connection.
            tracing::warn!("releasing {}: {error}", self.id);
        }
        engine.networks.release(self.id);
        if let Some(endpoint) = before.endpoint {
            emit_network(engine, self, "disconnect", &endpoint);
        }
    }

    fn emit_end(&self, engine: &Inner, state: &State, ran: Duration) {
        if state.oom_killed {
            self.emit(engine, "oom", &[]);
        }
        let more = [
            ("exitCode", state.exit_code.to_string()),
            ("execDuration", ran.as_secs().to_string()),
        ];
        self.emit(engine, "die", &more);
    }

    fn tell_end(&self, state: &State, again: bool) {
        self.life.send_modify(|life| {
            life.running = again;
            life.ended += 1;
            life.exit_code = state.exit_code;
        });
    }

    /// It could not be removed; whoever waits for that hears so.
    pub(super) async fn stuck(&self, engine: &Inner, why: &str) {
        self.removing.store(false, Ordering::Release);
        let state = self.set_state(|state| state.status = Status::Dead);
        if let Err(error) = engine.store.commit(vec![state.to_write(&self.id)]).await {
            tracing::error!("the state of {} was not stored: {error}", self.id);
        }
        self.life.send_modify(|life| why.clone_into(&mut life.error));
    }

    /// Start it again after a pause.
    pub(super) fn restart_after(self: &Arc<Self>, engine: &Arc<Inner>, pause: Duration) -> Phase {
        let (container, engine) = (Arc::clone(self), Arc::clone(engine));
        let timer = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // From here on stopping it means to wait for the start to be done.
            let restarting =
                tokio::spawn(async move { container.restart_now(&engine, pause).await });
            drop(restarting);
        });
        Phase::BackOff(timer.abort_handle())
    }

    async fn restart_now(self: Arc<Self>, engine: &Arc<Inner>, pause: Duration) {
        let mut phase = self.phase.lock().await;
        if !matches!(&*phase, Phase::BackOff(_)) {
            return;
        }
        *phase = Phase::Idle;
        if let Err(error) = self.launch(engine, &mut phase).await {
            tracing::warn!("restarting {}: {error}", self.id);
            if error.kind() == ErrorKind::Unavailable {
                self.set_state(|state| state.status = Status::Restarting);
                let (_, longest) = PAUSE;
                *phase = self.restart_after(engine, longest.min(pause * 2));
            }
        }
    }
}

/// Whether the policy starts it again; moby `restartmanager`.
fn restarts(policy: Restart, code: u8, state: &State) -> bool {
    match policy {
        Restart::No => false,
        Restart::Always | Restart::UnlessStopped => true,
        Restart::OnFailure(most) => code != 0 && (most == 0 || state.restart_count < most),
    }
}

/// How long before the so-manieth restart in a row.
fn pause(count: u64) -> Duration {
    let (first, longest) = PAUSE;
    let doublings = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    longest.min(first * 2_u32.pow(doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_restart_as_dockers() {
        let after = |restart_count| State { restart_count, ..State::default() };
        for (policy, code, count, again) in [
            (Restart::No, 1, 0, false),
            (Restart::Always, 0, 9, true),
            (Restart::UnlessStopped, 0, 9, true),
            (Restart::OnFailure(0), 0, 0, false),
            (Restart::OnFailure(0), 1, 99, true),
            (Restart::OnFailure(3), 1, 2, true),
            (Restart::OnFailure(3), 1, 3, false),
        ] {
            assert_eq!(restarts(policy, code, &after(count)), again, "{policy:?} {code} {count}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let millis: Vec<u128> = (1..=4).map(|count| pause(count).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800]);
        assert_eq!(pause(1_000), Duration::from_secs(60));
    }
}
