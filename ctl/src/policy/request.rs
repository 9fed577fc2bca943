//! The body of a request to create a container (`POST /containers/create`), as far as it asks
//! something of root. Deliberately small: what it does not understand it lists instead of guessing.

use super::value::access;
use bulkhead_policy::proto::*;
use bulkhead_policy::{RLIMITS, capability};
use serde_json::{Map, Value};

/// What was read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) spec: ContainerSpec,
    /// Fields with a value that root's policy does not see, or that cannot be judged from here.
    pub(super) unjudged: Vec<String>,
    /// `Layers` were given, which grants are compared by.
    pub(super) layers: bool,
}

/// Fields of `HostConfig` that are the engine's own business.
const ENGINES: [&str; 14] = [
    "Annotations",
    "AutoRemove",
    "ConsoleSize",
    "ContainerIDFile",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "Isolation",
    "Links",
    "LogConfig",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Init",
];

/// Read a request.
pub(super) fn read(json: &str) -> Result<Request, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let body = value.as_object().ok_or("not a JSON object")?;
    let empty = Map::new();
    let host = body.get("HostConfig").and_then(Value::as_object).unwrap_or(&empty);
    let layers: Vec<LayerId> = texts(body.get("Layers"))?
        .iter()
        .map(|text| text.strip_prefix("sha256:").unwrap_or(text).parse())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("Layers: {error}"))?;
    let mut unjudged = Vec::new();
    let mut request =
        Request { layers: !layers.is_empty(), spec: plain(body, layers)?, unjudged: Vec::new() };
    // The docker client says -1 for the kernel's own.
    let given = |field: &str, value: &Value| {
        !(is_empty(value) || field == "MemorySwappiness" && value.as_i64() == Some(-1))
    };
    for (field, value) in host.iter().filter(|(field, value)| given(field, value)) {
        let known = ENGINES.contains(&field.as_str())
            || process(&mut request.spec.process, field, value)?
            || namespace(&mut request.spec, field, value)?
            || mounts(&mut request.spec, field, value, &mut unjudged)?
            || resources(&mut request.spec.resources, field, value)?
            || other(&mut request.spec, field, value, &mut unjudged)?;
        if !known {
            unjudged.push(format!("HostConfig.{field}"));
        }
    }
    for field in ["MaskedPaths", "ReadonlyPaths"] {
        let given = host.get(field).and_then(Value::as_array);
        request.spec.unmask |= given.is_some_and(Vec::is_empty);
    }
    request.unjudged = unjudged;
    Ok(request)
}

/// A container that asks for nothing but to run.
fn plain(body: &Map<String, Value>, layers: Vec<LayerId>) -> Result<ContainerSpec, String> {
    let mut args = texts(body.get("Entrypoint"))?;
    args.extend(texts(body.get("Cmd"))?);
    if args.is_empty() {
        args.push("(the image's)".to_owned());
    }
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default();
    let cwd = match text("WorkingDir") {
        "" => "/",
        cwd => cwd,
    };
    let strings = |all: Vec<String>| {
        let all = all.iter().map(|one| Argument::try_from(one.as_str())).collect::<Result<_, _>>();
        list(all.map_err(|error| error.to_string())?)
    };
    Ok(ContainerSpec {
        id: ContainerId::from_bytes([0; 32]),
        layers: list(layers)?,
        read_only: false,
        process: ProcessSpec {
            args: strings(args)?,
            env: strings(texts(body.get("Env"))?)?,
            cwd: inside(cwd)?,
            user: name(text("User"))?,
            groups: List::default(),
            terminal: None,
            stdin: body.get("OpenStdin").and_then(Value::as_bool).unwrap_or_default(),
            cap_add: 0,
            cap_drop: 0,
            no_new_privs: None,
            rlimits: List::default(),
            oom_score_adj: None,
            seccomp: Seccomp::Default,
        },
        hostname: text("Hostname").try_into().map_err(|error| format!("Hostname: {error}"))?,
        domainname: text("Domainname")
            .try_into()
            .map_err(|error| format!("Domainname: {error}"))?,
        namespaces: Namespaces {
            user: UserMode::Private,
            pid: Share::Private,
            ipc: Share::Private,
            network: NetworkMode::Endpoints,
            uts: HostOr::Private,
            cgroup: HostOr::Private,
        },
        mounts: List::default(),
        masked_paths: List::default(),
        readonly_paths: List::default(),
        unmask: false,
        sysctls: List::default(),
        resources: Resources::default(),
        devices: List::default(),
        privileged: false,
        init: false,
        shm_bytes: None,
        endpoints: List::default(),
    })
}

/// Each of these says whether the field is one of its own.
fn process(process: &mut ProcessSpec, field: &str, value: &Value) -> Result<bool, String> {
    let set = |value| {
        let names = texts(Some(value))?;
        capability::parse(names.iter().map(String::as_str))
            .map_err(|unknown| format!("{field}: {unknown:?} is not a capability"))
    };
    match field {
        "CapAdd" => process.cap_add = set(value)?,
        "CapDrop" => process.cap_drop = set(value)?,
        "GroupAdd" => {
            let groups =
                texts(Some(value))?.iter().map(|group| name(group)).collect::<Result<_, _>>()?;
            process.groups = list(groups)?;
        }
        "OomScoreAdj" => {
            let score = value.as_i64().and_then(|score| i16::try_from(score).ok());
            process.oom_score_adj = Some(score.ok_or("OomScoreAdj: not between -1000 and 1000")?);
        }
        "Ulimits" => {
            let limits =
                value.as_array().into_iter().flatten().map(ulimit).collect::<Result<_, _>>()?;
            process.rlimits = list(limits)?;
        }
        _ => return Ok(false),
    }
    // Docker drops all, then adds; root drops what is named, last.
    if process.cap_drop == capability::ALL {
        process.cap_drop &= !process.cap_add;
    }
    Ok(true)
}

fn ulimit(value: &Value) -> Result<Rlimit, String> {
    let name = value.get("Name").and_then(Value::as_str).unwrap_or_default();
    let resource = (0..).zip(RLIMITS).find(|(_, known)| *known == name).map(|(number, _)| number);
    // -1 is no limit.
    let limit = |field| {
        let number = value.get(field).and_then(Value::as_i64).unwrap_or(-1);
        u64::try_from(number).unwrap_or(u64::MAX)
    };
    let resource = resource.ok_or_else(|| format!("Ulimits: no resource {name:?}"))?;
    Ok(Rlimit { resource, soft: limit("Soft"), hard: limit("Hard") })
}

fn namespace(spec: &mut ContainerSpec, field: &str, value: &Value) -> Result<bool, String> {
    let mode = value.as_str().unwrap_or_default();
    // Its id does not matter to the policy.
    let other = ContainerId::from_bytes([0xff; 32]);
    let host = if mode == "host" { HostOr::Host } else { HostOr::Private };
    let share = match mode {
        "host" => Share::Host,
        _ if mode.starts_with("container:") => Share::Container { id: other },
        _ => Share::Private,
    };
    let wanted = &mut spec.namespaces;
    match field {
        "UsernsMode" if mode == "host" => wanted.user = UserMode::Host,
        "UsernsMode" => {}
        "PidMode" => wanted.pid = share,
        "IpcMode" => wanted.ipc = share,
        "UTSMode" => wanted.uts = host,
        "CgroupnsMode" => wanted.cgroup = host,
        "NetworkMode" => {
            wanted.network = match share {
                Share::Host => NetworkMode::Host,
                Share::Container { id } => NetworkMode::Container { id },
                Share::Private if mode == "none" => NetworkMode::None,
                Share::Private => NetworkMode::Endpoints,
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn mounts(
    spec: &mut ContainerSpec,
    field: &str,
    value: &Value,
    unjudged: &mut Vec<String>,
) -> Result<bool, String> {
    let mut mounts = std::mem::take(&mut spec.mounts).into_vec();
    match field {
        "Binds" => {
            for text in texts(Some(value))? {
                mounts.push(short(&text)?);
            }
        }
        "Tmpfs" => {
            for (target, options) in value.as_object().into_iter().flatten() {
                if options.as_str().is_some_and(|options| options.contains("size=")) {
                    unjudged.push(format!("HostConfig.Tmpfs={target}: size"));
                }
                mounts.push(tmpfs(inside(target)?, None));
            }
        }
        "Mounts" => {
            for mount in value.as_array().into_iter().flatten() {
                match long(mount)? {
                    Some(mount) => mounts.push(mount),
                    None => unjudged.push(format!("HostConfig.Mounts: {mount}")),
                }
            }
        }
        _ => {
            spec.mounts = list(mounts)?;
            return Ok(false);
        }
    }
    spec.mounts = list(mounts)?;
    Ok(true)
}

/// `source:target[:options]`
fn short(text: &str) -> Result<MountSpec, String> {
    let mut parts = text.splitn(3, ':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next());
    let target = inside(target.ok_or_else(|| format!("Binds: {text:?} has no target"))?)?;
    let options: Vec<&str> = parts.next().unwrap_or_default().split(',').collect();
    let read_only = options.contains(&"ro");
    if !source.starts_with('/') {
        return Ok(MountSpec::Volume { target, name: name(source)?, read_only, copy_up: true });
    }
    let has = |names: [&str; 2]| options.iter().any(|option| names.contains(option));
    let propagation = match (has(["shared", "rshared"]), has(["slave", "rslave"])) {
        (true, _) => Propagation::Shared,
        (false, true) => Propagation::Slave,
        (false, false) => Propagation::Private,
    };
    bind(source, target, read_only, propagation)
}

fn long(mount: &Value) -> Result<Option<MountSpec>, String> {
    let text = |field: &str| mount.get(field).and_then(Value::as_str).unwrap_or_default();
    let read_only = mount.get("ReadOnly").and_then(Value::as_bool).unwrap_or_default();
    let target = inside(text("Target"))?;
    let option = |group: &str, field: &str| mount.get(group).and_then(|group| group.get(field));
    Ok(match text("Type") {
        "bind" => {
            let propagation = option("BindOptions", "Propagation").and_then(Value::as_str);
            let propagation = match propagation.unwrap_or_default() {
                "shared" | "rshared" => Propagation::Shared,
                "slave" | "rslave" => Propagation::Slave,
                _ => Propagation::Private,
            };
            Some(bind(text("Source"), target, read_only, propagation)?)
        }
        "tmpfs" => Some(tmpfs(target, option("TmpfsOptions", "SizeBytes").and_then(Value::as_u64))),
        "volume" if option("VolumeOptions", "DriverConfig").is_none() => {
            let name = name(if text("Source").is_empty() { "anonymous" } else { text("Source") })?;
            Some(MountSpec::Volume { target, name, read_only, copy_up: true })
        }
        _ => None,
    })
}

fn bind(
    source: &str,
    target: ContainerPath,
    read_only: bool,
    propagation: Propagation,
) -> Result<MountSpec, String> {
    let source =
        HostPath::new(source.as_bytes()).map_err(|error| format!("{source:?}: {error}"))?;
    Ok(MountSpec::Bind { target, source, read_only, propagation, recursive: true, create: true })
}

fn tmpfs(target: ContainerPath, bytes: Option<u64>) -> MountSpec {
    MountSpec::Tmpfs { target, bytes, mode: 0o1777, read_only: false, no_exec: true }
}

fn resources(resources: &mut Resources, field: &str, value: &Value) -> Result<bool, String> {
    let number = value.as_i64();
    // Docker's -1 is no limit.
    let limit = number.map(|number| u64::try_from(number).unwrap_or(u64::MAX));
    let set = |text: &str| text.try_into().map(Some).map_err(|error| format!("{field}: {error}"));
    match field {
        "Memory" => resources.memory = limit,
        "MemorySwap" => resources.memory_and_swap = limit,
        "MemoryReservation" => resources.memory_reservation = limit,
        "CpuShares" => resources.cpu_shares = limit,
        "CpuQuota" => resources.cpu_quota_us = limit.filter(|quota| *quota < u64::MAX),
        "CpuPeriod" => resources.cpu_period_us = limit,
        "NanoCpus" => resources.cpu_quota_us = limit.map(|nano| nano / 10_000),
        "CpusetCpus" => resources.cpuset_cpus = set(value.as_str().unwrap_or_default())?,
        "CpusetMems" => resources.cpuset_mems = set(value.as_str().unwrap_or_default())?,
        "PidsLimit" => resources.pids = limit,
        "BlkioWeight" => {
            resources.blkio_weight = number.and_then(|weight| u16::try_from(weight).ok())
        }
        "OomKillDisable" => resources.oom_kill_disable = value.as_bool().unwrap_or_default(),
        _ => return Ok(false),
    }
    Ok(true)
}

fn other(
    spec: &mut ContainerSpec,
    field: &str,
    value: &Value,
    unjudged: &mut Vec<String>,
) -> Result<bool, String> {
    match field {
        "Privileged" => spec.privileged = value.as_bool().unwrap_or_default(),
        "ShmSize" => spec.shm_bytes = value.as_u64(),
        "Sysctls" => {
            let all = value.as_object().into_iter().flatten().map(|(key, value)| {
                Ok(Sysctl { name: name(key)?, value: name(value.as_str().unwrap_or_default())? })
            });
            spec.sysctls = list(all.collect::<Result<_, String>>()?)?;
        }
        "Devices" => {
            let all = value.as_array().into_iter().flatten().map(device);
            spec.devices = list(all.collect::<Result<_, _>>()?)?;
        }
        "SecurityOpt" => {
            for option in texts(Some(value))? {
                security(spec, &option, unjudged);
            }
        }
        // They can only add, and an empty one is seen to elsewhere.
        "MaskedPaths" | "ReadonlyPaths" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn device(value: &Value) -> Result<DeviceSpec, String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let host = HostPath::new(text("PathOnHost").as_bytes())
        .map_err(|error| format!("Devices: {:?}: {error}", text("PathOnHost")))?;
    let target = match text("PathInContainer") {
        "" => text("PathOnHost"),
        target => target,
    };
    let access = match text("CgroupPermissions") {
        "" => 7,
        letters => access(letters)?,
    };
    Ok(DeviceSpec { host, target: inside(target)?, access })
}

fn security(spec: &mut ContainerSpec, option: &str, unjudged: &mut Vec<String>) {
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match (name, value) {
        ("no-new-privileges", "" | "true") => spec.process.no_new_privs = Some(true),
        ("no-new-privileges", _) => spec.process.no_new_privs = Some(false),
        ("seccomp", "unconfined") => spec.process.seccomp = Seccomp::Unconfined,
        ("seccomp", "builtin" | "default") => spec.process.seccomp = Seccomp::Default,
        ("seccomp", _) => spec.process.seccomp = Seccomp::Program,
        ("systempaths", "unconfined") => spec.unmask = true,
        _ => unjudged.push(format!("HostConfig.SecurityOpt={option}")),
    }
}

/// What a client sends for "nothing asked".
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// A list of texts; one text is a list of one (Docker takes both for commands).
fn texts(value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str().map(str::to_owned).ok_or_else(|| format!("{item} is not a text"))
            })
            .collect(),
        Some(other) => Err(format!("{other} is not a list of texts")),
    }
}

fn inside(path: &str) -> Result<ContainerPath, String> {
    ContainerPath::new(path.as_bytes()).map_err(|error| format!("{path:?}: {error}"))
}

fn name(text: &str) -> Result<Name, String> {
    Name::try_from(text).map_err(|error| format!("{text:?}: {error}"))
}

fn list<T, const MAX: usize>(items: Vec<T>) -> Result<List<T, MAX>, String> {
    List::try_from(items).map_err(|error| error.to_string())
}
