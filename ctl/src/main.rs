//! `bulkhead`: the command line of the engine.
//!
//! It talks to the engine as any other client does, over its API; only `up`, `down` and `policy`
//! work on the host itself. Grammar, output and exit codes are those of Docker's command line.
//!
//! First what the user typed ([`flags`], [`invocation`]), then what the program does ([`commands`]).

#![forbid(unsafe_code)]

mod client;
mod commands;
mod create;
mod engine;
mod failure;
mod flags;
mod invocation;
mod output;
mod policy;
mod session;

use std::process::ExitCode;

fn main() -> ExitCode {
    session::terminal::restore_on_panic();
    let result = invocation::run();
    session::terminal::restore();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                output::print::err(&failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}
