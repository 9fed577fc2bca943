//! `run -it` and `exec -it` on a real pseudo-terminal: raw mode and its end, sizes, detaching.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod fake;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use fake::{Event, Fake, begin, end, reply, upgrade};

/// Both sides of a terminal; the program has the second one for all its streams.
struct Terminal {
    ours: File,
    theirs: OwnedFd,
}

impl Terminal {
    fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let theirs = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        let terminal = Self { ours: File::from(ours), theirs };
        terminal.resize(24, 80);
        terminal
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.theirs, size).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn spawn(&self, fake: &Fake, args: &[&str]) -> Child {
        let stream = || Stdio::from(self.theirs.try_clone().unwrap());
        fake.command(args).stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap()
    }

    fn read_until(&mut self, text: &str) {
        let mut read = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&read).contains(text) {
            self.ours.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
    }
}

/// A container with a terminal that greets, echoes what it gets and ends at an `x`.
fn container(ended: &Event) -> Fake {
    let started = Event::default();
    let ended = ended.clone();
    Fake::start(move |seen, connection| match seen.line().as_str() {
        "POST /containers/create" => reply(connection, 201, r#"{"Id":"c0ffee"}"#),
        "POST /containers/c0ffee/attach" => {
            upgrade(connection);
            started.wait();
            connection.write_all(b"ready\r\n").unwrap();
            let mut byte = [0];
            while connection.read(&mut byte).unwrap_or(0) == 1 && byte != *b"x" {
                connection.write_all(&[b'<', byte[0], b'>']).unwrap();
            }
            ended.happen();
            false
        }
        "POST /containers/c0ffee/wait" => {
            begin(connection);
            ended.wait();
            end(connection, r#"{"StatusCode":5}"#)
        }
        "POST /containers/c0ffee/start" => {
            started.happen();
            reply(connection, 204, "")
        }
        _ => reply(connection, 200, ""),
    })
}

#[test]
fn the_terminal_is_raw_while_the_container_has_it_and_not_after() {
    let fake = container(&Event::default());
    let mut terminal = Terminal::open();
    let mut child = terminal.spawn(&fake, &["run", "-it", "x"]);
    terminal.read_until("ready\r\n");
    assert!(terminal.is_raw());
    terminal.ours.write_all(b"\x03").unwrap();
    terminal.read_until("<\x03>");
    terminal.ours.write_all(b"x").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!terminal.is_raw());
    let body = fake.seen()[0].json();
    assert_eq!(body["HostConfig"]["ConsoleSize"], serde_json::json!([24, 80]));
}

#[test]
fn the_containers_terminal_has_the_size_of_ours() {
    let fake = container(&Event::default());
    let mut terminal = Terminal::open();
    let mut child = terminal.spawn(&fake, &["run", "-it", "x"]);
    terminal.read_until("ready\r\n");
    fake.wait_for("first size", |seen| seen.target == "/containers/c0ffee/resize?h=24&w=80");
    terminal.resize(50, 132);
    // The program is not in the terminal's foreground group, so the kernel does not tell it.
    kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
    fake.wait_for("new size", |seen| seen.target == "/containers/c0ffee/resize?h=50&w=132");
    terminal.ours.write_all(b"x").unwrap();
    child.wait().unwrap();
}

#[test]
fn the_keys_that_detach_end_the_program_and_do_not_reach_the_container() {
    for (args, keys) in [
        (&["run", "-it", "x"][..], &b"\x10\x11"[..]),
        (&["run", "-it", "--detach-keys", "ctrl-a,q", "x"], b"\x01q"),
    ] {
        let ended = Event::default();
        let fake = container(&ended);
        let mut terminal = Terminal::open();
        let mut child = terminal.spawn(&fake, args);
        terminal.read_until("ready\r\n");
        terminal.ours.write_all(b"ab").unwrap();
        terminal.read_until("<a><b>");
        terminal.ours.write_all(keys).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!terminal.is_raw());
        let asked: Vec<String> = fake.lines();
        assert!(!asked.iter().any(|line| line.contains("kill")), "{asked:?}");
        let attach = fake.wait_for("attach", |seen| seen.target.contains("/attach"));
        assert_eq!(attach.target.contains("detachKeys=ctrl-a%2Cq"), args.len() > 3);
        ended.wait();
    }
}

#[test]
fn a_signal_that_ends_the_program_leaves_raw_mode_first() {
    let fake = container(&Event::default());
    let mut terminal = Terminal::open();
    let mut child = terminal.spawn(&fake, &["run", "-it", "--sig-proxy=false", "x"]);
    terminal.read_until("ready\r\n");
    assert!(terminal.is_raw());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(!terminal.is_raw());
}

#[test]
fn an_engine_that_ends_leaves_no_raw_mode() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "POST /containers/web/exec" => reply(connection, 201, r#"{"Id":"e1"}"#),
        "POST /exec/e1/start" => {
            upgrade(connection);
            connection.write_all(b"ready\r\n").unwrap();
            false
        }
        _ => false,
    });
    let mut terminal = Terminal::open();
    let mut child = terminal.spawn(&fake, &["exec", "-it", "web", "sh"]);
    terminal.read_until("ready\r\n");
    assert!(!child.wait().unwrap().success());
    assert!(!terminal.is_raw());
}

#[test]
fn a_terminal_is_asked_for_where_there_is_none() {
    let fake = container(&Event::default());
    let output = fake.run(&["run", "-it", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fake::err(&output), "the input device is not a TTY\n");
    assert!(fake.lines().is_empty(), "nothing was created");
}
