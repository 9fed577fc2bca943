//! One engine among several on a host, and the names it gives.

use bulkhead_policy::proto::{ContainerId, NetworkId};
use std::fmt;

/// How the names of container interfaces on the host begin.
pub(crate) const PORT: &str = "bv";

/// Which engine: all names that the kernel shows hold its tag.
///
/// | | installed engine (no tag) | tag `89abcdef` |
/// |---|---|---|
/// | default bridge | `bulkhead0` | `bh89abcdef` |
/// | other bridges | `bh-` + 12 digits of the id | `bh89ab-` + 8 digits of the id |
/// | host end of a veth | `bv` + 10 digits of the id + `-` + index | the same |
/// | nf_tables tables | `bulkhead` | `bulkhead_89abcdef` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    tag: String,
}

/// The tag is neither empty nor 8 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTag;

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instance's tag is empty or 8 lower-case hex digits")
    }
}

impl std::error::Error for InvalidTag {}

impl Instance {
    /// The engine with this tag; the installed one has the empty tag.
    ///
    /// # Errors
    /// The tag is neither empty nor 8 lower-case hex digits.
    pub fn new(tag: &str) -> Result<Self, InvalidTag> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if tag.is_empty() || tag.len() == 8 && tag.bytes().all(hex) {
            Ok(Self { tag: tag.to_owned() })
        } else {
            Err(InvalidTag)
        }
    }

    /// The name of the default network's bridge.
    pub fn default_bridge(&self) -> String {
        if self.tag.is_empty() { "bulkhead0".to_owned() } else { format!("bh{}", self.tag) }
    }

    /// The nf_tables table's name, in families `inet` and `netdev`.
    pub fn table(&self) -> String {
        if self.tag.is_empty() { "bulkhead".to_owned() } else { format!("bulkhead_{}", self.tag) }
    }

    /// At most 15 bytes, as `IFNAMSIZ` admits.
    pub(crate) fn bridge(&self, id: &NetworkId, default: bool) -> String {
        match (default, self.tag.get(..4)) {
            (true, _) => self.default_bridge(),
            (false, None) => format!("bh-{}", Digits(id.as_bytes(), 6)),
            (false, Some(tag)) => format!("bh{tag}-{}", Digits(id.as_bytes(), 4)),
        }
    }

    /// The host's end of a container's veth pair; `index` is below 32.
    pub(crate) fn port(container: &ContainerId, index: usize) -> String {
        format!("{PORT}{}-{index}", Digits(container.as_bytes(), 5))
    }

    /// How the alias of every link of this engine begins.
    pub(crate) fn alias_prefix(&self) -> String {
        format!("bulkhead {} ", if self.tag.is_empty() { "-" } else { &self.tag })
    }
}

/// The first bytes of an id in hex.
struct Digits<'a>(&'a [u8; 32], usize);

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(self.1).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
