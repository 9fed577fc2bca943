//! `run`, `exec`, `start`, `attach` against an engine that answers as a test says: order of requests,
//! streams, signals, exit codes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod fake;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use fake::{Event, Fake, Seen, begin, end, err, frame, out, reply, upgrade};

/// A container that writes, and ends with a code once it was started.
fn container(code: i32, streams: Vec<u8>) -> Fake {
    let started = Event::default();
    Fake::start(move |seen, connection| match seen.line().as_str() {
        "POST /containers/create" => reply(connection, 201, r#"{"Id":"c0ffee","Warnings":[]}"#),
        "POST /containers/c0ffee/attach" => {
            upgrade(connection);
            started.wait();
            connection.write_all(&streams).unwrap();
            echo(seen, connection);
            false
        }
        "POST /containers/c0ffee/wait" => {
            begin(connection);
            started.wait();
            end(connection, &format!(r#"{{"StatusCode":{code}}}"#))
        }
        "POST /containers/c0ffee/start" => {
            let answered = reply(connection, 204, "");
            started.happen();
            answered
        }
        other => panic!("{other}"),
    })
}

fn echo(seen: &Seen, connection: &mut UnixStream) {
    if seen.target.contains("stdin=1") {
        let mut input = String::new();
        connection.read_to_string(&mut input).unwrap();
        connection.write_all(&frame(1, &input)).unwrap();
    }
}

#[test]
fn run_shows_both_streams_and_ends_with_the_containers_code() {
    let fake = container(42, [frame(1, "to out\n"), frame(2, "to err\n")].concat());
    let output = fake.run(&["run", "--rm", "x"]);
    assert_eq!((out(&output).as_str(), err(&output).as_str()), ("to out\n", "to err\n"));
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn an_attached_run_asks_four_times_and_starts_when_attach_and_wait_are_answered() {
    let fake = container(0, Vec::new());
    assert!(fake.run(&["run", "x"]).status.success());
    let lines = fake.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "POST /containers/create");
    assert_eq!(lines[3], "POST /containers/c0ffee/start");
    let wait = fake.seen().into_iter().find(|seen| seen.target.contains("/wait")).unwrap();
    assert_eq!(wait.target, "/containers/c0ffee/wait?condition=next-exit");
}

#[test]
fn a_run_that_removes_waits_for_the_removal() {
    let fake = container(0, Vec::new());
    assert!(fake.run(&["run", "--rm", "x"]).status.success());
    assert!(fake.seen().iter().any(|seen| seen.target.ends_with("/wait?condition=removed")));
}

#[test]
fn a_detached_run_asks_twice_and_prints_the_id() {
    let fake = container(0, Vec::new());
    let output = fake.run(&["run", "-d", "--name", "web", "x"]);
    assert_eq!(out(&output), "c0ffee\n");
    assert_eq!(fake.lines(), ["POST /containers/create", "POST /containers/c0ffee/start"]);
    assert_eq!(fake.seen()[0].target, "/containers/create?name=web");
    assert_eq!(fake.seen()[0].version, "v1.51");
}

#[test]
fn input_is_passed_on_and_so_is_its_end() {
    let fake = container(0, Vec::new());
    let mut child = fake
        .command(&["run", "-i", "x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"some input").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(out(&output), "some input");
    assert!(output.status.success());
}

#[test]
fn a_start_that_fails_has_dockers_code() {
    for (code, message) in [
        (127, r#"exec: \"foo\": executable file not found in $PATH"#),
        (127, "stat /foo: no such file or directory"),
        (126, r#"exec: \"/etc\": permission denied"#),
        (126, r#"exec: \"/etc\": is a directory"#),
        (125, "broken"),
    ] {
        let fake = Fake::start(move |seen, connection| match seen.line().as_str() {
            "POST /containers/create" => reply(connection, 201, r#"{"Id":"c0ffee"}"#),
            "POST /containers/c0ffee/attach" => {
                upgrade(connection);
                false
            }
            "POST /containers/c0ffee/wait" => {
                begin(connection);
                end(connection, r#"{"StatusCode":127}"#)
            }
            _ => reply(connection, 400, &format!(r#"{{"message":"{message}"}}"#)),
        });
        for args in [&["run", "x"][..], &["run", "--rm", "x"], &["run", "-d", "x"]] {
            let output = fake.run(args);
            assert_eq!(output.status.code(), Some(code), "{args:?} {message}");
            assert!(err(&output).starts_with("bulkhead: Error response from daemon: "));
        }
    }
}

#[test]
fn a_missing_image_is_pulled_and_a_server_that_cannot_says_so() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "POST /containers/create" => reply(connection, 404, r#"{"message":"No such image"}"#),
        _ => reply(connection, 501, r#"{"message":"this engine does not pull images"}"#),
    });
    let output = fake.run(&["run", "host:5000/x"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(
        err(&output),
        "Unable to find image 'host:5000/x:latest' locally\n\
         bulkhead: Error response from daemon: this engine does not pull images\n\n\
         Run 'bulkhead run --help' for more information\n"
    );
    assert_eq!(fake.seen()[1].target, "/images/create?fromImage=host:5000/x&tag=latest");
    let output = fake.run(&["run", "--pull", "never", "x"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(fake.lines().last().unwrap(), "POST /containers/create");
}

#[test]
fn the_id_file_is_there_only_if_the_container_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("id");
    let args = ["create", "--cidfile", path.to_str().unwrap(), "x"];
    let refusing = Fake::start(|_, connection| reply(connection, 500, r#"{"message":"no"}"#));
    assert!(!refusing.run(&args).status.success());
    assert!(!path.exists());
    let fake = container(0, Vec::new());
    assert!(fake.run(&args).status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "c0ffee");
    assert!(err(&fake.run(&args)).contains("container ID file found"));
}

#[test]
fn signals_go_to_the_container() {
    let (started, killed) = (Event::default(), Event::default());
    let (is_started, is_killed) = (started.clone(), killed.clone());
    let fake = Fake::start(move |seen, connection| match seen.line().as_str() {
        "POST /containers/create" => reply(connection, 201, r#"{"Id":"c0ffee"}"#),
        "POST /containers/c0ffee/attach" => {
            upgrade(connection);
            is_started.wait();
            connection.write_all(&frame(1, "up\n")).unwrap();
            is_killed.wait();
            false
        }
        "POST /containers/c0ffee/wait" => {
            begin(connection);
            is_killed.wait();
            end(connection, r#"{"StatusCode":143}"#)
        }
        "POST /containers/c0ffee/start" => {
            is_started.happen();
            reply(connection, 204, "")
        }
        "POST /containers/c0ffee/kill" => {
            is_killed.happen();
            reply(connection, 204, "")
        }
        other => panic!("{other}"),
    });
    let mut child = fake.command(&["run", "x"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let kill = fake.wait_for("kill", |seen| seen.target.contains("/kill"));
    assert_eq!(kill.target, "/containers/c0ffee/kill?signal=TERM");
}

#[test]
fn exec_ends_with_the_processes_code() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "POST /containers/web/exec" => reply(connection, 201, r#"{"Id":"e1"}"#),
        "POST /exec/e1/start" if seen.json()["Detach"] == true => reply(connection, 200, ""),
        "POST /exec/e1/start" => {
            upgrade(connection);
            connection.write_all(&frame(1, "hi\n")).unwrap();
            false
        }
        _ => reply(connection, 200, r#"{"ExitCode":7,"Running":false}"#),
    });
    let output = fake.run(&["exec", "-e", "A=1", "-w", "/srv", "-u", "5", "web", "ls", "-l"]);
    assert_eq!((out(&output).as_str(), output.status.code()), ("hi\n", Some(7)));
    let body = fake.seen()[0].json();
    assert_eq!(body["Cmd"], serde_json::json!(["ls", "-l"]));
    assert_eq!(body["Env"], serde_json::json!(["A=1"]));
    assert_eq!((&body["WorkingDir"], &body["User"]), (&"/srv".into(), &"5".into()));
    assert!(fake.run(&["exec", "-d", "web", "ls"]).status.success());
}

#[test]
fn start_attached_ends_with_the_containers_code() {
    let fake = Fake::start(|seen, connection| match seen.line().as_str() {
        "GET /containers/web/json" => reply(
            connection,
            200,
            r#"{"Id":"c0ffee","Config":{"Tty":false,"OpenStdin":false},"HostConfig":{"AutoRemove":true}}"#,
        ),
        "POST /containers/c0ffee/attach" => {
            upgrade(connection);
            connection.write_all(&frame(2, "hi\n")).unwrap();
            false
        }
        "POST /containers/c0ffee/wait" => {
            begin(connection);
            end(connection, r#"{"StatusCode":9}"#)
        }
        _ => reply(connection, 204, ""),
    });
    let output = fake.run(&["start", "-a", "web"]);
    assert_eq!((err(&output).as_str(), output.status.code()), ("hi\n", Some(9)));
    assert_eq!(out(&fake.run(&["start", "a", "b"])), "a\nb\n");
}

#[test]
fn a_user_who_insists_is_not_kept_by_an_engine_that_does_not_answer() {
    let started = Event::default();
    let fake = Fake::start(move |seen, connection| match seen.line().as_str() {
        "POST /containers/create" => reply(connection, 201, r#"{"Id":"c0ffee"}"#),
        "POST /containers/c0ffee/attach" => {
            upgrade(connection);
            started.wait();
            false
        }
        "POST /containers/c0ffee/wait" => {
            begin(connection);
            true
        }
        "POST /containers/c0ffee/start" => {
            started.happen();
            reply(connection, 204, "")
        }
        _ => reply(connection, 409, r#"{"message":"not running"}"#),
    });
    let mut child = fake.command(&["run", "--rm", "x"]).spawn().unwrap();
    fake.wait_for("start", |seen| seen.target.contains("/start"));
    let pid = rustix::process::Pid::from_child(&child);
    let kills = || fake.lines().iter().filter(|line| line.ends_with("/kill")).count();
    let mut sent = 0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    // The first may come while the stream is open; each is passed on until one is too many.
    let status = loop {
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        sent += 1;
        assert!(std::time::Instant::now() < deadline, "does not end");
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if kills() >= sent {
                break None;
            }
            std::thread::yield_now();
        };
        if let Some(status) = ended {
            break status;
        }
    };
    assert_eq!(status.code(), Some(128 + 2));
    assert!(sent >= 3);
}
