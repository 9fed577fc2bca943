//! Processor time: `cpu.weight` and `cpu.max` on v2
//! ([cgroup-v2](https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu)), `cpu.shares` and
//! `cpu.cfs_*_us` on v1
//! ([sched-bwc](https://docs.kernel.org/scheduler/sched-bwc.html)).

use crate::memory::MAX;
use crate::node::{Controller, Node};
use crate::{Cgroup, Error};
use bulkhead_policy::proto::Resources;

const SHARES: &str = "CpuShares";
const QUOTA: &str = "CpuQuota";
const PERIOD: &str = "CpuPeriod";

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<(), Error> {
    if let Some(shares) = resources.cpu_shares {
        if !(2..=262_144).contains(&shares) {
            return Err(Error::Invalid { limit: SHARES, reason: "not from 2 to 262144" });
        }
        let node = cgroup.limited(Controller::Cpu, SHARES, "cpu.weight")?;
        let (file, value) =
            if node.unified { ("cpu.weight", weight(shares)) } else { ("cpu.shares", shares) };
        let value = value.to_string();
        node.set(SHARES, file, &value, |found| found == value)?;
    }
    let (quota, period) = (resources.cpu_quota_us, resources.cpu_period_us);
    if period.is_some_and(|period| !(1_000..=1_000_000).contains(&period)) {
        let reason = "not from 1000 to 1000000 microseconds";
        return Err(Error::Invalid { limit: PERIOD, reason });
    }
    if quota.is_some_and(|quota| quota < 1_000) {
        return Err(Error::Invalid { limit: QUOTA, reason: "less than 1000 microseconds" });
    }
    if quota.is_none() && period.is_none() {
        return Ok(());
    }
    let node = cgroup.limited(Controller::Cpu, QUOTA, "cpu.max")?;
    if node.unified { limit_v2(node, quota, period) } else { limit_v1(node, quota, period) }
}

fn limit_v2(node: &Node, quota: Option<u64>, period: Option<u64>) -> Result<(), Error> {
    let file = "cpu.max";
    let Some(now) = node.read_optional(file)? else {
        return Err(Error::Unsupported { limit: QUOTA, file });
    };
    let value = max_value(now.trim_end(), quota, period);
    node.set(QUOTA, file, &value, |found| found == value)
}

/// What `cpu.max`, which holds both, becomes.
fn max_value(now: &str, quota: Option<u64>, period: Option<u64>) -> String {
    let (old_quota, old_period) = now.split_once(' ').unwrap_or((now, "100000"));
    let quota = match quota {
        None => old_quota.to_owned(),
        Some(MAX) => "max".to_owned(),
        Some(quota) => quota.to_string(),
    };
    let period = period.map_or_else(|| old_period.to_owned(), |period| period.to_string());
    format!("{quota} {period}")
}

fn limit_v1(node: &Node, quota: Option<u64>, period: Option<u64>) -> Result<(), Error> {
    if let Some(period) = period {
        let value = period.to_string();
        node.set(PERIOD, "cpu.cfs_period_us", &value, |found| found == value)?;
    }
    if let Some(quota) = quota {
        let value = if quota == MAX { "-1".to_owned() } else { quota.to_string() };
        node.set(QUOTA, "cpu.cfs_quota_us", &value, |found| found == value)?;
    }
    Ok(())
}

/// The v2 weight, 1 to 10000, for v1 shares, 2 to 262144: the parabola (in logarithms) through
/// (2, 1), (1024, 100) and (262144, 10000), so that the defaults of both versions meet. runc and
/// crun do so (runc pull request 4785); the straight line which they used before made 1024 a weight
/// of 39, and put containers with the default far behind every other process of the host.
fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_as_in_runc() {
        let expected = [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (8, 3),
            (10, 4),
            (100, 17),
            (256, 35),
            (512, 59),
            (1000, 99),
            (1023, 100),
            (1024, 100),
            (1025, 101),
            (2048, 174),
            (3072, 240),
            (10_000, 627),
            (100_000, 4340),
            (262_143, 10_000),
            (262_144, 10_000),
            (300_000, 10_000),
        ];
        for (shares, expected) in expected {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert!((2..262_144).step_by(7).all(|shares| weight(shares) <= weight(shares + 1)));
    }

    #[test]
    fn cpu_max_keeps_the_half_that_was_not_asked_for() {
        let value = |now, quota, period| max_value(now, quota, period);
        assert_eq!(value("max 100000", Some(50_000), None), "50000 100000");
        assert_eq!(value("max 100000", None, Some(20_000)), "max 20000");
        assert_eq!(value("50000 100000", None, Some(20_000)), "50000 20000");
        assert_eq!(value("50000 20000", Some(MAX), None), "max 20000");
        assert_eq!(value("max 100000", Some(1_000), Some(1_000)), "1000 1000");
    }
}
