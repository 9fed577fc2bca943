//! What the daemon is told: the command line, `daemon.json`, and what follows from both.

mod arguments;
mod file;
mod settings;

pub(crate) use arguments::{Arguments, HELP, Wanted};
pub(crate) use settings::Settings;
