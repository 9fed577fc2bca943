//! What can go wrong between this program and the engine.

use std::io;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No connection.
    #[error("{}", cannot_connect(endpoint, source))]
    Connect {
        /// The engine's address.
        endpoint: String,
        /// What the system said.
        source: io::Error,
    },
    /// The engine said no.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("error during connect: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is not the JSON it should be.
    #[error("the engine's answer to {target} cannot be read: {source}")]
    Answer {
        /// Path and query of the request.
        target: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A request that cannot be written down as HTTP.
    #[error("not a valid request: {0}")]
    Request(#[from] hyper::http::Error),
    /// A connection was not handed over as a stream.
    #[error("unable to upgrade to tcp, received {0}")]
    NotUpgraded(u16),
    /// The stream's socket is not usable.
    #[error("the stream's socket: {0}")]
    Stream(io::Error),
}

impl Error {
    /// The engine's HTTP status, if it answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Daemon { status, .. } => Some(*status),
            Self::Connect { .. }
            | Self::Http(_)
            | Self::Answer { .. }
            | Self::Request(_)
            | Self::NotUpgraded(_)
            | Self::Stream(_) => None,
        }
    }
}

fn cannot_connect(endpoint: &str, source: &io::Error) -> String {
    let kind = source.kind();
    if kind == io::ErrorKind::PermissionDenied {
        format!("permission denied while trying to connect to the Bulkhead engine at {endpoint}")
    } else if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        format!(
            "Cannot connect to the Bulkhead engine at {endpoint}. Is it running? \
             (`bulkhead up` starts one)"
        )
    } else {
        format!("Cannot connect to the Bulkhead engine at {endpoint}: {source}")
    }
}
