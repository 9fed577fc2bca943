//! How many processes and threads: `pids.max`, the same on v2 and v1
//! ([pids](https://docs.kernel.org/admin-guide/cgroup-v1/pids.html)).

use crate::memory::MAX;
use crate::node::Controller;
use crate::{Cgroup, Error};
use bulkhead_policy::proto::Resources;

/// `PID_MAX_LIMIT` of `linux/threads.h` on 64-bit: more processes there cannot be.
const PID_MAX_LIMIT: u64 = 4_194_304;

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<(), Error> {
    let Some(pids) = resources.pids else { return Ok(()) };
    let (limit, file) = ("PidsLimit", "pids.max");
    if pids > PID_MAX_LIMIT && pids != MAX {
        return Err(Error::Invalid { limit, reason: "more than 4194304" });
    }
    let value = if pids == MAX { "max".to_owned() } else { pids.to_string() };
    let node = cgroup.limited(Controller::Pids, limit, file)?;
    node.set(limit, file, &value, |found| found == value)
}
