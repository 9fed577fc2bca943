//! Ids: the maps of a container's user namespace, and those by which ids on disk become its own.

use crate::error::{Error, Step};
use crate::plan::{Ids, RANGE};
use bulkhead_policy::BindIdmap;
use bulkhead_sys::clone::Holder;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Ids from `inside` on are the host's from `outside` on, `count` of them (user_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    inside: u32,
    outside: u32,
    count: u32,
}

impl Map {
    /// A container's own.
    pub(crate) fn of_container(base: u32) -> Self {
        Self { inside: 0, outside: base, count: RANGE }
    }

    /// For layers: what belongs to the image's root on disk belongs to the container's.
    pub(crate) fn of_layers(storage_base: u32, ids: Ids) -> Self {
        Self { inside: storage_base, outside: ids.root(), count: RANGE }
    }

    /// For a bind mount; none: as on the host.
    pub(crate) fn of_bind(idmap: BindIdmap, ids: Ids) -> Option<Self> {
        match (idmap, ids) {
            (BindIdmap::None, _) | (BindIdmap::Full, Ids::Host) => None,
            (BindIdmap::Squash { id }, ids) => {
                Some(Self { inside: id, outside: ids.root(), count: 1 })
            }
            (BindIdmap::Full, Ids::Range { base }) => Some(Self::of_container(base)),
        }
    }

    /// Make it the map of uids and gids of the user namespace of the process `pid`. The caller
    /// sees to it that `pid` is still its child.
    pub(crate) fn write(self, pid: u32) -> Result<(), Error> {
        let Self { inside, outside, count } = self;
        let map = format!("{inside} {outside} {count}\n");
        write_proc(pid, "uid_map", &map)?;
        write_proc(pid, "gid_map", &map)
    }
}

/// Write to a file of a process in one go.
pub(crate) fn write_proc(pid: u32, name: &str, text: &str) -> Result<(), Error> {
    let path = format!("/proc/{pid}/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty())
        .and_then(|file| rustix::io::write(file, text.as_bytes()))
        .map(drop)
        .step_at(|| format!("write {path}"))
}

/// User namespaces that exist only for their maps: one a map, as id-mapped mounts need them.
#[derive(Debug, Default)]
pub(crate) struct Maps(Vec<(Map, OwnedFd)>);

impl Maps {
    /// A user namespace with this map.
    pub(crate) fn namespace(&mut self, map: Map) -> Result<BorrowedFd<'_>, Error> {
        if !self.0.iter().any(|(known, _)| *known == map) {
            // Its process ends at once; the descriptor and then the mounts keep the namespace.
            let holder = Holder::new().step("user namespace for an id map")?;
            map.write(holder.pid())?;
            let path = format!("/proc/{}/ns/user", holder.pid());
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let namespace = rustix::fs::open(&path, flags, Mode::empty()).step(&path)?;
            self.0.push((map, namespace));
        }
        let found = self.0.iter().find(|(known, _)| *known == map);
        found
            .map(|(_, namespace)| namespace.as_fd())
            .ok_or_else(|| Error::invalid("no such id map"))
    }
}
