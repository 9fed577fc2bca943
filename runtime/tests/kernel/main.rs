//! Real containers on this kernel, as root: `cargo test -p bulkhead-runtime --test kernel [NAME]`,
//! `-- --bench` to measure a start.
//!
//! There is no test harness: a process that clones containers has one thread.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod audit;
mod bench;
mod confinement;
mod errors;
mod exec;
mod mounts;
mod namespaces;
mod rig;
mod rootfs;
mod users;

use rig::Rig;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A test's name and body.
type Test = (&'static str, fn(&Rig));

/// Name functions once.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use tests;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return std::process::ExitCode::SUCCESS;
    }
    if !rustix::process::getuid().is_root() {
        println!("skipped: not root");
        return std::process::ExitCode::SUCCESS;
    }
    let rig = Rig::new();
    if arguments.iter().any(|argument| argument == "--bench") {
        bench::run(&rig);
        return std::process::ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let all = [
        namespaces::TESTS,
        rootfs::TESTS,
        mounts::TESTS,
        users::TESTS,
        confinement::TESTS,
        exec::TESTS,
        errors::TESTS,
        audit::TESTS,
    ];
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in all.into_iter().flatten() {
        if wanted.is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| test(&rig))) {
            Ok(()) => passed += 1,
            Err(_) => failed.push(name),
        }
        println!("test {name} ... {}", if failed.last() == Some(&name) { "FAILED" } else { "ok" });
    }
    println!("\ntest result: {passed} passed; {} failed {failed:?}", failed.len());
    if failed.is_empty() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}
