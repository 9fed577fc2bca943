//! The language of the channel between `bulkhead-apid` (unprivileged) and `bulkhead-shim` (root).
//!
//! One `SOCK_SEQPACKET` message carries one [`Request`], [`Reply`] or [`Event`]. This crate says
//! what those are and how they become bytes; it does no I/O and knows no policy. It is the only
//! crate that both sides of the boundary link, so it is written for the side that must not trust
//! the other: a value of these types cannot break the rules in their documentation, because
//! decoding is the only way in from bytes and it refuses what does not fit. See `PRIVSEP.md`.
//!
//! Encoding: a fixed 16-byte [`Header`], then one CBOR (RFC 8949) item. Records are maps with small
//! integer keys in ascending order. Unknown keys, missing keys, keys out of order, indefinite
//! lengths and trailing bytes are errors; the receiver closes the connection.
#![forbid(unsafe_code)]

mod bounded;
pub mod codec;
mod id;
pub mod path;
mod reply;
mod request;
mod spec;

pub use bounded::{ByteString, ByteStringError, List, TooLong};
pub use codec::{
    DecodeError, Header, MAX_FDS, MAX_LARGE_BYTES, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, Wire,
};
pub use id::{ContainerId, ExecId, LayerId, NetworkId, ParseIdError, Target};
pub use path::{ContainerPath, HostPath, PathError};
pub use reply::{
    EVENT_KIND, Effective, Event, ExitStatus, FdLayout, FromShim, Hello, Known, PAGE, Phase,
    Refusal, Reply, Stdio, Text, UnpackedLayer,
};
pub use request::{
    HelloRequest, ListLayersRequest, RecoverRequest, Request, RequestKind, Signal, SignalRequest,
    UnpackRequest, UpdateRequest,
};
pub use spec::*;
