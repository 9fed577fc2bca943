//! What a process changes about itself on its way into a container.

use crate::{Error, check};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Bytes of one instruction of classic BPF, `struct sock_filter`.
const INSTRUCTION_BYTES: usize = 8;

/// Give this process the descriptors `keep` at the numbers from 0 on, and close all others. Those
/// from `inherited` on are closed on exec; they are returned, in order.
///
/// # Errors
/// As fcntl(2), dup3(2) and close_range(2).
pub fn arrange_descriptors(
    keep: &[BorrowedFd<'_>],
    inherited: usize,
) -> Result<Vec<OwnedFd>, Error> {
    let wanted = RawFd::try_from(keep.len()).unwrap_or(RawFd::MAX);
    // First out of the way of every target number, so that no move overwrites a source.
    let mut sources = Vec::with_capacity(keep.len());
    for fd in keep {
        // SAFETY: F_DUPFD_CLOEXEC makes a new descriptor and touches no memory.
        let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, wanted) };
        check("fcntl(F_DUPFD_CLOEXEC)", copy.into())?;
        sources.push(copy);
    }
    let mut owned = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        let flags = if number < inherited { 0 } else { libc::O_CLOEXEC };
        let number = RawFd::try_from(number).unwrap_or(RawFd::MAX);
        // SAFETY: dup3 onto a number below `wanted`. The caller is a process that is about to exec
        // and does not use values that owned those numbers again.
        let result = unsafe { libc::dup3(source, number, flags) };
        check("dup3", result.into())?;
        if flags != 0 {
            // SAFETY: dup3 succeeded, so it is open; former owners are not used again, as above.
            owned.push(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    // SAFETY: three integers; what is closed here nobody uses again, as above.
    let result = unsafe { libc::syscall(libc::SYS_close_range, wanted, u32::MAX, 0) };
    check("close_range", result).map(|()| owned)
}

/// A new, empty, anonymous session keyring (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`). `false`: the
/// kernel has no keyrings.
///
/// # Errors
/// As keyctl(2): `EDQUOT`.
pub fn new_session_keyring() -> Result<bool, Error> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring; nothing is read or written.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    match check("keyctl(KEYCTL_JOIN_SESSION_KEYRING)", result) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::ENOSYS) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Load a system-call filter (seccomp(2), `SECCOMP_SET_MODE_FILTER`): `struct sock_filter`s in
/// native byte order, on top of those that are loaded.
///
/// # Errors
/// `EINVAL`: not a program; `EACCES`: neither no_new_privs nor `CAP_SYS_ADMIN`; `ENOMEM`: filters
/// are longer than 32,768 instructions together.
pub fn load_filter(program: &[u8]) -> Result<(), Error> {
    let (chunks, rest) = program.as_chunks::<INSTRUCTION_BYTES>();
    let length = u16::try_from(chunks.len()).ok().filter(|_| rest.is_empty());
    let invalid = || Error::new("seccomp", io::Error::from_raw_os_error(libc::EINVAL));
    let length = length.ok_or_else(invalid)?;
    let mut instructions: Vec<libc::sock_filter> = chunks
        .iter()
        .map(|[c0, c1, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes([*k0, *k1, *k2, *k3]),
        })
        .collect();
    let filter = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads `len` instructions from `filter`; both live beyond the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const filter) };
    check("seccomp", result)
}
