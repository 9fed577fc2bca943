//! `DELETE /containers/{id}` and prune.

use super::record::Status;
use super::{Container, Phase};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::options::{Filters, RemoveOptions, parse_time};
use crate::shim_client::ShimError;
use crate::store::Write;
use bulkhead_proto::{Refusal, Request};
use bulkhead_types::ContainersPruneReport;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Container {
    /// Remove it; returns when it is gone.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        options: RemoveOptions,
    ) -> Result<()> {
        if options.link {
            return Err(EngineError::unsupported("links between containers are not implemented"));
        }
        let definition = self.definition();
        let refused = |why: &str| {
            let name = &definition.name;
            Err(EngineError::conflict(format!("cannot remove container \"/{name}\": {why}")))
        };
        let ended_before = self.life.borrow().ended;
        {
            let mut phase = self.phase.lock().await;
            match &*phase {
                Phase::Gone => return Err(self.gone()),
                Phase::Running(_) if !options.force => {
                    return refused(
                        "container is running: stop the container before removing or force remove",
                    );
                }
                Phase::Paused(_) if !options.force => {
                    return refused("container is paused and must be unpaused first");
                }
                Phase::BackOff(_) if !options.force => {
                    return refused(
                        "container is restarting: stop the container before removing or force \
                         remove",
                    );
                }
                Phase::Running(_) | Phase::Paused(_) | Phase::BackOff(_) | Phase::Idle => {}
            }
            if self.removing.swap(true, Ordering::AcqRel) {
                return Err(EngineError::conflict(format!(
                    "removal of container {} is already in progress",
                    definition.name
                )));
            }
            match &*phase {
                Phase::Running(_) | Phase::Paused(_) => {}
                Phase::BackOff(timer) => {
                    timer.abort();
                    return self.remove_or_stuck(engine, &mut phase).await;
                }
                Phase::Idle | Phase::Gone => return self.remove_or_stuck(engine, &mut phase).await,
            }
        }
        // It goes when it ends.
        if let Err(error) = self.kill_and_wait(engine, ended_before).await {
            self.removing.store(false, Ordering::Release);
            return Err(error);
        }
        let mut life = self.life.subscribe();
        let done = life.wait_for(|life| life.removed || !life.error.is_empty()).await;
        match done {
            Ok(life) if life.removed => Ok(()),
            Ok(life) => Err(EngineError::internal(life.error.clone())),
            Err(_) => Err(self.gone()),
        }
    }

    async fn remove_or_stuck(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        phase: &mut Phase,
    ) -> Result<()> {
        let removed = self.remove_now(engine, phase).await;
        if let Err(error) = &removed {
            self.stuck(engine, error.message()).await;
        }
        removed
    }

    /// From a phase without a process to `Gone`.
    pub(super) async fn remove_now(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        phase: &mut Phase,
    ) -> Result<()> {
        let state = self.set_state(|state| state.status = Status::Removing);
        if state.known_to_shim {
            match engine.shim.order(Request::Remove(self.id)).await {
                Ok(()) | Err(ShimError::Refused(Refusal::NotFound { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let deletion = Write::DeleteContainer { id: self.id.to_string() };
        if self.definition().plan.auto_remove && state.finished_ns != 0 {
            // If this is lost, the next start finds that it ran, is gone and was to be removed.
            engine.store.later(deletion);
        } else {
            engine.store.commit(vec![deletion]).await?;
        }
        *phase = Phase::Gone;
        engine.forget(self);
        self.end_streams();
        self.emit(engine, "destroy", &[]);
        self.life.send_modify(|life| {
            life.running = false;
            life.removed = true;
            life.error.clear();
        });
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || {
            // What is left is removed at the next start.
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!("removing {}: {error}", dir.display());
                }
                _ => {}
            }
        });
        Ok(())
    }
}

/// `POST /containers/prune`: all that are stopped, or were never started.
pub(crate) async fn prune(engine: &Arc<Inner>, filters: &Filters) -> Result<ContainersPruneReport> {
    filters.only(&["until", "label", "label!"])?;
    let until = match filters.get("until") {
        Some([one]) => parse_until(one)?,
        Some(_) => return Err(EngineError::bad("more than one until filter specified")),
        None => None,
    };
    let mut deleted = Vec::new();
    for container in engine.all() {
        let (definition, state) = (container.definition(), container.state());
        let labels = definition.record.config.labels.clone().unwrap_or_default();
        let idle = matches!(state.status, Status::Created | Status::Exited | Status::Dead);
        let old = until.is_none_or(|until| definition.record.created_ns <= until);
        if !idle || !old || !filters.admits_labels(&labels) {
            continue;
        }
        match container.remove(engine, RemoveOptions::default()).await {
            Ok(()) => deleted.push(container.id.to_string()),
            Err(error) => tracing::warn!("pruning {}: {error}", container.id),
        }
    }
    engine.events.emit(
        crate::events::Kind::Container,
        "prune",
        "",
        [("reclaimed".to_owned(), "0".to_owned())].into(),
    );
    // How much room their layers took is not measured.
    Ok(ContainersPruneReport { containers_deleted: Some(deleted), space_reclaimed: 0 })
}

/// A time, or how long ago (`10m`, `1h30m`), as Docker's `until` filter takes. Nanoseconds since
/// 1970.
pub(crate) fn parse_until(text: &str) -> Result<Option<i64>> {
    match go_duration(text) {
        Some(ago) => Ok(Some(crate::events::now_ns().saturating_sub(ago))),
        None => parse_time(text),
    }
}

/// Go's `time.ParseDuration` for whole numbers, in nanoseconds.
fn go_duration(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let nanos = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(nanos)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(go_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(go_duration("10s"), Some(10_000_000_000));
        for bad in ["", "10", "s", "1x", "2024-01-01T00:00:00Z"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
