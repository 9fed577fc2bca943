//! From the file to the policy: the base, and over it what the file says.

use super::file::{Base, BindFile, RlimitsFile, SectionFile};
use super::grant;
use super::value::Soft;
use bulkhead_policy::proto::{List, Name, Rlimit, Sysctl};
use bulkhead_policy::{
    BindRoot, BlockIo, CreateRule, DeviceRoot, HostFacts, Policy, RLIMITS, Section, Sysctls,
};
use std::collections::BTreeMap;

/// The whole file.
pub(super) fn policy(mut file: SectionFile, uid: Option<u32>) -> Result<Policy, String> {
    let name = match (&file.name, file.base) {
        (Some(name), _) => name.0.clone(),
        (None, Base::Hardened) => text("hardened")?,
        (None, Base::Compat) => text("compat")?,
    };
    let peers = file.peers.take().unwrap_or_default();
    let mut sections = vec![section(file, uid)?];
    for peer in peers {
        if peer.name.is_some() || peer.peers.is_some() {
            return Err("[[peers]]: name and peers stand at the top only".to_owned());
        }
        sections.push(section(peer, None)?);
    }
    Ok(Policy { name, sections: list("peers", sections)?, host: HostFacts::default() })
}

fn section(file: SectionFile, uid: Option<u32>) -> Result<Section, String> {
    let uid =
        file.uid.or(uid).ok_or("whose policy is it? Give the daemon's uid: uid = 990, or --uid")?;
    let mut section = match file.base {
        Base::Hardened => Section::hardened(uid),
        Base::Compat => Section::compat(uid),
    };
    set(&mut section.privileged, file.privileged);
    set(&mut section.exec_privileged, file.exec_privileged);
    if let Some(binds) = &file.binds {
        if let Some(bind) = binds.iter().find(|bind| bind.target.is_some()) {
            return Err(format!("[[binds]] {}: only a grant says the target", bind.source.0));
        }
        section.binds = list("binds", binds.iter().map(root).collect())?;
    }
    if let Some(devices) = &file.devices {
        let root = |path, access, block| DeviceRoot { path, access, block };
        let roots = devices.iter().map(|one| root(one.path.0.clone(), one.access.0, one.block));
        section.devices = list("devices", roots.collect())?;
    }
    rights(&mut section, &file);
    limits(&mut section, &file)?;
    if let Some(grants) = file.grants {
        let grants = grants.into_iter().map(grant::grant).collect::<Result<_, _>>()?;
        section.grants = list("grants", grants)?;
    }
    Ok(section)
}

fn rights(section: &mut Section, file: &SectionFile) {
    if let Some(mounts) = &file.mounts {
        set(&mut section.mounts.tmpfs_bytes, mounts.tmpfs_bytes.map(|size| size.0));
        set(&mut section.mounts.shm_bytes, mounts.shm_bytes.map(|size| size.0));
        set(&mut section.mounts.unmask, mounts.unmask);
    }
    if let Some(sets) = &file.capabilities {
        set(&mut section.capabilities.default, sets.default.map(|set| set.0));
        set(&mut section.capabilities.max, sets.max.map(|set| set.0));
        set(&mut section.capabilities.max_host_userns, sets.max_host_userns.map(|set| set.0));
    }
    if let Some(may) = &file.namespaces {
        set(&mut section.namespaces.user_host, may.user_host);
        set(&mut section.namespaces.pid_host, may.pid_host);
        set(&mut section.namespaces.ipc_host, may.ipc_host);
        set(&mut section.namespaces.network_host, may.network_host);
        set(&mut section.namespaces.uts_host, may.uts_host);
        set(&mut section.namespaces.cgroup_host, may.cgroup_host);
        set(&mut section.namespaces.join, may.join);
    }
    if let Some(seccomp) = &file.seccomp {
        set(&mut section.seccomp.unconfined, seccomp.unconfined);
        set(&mut section.seccomp.program, seccomp.program);
        set(&mut section.seccomp.replace_default, seccomp.replace_default);
    }
    if let Some(no_new_privs) = &file.no_new_privs {
        set(&mut section.no_new_privs.default, no_new_privs.default);
        set(&mut section.no_new_privs.may_be_off, no_new_privs.may_be_off);
    }
    if let Some(oom) = &file.oom {
        set(&mut section.oom.score_adj_min, oom.score_adj_min);
        set(&mut section.oom.kill_disable, oom.kill_disable);
    }
}

fn limits(section: &mut Section, file: &SectionFile) -> Result<(), String> {
    if let Some(sysctls) = &file.sysctls {
        let Sysctls { allow, set: values } = &mut section.sysctls;
        if let Some(names) = &sysctls.allow {
            *allow = list("[sysctls] allow", names.iter().map(|name| name.0.clone()).collect())?;
        }
        if let Some(set) = &sysctls.set {
            let all = set.iter().map(|(name, value)| sysctl(name, &value.0));
            *values = list("[sysctls.set]", all.collect::<Result<_, _>>()?)?;
        }
    }
    if let Some(RlimitsFile { default, max }) = &file.rlimits {
        set(&mut section.rlimits.default, default.as_ref().map(rlimits).transpose()?);
        set(&mut section.rlimits.max, max.as_ref().map(rlimits).transpose()?);
    }
    if let Some(resources) = &file.resources {
        let may = &mut section.resources;
        let unlimited = |size: u64| (size < u64::MAX).then_some(size);
        set(&mut may.memory, resources.memory.map(|size| unlimited(size.0)));
        set(&mut may.memory_and_swap, resources.memory_and_swap.map(|size| size.0));
        set(&mut may.cpus_milli, resources.cpus.map(|cpus| cpus.0));
        set(&mut may.pids_default, resources.pids_default.map(|pids| pids.0));
        set(&mut may.pids, resources.pids.map(|pids| pids.0));
        if let Some(devices) = &resources.block_io {
            may.block_io = match &devices.0 {
                None => BlockIo::Any,
                Some(devices) => {
                    BlockIo::Listed { devices: list("[resources] block_io", devices.clone())? }
                }
            };
        }
    }
    if let Some(networks) = &file.networks {
        set(&mut section.networks.create, networks.create);
        if let Some(pools) = &networks.pools {
            let pools = pools.iter().map(|pool| pool.0).collect();
            section.networks.pools = list("[networks] pools", pools)?;
        }
    }
    if let Some(images) = &file.images {
        set(&mut section.images.layer_bytes, images.layer_bytes.map(|size| size.0));
    }
    if let Some(counts) = &file.counts {
        set(&mut section.counts.containers, counts.containers);
        set(&mut section.counts.execs, counts.execs);
        set(&mut section.counts.layers, counts.layers);
        set(&mut section.counts.networks, counts.networks);
    }
    Ok(())
}

/// How a bind mount from there is admitted.
pub(super) fn root(bind: &BindFile) -> BindRoot {
    BindRoot {
        source: bind.source.0.clone(),
        read_only: bind.read_only,
        idmap: bind.idmap.0,
        no_exec: bind.no_exec,
        suid: bind.suid,
        dev: bind.dev,
        cross_mounts: bind.cross_mounts,
        create: bind.create.map(|create| CreateRule { uid: create.uid, mode: create.mode.0 }),
        slave: bind.slave,
        shared: bind.shared,
        system: bind.system,
    }
}

pub(super) fn sysctl(name: &str, value: &Name) -> Result<Sysctl, String> {
    Ok(Sysctl { name: text(name)?, value: value.clone() })
}

fn rlimits(limits: &BTreeMap<String, Soft>) -> Result<List<Rlimit, 16>, String> {
    let limit = |(name, Soft((soft, hard))): (&String, &Soft)| {
        let resource =
            (0..).zip(RLIMITS).find(|(_, known)| known == name).map(|(number, _)| number);
        let resource = resource.ok_or_else(|| format!("[rlimits] {name}: no such resource"))?;
        Ok(Rlimit { resource, soft: *soft, hard: *hard })
    };
    let mut all = limits.iter().map(limit).collect::<Result<Vec<_>, String>>()?;
    all.sort_by_key(|limit| limit.resource);
    list("[rlimits]", all)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn text(text: &str) -> Result<Name, String> {
    Name::try_from(text).map_err(|error| format!("{text:?}: {error}"))
}

pub(super) fn list<T, const MAX: usize>(what: &str, items: Vec<T>) -> Result<List<T, MAX>, String> {
    List::try_from(items).map_err(|error| format!("{what}: {error}"))
}
