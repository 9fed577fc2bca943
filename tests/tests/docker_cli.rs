//! The real `docker` CLI against the engine.

use bulkhead_tests::{Engine, Policy, Pty, busybox, debian, need, skip};
use serde_json::Value;

/// An engine with the image `busybox`; none: something is missing, and the test is counted as skipped.
fn engine(test: &str) -> Option<Engine> {
    let Some(tar) = busybox() else {
        skip(test, "busybox-static is not installed");
        return None;
    };
    let engine = Engine::start(Policy::Hardened);
    engine.import(tar, "busybox");
    Some(engine)
}

macro_rules! engine {
    ($name:literal) => {{
        need!($name, root);
        need!($name, "docker");
        match engine($name) {
            Some(engine) => engine,
            None => return,
        }
    }};
}

#[test]
fn run_gives_output_and_exit_code() {
    let engine = engine!("run_gives_output_and_exit_code");
    assert_eq!(engine.docker_ok(&["run", "--rm", "busybox", "echo", "hello"]), "hello");
    let output =
        engine.docker(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let output = engine.docker(&["run", "--rm", "busybox", "nonexistent"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    let output = engine.docker(&["run", "--rm", "busybox", "/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    let output = engine.docker(&["run", "--rm", "no-such-image:1"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert_eq!(engine.docker_ok(&["ps", "-aq"]), "", "--rm removed all of them");
}

#[test]
fn stdin_reaches_the_program_and_its_end_too() {
    use std::io::Write;
    let engine = engine!("stdin_reaches_the_program_and_its_end_too");
    let mut child = engine
        .command("docker")
        .args(["run", "--rm", "-i", "busybox", "wc", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("docker");
    child.stdin.take().expect("stdin").write_all(&vec![b'x'; 300_000]).expect("write");
    let output = child.wait_with_output().expect("docker");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "300000");
}

#[test]
fn a_detached_container_has_the_limits_it_was_given() {
    let engine = engine!("a_detached_container_has_the_limits_it_was_given");
    let id = engine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "limited",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "32",
        "busybox",
        "sleep",
        "1000",
    ]);
    assert_eq!(id.len(), 64);
    let inspect = engine.inspect("limited");
    assert_eq!(inspect["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(inspect["HostConfig"]["NanoCpus"], 500_000_000);
    assert_eq!(inspect["HostConfig"]["PidsLimit"], 32);
    assert_eq!(inspect["State"]["Status"], "running");
    assert!(inspect["State"]["Pid"].as_i64().expect("pid") > 1);
    let forks =
        engine.docker(&["exec", "limited", "sh", "-c", "for i in $(seq 100); do sleep 100 & done"]);
    assert!(
        String::from_utf8_lossy(&forks.stderr).contains("fork"),
        "the fork bomb met the limit: {forks:?}"
    );
    engine.docker_ok(&["rm", "-f", "limited"]);
}

#[test]
fn ps_logs_inspect_stop_rm_and_prune_do_as_users_know() {
    let engine = engine!("ps_logs_inspect_stop_rm_and_prune_do_as_users_know");
    engine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "--label",
        "a=b",
        "busybox",
        "sh",
        "-c",
        "trap 'echo bye; exit 3' TERM; echo started; while :; do sleep 0.1; done",
    ]);
    let mut follow = engine.command("docker");
    follow.args(["logs", "-f", "one"]).stdout(std::process::Stdio::piped());
    let follow = follow.spawn().expect("docker");
    let names = engine.docker_ok(&[
        "ps",
        "--filter",
        "label=a=b",
        "--format",
        "{{.Names}} {{.Image}} {{.State}}",
    ]);
    assert_eq!(names, "one busybox running");
    engine.docker_ok(&["stop", "-t", "10", "one"]);
    let followed = follow.wait_with_output().expect("docker");
    assert_eq!(
        String::from_utf8_lossy(&followed.stdout),
        "started\nbye\n",
        "follow ends with the container"
    );
    assert_eq!(engine.docker_ok(&["logs", "--tail", "1", "one"]), "bye");
    let inspect = engine.inspect("one");
    assert_eq!(inspect["State"]["ExitCode"], 3);
    assert_eq!(inspect["State"]["Status"], "exited");
    assert!(engine.docker_ok(&["ps", "-a"]).contains("Exited (3)"));

    engine.docker_ok(&["start", "one"]);
    assert_eq!(engine.inspect("one")["State"]["Running"], true);
    let refused = engine.docker(&["rm", "one"]);
    assert!(!refused.status.success(), "a running container is not removed");
    engine.docker_ok(&["restart", "-t", "0", "one"]);
    engine.docker_ok(&["kill", "one"]);
    assert_eq!(engine.docker_ok(&["wait", "one"]), "137");
    engine.docker_ok(&["create", "--name", "two", "busybox", "true"]);
    let pruned = engine.docker_ok(&["container", "prune", "-f"]);
    assert!(pruned.contains("Deleted Containers"), "{pruned}");
    assert_eq!(engine.docker_ok(&["ps", "-aq"]), "");
}

#[test]
fn exec_runs_in_the_container() {
    let engine = engine!("exec_runs_in_the_container");
    engine.docker_ok(&[
        "run", "-d", "--name", "box", "-e", "A=1", "-w", "/tmp", "busybox", "sleep", "1000",
    ]);
    assert_eq!(
        engine.docker_ok(&["exec", "box", "sh", "-c", "echo $A; pwd; cat /proc/1/comm"]),
        "1\n/tmp\nsleep"
    );
    assert_eq!(
        engine.docker_ok(&[
            "exec",
            "-e",
            "B=2",
            "-w",
            "/etc",
            "-u",
            "user",
            "box",
            "sh",
            "-c",
            "echo $B; pwd; id -u"
        ]),
        "2\n/etc\n1000"
    );
    assert_eq!(engine.docker(&["exec", "box", "sh", "-c", "exit 9"]).status.code(), Some(9));
    assert_eq!(engine.docker(&["exec", "box", "nonexistent"]).status.code(), Some(127));
    let privileged = engine.docker(&["exec", "--privileged", "box", "true"]);
    assert!(!privileged.status.success(), "policy denies it");
    engine.docker_ok(&["pause", "box"]);
    assert_eq!(engine.inspect("box")["State"]["Paused"], true);
    engine.docker_ok(&["unpause", "box"]);
    engine.docker_ok(&["rename", "box", "crate"]);
    assert_eq!(engine.docker_ok(&["exec", "crate", "hostname"]).len(), 12);
    engine.docker_ok(&["rm", "-f", "crate"]);
}

#[test]
fn a_terminal_has_size_job_control_and_detach() {
    let engine = engine!("a_terminal_has_size_job_control_and_detach");
    let mut command = engine.command("docker");
    command.args(["run", "-it", "--name", "term", "busybox", "sh"]);
    let mut pty = Pty::spawn(&command);
    pty.send("stty size; tty\n");
    pty.expect("24 80");
    pty.expect("/dev/pts/0");
    pty.resize(50, 132);
    pty.send("while [ \"$(stty size)\" != '50 132' ]; do :; done; echo resi''zed\n");
    pty.expect("resized");
    // Said by the job itself, which is in the foreground by then.
    pty.send("sh -c 'echo slee\"\"ping; exec sleep 1000'\n");
    pty.expect("sleeping");
    pty.send("\x03");
    pty.send("echo inter''rupted\n");
    pty.expect("interrupted");
    pty.send("\x10\x11");
    assert!(pty.wait().success(), "ctrl-P ctrl-Q detaches");
    assert_eq!(engine.inspect("term")["State"]["Running"], true);
    let mut command = engine.command("docker");
    command.args(["attach", "term"]);
    let mut pty = Pty::spawn(&command);
    pty.send("exit 5\n");
    assert_eq!(pty.wait().code(), Some(5), "the exit code comes through");
    engine.docker_ok(&["rm", "term"]);
}

#[test]
fn errors_are_dockers() {
    let engine = engine!("errors_are_dockers");
    let text = |args: &[&str]| String::from_utf8_lossy(&engine.docker(args).stderr).into_owned();
    assert!(text(&["start", "nope"]).contains("No such container: nope"));
    engine.docker_ok(&["create", "--name", "taken", "busybox", "true"]);
    let conflict = text(&["create", "--name", "taken", "busybox", "true"]);
    assert!(conflict.contains("is already in use by container"), "{conflict}");
    let (status, body) = engine.http(
        "POST",
        "/v1.51/containers/create?name=-bad",
        Some(&serde_json::json!({"Image": "busybox"})),
    );
    assert_eq!(status, 400, "{body}");
    let (status, body) = engine.http("GET", "/v1.20/containers/json", None);
    assert_eq!(status, 400);
    assert!(body["message"].as_str().expect("message").contains("too old"), "{body}");
    let (status, body) = engine.http("POST", "/v1.51/swarm/init", Some(&serde_json::json!({})));
    assert!(matches!(status, 501 | 503), "{status} {body}");
    assert!(body["message"].is_string());
    let (status, _) = engine.http("GET", "/v1.51/nothing/here", None);
    assert_eq!(status, 404);
}

#[test]
fn what_policy_denies_is_a_403_that_names_field_rule_and_knob() {
    let engine = engine!("what_policy_denies_is_a_403_that_names_field_rule_and_knob");
    for (flag, field) in [
        ("--privileged", "Privileged"),
        ("--pid=host", "PidMode"),
        ("--network=host", "NetworkMode"),
        ("--userns=host", "UsernsMode"),
        ("--cap-add=SYS_ADMIN", "CapAdd"),
        ("--security-opt=seccomp=unconfined", "seccomp"),
        ("--volume=/:/host", "bind"),
    ] {
        let output = engine.docker(&["run", "--rm", flag, "busybox", "true"]);
        assert_eq!(output.status.code(), Some(125), "{flag}");
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(text.contains(&field.to_lowercase()), "{flag}: {text}");
        assert!(text.contains("policy.toml") || text.contains("rule"), "{flag}: {text}");
    }
    assert_eq!(engine.docker_ok(&["ps", "-aq", "--filter", "status=running"]), "");
}

#[test]
fn images_are_listed_tagged_inspected_and_removed() {
    let engine = engine!("images_are_listed_tagged_inspected_and_removed");
    engine.docker_ok(&["tag", "busybox", "example.test/box:2"]);
    let list = engine.docker_ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(list.contains("busybox:latest") && list.contains("example.test/box:2"), "{list}");
    let inspect: Value =
        serde_json::from_str(&engine.docker_ok(&["image", "inspect", "busybox"])).expect("JSON");
    assert_eq!(inspect[0]["Os"], "linux");
    assert!(engine.docker_ok(&["history", "busybox"]).contains("Imported"));
    engine.docker_ok(&["create", "--name", "user", "busybox", "true"]);
    engine.docker_ok(&["rmi", "example.test/box:2"]);
    let used = engine.docker(&["rmi", "busybox"]);
    assert!(!used.status.success(), "a container uses it");
    engine.docker_ok(&["rm", "user"]);
    let removed = engine.docker_ok(&["rmi", "busybox"]);
    assert!(removed.contains("Deleted: sha256:"), "{removed}");
    let layers = std::fs::read_dir(engine.root().join("lib/shim/layers")).expect("layers").count();
    // The embedded image's one layer.
    assert_eq!(layers, 1, "the layer went with the last image that used it");
}

#[test]
fn events_tell_what_happened() {
    let engine = engine!("events_tell_what_happened");
    engine.docker_ok(&["run", "--rm", "--name", "told", "busybox", "true"]);
    // The CLI sends whole seconds.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let until = (now.as_secs() + 1).to_string();
    let events = engine.docker_ok(&[
        "events",
        "--since",
        "1h",
        "--until",
        &until,
        "--filter",
        "container=told",
        "--format",
        "{{.Action}}",
    ]);
    let actions: Vec<&str> = events.lines().collect();
    for action in ["create", "start", "die", "destroy"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
}

#[test]
fn the_bridge_connects_containers_and_reaches_the_gateway() {
    let engine = engine!("the_bridge_connects_containers_and_reaches_the_gateway");
    engine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "server",
        "busybox",
        "sh",
        "-c",
        "echo served > /tmp/f; httpd -f -p 8080 -h /tmp",
    ]);
    let server = engine.inspect("server");
    let address = server["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        .as_str()
        .expect("address")
        .to_owned();
    let gateway = server["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
        .as_str()
        .expect("gateway")
        .to_owned();
    let url = format!("http://{address}:8080/f");
    let got = engine.docker_ok(&[
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        &format!("for i in $(seq 50); do wget -q -O - {url} && exit; done; exit 1"),
    ]);
    assert_eq!(got, "served");
    let route = engine.docker_ok(&["run", "--rm", "busybox", "ip", "route"]);
    assert!(route.contains(&format!("default via {gateway}")), "{route}");
    let links =
        engine.docker_ok(&["run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"]);
    assert_eq!(links, "lo");
    engine.docker_ok(&["rm", "-f", "server"]);
}

#[test]
fn a_debian_made_of_packages_runs_and_can_be_updated() {
    need!("a_debian_made_of_packages_runs_and_can_be_updated", root);
    need!("a_debian_made_of_packages_runs_and_can_be_updated", "docker");
    let Some(tar) = debian() else {
        return skip(
            "a_debian_made_of_packages_runs_and_can_be_updated",
            "mmdebstrap or its archive is not there",
        );
    };
    let engine = Engine::start(Policy::Hardened);
    engine.import(tar, "debian");
    let version = engine.docker_ok(&["run", "--rm", "debian", "cat", "/etc/debian_version"]);
    assert!(version.starts_with("12"), "{version}");
    let mut command = engine.command("docker");
    command.args(["run", "--rm", "-it", "debian", "bash"]);
    let mut pty = Pty::spawn(&command);
    pty.send("echo $((6*7)); exit 4\n");
    pty.expect("42");
    assert_eq!(pty.wait().code(), Some(4));
    if std::process::Command::new("apt-get")
        .args(["update", "-qq"])
        .status()
        .is_ok_and(|status| status.success())
    {
        let sources = engine.docker(&["run", "--rm", "debian", "apt-get", "update"]);
        assert!(sources.status.success(), "{}", String::from_utf8_lossy(&sources.stderr));
    } else {
        skip("apt_get_update_inside_a_container", "the host has no package archive");
    }
}

#[test]
fn load_takes_what_other_tools_saved() {
    let engine = engine!("load_takes_what_other_tools_saved");
    need!("load_takes_what_other_tools_saved", "skopeo");
    // skopeo copies from an OCI layout to the archives that docker load reads.
    let directory = engine.root().join("other");
    let Some(layout) = bulkhead_tests::oci_layout(&directory) else {
        return skip("load_takes_what_other_tools_saved", "no OCI layout could be made");
    };
    for (kind, name) in
        [("docker-archive", "example.test/archived:1"), ("oci-archive", "example.test/oci:1")]
    {
        let archive = directory.join(kind);
        let to = format!("{kind}:{}:{name}", archive.display());
        let done = std::process::Command::new("skopeo")
            .args(["copy", "--insecure-policy", &format!("oci:{}", layout.display()), &to])
            .output()
            .expect("skopeo");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = engine.docker_ok(&["load", "-i", archive.to_str().expect("UTF-8")]);
        assert!(said.contains("Loaded image"), "{kind}: {said}");
        assert_eq!(engine.docker_ok(&["run", "--rm", name, "echo", "ok"]), "ok", "{kind}");
    }
}
