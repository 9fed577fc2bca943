//! The terminal on this side.
//!
//! Raw mode is left on every way out: the end of `main`, the end of a container's output, the keys
//! that detach, signals that end the program (they are caught while the mode is on) and panics.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The mode to go back to while standard input is in raw mode.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

fn saved() -> MutexGuard<'static, Option<Termios>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Put the terminal on standard input into raw mode. False if there is none.
pub(crate) fn raw() -> io::Result<bool> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let cooked = tcgetattr(&stdin)?;
    let mut raw = cooked.clone();
    raw.make_raw();
    let mut saved = saved();
    tcsetattr(&stdin, OptionalActions::Now, &raw)?;
    saved.get_or_insert(cooked);
    Ok(true)
}

/// Leave raw mode, if it is on.
pub(crate) fn restore() {
    if let Some(cooked) = saved().take() {
        // The terminal may be gone, which is no matter then.
        tcsetattr(io::stdin(), OptionalActions::Now, &cooked).unwrap_or(());
    }
}

/// Leave raw mode before a panic is told.
pub(crate) fn restore_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        tell(panic);
    }));
}

/// Standard input is a terminal.
pub(crate) fn input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Standard output is a terminal.
pub(crate) fn output_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Rows and columns of the terminal on standard output; zeros if there is none.
pub(crate) fn size() -> (u16, u16) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) => (size.ws_row, size.ws_col),
        Err(_) => (0, 0),
    }
}
