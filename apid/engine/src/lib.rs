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
mod error;
mod events;
mod id;
mod logs;
mod network;
mod options;
mod shim_client;
mod store;
mod stream;
mod time;
mod translate;

pub use config::{AddressPool, EngineConfig};
pub use events::Events;
pub use error::{EngineError, ErrorKind, Result};
pub use options::{
    AttachOptions, EventsOptions, Filters, ListOptions, LogsOptions, RemoveOptions, StopOptions,
    WaitCondition, parse_time,
};
pub use stream::{Attached, Input, Output, StreamKind};

use bulkhead_types as api;

/// A running engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// Open the state, connect to the shim (waiting for it if it is not there yet), take up what
    /// runs, set up the default network, apply restart policies.
    ///
    /// # Errors
    /// The state cannot be read or the default network cannot be made.
    pub async fn open(config: EngineConfig) -> Result<Self> {
        let _ = config;
        Err(not_yet())
    }

    /// Write down what is in flight and let go of the shim. Containers run on.
    pub async fn shutdown(&self) {}

    /// For `GET /info` and `GET /version`: what only the engine knows.
    pub fn info(&self) -> EngineInfo {
        EngineInfo::default()
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
        let _ = (name, body);
        Err(not_yet())
    }

    /// `GET /containers/json`. Never waits for a container.
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub fn list(&self, options: &ListOptions) -> Result<Vec<api::ContainerSummary>> {
        let _ = options;
        Err(not_yet())
    }

    /// `GET /containers/{id}/json`. Never waits for the container.
    ///
    /// # Errors
    /// `NotFound`; `BadParameter`: the short id fits several.
    pub fn inspect(&self, name: &str) -> Result<api::ContainerInspect> {
        let _ = name;
        Err(not_yet())
    }

    /// `POST /containers/{id}/start`.
    ///
    /// # Errors
    /// `NotModified`: it runs. `Denied`: policy. `BadParameter`: the program cannot be run.
    pub async fn start(&self, name: &str) -> Result<()> {
        let _ = name;
        Err(not_yet())
    }

    /// `POST /containers/{id}/stop`: returns when it has stopped.
    ///
    /// # Errors
    /// `NotModified`: it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        let _ = (name, options);
        Err(not_yet())
    }

    /// `POST /containers/{id}/restart`.
    ///
    /// # Errors
    /// As start.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        let _ = (name, options);
        Err(not_yet())
    }

    /// `POST /containers/{id}/kill`: name or number; empty: `SIGKILL`.
    ///
    /// # Errors
    /// `Conflict`: it does not run. `BadParameter`: no such signal.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        let _ = (name, signal);
        Err(not_yet())
    }

    /// `POST /containers/{id}/pause`
    ///
    /// # Errors
    /// `Conflict`: it does not run or is paused.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let _ = name;
        Err(not_yet())
    }

    /// `POST /containers/{id}/unpause`
    ///
    /// # Errors
    /// `Conflict`: it is not paused.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let _ = name;
        Err(not_yet())
    }

    /// `POST /containers/{id}/rename`
    ///
    /// # Errors
    /// `Conflict`: the name is taken. `BadParameter`: it is no name.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<()> {
        let _ = (name, new_name);
        Err(not_yet())
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
        let _ = (name, body);
        Err(not_yet())
    }

    /// `POST /containers/{id}/wait`: registered when this returns, so that a start after it is
    /// seen; then [`Waiter::finish`].
    ///
    /// # Errors
    /// `NotFound`
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiter> {
        let _ = (name, condition);
        Err(not_yet())
    }

    /// `POST /containers/{id}/resize`: characters.
    ///
    /// # Errors
    /// `Conflict`: it does not run. `BadParameter`: it has no terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        let _ = (name, rows, columns);
        Err(not_yet())
    }

    /// `GET /containers/{id}/top`; `ps_args` as Docker's, of which `-ef` and `aux` are known.
    ///
    /// # Errors
    /// `Conflict`: it does not run.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<api::ContainerTop> {
        let _ = (name, ps_args);
        Err(not_yet())
    }

    /// One sample for `GET /containers/{id}/stats`, with `precpu_stats` empty: the caller fills it
    /// in from its last sample. A container that does not run has zeros, as in Docker.
    ///
    /// # Errors
    /// `NotFound`
    pub async fn stats(&self, name: &str) -> Result<api::ContainerStats> {
        let _ = name;
        Err(not_yet())
    }

    /// `DELETE /containers/{id}`: returns when it is gone.
    ///
    /// # Errors
    /// `Conflict`: it runs and `force` is not given.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        let _ = (name, options);
        Err(not_yet())
    }

    /// `POST /containers/prune`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn prune(&self, filters: &Filters) -> Result<api::ContainersPruneReport> {
        let _ = filters;
        Err(not_yet())
    }

    /// `POST /containers/{id}/attach`. Before start is as good as after it: the first byte is seen.
    /// The output ends when the container's streams do.
    ///
    /// # Errors
    /// `Conflict`: it is paused or restarting.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attached> {
        let _ = (name, options);
        Err(not_yet())
    }

    /// `GET /containers/{id}/logs`
    ///
    /// # Errors
    /// `NotImplemented`: its log driver keeps nothing to read. `BadParameter`: no stream chosen.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<Attached> {
        let _ = (name, options);
        Err(not_yet())
    }

    /// `POST /containers/{id}/exec`: the new exec's id.
    ///
    /// # Errors
    /// `Conflict`: the container does not run or is paused.
    pub async fn exec_create(&self, name: &str, body: api::ExecCreateBody) -> Result<String> {
        let _ = (name, body);
        Err(not_yet())
    }

    /// `POST /exec/{id}/start`: its streams, or none with `detach`. The output ends when the
    /// process's streams do.
    ///
    /// # Errors
    /// `Conflict`: it was started before, or the container stopped.
    pub async fn exec_start(&self, id: &str, body: api::ExecStartBody) -> Result<Option<Attached>> {
        let _ = (id, body);
        Err(not_yet())
    }

    /// `POST /exec/{id}/resize`: characters.
    ///
    /// # Errors
    /// `BadParameter`: it has no terminal. `Conflict`: it does not run.
    pub async fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let _ = (id, rows, columns);
        Err(not_yet())
    }

    /// `GET /exec/{id}/json`
    ///
    /// # Errors
    /// `NotFound`
    pub fn exec_inspect(&self, id: &str) -> Result<api::ExecInspect> {
        let _ = id;
        Err(not_yet())
    }

    /// `GET /events`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn events(&self, options: EventsOptions) -> Result<Events> {
        let _ = options;
        Err(not_yet())
    }

    /// `GET /networks`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub fn networks(&self, filters: &Filters) -> Result<Vec<api::NetworkInspect>> {
        let _ = filters;
        Err(not_yet())
    }

    /// `GET /networks/{id}`: by name, id or beginning of an id.
    ///
    /// # Errors
    /// `NotFound`
    pub fn network_inspect(&self, name: &str) -> Result<api::NetworkInspect> {
        let _ = name;
        Err(not_yet())
    }

    /// The image operations.
    pub fn images(&self) -> Images {
        Images {}
    }
}

fn not_yet() -> EngineError {
    EngineError::unsupported("not yet")
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

/// A wait that has been registered.
#[derive(Debug)]
pub struct Waiter {}

impl Waiter {
    /// How it ended. Dropping the future gives up.
    pub async fn finish(self) -> api::WaitResponse {
        api::WaitResponse::default()
    }
}

/// Of `docker import`.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// What it is called, possibly with a tag; empty: nothing.
    pub repository: String,
    /// Empty: that of `repository`, else `latest`.
    pub tag: String,
    /// A word on it; empty: Docker's `Imported from -`.
    pub message: String,
    /// Instructions as in a Dockerfile.
    pub changes: Vec<String>,
}

/// The image operations of an engine.
#[derive(Debug, Clone)]
pub struct Images {}

impl Images {
    /// `GET /images/json`
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn list(&self, all: bool, filters: Filters) -> Result<Vec<api::ImageSummary>> {
        let _ = (all, filters);
        Err(not_yet())
    }

    /// `GET /images/{name}/json`
    ///
    /// # Errors
    /// `NotFound`
    pub async fn inspect(&self, name: &str) -> Result<api::ImageInspect> {
        let _ = name;
        Err(not_yet())
    }

    /// `GET /images/{name}/history`
    ///
    /// # Errors
    /// `NotFound`
    pub async fn history(&self, name: &str) -> Result<Vec<api::ImageHistoryItem>> {
        let _ = name;
        Err(not_yet())
    }

    /// `POST /images/{name}/tag`; an empty tag is `latest`.
    ///
    /// # Errors
    /// `NotFound`; `BadParameter`: not a repository or tag.
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let _ = (name, repository, tag);
        Err(not_yet())
    }

    /// `DELETE /images/{name}`
    ///
    /// # Errors
    /// `NotFound`; `Conflict`: a container uses it, or it has several names.
    pub async fn remove(&self, name: &str, force: bool) -> Result<Vec<api::ImageDeleteItem>> {
        let _ = (name, force);
        Err(not_yet())
    }

    /// `POST /images/prune`: `dangling` is true unless filtered otherwise.
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn prune(&self, filters: Filters) -> Result<api::ImagesPruneReport> {
        let _ = filters;
        Err(not_yet())
    }

    /// `POST /images/load`: the lines to tell the client, such as `Loaded image: busybox:latest`.
    /// `body` is read on a thread that may block.
    ///
    /// # Errors
    /// `BadParameter`: not an archive of images.
    pub async fn load(&self, body: Box<dyn std::io::Read + Send>) -> Result<Vec<String>> {
        let _ = body;
        Err(not_yet())
    }

    /// `POST /images/create` with `fromSrc=-` (`docker import`): an image of one layer from a root
    /// filesystem's tar stream; its id. `body` is read on a thread that may block.
    ///
    /// # Errors
    /// `BadParameter`: a name, a change or the archive.
    pub async fn import(
        &self,
        body: Box<dyn std::io::Read + Send>,
        options: ImportOptions,
    ) -> Result<String> {
        let _ = (body, options);
        Err(not_yet())
    }
}
