//! Block I/O: `io.max` and `io.weight` or `io.bfq.weight` on v2
//! ([cgroup-v2](https://docs.kernel.org/admin-guide/cgroup-v2.html#io)), `blkio.*` on v1
//! ([blkio](https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html)).

use crate::memory::MAX;
use crate::node::{Controller, Node};
use crate::{Cgroup, Error};
use bulkhead_policy::proto::{BlkioThrottle, Resources, ThrottleKind};

const WEIGHT: &str = "BlkioWeight";

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<(), Error> {
    if let Some(weight) = resources.blkio_weight {
        if !(10..=1000).contains(&weight) {
            return Err(Error::Invalid { limit: WEIGHT, reason: "not from 10 to 1000" });
        }
        set_weight(cgroup.limited(Controller::Io, WEIGHT, "io.weight")?, weight)?;
    }
    for throttle in resources.blkio_throttles.iter() {
        let names = names(throttle.kind);
        let node = cgroup.limited(Controller::Io, names.limit, "io.max")?;
        if node.unified {
            throttle_v2(node, throttle, &names)?;
        } else {
            throttle_v1(node, throttle, &names)?;
        }
    }
    Ok(())
}

/// The file depends on which I/O schedulers the kernel has. Those of BFQ and CFQ take the number as
/// it is; `io.weight` goes to 10000.
fn set_weight(node: &Node, weight: u16) -> Result<(), Error> {
    let plain = u64::from(weight);
    let files: [(&'static str, u64); 2] = if node.unified {
        [("io.bfq.weight", plain), ("io.weight", io_weight(plain))]
    } else {
        [("blkio.weight", plain), ("blkio.bfq.weight", plain)]
    };
    let [(_, _), (last, _)] = files;
    for (file, value) in files {
        let value = value.to_string();
        let holds = |found: &str| {
            let first = found.lines().next().unwrap_or(found);
            first.strip_prefix("default ").unwrap_or(first) == value
        };
        match node.set(WEIGHT, file, &value, holds) {
            Err(Error::Unsupported { .. }) => {}
            result => return result,
        }
    }
    Err(Error::Unsupported { limit: WEIGHT, file: last })
}

/// 10 to 1000 on a straight line to 1 to 10000, as runc and crun do.
fn io_weight(weight: u64) -> u64 {
    weight.saturating_sub(10).saturating_mul(9999) / 990 + 1
}

/// What a limit is called.
struct Names {
    limit: &'static str,
    v1: &'static str,
    v2: &'static str,
}

fn names(kind: ThrottleKind) -> Names {
    let (limit, v1, v2) = match kind {
        ThrottleKind::ReadBytes => ("BlkioDeviceReadBps", "blkio.throttle.read_bps_device", "rbps"),
        ThrottleKind::WriteBytes => {
            ("BlkioDeviceWriteBps", "blkio.throttle.write_bps_device", "wbps")
        }
        ThrottleKind::ReadOperations => {
            ("BlkioDeviceReadIOps", "blkio.throttle.read_iops_device", "riops")
        }
        ThrottleKind::WriteOperations => {
            ("BlkioDeviceWriteIOps", "blkio.throttle.write_iops_device", "wiops")
        }
    };
    Names { limit, v1, v2 }
}

/// A rate of 0 or [`MAX`] takes the limit away; then the device has no line.
fn throttle_v1(node: &Node, throttle: &BlkioThrottle, names: &Names) -> Result<(), Error> {
    let device = format!("{}:{} ", throttle.major, throttle.minor);
    let rate = if throttle.rate == MAX { 0 } else { throttle.rate };
    let expected = (rate != 0).then(|| rate.to_string());
    node.set(names.limit, names.v1, &format!("{device}{rate}"), |found| {
        found.lines().find_map(|line| line.strip_prefix(&device)) == expected.as_deref()
    })
}

fn throttle_v2(node: &Node, throttle: &BlkioThrottle, names: &Names) -> Result<(), Error> {
    let device = format!("{}:{} ", throttle.major, throttle.minor);
    let setting = format!("{}={}", names.v2, v2_rate(throttle));
    let unlimited = setting.ends_with("=max");
    node.set(names.limit, "io.max", &format!("{device}{setting}"), |found| {
        match found.lines().find_map(|line| line.strip_prefix(&device)) {
            Some(line) => line.split(' ').any(|word| word == setting),
            None => unlimited,
        }
    })
}

fn v2_rate(throttle: &BlkioThrottle) -> String {
    let most = match throttle.kind {
        ThrottleKind::ReadBytes | ThrottleKind::WriteBytes => MAX,
        // The kernel counts operations in 32 bits, and takes more as no limit.
        ThrottleKind::ReadOperations | ThrottleKind::WriteOperations => u64::from(u32::MAX),
    };
    if throttle.rate == 0 || throttle.rate >= most {
        "max".to_owned()
    } else {
        throttle.rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_reach_both_ends() {
        assert_eq!([10, 100, 500, 1000].map(io_weight), [1, 910, 4950, 10_000]);
    }

    #[test]
    fn a_rate_of_zero_and_one_that_the_kernel_cannot_hold_are_no_limit() {
        let rate = |kind, rate| v2_rate(&BlkioThrottle { major: 8, minor: 0, kind, rate });
        assert_eq!(rate(ThrottleKind::ReadBytes, 0), "max");
        assert_eq!(rate(ThrottleKind::ReadBytes, 1 << 40), "1099511627776");
        assert_eq!(rate(ThrottleKind::WriteBytes, MAX), "max");
        assert_eq!(rate(ThrottleKind::ReadOperations, 100), "100");
        assert_eq!(rate(ThrottleKind::WriteOperations, 1 << 32), "max");
    }
}
