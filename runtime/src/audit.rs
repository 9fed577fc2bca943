//! The audit: what the kernel says of a process that waits at its gate, against what was permitted.
//!
//! It is run by another process than the one that made the container, shares no state with it, and
//! reads only `/proc/PID`. So a mistake, or a captured spawner, is found before the first
//! instruction of the image runs.

use crate::plan::RANGE;
use bulkhead_policy::EffectiveContainer;
use bulkhead_policy::proto::{ContainerPath, HostOr, MountSpec, NetworkMode, Share, UserMode};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a process should be.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The container, as it was decided.
    pub container: &'a EffectiveContainer,
    /// First id of its range; 0: the host's user namespace.
    pub base: u32,
    /// It is a further process of the container, not its first.
    pub exec: bool,
    /// Its cgroup: an absolute path on v2, a path below each controller's mount on v1.
    pub cgroup: String,
    /// 1 or 2.
    pub cgroup_version: u8,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What: `uid_map`, `CapBnd`, `mount /proc/kcore`.
    pub what: String,
    /// How it should be.
    pub expected: String,
    /// How it is.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// Compare the process, which has not been waited for, with what is expected.
///
/// # Errors
/// Everything that differs, or could not be read.
pub fn audit(pidfd: impl AsFd, pid: u32, expected: &Expected<'_>) -> Result<(), Vec<Mismatch>> {
    let mut audit = Audit { expected, mismatches: Vec::new() };
    match Proc::open(pid) {
        Ok(proc) => audit.run(&proc),
        Err(errno) => audit.differs("process", "there", errno),
    }
    // What was read was of this process if it is still there.
    if let Err(error) = bulkhead_sys::fork::pidfd_signal(pidfd, 0) {
        audit.differs("process", "there", error);
    }
    if audit.mismatches.is_empty() { Ok(()) } else { Err(audit.mismatches) }
}

/// `/proc/PID`.
struct Proc(OwnedFd);

impl Proc {
    fn open(pid: u32) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).map(Self)
    }

    fn read(&self, name: &str) -> rustix::io::Result<String> {
        let file =
            rustix::fs::openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut bytes = vec![0; 16 * 1024];
        let mut length = 0;
        loop {
            if length == bytes.len() {
                bytes.resize(bytes.len() * 2, 0);
            }
            match rustix::io::read(&file, bytes.get_mut(length..).unwrap_or_default())? {
                0 => break,
                count => length += count,
            }
        }
        bytes.truncate(length);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn link(at: BorrowedFd<'_>, name: &str) -> rustix::io::Result<String> {
        let text = rustix::fs::readlinkat(at, name, Vec::new())?;
        Ok(String::from_utf8_lossy(text.as_bytes()).into_owned())
    }
}

struct Audit<'a> {
    expected: &'a Expected<'a>,
    mismatches: Vec<Mismatch>,
}

impl Audit<'_> {
    fn run(&mut self, proc: &Proc) {
        self.with(proc, "uid_map", Self::id_map);
        self.with(proc, "gid_map", Self::id_map);
        self.with(proc, "status", |audit, _, text| audit.status(text));
        self.with(proc, "cgroup", |audit, _, text| audit.cgroup(text));
        if !self.expected.exec {
            self.with(proc, "mountinfo", |audit, _, text| audit.mounts(text));
        }
        self.namespaces(proc);
        self.descriptors(proc);
    }

    fn with(&mut self, proc: &Proc, name: &str, check: impl FnOnce(&mut Self, &str, &str)) {
        match proc.read(name) {
            Ok(text) => check(self, name, &text),
            Err(errno) => self.differs(name, "readable", errno),
        }
    }

    fn differs(&mut self, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.mismatches.push(Mismatch { what: what.into(), expected, found });
    }

    fn equal<T: ToString + PartialEq>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            self.differs(what, expected, found);
        }
    }

    fn private_user(&self) -> bool {
        self.expected.container.spec.namespaces.user == UserMode::Private
    }

    fn id_map(&mut self, name: &str, text: &str) {
        let found = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let expected = match self.private_user() {
            true => format!("0 {} {RANGE}", self.expected.base),
            // The host may itself be a container, with any map; it has to be the same.
            false => std::fs::read_to_string(format!("/proc/self/{name}"))
                .unwrap_or_default()
                .split_ascii_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        };
        self.equal(name, expected, found);
    }

    fn status(&mut self, text: &str) {
        let fields: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| *known == name);
            found.map_or("", |(_, value)| value.trim())
        };
        let confinement = &self.expected.container.confinement;
        let hex = |set: u64| format!("{set:016x}");
        let base = self.expected.base;
        let is_root = field("Uid").split_ascii_whitespace().all(|uid| uid == base.to_string());
        if self.private_user() {
            let ids = ["Uid", "Gid", "Groups"]
                .into_iter()
                .flat_map(|name| field(name).split_ascii_whitespace());
            let range = base..base + RANGE;
            for id in ids {
                if !id.parse().is_ok_and(|id: u32| range.contains(&id)) {
                    self.differs("ids", format!("{base} to {}", range.end - 1), id);
                }
            }
        }
        let bounding = u64::from_str_radix(field("CapBnd"), 16).unwrap_or(u64::MAX);
        if self.expected.exec {
            // An exec may ask for less.
            self.equal("CapBnd", hex(0), hex(bounding & !self.most()));
        } else {
            self.equal("CapBnd", hex(confinement.capabilities & last_capability()), hex(bounding));
        }
        let own = if is_root { bounding } else { 0 };
        for (name, expected) in [("CapPrm", own), ("CapEff", own), ("CapInh", 0), ("CapAmb", 0)] {
            self.equal(name, hex(expected), field(name).to_owned());
        }
        if confinement.no_new_privs {
            self.equal("NoNewPrivs", "1", field("NoNewPrivs"));
        } else if !self.expected.exec {
            self.equal("NoNewPrivs", "0", field("NoNewPrivs"));
        }
        self.filters(field("Seccomp"), field("Seccomp_filters"));
        if self.expected.container.spec.namespaces.pid == Share::Private && !self.expected.exec {
            let inside = field("NSpid").split_ascii_whitespace().next_back().unwrap_or_default();
            self.equal("pid inside", "1", inside);
        }
    }

    fn most(&self) -> u64 {
        // Whether the exec was privileged is not known here; all it can add is in its namespace.
        if self.private_user() {
            u64::MAX
        } else {
            self.expected.container.confinement.capabilities
        }
    }

    /// There may be more: what the shim itself runs under.
    fn filters(&mut self, mode: &str, count: &str) {
        let confinement = &self.expected.container.confinement;
        let wanted = u32::from(confinement.seccomp_floor)
            + u32::from(confinement.seccomp_default)
            + u32::from(confinement.seccomp_program);
        if wanted > 0 {
            self.equal("Seccomp", "2", mode);
        }
        if count.parse::<u32>().unwrap_or(0) < wanted {
            self.differs("Seccomp_filters", format!("at least {wanted}"), count);
        }
    }

    fn cgroup(&mut self, text: &str) {
        const CONTROLLERS: [&str; 4] = ["memory", "pids", "devices", "cpu"];
        let expected = &self.expected.cgroup;
        let name = self.expected.container.spec.id.to_string();
        let mut seen = false;
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let counts = match self.expected.cgroup_version {
                2 => controllers.is_empty(),
                _ => controllers.split(',').any(|one| CONTROLLERS.contains(&one)),
            };
            seen |= counts;
            // On v2 the expected path begins with where the hierarchy is mounted.
            if counts && !(path.ends_with(&name) && expected.ends_with(path)) {
                self.mismatches.push(Mismatch {
                    what: format!("cgroup {controllers}"),
                    expected: expected.clone(),
                    found: path.to_owned(),
                });
            }
        }
        if !seen {
            self.differs("cgroup", expected, "none");
        }
    }

    fn namespaces(&mut self, proc: &Proc) {
        let spaces = self.expected.container.spec.namespaces;
        let host_or = |space: HostOr| space == HostOr::Host;
        let kinds = [
            ("user", spaces.user == UserMode::Host),
            ("mnt", false),
            ("pid", spaces.pid == Share::Host),
            ("ipc", spaces.ipc == Share::Host),
            ("net", spaces.network == NetworkMode::Host),
            ("uts", host_or(spaces.uts)),
            ("cgroup", host_or(spaces.cgroup)),
        ];
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&proc.0, "ns", flags, Mode::empty());
        let own = rustix::fs::open("/proc/self/ns", flags, Mode::empty());
        let (directory, own) = match (directory, own) {
            (Ok(directory), Ok(own)) => (directory, own),
            (Err(errno), _) | (_, Err(errno)) => return self.differs("ns", "readable", errno),
        };
        for (kind, host) in kinds {
            match (Proc::link(directory.as_fd(), kind), Proc::link(own.as_fd(), kind)) {
                (Ok(found), Ok(own)) if (found == own) == host => {}
                (Ok(found), Ok(_)) => {
                    let expected = if host { "the host's" } else { "not the host's" };
                    self.differs(format!("ns/{kind}"), expected, found);
                }
                (Err(errno), _) | (_, Err(errno)) => {
                    self.differs(format!("ns/{kind}"), "readable", errno);
                }
            }
        }
    }

    /// Three streams and the line, and the init program to be run.
    fn descriptors(&mut self, proc: &Proc) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&proc.0, "fd", flags, Mode::empty());
        let directory = match opened.and_then(rustix::fs::Dir::new) {
            Ok(directory) => directory,
            Err(errno) => return self.differs("fd", "readable", errno),
        };
        let most = if self.expected.container.spec.init && !self.expected.exec { 4 } else { 3 };
        for entry in directory.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(number) = name.parse::<u32>() else { continue };
            let target = Proc::link(proc.0.as_fd(), &format!("fd/{name}")).unwrap_or_default();
            let fits = match number {
                0..=2 => target.starts_with("pipe:") || target.starts_with("/dev/"),
                3 => target.starts_with("socket:"),
                _ => number <= most,
            };
            if !fits {
                self.differs(format!("descriptor {number}"), "not there", target);
            }
        }
    }

    fn mounts(&mut self, text: &str) {
        let mounts: Vec<Mount<'_>> = text.lines().filter_map(Mount::parse).collect();
        // The last one at a path is what is seen there.
        let at = |path: &str| mounts.iter().rfind(|mount| mount.path == path);
        let container = self.expected.container;
        let read_only = container.spec.read_only;
        match at("/") {
            Some(root) if root.kind == "overlay" && (!read_only || root.read_only) => {}
            found => self.differs(
                "mount /",
                if read_only { "overlay, read-only" } else { "overlay" },
                Mount::tell(found),
            ),
        }
        for (path, kind) in [("/proc", "proc"), ("/dev", "tmpfs"), ("/sys", "sysfs")] {
            if at(path).is_none_or(|mount| mount.kind != kind) {
                self.differs(format!("mount {path}"), kind, Mount::tell(at(path)));
            }
        }
        if at("/sys").is_some_and(|sys| !sys.read_only) {
            self.differs("mount /sys", "read-only", "writable");
        }
        for path in protected(&container.masked_paths) {
            // A mask is the null device or an empty directory, never the file system below it.
            let covered = at(path).is_some_and(|mount| !matches!(mount.kind, "proc" | "sysfs"));
            if !covered && is_there(path) {
                self.differs(format!("mask {path}"), "covered", Mount::tell(at(path)));
            }
        }
        for path in protected(&container.readonly_paths) {
            if !at(path).is_some_and(|mount| mount.read_only) && is_there(path) {
                self.differs(format!("mount {path}"), "read-only", Mount::tell(at(path)));
            }
        }
        self.foreign_mounts(&mounts);
    }

    /// File systems of the host are there only by binds and devices.
    fn foreign_mounts(&mut self, mounts: &[Mount<'_>]) {
        const OWN: [&str; 9] = [
            "overlay", "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2",
            "devtmpfs",
        ];
        let spec = &self.expected.container.spec;
        let may = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, MountSpec::Bind { .. } | MountSpec::Volume { .. }));
        if may {
            return;
        }
        for mount in mounts.iter().filter(|mount| !mount.path.starts_with("/dev/")) {
            if !OWN.contains(&mount.kind) {
                self.differs(format!("mount {}", mount.path), "not there", mount.kind);
            }
        }
    }
}

/// Those below `/proc` and `/sys`. Others are the image's, and may be missing.
fn protected(paths: &[ContainerPath]) -> impl Iterator<Item = &str> {
    paths
        .iter()
        .filter(|path| path.is_at_or_below("/proc") || path.is_at_or_below("/sys"))
        .filter_map(|path| std::str::from_utf8(path.as_bytes()).ok())
}

/// What the host has there, the container has too.
fn is_there(path: &str) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

/// The capabilities that this kernel has.
fn last_capability() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    let last: u32 = text.trim().parse().unwrap_or(40);
    u64::MAX.checked_shr(63_u32.saturating_sub(last)).unwrap_or(u64::MAX)
}

/// A line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
struct Mount<'t> {
    path: &'t str,
    read_only: bool,
    kind: &'t str,
}

impl<'t> Mount<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let (path, options) = (fields.next()?, fields.next()?);
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Self { path, read_only, kind: file_system.split(' ').next()? })
    }

    fn tell(mount: Option<&Self>) -> String {
        mount.map_or_else(
            || "nothing".to_owned(),
            |mount| format!("{}{}", mount.kind, if mount.read_only { ", read-only" } else { "" }),
        )
    }
}
