//! What the forked child does as root before it becomes a monitor.

use crate::dirs::Dirs;
use crate::drop::become_monitor;
use crate::host::Host;
use crate::layers::STORAGE_BASE;
use crate::monitor::{FromMonitor, Monitor, say};
use crate::recorded::Recorded;
use crate::refusal::{because, from_runtime, kernel};
use bulkhead_cgroup::Cgroup;
use bulkhead_network::EndpointPlan;
use bulkhead_policy::{EffectiveContainer, EffectiveExec, Permit};
use bulkhead_proto::{Effective, Refusal, Target};
use bulkhead_runtime::{Created, ExecPlan, Ids, Joined, Plan};
use bulkhead_sys::fork;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// One process to bring up.
pub(crate) struct Job<'a> {
    pub host: &'a Host,
    pub target: Target,
    /// First id of the range; 0: the host's user namespace.
    pub base: u32,
    /// To the shim.
    pub shim: OwnedFd,
    pub what: What<'a>,
}

/// A container or an exec.
pub(crate) enum What<'a> {
    Create {
        permit: &'a Permit<EffectiveContainer>,
        joined: Joined,
        program: Option<Vec<u8>>,
    },
    Exec {
        permit: &'a Permit<EffectiveExec>,
        container: &'a EffectiveContainer,
        /// The container's first process.
        init: &'a OwnedFd,
        init_pid: u32,
        program: Option<Vec<u8>>,
    },
}

/// The forked child's whole life.
pub(crate) fn run(job: Job<'_>) -> ! {
    let shim = match job.shim.try_clone() {
        Ok(shim) => shim,
        Err(_) => fork::exit(1),
    };
    match prepare(job) {
        Ok(monitor) => {
            drop(shim);
            fork::release_free_memory();
            monitor.serve();
            fork::exit(0)
        }
        Err(refusal) => {
            // If nobody listens the shim is dead, and its successor finds nothing of this attempt.
            say(&shim, &FromMonitor::Failed { refusal }, &[]).unwrap_or_default();
            fork::exit(1)
        }
    }
}

fn prepare(job: Job<'_>) -> Result<Monitor, Refusal> {
    fork::reset_signals().map_err(because)?;
    let host = job.host;
    let place = MonitorPlace::make(&host.dirs, &job.target)?;
    let (created, cgroup, pids) = match &job.what {
        What::Create { permit, joined, program } => {
            place.record(&Recorded::new(permit.granted(), job.base), program.as_deref())?;
            create(host, permit, job.base, joined, program.as_deref())?
        }
        What::Exec { permit, container, init, init_pid, program } => {
            let cgroup = open_cgroup(host, &job.target)?;
            let plan = ExecPlan {
                permit,
                container,
                init: init.as_fd(),
                init_pid: *init_pid,
                cgroup: &cgroup,
                ids: ids(job.base),
                seccomp_program: program.clone(),
            };
            let created = bulkhead_runtime::exec(&plan).map_err(from_runtime)?;
            (created, cgroup, container.spec.resources.pids)
        }
    };
    let confinement = match &job.what {
        What::Create { permit, .. } => &permit.granted().confinement,
        What::Exec { container, .. } => &container.confinement,
    };
    let effective = Effective {
        pid: created.pid,
        uid_base: job.base,
        capabilities: confinement.capabilities,
        no_new_privs: confinement.no_new_privs,
        pids: pids.filter(|most| *most != u64::MAX).unwrap_or(0),
    };
    let oom = cgroup.oom_fd().ok();
    drop(cgroup);
    let monitor =
        Monitor::new(created, effective, job.shim, place.listener, place.exit_record, oom);
    // From here on nothing needs a right, and from the next lines on there is none.
    fork::close_all_but(&monitor.descriptors()).map_err(because)?;
    become_monitor(crate::ranges::Ranges::index(job.base), &host.monitor_filter)
        .map_err(because)?;
    Ok(monitor)
}

fn ids(base: u32) -> Ids {
    if base == 0 { Ids::Host } else { Ids::Range { base } }
}

fn open_cgroup(host: &Host, target: &Target) -> Result<Cgroup, Refusal> {
    host.cgroups.open(&target.container().to_string()).map_err(because)
}

/// Cgroup, endpoints, descriptors; then the runtime.
fn create(
    host: &Host,
    permit: &Permit<EffectiveContainer>,
    base: u32,
    joined: &Joined,
    program: Option<&[u8]>,
) -> Result<(Created, Cgroup, Option<u64>), Refusal> {
    let container = permit.granted();
    let spec = &container.spec;
    let name = spec.id.to_string();
    let cgroup = host.cgroups.create(&name).map_err(because)?;
    cgroup.apply(&spec.resources).map_err(because)?;
    cgroup
        .set_devices(&bulkhead_runtime::device_rules(container).map_err(from_runtime)?)
        .map_err(because)?;
    let mut layers = Vec::with_capacity(spec.layers.len());
    for layer in spec.layers.iter() {
        layers.push(directory(&host.dirs.layer(layer))?);
    }
    let plan = Plan {
        permit,
        ids: ids(base),
        storage_base: STORAGE_BASE,
        layers,
        writable: directory(&host.dirs.container(&spec.id))?,
        join: joined.try_clone().map_err(because)?,
        cgroup: &cgroup,
        endpoints: endpoints(host, container)?,
        init: host.init.as_ref().filter(|_| spec.init).map(AsFd::as_fd),
        seccomp_program: program.map(<[u8]>::to_vec),
        features: host.features,
    };
    let created = bulkhead_runtime::create(&plan).map_err(from_runtime)?;
    Ok((created, cgroup, spec.resources.pids))
}

fn endpoints(host: &Host, container: &EffectiveContainer) -> Result<Vec<EndpointPlan>, Refusal> {
    let mut plans = Vec::with_capacity(container.spec.endpoints.len());
    for (index, endpoint) in container.spec.endpoints.iter().enumerate() {
        let network =
            bulkhead_network::open_network(&host.instance, &endpoint.network).map_err(because)?;
        let plan = bulkhead_network::plan_endpoint(&network, endpoint, &container.spec.id, index)
            .map_err(because)?;
        plans.push(plan);
    }
    Ok(plans)
}

fn directory(path: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| kernel(format_args!("open {}: {errno}", path.display())))
}

/// A monitor's directory: where the next shim finds it, and what it needs to know.
struct MonitorPlace {
    listener: OwnedFd,
    exit_record: OwnedFd,
    directory: OwnedFd,
}

impl MonitorPlace {
    fn make(dirs: &Dirs, target: &Target) -> Result<Self, Refusal> {
        let path = dirs.monitor(target);
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            kernel(format_args!("monitor: {what}: {error}"))
        };
        rustix::fs::mkdir(&path, Mode::RWXU).map_err(|error| failed("mkdir", &error))?;
        let directory = directory(&path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let exit_record = rustix::fs::openat(&directory, "exit", flags, mode)
            .map_err(|error| failed("exit record", &error))?;
        let listener = crate::sockets::listen_in(&directory, "sock")
            .map_err(|error| failed("socket", &error))?;
        Ok(Self { listener, exit_record, directory })
    }

    /// What the next shim must know of a container to serve it.
    fn record(&self, recorded: &Recorded, program: Option<&[u8]>) -> Result<(), Refusal> {
        let write = |name: &str, bytes: &[u8]| -> rustix::io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
            let mut rest = bytes;
            while !rest.is_empty() {
                let count = rustix::io::write(&file, rest)?;
                rest = rest.get(count..).unwrap_or_default();
            }
            Ok(())
        };
        write("spec", &recorded.to_bytes())
            .and_then(|()| program.map_or(Ok(()), |program| write("seccomp", program)))
            .map_err(|errno| kernel(format_args!("monitor: record: {errno}")))
    }
}
