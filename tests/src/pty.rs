//! A terminal with a program in it, as a person would have.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The program and its terminal.
#[derive(Debug)]
pub struct Pty {
    master: std::fs::File,
    child: Child,
    seen: Vec<u8>,
}

impl Pty {
    /// Run `command` with a new terminal of 80 columns and 24 lines as its controlling one.
    pub fn spawn(command: &Command) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave = || -> OwnedFd {
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
            rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).expect("slave")
        };
        // setsid(1) makes its standard input the controlling terminal.
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(key, value);
            }
        }
        inside.env("TERM", "xterm").stdin(slave()).stdout(slave()).stderr(slave());
        let child = inside.spawn().expect("setsid");
        let mut pty = Self { master: master.into(), child, seen: Vec::new() };
        pty.resize(24, 80);
        pty
    }

    /// Change the terminal's size; the program gets `SIGWINCH`.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).expect("TIOCSWINSZ");
    }

    /// Type.
    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Read until the text is there, not counting what was expected before. All that was read.
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let so_far = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some(at) = so_far.find(text) {
                self.seen = so_far.as_bytes()[at + text.len()..].to_vec();
                return so_far;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {so_far:?}");
            let mut poll = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
            let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            rustix::event::poll(&mut poll, Some(&second)).expect("poll");
            if poll[0].revents().is_empty() {
                continue;
            }
            let mut buffer = [0; 4096];
            match self.master.read(&mut buffer) {
                Ok(0) | Err(_) => panic!("the terminal closed; no {text:?} in {so_far:?}"),
                Ok(count) => self.seen.extend(&buffer[..count]),
            }
        }
    }

    /// Wait for the program's end.
    pub fn wait(mut self) -> ExitStatus {
        // Drain, or the program may wait for us.
        let mut rest = Vec::new();
        let _closed = self.master.read_to_end(&mut rest);
        self.child.wait().expect("wait")
    }
}
