//! `bulkhead-shim`: the root process. `PRIVSEP.md` says what it does and for whom.
//!
//! It listens on one `SOCK_SEQPACKET` socket, decides each request by a policy that only root can
//! change, does it, and writes it down. It parses no text that another user can write.
#![forbid(unsafe_code)]

mod arguments;
mod audit_log;
mod channel;
mod dirs;
mod drop;
mod event_loop;
mod hearing;
mod host;
mod janitor;
mod layers;
mod lifecycle;
mod monitor;
mod ranges;
mod recorded;
mod recover;
mod refusal;
mod reply;
mod running;
mod server;
mod sha256;
mod sockets;
mod spawn;
mod start;
mod store;
mod table;

use arguments::{Arguments, Mode};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => match &arguments.mode {
            Mode::VerifyAudit(path) => audit_log::verify(path).map(|lines| {
                start::say(&format!("{lines} lines, chain unbroken"));
            }),
            Mode::Version => {
                start::say(concat!("bulkhead-shim ", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
            Mode::Serve => start::serve(&arguments),
            Mode::Purge { data } => start::purge(&arguments, *data),
        },
        Err(error) => Err(std::io::Error::other(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            start::say(&format!("bulkhead-shim: {error}"));
            ExitCode::FAILURE
        }
    }
}
