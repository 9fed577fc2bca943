//! An engine that answers as a test says: HTTP over a unix socket, with hijacked streams.

#![allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    reason = "each test program uses a part"
)]
#![allow(unreachable_pub, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query without the version.
    pub target: String,
    /// As in the path: `v1.51`.
    pub version: String,
    pub body: Vec<u8>,
}

impl Seen {
    /// `METHOD /path`, for match.
    pub fn line(&self) -> String {
        let path = self.target.split('?').next().unwrap_or("");
        format!("{} {path}", self.method)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// The engine and what it was asked.
pub struct Fake {
    directory: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What a test says: write the answer. The connection is closed if this returns false.
pub type Answer = dyn Fn(&Seen, &mut UnixStream) -> bool + Send + Sync;

impl Fake {
    pub fn start(answer: impl Fn(&Seen, &mut UnixStream) -> bool + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let listener = UnixListener::bind(directory.path().join("sock")).expect("bind");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { return };
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || serve(connection, &*answer, &log));
            }
        });
        Self { directory, seen }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// `METHOD /path` of each request, in the order of arrival.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("lock").clone()
    }

    /// Wait until a request is there that fits.
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            if let Some(seen) = self.seen().into_iter().find(|seen| fits(seen)) {
                return seen;
            }
            assert!(std::time::Instant::now() < deadline, "no {what} in {:?}", self.lines());
            thread::yield_now();
        }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command.args(args).env("DOCKER_HOST", self.host()).env("TZ", "UTC");
        command.env_remove("DOCKER_API_VERSION").stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("bulkhead")
    }
}

fn serve(mut connection: UnixStream, answer: &Answer, log: &Mutex<Vec<Seen>>) {
    while let Some(seen) = read_request(&mut connection) {
        log.lock().expect("lock").push(seen.clone());
        if !answer(&seen, &mut connection) {
            return;
        }
    }
}

fn read_request(connection: &mut UnixStream) -> Option<Seen> {
    let head = read_until(connection, b"\r\n\r\n")?;
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let mut body = Vec::new();
    if let Some(length) = header("content-length") {
        body.resize(length.parse().ok()?, 0);
        connection.read_exact(&mut body).ok()?;
    } else if header("transfer-encoding").as_deref() == Some("chunked") {
        loop {
            let size = read_until(connection, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&size).ok()?.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            connection.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let (version, rest) = match target.strip_prefix('/').and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) => (version.to_owned(), format!("/{rest}")),
        None => (String::new(), target.clone()),
    };
    Some(Seen { method, target: rest, version, body })
}

fn read_until(connection: &mut UnixStream, end: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    Some(bytes)
}

/// Answer with a status and JSON (nothing for an empty text). The connection stays.
pub fn reply(connection: &mut UnixStream, status: u16, json: &str) -> bool {
    reply_as(connection, status, "application/json", json.as_bytes())
}

pub fn reply_as(connection: &mut UnixStream, status: u16, kind: &str, body: &[u8]) -> bool {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).is_ok() && connection.write_all(body).is_ok()
}

/// The head of an answer whose content comes later, and a chunk of it.
pub fn begin(connection: &mut UnixStream) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).expect("write");
}

/// The last chunk.
pub fn end(connection: &mut UnixStream, json: &str) -> bool {
    let chunk = format!("{:x}\r\n{json}\r\n0\r\n\r\n", json.len());
    connection.write_all(chunk.as_bytes()).is_ok()
}

/// Hand the connection over.
pub fn upgrade(connection: &mut UnixStream) {
    let head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
                Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    connection.write_all(head.as_bytes()).expect("write");
}

/// A piece of a multiplexed stream.
pub fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// One thing that happens once, for threads to wait for.
#[derive(Clone, Default)]
pub struct Event(Arc<(Mutex<bool>, std::sync::Condvar)>);

impl Event {
    pub fn happen(&self) {
        *self.0.0.lock().expect("lock") = true;
        self.0.1.notify_all();
    }

    pub fn wait(&self) {
        let happened = self.0.0.lock().expect("lock");
        drop(self.0.1.wait_while(happened, |happened| !*happened).expect("lock"));
    }
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
