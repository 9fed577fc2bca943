//! The harness: an engine of its own for each test, the real `docker` CLI, a leak check at the end.
//!
//! Tests use what users use: the programs in `target/release` and the HTTP API. Nothing of the
//! engine is linked but the channel's language, for the tests that play a captured API daemon.

pub mod channel;
mod engine;
mod host;
mod image;
mod pty;

pub use engine::{Engine, Policy};
pub use host::{Snapshot, is_root, wait_until};
pub use image::{busybox, debian, oci_layout};
pub use pty::Pty;

use std::io::Write;

/// Count a test as skipped, by name and reason, in the file that `scripts/test.sh` reads.
pub fn skip(name: &str, reason: &str) {
    eprintln!("SKIP {name}: {reason}");
    if let Some(path) = std::env::var_os("BULKHEAD_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{name}: {reason}\n").as_bytes()))
            .expect("the skip file can be written");
    }
}

/// Skip the running test unless it is root and the programs are built.
#[macro_export]
macro_rules! need {
    ($name:literal, root) => {
        if !$crate::is_root() {
            $crate::skip($name, "needs root");
            return;
        }
    };
    ($name:literal, $program:literal) => {
        if !$crate::has_program($program) {
            $crate::skip($name, concat!($program, " is not installed"));
            return;
        }
    };
}

/// Whether a program is on the path.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}
