//! What can go wrong.

use std::fmt;
use std::io;

/// A cgroup operation that did not happen, or not as asked.
///
/// Limits are called by their names in the Docker API.
#[derive(Debug)]
pub enum Error {
    /// There is no cgroup file system at or below `/sys/fs/cgroup`.
    NoHierarchy,
    /// Not a name of one to 128 of `a-z 0-9 - .` that starts with a letter or digit.
    Name {
        /// What was given.
        name: String,
    },
    /// There is no such cgroup.
    NotFound {
        /// Its name.
        name: String,
    },
    /// There is such a cgroup already, in one hierarchy at least.
    Exists {
        /// Its name.
        name: String,
    },
    /// The cgroup is in some hierarchies only: what is left of a crash. It can only be removed.
    Incomplete {
        /// Its name.
        name: String,
    },
    /// The kernel, or what the host has mounted, cannot do this.
    Unsupported {
        /// The limit or operation.
        limit: &'static str,
        /// The file that is missing.
        file: &'static str,
    },
    /// A value that no kernel would take, or that contradicts another.
    Invalid {
        /// The limit.
        limit: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The kernel took the value but holds another.
    NotApplied {
        /// The limit.
        limit: &'static str,
        /// The file that was written.
        file: &'static str,
        /// What was written.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// It did not happen in time.
    Timeout {
        /// What was waited for.
        event: &'static str,
    },
    /// The kernel said no.
    Kernel {
        /// The call.
        call: &'static str,
        /// On which file or directory, below the cgroup.
        file: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn kernel(call: &'static str, file: &str, source: impl Into<io::Error>) -> Self {
        Self::Kernel { call, file: file.to_owned(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHierarchy => f.write_str("no cgroup file system at or below /sys/fs/cgroup"),
            Self::Name { name } => write!(f, "{name:?} is no cgroup name"),
            Self::NotFound { name } => write!(f, "no cgroup {name}"),
            Self::Exists { name } => write!(f, "cgroup {name} exists already"),
            Self::Incomplete { name } => write!(f, "cgroup {name} is not in every hierarchy"),
            Self::Unsupported { limit, file } => {
                write!(f, "{limit}: this host has no cgroup file {file}")
            }
            Self::Invalid { limit, reason } => write!(f, "{limit}: {reason}"),
            Self::NotApplied { limit, file, wanted, found } => {
                write!(f, "{limit}: {file} is {found:?} after {wanted:?} was written")
            }
            Self::Timeout { event } => write!(f, "cgroup not {event} in time"),
            Self::Kernel { call, file, .. } => write!(f, "{call} cgroup {file}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kernel { source, .. } => Some(source),
            Self::NoHierarchy
            | Self::Name { .. }
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Incomplete { .. }
            | Self::Unsupported { .. }
            | Self::Invalid { .. }
            | Self::NotApplied { .. }
            | Self::Timeout { .. } => None,
        }
    }
}
