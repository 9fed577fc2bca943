//! Starting a daemon: in a session of its own, as its user, with nothing of this process's.
//!
//! `setsid(2)` has to happen between fork and exec. As that needs unsafe code in the child of a fork,
//! the child is this program again, which takes the steps and becomes the daemon by exec, under the
//! same pid.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::account::Account;
use super::record::{Record, Running, timespec};
use crate::failure::Failure;

/// The hidden first argument: uid, gid, program and its arguments follow.
const EXEC: &str = "--exec-daemon";
/// What a daemon that says something goes on to say when it is ready, sd_notify(3).
const READY: &str = "READY=1";
/// How much of a log is shown when a daemon does not start, in bytes.
const LOG_BYTES: u64 = 4096;
/// Variables of this process that daemons get: proxies, for pulling images.
const PASSED: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "RUST_LOG",
    "TZ",
];

/// Become a daemon, if the arguments are those of [`start`]. Returns only if that failed.
pub(crate) fn exec_requested(typed: &[String]) -> Option<Result<(), Failure>> {
    let [first, uid, gid, program, arguments @ ..] = typed else { return None };
    if first != EXEC {
        return None;
    }
    let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse::<u32>()) else {
        return Some(Err(Failure::new("not for people")));
    };
    if let Err(errno) = rustix::process::setsid() {
        return Some(Err(Failure::io("setsid", &errno.into())));
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    if uid != 0 {
        // With a user other than root the standard library also gives up all further groups.
        command.gid(gid).uid(uid);
    }
    Some(Err(Failure::io(format!("exec {program}"), &command.exec())))
}

/// What to start.
pub(super) struct Daemon<'a> {
    /// `shim` or `apid`.
    pub(super) name: &'a str,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its user; none: root.
    pub(super) account: Option<Account>,
    /// Its standard error.
    pub(super) log: PathBuf,
}

/// A socket on which a daemon says that it is ready.
pub(super) struct Notifications {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notifications {
    /// A socket below `run` that this user's daemon may write to.
    pub(super) fn open(run: &Path, group: u32) -> Result<Self, Failure> {
        let path = run.join(format!("notify.{}", std::process::id()));
        let failed = |error| Failure::io(path.display(), &error);
        fs::remove_file(&path).unwrap_or(());
        let socket = UnixDatagram::bind(&path).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let writable = std::os::unix::fs::PermissionsExt::from_mode(0o660);
        std::os::unix::fs::chown(&path, Some(0), Some(group))
            .and_then(|()| fs::set_permissions(&path, writable))
            .map_err(failed)?;
        Ok(Self { socket, path })
    }

    fn say_ready(&self) -> bool {
        let mut buffer = [0; 4096];
        let mut ready = false;
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or(&[])).into_owned();
            ready |= text.lines().any(|line| line == READY);
        }
        ready
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap_or(());
    }
}

/// Start a daemon, note it, and wait until it says that it is ready.
pub(super) fn start(
    daemon: &Daemon<'_>,
    record: &Record,
    notifications: &Notifications,
    limit: Duration,
) -> Result<Running, Failure> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&daemon.log)
        .map_err(|error| Failure::io(daemon.log.display(), &error))?;
    let said_before = log.metadata().map_or(0, |metadata| metadata.len());
    let mut child = spawn(daemon, log, notifications)?;
    let running = record.write(child.id())?;
    let deadline = Instant::now() + limit;
    while !notifications.say_ready() {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(&notifications.socket, PollFlags::IN),
            PollFd::new(running.ended_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(0) => {
                return Err(did_not_start(daemon, "is not ready", said_before));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::io("poll", &errno.into())),
        }
        if let Ok(Some(status)) = child.try_wait() {
            record.remove();
            return Err(did_not_start(daemon, &format!("ended at once ({status})"), said_before));
        }
    }
    Ok(running)
}

fn spawn(daemon: &Daemon<'_>, log: File, notifications: &Notifications) -> Result<Child, Failure> {
    let account = daemon.account.unwrap_or(Account { uid: 0, gid: 0 });
    let failed = |error| Failure::io(daemon.program.display(), &error);
    let out = log.try_clone().map_err(failed)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(EXEC)
        .args([account.uid.to_string(), account.gid.to_string()])
        .arg(&daemon.program)
        .args(&daemon.arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("NOTIFY_SOCKET", &notifications.path)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(log);
    for name in PASSED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn().map_err(failed)
}

/// The failure with the end of what the daemon said since it was started.
fn did_not_start(daemon: &Daemon<'_>, what: &str, said_before: u64) -> Failure {
    let said = end_of(&daemon.log, said_before).unwrap_or_default();
    let mut text = format!("bulkhead-{} {what}; see {}", daemon.name, daemon.log.display());
    for line in said.lines() {
        text.push_str("\n  ");
        text.push_str(line);
    }
    Failure::new(text)
}

fn end_of(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
