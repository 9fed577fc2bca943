//! What a container can see and do, asked from inside.

use bulkhead_tests::{Engine, Policy, Snapshot, busybox, need, skip, wait_until};
use std::collections::BTreeSet;
use std::time::Duration;

macro_rules! engine {
    ($name:literal) => {{
        need!($name, root);
        need!($name, "docker");
        let Some(tar) = busybox() else {
            return skip($name, "busybox-static is not installed");
        };
        let engine = Engine::start(Policy::Hardened);
        engine.import(tar, "busybox");
        engine
    }};
}

fn run(engine: &Engine, script: &str) -> String {
    engine.docker_ok(&["run", "--rm", "busybox", "sh", "-c", script])
}

/// A field of a process's status, on the host.
fn status(pid: i64, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.expect("the field").trim().to_owned()
}

#[test]
fn root_inside_is_nobody_outside_and_no_two_containers_share_an_id() {
    let engine = engine!("root_inside_is_nobody_outside_and_no_two_containers_share_an_id");
    let mut ranges = BTreeSet::new();
    for name in ["one", "two", "three"] {
        engine.docker_ok(&["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
        assert_eq!(engine.docker_ok(&["exec", name, "id", "-u"]), "0");
        let pid = engine.inspect(name)["State"]["Pid"].as_i64().expect("pid");
        let uid: u32 = status(pid, "Uid")
            .split_whitespace()
            .next()
            .and_then(|uid| uid.parse().ok())
            .expect("uid");
        assert!(uid >= 524_288, "a high uid on the host: {uid}");
        assert_eq!(uid % 65_536, 0);
        assert!(ranges.insert(uid), "ranges are disjoint");
        let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("uid_map");
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", &uid.to_string(), "65536"]);
    }
    engine.docker_ok(&["rm", "-f", "one", "two", "three"]);
}

#[test]
fn what_leads_out_is_denied() {
    let engine = engine!("what_leads_out_is_denied");
    let before = Snapshot::take();
    for (what, command) in [
        ("mount", "mount -t tmpfs none /mnt"),
        ("a new user namespace", "unshare -U true"),
        ("a new mount namespace", "unshare -m true"),
        ("a device node", "mknod /tmp/mem c 1 1"),
        ("a block device node", "mknod /tmp/disk b 254 0"),
        ("a raw socket", "ping -c 1 -w 1 127.0.0.1 2>&1 | grep -q 'permission denied' && false"),
        ("core_pattern", "echo '|/x' > /proc/sys/kernel/core_pattern"),
        ("sysrq", "echo b > /proc/sysrq-trigger"),
        ("a sysctl of the host", "echo 1 > /proc/sys/vm/drop_caches"),
        ("the clock", "date -s 2001-01-01; [ $(date +%Y) = 2001 ]"),
        ("the hostname of others", "echo x > /proc/sys/kernel/hostname"),
        ("a kernel log", "dmesg"),
        ("a bind over /proc", "mount --bind /tmp /proc"),
        ("a way up the tree", "ls /proc/1/root/../../../lib/shim"),
        ("an immutable oom score", "echo -1000 > /proc/self/oom_score_adj"),
        ("the sysfs", "echo 1 > /sys/kernel/mm/ksm/run"),
        ("another root", "chroot /tmp /bin/true 2>/dev/null; mkdir -p /m && pivot_root / /m"),
    ] {
        let output = engine.docker(&["run", "--rm", "busybox", "sh", "-c", command]);
        assert!(!output.status.success(), "{what}: {output:?}");
    }
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn masked_paths_are_empty_and_proc_sys_is_read_only() {
    let engine = engine!("masked_paths_are_empty_and_proc_sys_is_read_only");
    assert_eq!(
        run(
            &engine,
            "cat /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug 2>/dev/null | wc -c"
        ),
        "0"
    );
    assert_eq!(
        run(
            &engine,
            "ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v : | grep -c . || true"
        ),
        "0"
    );
    assert_eq!(
        run(
            &engine,
            "grep -c '/proc/sys .*ro' /proc/self/mountinfo || grep -c ' /proc/sys ro' /proc/self/mountinfo"
        ),
        "1"
    );
}

#[test]
fn capabilities_are_the_policys_and_inheritable_ones_are_none() {
    let engine = engine!("capabilities_are_the_policys_and_inheritable_ones_are_none");
    for (user, effective) in [("root", true), ("user", false)] {
        let text = engine.docker_ok(&[
            "run",
            "--rm",
            "-u",
            user,
            "busybox",
            "grep",
            "-E",
            "Cap|NoNew|Seccomp:",
            "/proc/self/status",
        ]);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
            u64::from_str_radix(line.trim(), 16).expect("hex")
        };
        assert_eq!(field("CapInh:"), 0, "{user}");
        assert_eq!(field("CapAmb:"), 0, "{user}");
        assert_eq!(field("CapEff:") != 0, effective, "{user}");
        assert_eq!(
            field("CapBnd:") & (1 << 21 | 1 << 16 | 1 << 19 | 1 << 13),
            0,
            "SYS_ADMIN, SYS_MODULE, SYS_PTRACE, NET_RAW"
        );
        assert_eq!(field("NoNewPrivs:"), 1);
        assert_eq!(field("Seccomp:"), 2);
    }
    let dropped = engine.docker_ok(&[
        "run",
        "--rm",
        "--cap-drop",
        "ALL",
        "busybox",
        "grep",
        "CapBnd",
        "/proc/self/status",
    ]);
    assert!(dropped.ends_with("0000000000000000"), "{dropped}");
}

#[test]
fn descriptors_inside_are_the_three_standard_ones() {
    let engine = engine!("descriptors_inside_are_the_three_standard_ones");
    engine.docker_ok(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
    assert_eq!(engine.docker_ok(&["exec", "box", "ls", "/proc/1/fd"]), "0\n1\n2");
    // ls opens one itself, for the directory.
    assert_eq!(engine.docker_ok(&["exec", "box", "ls", "/proc/self/fd"]), "0\n1\n2\n3");
    for number in 3..20 {
        let cwd = format!("/proc/self/fd/{number}");
        let output = engine.docker(&["run", "--rm", "-w", &cwd, "busybox", "pwd"]);
        assert!(!output.status.success(), "WORKDIR={cwd} (CVE-2024-21626)");
        let output = engine.docker(&["exec", "-w", &cwd, "box", "pwd"]);
        assert!(!output.status.success(), "exec -w {cwd}");
    }
    engine.docker_ok(&["rm", "-f", "box"]);
}

#[test]
fn a_memory_hog_is_killed_and_inspect_says_so() {
    let engine = engine!("a_memory_hog_is_killed_and_inspect_says_so");
    engine.docker(&["run", "--name", "hog", "-m", "32m", "busybox", "sh", "-c", "tail /dev/zero"]);
    wait_until("it ended", Duration::from_secs(30), || {
        engine.inspect("hog")["State"]["Running"] == false
    });
    let state = &engine.inspect("hog")["State"];
    assert_eq!(state["OOMKilled"], true, "{state}");
    assert_eq!(state["ExitCode"], 137);
    engine.docker_ok(&["rm", "hog"]);
}

#[test]
fn a_fork_bomb_meets_the_pids_limit() {
    let engine = engine!("a_fork_bomb_meets_the_pids_limit");
    let output = engine.docker(&[
        "run",
        "--rm",
        "--pids-limit",
        "20",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done",
    ]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("fork"), "{output:?}");
}

#[test]
fn users_are_resolved_in_the_image_and_never_overflow() {
    let engine = engine!("users_are_resolved_in_the_image_and_never_overflow");
    for (user, id) in [
        ("1000", "1000:1000"),
        ("user", "1000:1000"),
        ("1000:2000", "1000:2000"),
        ("user:extra", "1000:2000"),
        ("4242", "4242:0"),
    ] {
        let output = engine.docker(&[
            "run",
            "--rm",
            "-u",
            user,
            "busybox",
            "sh",
            "-c",
            "echo $(id -u):$(id -g)",
        ]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), id, "{user}: {output:?}");
    }
    for user in [
        "-1",
        "4294967296",
        "4294967295",
        "65536",
        "2147483648",
        "0x0",
        "+0",
        " 0",
        "nobody-there",
        "1:nope",
    ] {
        let output = engine.docker(&["run", "--rm", "-u", user, "busybox", "id", "-u"]);
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(!output.status.success(), "{user:?} ran as {text}");
    }
    let groups = engine.docker_ok(&[
        "run",
        "--rm",
        "-u",
        "user",
        "--group-add",
        "3000",
        "busybox",
        "id",
        "-G",
    ]);
    let groups: BTreeSet<&str> = groups.split(' ').collect();
    assert_eq!(
        groups,
        BTreeSet::from(["1000", "2000", "3000"]),
        "with the primary group among them"
    );
}

#[test]
fn engine_files_are_mounts_and_never_written_through_links_of_the_image() {
    let engine = engine!("engine_files_are_mounts_and_never_written_through_links_of_the_image");
    let canary = engine.root().join("canary");
    std::fs::write(&canary, "untouched").expect("canary");
    let directory = tempfile::tempdir().expect("tempdir");
    let script = format!(
        "set -e; cd {0}; mkdir -p root/bin root/etc; cp $(command -v busybox) root/bin/sh; \
         for f in hosts hostname resolv.conf mtab; do ln -s {1} root/etc/$f; done; tar -C root -cf image.tar .",
        directory.path().display(),
        canary.display()
    );
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().expect("sh").success());
    engine.import(&directory.path().join("image.tar"), "linked");
    let ran = engine.docker(&[
        "run",
        "--rm",
        "linked",
        "/bin/sh",
        "-c",
        "echo x >> /etc/hosts; echo y >> /etc/resolv.conf",
    ]);
    assert_eq!(std::fs::read_to_string(&canary).expect("canary"), "untouched", "{ran:?}");
    let hosts = run(&engine, "cat /etc/hosts; cat /etc/hostname");
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost"), "{hosts}");
}

#[test]
fn special_directories_of_an_image_that_are_links_do_no_harm() {
    let engine = engine!("special_directories_of_an_image_that_are_links_do_no_harm");
    let canary = engine.root().join("canary-dir");
    std::fs::create_dir(&canary).expect("canary");
    for special in ["proc", "sys", "dev"] {
        let directory = tempfile::tempdir().expect("tempdir");
        let tar = directory.path().join("image.tar");
        let script = format!(
            "set -e; cd {0}; mkdir -p root/bin root/tmp; cp $(command -v busybox) root/bin/sh; ln -s {1} root/{special}; tar -C root -cf image.tar .",
            directory.path().display(),
            canary.display()
        );
        assert!(
            std::process::Command::new("sh").args(["-c", &script]).status().expect("sh").success()
        );
        engine.import(&tar, &format!("linked-{special}"));
        let output = engine.docker(&[
            "run",
            "--rm",
            &format!("linked-{special}"),
            "/bin/sh",
            "-c",
            "echo x > /proc/self/comm; echo y > /dev/shm/z",
        ]);
        assert!(
            std::fs::read_dir(&canary).expect("canary").next().is_none(),
            "/{special}: {output:?}"
        );
    }
}

#[test]
fn the_hosts_mount_table_is_the_same_with_many_containers() {
    let engine = engine!("the_hosts_mount_table_is_the_same_with_many_containers");
    let before = Snapshot::take();
    let mut names = Vec::new();
    for number in 0..100 {
        let name = format!("c{number}");
        engine.docker_ok(&["run", "-d", "--name", &name, "busybox", "sleep", "1000"]);
        names.push(name);
    }
    assert_eq!(engine.docker_ok(&["ps", "-q"]).lines().count(), 100);
    assert_eq!(Snapshot::take(), before, "100 containers, not one mount");
    let mut remove = vec!["rm", "-f"];
    remove.extend(names.iter().map(String::as_str));
    engine.docker_ok(&remove);
}

#[test]
fn the_rest_of_the_run_options_do_what_they_say() {
    let engine = engine!("the_rest_of_the_run_options_do_what_they_say");
    for (options, script, expected) in [
        (&["--read-only"][..], "touch /x 2>/dev/null || echo read-only", "read-only"),
        (
            &["--read-only", "--tmpfs", "/scratch:size=1m"],
            "touch /scratch/x && df -k /scratch | tail -1 | tr -s ' ' | cut -d' ' -f2",
            "1024",
        ),
        (&["--shm-size", "2m"], "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "2048"),
        (
            &["--hostname", "named", "--domainname", "example.test"],
            "hostname; cat /proc/sys/kernel/domainname",
            "named\nexample.test",
        ),
        (&["--ulimit", "nofile=123:456"], "ulimit -n; ulimit -Hn", "123\n456"),
        (
            &["--sysctl", "net.ipv4.ip_unprivileged_port_start=1024"],
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
            "1024",
        ),
        (&["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300"),
        (&["-e", "A=b c", "-e", "EMPTY="], "echo \"$A-$EMPTY-\"", "b c--"),
        (&["--init"], "[ $$ != 1 ] && echo a child of pid 1", "a child of pid 1"),
        (&["-w", "/made/for/me"], "pwd", "/made/for/me"),
        (
            &["--cap-drop", "CHOWN"],
            "touch /tmp/x; chown 5 /tmp/x 2>/dev/null || echo refused",
            "refused",
        ),
        (
            &["--add-host", "other:10.9.8.7"],
            "grep other /etc/hosts | tr '\\t' ' '",
            "10.9.8.7 other",
        ),
        (
            &["--dns", "192.0.2.1", "--dns-search", "example.test"],
            "cat /etc/resolv.conf | grep -v '^#' | sort",
            "nameserver 192.0.2.1\nsearch example.test",
        ),
    ] {
        let mut args = vec!["run", "--rm"];
        args.extend(options);
        args.extend(["busybox", "sh", "-c", script]);
        let output = engine.docker(&args);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            expected,
            "{options:?}: {output:?}"
        );
    }
}
