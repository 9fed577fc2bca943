//! Options of netlink sockets that rustix does not wrap (netlink(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Let errors on `socket` carry the kernel's own words (`NETLINK_EXT_ACK`, Linux 4.12) instead of a
/// copy of the request (`NETLINK_CAP_ACK`, Linux 4.3).
///
/// # Errors
/// `socket` is not a netlink socket.
pub fn explain_errors(socket: BorrowedFd<'_>) -> io::Result<()> {
    for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK] {
        let on: libc::c_int = 1;
        // c_int is four bytes wherever Linux runs.
        let length: libc::socklen_t = 4;
        // SAFETY: the kernel reads `length` bytes, the whole of `on`, which outlives the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                length,
            )
        };
        if result == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
