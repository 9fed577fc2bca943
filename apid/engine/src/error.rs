//! What can go wrong, in the terms of the API: a kind, which is an HTTP status at the edge, and
//! Docker's own sentence, which clients match on.

use bulkhead_proto::{Refusal, Text};
use std::error::Error as StdError;
use std::fmt;

/// The result of an engine operation.
pub type Result<T> = std::result::Result<T, EngineError>;

/// What kind of failure it is; the HTTP layer makes a status code of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no such container, image, exec or network (404).
    NotFound,
    /// It contradicts what is (409).
    Conflict,
    /// The request is wrong in itself (400).
    BadParameter,
    /// The policy says no (403).
    Denied,
    /// It is so already (304).
    NotModified,
    /// This engine does not do that (501).
    NotImplemented,
    /// The shim is not there now (503).
    Unavailable,
    /// Everything else (500).
    Internal,
}

/// A failed operation.
#[derive(Debug)]
pub struct EngineError {
    kind: ErrorKind,
    message: String,
    exit_code: Option<i64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl EngineError {
    /// A failure of this kind with the sentence that the client reads.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), exit_code: None, source: None }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the client, as Docker words it; never empty but for `NotModified`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The program could not be run: what a shell's exit code would be.
    #[must_use]
    pub(crate) fn with_exit_code(mut self, code: i64) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// The exit code of a program that could not be run.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.exit_code
    }

    /// Keep the cause.
    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadParameter, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub(crate) fn not_modified() -> Self {
        Self::new(ErrorKind::NotModified, "")
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for EngineError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A refusal of the shim as the API tells it. Starting a container words [`Refusal::Program`]
/// itself (`container::start`), because Docker's text and exit code depend on it.
impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        let (kind, message) = match &refusal {
            Refusal::Denied { field, rule, knob } => (
                ErrorKind::Denied,
                format!(
                    "{} denied by policy rule {}; to permit it: {}",
                    plain(field),
                    plain(rule),
                    plain(knob)
                ),
            ),
            Refusal::NotFound { .. } => (ErrorKind::NotFound, refusal.to_string()),
            Refusal::WrongPhase { .. } | Refusal::Exists { .. } | Refusal::InUse { .. } => {
                (ErrorKind::Conflict, refusal.to_string())
            }
            Refusal::Invalid { what } => (ErrorKind::BadParameter, plain(what)),
            Refusal::Program { .. } => (ErrorKind::BadParameter, refusal.to_string()),
            Refusal::Unsupported { what } => (ErrorKind::NotImplemented, plain(what)),
            Refusal::Exhausted { .. } => (ErrorKind::Unavailable, refusal.to_string()),
            Refusal::Kernel { what } => (ErrorKind::Internal, plain(what)),
        };
        Self::new(kind, message)
    }
}

/// The shim's text without the escapes that its `Display` has for logs.
pub(crate) fn plain(text: &Text) -> String {
    let text = String::from_utf8_lossy(text.as_bytes());
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
