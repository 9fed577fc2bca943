//! How a command ends when it does not end well: what is said, and the exit code.

use std::io;

/// The end of a command that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What goes to standard error; empty: nothing.
    pub(crate) text: String,
    /// The exit code.
    pub(crate) code: u8,
}

impl Failure {
    /// Exit code 1 and a message.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// An exit code and a message.
    pub(crate) fn with_code(code: u8, text: impl Into<String>) -> Self {
        Self { text: text.into(), code }
    }

    /// An exit code without a message: a container's own, or what was wrong was said already.
    pub(crate) fn silent(code: u8) -> Self {
        Self { text: String::new(), code }
    }

    /// Something of the system failed while doing `what`.
    pub(crate) fn io(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self::new(format!("{what}: {error}"))
    }

    /// Standard output cannot be written. A reader who went away is told nothing; the code is that
    /// of a program that SIGPIPE ended.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(crate) fn from_stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(128 + 13);
        }
        Self::io("standard output", &error)
    }
}

impl From<crate::client::Error> for Failure {
    fn from(error: crate::client::Error) -> Self {
        Self::new(error.to_string())
    }
}
