//! What can go wrong with images, in the terms the API answers with.

use std::io;

use crate::digest::{Digest, ImageId};
use crate::reference::ReferenceError;

/// Why an operation on images failed. The cause is the `source`, not part of the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no image of this name or id.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// Several images' ids begin so.
    #[error("ambiguous reference: several image ids begin with {0}")]
    Ambiguous(String),
    /// The name is malformed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The image cannot be removed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A filter or an instruction that the client sent is malformed.
    #[error("{0}")]
    InvalidArgument(String),
    /// A JSON file of an image is not what it should be.
    #[error("invalid {what}: {why}")]
    Document {
        /// Which kind.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// An archive contradicts itself or lacks something.
    #[error("invalid archive: {0}")]
    Archive(String),
    /// The archive cannot be read as tar.
    #[error("cannot read the archive: {0}")]
    Tar(#[from] bulkhead_archive::Error),
    /// Bytes do not have the digest they should have.
    #[error("{what}: expected {expected}, got {actual}")]
    DigestMismatch {
        /// Of what.
        what: String,
        /// As the archive or manifest says.
        expected: Digest,
        /// As computed.
        actual: Digest,
    },
    /// The sink refused a layer; the text is for people.
    #[error("layer: {0}")]
    Layer(String),
    /// The store's files.
    #[error("{what}")]
    Io {
        /// The call and its arguments.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The store's database.
    #[error("image database: {what}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The store is damaged or newer than this program.
    #[error("image database: {0}")]
    Damaged(String),
}

/// What kind of answer an [`Error`] deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// HTTP 404.
    NotFound,
    /// HTTP 400: the client's fault.
    Invalid,
    /// HTTP 409.
    Conflict,
    /// HTTP 500: ours.
    Internal,
}

impl Error {
    /// What kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchImage(_) => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Ambiguous(_)
            | Self::Reference(_)
            | Self::InvalidArgument(_)
            | Self::Document { .. }
            | Self::Archive(_)
            | Self::Tar(_)
            | Self::DigestMismatch { .. }
            | Self::Layer(_) => ErrorKind::Invalid,
            Self::Io { .. } | Self::Database { .. } | Self::Damaged(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn database(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { what, source }
    }
}

/// Why an image cannot be removed, in Docker's words (moby `daemon/images/image_delete.go`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The last name of an image that containers use.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container \
         {container} is using its referenced image {}",
        image.short()
    )]
    Reference {
        /// As the client wrote it.
        name: String,
        /// The container, shortened.
        container: String,
        /// The image.
        image: ImageId,
    },
    /// The image itself.
    #[error(
        "conflict: unable to delete {} ({}) - {why}",
        image.short(),
        if *hard { "cannot be forced" } else { "must be forced" }
    )]
    Image {
        /// The image.
        image: ImageId,
        /// `force` does not help.
        hard: bool,
        /// What stands in the way.
        why: String,
    },
}
