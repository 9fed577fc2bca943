//! From what a client wrote to what the shim is asked for.
//!
//! [`translate`] walks every field of `HostConfig`, `Resources` and `Config`, each of which is
//! *done* here, *mapped* to the shim's spec, or *refused* when it is not the default: 501 with a
//! sentence for what this engine does not do, 400 in Docker's words for what makes no sense. The
//! structs are taken apart field by field without `..`, so that a field added to the API does not
//! compile until it stands here.
//!
//! Whether something is *permitted* is not decided here: the shim's policy does that at start.

mod logging;
mod mounts;
mod network;
mod process;
mod profile;
mod resources;
mod security;

pub(crate) use logging::{LogPlan, fill_in as fill_in_log_config};
pub(crate) use network::NetworkPlan;
pub(crate) use process::{Restart, Stop, exec_process, merge_environment, parse_signal};
pub(crate) use resources::{for_update, validate_restart};

use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use bulkhead_proto::{
    ByteString, ContainerId, ContainerPath, ContainerSpec, HostOr, LayerId, List, Name, Namespaces,
    Share, Sysctl, UserMode,
};
use bulkhead_types::{ContainerConfig, EndpointSettings, HostConfig};
use std::fmt::Display;
use std::sync::Arc;

/// What a container is to be, validated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// All that does not depend on the moment: no endpoints, no files, and for a network, pid or
    /// IPC namespace of another container its id.
    pub spec: ContainerSpec,
    /// A system-call filter that goes with it.
    pub filter: Option<Arc<[u8]>>,
    /// Its network, hosts and resolver.
    pub network: NetworkPlan,
    /// Where its output goes.
    pub log: LogPlan,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Stop,
    /// Removed when it ends.
    pub auto_remove: bool,
    /// Other containers may share its IPC namespace.
    pub shareable_ipc: bool,
    /// What is not as asked; for the client.
    pub warnings: Vec<String>,
}

/// A container as asked for; image and configuration already merged, `container:` modes already
/// with whole ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'w> {
    pub id: ContainerId,
    pub layers: &'w [LayerId],
    pub config: &'w ContainerConfig,
    pub host: &'w HostConfig,
    /// What it wants of the one network it is on.
    pub endpoint: &'w EndpointSettings,
}

/// Translate.
///
/// # Errors
/// `BadParameter`, `NotImplemented`: the field is named.
#[expect(clippy::too_many_lines, reason = "a walk of all fields, a line or two each")]
pub(crate) fn translate(wish: Wish<'_>, engine: &EngineConfig) -> Result<Plan> {
    let mut warnings = Vec::new();
    let HostConfig {
        binds,
        // The client writes it.
        container_id_file: _,
        log_config,
        network_mode,
        port_bindings,
        restart_policy,
        auto_remove,
        volume_driver,
        volumes_from,
        console_size,
        // For people and tools; never interpreted.
        annotations: _,
        cap_add,
        cap_drop,
        cgroupns_mode,
        dns,
        dns_options,
        dns_search,
        extra_hosts,
        group_add,
        ipc_mode,
        cgroup,
        links,
        oom_score_adj,
        pid_mode,
        privileged,
        publish_all_ports,
        readonly_rootfs,
        security_opt,
        storage_opt,
        tmpfs,
        uts_mode,
        userns_mode,
        shm_size,
        sysctls,
        runtime,
        isolation,
        mounts,
        masked_paths,
        readonly_paths,
        init,
        resources,
    } = wish.host;

    not_done(
        "HostConfig.VolumeDriver",
        !matches!(volume_driver.as_str(), "" | "local"),
        "volume drivers",
    )?;
    not_done("HostConfig.VolumesFrom", some(volumes_from), "volumes of other containers")?;
    not_done("HostConfig.Links", some(links), "links between containers")?;
    not_done("HostConfig.Cgroup", !cgroup.is_empty(), "sharing another container's cgroup")?;
    not_done("HostConfig.PublishAllPorts", *publish_all_ports, "publishing ports")?;
    let published = port_bindings.iter().flatten().any(|(_, hosts)| some(hosts));
    not_done("HostConfig.PortBindings", published, "publishing ports")?;
    let quota = storage_opt.as_ref().is_some_and(|options| !options.is_empty());
    not_done("HostConfig.StorageOpt", quota, "limits on the size of the root filesystem")?;
    known_runtime(runtime, isolation)?;

    let resources = resources::translate(resources, &mut warnings)?;
    let security =
        security::translate(security_opt, masked_paths, readonly_paths, cap_add, cap_drop)?;
    let network = network::Asked {
        mode: network_mode,
        dns,
        dns_options,
        dns_search,
        extra_hosts,
        uts_host: uts_mode == "host",
    };
    let network = network::translate(wish, &network, engine)?;
    let namespaces = Namespaces {
        user: user_mode(userns_mode)?,
        pid: share("HostConfig.PidMode", "PID mode", pid_mode, false)?,
        ipc: share("HostConfig.IpcMode", "IPC mode", ipc_mode, true)?,
        network: network.mode,
        uts: host_or("UTS mode", uts_mode, false)?,
        cgroup: host_or("cgroup namespace mode", cgroupns_mode, true)?,
    };
    let asked = process::Asked {
        hostname: &network.hostname,
        console_size: *console_size,
        groups: group_add,
        oom_score_adj: *oom_score_adj,
        security: &security,
        rlimits: resources.rlimits,
    };
    let process = process::translate(wish, asked, &mut warnings)?;
    let restart = process::restart(restart_policy, *auto_remove)?;
    let stop = process::stop(wish.config)?;
    let mounts = mounts::translate(binds, mounts, tmpfs, &mut warnings)?;
    let spec = ContainerSpec {
        id: wish.id,
        layers: limited("layers", wish.layers.to_vec())?,
        read_only: *readonly_rootfs,
        process,
        hostname: text("Hostname", &network.hostname)?,
        domainname: text("Domainname", &wish.config.domainname)?,
        namespaces,
        mounts: limited("HostConfig.Mounts", mounts)?,
        masked_paths: limited("HostConfig.MaskedPaths", security.masked)?,
        readonly_paths: limited("HostConfig.ReadonlyPaths", security.readonly)?,
        unmask: security.unmask,
        sysctls: limited("HostConfig.Sysctls", kernel_parameters(sysctls)?)?,
        resources: resources.limits,
        devices: limited("HostConfig.Devices", resources.devices)?,
        privileged: *privileged,
        init: init.unwrap_or(engine.init),
        shm_bytes: shm(*shm_size)?,
        endpoints: List::default(),
    };
    Ok(Plan {
        spec,
        filter: security.filter,
        network: network.plan,
        log: logging::translate(log_config, wish.config)?,
        restart,
        stop,
        auto_remove: *auto_remove,
        shareable_ipc: ipc_mode == "shareable",
        warnings,
    })
}

/// Refuse what is asked for and not there.
fn not_done(field: &str, asked: bool, what: &str) -> Result<()> {
    if asked {
        return Err(EngineError::unsupported(format!("{field}: {what} is not implemented")));
    }
    Ok(())
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// The value in the form of the channel, or 400 with the field's name.
fn limited<T, L>(field: &str, value: T) -> Result<L>
where
    L: TryFrom<T>,
    L::Error: Display,
{
    L::try_from(value).map_err(|error| EngineError::bad(format!("{field}: {error}")))
}

fn text<const MAX: usize>(field: &str, value: &str) -> Result<ByteString<MAX>> {
    ByteString::try_from(value).map_err(|error| EngineError::bad(format!("{field}: {error}")))
}

fn container_path(field: &str, path: &str) -> Result<ContainerPath> {
    ContainerPath::new(path.as_bytes())
        .map_err(|error| EngineError::bad(format!("{field}: \"{path}\": {error}")))
}

/// The engine has one runtime; the names that clients know it by elsewhere mean the default.
fn known_runtime(runtime: &str, isolation: &str) -> Result<()> {
    if !matches!(runtime, "" | "bulkhead" | "runc" | "io.containerd.runc.v2") {
        return Err(EngineError::bad(format!("unknown or invalid runtime name: {runtime}")));
    }
    if !matches!(isolation, "" | "default") {
        return Err(EngineError::bad(format!("invalid isolation \"{isolation}\" on linux")));
    }
    Ok(())
}

fn user_mode(mode: &str) -> Result<UserMode> {
    match mode {
        "" | "private" => Ok(UserMode::Private),
        "host" => Ok(UserMode::Host),
        _ => Err(EngineError::bad(format!("invalid user namespace mode: {mode}"))),
    }
}

fn host_or(what: &str, mode: &str, private: bool) -> Result<HostOr> {
    match mode {
        "" => Ok(HostOr::Private),
        "private" if private => Ok(HostOr::Private),
        "host" => Ok(HostOr::Host),
        _ => Err(EngineError::bad(format!("invalid {what}: {mode}"))),
    }
}

fn share(field: &str, what: &str, mode: &str, ipc: bool) -> Result<Share> {
    let invalid = || EngineError::bad(format!("invalid {what}: {mode}"));
    match mode {
        "" => Ok(Share::Private),
        "host" => Ok(Share::Host),
        "private" | "shareable" if ipc => Ok(Share::Private),
        "none" if ipc => Err(EngineError::unsupported(format!(
            "{field}: an IPC namespace without /dev/shm is not implemented"
        ))),
        _ => {
            let id = mode.strip_prefix("container:").ok_or_else(invalid)?;
            Ok(Share::Container { id: id.parse().or(Err(invalid()))? })
        }
    }
}

fn shm(bytes: i64) -> Result<Option<u64>> {
    match u64::try_from(bytes) {
        Ok(0) => Ok(None),
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => Err(EngineError::bad("SHM size can not be less than 0")),
    }
}

fn kernel_parameters(sysctls: &Option<bulkhead_types::Map<String>>) -> Result<Vec<Sysctl>> {
    let sysctl = |(name, value): (&String, &String)| {
        let field = "HostConfig.Sysctls";
        let name: Name = text(field, &name.replace('/', "."))?;
        Ok(Sysctl { name, value: text(field, value.trim())? })
    };
    sysctls.iter().flatten().map(sysctl).collect()
}

#[cfg(test)]
mod tests;
