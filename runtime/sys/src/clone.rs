//! [`clone3(2)`](https://man7.org/linux/man-pages/man2/clone.2.html): processes in new namespaces.

use crate::Error;
use crate::fork::{Forked, SingleThreaded};
use rustix::thread::UnshareFlags;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `CLONE_INTO_CGROUP` of `linux/sched.h`, Linux 5.7; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where a new process begins.
#[derive(Debug, Default)]
pub struct Clone<'a> {
    /// The namespaces that are made for it.
    pub namespaces: Option<UnshareFlags>,
    /// The cgroup v2 directory it is born in; none: its parent's.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Its parent is the caller's parent (`CLONE_PARENT`), not the caller.
    pub sibling: bool,
}

/// Clone this process, without sharing anything, with a pidfd.
///
/// # Errors
/// As clone3(2): `EPERM`, `ENOSPC` (too many namespaces), `EBUSY` (cgroup), `EAGAIN`.
pub fn clone(_: SingleThreaded, how: &Clone<'_>) -> Result<Forked, Error> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid clone_args: plain integers, zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    let namespaces = how.namespaces.map_or(0, |flags| flags.bits());
    args.flags = u64::from(libc::CLONE_PIDFD.cast_unsigned() | namespaces);
    if how.sibling {
        args.flags |= u64::from(libc::CLONE_PARENT.cast_unsigned());
    } else {
        args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = how.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    args.pidfd = (&raw mut pidfd).expose_provenance() as u64;
    // SAFETY: the kernel reads `args` and writes one int to `pidfd` in the parent; both outlive the
    // call. Without CLONE_VM the child has a copy of this stack. By `SingleThreaded` no other
    // thread's lock can be in that copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match pid {
        -1 => Err(Error::new("clone3", io::Error::last_os_error())),
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: clone3 succeeded, so `pidfd` is open and nobody else knows its number.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pidfd, pid: u32::try_from(pid).unwrap_or(0) })
        }
    }
}

/// Bytes of stack of a [`Holder`]'s process, which calls one function that calls pause(2).
const HOLDER_STACK_BYTES: usize = 16 * 1024;

/// A process whose only purpose is to be in a new user namespace until somebody has mapped and
/// opened it. It shares this process's memory, so that it costs no copy of the page tables, and
/// touches none of it. Ended and reaped when dropped.
#[derive(Debug)]
pub struct Holder {
    pid: libc::pid_t,
    /// What the process stands on.
    _stack: Box<[u8; HOLDER_STACK_BYTES]>,
}

impl Holder {
    /// Start it.
    ///
    /// # Errors
    /// As clone(2): `EPERM`, `ENOSPC` (too many user namespaces), `EAGAIN`.
    pub fn new() -> Result<Self, Error> {
        let mut stack = Box::new([0_u8; HOLDER_STACK_BYTES]);
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        // SAFETY: the new process runs `hold` on `stack`, which is not freed before it has ended
        // (drop kills it and waits). It shares memory but writes to none except its stack: pause(2)
        // returns only for a handled signal, and by CLONE_VM without CLONE_SIGHAND it could handle
        // one with our handlers, so all signals that reach it are the caller's SIGKILL; it is in
        // no process group that a terminal signals beyond ours. `top` is aligned down by clone.
        let pid = unsafe {
            libc::clone(
                hold,
                top,
                libc::CLONE_VM | libc::CLONE_NEWUSER | libc::SIGCHLD,
                std::ptr::null_mut(),
            )
        };
        if pid == -1 {
            return Err(Error::new("clone(CLONE_NEWUSER)", io::Error::last_os_error()));
        }
        Ok(Self { pid, _stack: stack })
    }

    /// Its pid: good as long as this value, because nobody else reaps it.
    pub fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: `pid` is our child, and not yet reaped: only this function does that.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: waitpid writes no status to a null pointer. It returns once the process is gone,
        // so nothing uses the stack any more when it is freed; an EINTR is tried again.
        while unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) } == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

extern "C" fn hold(_: *mut c_void) -> c_int {
    loop {
        // SAFETY: pause takes nothing and touches no memory but errno.
        unsafe { libc::pause() };
    }
}
