//! The program of the image `bulkhead/hello`: it tells, from inside a container, what it sees and
//! what it is refused. Everything it says it has just read from the kernel or tried.
#![forbid(unsafe_code)]

mod attempts;
mod sights;

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match tell(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody listens any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn tell(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Hello from a Bulkhead container.\n")?;
    writeln!(out, "What this process is:")?;
    for (name, value) in sights::all() {
        writeln!(out, "  {name:<16} {value}")?;
    }
    writeln!(out, "\nWhat it just tried:")?;
    for (what, result) in attempts::all() {
        writeln!(out, "  {what:<44} {result}")?;
    }
    writeln!(out, "\nWhat to try next:")?;
    for (command, what) in NEXT {
        writeln!(out, "  {command:<44} {what}")?;
    }
    Ok(())
}

const NEXT: [(&str, &str); 4] = [
    ("mmdebstrap bookworm - | bulkhead import - debian", "an image made from packages"),
    ("docker run --privileged bulkhead/hello", "the same, or what the policy says to that"),
    ("bulkhead policy explain", "what this host admits, and why"),
    ("bulkhead info", "what the engine is and uses"),
];
