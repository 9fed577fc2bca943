//! Mounts: where they may be, and what of the host they may show.

use crate::effective::{BindIdmap, BindRule};
use crate::policy::{BindRoot, HostFacts, Section};
use crate::rule::{self, Judge, Rule};
use bulkhead_proto::{ContainerPath, ContainerSpec, HostPath, List, MountSpec, Propagation};
use std::collections::BTreeSet;

/// What the engine mounts itself.
const ENGINES: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Docker's default size of `/dev/shm`.
const SHM_BYTES: u64 = 64 << 20;
/// Directories of the host from which the host is run: a root above them does not admit them.
const SYSTEM: [&str; 13] = [
    "/etc",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/root",
    "/run",
    "/var/run",
    "/var/lib",
    "/var/spool",
];

/// The rule of each bind mount, in order. What a root does not admit and need not be refused is
/// taken back: mounts below the source, and its creation.
pub(super) fn decide(
    judge: &mut Judge,
    section: &Section,
    host: &HostFacts,
    spec: &mut ContainerSpec,
    granted: bool,
) -> Vec<BindRule> {
    let mut mounts = std::mem::take(&mut spec.mounts).into_vec();
    let mut targets = BTreeSet::new();
    let mut rules = Vec::new();
    for mount in &mut mounts {
        let place = target(mount).clone();
        judge.valid(targets.insert(place.clone()), || format!("Duplicate mount point: {place}"));
        let shm = place.as_bytes() == b"/dev/shm";
        if place.as_bytes() == b"/" || ENGINES.iter().any(|own| place.is_at_or_below(own)) && !shm {
            judge.ask(rule::TARGET, false, format!("HostConfig.Mounts.Target={place}"));
        }
        match mount {
            MountSpec::Tmpfs { bytes, mode, .. } => {
                judge.valid(*mode <= 0o7777, || format!("HostConfig.Tmpfs={place}: mode {mode:o}"));
                let max = section.mounts.tmpfs_bytes;
                if max < u64::MAX {
                    let size = *bytes.get_or_insert(max);
                    judge.ask(
                        rule::TMPFS,
                        size <= max,
                        format!("HostConfig.Tmpfs={place}:size={size}"),
                    );
                }
            }
            MountSpec::Bind { source, read_only, propagation, recursive, create, .. } => {
                let rule = bind(judge, section, (!granted).then_some(host), source);
                access(judge, &rule, source, *read_only, *propagation);
                *recursive &= rule.cross_mounts;
                *create &= rule.create.is_some();
                rules.push(rule);
            }
            MountSpec::File { mode, .. } => {
                judge.valid(*mode <= 0o777, || format!("file {place}: mode {mode:o}"));
            }
            MountSpec::Volume { name, .. } => {
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
                let name = name.as_bytes();
                let ok =
                    name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(plain);
                judge.valid(ok, || {
                    "a volume's name has letters, digits, '_', '.' and '-'".to_owned()
                });
            }
        }
    }
    // As many as there were.
    spec.mounts = List::try_from(mounts).unwrap_or_default();
    rules
}

/// The size of `/dev/shm`.
pub(super) fn shm(judge: &mut Judge, section: &Section, spec: &ContainerSpec) -> u64 {
    let max = section.mounts.shm_bytes;
    let Some(bytes) = spec.shm_bytes else { return SHM_BYTES.min(max) };
    judge.valid(bytes > 0, || "HostConfig.ShmSize=0".to_owned());
    if bytes > SHM_BYTES {
        judge.ask(rule::SHM, bytes <= max, format!("HostConfig.ShmSize={bytes}"));
    }
    bytes
}

pub(crate) fn target(mount: &MountSpec) -> &ContainerPath {
    match mount {
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Bind { target, .. }
        | MountSpec::File { target, .. }
        | MountSpec::Volume { target, .. } => target,
    }
}

/// The root that admits a source. Without `host`, a grant has the floor's say.
fn bind(
    judge: &mut Judge,
    section: &Section,
    host: Option<&HostFacts>,
    source: &HostPath,
) -> BindRule {
    let roots = section.binds.iter().filter(|root| below(source, &root.source));
    let root = roots.max_by_key(|root| root.source.as_bytes().len());
    let refused = match root {
        // If not even a root would do, say so.
        None => host.and_then(|host| floor(host, source)).or(Some(rule::BIND)),
        Some(root) => host.and_then(|host| floor(host, source).or_else(|| system(root, source))),
    };
    judge.ask(
        refused.unwrap_or(rule::BIND),
        refused.is_none(),
        format!("HostConfig.Binds={source}"),
    );
    match root {
        Some(root) => root.into(),
        None => BindRule {
            root: source.clone(),
            idmap: BindIdmap::None,
            read_only: true,
            no_exec: true,
            suid: false,
            dev: false,
            cross_mounts: false,
            create: None,
            slave: false,
            shared: false,
        },
    }
}

/// Writing, and mounts that travel.
fn access(
    judge: &mut Judge,
    rule: &BindRule,
    source: &HostPath,
    read_only: bool,
    propagation: Propagation,
) {
    let mut ask = |rule, allowed, option| {
        judge.ask(rule, allowed, format!("HostConfig.Binds={source}:{option}"));
    };
    if !read_only {
        ask(rule::BIND_WRITE, !rule.read_only, "rw");
    }
    match propagation {
        Propagation::Private => {}
        Propagation::Slave => ask(rule::BIND_SLAVE, rule.slave, "rslave"),
        Propagation::Shared => ask(rule::BIND_SHARED, rule.shared, "rshared"),
    }
}

impl From<&BindRoot> for BindRule {
    fn from(root: &BindRoot) -> Self {
        Self {
            root: root.source.clone(),
            idmap: root.idmap,
            read_only: root.read_only,
            no_exec: root.no_exec,
            suid: root.suid,
            dev: root.dev,
            cross_mounts: root.cross_mounts,
            create: root.create.map(|create| (create.uid, create.mode)),
            slave: root.slave,
            shared: root.shared,
        }
    }
}

fn below(path: &HostPath, other: &HostPath) -> bool {
    path.as_path().starts_with(other.as_path())
}

/// What no root admits: the host's root directory, the kernel's file systems, and the engine's own
/// directories or whatever contains them.
fn floor(host: &HostFacts, source: &HostPath) -> Option<&'static Rule> {
    let whole = source.as_bytes() == b"/";
    let kernels = ENGINES.iter().any(|path| source.is_at_or_below(path));
    let own = host.own_directories.iter().any(|own| below(source, own) || below(own, source));
    (whole || kernels || own).then_some(rule::BIND_FLOOR)
}

/// Whether a directory of the system is in or above `source` without the root being for it.
fn system(root: &BindRoot, source: &HostPath) -> Option<&'static Rule> {
    let denied = SYSTEM.iter().any(|path| {
        let within = source.is_at_or_below(path) && !root.source.is_at_or_below(path);
        within
            || std::path::Path::new(path).starts_with(source.as_path())
                && !source.is_at_or_below(path)
    });
    (denied && !root.system).then_some(rule::BIND_SYSTEM)
}
