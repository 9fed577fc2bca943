//! Standard streams: pipes, or a pseudo-terminal of the container's own devpts.

use crate::error::{Error, Step};
use crate::line::Line;
use crate::plan::Ids;
use crate::process::user::User;
use bulkhead_policy::proto::{ProcessSpec, TerminalSize};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The caller's ends of a process's standard streams.
#[derive(Debug)]
pub enum Streams {
    /// Standard input is `/dev/null`.
    Output {
        /// Read end.
        stdout: OwnedFd,
        /// Read end.
        stderr: OwnedFd,
    },
    /// Three pipes.
    InputOutput {
        /// Write end.
        stdin: OwnedFd,
        /// Read end.
        stdout: OwnedFd,
        /// Read end.
        stderr: OwnedFd,
    },
    /// All three are one terminal.
    Terminal {
        /// The pty's master.
        master: OwnedFd,
    },
}

/// What the caller holds before the process has made its terminal.
#[derive(Debug)]
pub(crate) enum Far {
    Pipes(Streams),
    Terminal,
}

impl Far {
    /// With the terminal's master, if there was to be one.
    pub(crate) fn complete(self, terminal: Option<OwnedFd>) -> Result<Streams, Error> {
        match (self, terminal) {
            (Self::Pipes(streams), None) => Ok(streams),
            (Self::Terminal, Some(master)) => Ok(Streams::Terminal { master }),
            _ => Err(Error::Kernel { what: "terminal missing".to_owned(), source: None }),
        }
    }
}

/// What the process gets.
#[derive(Debug)]
pub(crate) enum Near {
    /// No standard input: `/dev/null`.
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    /// A terminal is to be made.
    Terminal(TerminalSize),
}

/// Make the pipes that the process asks for, owned by the container's root so that it can give them
/// to its user, who can then open `/dev/stdout`.
pub(crate) fn open(process: &ProcessSpec, ids: Ids) -> Result<(Near, Far), Error> {
    if let Some(size) = process.terminal {
        return Ok((Near::Terminal(size), Far::Terminal));
    }
    let pipe = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let (uid, gid) = (Uid::from_raw(ids.root()), Gid::from_raw(ids.root()));
        rustix::fs::fchown(&write, Some(uid), Some(gid))?;
        Ok((read, write))
    };
    let (stdout, near_stdout) = pipe().step("pipe(stdout)")?;
    let (stderr, near_stderr) = pipe().step("pipe(stderr)")?;
    let (near_stdin, far) = if process.stdin {
        let (near, stdin) = pipe().step("pipe(stdin)")?;
        (Some(near), Streams::InputOutput { stdin, stdout, stderr })
    } else {
        (None, Streams::Output { stdout, stderr })
    };
    let near = Near::Pipes { stdin: near_stdin, stdout: near_stdout, stderr: near_stderr };
    Ok((near, Far::Pipes(far)))
}

/// A terminal on the devpts file system whose root is `devpts`: the slave. The master goes to the
/// caller. Nothing is opened by a name that somebody else could have put there (class B4).
pub(crate) fn open_terminal(
    devpts: BorrowedFd<'_>,
    size: TerminalSize,
    line: &Line,
) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty()).step("/dev/pts/ptmx")?;
    if rustix::fs::fstat(&master).step("ptmx")?.st_rdev != rustix::fs::makedev(5, 2) {
        return Err(Error::invalid("/dev/pts/ptmx is not a terminal multiplexer"));
    }
    rustix::pty::unlockpt(&master).step("ioctl(TIOCSPTLCK)")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).step("ioctl(TIOCGPTPEER)")?;
    let stat = rustix::fs::fstat(&slave).step("terminal")?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || rustix::fs::major(stat.st_rdev) != 136
    {
        return Err(Error::invalid("the terminal is not a pseudo-terminal"));
    }
    let size = rustix::termios::Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&slave, size).step("ioctl(TIOCSWINSZ)")?;
    line.send_terminal(master.as_fd())?;
    Ok(slave)
}

/// The process's three streams.
#[derive(Debug)]
pub(crate) enum Connected {
    Pipes { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    Terminal(OwnedFd),
}

impl Connected {
    /// In order.
    pub(crate) fn all(&self) -> [BorrowedFd<'_>; 3] {
        match self {
            Self::Pipes { stdin, stdout, stderr } => {
                [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
            }
            Self::Terminal(slave) => [slave.as_fd(); 3],
        }
    }

    /// A new session with these streams, which belong to `user` now; a terminal controls it.
    pub(crate) fn start_session(&self, user: &User) -> Result<(), Error> {
        rustix::process::setsid().step("setsid")?;
        let owner = Some(Uid::from_raw(user.uid));
        match self {
            Self::Pipes { stdout, stderr, stdin } => {
                let pipes = [stdin, stdout, stderr].into_iter().filter(|fd| {
                    let kind = rustix::fs::fstat(fd).map(|s| FileType::from_raw_mode(s.st_mode));
                    kind == Ok(FileType::Fifo)
                });
                for pipe in pipes {
                    let group = Some(Gid::from_raw(user.gid));
                    rustix::fs::fchown(pipe, owner, group).step("chown of a standard stream")?;
                }
            }
            Self::Terminal(slave) => {
                rustix::fs::fchown(slave, owner, None).step("chown of the terminal")?;
                rustix::process::ioctl_tiocsctty(slave).step("ioctl(TIOCSCTTY)")?;
            }
        }
        Ok(())
    }
}
