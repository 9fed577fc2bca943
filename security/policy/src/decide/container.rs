//! `Create`: each part of a container in turn.

use super::{mounts, network, process, resources, sysctl};
use crate::effective::{Confinement, DevicePermit, EffectiveContainer, GrantUse};
use crate::policy::{Grant, HostFacts, Privileged, Section};
use crate::rule::{self, Judge};
use crate::{capability, paths};
use bulkhead_proto::{ContainerPath, ContainerSpec, HostOr, NetworkMode, Seccomp, Share, UserMode};

/// What the container will be, as far as `judge` permits it.
pub(super) fn decide(
    section: &Section,
    host: &HostFacts,
    spec: ContainerSpec,
    grant: Option<&Grant>,
) -> (EffectiveContainer, Judge) {
    let mut judge = Judge::default();
    let judge_ref = &mut judge;
    names(judge_ref, &spec);
    privileged(judge_ref, section, &spec);
    namespaces(judge_ref, section, &spec);
    network::endpoints(judge_ref, section, &spec);
    let confinement = confinement(judge_ref, section, &spec, grant);
    let devices = devices(judge_ref, section, &spec);
    let sysctls = sysctl::decide(judge_ref, section, &spec);
    let rlimits = process::rlimits(judge_ref, section, &spec.process);
    let score = process::oom_score_adj(judge_ref, section, &spec.process);
    resources::check(judge_ref, section, &spec.resources);
    if spec.unmask {
        let field = "HostConfig.SecurityOpt=systempaths=unconfined";
        judge_ref.ask(rule::UNMASK, section.mounts.unmask, field);
    }
    let unmask = spec.unmask || spec.privileged;
    let masked_paths = union(paths::masked(host.cpus), unmask, &spec.masked_paths);
    let readonly_paths = union(paths::read_only(), unmask, &spec.readonly_paths);
    let mut spec = spec;
    let binds = mounts::decide(judge_ref, section, host, &mut spec, grant.is_some());
    spec.shm_bytes = Some(mounts::shm(judge_ref, section, &spec));
    resources::fill(section, &mut spec.resources);
    spec.process.no_new_privs = Some(confinement.no_new_privs);
    spec.process.oom_score_adj = Some(score);
    let grant = grant.map(|grant| GrantUse {
        name: grant.name.clone(),
        exec: grant.exec,
        instances: grant.instances,
    });
    let effective = EffectiveContainer {
        spec,
        confinement,
        binds,
        devices,
        masked_paths,
        readonly_paths,
        sysctls,
        rlimits,
        grant,
    };
    (effective, judge)
}

/// Engine's paths, unless unmasked, and those asked for, each once.
fn union(engine: Vec<ContainerPath>, unmask: bool, asked: &[ContainerPath]) -> Vec<ContainerPath> {
    let mut all = if unmask { Vec::new() } else { engine };
    for path in asked {
        if !all.contains(path) {
            all.push(path.clone());
        }
    }
    all
}

/// RFC 1123 bytes and the underscore, which many hosts have in practice.
fn names(judge: &mut Judge, spec: &ContainerSpec) {
    let fields = [
        ("Config.Hostname", spec.hostname.as_bytes()),
        ("Config.Domainname", spec.domainname.as_bytes()),
    ];
    for (field, name) in fields {
        let ok = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
            && !matches!(name.first(), Some(b'-' | b'.'));
        judge.valid(ok, || format!("{field} has bytes that no host name has"));
    }
}

fn privileged(judge: &mut Judge, section: &Section, spec: &ContainerSpec) {
    if !spec.privileged {
        return;
    }
    let in_host = spec.namespaces.user == UserMode::Host;
    let (rule, allowed) = match section.privileged {
        Privileged::Never => (rule::PRIVILEGED, false),
        Privileged::UsernsOnly => {
            (if in_host { rule::PRIVILEGED_HOST } else { rule::PRIVILEGED }, !in_host)
        }
        Privileged::Host => (rule::PRIVILEGED_HOST, true),
    };
    judge.ask(rule, allowed, "HostConfig.Privileged=true");
}

fn namespaces(judge: &mut Judge, section: &Section, spec: &ContainerSpec) {
    let (wanted, may) = (&spec.namespaces, &section.namespaces);
    if wanted.user == UserMode::Host {
        judge.ask(rule::USER_HOST, may.user_host, "HostConfig.UsernsMode=host");
    }
    if wanted.uts == HostOr::Host {
        judge.ask(rule::UTS_HOST, may.uts_host, "HostConfig.UTSMode=host");
    }
    if wanted.cgroup == HostOr::Host {
        judge.ask(rule::CGROUP_HOST, may.cgroup_host, "HostConfig.CgroupnsMode=host");
    }
    let network = match wanted.network {
        NetworkMode::None | NetworkMode::Endpoints => Share::Private,
        NetworkMode::Host => Share::Host,
        NetworkMode::Container { id } => Share::Container { id },
    };
    let shares = [
        ("PidMode", wanted.pid, rule::PID_HOST, may.pid_host),
        ("IpcMode", wanted.ipc, rule::IPC_HOST, may.ipc_host),
        ("NetworkMode", network, rule::NETWORK_HOST, may.network_host),
    ];
    for (field, share, host_rule, host) in shares {
        match share {
            Share::Private => {}
            Share::Host => judge.ask(host_rule, host, format!("HostConfig.{field}=host")),
            Share::Container { id } => {
                judge.valid(id != spec.id, || {
                    format!("HostConfig.{field} names the container itself")
                });
                judge.ask(rule::JOIN, may.join, format!("HostConfig.{field}=container:{id}"));
            }
        }
    }
}

fn confinement(
    judge: &mut Judge,
    section: &Section,
    spec: &ContainerSpec,
    grant: Option<&Grant>,
) -> Confinement {
    let may = &section.capabilities;
    let (max, rule) = match spec.namespaces.user {
        UserMode::Private => (may.max, rule::CAPS_MAX),
        UserMode::Host => (may.max_host_userns, rule::CAPS_HOST),
    };
    // Whoever may be privileged has all there are; whether one may is asked elsewhere.
    let (default, max) =
        if spec.privileged { (capability::ALL, capability::ALL) } else { (may.default, max) };
    let capabilities = process::capabilities(judge, &spec.process, default, max, rule);
    process::filters(judge, section, &spec.process);
    let replaced = match spec.process.seccomp {
        Seccomp::Default => spec.privileged,
        Seccomp::Unconfined => true,
        Seccomp::Program => section.seccomp.replace_default,
    };
    Confinement {
        capabilities,
        no_new_privs: process::no_new_privs(judge, section, &spec.process),
        seccomp_floor: grant.is_none_or(|grant| !grant.without_floor),
        seccomp_default: !replaced,
        seccomp_program: spec.process.seccomp == Seccomp::Program,
    }
}

fn devices(judge: &mut Judge, section: &Section, spec: &ContainerSpec) -> Vec<DevicePermit> {
    let mut permits = Vec::new();
    for device in spec.devices.iter() {
        let path = &device.host;
        let below = path.is_at_or_below("/dev") && device.target.is_at_or_below("/dev");
        judge.valid(
            below && path.as_bytes() != b"/dev" && device.target.as_bytes() != b"/dev",
            || format!("HostConfig.Devices: {path} and {} must be below /dev", device.target),
        );
        judge.valid(matches!(device.access, 1..=7), || {
            format!("HostConfig.Devices: {path} needs some of r, w, m")
        });
        let root = section
            .devices
            .iter()
            .filter(|root| path.as_path().starts_with(root.path.as_path()))
            .max_by_key(|root| root.path.as_bytes().len());
        let allowed = root.is_some_and(|root| device.access & !root.access == 0);
        judge.ask(rule::DEVICE, allowed, format!("HostConfig.Devices={path}"));
        permits.push(DevicePermit { block: root.is_some_and(|root| root.block) });
    }
    permits
}
