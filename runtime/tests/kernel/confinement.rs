//! Capabilities, no_new_privs, system-call filters, limits, terminal, init.

use crate::rig::{Case, Rig, Waiting};
use bulkhead_policy::capability;
use bulkhead_policy::proto::{Rlimit, Seccomp, TerminalSize};
use bulkhead_policy::seccomp;
use std::os::unix::fs::PermissionsExt;

crate::tests! {
    f3_inheritable_and_ambient_capabilities_are_always_empty,
    a_set_user_id_program_gains_nothing_with_no_new_privs,
    filters_are_stacked_and_hold,
    a_program_of_the_request_can_only_tighten,
    dangerous_system_calls_are_refused,
    limits_of_the_process_are_set,
    no_key_of_the_caller_is_there,
    a_waiting_process_cannot_be_looked_into,
    a_terminal_is_the_containers_own,
    a_terminal_belongs_to_the_user,
    standard_input_is_the_null_device_unless_asked,
    init_runs_as_pid_1,
    signals_are_as_programs_expect,
}

fn status(waiting: &Waiting<'_>, field: &str) -> String {
    let status = waiting.proc("status");
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_once('\t').unwrap().1.to_owned()
}

fn f3_inheritable_and_ambient_capabilities_are_always_empty(rig: &Rig) {
    type Change = fn(Case<'_>) -> Case<'_>;
    let cases: [(Change, u64); 4] = [
        (|case| case, capability::DOCKER),
        (|case| case.hardened(), capability::HARDENED),
        (
            |case| case.with(|spec| spec.process.cap_add = capability::bit(capability::SYS_ADMIN)),
            capability::DOCKER | capability::bit(capability::SYS_ADMIN),
        ),
        (|case| case.with(|spec| spec.process.cap_drop = capability::ALL), 0),
    ];
    for (change, expected) in cases {
        for user in ["", "app"] {
            for host in [false, true] {
                // The hardened policy has no host ids.
                let case = change(rig.shell("true").user(user));
                let case = if host {
                    Case { policy: rig.shell("true").policy, ..case.host_ids() }
                } else {
                    case
                };
                let expected = if host && expected == capability::HARDENED {
                    capability::DOCKER
                } else {
                    expected
                };
                let waiting = case.create().unwrap();
                waiting.audit().unwrap();
                let own = if user.is_empty() { expected } else { 0 };
                for (name, set) in [
                    ("CapBnd", expected),
                    ("CapPrm", own),
                    ("CapEff", own),
                    ("CapInh", 0),
                    ("CapAmb", 0),
                ] {
                    assert_eq!(
                        status(&waiting, name),
                        format!("{set:016x}"),
                        "{name} {user} {host}"
                    );
                }
            }
        }
    }
}

fn a_set_user_id_program_gains_nothing_with_no_new_privs(rig: &Rig) {
    let said = |no_new_privs| {
        let case = rig.program(&["/s/su", "-c", "true"]).user("app");
        let program = case.dir.join("layer1/s/su");
        let case = case.layer(|dir| {
            std::fs::create_dir(dir.join("s")).unwrap();
            std::fs::copy("/bin/busybox", dir.join("s/su")).unwrap();
        });
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o4755)).unwrap();
        case.with(|spec| spec.process.no_new_privs = Some(no_new_privs)).run().err
    };
    assert_eq!(said(true), "su: must be suid to work properly\n");
    // Without it, the image's set-id programs work.
    assert!(!said(false).contains("must be suid"));
}

fn filters_are_stacked_and_hold(rig: &Rig) {
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own: u32 = own
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp_filters:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    for no_new_privs in [false, true] {
        for user in ["", "app"] {
            let case = rig.shell("true").user(user);
            let case = case.with(|spec| spec.process.no_new_privs = Some(no_new_privs));
            let waiting = case.create().unwrap();
            assert_eq!(status(&waiting, "Seccomp:"), "2");
            assert_eq!(status(&waiting, "Seccomp_filters"), (own + 2).to_string());
        }
    }
}

fn a_program_of_the_request_can_only_tighten(rig: &Rig) {
    // "mkdir and mkdirat fail with EPERM, all else passes"; not on top of the default.
    let (mkdir, mkdirat) =
        (seccomp::Arch::NATIVE.number("mkdir"), seccomp::Arch::NATIVE.number("mkdirat"));
    let instruction = |code, jt, jf, k| seccomp::Instruction { code, jt, jf, k };
    let program = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 2, 0, mkdir.unwrap_or(u32::MAX)),
        instruction(0x15, 1, 0, mkdirat.unwrap()),
        instruction(0x06, 0, 0, 0x7fff_0000),
        instruction(0x06, 0, 0, 0x0005_0001),
    ];
    let mut case = rig.shell("mkdir /x 2>&1; unshare -U true 2>&1; echo end");
    case.program = Some(seccomp::to_bytes(&program));
    let case = case.with(|spec| spec.process.seccomp = Seccomp::Program);
    let out = case.run().out;
    assert!(
        out.starts_with("mkdir: can't create directory '/x': Operation not permitted\n"),
        "{out}"
    );
    let mut case = rig.shell("true");
    case.program = None;
    let case = case.with(|spec| spec.process.seccomp = Seccomp::Program);
    assert!(case.refused().to_string().contains("filter is missing"));
}

fn dangerous_system_calls_are_refused(rig: &Rig) {
    let script = "mount -t tmpfs x /tmp 2>&1; umount /proc 2>&1; hostname evil 2>&1; \
        echo x 2>&1 > /proc/sys/kernel/core_pattern; kill -0 1";
    let out = rig.shell(script).run().out;
    assert_eq!(out.matches("ermi").count(), 3, "{out}");
}

fn limits_of_the_process_are_set(rig: &Rig) {
    let case = rig.shell("ulimit -n; ulimit -c; cat /proc/self/oom_score_adj");
    let limits = vec![
        Rlimit { resource: 7, soft: 100, hard: 200 },
        Rlimit { resource: 4, soft: 0, hard: 0 },
    ];
    let case = case.with(|spec| {
        spec.process.rlimits = limits.try_into().unwrap();
        spec.process.oom_score_adj = Some(321);
    });
    assert_eq!(case.run().text(), "100\n0\n321\n");
}

fn no_key_of_the_caller_is_there(rig: &Rig) {
    let case = rig.shell("cat /proc/keys | wc -l").with(|spec| spec.unmask = true);
    let out = case.run().text();
    assert!(out.trim().parse::<u32>().unwrap() <= 1, "{out}");
}

fn a_waiting_process_cannot_be_looked_into(rig: &Rig) {
    let waiting = rig.shell("true").create().unwrap();
    // Files of a process that is not dumpable belong to root.
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(format!("/proc/{}/mem", waiting.pid)).unwrap();
    assert_eq!(meta.uid(), 0);
    assert_ne!(waiting.case.base(), 0);
}

fn with_terminal(case: Case<'_>) -> Case<'_> {
    case.with(|spec| spec.process.terminal = Some(TerminalSize { rows: 33, columns: 101 }))
}

fn a_terminal_is_the_containers_own(rig: &Rig) {
    for host in [false, true] {
        let case =
            rig.shell("tty; stty size; stat -c %t /dev/console; ls -1 /dev/pts; echo x > /dev/tty");
        let case = if host { case.host_ids() } else { case };
        let outcome = with_terminal(case).run();
        assert_eq!(outcome.out, "/dev/pts/0\r\n33 101\r\n88\r\n0\r\nptmx\r\nx\r\n");
    }
}

fn a_terminal_belongs_to_the_user(rig: &Rig) {
    let case = rig.shell("stat -c %u:%g:%a /dev/pts/0; echo x > /dev/pts/0").user("app");
    assert_eq!(with_terminal(case).run().out, "1000:5:620\r\nx\r\n");
}

fn standard_input_is_the_null_device_unless_asked(rig: &Rig) {
    let text = rig.shell("readlink /proc/1/fd/0; cat | wc -c").run().text();
    assert_eq!(text, "/dev/null\n0\n");
    let case = rig.shell("readlink /proc/1/fd/0").with(|spec| spec.process.stdin = true);
    assert!(case.run().text().starts_with("pipe:"));
}

fn init_runs_as_pid_1(rig: &Rig) {
    // Any static program does: this one tells by its arguments how it was run.
    let mut case = rig.program(&["sh", "-c", "exit"]);
    case.init = Some(crate::rig::open("/bin/busybox"));
    let mut waiting = case.with(|spec| spec.init = true).create().unwrap();
    waiting.audit().unwrap();
    waiting.open().unwrap();
    let outcome = waiting.finish();
    assert_eq!(outcome.err, "bulkhead-init: applet not found\n");
}

fn signals_are_as_programs_expect(rig: &Rig) {
    let text =
        rig.program(&["/bin/grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]).run().text();
    let zero = "0000000000000000";
    assert_eq!(text, format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\nSigCgt:\t{zero}\n"));
}
