//! Writing to standard output and standard error.
//!
//! All output of the program passes here (streams of containers apart, see [`crate::session`]), so
//! that one place knows what a reader who went away means: the program ends as quietly as one that
//! SIGPIPE ended.

use std::io::{self, Write};

use crate::failure::Failure;

/// Write text to standard output.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::from_stdout)
}

/// Write a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut whole = String::with_capacity(text.len() + 1);
    whole.push_str(text);
    whole.push('\n');
    out(&whole)
}

/// Write a line to standard error. That it cannot be written can be told to nobody.
pub(crate) fn err(text: &str) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "{text}").unwrap_or(());
}
