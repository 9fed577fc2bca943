//! The engine behind the API: containers, exec, logs, events, the default network, images. It
//! knows no HTTP, and it is not root: whatever needs root it asks of the shim (`shim_client`).
//!
//! All state that must survive is in `engine.db`, committed before a caller hears of a change;
//! what runs, runs below the shim and goes on without us. After a restart the engine asks the shim
//! what there is and takes it up again.
//!
//! Every operation that changes something runs to its end even if its caller goes away.
#![forbid(unsafe_code)]

mod config;
mod container;
mod engine;
mod error;
mod events;
mod exec;
#[cfg(test)]
mod fake_shim;
mod id;
mod images;
mod logs;
mod network;
mod observe;
mod options;
mod shim_client;
mod store;
mod stream;
mod time;
mod translate;

pub use config::{AddressPool, EngineConfig};
pub use container::wait::Waiter;
pub use error::{EngineError, ErrorKind, Result};
pub use events::Events;
pub use images::{Images, ImportOptions};
pub use options::{
    AttachOptions, EventsOptions, Filters, ListOptions, LogsOptions, RemoveOptions, StopOptions,
    WaitCondition, parse_time,
};
pub use stream::{Attached, Input, Output, StreamKind};

use bulkhead_proto::NetworkMode;
use bulkhead_types as api;
use container::record::Status;
use engine::{Inner, detached};
use std::sync::Arc;

/// A running engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

impl Engine {
    /// Open the state, connect to the shim (waiting for it if it is not there yet), take up what
    /// runs, set up the default network, apply restart policies.
    ///
    /// # Errors
    /// The state cannot be read or the default network cannot be made.
    pub async fn open(config: EngineConfig) -> Result<Self> {
        Inner::open(config).await.map(Self)
    }

    /// Write down what is in flight. Containers run on.
    pub async fn shutdown(&self) {
        self.0.store.flush().await;
    }

    /// For `GET /info` and `GET /version`: what only the engine knows.
    pub fn info(&self) -> EngineInfo {
        let hello = self.0.hello();
        let statuses: Vec<Status> =
            self.0.all().iter().map(|container| container.state().status).collect();
        let count = |wanted: Status| statuses.iter().filter(|status| **status == wanted).count();
        let (running, paused) = (count(Status::Running) as u64, count(Status::Paused) as u64);
        EngineInfo {
            shim_connected: self.0.shim.is_connected(),
            shim_version: hello.version.to_string(),
            instance: hello.instance.to_string(),
            cgroup_version: hello.cgroup_version,
            policy: hello.policy.to_string(),
            policy_fingerprint: hello.policy_fingerprint.to_string(),
            no_new_privs: hello.no_new_privs,
            default_pids: hello.default_pids,
            containers: statuses.len() as u64,
            running,
            paused,
            stopped: statuses.len() as u64 - running - paused,
            images: self.0.images.count().unwrap_or_default(),
            log_driver: self.0.config.log_driver.clone(),
            event_listeners: self.0.events.listeners(),
        }
    }

    /// `POST /containers/create`. `name` is as the client gave it, with or without a leading `/`.
    ///
    /// # Errors
    /// `BadParameter`, `NotImplemented`: a field says so. `NotFound`: no such image. `Conflict`:
    /// the name is taken.
    pub async fn create(
        &self,
        name: Option<&str>,
        body: api::ContainerCreateBody,
    ) -> Result<api::ContainerCreateResponse> {
        let (engine, name) = (Arc::clone(&self.0), name.map(str::to_owned));
        detached(async move { container::create::create(&engine, name, body).await }).await
    }

    /// `GET /containers/json`. Never waits for a container.
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub fn list(&self, options: &ListOptions) -> Result<Vec<api::ContainerSummary>> {
        container::list::list(&self.0, options)
    }

    /// `GET /containers/{id}/json`. Never waits for the container.
    ///
    /// # Errors
    /// `NotFound`; `BadParameter`: the short id fits several.
    pub fn inspect(&self, name: &str) -> Result<api::ContainerInspect> {
        Ok(container::show::inspect(&self.0, &*self.0.find(name)?))
    }

    /// `POST /containers/{id}/start`.
    ///
    /// # Errors
    /// `NotModified`: it runs. `Denied`: policy. `BadParameter`: the program cannot be run.
    pub async fn start(&self, name: &str) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.start(&engine).await }).await
    }

    /// `POST /containers/{id}/stop`: returns when it has stopped.
    ///
    /// # Errors
    /// `NotModified`: it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.stop(&engine, &options).await }).await
    }

    /// `POST /containers/{id}/restart`.
    ///
    /// # Errors
    /// As start.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.restart(&engine, &options).await }).await
    }

    /// `POST /containers/{id}/kill`: name or number; empty: `SIGKILL`.
    ///
    /// # Errors
    /// `Conflict`: it does not run. `BadParameter`: no such signal.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        let signal = signal.to_owned();
        detached(async move { container.kill(&engine, &signal).await }).await
    }

    /// `POST /containers/{id}/pause`
    ///
    /// # Errors
    /// `Conflict`: it does not run or is paused.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.pause(&engine).await }).await
    }

    /// `POST /containers/{id}/unpause`
    ///
    /// # Errors
    /// `Conflict`: it is not paused.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.unpause(&engine).await }).await
    }

    /// `POST /containers/{id}/rename`
    ///
    /// # Errors
    /// `Conflict`: the name is taken. `BadParameter`: it is no name.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        let new_name = new_name.to_owned();
        detached(async move { container.rename(&engine, &new_name).await }).await
    }

    /// `POST /containers/{id}/update`
    ///
    /// # Errors
    /// `BadParameter`, `Denied`: a limit.
    pub async fn update(
        &self,
        name: &str,
        body: api::ContainerUpdateBody,
    ) -> Result<api::ContainerUpdateResponse> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.update(&engine, body).await }).await
    }

    /// `POST /containers/{id}/wait`: registered when this returns, so that a start after it is
    /// seen; then [`Waiter::finish`].
    ///
    /// # Errors
    /// `NotFound`
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiter> {
        Ok(Waiter::new(self.0.find(name)?, condition))
    }

    /// `POST /containers/{id}/resize`: characters.
    ///
    /// # Errors
    /// `Conflict`: it does not run. `BadParameter`: it has no terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        self.0.find(name)?.resize(&self.0, rows, columns).await
    }

    /// `GET /containers/{id}/top`; `ps_args` as Docker's, of which `-ef` and `aux` are known.
    ///
    /// # Errors
    /// `Conflict`: it does not run.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<api::ContainerTop> {
        let container = self.0.find(name)?;
        let state = container.state();
        if !state.status.is_alive() {
            return Err(EngineError::conflict(format!(
                "container {} is not running",
                container.id
            )));
        }
        let arguments = ps_args.to_owned();
        let found = tokio::task::spawn_blocking(move || observe::top(state.pid, &arguments));
        found.await.map_err(|error| EngineError::internal("top").because(error))?
    }

    /// One sample for `GET /containers/{id}/stats`, with `precpu_stats` empty: the caller fills it
    /// in from its last sample. A container that does not run has zeros, as in Docker.
    ///
    /// # Errors
    /// `NotFound`
    pub async fn stats(&self, name: &str) -> Result<api::ContainerStats> {
        let container = self.0.find(name)?;
        let (definition, state) = (container.definition(), container.state());
        let own = matches!(
            definition.plan.spec.namespaces.network,
            NetworkMode::None | NetworkMode::Endpoints
        );
        let mut stats = if state.status.is_alive() {
            let sample = tokio::task::spawn_blocking(move || observe::stats(state.pid, own)).await;
            // A container that ends while it is looked at has no figures any more.
            sample
                .map_err(|error| EngineError::internal("stats").because(error))?
                .unwrap_or_default()
        } else {
            api::ContainerStats::default()
        };
        stats.name = format!("/{}", definition.name);
        stats.id = container.id.to_string();
        stats.read = time::rfc3339(events::now_ns());
        stats.preread = time::NEVER.to_owned();
        Ok(stats)
    }

    /// `DELETE /containers/{id}`: returns when it is gone.
    ///
    /// # Errors
    /// `Conflict`: it runs and `force` is not given.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        let (engine, container) = (Arc::clone(&self.0), self.0.find(name)?);
        detached(async move { container.remove(&engine, options).await }).await
    }

    /// `POST /containers/prune`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn prune(&self, filters: &Filters) -> Result<api::ContainersPruneReport> {
        let (engine, filters) = (Arc::clone(&self.0), filters.clone());
        detached(async move { container::remove::prune(&engine, &filters).await }).await
    }

    /// `POST /containers/{id}/attach`. Before start is as good as after it: the first byte is seen.
    /// The output ends when the container's streams do.
    ///
    /// # Errors
    /// `Conflict`: it is paused or restarting.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attached> {
        self.0.find(name)?.attach(&self.0, options).await
    }

    /// `GET /containers/{id}/logs`
    ///
    /// # Errors
    /// `NotImplemented`: its log driver keeps nothing to read. `BadParameter`: no stream chosen.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<Attached> {
        self.0.find(name)?.logs(options)
    }

    /// `POST /containers/{id}/exec`: the new exec's id.
    ///
    /// # Errors
    /// `Conflict`: the container does not run or is paused.
    pub async fn exec_create(&self, name: &str, body: api::ExecCreateBody) -> Result<String> {
        exec::create(&self.0, self.0.find(name)?, body)
    }

    /// `POST /exec/{id}/start`: its streams, or none with `detach`. The output ends when the
    /// process's streams do.
    ///
    /// # Errors
    /// `Conflict`: it was started before, or the container stopped.
    pub async fn exec_start(&self, id: &str, body: api::ExecStartBody) -> Result<Option<Attached>> {
        let (engine, exec) = (Arc::clone(&self.0), self.0.execs.get(id)?);
        detached(async move { exec.start(engine, body).await }).await
    }

    /// `POST /exec/{id}/resize`: characters.
    ///
    /// # Errors
    /// `BadParameter`: it has no terminal. `Conflict`: it does not run.
    pub async fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        self.0.execs.get(id)?.resize(rows, columns)
    }

    /// `GET /exec/{id}/json`
    ///
    /// # Errors
    /// `NotFound`
    pub fn exec_inspect(&self, id: &str) -> Result<api::ExecInspect> {
        Ok(self.0.execs.get(id)?.inspect())
    }

    /// `GET /events`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn events(&self, options: EventsOptions) -> Result<Events> {
        self.0.events.listen(options).await
    }

    /// `GET /networks`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub fn networks(&self, filters: &Filters) -> Result<Vec<api::NetworkInspect>> {
        self.0.networks.list(filters)
    }

    /// `GET /networks/{id}`: by name, id or beginning of an id.
    ///
    /// # Errors
    /// `NotFound`
    pub fn network_inspect(&self, name: &str) -> Result<api::NetworkInspect> {
        let endpoint = |container: &Arc<container::Container>| {
            let endpoint = container.state().endpoint?;
            Some((container.id.to_string(), container.definition().name.clone(), endpoint))
        };
        let endpoints: Vec<_> = self.0.all().iter().filter_map(endpoint).collect();
        self.0.networks.inspect(name, &endpoints)
    }

    /// The image operations.
    pub fn images(&self) -> Images {
        self.0.images.clone()
    }
}

/// What only the engine knows of itself; for `info` and `version`.
#[derive(Debug, Clone, Default)]
pub struct EngineInfo {
    /// The shim answers. The rest of what it said is from the last time it did.
    pub shim_connected: bool,
    /// The shim's version.
    pub shim_version: String,
    /// 8 hex digits that tell several engines on one host apart.
    pub instance: String,
    /// cgroup hierarchy in use: 1 or 2.
    pub cgroup_version: u8,
    /// The policy's name.
    pub policy: String,
    /// Its fingerprint, 16 hex digits.
    pub policy_fingerprint: String,
    /// New containers get `no_new_privs` by default.
    pub no_new_privs: bool,
    /// Default limit of processes; 0: none.
    pub default_pids: u64,
    /// Containers there are.
    pub containers: u64,
    /// Of these, running (paused ones not counted).
    pub running: u64,
    /// Of these, paused.
    pub paused: u64,
    /// Of these, neither.
    pub stopped: u64,
    /// Images there are.
    pub images: u64,
    /// The log driver of containers that name none.
    pub log_driver: String,
    /// Listeners to events.
    pub event_listeners: u64,
}

#[cfg(test)]
mod tests;
