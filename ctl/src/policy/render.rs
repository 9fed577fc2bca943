//! A policy as a file again, every key spelled out: what `policy check` shows. Reading it gives the
//! same policy.

use bulkhead_policy::proto::{
    ByteString, ContainerPath, ContainerSpec, HostOr, Ipv4, MountSpec, NetworkMode, Rlimit,
    Seccomp, Share, UserMode,
};
use bulkhead_policy::{
    BindIdmap, BindRoot, BlockIo, Grant, Policy, Privileged, RLIMITS, Section, capability,
};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The whole file.
pub(super) fn policy(policy: &Policy) -> String {
    let mut text = format!("name = {}\n", bytes(&policy.name));
    for (at, one) in policy.sections.iter().enumerate() {
        if at > 0 {
            text += "\n[[peers]]\n";
        }
        text += &section(one, if at == 0 { "" } else { "peers." });
    }
    text
}

/// `prefix` stands before the names of tables.
fn section(section: &Section, prefix: &str) -> String {
    let mut out = String::from("base = \"hardened\"\n");
    let mut line = |text: String| {
        out += &text;
        out.push('\n');
    };
    line(format!("uid = {}", section.uid));
    line(format!(
        "privileged = \"{}\"",
        match section.privileged {
            Privileged::Never => "never",
            Privileged::UsernsOnly => "userns-only",
            Privileged::Host => "host",
        }
    ));
    line(format!("exec_privileged = {}", section.exec_privileged));
    line(format!("binds = {}", array(section.binds.iter().map(|root| bind(root, None)))));
    line(format!(
        "devices = {}",
        array(section.devices.iter().map(|root| {
            let (path, access) = (raw(root.path.as_bytes()), access(root.access));
            format!("{{ path = {path}, access = \"{access}\", block = {} }}", root.block)
        }))
    ));
    line(format!("grants = {}", array(section.grants.iter().map(grant))));
    let mounts = &section.mounts;
    line(format!("\n[{prefix}mounts]"));
    line(format!("tmpfs_bytes = {}", number(mounts.tmpfs_bytes)));
    line(format!("shm_bytes = {}", number(mounts.shm_bytes)));
    line(format!("unmask = {}", mounts.unmask));
    line(format!("\n[{prefix}capabilities]"));
    line(format!("default = {}", capabilities(section.capabilities.default)));
    line(format!("max = {}", capabilities(section.capabilities.max)));
    line(format!("max_host_userns = {}", capabilities(section.capabilities.max_host_userns)));
    let may = &section.namespaces;
    line(format!("\n[{prefix}namespaces]"));
    for (name, value) in [
        ("user_host", may.user_host),
        ("pid_host", may.pid_host),
        ("ipc_host", may.ipc_host),
        ("network_host", may.network_host),
        ("uts_host", may.uts_host),
        ("cgroup_host", may.cgroup_host),
        ("join", may.join),
    ] {
        line(format!("{name} = {value}"));
    }
    let seccomp = &section.seccomp;
    line(format!("\n[{prefix}seccomp]"));
    line(format!("unconfined = {}", seccomp.unconfined));
    line(format!("program = {}", seccomp.program));
    line(format!("replace_default = {}", seccomp.replace_default));
    line(format!("\n[{prefix}no_new_privs]"));
    line(format!("default = {}", section.no_new_privs.default));
    line(format!("may_be_off = {}", section.no_new_privs.may_be_off));
    out + &limits(section, prefix)
}

fn limits(section: &Section, prefix: &str) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out += &text;
        out.push('\n');
    };
    line(format!("\n[{prefix}sysctls]"));
    line(format!("allow = {}", array(section.sysctls.allow.iter().map(bytes))));
    line(format!("\n[{prefix}sysctls.set]"));
    for set in section.sysctls.set.iter() {
        line(format!("{} = {}", bytes(&set.name), bytes(&set.value)));
    }
    for (name, list) in [("default", &section.rlimits.default), ("max", &section.rlimits.max)] {
        line(format!("\n[{prefix}rlimits.{name}]"));
        for Rlimit { resource, soft, hard } in list.iter() {
            let name = RLIMITS.get(usize::from(*resource)).unwrap_or(&"?");
            let value = if soft == hard { number(*soft) } else { format!("\"{soft}:{hard}\"") };
            line(format!("{name} = {value}"));
        }
    }
    line(format!("\n[{prefix}oom]"));
    line(format!("score_adj_min = {}", section.oom.score_adj_min));
    line(format!("kill_disable = {}", section.oom.kill_disable));
    let resources = &section.resources;
    line(format!("\n[{prefix}resources]"));
    line(format!("memory = {}", number(resources.memory.unwrap_or(u64::MAX))));
    line(format!("memory_and_swap = {}", number(resources.memory_and_swap)));
    line(match resources.cpus_milli {
        None => "cpus = \"unlimited\"".to_owned(),
        Some(milli) => format!("cpus = {}.{:03}", milli / 1000, milli % 1000),
    });
    line(format!("pids_default = {}", number(resources.pids_default)));
    line(format!("pids = {}", number(resources.pids)));
    line(match &resources.block_io {
        BlockIo::Any => "block_io = \"any\"".to_owned(),
        BlockIo::Listed { devices } => {
            let devices =
                devices.iter().map(|device| format!("\"{}:{}\"", device.major, device.minor));
            format!("block_io = {}", array(devices))
        }
    });
    line(format!("\n[{prefix}networks]"));
    line(format!("create = {}", section.networks.create));
    let pool = |pool: &Ipv4| format!("\"{}/{}\"", Ipv4Addr::from(pool.address), pool.prefix);
    line(format!("pools = {}", array(section.networks.pools.iter().map(pool))));
    line(format!("\n[{prefix}images]"));
    line(format!("layer_bytes = {}", number(section.images.layer_bytes)));
    let counts = &section.counts;
    line(format!("\n[{prefix}counts]"));
    line(format!("containers = {}", counts.containers));
    line(format!("execs = {}", counts.execs));
    line(format!("layers = {}", counts.layers));
    line(format!("networks = {}", counts.networks));
    out
}

fn bind(root: &BindRoot, target: Option<&ContainerPath>) -> String {
    let idmap = match root.idmap {
        BindIdmap::None => "none".to_owned(),
        BindIdmap::Full => "full".to_owned(),
        BindIdmap::Squash { id } => format!("squash:{id}"),
    };
    let mut text = format!("{{ source = {}", raw(root.source.as_bytes()));
    let mut add = |more: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        text.write_fmt(more).unwrap_or_default();
    };
    if let Some(target) = target {
        add(format_args!(", target = {}", raw(target.as_bytes())));
    }
    add(format_args!(", read_only = {}, idmap = \"{idmap}\"", root.read_only));
    add(format_args!(", no_exec = {}, suid = {}, dev = {}", root.no_exec, root.suid, root.dev));
    add(format_args!(", cross_mounts = {}", root.cross_mounts));
    if let Some(create) = &root.create {
        add(format_args!(", create = {{ uid = {}, mode = \"{:04o}\" }}", create.uid, create.mode));
    }
    add(format_args!(
        ", slave = {}, shared = {}, system = {} }}",
        root.slave, root.shared, root.system
    ));
    text
}

fn grant(grant: &Grant) -> String {
    let (spec, process) = (&grant.spec, &grant.spec.process);
    let mut fields = vec![
        format!("name = {}", bytes(&grant.name)),
        format!(
            "layers = {}",
            array(spec.layers.iter().map(|layer| format!("\"sha256:{layer}\"")))
        ),
        format!("args = {}", array(process.args.iter().map(bytes))),
        format!("env = {}", array(process.env.iter().map(bytes))),
        format!("cwd = {}", raw(process.cwd.as_bytes())),
        format!("user = {}", bytes(&process.user)),
        format!("groups = {}", array(process.groups.iter().map(bytes))),
        format!("stdin = {}", process.stdin),
        format!("privileged = {}", spec.privileged),
        format!("cap_add = {}", capabilities(process.cap_add)),
        format!("namespaces = {}", hosts(spec)),
        format!("seccomp_unconfined = {}", process.seccomp == Seccomp::Unconfined),
        format!("unmask = {}", spec.unmask),
        format!("without_floor = {}, exec = {}", grant.without_floor, grant.exec),
        format!("instances = {}", grant.instances),
    ];
    fields.extend(process.no_new_privs.map(|value| format!("no_new_privs = {value}")));
    let (mut binds, mut volumes, mut tmpfs) = (Vec::new(), Vec::new(), Vec::new());
    for mount in spec.mounts.iter() {
        match mount {
            MountSpec::Bind { target, source, .. } => {
                let root = grant.binds.iter().find(|root| root.source == *source);
                binds.extend(root.map(|root| bind(root, Some(target))));
            }
            MountSpec::Volume { target, name, read_only, .. } => {
                let (name, target) = (bytes(name), raw(target.as_bytes()));
                volumes.push(format!(
                    "{{ name = {name}, target = {target}, read_only = {read_only} }}"
                ));
            }
            MountSpec::Tmpfs { target, .. } => tmpfs.push(raw(target.as_bytes())),
            MountSpec::File { .. } => {}
        }
    }
    fields.push(format!("binds = {}", array(binds)));
    fields.push(format!("volumes = {}", array(volumes)));
    fields.push(format!("tmpfs = {}", array(tmpfs)));
    fields.push(format!(
        "devices = {}",
        array(spec.devices.iter().map(|device| {
            let (path, target) = (raw(device.host.as_bytes()), raw(device.target.as_bytes()));
            format!(
                "{{ path = {path}, target = {target}, access = \"{}\" }}",
                access(device.access)
            )
        }))
    ));
    let sysctl =
        spec.sysctls.iter().map(|set| format!("{} = {}", bytes(&set.name), bytes(&set.value)));
    fields.push(format!("sysctls = {{ {} }}", sysctl.collect::<Vec<_>>().join(", ")));
    format!("{{ {} }}", fields.join(", "))
}

fn hosts(spec: &ContainerSpec) -> String {
    let namespaces = &spec.namespaces;
    format!(
        "{{ user_host = {}, pid_host = {}, ipc_host = {}, network_host = {}, uts_host = {}, cgroup_host = {} }}",
        namespaces.user == UserMode::Host,
        namespaces.pid == Share::Host,
        namespaces.ipc == Share::Host,
        namespaces.network == NetworkMode::Host,
        namespaces.uts == HostOr::Host,
        namespaces.cgroup == HostOr::Host,
    )
}

fn access(bits: u8) -> String {
    [(2, 'r'), (4, 'w'), (1, 'm')]
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

fn capabilities(set: u64) -> String {
    if set == capability::ALL {
        return "[\"ALL\"]".to_owned();
    }
    array(capability::names(set).map(|name| quote(name.trim_start_matches("CAP_"))))
}

fn number(number: u64) -> String {
    if number == u64::MAX { "\"unlimited\"".to_owned() } else { number.to_string() }
}

fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn bytes<const MAX: usize>(text: &ByteString<MAX>) -> String {
    raw(text.as_bytes())
}

/// As a text; what a policy file says is UTF-8.
fn raw(bytes: &[u8]) -> String {
    quote(&String::from_utf8_lossy(bytes))
}

fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}
