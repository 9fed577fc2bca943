//! Control groups: [cgroups(7)](https://man7.org/linux/man-pages/man7/cgroups.7.html), version 2,
//! version 1 and the hybrid of both, behind one small interface.
//!
//! [`Hierarchy`] is what the host has mounted; [`Parent`] is the engine's own group in it, and
//! [`Cgroup`] one container's. A value of each holds one directory descriptor a hierarchy (one on a
//! v2 host, eight or so on v1), and everything goes through these: no path is resolved twice.
//!
//! A limit that was asked for either holds, as read back from the kernel, or is an error: nothing
//! is skipped because a host lacks a controller. A host that lacks one which nobody asked for is
//! fine.
//!
//! On a hybrid host (controllers on v1, and beside them an empty v2 mount) every container has a
//! group in the v2 mount too: `cgroup.kill`, `cgroup.freeze` and `cgroup.events` work there without
//! controllers, and are better than what v1 has.
#![forbid(unsafe_code)]

mod cgroup;
mod cpu;
mod cpuset;
mod devices;
mod entrance;
mod error;
mod freezer;
mod hierarchy;
mod io;
mod memory;
mod node;
mod pids;
mod signal;

pub use cgroup::Cgroup;
pub use devices::{ALL_DEVICES, DEFAULT_DEVICES, DeviceKind, DeviceRule};
pub use entrance::Entrance;
pub use error::Error;
pub use hierarchy::{Hierarchy, Parent};
pub use memory::read_oom_kills;

#[cfg(test)]
mod tests;
