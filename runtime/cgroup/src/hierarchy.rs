//! What the host has mounted, and the engine's own group in it.

use crate::node::{Controller, Controllers, Node};
use crate::{Cgroup, Error};
use rustix::fs::{CWD, Mode, OFlags};
#[cfg(test)]
pub(crate) use tests::{all_mounts, only};

/// Where cgroup file systems are, by convention and by systemd.
const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` and `CGROUP_SUPER_MAGIC` of `linux/magic.h`.
const MAGIC: [i64; 2] = [0x6367_7270, 0x0027_e0eb];
/// The controllers that are enabled for containers on v2, and their names there.
const ENABLED: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

/// The cgroup file systems of the host, opened.
#[derive(Debug)]
pub struct Hierarchy {
    /// The first is the one in which processes are listed and frozen: the v2 one, if there is one.
    nodes: Vec<Node>,
    version: u8,
}

impl Hierarchy {
    /// Find what is mounted, by `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// [`Error::NoHierarchy`]; [`Error::Kernel`] if a mount cannot be opened or is another file
    /// system.
    pub fn detect() -> Result<Self, Error> {
        let fd = rustix::fs::open(
            "/proc/self/mountinfo",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::kernel("open", "/proc/self/mountinfo", errno))?;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(fd), &mut text)
            .map_err(|source| Error::kernel("read", "/proc/self/mountinfo", source))?;
        Self::open(select(mounts(&String::from_utf8_lossy(&text))))
    }

    fn open(mounts: Vec<Mount>) -> Result<Self, Error> {
        let version = match mounts.as_slice() {
            [] => return Err(Error::NoHierarchy),
            [only] if only.unified => 2,
            _ => 1,
        };
        let limited_by_v1 =
            mounts.iter().fold(Controllers::default(), |all, mount| all.union(mount.controllers));
        let nodes =
            mounts.iter().map(|mount| mount.open(limited_by_v1)).collect::<Result<_, _>>()?;
        Ok(Self { nodes, version })
    }

    /// 2, or 1 if any controller is on a v1 mount.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The group `name` below the root, made if it is not there; on v2 with controllers enabled for
    /// those below it. No process is moved.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Kernel`] as mkdirat(2); with `EBUSY` if this is not the host's
    /// root group and processes in it forbid enabling controllers.
    pub fn parent(&self, name: &str) -> Result<Parent, Error> {
        check_name(name)?;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for root in &self.nodes {
            if root.unified {
                enable_controllers(root)?;
            }
            root.make(name)?;
            let not_found = || Error::NotFound { name: name.to_owned() };
            let mut node = root.child(name)?.ok_or_else(not_found)?;
            if node.unified {
                node.controllers = enable_controllers(&node)?.union(node.controllers);
            } else if node.controllers.contains(Controller::Cpuset) {
                crate::cpuset::inherit(root, &node)?;
            }
            nodes.push(node);
        }
        Ok(Parent { name: name.to_owned(), nodes, version: self.version })
    }
}

/// The engine's group: it holds groups, not processes.
#[derive(Debug)]
pub struct Parent {
    name: String,
    nodes: Vec<Node>,
    version: u8,
}

impl Parent {
    /// A new group in every hierarchy.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Exists`]; [`Error::Kernel`] as mkdirat(2). Nothing is left then.
    pub fn create(&self, name: &str) -> Result<Cgroup, Error> {
        check_name(name)?;
        let mut made = Vec::with_capacity(self.nodes.len());
        let result = self.nodes.iter().try_for_each(|node| {
            if !node.make(name)? {
                return Err(Error::Exists { name: name.to_owned() });
            }
            made.push(node);
            Ok(())
        });
        // The error to tell is the first; what cannot be removed now `list` will show.
        result
            .and_then(|()| self.open(name))
            .inspect_err(|_| made.iter().for_each(|node| drop(node.remove(name))))
    }

    /// The group of this name, in those hierarchies that have it.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::NotFound`] if none has it; [`Error::Kernel`].
    pub fn open(&self, name: &str) -> Result<Cgroup, Error> {
        check_name(name)?;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            nodes.extend(node.child(name)?);
        }
        if nodes.is_empty() {
            return Err(Error::NotFound { name: name.to_owned() });
        }
        let complete = nodes.len() == self.nodes.len();
        Ok(Cgroup::new(name, nodes, complete, self.version))
    }

    /// The names of the groups, those in some hierarchies only included; sorted.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for node in &self.nodes {
            names.extend(node.children()?);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Remove it. It must hold no groups.
    ///
    /// # Errors
    /// [`Error::Kernel`] with `EBUSY` while it holds groups.
    pub fn remove(self) -> Result<(), Error> {
        if !self.list()?.is_empty() {
            return Err(Error::kernel("rmdir", &self.name, rustix::io::Errno::BUSY));
        }
        for node in &self.nodes {
            if !node.above()?.remove(&self.name)? {
                return Err(Error::kernel("rmdir", &self.name, rustix::io::Errno::BUSY));
            }
        }
        Ok(())
    }

    /// Where a reader of statistics finds the group: on v2 its absolute path, on v1 (and hybrid)
    /// its path below the mount of each controller, with a leading `/`, as in `/proc/PID/cgroup`.
    pub fn path_for_stats(&self) -> String {
        if self.version == 2 { format!("{ROOT}/{}", self.name) } else { format!("/{}", self.name) }
    }
}

/// The names that cgroups may have here: no `/`, no `..`, no surprises in messages.
fn check_name(name: &str) -> Result<(), Error> {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let good = name.len() <= 128
        && name.bytes().all(known)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if good { Ok(()) } else { Err(Error::Name { name: name.to_owned() }) }
}

/// Enable our controllers for the groups below a v2 group, and tell which are.
///
/// Each on its own, because one that this kernel cannot enable (`cpu` with real-time processes) is
/// no reason to go without the others. Who needs it finds its files missing.
fn enable_controllers(node: &Node) -> Result<Controllers, Error> {
    let available = node.read("cgroup.controllers")?;
    let file = "cgroup.subtree_control";
    let enabled = node.read(file)?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    for name in ENABLED {
        if has(&available, name) && !has(&enabled, name) {
            match node.write(file, &format!("+{name}")) {
                Err(Error::Kernel { source, .. })
                    if matches!(source.raw_os_error(), Some(EINVAL | ENOENT)) => {}
                result => drop(result?),
            }
        }
    }
    Ok(node.read(file)?.split_whitespace().filter_map(Controller::named).collect())
}

const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();

/// A cgroup mount.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    path: String,
    unified: bool,
    /// On v1: which. On v2 it is the kernel that tells, after opening.
    controllers: Controllers,
    /// systemd's own v1 hierarchy, by which it tracks services on hosts without a v2 mount.
    systemd: bool,
}

impl Mount {
    fn open(&self, limited_by_v1: Controllers) -> Result<Node, Error> {
        let failed = |call| move |errno| Error::kernel(call, &self.path, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(CWD, &*self.path, flags, Mode::empty()).map_err(failed("open"))?;
        let magic = rustix::fs::fstatfs(&fd).map_err(failed("fstatfs"))?.f_type;
        let [unified, v1] = MAGIC;
        if i128::from(magic) != i128::from(if self.unified { unified } else { v1 }) {
            return Err(Error::NoHierarchy);
        }
        let controllers = if self.unified {
            // These need no controller on v2: the core freezes, and BPF filters devices.
            let core: Controllers =
                [Controller::Freezer, Controller::Devices].into_iter().collect();
            core.without(limited_by_v1)
        } else {
            self.controllers
        };
        Ok(Node::new(fd, self.unified, controllers))
    }
}

/// The cgroup mounts in a text like `/proc/self/mountinfo` (proc_pid_mountinfo(5)), at and below
/// [`ROOT`]: those elsewhere are somebody's own.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let path = front.split(' ').nth(4)?;
        let below = path.strip_prefix(ROOT)?;
        if !(below.is_empty() || below.starts_with('/')) || below.contains('\\') {
            return None;
        }
        let mut back = back.split(' ');
        let unified = match back.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let options = back.nth(1)?;
        Some(Mount {
            path: path.to_owned(),
            unified,
            controllers: options.split(',').filter_map(Controller::named).collect(),
            systemd: options.split(',').any(|option| option == "name=systemd"),
        })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// The mounts to use, that with the freezer first.
fn select(mounts: Vec<Mount>) -> Vec<Mount> {
    if let Some(unified) = mounts.iter().rfind(|mount| mount.unified && mount.path == ROOT) {
        return vec![unified.clone()];
    }
    let mut selected: Vec<Mount> =
        mounts.iter().find(|mount| mount.unified).cloned().into_iter().collect();
    let hybrid = !selected.is_empty();
    // The v2 freezer is better: it tells when it is done, and what it froze can be killed.
    let mut taken: Controllers = hybrid.then_some(Controller::Freezer).into_iter().collect();
    for mut mount in mounts.into_iter().filter(|mount| !mount.unified) {
        mount.controllers = mount.controllers.without(taken);
        taken = taken.union(mount.controllers);
        if !mount.controllers.is_empty() || (mount.systemd && !hybrid) {
            selected.push(mount);
        }
    }
    selected
        .sort_by_key(|mount| !(mount.unified || mount.controllers.contains(Controller::Freezer)));
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Vec<Mount> {
        mounts(&std::fs::read_to_string("/proc/self/mountinfo").unwrap())
    }

    /// The hierarchy of the host's mounts of one version alone, if it has both.
    pub(crate) fn only(unified: bool) -> Option<Hierarchy> {
        let (wanted, others): (Vec<_>, Vec<_>) =
            here().into_iter().partition(|mount| mount.unified == unified);
        let both = !wanted.is_empty() && !others.is_empty();
        both.then(|| Hierarchy::open(select(wanted)).unwrap())
    }

    pub(crate) fn all_mounts() -> Vec<String> {
        here().into_iter().map(|mount| mount.path).collect()
    }

    const V2: &str = "\
24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
90 30 0:26 / /srv/c/sys/fs/cgroup rw - cgroup2 cgroup2 rw";

    const V1: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/net_cls,net_prio rw shared:12 - cgroup cgroup rw,net_cls,net_prio
34 30 0:30 / /sys/fs/cgroup/freezer rw shared:13 - cgroup cgroup rw,freezer
35 30 0:31 / /sys/fs/cgroup/memory rw shared:14 - cgroup cgroup rw,memory
36 30 0:31 / /sys/fs/cgroup/again rw shared:14 - cgroup cgroup rw,memory";

    fn paths(mountinfo: &str) -> Vec<String> {
        select(mounts(mountinfo)).into_iter().map(|mount| mount.path).collect()
    }

    #[test]
    fn on_v2_there_is_one_mount() {
        assert_eq!(paths(V2), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn on_v1_the_freezer_is_first_and_each_controller_is_taken_once() {
        let expected = ["freezer", "systemd", "cpu,cpuacct", "memory"];
        assert_eq!(paths(V1), expected.map(|name| format!("/sys/fs/cgroup/{name}")));
    }

    #[test]
    fn on_hybrid_the_v2_mount_is_first_and_freezes() {
        let hybrid = format!("{V1}\n37 30 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
        let expected = ["unified", "cpu,cpuacct", "memory"];
        assert_eq!(paths(&hybrid), expected.map(|name| format!("/sys/fs/cgroup/{name}")));
    }

    #[test]
    fn mounts_elsewhere_and_other_file_systems_are_left_alone() {
        let others = "\
1 1 0:1 / / rw - ext4 /dev/vda rw
2 1 0:2 / /sys/fs/cgroup2 rw - cgroup2 cgroup2 rw
3 1 0:3 / /mnt/sys/fs/cgroup rw - cgroup2 cgroup2 rw
4 1 0:4 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,memory
5 1 0:5 / /sys/fs/cgroup/bpf rw - bpf bpf rw
6 1";
        assert_eq!(paths(others), Vec::<String>::new());
        assert!(matches!(Hierarchy::open(Vec::new()), Err(Error::NoHierarchy)));
    }
}
