//! `GET /containers/{id}/json`.

use super::Container;
use super::record::{Definition, State, Status};
use crate::engine::Inner;
use crate::network::{BRIDGE, Endpoint, HOST, NONE};
use crate::time::rfc3339;
use bulkhead_proto::MountSpec;
use bulkhead_types::{
    ContainerInspect, ContainerState, EndpointSettings, GraphDriver, Map, MountPoint,
    NetworkSettings,
};

/// What clients know this way of keeping layers as.
const DRIVER: &str = "overlay2";

/// What inspect shows of a container.
pub(crate) fn inspect(engine: &Inner, container: &Container) -> ContainerInspect {
    let (definition, state) = (container.definition(), container.state());
    let record = &definition.record;
    let (path, args) = command(&definition);
    let log = container.shelf.as_ref().map(|shelf| shelf.path().display().to_string());
    let execs = engine.execs.of(&container.id);
    ContainerInspect {
        id: container.id.to_string(),
        created: rfc3339(record.created_ns),
        path,
        args,
        state: show_state(&state),
        image: record.image.clone(),
        log_path: log.unwrap_or_default(),
        name: format!("/{}", definition.name),
        restart_count: state.restart_count,
        driver: DRIVER.to_owned(),
        platform: "linux".to_owned(),
        exec_ids: (!execs.is_empty()).then_some(execs),
        host_config: record.host.clone(),
        graph_driver: GraphDriver { data: None, name: DRIVER.to_owned() },
        mounts: mounts(&definition),
        config: record.config.clone(),
        network_settings: network_settings(engine, &definition, &state),
        ..ContainerInspect::default()
    }
}

fn show_state(state: &State) -> ContainerState {
    ContainerState {
        status: state.status.word().to_owned(),
        // Docker counts one between two runs among the running.
        running: state.status.is_alive() || state.status == Status::Restarting,
        paused: state.status == Status::Paused,
        restarting: state.status == Status::Restarting,
        oom_killed: state.oom_killed,
        dead: state.status == Status::Dead,
        pid: i64::from(state.pid),
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: rfc3339(state.started_ns),
        finished_at: rfc3339(state.finished_ns),
        health: None,
    }
}

/// The program and its arguments.
pub(super) fn command(definition: &Definition) -> (String, Vec<String>) {
    let config = &definition.record.config;
    let mut words =
        config.entrypoint.iter().chain(&config.cmd).flat_map(|list| list.iter().cloned());
    (words.next().unwrap_or_default(), words.collect())
}

/// Mounts that clients asked for, as they are.
pub(super) fn mounts(definition: &Definition) -> Vec<MountPoint> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let point = |mount: &MountSpec| match mount {
        MountSpec::Bind { target, source, read_only, propagation, .. } => Some(MountPoint {
            r#type: "bind".to_owned(),
            source: text(source.as_bytes()),
            destination: text(target.as_bytes()),
            mode: String::new(),
            rw: !read_only,
            propagation: match propagation {
                bulkhead_proto::Propagation::Private => "rprivate",
                bulkhead_proto::Propagation::Slave => "rslave",
                bulkhead_proto::Propagation::Shared => "rshared",
            }
            .to_owned(),
            ..MountPoint::default()
        }),
        MountSpec::Tmpfs { target, read_only, .. } => Some(MountPoint {
            r#type: "tmpfs".to_owned(),
            destination: text(target.as_bytes()),
            rw: !read_only,
            ..MountPoint::default()
        }),
        MountSpec::Volume { target, name, read_only, .. } => Some(MountPoint {
            r#type: "volume".to_owned(),
            name: text(name.as_bytes()),
            destination: text(target.as_bytes()),
            rw: !read_only,
            ..MountPoint::default()
        }),
        MountSpec::File { .. } => None,
    };
    definition.plan.spec.mounts.iter().filter_map(point).collect()
}

/// The networks it is on, by name. Addresses only while it runs.
pub(super) fn networks(
    engine: &Inner,
    definition: &Definition,
    endpoint: Option<&Endpoint>,
) -> Map<EndpointSettings> {
    let mode = definition.record.host.network_mode.as_str();
    let name = match mode {
        BRIDGE | HOST | NONE => mode,
        // Another container's.
        _ => return Map::new(),
    };
    let wish = &definition.record.endpoint;
    let mut settings = EndpointSettings { network_id: engine.networks.id_of(name), ..wish.clone() };
    if let Some(endpoint) = endpoint {
        settings.endpoint_id.clone_from(&endpoint.id);
        settings.gateway = endpoint.gateway.to_string();
        settings.ip_address = endpoint.address.to_string();
        settings.ip_prefix_len = endpoint.prefix;
        settings.mac_address.clone_from(&endpoint.mac);
    }
    Map::from([(name.to_owned(), settings)])
}

fn network_settings(engine: &Inner, definition: &Definition, state: &State) -> NetworkSettings {
    let endpoint = state.endpoint.as_ref();
    let mut settings = NetworkSettings {
        networks: networks(engine, definition, endpoint),
        ..NetworkSettings::default()
    };
    for port in definition.record.config.exposed_ports.keys() {
        if state.status.is_alive() {
            settings.ports.insert(port.clone(), None);
        }
    }
    if let Some(endpoint) = endpoint {
        settings.sandbox_id.clone_from(&endpoint.id);
        settings.endpoint_id.clone_from(&endpoint.id);
        settings.gateway = endpoint.gateway.to_string();
        settings.ip_address = endpoint.address.to_string();
        settings.ip_prefix_len = endpoint.prefix;
        settings.mac_address.clone_from(&endpoint.mac);
    }
    settings
}
