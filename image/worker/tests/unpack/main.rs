//! The worker as the shim runs it: the real program in a real user namespace over the storage
//! range, fed with archives good and hostile. Rows D1 to D11 are those of the catalogue of
//! vulnerability classes; each test says what its archive tries.
//!
//! Needs root and util-linux (`unshare`, `nsenter`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that meets something odd fails"
)]

mod bombs;
mod honest;
mod hostile;
mod images;
mod program;
mod sandbox;
mod tarball;
mod tree;
mod whiteouts;
