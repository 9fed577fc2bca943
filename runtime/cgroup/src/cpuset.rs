//! Which processors and memory nodes: `cpuset.cpus` and `cpuset.mems`
//! ([cpuset(7)](https://man7.org/linux/man-pages/man7/cpuset.7.html)).

use crate::node::{Controller, Node};
use crate::{Cgroup, Error};
use bulkhead_policy::proto::Resources;

/// Processors and nodes are numbered below this: `NR_CPUS` of the largest kernels built.
const MAX_ID: u16 = 8192;

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<(), Error> {
    let wanted = [
        (&resources.cpuset_cpus, "CpusetCpus", "cpuset.cpus", "cpuset.cpus.effective"),
        (&resources.cpuset_mems, "CpusetMems", "cpuset.mems", "cpuset.mems.effective"),
    ];
    for (list, limit, file, effective) in wanted {
        let Some(list) = list else { continue };
        let reason = "not a list of numbers and ranges below 8192, such as 0-3,7";
        let wanted = parse(list.as_bytes()).ok_or(Error::Invalid { limit, reason })?;
        let node = cgroup.limited(Controller::Cpuset, limit, file)?;
        let value = written(&wanted);
        let holds = |found: &str| parse(found.as_bytes()).is_some_and(|found| found == wanted);
        node.set(limit, file, &value, holds).map_err(|error| unavailable(limit, error))?;
        // v2 takes what is not there, and then quietly uses less, or all that the parent has.
        if node.unified {
            node.check(limit, effective, &value, holds)?;
        }
    }
    Ok(())
}

/// The errors by which the kernel says that the parent, that is the host, has not got these.
fn unavailable(limit: &'static str, error: Error) -> Error {
    use rustix::io::Errno;
    let refused = [Errno::INVAL, Errno::ACCESS, Errno::RANGE, Errno::OVERFLOW, Errno::NODEV];
    let Error::Kernel { source, .. } = &error else { return error };
    if refused.iter().any(|errno| source.raw_os_error() == Some(errno.raw_os_error())) {
        return Error::Invalid { limit, reason: "not all available on this host" };
    }
    error
}

/// On v1 a new group has no processors and no memory, and no process may enter it. Ours gets what
/// the root has, and hands it down to those made below it.
pub(crate) fn inherit(root: &Node, parent: &Node) -> Result<(), Error> {
    parent.write("cgroup.clone_children", "1")?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if parent.read(file)?.trim().is_empty() {
            parent.write(file, root.read(file)?.trim())?;
        }
    }
    Ok(())
}

/// Ranges, inclusive, ascending, with a gap between any two. As many as there are in the text,
/// however wide they are.
type Ranges = Vec<(u16, u16)>;

fn parse(list: &[u8]) -> Option<Ranges> {
    let mut ranges = Ranges::new();
    for part in std::str::from_utf8(list).ok()?.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        ranges.push((first, last));
    }
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joined = next.0 <= kept.1.saturating_add(1);
        if joined {
            kept.1 = kept.1.max(next.1);
        }
        joined
    });
    Some(ranges)
}

fn number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number < MAX_ID)
}

fn written(ranges: &Ranges) -> String {
    let parts: Vec<String> = ranges
        .iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_sorted() {
        let normal = |text: &str| parse(text.as_bytes()).map(|ranges| written(&ranges));
        assert_eq!(normal("3,0-1,2").as_deref(), Some("0-3"));
        assert_eq!(normal("7,0-3,2-5").as_deref(), Some("0-5,7"));
        assert_eq!(normal("5").as_deref(), Some("5"));
        assert_eq!(normal("0-8191").as_deref(), Some("0-8191"));
    }

    #[test]
    fn huge_ranges_and_odd_texts_are_refused() {
        for text in [
            "",
            ",",
            "1,",
            "-",
            "-1",
            "1-",
            "3-1",
            "0-8192",
            "8192",
            "1-9223372036854775807",
            "+1",
            "0 -1",
            "0-1\n",
            "all",
            "0-7:2/4",
            "1--2",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(&[0xff]), None);
    }
}
