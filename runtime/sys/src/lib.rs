//! See Cargo.toml.
#![allow(unsafe_code, reason = "what this crate is for")]

pub mod bpf;
