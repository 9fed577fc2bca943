//! Memory and swap, and what the OOM killer did.
//!
//! v2: `memory.max`, `memory.swap.max`, `memory.low`, `memory.events`
//! ([cgroup-v2](https://docs.kernel.org/admin-guide/cgroup-v2.html#memory)). v1:
//! `memory.limit_in_bytes`, `memory.memsw.limit_in_bytes`, `memory.soft_limit_in_bytes`,
//! `memory.oom_control` ([memory](https://docs.kernel.org/admin-guide/cgroup-v1/memory.html)).

use crate::node::{Controller, Node, read_whole};
use crate::{Cgroup, Error};
use bulkhead_policy::proto::Resources;
use rustix::fs::OFlags;
use std::os::fd::{AsFd, OwnedFd};

/// Without limit, in requests.
pub(crate) const MAX: u64 = u64::MAX;
const MEMORY: &str = "Memory";
const SWAP: &str = "MemorySwap";

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<(), Error> {
    let limit = resources.memory.or(resources.memory_and_swap);
    if let Some(reservation) = resources.memory_reservation {
        let limit = "MemoryReservation";
        let node = cgroup.limited(Controller::Memory, limit, "memory.low")?;
        let file = if node.unified { "memory.low" } else { "memory.soft_limit_in_bytes" };
        set(node, limit, file, reservation)?;
    }
    if limit.is_some() {
        let node = cgroup.limited(Controller::Memory, MEMORY, "memory.max")?;
        if node.unified { limit_v2(node, resources) } else { limit_v1(node, resources) }?;
    }
    if resources.oom_kill_disable {
        let (limit, file) = ("OomKillDisable", "memory.oom_control");
        let node = cgroup.limited(Controller::Memory, limit, file)?;
        if node.unified {
            return Err(Error::Unsupported { limit, file });
        }
        node.set(limit, file, "1", |found| found.lines().any(|line| line == "oom_kill_disable 1"))?;
    }
    Ok(())
}

/// Bytes of memory, and of memory and swap together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    memory: u64,
    sum: u64,
}

impl Limits {
    /// What they become by a request.
    fn with(self, resources: &Resources) -> Result<Self, Error> {
        let memory = resources.memory.unwrap_or(self.memory);
        let sum = match resources.memory_and_swap {
            Some(sum) => sum,
            // The first limit: no swap unless asked for.
            None if self.memory == MAX => memory,
            None if self.sum == MAX => MAX,
            None => memory.saturating_add(self.sum.saturating_sub(self.memory)),
        };
        if sum < memory {
            let reason = "less than Memory; it is the sum of memory and swap";
            return Err(Error::Invalid { limit: SWAP, reason });
        }
        Ok(Self { memory, sum })
    }
}

fn limit_v2(node: &Node, resources: &Resources) -> Result<(), Error> {
    const MEMORY_FILE: &str = "memory.max";
    const SWAP_FILE: &str = "memory.swap.max";
    let Some(memory) = node.read_optional(MEMORY_FILE)? else {
        return Err(Error::Unsupported { limit: MEMORY, file: MEMORY_FILE });
    };
    let memory = parse(&memory);
    let swap = node.read_optional(SWAP_FILE)?;
    let sum = swap.as_deref().map_or(MAX, |swap| memory.saturating_add(parse(swap)));
    let new = Limits { memory, sum }.with(resources)?;
    if swap.is_some() {
        let swap = if new.sum == MAX { MAX } else { new.sum.saturating_sub(new.memory) };
        set(node, SWAP, SWAP_FILE, swap)?;
    } else if resources.memory_and_swap.is_some_and(|sum| sum != MAX) {
        return Err(Error::Unsupported { limit: SWAP, file: SWAP_FILE });
    }
    set(node, MEMORY, MEMORY_FILE, new.memory)
}

/// The kernel holds that memory never exceeds the sum, so the order of the writes depends.
fn limit_v1(node: &Node, resources: &Resources) -> Result<(), Error> {
    const MEMORY_FILE: &str = "memory.limit_in_bytes";
    const SUM_FILE: &str = "memory.memsw.limit_in_bytes";
    let memory = parse(&node.read(MEMORY_FILE)?);
    let Some(sum) = node.read_optional(SUM_FILE)? else {
        let new = Limits { memory, sum: MAX }.with(resources)?;
        if resources.memory_and_swap.is_some_and(|sum| sum != MAX) {
            return Err(Error::Unsupported { limit: SWAP, file: SUM_FILE });
        }
        return set(node, MEMORY, MEMORY_FILE, new.memory);
    };
    let now = Limits { memory, sum: parse(&sum) };
    let new = now.with(resources)?;
    if new.memory > now.sum {
        set(node, SWAP, SUM_FILE, new.sum)?;
        set(node, MEMORY, MEMORY_FILE, new.memory)
    } else {
        set(node, MEMORY, MEMORY_FILE, new.memory)?;
        set(node, SWAP, SUM_FILE, new.sum)
    }
}

fn set(node: &Node, limit: &'static str, file: &'static str, bytes: u64) -> Result<(), Error> {
    let unlimited = if node.unified { "max" } else { "-1" };
    let value = if bytes == MAX { unlimited.to_owned() } else { bytes.to_string() };
    node.set(limit, file, &value, |found| parse(found) == held(bytes))
}

/// What the kernel holds of a limit: whole pages, and no limit at all near 2^63.
fn held(bytes: u64) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096).max(1);
    let pages = bytes / page;
    if pages >= i64::MAX.unsigned_abs() / page { MAX } else { pages.saturating_mul(page) }
}

fn parse(text: &str) -> u64 {
    text.trim_end().parse().map_or(MAX, held)
}

pub(crate) fn open_events(cgroup: &Cgroup) -> Result<OwnedFd, Error> {
    let (limit, file) = ("OOM events", "memory.events");
    let node = cgroup.limited(Controller::Memory, limit, file)?;
    let file = if node.unified { file } else { "memory.oom_control" };
    node.open(file, OFlags::RDONLY)?.ok_or(Error::Unsupported { limit, file })
}

/// How many processes of a group the OOM killer has killed, by the descriptor that
/// [`Cgroup::oom_fd`] gave. It needs no privilege, and one system call as a rule.
///
/// # Errors
/// [`Error::Kernel`], with `ENODEV` once the group is removed; [`Error::Unsupported`] if the kernel
/// does not count (before Linux 4.13).
pub fn read_oom_kills(events: impl AsFd) -> Result<u64, Error> {
    let file = "memory.events";
    let text = read_whole(events.as_fd()).map_err(|source| Error::kernel("read", file, source))?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        .ok_or(Error::Unsupported { limit: "oom_kill", file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(memory: Option<u64>, memory_and_swap: Option<u64>) -> Resources {
        Resources { memory, memory_and_swap, ..Resources::default() }
    }

    #[test]
    fn the_first_memory_limit_admits_no_swap() {
        let fresh = Limits { memory: MAX, sum: MAX };
        let limits = fresh.with(&asked(Some(100), None)).unwrap();
        assert_eq!(limits, Limits { memory: 100, sum: 100 });
    }

    #[test]
    fn a_changed_memory_limit_keeps_the_swap_there_was() {
        let now = Limits { memory: 100, sum: 150 };
        let with = |memory| now.with(&asked(Some(memory), None)).unwrap().sum;
        assert_eq!((with(400), with(10), with(MAX)), (450, 60, MAX));
        let unlimited = Limits { memory: 100, sum: MAX };
        assert_eq!(unlimited.with(&asked(Some(50), None)).unwrap().sum, MAX);
    }

    #[test]
    fn a_sum_below_memory_is_refused() {
        let now = Limits { memory: 100, sum: 150 };
        assert!(now.with(&asked(None, Some(99))).is_err());
        assert!(now.with(&asked(Some(200), Some(199))).is_err());
        assert!(now.with(&asked(None, Some(100))).is_ok());
        let no_memory = Limits { memory: MAX, sum: MAX };
        assert!(no_memory.with(&asked(None, Some(100))).is_err());
    }

    #[test]
    fn limits_are_held_in_whole_pages_and_unlimited_near_two_to_the_63() {
        let page = u64::try_from(rustix::param::page_size()).unwrap();
        assert_eq!(held(page), page);
        assert_eq!(held(page * 3 - 1), page * 2);
        assert_eq!(held(9_223_372_036_854_771_712), MAX);
        assert_eq!(held(i64::MAX.unsigned_abs()), MAX);
        assert_eq!(held(9_223_372_036_854_771_711), 9_223_372_036_854_771_712 - page);
        assert_eq!(
            (parse("max\n"), parse("4096\n"), parse("9223372036854771712\n")),
            (MAX, 4096, MAX)
        );
    }
}
