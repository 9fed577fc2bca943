//! What an unprivileged program takes from itself before it reads a byte that it should not trust.
//!
//! The order is the one that works: privileges first, then files, then system calls, since each
//! step needs calls that the next one takes away. All of it holds for the calling thread and the
//! threads it starts later, so [`Sandbox::enter`] belongs at the top of `main`, before any thread.
//! None of it can be undone, and a step that fails fails the whole.
#![forbid(unsafe_code)]

mod apid;
mod calls;
mod files;
mod privileges;

use std::io;
use std::path::PathBuf;

pub use apid::APID;
pub use calls::{Calls, Rule, When};
pub use files::{Access, Fence, FileRule};
pub use privileges::refuse_root;

/// What a program keeps.
#[derive(Debug, Clone)]
pub struct Sandbox<'a> {
    /// The files and directories that it may still reach; with all below them.
    pub files: &'a [FileRule],
    /// The system calls that it may still make.
    pub calls: &'a Calls,
}

impl Sandbox<'_> {
    /// Give up everything else, for good.
    ///
    /// # Errors
    ///
    /// Any step that the kernel refuses, and a kernel that cannot fence files in at all. What was
    /// given up until then stays given up: the caller ends.
    pub fn enter(&self) -> Result<Fence, Error> {
        refuse_root()?;
        privileges::drop_all()?;
        let fence = files::fence_in(self.files)?;
        calls::admit_only(self.calls)?;
        Ok(fence)
    }
}

/// A step that failed; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program was started by the wrong user.
    #[error("this program does not run as root: start it as an unprivileged user of its own")]
    Root,
    /// A privilege could not be given up.
    #[error("{deed}")]
    Privilege {
        /// The call.
        deed: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Capabilities are still there after they were dropped.
    #[error("capabilities are left after dropping them: {left}")]
    CapabilitiesLeft {
        /// Which.
        left: String,
    },
    /// A path that the program needs cannot be opened.
    #[error("open {}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel refused the fence.
    #[error("landlock_restrict_self")]
    Landlock(#[from] landlock::RulesetError),
    /// Landlock is not built in or not enabled.
    #[error(
        "this kernel cannot fence a program's files in (Landlock): add `landlock` to the kernel's `lsm=` parameter"
    )]
    NoLandlock,
    /// The filter does not compile: a mistake in its list.
    #[error("system-call filter")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel refused the filter.
    #[error("seccomp(SECCOMP_SET_MODE_FILTER)")]
    Seccomp(#[source] seccompiler::Error),
}
