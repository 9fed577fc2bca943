//! Why a layer is refused.

use std::io;

use rustix::io::Errno;

/// Why a layer could not be unpacked. The text is for people; it names the entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(&'static str),
    #[error("sandbox: {0}")]
    Sandbox(String),
    /// The stream.
    #[error("{0}")]
    Archive(#[from] bulkhead_archive::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// An entry that no layer should have.
    #[error("entry {name:?}: {why}")]
    Entry { name: String, why: String },
    /// The same, its name still missing.
    #[error("{0}")]
    Refused(&'static str),
    /// The directory that an entry should be in.
    #[error("its directory {path:?} {why}")]
    Parent { path: String, why: String },
    /// A limit of this program.
    #[error("{0}")]
    Limit(&'static str),
    /// The kernel said no.
    #[error("{call}: {errno}")]
    Call { call: &'static str, errno: Errno },
}

impl Error {
    pub(crate) fn call(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Call { call, errno }
    }

    pub(crate) fn entry(name: &[u8], why: impl Into<String>) -> Self {
        Self::Entry { name: String::from_utf8_lossy(name).into_owned(), why: why.into() }
    }

    /// The entry, whatever went wrong with it.
    pub(crate) fn of(self, name: &[u8]) -> Self {
        match self {
            Self::Call { call, errno } => Self::entry(name, format!("{call}: {errno}")),
            Self::Refused(why) => Self::entry(name, why),
            Self::Parent { path, why } => {
                Self::entry(name, format!("its directory {path:?} {why}"))
            }
            other @ (Self::Usage(_)
            | Self::Sandbox(_)
            | Self::Archive(_)
            | Self::Io(_)
            | Self::Entry { .. }
            | Self::Limit(_)) => other,
        }
    }
}
