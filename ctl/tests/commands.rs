//! Commands against an engine that answers as a test says: output, uploads, versions, failures.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod fake;

use std::io::Write;
use std::process::{Command, Stdio};

use fake::{Fake, err, frame, out, reply, reply_as};

#[test]
fn without_an_engine_there_is_one_clear_sentence() {
    let none = "unix:///none/such.sock";
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command.env_remove("DOCKER_HOST").env("BULKHEAD_HOST", none).args(args).output().unwrap()
    };
    let output = run(&["ps"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        format!(
            "Cannot connect to the Bulkhead engine at {none}. Is it running? \
             (`bulkhead up` starts one)\n"
        )
    );
    assert_eq!(run(&["run", "x"]).status.code(), Some(125));
    let output = run(&["-H", "unix:///other.sock", "ps"]);
    assert!(err(&output).contains("unix:///other.sock"), "-H counts before the environment");
    assert!(err(&run(&["-H", "ssh://x", "ps"])).contains("ssh -L"));
}

#[test]
fn an_older_engine_is_asked_again_in_its_version() {
    let fake = Fake::start(|seen, connection| match seen.version.as_str() {
        "v1.44" => reply(connection, 200, "[]"),
        _ => reply(
            connection,
            400,
            r#"{"message":"client version 1.51 is too new. Maximum supported API version is 1.44"}"#,
        ),
    });
    let output = fake.run(&["ps", "-q"]);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(fake.lines().len(), 2);
}

#[test]
fn ps_is_a_table() {
    let fake = Fake::start(|_, connection| {
        reply(
            connection,
            200,
            r#"[{"Id":"0123456789abcdef","Names":["/web"],"Image":"nginx","Command":"nginx",
                "Created":1,"Status":"Up 2 hours","Ports":[{"PrivatePort":80,"Type":"tcp"}]}]"#,
        )
    });
    let output = fake.run(&["ps", "--format", "table {{.ID}}\\t{{.Names}}\\t{{.Ports}}"]);
    assert_eq!(out(&output), "CONTAINER ID   NAMES     PORTS\n0123456789ab   web       80/tcp\n");
    fake.run(&["ps", "-a", "-n", "3", "-s", "-f", "name=x", "-f", "status=exited"]);
    assert_eq!(
        fake.seen()[1].target,
        "/containers/json?all=1&limit=3&size=1&\
         filters=%7B%22name%22:%5B%22x%22%5D%2C%22status%22:%5B%22exited%22%5D%7D"
    );
}

#[test]
fn logs_are_taken_apart_by_what_the_engine_calls_them() {
    let fake = Fake::start(|seen, connection| match seen.target.contains("/tty/") {
        true if seen.target.contains("/json") => {
            reply(connection, 200, r#"{"Config":{"Tty":true}}"#)
        }
        true => reply_as(connection, 200, "application/vnd.docker.raw-stream", b"raw\n"),
        false => {
            let both = [frame(1, "one\n"), frame(2, "two\n")].concat();
            reply_as(connection, 200, "application/vnd.docker.multiplexed-stream", &both)
        }
    });
    let output = fake.run(&["logs", "-f", "-n", "5", "pipes"]);
    assert_eq!((out(&output).as_str(), err(&output).as_str()), ("one\n", "two\n"));
    assert_eq!(fake.seen()[0].target, "/containers/pipes/logs?stdout=1&stderr=1&follow=1&tail=5");
    assert_eq!(out(&fake.run(&["logs", "tty"])), "raw\n");
}

#[test]
fn inspect_keeps_the_engines_order_and_finds_images_and_networks_too() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "GET /containers/web/json" => reply(connection, 200, r#"{"Z":1,"A":{"y":[],"b":2}}"#),
        "GET /networks/net" => reply(connection, 200, r#"{"Name":"net"}"#),
        _ => reply(connection, 404, r#"{"message":"nothing"}"#),
    });
    assert_eq!(
        out(&fake.run(&["inspect", "web"])),
        "[\n    {\n        \"Z\": 1,\n        \"A\": {\n            \"y\": [],\n            \"b\": 2\n        }\n    }\n]\n"
    );
    assert_eq!(out(&fake.run(&["inspect", "-f", "{{json .A}}", "web"])), "{\"y\":[],\"b\":2}\n");
    assert_eq!(out(&fake.run(&["inspect", "-f", "{{.Name}}", "net"])), "net\n");
    let output = fake.run(&["inspect", "none"]);
    assert_eq!(
        (out(&output).as_str(), err(&output).as_str(), output.status.code()),
        ("[]\n", "Error: No such object: none\n", Some(1))
    );
    assert_eq!(fake.run(&["inspect", "-f", "{{.Name", "web"]).status.code(), Some(64));
}

#[test]
fn archives_are_sent_whole() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "POST /images/load" => reply(connection, 200, "{\"stream\":\"Loaded image: x:1\\n\"}"),
        "POST /images/create" => reply(connection, 200, "{\"status\":\"sha256:abc\"}\r\n"),
        _ => reply(connection, 200, ""),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let output = fake.run(&["load", "-i", path.to_str().unwrap()]);
    assert_eq!(out(&output), "Loaded image: x:1\n", "{}", err(&output));
    let load = fake.wait_for("load", |seen| seen.target.contains("/load"));
    assert_eq!(load.target, "/images/load?quiet=1");
    assert!(load.body == content, "{} of {} bytes", load.body.len(), content.len());

    let mut child = fake
        .command(&["import", "-c", "CMD sh", "-m", "note", "-", "x:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a tar").unwrap();
    assert_eq!(out(&child.wait_with_output().unwrap()), "sha256:abc\n");
    let import = fake.wait_for("import", |seen| seen.target.contains("/create"));
    assert_eq!(import.target, "/images/create?fromSrc=-&repo=x:1&message=note&changes=CMD%20sh");
    assert_eq!(import.body, b"a tar");
    assert!(err(&fake.run(&["load", "-i", "/none"])).starts_with("open /none: no such file"));
}

#[test]
fn a_reader_who_goes_away_ends_the_program_quietly() {
    let fake = Fake::start(|_, connection| {
        fake::begin(connection);
        let event = r#"{"Type":"x","Action":"y","Actor":{"ID":"z"}}"#;
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        while connection.write_all(chunk.as_bytes()).is_ok() {}
        false
    });
    let mut child =
        fake.command(&["events"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((err(&output).as_str(), output.status.code()), ("", Some(128 + 13)));
}

#[test]
fn commands_on_many_containers_do_what_they_can() {
    let fake = Fake::start(|seen, connection| match seen.target.contains("/b") {
        true => reply(connection, 404, r#"{"message":"No such container: b"}"#),
        false => reply(connection, 204, ""),
    });
    for command in ["stop", "kill", "pause", "unpause", "restart", "rm"] {
        let output = fake.run(&[command, "a", "b", "c"]);
        assert_eq!(out(&output), "a\nc\n", "{command}");
        assert_eq!(err(&output), "Error response from daemon: No such container: b\n", "{command}");
        assert_eq!(output.status.code(), Some(1), "{command}");
    }
    assert!(fake.run(&["rm", "-f", "b"]).status.success(), "what is gone is gone");
    fake.run(&["stop", "-t", "3", "-s", "INT", "d"]);
    assert_eq!(fake.seen().last().unwrap().target, "/containers/d/stop?signal=INT&t=3");
}

#[test]
fn usage_errors_have_dockers_codes() {
    let run =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_bulkhead")).args(args).output().unwrap();
    for (args, code, text) in [
        (&["run", "--foo", "x"][..], 125, "unknown flag: --foo\n\nUsage:  bulkhead run [OPTIONS]"),
        (&["run"], 1, "bulkhead: 'bulkhead run' requires at least 1 argument\n\nUsage:"),
        (&["foo"], 1, "bulkhead: unknown command: bulkhead foo\n\nRun 'bulkhead --help'"),
        (&["container", "foo"], 1, "bulkhead: unknown command: bulkhead container foo\n"),
        (&["--foo"], 125, "unknown flag: --foo\n"),
        (&["run", "-d", "-a", "stdin", "x"], 1, "conflicting options: cannot specify both"),
        (&["policy", "compile"], 125, "--out FILE is needed"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(err(&output).starts_with(text), "{args:?}: {}", err(&output));
    }
    for args in [&[][..], &["--help"], &["help", "run"], &["container"], &["ps", "--help"]] {
        let output = run(args);
        assert!(
            output.status.success() && out(&output).starts_with("Usage:  bulkhead"),
            "{args:?}"
        );
    }
}
