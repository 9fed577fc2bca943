//! Errors of the layers below, in the words of the channel.

use bulkhead_proto::{Refusal, Text};
use std::fmt::Display;

/// A text for people, cut to what a message admits and without NUL.
pub(crate) fn text(message: impl Display) -> Text {
    let mut bytes = message.to_string().into_bytes();
    bytes.retain(|byte| *byte != 0);
    bytes.truncate(2048);
    Text::try_from(bytes).unwrap_or_default()
}

/// The kernel said no.
pub(crate) fn kernel(what: impl Display) -> Refusal {
    Refusal::Kernel { what: text(what) }
}

/// apid named something that is not there.
pub(crate) fn not_found(what: impl Display) -> Refusal {
    Refusal::NotFound { what: text(what) }
}

/// Something below failed: the error and its causes, as one text.
pub(crate) fn because(error: impl std::error::Error) -> Refusal {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    kernel(message)
}

/// A process could not be set up or started.
pub(crate) fn from_runtime(error: bulkhead_runtime::Error) -> Refusal {
    use bulkhead_runtime::Error;
    match error {
        Error::Program { errno, step } => Refusal::Program { errno, step: text(step) },
        Error::Invalid { what } => Refusal::Invalid { what: text(what) },
        Error::Unsupported { what } => Refusal::Unsupported { what: text(what) },
        error @ (Error::Kernel { .. } | Error::Cgroup(_) | Error::Network(_)) => because(error),
    }
}
