//! The program that a process becomes.

use super::user::User;
use crate::error::Error;
use bulkhead_policy::proto::ProcessSpec;
use bulkhead_sys::exec::{Strings, execve, execveat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Where programs are looked up if the environment does not say; as Docker sets it.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments and environment, prepared before the process waits at its gate.
#[derive(Debug)]
pub(crate) struct Program {
    name: CString,
    arguments: Strings,
    environment: Strings,
}

impl Program {
    /// As `process` says; `HOME` is the user's if missing.
    pub(crate) fn new(process: &ProcessSpec, user: &User) -> Result<Self, Error> {
        let arguments = strings(process.args.iter().map(|argument| argument.as_bytes()))?;
        let name = arguments.first().ok_or_else(|| Error::invalid("no program to run"))?.clone();
        let mut environment = strings(process.env.iter().map(|variable| variable.as_bytes()))?;
        if !environment.iter().any(|variable| variable.as_bytes().starts_with(b"HOME=")) {
            environment.extend(strings([[b"HOME=", user.home.as_slice()].concat().as_slice()])?);
        }
        Ok(Self {
            name,
            arguments: Strings::new(arguments),
            environment: Strings::new(environment),
        })
    }

    /// Become it, or with `init` that, which will run it. Returns only if that failed.
    pub(crate) fn exec(self, init: Option<OwnedFd>) -> Error {
        if let Some(init) = init {
            use std::os::fd::AsFd;
            let mut arguments = Strings::new(vec![c"bulkhead-init".to_owned()]);
            self.arguments.iter().for_each(|argument| arguments.push(argument.to_owned()));
            let error = execveat(init.as_fd(), &arguments, &self.environment);
            return Error::Kernel {
                what: "exec of the init program".to_owned(),
                source: Some(error),
            };
        }
        let name = self.name.as_bytes();
        let errno =
            if name.contains(&b'/') { self.exec_at(&self.name) } else { self.exec_in_path(name) };
        Error::Program { errno, step: format!("exec \"{}\"", name.escape_ascii()) }
    }

    fn exec_at(&self, path: &CStr) -> i32 {
        execve(path, &self.arguments, &self.environment).raw_os_error().unwrap_or(0)
    }

    /// As execvpe(3): the first directory that has it, skipping those where it may not be executed.
    fn exec_in_path(&self, name: &[u8]) -> i32 {
        let mut variables = self.environment.iter().map(CStr::to_bytes);
        let path = variables.find_map(|variable| variable.strip_prefix(b"PATH=")).unwrap_or(PATH);
        let mut result = Errno::NOENT.raw_os_error();
        for directory in path.split(|byte| *byte == b':') {
            let directory = if directory.is_empty() { b".".as_slice() } else { directory };
            let Ok(path) = CString::new([directory, b"/", name].concat()) else { continue };
            let errno = self.exec_at(&path);
            if errno == Errno::ACCESS.raw_os_error() {
                result = errno;
            } else if ![Errno::NOENT, Errno::NOTDIR].map(Errno::raw_os_error).contains(&errno) {
                return errno;
            }
        }
        result
    }
}

fn strings<'s>(all: impl IntoIterator<Item = &'s [u8]>) -> Result<Vec<CString>, Error> {
    all.into_iter()
        .map(|string| CString::new(string).map_err(|_nul| Error::invalid("a NUL byte in a string")))
        .collect()
}
