//! `GET /info`: the engine and its host.

use super::system::kernel_version;
use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;
use crate::server::App;
use crate::version;
use bulkhead_engine::EngineInfo;
use bulkhead_types::Info;
use bulkhead_types::system::{
    AddressPool, Commit, FirewallInfo, IndexInfo, PluginsInfo, RegistryConfig, Runtime, SwarmInfo,
};
use std::fs;

/// `GET /info`: 200.
pub(super) async fn info(call: Call) -> Result<Reply, ApiError> {
    let engine = call.app.engine.info();
    Ok(Reply::json(&version::info(call.version, describe(&call.app, &engine))))
}

/// Docker's index, which clients ask about even when nobody talks to it.
const INDEX: &str = "https://index.docker.io/v1/";

fn describe(app: &App, engine: &EngineInfo) -> Info {
    let host = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    let own = env!("CARGO_PKG_VERSION");
    Info {
        id: app.id.clone(),
        containers: engine.containers,
        containers_running: engine.running,
        containers_paused: engine.paused,
        containers_stopped: engine.stopped,
        images: engine.images,
        driver: "overlay2".to_owned(),
        driver_status: pairs(&[
            ("Supports d_type", "true"),
            ("Using metacopy", "false"),
            ("Native Overlay Diff", "true"),
            ("userxattr", "true"),
        ]),
        plugins: PluginsInfo {
            volume: texts(&[]),
            network: texts(&["bridge", "host", "null"]),
            authorization: None,
            log: texts(&["json-file"]),
        },
        memory_limit: true,
        swap_limit: true,
        cpu_cfs_period: true,
        cpu_cfs_quota: true,
        cpu_shares: true,
        cpu_set: true,
        pids_limit: true,
        oom_kill_disable: engine.cgroup_version == 1,
        ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward").trim() == "1",
        debug: app.settings.debug,
        n_fd: count("/proc/self/fd"),
        n_goroutines: count("/proc/self/task"),
        system_time: jiff::Timestamp::now().to_string(),
        logging_driver: engine.log_driver.clone(),
        cgroup_driver: "cgroupfs".to_owned(),
        cgroup_version: engine.cgroup_version.to_string(),
        n_events_listener: engine.event_listeners,
        kernel_version: kernel_version(),
        operating_system: os_release("PRETTY_NAME"),
        os_version: os_release("VERSION_ID"),
        os_type: "linux".to_owned(),
        architecture: host.machine().to_string_lossy().into_owned(),
        index_server_address: INDEX.to_owned(),
        registry_config: Some(registry_config()),
        n_cpu: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        mem_total: memory.totalram.saturating_mul(u64::from(memory.mem_unit)),
        docker_root_dir: app.settings.engine.state_dir.display().to_string(),
        name: host.nodename().to_string_lossy().into_owned(),
        labels: app.settings.labels.clone(),
        server_version: own.to_owned(),
        runtimes: [("bulkhead".to_owned(), Runtime::default())].into(),
        default_runtime: "bulkhead".to_owned(),
        swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..Default::default() },
        live_restore_enabled: true,
        init_binary: "bulkhead-init".to_owned(),
        runc_commit: Commit { id: engine.shim_version.clone() },
        security_options: security_options(engine),
        default_address_pools: address_pools(app),
        firewall_backend: Some(FirewallInfo { driver: "nftables".to_owned(), info: None }),
        warnings: warnings(app, engine),
        ..Default::default()
    }
}

fn security_options(engine: &EngineInfo) -> Vec<String> {
    let mut options = texts(&["name=seccomp,profile=builtin", "name=userns", "name=cgroupns"]);
    if engine.no_new_privs {
        options.push("name=no-new-privileges".to_owned());
    }
    options.push(format!("name=bulkhead,policy={}", engine.policy));
    options
}

fn warnings(app: &App, engine: &EngineInfo) -> Option<Vec<String>> {
    let mut warnings = Vec::new();
    if !engine.shim_connected {
        warnings.push("WARNING: the shim does not answer: nothing can be started".to_owned());
    }
    for host in &app.settings.hosts {
        if matches!(host, crate::listen::Address::Tcp(_)) {
            warnings.push(format!("WARNING: API is accessible on {host} without encryption."));
        }
    }
    (!warnings.is_empty()).then_some(warnings)
}

fn address_pools(app: &App) -> Option<Vec<AddressPool>> {
    let pools = &app.settings.engine.address_pools;
    let written =
        pools.iter().map(|pool| AddressPool { base: pool.base.to_string(), size: pool.size });
    (!pools.is_empty()).then(|| written.collect())
}

fn registry_config() -> RegistryConfig {
    let index = IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: Vec::new(),
        secure: true,
        official: true,
    };
    RegistryConfig {
        insecure_registry_cidrs: texts(&["::1/128", "127.0.0.0/8"]),
        index_configs: [("docker.io".to_owned(), index)].into(),
        mirrors: Some(Vec::new()),
    }
}

/// A value of os-release(5).
fn os_release(name: &str) -> String {
    let text = read("/etc/os-release");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches('"').to_owned()
}

/// A file that may be missing or fenced off: then nothing is known.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn count(directory: &str) -> u64 {
    fs::read_dir(directory).map_or(0, |entries| entries.count() as u64)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<[String; 2]> {
    pairs.iter().map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}
