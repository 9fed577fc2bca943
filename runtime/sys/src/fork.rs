//! fork(2) and what a forked child must do before it is its own program.

use crate::Error;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Proof that the process had one thread when it was made. Whoever holds it starts none; the
/// programs of the root side have no thread library in reach (`clippy.toml` forbids
/// `std::thread::spawn` there).
#[derive(Debug, Clone, Copy)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Count the threads in `/proc/self/task`.
    ///
    /// # Errors
    /// There is more than one, or `/proc` is not there.
    pub fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(())),
            count => Err(io::Error::other(format!("{count} threads, not 1"))),
        }
    }
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The process that called; it holds the child.
    Parent {
        /// The child's pidfd.
        pidfd: OwnedFd,
        /// Its pid.
        pid: u32,
    },
    /// The copy.
    Child,
}

/// Fork, as clone3(2) with `CLONE_PIDFD` and `SIGCHLD` and no sharing.
///
/// # Errors
/// As clone3(2).
pub fn fork(_: SingleThreaded) -> Result<Forked, Error> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid clone_args: plain integers, zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(libc::CLONE_PIDFD.cast_unsigned());
    args.pidfd = (&raw mut pidfd).expose_provenance() as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: the kernel reads `args` and writes one int to `pidfd` in the parent; both outlive the
    // call. Without CLONE_VM the child has a copy of this stack. By `SingleThreaded` no other
    // thread's lock can be in that copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match pid {
        -1 => Err(Error::new("clone3(CLONE_PIDFD)", io::Error::last_os_error())),
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: clone3 succeeded, so `pidfd` is open and nobody else knows its number.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pidfd, pid: u32::try_from(pid).unwrap_or(0) })
        }
    }
}

/// Close every descriptor but these. For a forked child, whose copies of the parent's descriptors
/// have owners that never run again.
///
/// # Errors
/// As close_range(2).
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> Result<(), Error> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), Error> {
    // SAFETY: close_range takes three integers and touches no memory. Descriptors that other values
    // of this process own are closed under them; the caller is a forked child that does not use
    // those values again (its contract above), so no double close of a reused number can happen.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(Error::new("close_range", io::Error::last_os_error())) }
}

/// Let the kernel reap children: `SIGCHLD` ignored (signal(7), "ignoring SIGCHLD").
///
/// # Errors
/// As sigaction(2).
pub fn reap_children_automatically() -> Result<(), Error> {
    set_disposition(libc::SIGCHLD, libc::SIG_IGN)
}

/// All signals to their default action, none blocked: what a program expects after exec. Rust's
/// runtime ignores `SIGPIPE`, and ignored signals survive execve(2).
///
/// # Errors
/// As sigaction(2) and sigprocmask(2).
pub fn reset_signals() -> Result<(), Error> {
    // The kernel's `struct sigaction`, not the C library's, which keeps 32 and 33 for itself: the
    // default action, no flags, no mask.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_BYTES: usize = 8;
    // 9 and 19 cannot be set.
    for signal in (1..=64).filter(|signal| !matches!(signal, 9 | 19)) {
        let old = std::ptr::null_mut::<u64>();
        let new = DEFAULT.as_ptr();
        // SAFETY: the kernel reads `DEFAULT`, which is as long as its structure, and writes nothing
        // to a null pointer. The default action runs no code of ours.
        let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, MASK_BYTES) };
        crate::check("rt_sigaction", result)?;
    }
    // SAFETY: an all-zero sigset_t is the empty set.
    let empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: sigprocmask reads the set and writes nothing to a null pointer.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(Error::new("sigprocmask", io::Error::last_os_error())) }
}

fn set_disposition(signal: libc::c_int, action: libc::sighandler_t) -> Result<(), Error> {
    // SAFETY: SIG_DFL and SIG_IGN install no handler, so nothing of ours runs in signal context.
    let result = unsafe { libc::signal(signal, action) };
    if result == libc::SIG_ERR {
        return Err(Error::new("signal", io::Error::last_os_error()));
    }
    Ok(())
}

/// Give freed memory back to the kernel: for a process that has done its work and will wait for
/// long (malloc_trim(3)).
pub fn release_free_memory() {
    // SAFETY: malloc_trim takes an integer, locks the allocator itself, and frees only what is free.
    unsafe { libc::malloc_trim(0) };
}

/// End this process now: no destructors, no buffers, exit_group(2).
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// unshare(2).
///
/// # Errors
/// As unshare(2).
pub fn unshare(flags: rustix::thread::UnshareFlags) -> Result<(), Error> {
    // SAFETY: the unsafe part of unshare is CLONE_FILES and CLONE_FS semantics between threads; by
    // construction the root side has one thread, and none of its flags is CLONE_FILES.
    unsafe { rustix::thread::unshare_unsafe(flags & !rustix::thread::UnshareFlags::FILES) }
        .map_err(|errno| Error::new("unshare", errno.into()))
}

/// Become `program` with these arguments, an empty environment, and exactly these descriptors:
/// each moved to its number, everything else closed on exec.
///
/// # Errors
/// As dup3(2), close_range(2) and execveat(2). On success it does not return.
pub fn exec_with(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    descriptors: &[(BorrowedFd<'_>, RawFd)],
) -> Result<Infallible, Error> {
    // First out of the way of every target number, so that no move overwrites a source.
    const ABOVE: RawFd = 64;
    let what = |errno: rustix::io::Errno| Error::new("fcntl(F_DUPFD_CLOEXEC)", errno.into());
    let program = rustix::io::fcntl_dupfd_cloexec(program, ABOVE).map_err(what)?;
    let mut moved = Vec::with_capacity(descriptors.len());
    for (fd, number) in descriptors {
        moved.push((rustix::io::fcntl_dupfd_cloexec(fd, ABOVE).map_err(what)?, *number));
    }
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC marks descriptors and touches no memory.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        return Err(Error::new("close_range", io::Error::last_os_error()));
    }
    for (fd, number) in &moved {
        // SAFETY: dup3 onto a number below ABOVE; in this forked child nothing owns those numbers
        // any more (the caller's contract), and without O_CLOEXEC the copy survives exec.
        let result = unsafe { libc::dup3(fd.as_raw_fd(), *number, 0) };
        if result == -1 {
            return Err(Error::new("dup3", io::Error::last_os_error()));
        }
    }
    let mut argv: Vec<*const libc::c_char> =
        arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(std::ptr::null());
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: argv and envp are null-terminated arrays of NUL-terminated strings that outlive the
    // call; the empty path with AT_EMPTY_PATH names the descriptor itself.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(Error::new("execveat", io::Error::last_os_error()))
}

/// Send a signal by pidfd (pidfd_send_signal(2)); 0 only asks whether the process is there.
///
/// # Errors
/// As pidfd_send_signal(2): `ESRCH` if the process has ended and been waited for.
pub fn pidfd_signal(pidfd: impl AsFd, signal: u8) -> Result<(), Error> {
    let fd = pidfd.as_fd().as_raw_fd();
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: integers and a null pointer, which the call takes as "as kill(2) would".
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::c_int::from(signal), info, 0)
    };
    if result == 0 {
        return Ok(());
    }
    Err(Error::new("pidfd_send_signal", io::Error::last_os_error()))
}
