//! Streams of bytes between a process and a client.

pub(crate) mod detach;
pub(crate) mod hijack;
pub(crate) mod socket;
pub(crate) mod stdcopy;
