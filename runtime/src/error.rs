//! What can go wrong, in the terms that a caller has to tell apart.

use rustix::io::Errno;
use std::{fmt, io};

/// Why there is no process.
#[derive(Debug)]
pub enum Error {
    /// The program could not be run, or its working directory not be entered: the user's mistake.
    Program {
        /// What the kernel said. For a program without `/`, `ENOENT` means that no directory of
        /// `PATH` has it, `EACCES` that one has it and it may not be executed.
        errno: i32,
        /// Which step, on what: `exec "foo"`, `chdir to cwd "/x"`.
        step: String,
    },
    /// The kernel said no.
    Kernel {
        /// The step and its object.
        what: String,
        /// Its error.
        source: Option<io::Error>,
    },
    /// The request contradicts itself, or the container's files make it impossible.
    Invalid {
        /// What is wrong.
        what: String,
    },
    /// This kernel cannot, or nobody has written it.
    Unsupported {
        /// What.
        what: String,
    },
    /// The process could not enter its cgroup.
    Cgroup(bulkhead_cgroup::Error),
    /// It could not be connected.
    Network(bulkhead_network::Error),
}

impl Error {
    /// The request, or the container's files, are wrong.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// As bytes, from the new process to the caller.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (kind, errno, text) = match self {
            Self::Program { errno, step } => (b'p', *errno, step.clone()),
            Self::Kernel { what, source } => match source.as_ref().map(io::Error::raw_os_error) {
                Some(Some(errno)) => (b'k', errno, what.clone()),
                _ => (b'k', 0, chain(self)),
            },
            Self::Invalid { what } => (b'i', 0, what.clone()),
            Self::Unsupported { what } => (b'u', 0, what.clone()),
            Self::Cgroup(_) | Self::Network(_) => (b'k', 0, chain(self)),
        };
        let mut bytes = vec![kind];
        bytes.extend(errno.to_ne_bytes());
        bytes.extend(text.bytes().take(MAX_TEXT_BYTES));
        bytes
    }

    /// Back again; none: not such bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (errno, text) = rest.split_first_chunk()?;
        let errno = i32::from_ne_bytes(*errno);
        let text = String::from_utf8_lossy(text).into_owned();
        let source = (errno != 0).then(|| io::Error::from_raw_os_error(errno));
        Some(match kind {
            b'p' => Self::Program { errno, step: text },
            b'k' => Self::Kernel { what: text, source },
            b'i' => Self::Invalid { what: text },
            b'u' => Self::Unsupported { what: text },
            _ => return None,
        })
    }
}

/// The longest text that travels: a path and some words.
const MAX_TEXT_BYTES: usize = 5000;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { errno, step } => {
                write!(f, "{step}: {}", io::Error::from_raw_os_error(*errno))
            }
            Self::Kernel { what, .. } | Self::Invalid { what } | Self::Unsupported { what } => {
                f.write_str(what)
            }
            Self::Cgroup(_) => f.write_str("cgroup"),
            Self::Network(_) => f.write_str("network"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kernel { source, .. } => source.as_ref().map(|source| source as _),
            Self::Cgroup(source) => Some(source),
            Self::Network(source) => Some(source),
            Self::Program { .. } | Self::Invalid { .. } | Self::Unsupported { .. } => None,
        }
    }
}

/// An error and its causes as one text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Say at which step a call failed.
pub(crate) trait Step<T> {
    /// The step's name, or the call's with its object.
    fn step(self, what: &str) -> Result<T, Error>;
    /// The same, for a text that is only made if needed.
    fn step_at(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, what: &str) -> Result<T, Error> {
        self.step_at(|| what.to_owned())
    }

    fn step_at(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|errno| Error::Kernel { what: what(), source: Some(errno.into()) })
    }
}

impl<T> Step<T> for Result<T, bulkhead_sys::Error> {
    fn step(self, what: &str) -> Result<T, Error> {
        self.step_at(|| what.to_owned())
    }

    fn step_at(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::Kernel {
            what: format!("{}: {error}", what()),
            source: error.errno().map(io::Error::from_raw_os_error),
        })
    }
}
