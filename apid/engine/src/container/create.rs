//! `POST /containers/create`.

use super::record::{Definition, Record, State, insertion};
use super::{Container, merge};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::id;
use crate::translate::fill_in_log_config;
use bulkhead_proto::ContainerId;
use bulkhead_types::{
    ContainerCreateBody, ContainerCreateResponse, EndpointSettings, HostConfig, NetworkingConfig,
};
use std::sync::Arc;

/// How often a random name is tried before giving up.
const NAME_ATTEMPTS: u32 = 12;
/// Docker's `/dev/shm` in bytes; for inspect, the shim has the same default.
const SHM_BYTES: i64 = 64 * 1024 * 1024;

/// Make a container: nothing runs yet, and the shim does not hear of it.
pub(crate) async fn create(
    engine: &Arc<Inner>,
    name: Option<String>,
    body: ContainerCreateBody,
) -> Result<ContainerCreateResponse> {
    let ContainerCreateBody { mut config, mut host_config, networking_config } = body;
    if config.image.is_empty() {
        return Err(EngineError::bad("no image specified"));
    }
    // Until the container is there and says that it uses it.
    let _image_stays = engine.images.hold().await;
    let image = engine.images.resolve(&config.image).await?;
    merge::merge(&mut config, &image.config.config.unwrap_or_default())?;
    let endpoint = one_endpoint(engine, &mut host_config, networking_config)?;
    normalise(engine, &mut host_config)?;
    let id = id::new_container_id()?;
    let name = reserve(engine, name, &id)?;
    if config.hostname.is_empty() && !host_config.network_mode.starts_with("container:") {
        // As Docker shows it; not when it has to be empty.
        if host_config.uts_mode != "host" && host_config.network_mode != "host" {
            config.hostname = id::short(&id.to_string()).to_owned();
        }
    }
    let record = Record {
        created_ns: crate::events::now_ns(),
        image: image.id_text,
        layers: image.layers.iter().map(ToString::to_string).collect(),
        config,
        host: host_config,
        endpoint,
    };
    let made = insert(engine, id, &name, record).await;
    if made.is_err() {
        engine.index().release(&name);
    }
    made
}

async fn insert(
    engine: &Arc<Inner>,
    id: ContainerId,
    name: &str,
    record: Record,
) -> Result<ContainerCreateResponse> {
    let definition = Definition::new(id, name.to_owned(), record, &engine.config)?;
    let warnings = definition.plan.warnings.clone();
    let state = State::default();
    let row = insertion(&definition, &state);
    let container = Arc::new(Container::new(definition, state, &engine.containers_dir));
    std::fs::create_dir(&container.dir).map_err(|error| {
        EngineError::internal(format!("mkdir {}", container.dir.display())).because(error)
    })?;
    if let Err(error) = engine.store.commit(vec![row]).await {
        std::fs::remove_dir(&container.dir).unwrap_or_default();
        return Err(error.into());
    }
    engine.index().insert(&id.to_string(), Arc::clone(&container));
    container.emit(engine, "create", &[]);
    Ok(ContainerCreateResponse { id: id.to_string(), warnings })
}

/// Take the name asked for, or one of ours.
fn reserve(engine: &Inner, name: Option<String>, id: &ContainerId) -> Result<String> {
    let hex = id.to_string();
    if let Some(given) = name {
        let name = id::checked_name(&given)?;
        let reserved = engine.index().reserve(&name, &hex);
        return reserved.map(|()| name.clone()).map_err(|holder| taken(&name, &holder));
    }
    for attempt in 0..NAME_ATTEMPTS {
        let name = id::random_name(attempt)?;
        if engine.index().reserve(&name, &hex).is_ok() {
            return Ok(name);
        }
    }
    let name = id::short(&hex).to_owned();
    let reserved = engine.index().reserve(&name, &hex);
    reserved.map(|()| name.clone()).map_err(|holder| taken(&name, &holder))
}

/// Docker's sentence.
pub(super) fn taken(name: &str, holder: &str) -> EngineError {
    EngineError::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You \
         have to remove (or rename) that container to be able to reuse that name."
    ))
}

/// What it wants of the one network it is on; a network named here and not in `NetworkMode` is
/// the one.
fn one_endpoint(
    engine: &Inner,
    host: &mut HostConfig,
    networking: NetworkingConfig,
) -> Result<EndpointSettings> {
    let wanted = networking.endpoints_config.unwrap_or_default();
    if wanted.len() > 1 {
        return Err(EngineError::unsupported(
            "NetworkingConfig.EndpointsConfig: more than one network is not implemented",
        ));
    }
    let Some((name, settings)) = wanted.into_iter().next() else {
        return Ok(EndpointSettings::default());
    };
    let mode = host.network_mode.as_str();
    if matches!(mode, "" | "default") {
        host.network_mode = name;
    } else if mode != name && !(engine.networks.is_bridge(mode) && engine.networks.is_bridge(&name))
    {
        return Err(EngineError::bad(format!(
            "conflicting options: cannot attach to network {name} with network mode {mode}"
        )));
    }
    Ok(settings.unwrap_or_default())
}

/// Write out the defaults, as inspect shows them, and find the containers that are referred to.
fn normalise(engine: &Inner, host: &mut HostConfig) -> Result<()> {
    let default = |slot: &mut String, value: &str| {
        if slot.is_empty() {
            value.clone_into(slot);
        }
    };
    let mode = host.network_mode.as_str();
    if matches!(mode, "" | "default") || engine.networks.is_bridge(mode) {
        crate::network::BRIDGE.clone_into(&mut host.network_mode);
    }
    default(&mut host.ipc_mode, "private");
    default(&mut host.cgroupns_mode, "private");
    default(&mut host.restart_policy.name, "no");
    default(&mut host.runtime, "bulkhead");
    if host.shm_size == 0 {
        host.shm_size = SHM_BYTES;
    }
    fill_in_log_config(&mut host.log_config, &engine.config);
    host.port_bindings.get_or_insert_default();
    for mode in [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode] {
        if let Some(word) = mode.strip_prefix("container:") {
            *mode = format!("container:{}", engine.find(word)?.id);
        }
    }
    Ok(())
}
