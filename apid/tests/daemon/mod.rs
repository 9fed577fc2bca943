//! The daemon as an unprivileged process, with a shim that agrees to everything.

use bulkhead_proto::codec::{HEADER_BYTES, Wire as _};
use bulkhead_proto::{Header, Hello, MAX_MESSAGE_BYTES, Reply, RequestKind};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, socket_with,
};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Whom the daemon runs as.
pub const NOBODY: u32 = 65534;
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Directories as an engine has them, and a shim.
pub struct Place {
    directory: TempDir,
    notify: UnixDatagram,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["run", "run/api", "run/shim", "lib"] {
            let path = directory.path().join(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        agreeable_shim(&directory.path().join("run/shim/shim.sock"));
        let notify = directory.path().join("run/notify");
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        chown(&notify, Some(NOBODY), Some(NOBODY)).unwrap();
        Self { directory, notify: socket }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/api/docker.sock")
    }

    /// The daemon's command line, for this place and this user.
    pub fn command(&self, user: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-apid"));
        self.configure(&mut command, user, arguments);
        command
    }

    pub fn configure(&self, command: &mut Command, user: u32, arguments: &[&str]) {
        command
            .arg("--run-dir")
            .arg(self.path("run"))
            .arg("--state-dir")
            .arg(self.path("lib"))
            .args(arguments)
            .env("NOTIFY_SOCKET", self.path("run/notify"))
            .stdin(Stdio::null())
            .uid(user)
            .gid(user);
    }

    /// Run it to its end.
    pub fn output(&self, user: u32, arguments: &[&str]) -> Output {
        self.command(user, arguments).output().unwrap()
    }

    /// Start it and wait until it is ready.
    pub fn start(&self, arguments: &[&str]) -> Daemon<'_> {
        self.start_command(self.command(NOBODY, arguments))
    }

    pub fn start_command(&self, mut command: Command) -> Daemon<'_> {
        let child = command.spawn().unwrap();
        let daemon = Daemon { place: self, child };
        let mut state = [0; 64];
        let length = self.notify.recv(&mut state).expect("the daemon becomes ready");
        assert_eq!(&state[..length], b"READY=1");
        daemon
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon<'a> {
    place: &'a Place,
    child: Child,
}

impl Daemon<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Send bytes, and read until the daemon closes.
    pub fn exchange(&self, request: &[u8]) -> String {
        let mut client = self.connect();
        // It may answer and close before it has read all.
        client.write_all(request).ok();
        read_all(&mut client)
    }

    pub fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(self.place.socket()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// One request without a body: status, headers and body.
    pub fn get(&self, method: &str, path: &str) -> Answer {
        self.request(method, path, "", b"")
    }

    /// One request; `headers` are whole lines.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        Answer::parse(&self.exchange(&[head.as_bytes(), body].concat()))
    }

    /// Ask it to end; its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
    }

    pub fn message(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        body["message"].as_str().expect("a message").to_owned()
    }
}

pub fn read_all(client: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is no matter.
    client.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Answers greetings and questions with nothing, and orders with "done".
fn agreeable_shim(path: &Path) {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    listen(&socket, 8).unwrap();
    thread::spawn(move || {
        while let Ok(client) = accept_with(&socket, SocketFlags::CLOEXEC) {
            thread::spawn(move || serve(&client));
        }
    });
}

fn serve(client: &OwnedFd) {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    while let Ok((length @ HEADER_BYTES.., _)) = recv(client, &mut buffer[..], RecvFlags::empty()) {
        let (request, _) = Header::split(&buffer[..length]).unwrap();
        let reply = match RequestKind::try_from(request.kind).unwrap() {
            RequestKind::Hello => Reply::Hello { hello: hello() },
            RequestKind::Recover => Reply::Recovered { known: Default::default() },
            RequestKind::ListLayers => Reply::Layers { layers: Default::default() },
            _ => Reply::Done,
        };
        let body = reply.encode();
        let header = Header {
            kind: request.kind + 1,
            large: false,
            length: u32::try_from(body.len()).unwrap(),
            sequence: request.sequence,
        };
        let message = [&header.to_bytes()[..], &body].concat();
        if send(client, &message, SendFlags::NOSIGNAL).is_err() {
            return;
        }
    }
}

fn hello() -> Hello {
    Hello {
        version: "0".try_into().unwrap(),
        instance: "0123abcd".try_into().unwrap(),
        cgroup_version: 2,
        policy: "hardened".try_into().unwrap(),
        policy_fingerprint: "0123456789abcdef".try_into().unwrap(),
        cgroup_parent: "/sys/fs/cgroup/none".try_into().unwrap(),
        default_bridge: "bh0".try_into().unwrap(),
        no_new_privs: true,
        default_pids: 512,
    }
}
