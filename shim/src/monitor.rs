//! The process that stays behind for a container, or for one exec in it.
//!
//! ```text
//!             fork                 Ready                Open              Started
//!   shim ──────────────> spawn ──────────────> waiting ────────> running ────────> ...
//!                    (root, some ms)   privileges dropped here
//!   ... ── the process ends: exit record, Exited ──> holding ── Release ──> gone
//! ```
//!
//! While it spawns it is root and does what the permit says ([`crate::spawn`]). Before it says
//! `Ready` it gives up everything: its own uid, no capability, no descriptor that it does not need,
//! a dozen system calls. From then on it waits for the process, keeps the streams, and answers one
//! shim at a time: the one that forked it over a socket pair, or, after that one died, whoever
//! connects to its socket in a directory that only root may enter.

use crate::channel::{self, ChannelError};
use bulkhead_proto::{Effective, ExitStatus, MAX_MESSAGE_BYTES, Refusal, Stdio, Wire, choice};
use bulkhead_runtime::{Created, Gate, Streams};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{WaitId, WaitIdOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

choice! {
    /// What a shim says to a monitor.
    pub(crate) enum ToMonitor {
        /// Let the process exec its program.
        0 Open,
        /// Close the duplicate of its standard input.
        1 CloseStdin,
        /// Exit status and output are safe elsewhere: end.
        2 Release,
        /// Say everything again.
        3 Describe,
    }
}

choice! {
    /// What a monitor says.
    pub(crate) enum FromMonitor {
        /// The process waits at the gate. With descriptors.
        0 Ready {
            /// As the kernel confirmed it.
            effective: Effective,
            /// Which streams come along, after the pidfd.
            stdio: Stdio,
        },
        /// There is no process, and nothing else left. The last message.
        1 Failed {
            /// Why.
            refusal: Refusal,
        },
        /// The program runs.
        2 Started,
        /// The program could not be run; `Exited` follows.
        3 NotStarted {
            /// Why.
            refusal: Refusal,
        },
        /// The process has ended.
        4 Exited {
            /// How.
            status: ExitStatus,
        },
        /// Everything again. With descriptors.
        5 Described {
            /// As the kernel confirmed it.
            effective: Effective,
            /// Which streams come along, after the pidfd.
            stdio: Stdio,
            /// The gate was opened.
            started: bool,
            /// How it ended.
            exit: Option<ExitStatus>,
        },
    }
}

/// The header kind of monitor messages; the two ends are one program, so it only has to be
/// neither a request's nor an event's.
const KIND: u16 = 0x7000;
/// The largest message between shim and monitor.
const MESSAGE_BYTES: usize = 8 * 1024;
const _: () = assert!(MESSAGE_BYTES < MAX_MESSAGE_BYTES);

/// Say something to a monitor, or to a shim.
pub(crate) fn say(
    socket: impl AsFd,
    message: &impl Wire,
    fds: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    channel::send(socket, KIND, 0, &message.encode(), fds)
}

/// Hear what the other end says.
pub(crate) fn hear<M: Wire>(socket: impl AsFd) -> Result<(M, Vec<OwnedFd>), ChannelError> {
    let mut buffer = [0; MESSAGE_BYTES];
    let message = channel::receive(socket, &mut buffer)?;
    if message.header.kind != KIND {
        return Err(ChannelError::Rule("not a monitor's message"));
    }
    Ok((M::decode(&message.body)?, message.fds))
}

/// What a monitor holds.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// The shim, while there is one.
    pub shim: Option<OwnedFd>,
    /// Where a new shim finds it.
    pub listener: OwnedFd,
    /// Written once, when the process has ended.
    pub exit_record: OwnedFd,
    /// Counts the OOM killer's victims; none: the kernel cannot say.
    pub oom: Option<OwnedFd>,
    /// As the kernel confirmed it.
    pub effective: Effective,
    /// The process's pidfd.
    pub pidfd: OwnedFd,
    /// The far ends of its streams.
    pub streams: Streams,
    /// The duplicate of its standard input, until it is closed.
    pub stdin: Option<OwnedFd>,
    /// Unopened.
    pub gate: Option<Gate>,
    /// How it ended.
    pub exit: Option<ExitStatus>,
}

impl Monitor {
    /// From a process that waits at its gate.
    pub(crate) fn new(
        created: Created,
        effective: Effective,
        shim: OwnedFd,
        listener: OwnedFd,
        exit_record: OwnedFd,
        oom: Option<OwnedFd>,
    ) -> Self {
        let Created { pidfd, stdio, gate, .. } = created;
        let (streams, stdin) = match stdio {
            Streams::InputOutput { stdin, stdout, stderr } => {
                (Streams::Output { stdout, stderr }, Some(stdin))
            }
            other @ (Streams::Output { .. } | Streams::Terminal { .. }) => (other, None),
        };
        Self {
            shim: Some(shim),
            listener,
            exit_record,
            oom,
            effective,
            pidfd,
            streams,
            stdin,
            gate: Some(gate),
            exit: None,
        }
    }

    /// Every descriptor it needs from now on.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds = vec![self.listener.as_fd(), self.exit_record.as_fd()];
        fds.extend(self.shim.as_ref().map(AsFd::as_fd));
        fds.extend(self.oom.as_ref().map(AsFd::as_fd));
        fds.extend(self.gate.as_ref().into_iter().flat_map(Gate::descriptors));
        fds.extend(self.handed_out().1);
        fds
    }

    /// What apid is to get: the pidfd and the far ends of the streams.
    fn handed_out(&self) -> (Stdio, Vec<BorrowedFd<'_>>) {
        let mut fds = vec![self.pidfd.as_fd()];
        match &self.streams {
            Streams::Terminal { master } => {
                fds.push(master.as_fd());
                (Stdio::Terminal, fds)
            }
            Streams::Output { stdout, stderr } | Streams::InputOutput { stdout, stderr, .. } => {
                let stdio = if self.stdin.is_some() { Stdio::InputOutput } else { Stdio::Output };
                fds.extend(self.stdin.as_ref().map(AsFd::as_fd));
                fds.extend([stdout.as_fd(), stderr.as_fd()]);
                (stdio, fds)
            }
        }
    }

    /// Announce the process and serve until released.
    pub(crate) fn serve(mut self) {
        let (stdio, fds) = self.handed_out();
        let ready = FromMonitor::Ready { effective: self.effective, stdio };
        let told = self.shim.as_ref().map(|shim| say(shim, &ready, &fds));
        if !matches!(told, Some(Ok(()))) {
            // Nobody knows of the process yet. The gate closes unopened and the process ends.
            return;
        }
        while let Some(ready) = self.wait() {
            if ready.process {
                self.record_exit();
            }
            if ready.listener {
                self.accept();
            }
            if ready.shim && self.answer().is_break() {
                return;
            }
        }
    }

    fn wait(&self) -> Option<Ready> {
        let process = self.exit.is_none().then_some(&self.pidfd);
        let sources = [Some(&self.listener), self.shim.as_ref(), process];
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        loop {
            match rustix::event::poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
                Ok(_) => break,
            }
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut of = |present: bool| present && ready.next().unwrap_or(false);
        Some(Ready {
            listener: of(true),
            shim: of(self.shim.is_some()),
            process: of(process.is_some()),
        })
    }

    /// Reap the process, write down how it ended, tell the shim.
    fn record_exit(&mut self) {
        let ended =
            rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        let Ok(Some(ended)) = ended else { return };
        let (code, signal) = match (ended.exit_status(), ended.terminating_signal()) {
            (Some(code), _) => (u8::try_from(code & 0xff).unwrap_or(255), 0),
            (None, Some(signal)) => {
                let signal = u8::try_from(signal & 0x7f).unwrap_or(0);
                (128u8.saturating_add(signal), signal)
            }
            (None, None) => (255, 0),
        };
        let oom = self.oom.as_ref().and_then(|fd| bulkhead_cgroup::read_oom_kills(fd.as_fd()).ok());
        let status = ExitStatus {
            code,
            signal,
            oom_killed: oom.is_some_and(|kills| kills > 0),
            at_ns: now_ns(),
        };
        self.exit = Some(status);
        // A failure here leaves the record empty; the status is still held and told.
        rustix::io::pwrite(&self.exit_record, &status.encode(), 0).unwrap_or_default();
        self.tell(&FromMonitor::Exited { status });
    }

    fn tell(&mut self, message: &FromMonitor) {
        if let Some(shim) = &self.shim
            && say(shim, message, &[]).is_err()
        {
            self.shim = None;
        }
    }

    /// A new shim. The old one is dead or it would not be there: one shim holds the engine's lock.
    fn accept(&mut self) {
        let Ok(shim) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC)
        else {
            return;
        };
        let root =
            rustix::net::sockopt::socket_peercred(&shim).is_ok_and(|peer| peer.uid.is_root());
        if root {
            self.shim = Some(shim);
            self.describe();
        }
    }

    fn describe(&mut self) {
        let (stdio, fds) = self.handed_out();
        let message = FromMonitor::Described {
            effective: self.effective,
            stdio,
            started: self.gate.is_none(),
            exit: self.exit,
        };
        if self.shim.as_ref().is_some_and(|shim| say(shim, &message, &fds).is_err()) {
            self.shim = None;
        }
    }

    fn answer(&mut self) -> std::ops::ControlFlow<()> {
        let Some(shim) = &self.shim else { return std::ops::ControlFlow::Continue(()) };
        match hear::<ToMonitor>(shim) {
            Ok((ToMonitor::Open, _)) => match self.gate.take().map(Gate::open) {
                Some(Ok(())) => self.tell(&FromMonitor::Started),
                Some(Err(error)) => {
                    let refusal = crate::refusal::from_runtime(error);
                    self.tell(&FromMonitor::NotStarted { refusal });
                }
                None => {}
            },
            Ok((ToMonitor::CloseStdin, _)) => self.stdin = None,
            Ok((ToMonitor::Describe, _)) => self.describe(),
            Ok((ToMonitor::Release, _)) => return std::ops::ControlFlow::Break(()),
            Err(_) if self.gate.is_some() => {
                // The shim died between create and start: nothing has run, nothing is kept.
                return std::ops::ControlFlow::Break(());
            }
            Err(_) => self.shim = None,
        }
        std::ops::ControlFlow::Continue(())
    }
}

struct Ready {
    listener: bool,
    shim: bool,
    process: bool,
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
