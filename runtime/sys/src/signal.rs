//! Waiting for signals instead of handling them, for a process whose work is signals.

use crate::{Error, check};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// From now on signals wait until [`next`] takes them.
///
/// # Errors
/// As sigprocmask(2).
pub fn hold_back_all() -> Result<(), Error> {
    let set = all();
    // SAFETY: sigprocmask reads `set`, and writes nothing to a null pointer.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
    check("sigprocmask", result.into())
}

/// The next signal that was sent to this process; waits for one.
///
/// # Errors
/// As sigwaitinfo(2).
pub fn next() -> Result<u8, Error> {
    let set = all();
    loop {
        // SAFETY: sigwaitinfo reads `set`, and writes nothing to a null pointer.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
        match u8::try_from(signal) {
            Ok(signal) => return Ok(signal),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Error::new("sigwaitinfo", io::Error::last_os_error())),
        }
    }
}

/// Send a signal to every process that this one may signal, itself excepted (kill(2), pid -1), or
/// with a pid to one, or with a negative pid to a process group.
///
/// # Errors
/// `ESRCH`: none.
pub fn send(pid: i32, signal: u8) -> Result<(), Error> {
    // SAFETY: kill takes two integers.
    check("kill", unsafe { libc::kill(pid, libc::c_int::from(signal)) }.into())
}

fn all() -> libc::sigset_t {
    // SAFETY: all-zero is a valid, empty sigset_t.
    let mut set = unsafe { std::mem::zeroed() };
    // SAFETY: sigfillset writes to `set` only.
    unsafe { libc::sigfillset(&raw mut set) };
    set
}

/// Let the program of `command` start with all signals as they are by default, although this process
/// holds them back; in its own process group, and with `terminal` as the one that its terminal,
/// standard input, listens to.
pub fn unaffected(command: &mut Command, terminal: bool) -> &mut Command {
    command.process_group(0);
    let prepare = move || {
        if terminal {
            // Signals are still held back here, so that the terminal does not stop this process.
            rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid())?;
        }
        crate::fork::reset_signals().map_err(|error| {
            error.errno().map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
        })
    };
    // SAFETY: the closure runs in the forked child and makes system calls only: it allocates nothing
    // and takes no lock that another thread could hold.
    unsafe { command.pre_exec(prepare) }
}
