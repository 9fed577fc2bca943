//! Further processes (classes A2, A3, F3, F6).

use crate::rig::{Rig, Waiting, name, path, process};
use bulkhead_policy::capability;
use bulkhead_policy::proto::TerminalSize;
use bulkhead_runtime::Error;

crate::tests! {
    an_exec_is_in_all_namespaces_of_the_container,
    an_exec_has_at_most_the_containers_rights,
    a_privileged_exec_is_privileged_in_the_container_only,
    an_exec_runs_as_asked_or_as_the_container,
    an_exec_has_its_own_streams_and_terminal,
    a2_an_execs_cwd_is_inside,
    an_exec_that_fails_says_why,
    an_exec_works_with_host_ids,
    a3_an_exec_cannot_be_looked_into_before_it_execs,
}

fn sleeper<'r>(
    rig: &'r Rig,
    change: impl FnOnce(&mut bulkhead_policy::proto::ContainerSpec),
) -> Waiting<'r> {
    let mut waiting = rig.program(&["/bin/sleep", "1000"]).with(change).create().unwrap();
    waiting.open().unwrap();
    waiting
}

fn shell(script: &str) -> bulkhead_policy::proto::ProcessSpec {
    process(&["/bin/sh", "-c", script])
}

fn an_exec_is_in_all_namespaces_of_the_container(rig: &Rig) {
    let waiting = sleeper(rig, |_| {});
    let script = "hostname; cat /proc/1/cmdline; echo; ls /proc/1/ns | wc -l; \
        for n in mnt pid ipc net uts cgroup user; do \
        test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo differs $n; done; \
        cat /proc/self/cgroup | grep -v :/$; ls / | head -1";
    let text = waiting.exec(|spec| spec.process = shell(script)).unwrap().text();
    assert_eq!(text, "box\n/bin/sleep\x001000\0\n10\nbin\n");
}

fn an_exec_has_at_most_the_containers_rights(rig: &Rig) {
    let waiting = sleeper(rig, |spec| spec.process.cap_drop = capability::bit(capability::CHOWN));
    let status = |change: &dyn Fn(&mut bulkhead_policy::proto::ExecSpec)| {
        let outcome = waiting.exec(|spec| {
            spec.process =
                process(&["/bin/grep", "-E", "^(Cap|NoNew|Seccomp)", "/proc/self/status"]);
            change(spec);
        });
        outcome.unwrap().text()
    };
    let container = waiting.proc("status");
    let lines = |text: &str| -> Vec<String> {
        let wanted =
            |line: &&str| ["Cap", "NoNew", "Seccomp"].iter().any(|name| line.starts_with(name));
        text.lines().filter(wanted).map(str::to_owned).collect()
    };
    assert_eq!(lines(&status(&|_| {})), lines(&container));
    let more = status(&|spec| spec.process.cap_add = capability::ALL);
    assert_eq!(lines(&more), lines(&container));
    let none = status(&|spec| spec.process.cap_drop = capability::ALL);
    assert_eq!(none.matches("\t0000000000000000\n").count(), 5, "{none}");
    let user = status(&|spec| spec.process.user = name("app"));
    assert_eq!(user.matches("\t0000000000000000\n").count(), 4, "{user}");
}

fn a_privileged_exec_is_privileged_in_the_container_only(rig: &Rig) {
    let waiting = sleeper(rig, |_| {});
    let outcome = waiting.exec(|spec| {
        spec.privileged = true;
        spec.process = shell(
            "grep CapEff /proc/self/status; mknod /x c 1 1 2>&1; \
            echo x 2>&1 > /proc/sys/kernel/core_pattern",
        );
    });
    let out = outcome.unwrap().out;
    assert!(out.starts_with("CapEff:\t000001ff"), "{out}");
    assert!(out.contains("Operation not permitted"), "{out}");
}

fn an_exec_runs_as_asked_or_as_the_container(rig: &Rig) {
    let waiting = sleeper(rig, |spec| spec.process.user = name("app"));
    let run = |user: &str, script: &str| {
        let user = name(user);
        let outcome = waiting.exec(|spec| {
            spec.process = shell(script);
            spec.process.user = user;
        });
        outcome.unwrap().text()
    };
    assert_eq!(run("", "id -u; id -g; echo $HOME"), "1000\n1001\n/home/app\n");
    assert_eq!(run("root", "id -u; echo $HOME"), "0\n/root\n");
    assert_eq!(run("1", "id -u"), "1\n");
    for bad in ["65536", "4294967296", "-1", "+0"] {
        let user = name(bad);
        let error = waiting.exec(|spec| spec.process.user = user).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{bad}");
    }
}

fn an_exec_has_its_own_streams_and_terminal(rig: &Rig) {
    let waiting = sleeper(rig, |_| {});
    let outcome =
        waiting.exec(|spec| spec.process = shell("echo out; echo err >&2; exit 3")).unwrap();
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (3, "out\n", "err\n"));
    let outcome = waiting.exec(|spec| {
        spec.process = shell("tty; stty size; stat -c %u /dev/pts/0; echo x > /dev/tty");
        spec.process.user = name("app");
        spec.process.terminal = Some(TerminalSize { rows: 5, columns: 6 });
    });
    assert_eq!(outcome.unwrap().out, "/dev/pts/0\r\n5 6\r\n1000\r\nx\r\n");
}

fn a2_an_execs_cwd_is_inside(rig: &Rig) {
    let waiting = sleeper(rig, |_| {});
    for number in 0..32 {
        let cwd = path(&format!("/proc/self/fd/{number}"));
        assert!(waiting.exec(|spec| spec.process.cwd = cwd).is_err(), "{number}");
    }
    let outcome = waiting.exec(|spec| {
        spec.process = shell("pwd; ls /proc/self/fd | wc -l");
        spec.process.cwd = path("/new/dir");
    });
    assert_eq!(outcome.unwrap().text(), "/new/dir\n4\n");
}

fn an_exec_that_fails_says_why(rig: &Rig) {
    let waiting = sleeper(rig, |_| {});
    let error = waiting.exec(|spec| spec.process = process(&["no-such"])).unwrap_err();
    assert_eq!(error.to_string(), "exec \"no-such\": No such file or directory (os error 2)");
    let error = waiting.exec(|spec| spec.process = process(&["/etc/passwd"])).unwrap_err();
    assert!(matches!(error, Error::Program { errno: 13, .. }), "{error:?}");
}

fn an_exec_works_with_host_ids(rig: &Rig) {
    let case = rig.program(&["/bin/sleep", "1000"]).host_ids();
    let mut waiting = case.create().unwrap();
    waiting.open().unwrap();
    let text = waiting.exec(|spec| spec.process = shell("id -u; cat /proc/1/comm")).unwrap().text();
    assert_eq!(text, "0\nsleep\n");
}

fn a3_an_exec_cannot_be_looked_into_before_it_execs(rig: &Rig) {
    use std::os::unix::fs::MetadataExt;
    let waiting = sleeper(rig, |_| {});
    let (created, _permit) = waiting.create_exec(|spec| spec.process = shell("true")).unwrap();
    let meta = std::fs::metadata(format!("/proc/{}/mem", created.pid)).unwrap();
    assert_eq!(meta.uid(), 0);
    // Seen from the container, with every right that it can have there.
    let script = "for p in /proc/[0-9]*; do ls -l $p/fd $p/exe 2>&1; cat $p/environ 2>&1; done";
    let seen = waiting.exec(|spec| {
        spec.privileged = true;
        spec.process = shell(script);
    });
    let seen = seen.unwrap().out;
    assert!(seen.contains("Permission denied"), "{seen}");
    assert!(!seen.contains("kernel-") && !seen.contains("socket:"), "{seen}");
    created.gate.open().unwrap();
    assert_eq!(crate::rig::wait(&created.pidfd), 0);
}
