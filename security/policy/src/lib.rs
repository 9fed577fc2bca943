//! What root permits: pure data and one decision function. No I/O, no parser of text.
//!
//! [`decide`] turns a request of the channel into a [`Permitted`], the only thing that privileged
//! code takes, or into a [`Refused`] that names field, rule and knob. [`Policy`] is what root wrote.
#![forbid(unsafe_code)]

pub mod capability;
mod decide;
mod effective;
pub mod paths;
mod policy;
#[cfg(feature = "tools")]
#[path = "../tools/presets.rs"]
mod presets;
mod rule;
pub mod seccomp;
mod table;

pub use bulkhead_proto as proto;
pub use decide::{Peer, RLIMITS, decide, decide_join, pinned};
#[cfg(feature = "tools")]
pub use decide::{Review, review};
pub use effective::*;
pub use policy::*;
pub use rule::{Finding, RULES, Refused, Rule};
pub use table::{MAX_TABLE_BYTES, TableError};
