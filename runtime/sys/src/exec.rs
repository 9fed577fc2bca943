//! [`execve(2)`](https://man7.org/linux/man-pages/man2/execve.2.html) with strings prepared before.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Arguments or an environment, as execve(2) takes them.
#[derive(Debug, Clone, Default)]
pub struct Strings(Vec<CString>);

impl Strings {
    /// Strings in this order.
    pub fn new(strings: Vec<CString>) -> Self {
        Self(strings)
    }

    /// One more, at the end.
    pub fn push(&mut self, string: CString) {
        self.0.push(string);
    }

    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.0.iter().map(CString::as_c_str)
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.0.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// Become the program at `path`. Returns only if that failed.
pub fn execve(path: &CStr, arguments: &Strings, environment: &Strings) -> io::Error {
    let (argv, envp) = (arguments.pointers(), environment.pointers());
    // SAFETY: null-terminated arrays of NUL-terminated strings, all borrowed beyond the call, which
    // returns only if it changed nothing.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Become the program that `file` is (execveat(2), `AT_EMPTY_PATH`). Returns only if that failed.
pub fn execveat(file: BorrowedFd<'_>, arguments: &Strings, environment: &Strings) -> io::Error {
    let (argv, envp) = (arguments.pointers(), environment.pointers());
    let path = c"";
    // SAFETY: as in `execve`; the descriptor is borrowed beyond the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            path.as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
