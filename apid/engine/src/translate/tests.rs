//! Every field of `HostConfig` in a row of its own: what becomes of it when it is not the default.

use super::*;
use crate::error::ErrorKind;
use bulkhead_proto::{MountSpec, NetworkMode, Propagation, Seccomp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OTHER: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn plan_of(host: Value, config: Value) -> Result<Plan> {
    let mut host: HostConfig = serde_json::from_value(host).unwrap();
    if host.network_mode.is_empty() {
        host.network_mode = "bridge".to_owned();
    }
    let engine = EngineConfig::new("/", "/");
    fill_in_log_config(&mut host.log_config, &engine);
    let mut config: ContainerConfig = serde_json::from_value(config).unwrap();
    config.cmd.get_or_insert_with(|| vec!["true".to_owned()].into());
    let wish = Wish {
        id: ContainerId::from_bytes([0xab; 32]),
        layers: &[LayerId::from_bytes([1; 32])],
        config: &config,
        host: &host,
        endpoint: &EndpointSettings::default(),
    };
    translate(wish, &engine)
}

fn host(host: Value) -> Result<Plan> {
    plan_of(host, json!({}))
}

fn config(config: Value) -> Result<Plan> {
    plan_of(json!({}), config)
}

fn spec(given: Value) -> ContainerSpec {
    host(given.clone()).unwrap_or_else(|error| panic!("{given}: {error}")).spec
}

/// What a row expects.
enum Becomes {
    /// The plan is as without it.
    Nothing,
    /// This holds of the plan.
    Plan(fn(&Plan) -> bool),
    /// 501.
    NotDone,
    /// 400.
    Bad,
}
use Becomes::{Bad, NotDone, Nothing, Plan as Is};

#[expect(clippy::too_many_lines, reason = "a row a field")]
fn rows() -> Vec<(&'static str, Value, Becomes)> {
    vec![
        ("Binds", json!(["/a:/b:ro"]), Is(|plan| plan.spec.mounts.len() == 1)),
        ("Binds", json!(["name:/b"]), NotDone),
        ("Binds", json!(["/a:/b:purple"]), Bad),
        ("ContainerIDFile", json!("/x"), Nothing),
        ("LogConfig", json!({"Type": "none"}), Is(|plan| matches!(plan.log, LogPlan::None))),
        ("LogConfig", json!({"Type": "syslog"}), NotDone),
        (
            "NetworkMode",
            json!("none"),
            Is(|plan| plan.spec.namespaces.network == NetworkMode::None),
        ),
        (
            "NetworkMode",
            json!("host"),
            Is(|plan| plan.spec.namespaces.network == NetworkMode::Host),
        ),
        ("PortBindings", json!({"80/tcp": [{"HostPort": "80"}]}), NotDone),
        ("PortBindings", json!({"80/tcp": null}), Nothing),
        ("RestartPolicy", json!({"Name": "always"}), Is(|plan| plan.restart == Restart::Always)),
        (
            "RestartPolicy",
            json!({"Name": "on-failure", "MaximumRetryCount": 3}),
            Is(|plan| plan.restart == Restart::OnFailure(3)),
        ),
        ("RestartPolicy", json!({"Name": "always", "MaximumRetryCount": 3}), Bad),
        ("RestartPolicy", json!({"Name": "sometimes"}), Bad),
        ("AutoRemove", json!(true), Is(|plan| plan.auto_remove)),
        ("VolumeDriver", json!("nfs"), NotDone),
        ("VolumesFrom", json!(["x"]), NotDone),
        // Of a terminal only.
        ("ConsoleSize", json!([5, 6]), Nothing),
        ("Annotations", json!({"a": "b"}), Nothing),
        ("CapAdd", json!(["net_admin"]), Is(|plan| plan.spec.process.cap_add == 1 << 12)),
        ("CapAdd", json!(["CAP_FLY"]), Bad),
        ("CapDrop", json!(["CAP_CHOWN"]), Is(|plan| plan.spec.process.cap_drop == 1)),
        ("CgroupnsMode", json!("host"), Is(|plan| plan.spec.namespaces.cgroup == HostOr::Host)),
        ("CgroupnsMode", json!("mine"), Bad),
        ("Dns", json!(["1.1.1.1"]), Is(|plan| plan.network.dns.servers.len() == 1)),
        ("Dns", json!(["one"]), Bad),
        ("DnsOptions", json!(["ndots:1"]), Is(|plan| plan.network.dns.options == ["ndots:1"])),
        ("DnsSearch", json!(["a.b"]), Is(|plan| plan.network.dns.search == ["a.b"])),
        ("DnsSearch", json!(["a\nnameserver 6.6.6.6"]), Bad),
        ("ExtraHosts", json!(["a:10.0.0.1"]), Is(|plan| plan.network.extra_hosts.len() == 1)),
        ("ExtraHosts", json!(["a=host-gateway"]), Is(|plan| plan.network.extra_hosts.len() == 1)),
        ("ExtraHosts", json!(["a b:10.0.0.1"]), Bad),
        ("GroupAdd", json!(["audio", "7"]), Is(|plan| plan.spec.process.groups.len() == 2)),
        ("IpcMode", json!("host"), Is(|plan| plan.spec.namespaces.ipc == Share::Host)),
        ("IpcMode", json!("shareable"), Is(|plan| plan.shareable_ipc)),
        ("IpcMode", json!("none"), NotDone),
        ("Cgroup", json!("container:x"), NotDone),
        ("Links", json!(["a:b"]), NotDone),
        ("OomScoreAdj", json!(500), Is(|plan| plan.spec.process.oom_score_adj == Some(500))),
        ("OomScoreAdj", json!(1001), Bad),
        ("PidMode", json!("host"), Is(|plan| plan.spec.namespaces.pid == Share::Host)),
        (
            "PidMode",
            json!(format!("container:{OTHER}")),
            Is(|plan| plan.spec.namespaces.pid == Share::Container { id: OTHER.parse().unwrap() }),
        ),
        ("PidMode", json!("container:name"), Bad),
        ("Privileged", json!(true), Is(|plan| plan.spec.privileged)),
        ("PublishAllPorts", json!(true), NotDone),
        ("ReadonlyRootfs", json!(true), Is(|plan| plan.spec.read_only)),
        (
            "SecurityOpt",
            json!(["no-new-privileges"]),
            Is(|plan| plan.spec.process.no_new_privs == Some(true)),
        ),
        (
            "SecurityOpt",
            json!(["no-new-privileges:false"]),
            Is(|plan| plan.spec.process.no_new_privs == Some(false)),
        ),
        (
            "SecurityOpt",
            json!(["seccomp=unconfined"]),
            Is(|plan| plan.spec.process.seccomp == Seccomp::Unconfined),
        ),
        (
            "SecurityOpt",
            json!([r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#]),
            Is(|plan| plan.spec.process.seccomp == Seccomp::Program && plan.filter.is_some()),
        ),
        ("SecurityOpt", json!(["apparmor=unconfined", "label=disable"]), Nothing),
        ("SecurityOpt", json!(["apparmor=my-profile"]), NotDone),
        ("SecurityOpt", json!(["what=ever"]), Bad),
        ("StorageOpt", json!({"size": "1G"}), NotDone),
        ("Tmpfs", json!({"/t": "size=1m"}), Is(|plan| plan.spec.mounts.len() == 1)),
        ("Tmpfs", json!({"/t": "uid=0"}), NotDone),
        ("Tmpfs", json!({"/t": "context=x"}), Bad),
        ("UTSMode", json!("host"), Is(|plan| plan.spec.namespaces.uts == HostOr::Host)),
        ("UTSMode", json!("private"), Bad),
        ("UsernsMode", json!("host"), Is(|plan| plan.spec.namespaces.user == UserMode::Host)),
        ("UsernsMode", json!("keep-id"), Bad),
        ("ShmSize", json!(1024), Is(|plan| plan.spec.shm_bytes == Some(1024))),
        ("ShmSize", json!(-1), Bad),
        (
            "Sysctls",
            json!({"net/ipv4/ip_forward": "1"}),
            Is(|plan| plan.spec.sysctls[0].name == "net.ipv4.ip_forward".try_into().unwrap()),
        ),
        ("Runtime", json!("runc"), Nothing),
        ("Runtime", json!("/bin/evil"), Bad),
        ("Isolation", json!("hyperv"), Bad),
        (
            "Mounts",
            json!([{"Type": "tmpfs", "Target": "/t"}]),
            Is(|plan| plan.spec.mounts.len() == 1),
        ),
        ("Mounts", json!([{"Type": "volume", "Source": "v", "Target": "/t"}]), NotDone),
        ("Mounts", json!([{"Type": "bind", "Target": "/t"}]), Bad),
        ("Mounts", json!([{"Type": "tmpfs", "Target": "t"}]), Bad),
        ("Mounts", json!([{"Type": "tmpfs", "Target": "/t", "BindOptions": {}}]), Bad),
        ("MaskedPaths", json!(["/proc/x"]), Is(|plan| plan.spec.masked_paths.len() == 1)),
        ("MaskedPaths", json!([]), NotDone),
        ("ReadonlyPaths", json!(["/proc/y"]), Is(|plan| plan.spec.readonly_paths.len() == 1)),
        ("Init", json!(true), Is(|plan| plan.spec.init)),
        ("CpuShares", json!(7), Is(|plan| plan.spec.resources.cpu_shares == Some(7))),
        ("CpuShares", json!(-7), Bad),
        ("Memory", json!(67_108_864), Is(|plan| plan.spec.resources.memory == Some(67_108_864))),
        ("Memory", json!(4), Bad),
        (
            "NanoCpus",
            json!(500_000_000),
            Is(|plan| plan.spec.resources.cpu_quota_us == Some(50_000)),
        ),
        ("NanoCpus", json!(1), Bad),
        ("CgroupParent", json!("/x"), NotDone),
        ("BlkioWeight", json!(100), Is(|plan| plan.spec.resources.blkio_weight == Some(100))),
        ("BlkioWeight", json!(5), Bad),
        ("BlkioWeightDevice", json!([{"Path": "/dev/sda", "Weight": 10}]), NotDone),
        ("BlkioDeviceReadBps", json!([{"Path": "/dev/null", "Rate": 1}]), Bad),
        ("BlkioDeviceWriteBps", json!([{"Path": "/dev/nonesuch", "Rate": 1}]), Bad),
        ("BlkioDeviceReadIOps", json!([{"Path": "/dev/null", "Rate": 1}]), Bad),
        ("BlkioDeviceWriteIOps", json!([{"Path": "/dev/null", "Rate": 1}]), Bad),
        ("CpuPeriod", json!(50_000), Is(|plan| plan.spec.resources.cpu_period_us == Some(50_000))),
        ("CpuPeriod", json!(1), Bad),
        ("CpuQuota", json!(20_000), Is(|plan| plan.spec.resources.cpu_quota_us == Some(20_000))),
        ("CpuQuota", json!(1), Bad),
        ("CpuRealtimePeriod", json!(1), NotDone),
        ("CpuRealtimeRuntime", json!(1), NotDone),
        ("CpusetCpus", json!("0-1,3"), Is(|plan| plan.spec.resources.cpuset_cpus.is_some())),
        ("CpusetCpus", json!("3-1"), Bad),
        ("CpusetCpus", json!("1-9223372036854775807"), Bad),
        ("CpusetMems", json!("0"), Is(|plan| plan.spec.resources.cpuset_mems.is_some())),
        (
            "Devices",
            json!([{"PathOnHost": "/dev/fuse", "CgroupPermissions": "rw"}]),
            Is(|plan| plan.spec.devices[0].access == 6),
        ),
        ("Devices", json!([{"PathOnHost": "/dev/fuse", "CgroupPermissions": "x"}]), Bad),
        ("DeviceCgroupRules", json!(["a *:* rwm"]), NotDone),
        ("DeviceRequests", json!([{"Count": -1}]), NotDone),
        ("KernelMemory", json!(1), NotDone),
        ("KernelMemoryTCP", json!(1), NotDone),
        (
            "MemoryReservation",
            json!(67_108_864),
            Is(|plan| plan.spec.resources.memory_reservation == Some(67_108_864)),
        ),
        ("MemorySwap", json!(-1), Is(|plan| plan.spec.resources.memory_and_swap == Some(u64::MAX))),
        ("MemorySwap", json!(5), Bad),
        ("MemorySwappiness", json!(50), NotDone),
        ("MemorySwappiness", json!(-1), Nothing),
        ("OomKillDisable", json!(true), Is(|plan| plan.spec.resources.oom_kill_disable)),
        ("PidsLimit", json!(7), Is(|plan| plan.spec.resources.pids == Some(7))),
        ("PidsLimit", json!(-1), Is(|plan| plan.spec.resources.pids == Some(u64::MAX))),
        ("PidsLimit", json!(0), Nothing),
        (
            "Ulimits",
            json!([{"Name": "nofile", "Soft": 1, "Hard": -1}]),
            Is(|plan| plan.spec.process.rlimits[0].hard == u64::MAX),
        ),
        ("Ulimits", json!([{"Name": "nofile", "Soft": 2, "Hard": 1}]), Bad),
        ("Ulimits", json!([{"Name": "wishes", "Soft": 1, "Hard": 1}]), Bad),
        ("CpuCount", json!(1), NotDone),
        ("CpuPercent", json!(1), NotDone),
        ("IOMaximumIOps", json!(1), NotDone),
        ("IOMaximumBandwidth", json!(1), NotDone),
    ]
}

#[test]
fn every_field_of_host_config_is_done_mapped_or_refused() {
    let plain = host(json!({})).unwrap();
    for (field, value, becomes) in rows() {
        let outcome = host(json!({ field: value }));
        let fits = match (&becomes, &outcome) {
            (Nothing, Ok(plan)) => {
                plan.spec == plain.spec && plan.warnings.is_empty() && !plan.auto_remove
            }
            (Is(holds), Ok(plan)) => {
                holds(plan) && (plan.spec != plain.spec || field_of_plan(field))
            }
            (NotDone, Err(error)) => {
                error.kind() == ErrorKind::NotImplemented && error.message().contains("HostConfig")
            }
            (Bad, Err(error)) => error.kind() == ErrorKind::BadParameter,
            _ => false,
        };
        assert!(fits, "{field}={value}: {outcome:?}");
    }
}

/// Fields that change the plan and not what the shim is asked for.
fn field_of_plan(field: &str) -> bool {
    [
        "LogConfig",
        "RestartPolicy",
        "AutoRemove",
        "IpcMode",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "ExtraHosts",
    ]
    .contains(&field)
}

#[test]
fn no_field_of_host_config_is_without_a_row() {
    let mut all = HostConfig {
        annotations: Some([].into()),
        storage_opt: Some([].into()),
        tmpfs: Some([].into()),
        sysctls: Some([].into()),
        runtime: "x".to_owned(),
        mounts: Some(vec![]),
        init: Some(false),
        ..HostConfig::default()
    };
    all.resources.kernel_memory = 1;
    all.resources.kernel_memory_tcp = 1;
    let Value::Object(fields) = serde_json::to_value(&all).unwrap() else { panic!("an object") };
    let fields: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    let rows: BTreeSet<&str> = rows().iter().map(|(field, ..)| *field).collect();
    assert_eq!(fields, rows);
}

#[test]
fn dropping_all_and_adding_some_leaves_some() {
    for (add, drop, effective) in [
        (json!(["KILL"]), json!(["ALL"]), 1 << 5),
        (json!(["KILL"]), json!(["KILL"]), 1 << 5 | 1),
        (json!(["ALL"]), json!(["KILL"]), bulkhead_policy::capability::ALL & !(1 << 5)),
    ] {
        let process = spec(json!({"CapAdd": add, "CapDrop": drop})).process;
        // As the shim does it, on a default of CHOWN.
        assert_eq!((1 | process.cap_add) & !process.cap_drop, effective, "{add} {drop}");
    }
}

#[test]
fn three_spellings_of_a_bind_mount_are_one() {
    let short = spec(json!({"Binds": ["/a:/b:ro,rslave"]})).mounts[0].clone();
    let long = spec(json!({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b/",
        "ReadOnly": true, "BindOptions": {"Propagation": "slave", "CreateMountpoint": true}}]}));
    assert_eq!(short, long.mounts[0]);
    assert!(matches!(short, MountSpec::Bind { propagation: Propagation::Slave, .. }));
    let twice = host(json!({"Binds": ["/a:/b"], "Tmpfs": {"/b": ""}})).unwrap_err();
    assert_eq!(twice.message(), "Duplicate mount point: /b");
    let parents_first = spec(json!({"Binds": ["/a:/x/y"], "Tmpfs": {"/x": ""}}));
    assert!(matches!(parents_first.mounts[0], MountSpec::Tmpfs { .. }));
}

#[test]
fn system_paths_are_unconfined_as_the_client_writes_it() {
    assert!(spec(json!({"MaskedPaths": [], "ReadonlyPaths": []})).unmask);
    assert!(spec(json!({"SecurityOpt": ["systempaths=unconfined"]})).unmask);
    assert!(!spec(json!({"MaskedPaths": null})).unmask);
}

#[test]
fn conflicting_options_are_refused_in_dockers_words() {
    let other = format!("container:{OTHER}");
    for (host, config, message) in [
        (
            json!({"AutoRemove": true, "RestartPolicy": {"Name": "always"}}),
            json!({}),
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            json!({"NetworkMode": other}),
            json!({"Hostname": "x"}),
            "conflicting options: hostname and the network mode",
        ),
        (
            json!({"UTSMode": "host"}),
            json!({"Hostname": "x"}),
            "conflicting options: hostname and the UTS mode",
        ),
        (
            json!({"NanoCpus": 10_000_000, "CpuQuota": 1000}),
            json!({}),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (json!({"NetworkMode": "mine"}), json!({}), "network mine not found"),
        (
            json!({}),
            json!({"WorkingDir": "x"}),
            "the working directory 'x' is invalid, it needs to be an absolute path",
        ),
        (json!({}), json!({"Env": ["=x"]}), "invalid environment variable: =x"),
        (json!({}), json!({"StopSignal": "SIGNAL"}), "Invalid signal: SIGNAL"),
        (
            json!({}),
            json!({"ExposedPorts": {"80/http": {}}}),
            "invalid port specification: \"80/http\"",
        ),
    ] {
        let error = plan_of(host.clone(), config.clone()).unwrap_err();
        assert_eq!(error.message(), message, "{host} {config}");
    }
}

#[test]
fn the_environment_is_the_engines_then_the_configurations() {
    let process = config(json!({
        "Hostname": "web", "Tty": true, "Env": ["A=1", "PATH=/bin", "A=2", "EMPTY="],
    }))
    .unwrap()
    .spec
    .process;
    let env: Vec<String> = process.env.iter().map(ToString::to_string).collect();
    assert_eq!(env, ["PATH=/bin", "HOSTNAME=web", "TERM=xterm", "A=2", "EMPTY="]);
    assert!(process.terminal.is_some() && !process.stdin);
}

#[test]
fn what_is_left_out_is_said() {
    let plan = config(json!({
        "Volumes": {"/data": {}}, "Healthcheck": {"Test": ["CMD", "true"]},
    }))
    .unwrap();
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    let none = config(json!({"Healthcheck": {"Test": ["NONE"]}})).unwrap();
    assert!(none.warnings.is_empty());
}

#[test]
fn signals_are_numbers_or_names() {
    for (text, number) in [
        ("9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
    ] {
        assert_eq!(parse_signal(text).unwrap().number(), number, "{text}");
    }
    for bad in ["", "0", "65", "SIGNOT", "RTMIN-1", "RTMAX+1", "RTMIN+99"] {
        assert_eq!(parse_signal(bad).unwrap_err().message(), format!("Invalid signal: {bad}"));
    }
}

#[test]
fn an_update_changes_limits_only() {
    let body = |value: Value| serde_json::from_value(value).unwrap();
    let limits = for_update(&body(json!({"Memory": 67_108_864, "PidsLimit": 5}))).unwrap();
    assert_eq!((limits.memory, limits.pids), (Some(67_108_864), Some(5)));
    let devices = for_update(&body(json!({"Devices": [{"PathOnHost": "/dev/fuse"}]})));
    assert_eq!(devices.unwrap_err().kind(), ErrorKind::NotImplemented);
}

#[test]
fn an_exec_inherits_from_its_container_what_it_does_not_say() {
    let container = config(json!({"Env": ["A=1", "B=1"], "WorkingDir": "/w", "User": "me"}));
    let container = container.unwrap().spec.process;
    let body = json!({"Cmd": ["id"], "Env": ["B=2"], "AttachStdin": true});
    let process = exec_process(&serde_json::from_value(body).unwrap(), &container).unwrap();
    let env: Vec<String> = process.env.iter().map(ToString::to_string).collect();
    assert!(env.contains(&"A=1".to_owned()) && env.contains(&"B=2".to_owned()), "{env:?}");
    assert_eq!((process.cwd, process.user), (container.cwd.clone(), container.user.clone()));
    assert!(process.stdin && process.terminal.is_none());
}
