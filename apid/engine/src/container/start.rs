//! `POST /containers/{id}/start`, and every other start.

use super::record::{Definition, Status};
use super::{Container, Phase, Running};
use crate::engine::Inner;
use crate::error::{EngineError, ErrorKind, Result, plain};
use crate::events::Kind;
use crate::logs::{Begin, Copier, Sources};
use crate::network::{self, Endpoint};
use crate::shim_client::{Created, ShimError, StdioFds, sealed_program};
use crate::stream::{StdinFd, StdinState, non_blocking};
use bulkhead_proto::{
    ContainerPath, ContainerSpec, List, MountSpec, NetworkMode, Refusal, Request, Share,
};
use bulkhead_types::Map;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The mode of files that the engine makes.
const FILE_MODE: u32 = 0o644;
/// `ENOENT`, `EACCES`: see `errno(3)`.
const ENOENT: i32 = 2;
const EACCES: i32 = 13;

impl Container {
    /// Start it because a client says so.
    pub(crate) async fn start(self: &Arc<Self>, engine: &Arc<Inner>) -> Result<()> {
        let mut phase = self.phase.lock().await;
        match &*phase {
            Phase::Running(_) => return Err(EngineError::not_modified()),
            Phase::Paused(_) => {
                return Err(EngineError::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Phase::Gone => return Err(self.gone()),
            Phase::BackOff(timer) => timer.abort(),
            Phase::Idle => {}
        }
        if self.removing.load(Ordering::Acquire) {
            return Err(EngineError::conflict(
                "container is marked for removal and cannot be started",
            ));
        }
        self.no_restart.store(false, Ordering::Release);
        self.set_state(|state| {
            state.restart_count = 0;
            state.stopped_by_client = false;
        });
        *phase = Phase::Idle;
        let launched = self.launch(engine, &mut phase).await;
        if launched.is_err() && self.definition().plan.auto_remove {
            // As Docker does. What is wrong with the start is what the client should hear.
            if let Err(error) = self.remove_now(engine, &mut phase).await {
                tracing::warn!("removing {} after it could not be started: {error}", self.id);
            }
        }
        launched
    }

    /// From `Idle` to `Running`; after an error it is `Idle`.
    pub(super) async fn launch(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        phase: &mut Phase,
    ) -> Result<()> {
        let definition = self.definition();
        let mut launched = self.try_launch(engine, &definition).await;
        if launched.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            // The shim died on the way, and with it what had not begun to run. Once more.
            engine.networks.release(self.id);
            launched = self.try_launch(engine, &definition).await;
        }
        match launched {
            Ok(running) => {
                *phase = Phase::Running(running);
                self.life.send_modify(|life| life.running = true);
                if let Some(endpoint) = self.state().endpoint {
                    emit_network(engine, self, "connect", &endpoint);
                }
                self.emit(engine, "start", &[]);
                Ok(())
            }
            Err(error) => {
                self.failed(engine, &error).await;
                Err(error)
            }
        }
    }

    /// The steps of a start.
    async fn try_launch(
        self: &Arc<Self>,
        engine: &Arc<Inner>,
        definition: &Definition,
    ) -> Result<Running> {
        self.check_shared(engine, definition)?;
        let endpoint = lease(engine, definition)?;
        let spec = complete(engine, definition, endpoint.as_ref())?;
        let run = self.run.fetch_add(1, Ordering::AcqRel) + 1;
        let intent = self.set_state(|state| {
            state.endpoint.clone_from(&endpoint);
            state.known_to_shim = true;
        });
        let mut stored = intent;
        stored.status = Status::Starting;
        stored.started_ns = crate::events::now_ns();
        let filter = definition.plan.filter.as_deref().map(sealed_program).transpose()?;
        // Durable before anything runs; the shim takes longer.
        let request = Request::Create(spec);
        let (created, committed) = tokio::join!(
            engine.shim.process(request, filter.into_iter().collect()),
            engine.store.commit(vec![stored.to_write(&self.id)]),
        );
        let created = created.map_err(|error| not_created(error, definition))?;
        committed?;
        let pid = created.effective.pid;
        let running = self.connect(engine, created, run, Begin::Fresh).map_err(|error| {
            EngineError::internal("connecting the container's streams").because(error)
        })?;
        match engine.shim.order(Request::Start(self.id)).await {
            Ok(()) => {}
            // The shim died. If there still is a process, it was let go before that.
            Err(error @ ShimError::Unavailable(_)) => {
                if engine.shim.process(Request::Adopt(self.target()), Vec::new()).await.is_err() {
                    return Err(error.into());
                }
            }
            Err(error) => {
                running.copier.finish().await;
                self.stdin.send_replace(StdinState::closed(run));
                return Err(not_created(error, definition));
            }
        }
        let state = self.set_state(|state| {
            state.status = Status::Running;
            state.pid = pid;
            state.started_ns = crate::events::now_ns();
            state.exit_code = 0;
            state.oom_killed = false;
            state.error.clear();
        });
        // That it runs can be seen from the shim: nobody has to wait for this.
        engine.store.later(state.to_write(&self.id));
        Ok(running)
    }

    /// Take a process's streams: to the log, to the attached.
    pub(super) fn connect(
        self: &Arc<Self>,
        engine: &Inner,
        created: Created,
        run: u64,
        begin: Begin,
    ) -> io::Result<Running> {
        let connection = created.connection;
        let (sources, stdin, master) = streams(created.stdio)?;
        let log = self.log_target().map(|target| (target, begin));
        let copier = Copier::start(engine.log_runtime(), sources, Arc::clone(&self.hub), log)?;
        self.stdin.send_replace(StdinState { run, fd: stdin });
        Ok(Running { copier, master, began: Instant::now(), connection })
    }

    /// A start came to nothing: what clients see of it.
    async fn failed(self: &Arc<Self>, engine: &Inner, error: &EngineError) {
        engine.networks.release(self.id);
        // What Docker's `State.ExitCode` shows: 127, 126, else 128.
        let code = error.exit_code().unwrap_or(128);
        let state = self.set_state(|state| {
            state.endpoint = None;
            state.pid = 0;
            state.exit_code = code;
            error.message().clone_into(&mut state.error);
            if state.status != Status::Created {
                state.status = Status::Exited;
            }
        });
        self.end_streams();
        self.life.send_modify(|life| {
            life.running = false;
            life.ended += 1;
            life.exit_code = code;
        });
        if let Err(error) = engine.store.commit(vec![state.to_write(&self.id)]).await {
            tracing::error!("the state of {} was not stored: {error}", self.id);
        }
    }

    /// Containers whose namespaces it shares must run; moby's words.
    fn check_shared(&self, engine: &Inner, definition: &Definition) -> Result<()> {
        let namespaces = &definition.plan.spec.namespaces;
        let share = |share: &Share| match share {
            Share::Container { id } => Some(*id),
            Share::Private | Share::Host => None,
        };
        let network = match namespaces.network {
            NetworkMode::Container { id } => Some(id),
            NetworkMode::None | NetworkMode::Host | NetworkMode::Endpoints => None,
        };
        for (what, id) in
            [("network", network), ("PID", share(&namespaces.pid)), ("IPC", share(&namespaces.ipc))]
        {
            let Some(id) = id else { continue };
            let other = engine.find(&id.to_string())?;
            if !other.state().status.is_alive() {
                return Err(EngineError::conflict(format!(
                    "cannot join {what} namespace of a non running container: {id}"
                )));
            }
            if what == "IPC" && !other.definition().plan.shareable_ipc {
                return Err(EngineError::bad(format!(
                    "cannot join IPC of a container {id}: non-shareable IPC (hint: use \
                     IpcMode:shareable for the donor container)"
                )));
            }
        }
        Ok(())
    }
}

/// Its address for this run.
fn lease(engine: &Inner, definition: &Definition) -> Result<Option<Endpoint>> {
    let plan = &definition.plan.network;
    if !plan.bridge {
        return Ok(None);
    }
    let mut endpoint = engine.networks.lease(definition.id, None)?;
    if let Some(mac) = &plan.mac {
        endpoint.mac.clone_from(mac);
    }
    Ok(Some(endpoint))
}

/// The spec with what depends on the moment: the endpoint, and the files that the engine makes.
fn complete(
    engine: &Inner,
    definition: &Definition,
    endpoint: Option<&Endpoint>,
) -> Result<ContainerSpec> {
    let mut spec = definition.plan.spec.clone();
    let shim_endpoints: Vec<_> =
        endpoint.iter().filter_map(|of| network::shim_endpoint(of)).collect();
    spec.endpoints = List::try_from(shim_endpoints).unwrap_or_default();
    let (plan, own, hostname) = match spec.namespaces.network {
        NetworkMode::Container { id } => {
            let other = engine.find(&id.to_string())?;
            let (of, state) = (other.definition(), other.state());
            let hostname = of.plan.spec.hostname.clone();
            (of.plan.network.clone(), state.endpoint, hostname)
        }
        NetworkMode::None | NetworkMode::Host | NetworkMode::Endpoints => {
            (definition.plan.network.clone(), endpoint.cloned(), spec.hostname.clone())
        }
    };
    let own = own.map(|endpoint| (endpoint.address, plan.names.as_str()));
    let shared = spec.namespaces.network == NetworkMode::Host;
    let hosts = network::hosts(own, &plan.extra_hosts, engine.networks.gateway());
    let resolv_conf = network::resolv_conf(&plan.dns, shared);
    spec.hostname = hostname;
    let name = format!("{}\n", String::from_utf8_lossy(spec.hostname.as_bytes()));
    let mut mounts = spec.mounts.into_vec();
    for (path, content) in
        [("/etc/hosts", hosts), ("/etc/hostname", name), ("/etc/resolv.conf", resolv_conf)]
    {
        let target = ContainerPath::new(path.as_bytes())
            .map_err(|error| EngineError::internal(format!("{path}: {error}")))?;
        // What the client mounts there stays.
        if mounts.iter().all(|mount| target_of(mount) != &target) {
            let content = network::file_content(path, &content)?;
            mounts.push(MountSpec::File { target, content, mode: FILE_MODE });
        }
    }
    spec.mounts = List::try_from(mounts)
        .map_err(|error| EngineError::bad(format!("HostConfig.Mounts: {error}")))?;
    Ok(spec)
}

fn target_of(mount: &MountSpec) -> &ContainerPath {
    match mount {
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Bind { target, .. }
        | MountSpec::File { target, .. }
        | MountSpec::Volume { target, .. } => target,
    }
}

/// Sources for the copier, the writing end of standard input, and the terminal.
pub(crate) fn streams(stdio: StdioFds) -> io::Result<(Sources, Option<StdinFd>, Option<StdinFd>)> {
    Ok(match stdio {
        StdioFds::Pipes { stdin, stdout, stderr } => {
            let stdin = stdin.map(non_blocking).transpose()?.map(Arc::new);
            (Sources::Pipes(stdout, stderr), stdin, None)
        }
        StdioFds::Terminal(master) => {
            let reader = master.try_clone()?;
            let writer = Arc::new(non_blocking(master)?);
            (Sources::Terminal(reader), Some(Arc::clone(&writer)), Some(writer))
        }
    })
}

/// A refusal of create or start in Docker's words.
pub(crate) fn not_created(error: ShimError, definition: &Definition) -> EngineError {
    let ShimError::Refused(Refusal::Program { errno, step }) = &error else {
        return error.into();
    };
    let program = definition.plan.spec.process.args.first();
    let program = program.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
    let text = program_error(*errno, &plain(step), &program.unwrap_or_default());
    EngineError::bad(format!("failed to create task for container: {text}: unknown"))
        .with_exit_code(program_code(*errno))
}

/// What runc says, which clients match on.
pub(crate) fn program_error(errno: i32, step: &str, program: &str) -> String {
    let cause = io::Error::from_raw_os_error(errno).to_string().to_lowercase();
    let cause = cause.split(" (os error").next().unwrap_or_default();
    let why = if step.starts_with("exec") {
        match errno {
            ENOENT if !program.contains('/') => {
                format!("exec: \"{program}\": executable file not found in $PATH")
            }
            _ => format!("exec: \"{program}\": {cause}"),
        }
    } else {
        format!("{step}: {cause}")
    };
    format!("OCI runtime create failed: unable to start container process: {why}")
}

/// Exit codes as shells have them.
pub(crate) fn program_code(errno: i32) -> i64 {
    if errno == EACCES { 126 } else { 127 }
}

/// Docker's events of the network about a container.
pub(super) fn emit_network(
    engine: &Inner,
    container: &Container,
    action: &str,
    endpoint: &Endpoint,
) {
    let attributes = Map::from([
        ("container".to_owned(), container.id.to_string()),
        ("name".to_owned(), network::BRIDGE.to_owned()),
        ("type".to_owned(), "bridge".to_owned()),
    ]);
    engine.events.emit(Kind::Network, action, &endpoint.network, attributes);
}
