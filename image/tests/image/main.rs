//! The image store, loading and importing, with a sink that unpacks to nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that meets something odd fails"
)]

mod archive;
mod crash;
mod import;
mod load;
mod remove;
mod sink;
mod store;
