//! The init process of a container with `--init`: pid 1, whose only work is its children.
//!
//! `bulkhead-init PROGRAM [ARGUMENT...]` runs the program as its child, sends it every signal that it
//! gets itself, reaps every process that loses its parent, and ends as the program ends: with its
//! status, or 128 and the number of the signal that killed it. 127: the program is not there; 126:
//! it cannot be executed.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "its only way to say why it cannot start")]

use bulkhead_sys::signal;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::io::{ErrorKind, IsTerminal};
use std::process::{Command, ExitCode};

const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// `SIGCHLD` on every architecture that we build for.
const SIGCHLD: u8 = 17;
/// `SIGTTIN` and `SIGTTOU`: the terminal's answer to init itself, which is in the background.
const TERMINAL_STOPS: [u8; 2] = [21, 22];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: bulkhead-init PROGRAM [ARGUMENT...]");
        return ExitCode::from(FAILED);
    };
    // Before there is a child whose end could be missed.
    if let Err(error) = signal::hold_back_all() {
        eprintln!("bulkhead-init: {error}");
        return ExitCode::from(FAILED);
    }
    let mut command = Command::new(&program);
    command.args(arguments);
    signal::unaffected(&mut command, std::io::stdin().is_terminal());
    match command.spawn() {
        Ok(child) => ExitCode::from(serve(child.id())),
        Err(error) => {
            eprintln!("bulkhead-init: exec {}: {error}", program.display());
            let missing = error.kind() == ErrorKind::NotFound;
            ExitCode::from(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
        }
    }
}

/// Until the child has ended; its exit code.
fn serve(child: u32) -> u8 {
    let Ok(child) = i32::try_from(child) else { return FAILED };
    loop {
        match signal::next() {
            Ok(SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            Ok(stop) if TERMINAL_STOPS.contains(&stop) => {}
            // It may just have ended: then its SIGCHLD is on its way.
            Ok(number) => signal::send(child, number).unwrap_or_default(),
            Err(error) => {
                eprintln!("bulkhead-init: {error}");
                return FAILED;
            }
        }
    }
}

/// Every process that has ended; the exit code of `child` if it is among them.
fn reap(child: i32) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == Pid::from_raw(child) {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let code = status.exit_status().or(signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)
}
