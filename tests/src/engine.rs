//! One engine for one test, with everything of its own.

use crate::host;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Which preset the engine's root-owned policy is.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    /// The default of an installed host.
    Hardened,
    /// What Docker allows.
    Compat,
}

/// A running engine. Dropping it stops it, removes what it had, and fails the test if anything is left.
#[derive(Debug)]
pub struct Engine {
    directory: Option<tempfile::TempDir>,
    policy: Policy,
    mounts: String,
}

/// Where the programs are.
fn programs() -> PathBuf {
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release");
    std::env::var_os("BULKHEAD_BIN_DIR").map_or_else(|| PathBuf::from(out), PathBuf::from)
}

impl Engine {
    /// Start a fresh engine.
    pub fn start(policy: Policy) -> Self {
        let directory =
            tempfile::Builder::new().prefix("bh").tempdir_in("/var/tmp").expect("tempdir");
        // Others must be able to reach the API socket's directory.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("chmod");
        let mounts = host::mounts();
        let engine = Self { directory: Some(directory), policy, mounts };
        engine.up();
        engine
    }

    /// Start whichever daemon does not run.
    pub fn up(&self) {
        let policy = match self.policy {
            Policy::Hardened => "hardened",
            Policy::Compat => "compat",
        };
        let mut args = vec!["up", "--root", self.root_text()];
        if !self.root().join("etc/policy.bin").exists() {
            args.extend(["--policy", policy]);
        }
        let output = self.bulkhead(&args);
        assert!(output.status.success(), "up: {}\n{}", text(&output), self.logs());
    }

    /// The engine's directory.
    pub fn root(&self) -> &Path {
        self.directory.as_ref().expect("running").path()
    }

    fn root_text(&self) -> &str {
        self.root().to_str().expect("UTF-8")
    }

    /// The API's socket.
    pub fn socket(&self) -> PathBuf {
        self.root().join("run/api/docker.sock")
    }

    /// What `DOCKER_HOST` has to be.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The instance tag, as in names that the host sees.
    pub fn tag(&self) -> String {
        host::instance_tag(&self.root().join("lib"))
    }

    /// A client's command with `DOCKER_HOST` set and an empty configuration.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("DOCKER_HOST", self.docker_host())
            .env("DOCKER_CONFIG", self.root().join("client"));
        command.stdin(Stdio::null());
        command
    }

    /// Our own CLI's path.
    pub fn cli(&self) -> PathBuf {
        programs().join("bulkhead")
    }

    /// Run our own CLI.
    pub fn bulkhead(&self, args: &[&str]) -> Output {
        self.command(self.cli()).args(args).output().expect("bulkhead")
    }

    /// Run the real docker CLI.
    pub fn docker(&self, args: &[&str]) -> Output {
        self.command("docker").args(args).output().expect("docker")
    }

    /// Run the real docker CLI; its standard output, trimmed. Fails the test if it fails.
    pub fn docker_ok(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert!(
            output.status.success(),
            "docker {}: {}\n{}",
            args.join(" "),
            text(&output),
            self.logs()
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// `docker import` of a root file system, from a tar archive.
    pub fn import(&self, tar: &Path, name: &str) {
        self.docker_ok(&["import", tar.to_str().expect("UTF-8"), name]);
    }

    /// `docker inspect`, parsed.
    pub fn inspect(&self, name: &str) -> Value {
        let text = self.docker_ok(&["inspect", name]);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value.get(0).cloned().expect("one object")
    }

    /// One HTTP request; status and JSON body (or null).
    pub fn http(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.socket()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("write");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let start = body.find(['{', '[']).unwrap_or(body.len());
        let end = body.rfind(['}', ']']).map_or(start, |end| end + 1);
        (status, serde_json::from_str(&body[start..end]).unwrap_or(Value::Null))
    }

    /// The pid of a daemon that `up` started.
    pub fn pid(&self, daemon: &str) -> i32 {
        let path = self.root().join(format!("run/{daemon}.pid"));
        let text = std::fs::read_to_string(&path).expect("pid file");
        text.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("pid")
    }

    /// `kill -9` a daemon (`shim` or `apid`) and wait until it is gone.
    pub fn kill(&self, daemon: &str) {
        let pid = rustix::process::Pid::from_raw(self.pid(daemon)).expect("pid");
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
        let Ok(pidfd) = pidfd else { return };
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
        let mut poll = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut poll, None).expect("poll");
    }

    /// What the daemons wrote to standard error.
    pub fn logs(&self) -> String {
        ["shim", "apid"]
            .map(|daemon| {
                let path = self.root().join(format!("log/{daemon}.log"));
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(20).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                format!("--- {daemon}.log ---\n{}\n", tail.join("\n"))
            })
            .concat()
    }

    /// Names of the engine that are still in the kernel or on disk outside its directory.
    pub fn leftovers(&self) -> Vec<String> {
        host::leftovers(&self.tag(), self.root())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let output = self.bulkhead(&["down", "--root", self.root_text(), "--all"]);
        let stopped = output.status.success();
        let said = format!("{}\n{}", text(&output), self.logs());
        let left = self.leftovers();
        let mounts_same = host::mounts_of(self.root()).is_empty();
        let audit = self.root().join("lib/shim/audit.log");
        let chain = Command::new(programs().join("bulkhead-shim"))
            .arg("--verify-audit")
            .arg(audit)
            .output();
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
            return;
        }
        assert!(stopped, "down: {said}");
        assert!(left.is_empty(), "left behind: {left:#?}\n{said}");
        assert!(mounts_same, "mounts left: {}\nbefore: {}", host::mounts(), self.mounts.len());
        assert!(chain.is_ok_and(|chain| chain.status.success()), "the audit log's chain is broken");
    }
}

/// Both streams of a finished program.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
