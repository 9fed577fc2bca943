//! The daemon's HTTP, without a container: versions, refusals, limits, ends.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]
#![expect(clippy::indexing_slicing, reason = "lengths are the test's own")]
#![expect(unreachable_pub, clippy::wildcard_enum_match_arm, reason = "a test")]

mod daemon;

use daemon::{NOBODY, Place, read_all};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::{fs, iter};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn ping_tells_what_clients_negotiate_with() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let get = daemon.get("GET", "/_ping");
    let head = daemon.get("HEAD", "/v1.24/_ping");
    assert_eq!((get.status, get.body.as_str()), (200, "OK"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for line in ["Api-Version: 1.51", "Ostype: linux", "Builder-Version: 1", "Swarm: inactive"] {
        assert!(get.head.contains(line) && head.head.contains(line), "{line}: {}", head.head);
    }
}

#[test]
fn every_answer_says_the_version() {
    let place = Place::new();
    let daemon = place.start(&[]);
    for path in ["/version", "/nothing", "/v9.9/version", "/swarm", "/containers/none/json"] {
        let answer = daemon.get("GET", path);
        for name in ["Api-Version: 1.51", "Server: Bulkhead/", "Docker-Experimental: false"] {
            assert!(answer.head.contains(name), "{path}: {}", answer.head);
        }
    }
}

#[test]
fn refusals_have_dockers_codes_and_words() {
    let place = Place::new();
    let daemon = place.start(&[]);
    for (method, path, status, words) in [
        ("GET", "/v1.52/info", 400, "client version 1.52 is too new. Maximum"),
        ("GET", "/v1.23/info", 400, "client version 1.23 is too old. Minimum"),
        ("GET", "/nothing", 404, "page not found"),
        ("PUT", "/info", 404, "page not found"),
        ("GET", "/v1.52/nothing", 404, "page not found"),
        ("GET", "/%zz", 400, "percent-encoded"),
        ("GET", "/info?a=%zz", 400, "percent-encoded"),
        ("GET", "/volumes", 501, "not implemented"),
        ("POST", "/build", 501, "not implemented"),
        ("GET", "/nodes", 503, "This node is not a swarm manager."),
        ("POST", "/images/create?fromImage=busybox", 501, "docker load"),
        ("GET", "/containers/none/json", 404, "No such container: none"),
        ("GET", "/containers/json?filters=nonsense", 400, "invalid filter"),
        ("POST", "/containers/none/stop?t=soon", 400, "strconv.Atoi: parsing \"soon\""),
        ("GET", "/events?since=2&until=1", 400, "cannot be after"),
        ("GET", "/containers/none/logs", 400, "at least one stream"),
    ] {
        let answer = daemon.get(method, path);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.message().contains(words), "{method} {path}: {}", answer.body);
    }
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let large = vec![b' '; 9 * 1024 * 1024];
    for (headers, body, status, words) in [
        ("", &b"{}"[..], 400, "malformed Content-Type header"),
        ("Content-Type: text/plain\r\n", b"{}", 400, "unsupported Content-Type header"),
        (JSON, b"{x", 400, "invalid JSON"),
        (JSON, b"{\"Tty\":\"yes\"}", 400, "invalid JSON"),
        (JSON, b"", 400, "EOF while reading request body"),
        (JSON, b"null", 400, "config cannot be empty"),
        (JSON, &large, 413, "longer than"),
    ] {
        let answer = daemon.request("POST", "/containers/create", headers, body);
        assert_eq!(answer.status, status, "{headers}: {}", answer.body);
        assert!(answer.message().contains(words), "{headers}: {}", answer.body);
    }
}

#[test]
fn what_is_not_http_or_too_much_of_it_is_refused() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let long = format!("GET /_ping HTTP/1.1\r\nLong: {}\r\n\r\n", "a".repeat(300_000));
    let lines: String = iter::repeat_n("A: b\r\n", 150).collect();
    let many = format!("GET /_ping HTTP/1.1\r\n{lines}\r\n");
    for (request, status) in
        [("NONSENSE\r\n\r\n", "400"), (long.as_str(), "431"), (many.as_str(), "431")]
    {
        let answer = daemon.exchange(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert_eq!(daemon.get("GET", "/_ping").status, 200, "the daemon is still there");
}

#[test]
fn a_client_that_has_closed_its_half_is_answered() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let mut client = daemon.connect();
    client.write_all(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut client).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn the_head_of_a_stream_is_sent_before_there_is_anything_to_stream() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let mut client = daemon.connect();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(String::from_utf8_lossy(&head).contains("Transfer-Encoding: chunked"));
}

#[test]
fn the_daemon_has_no_privileges() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let owner = fs::metadata(format!("/proc/{}/environ", daemon.pid())).unwrap().uid();
    assert_eq!(owner, 0, "not dumpable: others of its user cannot look into it");
}

#[test]
fn root_is_refused() {
    let place = Place::new();
    let output = place.output(0, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not run as root"));
}

#[test]
fn the_socket_is_for_its_group_and_goes_with_the_daemon() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let socket = fs::metadata(place.socket()).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.gid()), (0o660, NOBODY));
    let mut stream = daemon.connect();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!place.socket().exists());
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    let daemon = place.start(&[]);
    let second = place.output(NOBODY, &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another daemon does"));
    assert_eq!(daemon.get("GET", "/_ping").status, 200);
}

#[test]
fn sockets_of_the_service_manager_are_served() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null",
        env!("CARGO_BIN_EXE_bulkhead-apid"),
    ]);
    place.configure(&mut command, NOBODY, &["-H", "fd://"]);
    command.stdin(std::os::fd::OwnedFd::from(listener));
    let daemon = place.start_command(command);
    assert_eq!(daemon.get("GET", "/_ping").status, 200);
}

#[test]
fn a_configuration_that_is_not_honoured_stops_the_start() {
    let place = Place::new();
    let file = place.path("daemon.json");
    let name = file.to_str().unwrap();
    for (text, words) in [
        ("{\n  \"userns-remap\": \"default\"\n}", "at line 2"),
        ("{\"hosts\": [\"tcp://0.0.0.0:2375\"]}", "allow-insecure-tcp"),
    ] {
        fs::write(&file, text).unwrap();
        let output = place.output(NOBODY, &["--config-file", name]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(said.contains(words), "{text}: {said}");
    }
}
