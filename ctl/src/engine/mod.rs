//! `up` and `down`: an engine of this host, started and ended without a service manager.

mod account;
mod configuration;
pub(crate) mod daemon;
mod down;
mod layout;
mod record;
mod up;

pub(crate) use down::down;
pub(crate) use up::up;

use std::time::Duration;

use crate::failure::Failure;
use crate::flags::Args;

/// How long to wait for a daemon unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

fn timeout(args: &Args) -> Duration {
    let asked = args.nanoseconds("timeout").and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
    asked.map_or(TIMEOUT, Duration::from_nanos)
}

fn need_root(command: &str, why: &str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(format!("bulkhead {command} needs root: {why}. Try: sudo bulkhead {command}")))
}
