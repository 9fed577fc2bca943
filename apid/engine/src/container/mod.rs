//! One container: who owns it, and the ways through its life.
//!
//! ```text
//!   create            start                      exit
//!  ───────> Idle ──────────────> Running ──────────────────────> Idle   (or Gone: --rm)
//!            │  ^                 │   ^  \                        │ ^
//!            │  │            pause│   │   \ exit, to be restarted │ │
//!            │  └─start failed    v   │    v                      │ │
//!            │                   Paused   BackOff ───────────────┘ │
//!            │ remove              unpause    └─ stop ──────────────┘
//!            v
//!          Gone
//! ```
//!
//! [`Container::phase`] is the owner: whoever changes the container holds that lock from the
//! beginning to the end of the change, so that changes follow one another. Changes run in tasks of
//! their own ([`crate::engine::detached`]): a client that goes away does not cut one in half.
//! Readers (list, inspect) never wait for it: they see [`Container::state`], which is a copy.

pub(crate) mod attach;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod exit;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod record;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod wait;

use crate::engine::Inner;
use crate::error::EngineError;
use crate::events::Kind;
use crate::logs::{Copier, Hub, LogTarget, Shelf};
use crate::stream::{StdinFd, StdinState};
use crate::translate::LogPlan;
use bulkhead_proto::{ContainerId, ExitStatus, Target};
use bulkhead_types::Map;
use record::{Definition, State};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use wait::Life;

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub id: ContainerId,
    definition: RwLock<Arc<Definition>>,
    /// For readers; written by whoever holds `phase`.
    state: Mutex<State>,
    /// The owner's.
    phase: tokio::sync::Mutex<Phase>,
    /// For those who wait for its end.
    life: watch::Sender<Life>,
    /// Counts runs, so that news of an earlier one is not mistaken for this one's.
    run: AtomicU64,
    /// A client stopped it or removes it: it is not started again when it ends.
    no_restart: AtomicBool,
    /// A client removes it: it goes when it ends.
    removing: AtomicBool,
    hub: Arc<Hub>,
    stdin: watch::Sender<StdinState>,
    shelf: Option<Arc<Shelf>>,
    dir: PathBuf,
}

/// Where a container is, with what that phase needs.
#[derive(Debug)]
enum Phase {
    /// Without a process: never started, or ended.
    Idle,
    /// With a process.
    Running(Running),
    /// With a frozen process.
    Paused(Running),
    /// Ended; the timer starts it again.
    BackOff(AbortHandle),
    /// Removed.
    Gone,
}

/// A process, and what we hold of it.
#[derive(Debug)]
struct Running {
    copier: Copier,
    /// Of its terminal.
    master: Option<StdinFd>,
    began: Instant,
    /// The connection to the shim that it came by.
    connection: u64,
}

impl Container {
    /// A container in memory, without a process.
    pub(crate) fn new(definition: Definition, state: State, containers: &Path) -> Self {
        let hex = definition.id.to_string();
        let dir = containers.join(&hex);
        let shelf = match &definition.plan.log {
            LogPlan::None => None,
            LogPlan::JsonFile { limits, .. } => {
                Some(Arc::new(Shelf::new(dir.join(format!("{hex}-json.log")), *limits)))
            }
        };
        let life = Life { exit_code: state.exit_code, ..Life::default() };
        Self {
            id: definition.id,
            definition: RwLock::new(Arc::new(definition)),
            state: Mutex::new(state),
            phase: tokio::sync::Mutex::new(Phase::Idle),
            life: watch::Sender::new(life),
            run: AtomicU64::new(0),
            no_restart: AtomicBool::new(false),
            removing: AtomicBool::new(false),
            hub: Arc::default(),
            stdin: watch::Sender::new(StdinState::default()),
            shelf,
            dir,
        }
    }

    /// What it is to be.
    pub(crate) fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.definition.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn redefine(&self, definition: Definition) {
        *self.definition.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(definition);
    }

    /// How it is, as of now.
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Change what readers see, and answer it.
    fn set_state(&self, change: impl FnOnce(&mut State)) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.clone()
    }

    /// Its process towards the shim.
    pub(crate) fn target(&self) -> Target {
        Target::Container { id: self.id }
    }

    /// The shim says that a process of it ended.
    pub(crate) fn heard_exit(self: &Arc<Self>, engine: &Arc<Inner>, status: ExitStatus) {
        let run = self.run.load(Ordering::Acquire);
        let (container, engine) = (Arc::clone(self), Arc::clone(engine));
        tokio::spawn(async move { container.ended(&engine, run, status).await });
    }

    /// Tell listeners.
    pub(crate) fn emit(&self, engine: &Inner, action: &str, more: &[(&str, String)]) {
        let definition = self.definition();
        let config = &definition.record.config;
        let mut attributes: Map<String> = config.labels.clone().unwrap_or_default();
        attributes.insert("image".to_owned(), config.image.clone());
        attributes.insert("name".to_owned(), definition.name.clone());
        for (key, value) in more {
            attributes.insert((*key).to_owned(), value.clone());
        }
        engine.events.emit(Kind::Container, action, &self.id.to_string(), attributes);
    }

    /// Where its log goes.
    fn log_target(&self) -> Option<LogTarget> {
        let definition = self.definition();
        match (&definition.plan.log, &self.shelf) {
            (LogPlan::JsonFile { attributes, .. }, Some(shelf)) => Some(LogTarget {
                dir: self.dir.clone(),
                shelf: Arc::clone(shelf),
                attributes: Arc::clone(attributes),
            }),
            _ => None,
        }
    }

    /// Whoever is attached or follows the log sees the end.
    fn end_streams(&self) {
        self.hub.end();
        if let Some(shelf) = &self.shelf {
            shelf.end();
        }
    }

    /// Docker's sentence for what needs a running container.
    fn not_running(&self) -> EngineError {
        EngineError::conflict(format!("container {} is not running", self.id))
    }

    fn gone(&self) -> EngineError {
        EngineError::not_found(format!("No such container: {}", self.id))
    }
}
