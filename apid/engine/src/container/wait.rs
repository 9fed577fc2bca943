//! Waiting for a container's end.

use super::Container;
use crate::options::WaitCondition;
use bulkhead_types::{WaitError, WaitResponse};
use std::sync::Arc;
use tokio::sync::watch;

/// What those who wait look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// It has a process, or is between two by its restart policy.
    pub running: bool,
    /// How often it has ended since the engine began.
    pub ended: u64,
    /// It is gone.
    pub removed: bool,
    /// Of the last end.
    pub exit_code: i64,
    /// Why it could not be removed.
    pub error: String,
}

/// A wait that has been registered.
#[derive(Debug)]
pub struct Waiter {
    life: watch::Receiver<Life>,
    condition: WaitCondition,
    ended_before: u64,
    /// The sender of `life` is its.
    _container: Arc<Container>,
}

impl Waiter {
    pub(crate) fn new(container: Arc<Container>, condition: WaitCondition) -> Self {
        let life = container.life.subscribe();
        let ended_before = life.borrow().ended;
        Self { life, condition, ended_before, _container: container }
    }

    /// How it ended. Dropping the future gives up.
    pub async fn finish(mut self) -> WaitResponse {
        let (condition, before) = (self.condition, self.ended_before);
        let reached = |life: &Life| {
            life.removed
                || match condition {
                    WaitCondition::NotRunning => !life.running || life.ended > before,
                    WaitCondition::NextExit => life.ended > before,
                    WaitCondition::Removed => !life.error.is_empty(),
                }
        };
        match self.life.wait_for(reached).await {
            Ok(life) => WaitResponse {
                status_code: life.exit_code,
                error: (!life.error.is_empty()).then(|| WaitError { message: life.error.clone() }),
            },
            // The sender lives as long as this.
            Err(_) => WaitResponse::default(),
        }
    }
}
