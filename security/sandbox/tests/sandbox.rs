//! The sandbox on the real kernel. Each test starts this program again as an unprivileged user,
//! who enters the sandbox and tries one thing; the tests themselves need root to become that user.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
#![expect(clippy::exit, reason = "the child's status is what it found out")]

use bulkhead_sandbox::{APID, Access, FileRule, Sandbox};
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::{env, fs, io, net, thread};

/// Set in the child: what it tries.
const DEED: &str = "SANDBOX_TEST_DEED";
/// Set in the child: the one directory it keeps.
const ROOM: &str = "SANDBOX_TEST_ROOM";
const NOBODY: u32 = 65534;

#[test]
fn root_is_refused() {
    assert_eq!(attempt("enter", 0).code(), Some(1));
    assert_eq!(attempt("enter", NOBODY).code(), Some(0));
}

#[test]
fn files_inside_are_reached_and_others_are_not() {
    assert_eq!(attempt("write inside", NOBODY).code(), Some(0));
    assert_eq!(attempt("read outside", NOBODY).code(), Some(13), "EACCES");
    assert_eq!(attempt("write outside", NOBODY).code(), Some(13), "EACCES");
}

#[test]
fn threads_start_and_processes_do_not() {
    assert_eq!(attempt("thread", NOBODY).code(), Some(0));
    assert_eq!(attempt("process", NOBODY).code(), Some(1), "EPERM");
}

#[test]
fn no_socket_but_of_the_unix_kind_is_made() {
    assert_eq!(attempt("tcp", NOBODY).code(), Some(1), "EPERM");
    assert_eq!(attempt("unix", NOBODY).code(), Some(0));
}

#[test]
fn execve_ends_the_process() {
    assert_eq!(attempt("execve", NOBODY).signal(), Some(31), "SIGSYS");
}

/// The child's part; as a test it does nothing.
#[test]
fn deed() {
    let (Ok(deed), Ok(room)) = (env::var(DEED), env::var(ROOM)) else { return };
    let room = Path::new(&room);
    let files = [FileRule { path: room.into(), access: Access::Write, optional: false }];
    if let Err(error) = (Sandbox { files: &files, calls: &APID }).enter() {
        let _shown = writeln!(io::stderr(), "{error:?}");
        std::process::exit(1);
    }
    let done = match deed.as_str() {
        "enter" => Ok(()),
        "write inside" => fs::write(room.join("file"), "x").and_then(|()| {
            fs::rename(room.join("file"), room.join("other"))?;
            fs::remove_file(room.join("other"))
        }),
        "read outside" => fs::read("/etc/passwd").map(drop),
        "write outside" => fs::write("/dev/null", "x"),
        "thread" => thread::spawn(|| io::stderr().flush()).join().unwrap(),
        "process" => Command::new("/bin/true").spawn().map(drop),
        "tcp" => net::TcpListener::bind("127.0.0.1:0").map(drop),
        "unix" => std::os::unix::net::UnixStream::pair().map(drop),
        "execve" => Err(Command::new("/bin/true").exec()),
        other => Err(io::Error::other(other.to_owned())),
    };
    std::process::exit(done.err().map_or(0, |error| error.raw_os_error().unwrap_or(255)));
}

fn attempt(deed: &str, user: u32) -> ExitStatus {
    let room = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(room.path(), Some(user), Some(user)).unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "deed", "--test-threads=1"])
        .env(DEED, deed)
        .env(ROOM, room.path())
        .uid(user)
        .gid(user)
        .output()
        .unwrap()
        .status
}
