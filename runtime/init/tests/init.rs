//! The init program, as pid 1 of a pid namespace (`unshare(1)`, as root) where that matters.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

const INIT: &str = env!("CARGO_BIN_EXE_bulkhead-init");

fn init(arguments: &[&str]) -> Output {
    Command::new(INIT).args(arguments).output().unwrap()
}

fn shell(script: &str) -> Output {
    init(&["/bin/sh", "-c", script])
}

#[test]
fn it_ends_as_its_child_ends() {
    assert_eq!(shell("exit 0").status.code(), Some(0));
    assert_eq!(shell("exit 7").status.code(), Some(7));
    assert_eq!(shell("kill -TERM $$").status.code(), Some(128 + 15));
    assert_eq!(shell("kill -KILL $$").status.code(), Some(128 + 9));
}

#[test]
fn arguments_and_streams_are_the_childs() {
    let output = init(&["/bin/sh", "-c", "echo \"$@\"; echo err >&2", "name", "a b", "--c"]);
    assert_eq!(output.stdout, b"a b --c\n");
    assert_eq!(output.stderr, b"err\n");
}

#[test]
fn a_program_that_cannot_run_is_told_as_shells_do() {
    let output = init(&["/no/such/program"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/program"));
    assert_eq!(init(&["no-such-program"]).status.code(), Some(127));
    assert_eq!(init(&["/etc/passwd"]).status.code(), Some(126));
    assert_eq!(init(&[]).status.code(), Some(125));
}

#[test]
fn the_child_starts_with_no_signal_blocked_or_ignored() {
    let output = init(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    let zero = "0000000000000000";
    let expected = format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

/// Started, and heard of with its first line.
fn started(script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(INIT);
    let mut child = command.args(["/bin/sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    (child, out)
}

#[test]
fn signals_reach_the_child() {
    for (signal, name) in [(15, "TERM"), (1, "HUP"), (10, "USR1"), (2, "INT")] {
        let script =
            format!("trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done");
        let (mut child, mut out) = started(&script);
        bulkhead_sys::signal::send(i32::try_from(child.id()).unwrap(), signal).unwrap();
        let mut said = String::new();
        out.read_to_string(&mut said).unwrap();
        assert_eq!((said.as_str(), child.wait().unwrap().code()), ("got\n", Some(3)), "{name}");
    }
}

#[test]
fn orphans_are_reaped() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    // The inner shell leaves a process behind that ends by itself; then no zombie is left.
    let script = "sh -c 'sleep 0.1 & echo' ; while grep -qs sleep /proc/[0-9]*/comm; do :; done; \
        grep -l 'State:.Z' /proc/[0-9]*/status; exit 5";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", INIT, "/bin/sh", "-c", script]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\n");
}
