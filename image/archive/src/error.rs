//! Why an archive is refused.

use std::io;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source failed, or its compressed data is damaged.
    #[error("read: {0}")]
    Read(#[from] io::Error),
    /// The source ended inside an entry or a header.
    #[error("the archive is truncated")]
    Truncated,
    /// Compressed with something that we do not read.
    #[error("unsupported compression {0}")]
    UnsupportedCompression(&'static str),
    /// It grows more than any honest archive does.
    #[error("the archive expands to more than {0} times its size")]
    Ratio(u64),
    /// A header is malformed.
    #[error("malformed header: {0}")]
    Header(&'static str),
    /// An entry is malformed or ambiguous.
    #[error("entry {name:?}: {why}")]
    Entry {
        /// Its name, as far as known.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A limit is reached.
    #[error("{what}: more than {most}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// Something stands behind the end marker.
    #[error("data behind the end of the archive")]
    TrailingData,
}

impl Error {
    /// An entry's fault.
    pub fn entry(name: &[u8], why: impl Into<String>) -> Self {
        Self::Entry { name: String::from_utf8_lossy(name).into_owned(), why: why.into() }
    }
}
