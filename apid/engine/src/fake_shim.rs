//! A shim for tests, on the other end of a real socket. It plays processes with real pipes: a
//! thread each, which does what the container's arguments say:
//!
//! ```text
//!   say TEXT     write a line to standard output       fail TEXT   to standard error
//!   cat          copy input to output until it ends    wait        until a signal
//!   deaf         until SIGKILL                         exit CODE   end with it
//! ```

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use bulkhead_proto::{
    Effective, Event, ExitStatus, FdLayout, Header, Hello, Known, MAX_MESSAGE_BYTES, Phase,
    ProcessSpec, Refusal, Reply, Request, RequestKind, Stdio, Target, Wire,
};
use std::collections::BTreeMap;
use std::io::{IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_seqpacket::ancillary::AncillaryMessageWriter;
use tokio_seqpacket::{UnixSeqpacket, UnixSeqpacketListener};

/// A fake shim. Its processes go on when it "dies", as a real one's do.
#[derive(Debug, Clone)]
pub(crate) struct FakeShim {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<Event>,
    server: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    processes: BTreeMap<Target, Process>,
    /// Without a process.
    released: std::collections::BTreeSet<bulkhead_proto::ContainerId>,
    /// Everything that was asked, in order.
    asked: Vec<RequestKind>,
    /// Refuse the next create with this.
    refuse: Option<Refusal>,
    /// Die instead of answering the next request of this kind.
    die_at: Option<RequestKind>,
}

#[derive(Debug)]
struct Process {
    phase: Phase,
    exit: Option<ExitStatus>,
    /// What apid is given.
    near: Near,
    /// What the process has, until it starts.
    far: Option<Far>,
    signals: Sender<u8>,
    script: Vec<String>,
}

/// Held by the monitor too.
#[derive(Debug)]
struct Near {
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    stderr: PipeReader,
}

#[derive(Debug)]
struct Far {
    stdin: PipeReader,
    stdout: PipeWriter,
    stderr: PipeWriter,
    signals: std::sync::mpsc::Receiver<u8>,
}

impl FakeShim {
    /// Listen in this directory.
    pub(crate) fn start(directory: &Path) -> Self {
        let shim = Self {
            socket: directory.join("shim.sock"),
            state: Arc::default(),
            events: broadcast::Sender::new(64),
            server: Arc::default(),
        };
        shim.revive();
        shim
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Close all connections. Processes go on; those that were not started are gone.
    pub(crate) fn die(&self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
        std::fs::remove_file(&self.socket).unwrap_or_default();
        self.state().processes.retain(|_, process| process.phase != Phase::Created);
    }

    /// Listen again.
    pub(crate) fn revive(&self) {
        let mut listener = UnixSeqpacketListener::bind(&self.socket).unwrap();
        let shim = self.clone();
        let server = tokio::spawn(async move {
            let mut peers = tokio::task::JoinSet::new();
            while let Ok(peer) = listener.accept().await {
                peers.spawn(shim.clone().serve(peer));
            }
        });
        *self.server.lock().unwrap() = Some(server);
    }

    /// As after a reboot: there are no processes, only files.
    pub(crate) fn reboot(&self) {
        let mut state = self.state();
        let gone = std::mem::take(&mut state.processes);
        for target in gone.keys() {
            state.released.insert(target.container());
        }
    }

    /// A container that apid does not know.
    pub(crate) fn plant(&self, id: bulkhead_proto::ContainerId) {
        self.state().released.insert(id);
    }

    /// A container of apid's that waits at its gate.
    pub(crate) fn plant_created(&self, id: bulkhead_proto::ContainerId) {
        let spec = ProcessSpec {
            args: vec!["wait".try_into().unwrap()].try_into().unwrap(),
            env: bulkhead_proto::List::default(),
            cwd: bulkhead_proto::ContainerPath::new(b"/").unwrap(),
            user: "".try_into().unwrap(),
            groups: bulkhead_proto::List::default(),
            terminal: None,
            stdin: false,
            cap_add: 0,
            cap_drop: 0,
            no_new_privs: None,
            rlimits: bulkhead_proto::List::default(),
            oom_score_adj: None,
            seccomp: bulkhead_proto::Seccomp::Default,
        };
        self.state().processes.insert(Target::Container { id }, process(&spec));
    }

    pub(crate) fn refuse_next(&self, refusal: Refusal) {
        self.state().refuse = Some(refusal);
    }

    pub(crate) fn die_at(&self, kind: RequestKind) {
        self.state().die_at = Some(kind);
    }

    /// How many containers there are, with or without processes.
    pub(crate) fn containers(&self) -> usize {
        let state = self.state();
        state.processes.len() + state.released.len()
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, kind: RequestKind) -> usize {
        self.state().asked.iter().filter(|asked| **asked == kind).count()
    }

    /// All whose script has begun and not ended.
    pub(crate) fn running(&self) -> Vec<Target> {
        let state = self.state();
        let running = state.processes.iter().filter(|(_, process)| process.phase == Phase::Running);
        running.map(|(target, _)| *target).collect()
    }

    /// Kill one that waits for signals, and wait until it has ended.
    pub(crate) fn end_if_waiting(&self, target: Target) {
        let waits = {
            let state = self.state();
            let process = &state.processes[&target];
            let waits = process.script.iter().any(|word| word == "wait");
            waits && process.signals.send(9).is_ok()
        };
        while waits && self.state().processes[&target].phase == Phase::Running {
            std::thread::yield_now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(self, peer: UnixSeqpacket) {
        let mut events = self.events.subscribe();
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        loop {
            tokio::select! {
                received = peer.recv(&mut buffer) => {
                    let Ok(info) = received else { return };
                    let message = buffer[..info.bytes_read()].to_vec();
                    if message.is_empty() {
                        return;
                    }
                    let (header, body) = Header::split(&message).unwrap();
                    let kind = RequestKind::try_from(header.kind).unwrap();
                    let request = Request::decode(kind, body).unwrap();
                    if self.state().die_at == Some(kind) {
                        self.state().die_at = None;
                        self.die();
                        self.revive();
                        return;
                    }
                    let (reply, fds) = self.answer(request);
                    send(&peer, header.kind + 1, header.sequence, &reply.encode(), &fds).await;
                }
                event = events.recv() => {
                    send(&peer, bulkhead_proto::EVENT_KIND, 0, &event.unwrap().encode(), &[]).await;
                }
            }
        }
    }

    fn answer(&self, request: Request) -> (Reply, Vec<OwnedFd>) {
        let mut state = self.state();
        state.asked.push(request.kind());
        let result = match request {
            Request::Hello(_) => return (Reply::Hello { hello: hello() }, Vec::new()),
            Request::Recover(_) => return (recovered(&state), Vec::new()),
            Request::ListLayers(_) => {
                return (Reply::Layers { layers: Vec::new().try_into().unwrap() }, Vec::new());
            }
            Request::Create(spec) => match state.refuse.take() {
                Some(refusal) => Err(refusal),
                None => {
                    let target = Target::Container { id: spec.id };
                    state.released.remove(&spec.id);
                    state.processes.insert(target, process(&spec.process));
                    return created(&state.processes[&target]);
                }
            },
            Request::Start(id) => self.begin(&mut state, Target::Container { id }),
            Request::Exec(spec) => {
                let target = Target::Exec { id: spec.container, exec: spec.exec };
                state.processes.insert(target, process(&spec.process));
                match self.begin(&mut state, target) {
                    Ok(()) => return created(&state.processes[&target]),
                    refused => refused,
                }
            }
            Request::Adopt(target) => match state.processes.get(&target) {
                Some(process) => return created(process),
                None => Err(wrong(Phase::Released)),
            },
            Request::Signal(signal) => {
                // One at its gate dies without having run.
                if with_phase(&state, signal.target) == Some(Phase::Created) {
                    drop(self.begin(&mut state, signal.target));
                }
                signal_to(&mut state, signal.target, signal.signal.number())
            }
            Request::CloseStdin(target) => {
                with(&mut state, target, |process| process.near.stdin = None)
            }
            Request::Freeze(id) => with(&mut state, Target::Container { id }, |process| {
                process.phase = Phase::Frozen;
            }),
            Request::Thaw(id) => with(&mut state, Target::Container { id }, |process| {
                process.phase = Phase::Running;
            }),
            Request::Release(target) => release(&mut state, target),
            Request::Remove(id) => {
                if state.released.remove(&id) {
                    Ok(())
                } else {
                    Err(Refusal::NotFound { what: "container".try_into().unwrap() })
                }
            }
            Request::Update(_)
            | Request::CreateNetwork(_)
            | Request::RemoveNetwork(_)
            | Request::RemoveLayer(_)
            | Request::UnpackLayer(_) => Ok(()),
        };
        (result.map_or_else(Reply::refused, |()| Reply::Done), Vec::new())
    }

    /// Run the script in a thread.
    fn begin(&self, state: &mut State, target: Target) -> Result<(), Refusal> {
        let process = state.processes.get_mut(&target).ok_or_else(|| wrong(Phase::Released))?;
        let far = process.far.take().ok_or_else(|| wrong(process.phase))?;
        if process.script[0] == "nonesuch" {
            state.processes.remove(&target);
            if let Target::Container { id } = target {
                state.released.insert(id);
            }
            let step = "exec \"nonesuch\"".try_into().unwrap();
            return Err(Refusal::Program { errno: 2, step });
        }
        process.phase = Phase::Running;
        let (script, shim) = (process.script.clone(), self.clone());
        std::thread::spawn(move || {
            let code = play(&script, far);
            let signal = code.saturating_sub(128);
            let at_ns = u64::try_from(crate::events::now_ns()).unwrap();
            let status = ExitStatus { code, signal, oom_killed: false, at_ns };
            if let Some(process) = shim.state().processes.get_mut(&target) {
                process.phase = Phase::Stopped;
                process.exit = Some(status);
            }
            shim.events.send(Event::Exited { target, status }).unwrap_or_default();
        });
        Ok(())
    }
}

/// Do what the arguments say; the exit code.
fn play(script: &[String], mut far: Far) -> u8 {
    let mut words = script.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "say" => writeln!(far.stdout, "{}", words.next().unwrap()).unwrap(),
            "fail" => writeln!(far.stderr, "{}", words.next().unwrap()).unwrap(),
            "cat" => {
                let mut all = Vec::new();
                far.stdin.read_to_end(&mut all).unwrap();
                far.stdout.write_all(&all).unwrap();
            }
            "wait" => return 128 + far.signals.recv().unwrap(),
            "deaf" => while far.signals.recv().unwrap() != 9 {},
            "exit" => return words.next().unwrap().parse().unwrap(),
            other => panic!("{other}"),
        }
    }
    if script.iter().any(|word| word == "deaf") { 137 } else { 0 }
}

fn process(spec: &ProcessSpec) -> Process {
    let (far_in, near_in) = std::io::pipe().unwrap();
    let (near_out, far_out) = std::io::pipe().unwrap();
    let (near_err, far_err) = std::io::pipe().unwrap();
    let (signals, receiver) = channel();
    Process {
        phase: Phase::Created,
        exit: None,
        near: Near { stdin: spec.stdin.then_some(near_in), stdout: near_out, stderr: near_err },
        far: Some(Far { stdin: far_in, stdout: far_out, stderr: far_err, signals: receiver }),
        signals,
        script: spec.args.iter().map(ToString::to_string).collect(),
    }
}

fn created(process: &Process) -> (Reply, Vec<OwnedFd>) {
    let Near { stdin, stdout, stderr } = &process.near;
    // A pidfd is any descriptor here.
    let mut fds: Vec<OwnedFd> = vec![stdout.try_clone().unwrap().into()];
    let stdio = if stdin.is_some() { Stdio::InputOutput } else { Stdio::Output };
    fds.extend(stdin.iter().map(|pipe| OwnedFd::from(pipe.try_clone().unwrap())));
    fds.push(stdout.try_clone().unwrap().into());
    fds.push(stderr.try_clone().unwrap().into());
    let effective = Effective {
        pid: std::process::id(),
        uid_base: 0,
        capabilities: 0,
        no_new_privs: true,
        pids: 0,
    };
    (Reply::Created { fds: FdLayout { pidfd: true, stdio }, effective }, fds)
}

fn recovered(state: &State) -> Reply {
    let mut known: Vec<Known> = state
        .processes
        .iter()
        .map(|(target, process)| Known {
            target: *target,
            phase: process.phase,
            exit: process.exit,
        })
        .collect();
    known.extend(state.released.iter().map(|id| Known {
        target: Target::Container { id: *id },
        phase: Phase::Released,
        exit: None,
    }));
    known.sort_by_key(|known| known.target);
    Reply::Recovered { known: known.try_into().unwrap() }
}

fn with(
    state: &mut State,
    target: Target,
    change: impl FnOnce(&mut Process),
) -> Result<(), Refusal> {
    state.processes.get_mut(&target).map(change).ok_or_else(|| wrong(Phase::Released))
}

fn with_phase(state: &State, target: Target) -> Option<Phase> {
    state.processes.get(&target).map(|process| process.phase)
}

fn signal_to(state: &mut State, target: Target, signal: u8) -> Result<(), Refusal> {
    let process = state.processes.get_mut(&target).ok_or_else(|| wrong(Phase::Released))?;
    process.signals.send(signal).map_err(|_ended| wrong(Phase::Stopped))
}

fn release(state: &mut State, target: Target) -> Result<(), Refusal> {
    match state.processes.get(&target).map(|process| process.phase) {
        Some(Phase::Stopped) => {
            state.processes.remove(&target);
            if let Target::Container { id } = target {
                state.released.insert(id);
            }
            Ok(())
        }
        Some(phase) => Err(wrong(phase)),
        None => Err(wrong(Phase::Released)),
    }
}

fn wrong(phase: Phase) -> Refusal {
    Refusal::WrongPhase { phase }
}

async fn send(peer: &UnixSeqpacket, kind: u16, sequence: u32, body: &[u8], fds: &[OwnedFd]) {
    let length = u32::try_from(body.len()).unwrap();
    let header = Header { kind, large: false, length, sequence }.to_bytes();
    let mut space = [0; 128];
    let mut control = AncillaryMessageWriter::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    if !fds.is_empty() {
        control.add_fds(fds.iter()).unwrap();
    }
    let parts = [IoSlice::new(&header), IoSlice::new(body)];
    // apid may be gone.
    peer.send_vectored_with_ancillary(&parts, &mut control).await.unwrap_or_default();
}

fn hello() -> Hello {
    Hello {
        version: "0".try_into().unwrap(),
        instance: "0123abcd".try_into().unwrap(),
        cgroup_version: 2,
        policy: "hardened".try_into().unwrap(),
        policy_fingerprint: "0123456789abcdef".try_into().unwrap(),
        cgroup_parent: "/none".try_into().unwrap(),
        default_bridge: "bh0".try_into().unwrap(),
        no_new_privs: true,
        default_pids: 512,
    }
}
