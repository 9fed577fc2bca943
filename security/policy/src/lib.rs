//! What root permits: pure data and one decision function. No I/O, no parser of text.
#![forbid(unsafe_code)]

pub mod capability;
mod effective;
pub mod seccomp;

pub use bulkhead_proto as proto;
pub use effective::*;
