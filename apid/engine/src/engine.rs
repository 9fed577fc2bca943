//! What an engine consists of, and how it begins.

use crate::config::EngineConfig;
use crate::container::record;
use crate::container::{Container, recover};
use crate::error::{EngineError, Result};
use crate::events::EventLog;
use crate::exec::Execs;
use crate::id::Index;
use crate::images::{Images, Users};
use crate::network::Networks;
use crate::shim_client::{Notice, ShimClient, ShimError};
use crate::store::Store;
use bulkhead_image::ImageUser;
use bulkhead_proto::{ContainerId, ExitStatus, Hello, Known, Phase, Refusal, Request, Target};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot};

/// Threads that copy output. A slow disk holds these up and not the API.
const LOG_THREADS: usize = 2;

/// An engine's parts.
#[derive(Debug)]
pub(crate) struct Inner {
    pub config: EngineConfig,
    pub shim: ShimClient,
    pub store: Store,
    pub events: Arc<EventLog>,
    pub networks: Networks,
    pub images: Images,
    pub execs: Execs,
    pub containers_dir: PathBuf,
    containers: Arc<Mutex<Index<Arc<Container>>>>,
    hello: RwLock<Hello>,
    logs: LogRuntime,
    /// Dropped with the rest: then nobody listens to the shim any more.
    _alive: oneshot::Sender<()>,
}

impl Inner {
    /// See [`crate::Engine::open`].
    pub(crate) async fn open(config: EngineConfig) -> Result<Arc<Self>> {
        let containers_dir = config.state_dir.join("containers");
        std::fs::create_dir_all(&containers_dir).map_err(|error| {
            EngineError::internal(format!("mkdir {}", containers_dir.display())).because(error)
        })?;
        let (store, stored, _thread) = Store::open(&config.state_dir.join("engine.db"))?;
        let (shim, mut notices) =
            ShimClient::start(config.shim_socket.clone(), &config.client_name);
        let networks = Networks::open(&config, &stored.networks, &store).await?;
        let events = EventLog::new(store.clone(), stored.last_event, config.events_kept);
        let events = Arc::new(events);
        let containers: Arc<Mutex<Index<Arc<Container>>>> = Arc::default();
        let images = Images::open(
            &config.state_dir,
            shim.clone(),
            Arc::clone(&events),
            users_of(Arc::downgrade(&containers)),
        )?;
        let (hello, known) = first_connection(&mut notices).await?;
        let (alive, gone) = oneshot::channel();
        let engine = Arc::new(Self {
            events,
            logs: LogRuntime::new()?,
            hello: RwLock::new(hello),
            containers,
            execs: Execs::default(),
            containers_dir,
            config,
            shim,
            store,
            networks,
            images,
            _alive: alive,
        });
        engine.load(stored.containers)?;
        engine.make_bridge().await?;
        recover::take_up(&engine, &known).await;
        engine.remove_stray_dirs();
        tokio::spawn(listen(Arc::downgrade(&engine), notices, gone));
        Ok(engine)
    }

    /// Containers from the database, into memory.
    fn load(&self, stored: Vec<crate::store::StoredContainer>) -> Result<()> {
        for row in stored {
            let (definition, state) = record::read(row, &self.config)?;
            let (id, name) = (definition.id.to_string(), definition.name.clone());
            let container = Arc::new(Container::new(definition, state, &self.containers_dir));
            let mut index = self.index();
            index.reserve(&name, &id).map_err(|other| {
                EngineError::internal(format!("engine.db: {id} and {other} are both {name}"))
            })?;
            index.insert(&id, container);
        }
        Ok(())
    }

    /// Have the shim make the default bridge; one that is there already is as good.
    async fn make_bridge(&self) -> Result<()> {
        let spec = self.networks.bridge_spec();
        match self.shim.order(Request::CreateNetwork(spec)).await {
            Err(ShimError::Refused(Refusal::Exists { .. })) => {
                // With another address or other rules: of an earlier configuration.
                self.shim.order(Request::RemoveNetwork(spec.id)).await?;
                self.shim.order(Request::CreateNetwork(spec)).await?;
            }
            other => other?,
        }
        Ok(())
    }

    /// Directories of containers that were removed while we were killed.
    fn remove_stray_dirs(&self) {
        let entries = std::fs::read_dir(&self.containers_dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let known = name.to_str().is_some_and(|name| self.index().get(name).is_some());
            if !known && let Err(error) = std::fs::remove_dir_all(entry.path()) {
                tracing::warn!("removing {}: {error}", entry.path().display());
            }
        }
    }

    /// The container that a client means.
    pub(crate) fn find(&self, word: &str) -> Result<Arc<Container>> {
        self.index().find(word)
    }

    /// The container with this id.
    pub(crate) fn get(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.index().get(&id.to_string())
    }

    /// All containers.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.index().all()
    }

    /// Ids and names. To be held for moments.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index<Arc<Container>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is gone.
    pub(crate) fn forget(&self, container: &Container) {
        self.index().remove(&container.id.to_string());
        self.execs.forget(&container.id);
    }

    /// Who the shim is.
    pub(crate) fn hello(&self) -> Hello {
        self.hello.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where output is copied.
    pub(crate) fn log_runtime(&self) -> &Handle {
        &self.logs.handle
    }

    /// The shim says that a process ended.
    pub(crate) fn heard_exit(self: &Arc<Self>, target: Target, status: ExitStatus) {
        match target {
            Target::Container { id } => match self.get(&id) {
                Some(container) => container.heard_exit(self, status),
                None => {
                    let engine = Arc::clone(self);
                    tokio::spawn(async move {
                        recover::clear_away(&engine, id, Phase::Stopped).await;
                    });
                }
            },
            Target::Exec { exec, .. } => match self.execs.get(&exec.to_string()) {
                Ok(exec) => exec.heard_exit(self, status),
                Err(_) => {
                    let engine = Arc::clone(self);
                    tokio::spawn(async move {
                        // One that is not ours: its output has been read, or nobody wants it.
                        if let Err(error) = engine.shim.order(Request::Release(target)).await {
                            tracing::debug!("releasing an exec: {error}");
                        }
                    });
                }
            },
        }
    }
}

/// Run a change to its end, even if its caller goes away.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(EngineError::internal("the operation failed").because(error)),
    }
}

/// Which containers use an image.
fn users_of(containers: Weak<Mutex<Index<Arc<Container>>>>) -> Users {
    Arc::new(move |image| {
        let id = image.to_string();
        let all = containers
            .upgrade()
            .map(|index| index.lock().unwrap_or_else(PoisonError::into_inner).all())
            .unwrap_or_default();
        let uses = all.into_iter().filter(|container| container.definition().record.image == id);
        uses.map(|container| ImageUser {
            container: crate::id::short(&container.id.to_string()).to_owned(),
            running: container.state().status.is_alive(),
        })
        .collect()
    })
}

async fn first_connection(
    notices: &mut mpsc::UnboundedReceiver<Notice>,
) -> Result<(Hello, Vec<Known>)> {
    loop {
        match notices.recv().await {
            Some(Notice::Connected { hello, known, .. }) => return Ok((*hello, known)),
            // It is in `known` too.
            Some(Notice::Exited { .. }) => {}
            None => return Err(EngineError::unavailable("the shim's client has ended")),
        }
    }
}

/// Hear the shim for as long as the engine lives.
async fn listen(
    engine: Weak<Inner>,
    mut notices: mpsc::UnboundedReceiver<Notice>,
    mut gone: oneshot::Receiver<()>,
) {
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => notice,
            _ = &mut gone => return,
        };
        let (Some(notice), Some(engine)) = (notice, engine.upgrade()) else { return };
        match notice {
            Notice::Exited { target, status } => engine.heard_exit(target, status),
            Notice::Connected { connection, hello, known } => {
                *engine.hello.write().unwrap_or_else(PoisonError::into_inner) = *hello;
                recover::compare(&engine, connection, &known);
                tokio::spawn(async move {
                    if let Err(error) = engine.make_bridge().await {
                        tracing::error!("the default network: {error}");
                    }
                });
            }
        }
    }
}

/// A runtime that may be dropped from within another.
#[derive(Debug)]
struct LogRuntime {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl LogRuntime {
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(LOG_THREADS)
            .thread_name("logs")
            .enable_all()
            .build()
            .map_err(|error| EngineError::internal("starting threads").because(error))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for LogRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
