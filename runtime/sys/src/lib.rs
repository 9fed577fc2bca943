//! Every `unsafe` line of the project: system calls that rustix does not have, or has as unsafe.
//!
//! Each function states in its types what the call needs; what comes back is owned. Nothing here
//! decides anything.
#![allow(unsafe_code, reason = "what this crate is for")]

pub mod bpf;
pub mod clone;
pub mod exec;
pub mod fork;
pub mod mount;
pub mod netlink;
pub mod process;
pub mod signal;

use std::borrow::Cow;
use std::{fmt, io};

/// A system call that the kernel refused.
///
/// `Display` gives the call; the errno is the source, and whoever logs prints the chain.
#[derive(Debug)]
pub struct Error {
    call: Cow<'static, str>,
    source: io::Error,
}

impl Error {
    /// This call failed with this error.
    pub fn new(call: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        Self { call: call.into(), source }
    }

    /// The kernel's error number, if it is the kernel's.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.call)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The result of a system call that gives 0 or -1.
pub(crate) fn check(call: &'static str, result: libc::c_long) -> Result<(), Error> {
    if result == -1 { Err(Error::new(call, io::Error::last_os_error())) } else { Ok(()) }
}
