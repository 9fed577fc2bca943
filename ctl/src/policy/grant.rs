//! A grant of the file as the container that it pins.

use super::apply::{list, root, sysctl};
use super::file::{BindFile, GrantFile};
use bulkhead_policy::proto::{
    Argument, ByteString, ContainerId, ContainerPath, ContainerSpec, DeviceSpec, HostOr, List,
    MountSpec, Namespaces, NetworkMode, ProcessSpec, Propagation, Resources, Seccomp, Share,
    UserMode,
};
use bulkhead_policy::{Grant, pinned};

pub(super) fn grant(file: GrantFile) -> Result<Grant, String> {
    let name = file.name.0.clone();
    convert(file).map_err(|what| format!("[[grants]] {name}: {what}"))
}

fn convert(file: GrantFile) -> Result<Grant, String> {
    if file.namespaces.join.is_some() {
        return Err("namespaces: join is of a section, not of a grant".to_owned());
    }
    let binds = file.binds.iter().map(root).collect();
    let spec = ContainerSpec {
        id: ContainerId::from_bytes([0; 32]),
        layers: list("layers", file.layers.iter().map(|layer| layer.0).collect())?,
        read_only: false,
        process: process(&file)?,
        hostname: ByteString::default(),
        domainname: ByteString::default(),
        namespaces: namespaces(&file),
        mounts: list("mounts", mounts(&file)?)?,
        masked_paths: List::default(),
        readonly_paths: List::default(),
        unmask: file.unmask,
        sysctls: {
            let all = file.sysctls.iter().map(|(name, value)| sysctl(name, &value.0));
            list("sysctls", all.collect::<Result<_, _>>()?)?
        },
        resources: Resources::default(),
        devices: {
            let device = |device: &super::file::GrantDeviceFile| {
                let (host, access) = (device.path.0.clone(), device.access.0);
                let same = ContainerPath::new(host.as_bytes()).map_err(|error| error.to_string());
                let target = device.target.as_ref().map_or(same, |path| Ok(path.0.clone()))?;
                Ok(DeviceSpec { host, target, access })
            };
            list("devices", file.devices.iter().map(device).collect::<Result<_, String>>()?)?
        },
        privileged: file.privileged,
        init: false,
        shm_bytes: None,
        endpoints: List::default(),
    };
    Ok(Grant {
        name: file.name.0,
        spec: pinned(&spec),
        binds: list("binds", binds)?,
        without_floor: file.without_floor,
        exec: file.exec,
        instances: file.instances,
    })
}

fn process(file: &GrantFile) -> Result<ProcessSpec, String> {
    let strings = |what, all: &[String]| {
        let one = |text: &String| Argument::try_from(text.as_str());
        let all = all.iter().map(one).collect::<Result<_, _>>();
        list(what, all.map_err(|error| format!("{what}: {error}"))?)
    };
    let root = ContainerPath::new(b"/").map_err(|error| error.to_string())?;
    Ok(ProcessSpec {
        args: strings("args", &file.args)?,
        env: strings("env", &file.env)?,
        cwd: file.cwd.as_ref().map_or(root, |cwd| cwd.0.clone()),
        user: file.user.0.clone(),
        groups: list("groups", file.groups.iter().map(|group| group.0.clone()).collect())?,
        terminal: None,
        stdin: file.stdin,
        cap_add: file.cap_add.0,
        cap_drop: 0,
        no_new_privs: file.no_new_privs,
        rlimits: List::default(),
        oom_score_adj: None,
        seccomp: if file.seccomp_unconfined { Seccomp::Unconfined } else { Seccomp::Default },
    })
}

fn namespaces(file: &GrantFile) -> Namespaces {
    let hosts = &file.namespaces;
    let is = |host: Option<bool>| host == Some(true);
    let share = |host| if is(host) { Share::Host } else { Share::Private };
    let either = |host| if is(host) { HostOr::Host } else { HostOr::Private };
    Namespaces {
        user: if is(hosts.user_host) { UserMode::Host } else { UserMode::Private },
        pid: share(hosts.pid_host),
        ipc: share(hosts.ipc_host),
        network: if is(hosts.network_host) { NetworkMode::Host } else { NetworkMode::None },
        uts: either(hosts.uts_host),
        cgroup: either(hosts.cgroup_host),
    }
}

fn mounts(file: &GrantFile) -> Result<Vec<MountSpec>, String> {
    let bind = |bind: &BindFile| {
        let target =
            bind.target.as_ref().ok_or_else(|| format!("bind {}: no target", bind.source.0))?;
        Ok(MountSpec::Bind {
            target: target.0.clone(),
            source: bind.source.0.clone(),
            read_only: bind.read_only,
            propagation: match (bind.shared, bind.slave) {
                (true, _) => Propagation::Shared,
                (false, true) => Propagation::Slave,
                (false, false) => Propagation::Private,
            },
            recursive: true,
            create: false,
        })
    };
    let mut all = file.binds.iter().map(bind).collect::<Result<Vec<_>, String>>()?;
    all.extend(file.volumes.iter().map(|volume| MountSpec::Volume {
        target: volume.target.0.clone(),
        name: volume.name.0.clone(),
        read_only: volume.read_only,
        copy_up: false,
    }));
    all.extend(file.tmpfs.iter().map(|target| MountSpec::Tmpfs {
        target: target.0.clone(),
        bytes: None,
        mode: 0o1777,
        read_only: false,
        no_exec: false,
    }));
    Ok(all)
}
