//! Unpacks one layer and ends.
//!
//! The shim starts it as root of a fresh user namespace whose ids are the storage range, with no
//! network and with five things only: its arguments, a stream, an empty directory, and a pipe for
//! one line of result.
//!
//! ```text
//! bulkhead-worker unpack <most bytes of contents>
//!   0  the layer: tar, plain or compressed with gzip or zstd; a pipe or a socket
//!   3  the empty directory
//!   4  where the result goes:
//!        ok <diffID> <digest of the stream as it came> <packed bytes> <bytes> <entries>
//!        error <text>
//! ```
//!
//! Before the first byte of the layer is read the worker has given up whatever it does not need:
//! see [`sandbox`]. What it writes it reaches through the directory's descriptor alone.

#![forbid(unsafe_code)]

mod apply;
mod error;
mod pipeline;
mod sandbox;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use bulkhead_archive::{Limits, MAX_ENTRIES, TarReader};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::apply::{Applier, Skipped};
use crate::error::Error;
use crate::pipeline::{Pipeline, Stream};

/// Numbers of the descriptors that the shim passes.
const STAGING_FD: i32 = 3;
const RESULT_FD: i32 = 4;
/// The longest result line; the shim reads no more than 2 KiB.
const MAX_RESULT_BYTES: usize = 1024;

fn main() -> ExitCode {
    let mut result = match take(RESULT_FD) {
        Ok(result) => File::from(result),
        Err(error) => return complain(&mut io::stderr(), &error),
    };
    match unpack() {
        Ok(unpacked) => {
            let said = writeln!(result, "ok {unpacked}").is_ok();
            if said { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => complain(&mut result, &error),
    }
}

/// Say what is wrong, in one line.
fn complain(to: &mut impl Write, error: &Error) -> ExitCode {
    let mut text = error.to_string().replace(char::is_control, " ");
    text.truncate(text.floor_char_boundary(MAX_RESULT_BYTES));
    // Whoever waits sees the end of the pipe if the line does not arrive.
    writeln!(to, "error {text}").unwrap_or_default();
    ExitCode::FAILURE
}

/// What the result line says.
struct Unpacked {
    stream: Stream,
    bytes: u64,
    entries: u64,
}

impl std::fmt::Display for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, bytes, entries } = self;
        for digest in [&stream.unpacked_digest, &stream.packed_digest] {
            digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(" ")?;
        }
        write!(f, "{} {bytes} {entries}", stream.packed_bytes)
    }
}

fn unpack() -> Result<Unpacked, Error> {
    let most_bytes = arguments()?;
    let source = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let staging = take(STAGING_FD)?;

    sandbox::enter(&staging)?;
    let (pipeline, ready) = Pipeline::start(source)?;
    sandbox::close()?;
    // From here on no system call but those of the list.
    let mut tar = pipeline.open(ready, |stream| {
        TarReader::new(stream, Limits { entries: MAX_ENTRIES, bytes: most_bytes })
    });

    let mut applier = Applier::new(staging)?;
    while let Some(entry) = tar.next_entry()? {
        applier.apply(&entry, &mut tar)?;
    }
    let (bytes, entries) = (tar.content_bytes(), tar.entries());
    drop(tar);
    let stream = pipeline.finish()?;
    let skipped = applier.finish()?;
    report_skipped(&skipped);
    Ok(Unpacked { stream, bytes, entries })
}

fn arguments() -> Result<u64, Error> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (Some("unpack"), Some(most), None) => {
            most.parse().map_err(|_not_a_number| Error::Usage("the limit is not a number"))
        }
        _ => Err(Error::Usage("usage: bulkhead-worker unpack <most bytes>")),
    }
}

/// A descriptor that was passed by number. `pidfd_getfd(2)` on oneself duplicates it, which needs
/// no `unsafe`; the original stays open until the process ends.
fn take(number: i32) -> Result<OwnedFd, Error> {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).map_err(Error::call("pidfd_open"))?;
    pidfd_getfd(&me, number, PidfdGetfdFlags::empty())
        .map_err(Error::call("take a passed descriptor"))
}

/// Not worth a failure, but worth a word where somebody looks.
fn report_skipped(skipped: &Skipped) {
    if *skipped != Skipped::default() {
        let Skipped { devices, xattrs, aufs } = skipped;
        let line = format!(
            "bulkhead-worker: left out {devices} device nodes, {xattrs} extended attributes, \
             {aufs} entries of aufs\n"
        );
        io::stderr().write_all(line.as_bytes()).unwrap_or_default();
    }
}
