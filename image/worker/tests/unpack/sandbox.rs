//! What the worker has given up.

use std::io::Write;
use std::process::Command;

use crate::program::{run, unpack};
use crate::tarball::{Tarball, gzip};

#[test]
fn it_does_not_run_as_the_hosts_root() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"exec 3<"$1" 4>&1; exec "$2" unpack 1"#, "sh"])
        .arg(directory.path())
        .arg(env!("CARGO_BIN_EXE_bulkhead-worker"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("not started in a user namespace"), "{said}");
}

#[test]
fn it_refuses_a_directory_that_is_not_empty_and_arguments_it_does_not_know() {
    for arguments in [&["unpack"][..], &["unpack", "x"], &["pack", "1"], &["unpack", "1", "2"]] {
        let run = run(arguments, &[], drop);
        run.refused("");
    }
}

/// Everything between the filter and the end, as the kernel saw it.
#[test]
fn after_the_filter_it_makes_listed_calls_only_and_opens_nothing_outside() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let archive = Tarball::new().directory("d").file("d/f", "x").symlink("d/l", "/etc").bytes();
    let wrapper = ["strace", "-f", "-o", trace.to_str().unwrap()];
    let run = run(&["unpack", "1000000"], &wrapper, |mut stdin| {
        stdin.write_all(&gzip(&archive)).unwrap();
    });
    run.unpacked();
    let trace = std::fs::read_to_string(&trace).unwrap();
    let (_, after) = trace.split_once("SECCOMP_SET_MODE_FILTER").expect("a filter is set");
    for forbidden in
        ["execve", "socket(", "connect(", "openat(", "open(", "clone", "ptrace", "mount("]
    {
        assert!(!after.contains(forbidden), "{forbidden} after the filter");
    }
    for resolved in after.lines().filter(|line| line.contains("openat2(")) {
        assert!(
            resolved.contains("RESOLVE_IN_ROOT") || resolved.contains("RESOLVE_BENEATH"),
            "{resolved}"
        );
    }
    assert!(after.contains("syncfs("), "what was unpacked is synced before it is reported");
    let before = trace.split_once("SECCOMP_SET_MODE_FILTER").unwrap().0;
    for step in ["PR_SET_NO_NEW_PRIVS", "PR_SET_DUMPABLE", "landlock_restrict_self", "capset("] {
        assert!(before.contains(step), "{step} before the filter");
    }
    let read_before =
        before.lines().any(|line| line.contains("read(") && line.contains("\\37\\213"));
    assert!(!read_before, "no byte of the layer is read before");
}

#[test]
fn an_empty_stream_is_an_empty_layer() {
    for empty in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10240], gzip(&[0; 1024])] {
        let unpacked = unpack(&empty).unpacked();
        assert_eq!((unpacked.entries, unpacked.bytes), (0, 0));
        assert_eq!(unpacked.packed_bytes, empty.len() as u64);
    }
}
