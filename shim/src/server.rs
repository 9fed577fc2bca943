//! The shim at work: take what is ready, one thing at a time, until the process is killed. There is
//! no orderly end, because a crash at any moment has to be as good as one.

use crate::audit_log::{AuditLog, Record, Verdict};
use crate::channel::{self, ChannelError};
use crate::event_loop::{Poller, Token};
use crate::host::Host;
use crate::layers::Worker;
use crate::ranges::Ranges;
use crate::reply::{Peers, ReplyTo};
use crate::table::Table;
use bulkhead_policy::{Peer as Asker, Permitted, decide};
use bulkhead_proto::{MAX_MESSAGE_BYTES, Refusal, Reply, Request, RequestKind};
use rustix::net::SocketFlags;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

/// Everything that changes while the shim runs. What does not is in [`Host`].
#[derive(Debug)]
pub(crate) struct Server {
    pub host: Host,
    pub poller: Poller,
    pub listener: OwnedFd,
    pub audit: AuditLog,
    pub peers: Peers,
    pub table: Table,
    pub ranges: Ranges,
    pub workers: BTreeMap<u64, Worker>,
    /// A janitor at work; its pidfd.
    pub janitor: Option<OwnedFd>,
    /// Something came into the trash after it began.
    pub more_trash: bool,
    /// Counts staging directories and trash names.
    pub counter: u64,
}

/// What to say to a request: now, or when a process that was started reports.
pub(crate) enum Answer {
    /// This, with these descriptors.
    Now(Reply, Vec<OwnedFd>),
    /// Whoever does the work answers.
    Later,
}

impl Answer {
    pub(crate) const DONE: Self = Self::Now(Reply::Done, Vec::new());
}

impl Server {
    pub(crate) fn new(
        host: Host,
        poller: Poller,
        listener: OwnedFd,
        audit: AuditLog,
        ranges: Ranges,
    ) -> Self {
        Self {
            host,
            poller,
            listener,
            audit,
            peers: Peers::default(),
            table: Table::default(),
            ranges,
            workers: BTreeMap::new(),
            janitor: None,
            more_trash: false,
            counter: 0,
        }
    }

    /// Serve until killed.
    pub(crate) fn run(mut self) -> std::io::Error {
        loop {
            let ready = match self.poller.wait() {
                Ok(ready) => ready,
                Err(errno) => return errno.into(),
            };
            for token in ready {
                match token {
                    Token::Listener => self.accept(),
                    Token::Peer(number) => self.serve_peer(number),
                    Token::Monitor(number) => self.hear_monitor(number),
                    Token::Worker(number) => self.hear_worker(number),
                    Token::Janitor => self.janitor_done(),
                }
            }
        }
    }

    /// A new connection: by a uid that the policy knows, from outside our containers, one a uid.
    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else { return };
        let Ok(peer) = rustix::net::sockopt::socket_peercred(&socket) else { return };
        let (uid, pid) = (peer.uid.as_raw(), peer.pid.as_raw_nonzero().get());
        let refused = if !self.host.policy.admits(uid) {
            Some("no policy section for this uid")
        } else if self.host.is_in_container(pid) {
            Some("the peer is inside a container")
        } else if self.has_live_connection(uid) {
            Some("there is a connection already")
        } else {
            None
        };
        if let Some(reason) = refused {
            self.record(&Record {
                peer: Some((uid, pid)),
                request: "connect",
                subject: "",
                verdict: Verdict::Deny,
                rule: "channel",
                detail: reason,
            });
            return;
        }
        if rustix::net::sockopt::set_socket_passcred(&socket, true).is_err() {
            return;
        }
        let number = self.peers.insert(socket, uid, pid);
        if let Some(peer) = self.peers.get(number)
            && self.poller.add(&peer.socket, Token::Peer(number)).is_err()
        {
            self.peers.close(number);
        }
    }

    /// Whether a daemon of this uid is connected. One that has died may not have been noticed yet.
    fn has_live_connection(&mut self, uid: u32) -> bool {
        for number in self.peers.of_uid(uid) {
            let Some(peer) = self.peers.get(number) else { continue };
            let mut poll =
                [rustix::event::PollFd::new(&peer.socket, rustix::event::PollFlags::empty())];
            let no_time = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let hung_up =
                rustix::event::poll(&mut poll, Some(&no_time)).is_ok_and(|ready| ready > 0);
            if !hung_up {
                return true;
            }
            self.peers.close(number);
        }
        false
    }

    /// One message, then back to the loop: no peer starves another.
    fn serve_peer(&mut self, number: u64) {
        self.peers.flush(self.poller.epoll.as_fd(), number);
        let Some(peer) = self.peers.get(number) else { return };
        let (uid, pid) = (peer.uid, peer.pid);
        // Freed before anything is forked, so that no monitor keeps a copy of it.
        let received = channel::receive(&peer.socket, &mut vec![0; MAX_MESSAGE_BYTES]);
        let message = match received {
            Ok(message) => message,
            Err(ChannelError::WouldBlock) => return,
            Err(ChannelError::Closed) => return self.peers.close(number),
            Err(error) => return self.protocol_error(number, &error.to_string()),
        };
        // Frozen at connect time is SO_PEERCRED; this is who really sent the message.
        if message.sender.is_none_or(|sender| sender.uid.as_raw() != uid) {
            return self.protocol_error(number, "sent by another user than the one who connected");
        }
        let kind = match RequestKind::try_from(message.header.kind) {
            Ok(kind) => kind,
            Err(error) => return self.protocol_error(number, &error.to_string()),
        };
        if !kind.fds().contains(&message.fds.len()) {
            return self.protocol_error(number, "wrong number of descriptors");
        }
        let request = match Request::decode(kind, &message.body) {
            Ok(request) => request,
            Err(error) => return self.protocol_error(number, &format!("{}: {error}", kind.name())),
        };
        if peer_must_greet(self.peers.get(number), kind) {
            return self
                .protocol_error(number, "the first request must be Hello, and only the first");
        }
        let to = ReplyTo { peer: number, sequence: message.header.sequence, kind };
        let subject = subject(&request);
        let about = Record {
            peer: Some((uid, pid)),
            request: kind.name(),
            subject: &subject,
            verdict: Verdict::Note,
            rule: "",
            detail: "",
        };
        let reply = match decide(&self.host.policy, Asker { uid }, request) {
            Ok(permitted) => {
                let rule = permitted.rule();
                let verdict = Verdict::Permit;
                if !self.record(&Record { verdict, rule, ..about }) {
                    self.answer(to, Err(crate::refusal::kernel("the audit log cannot be written")));
                    return;
                }
                self.perform(permitted, message.fds, to)
            }
            Err(refused) => Err(refused.into()),
        };
        if let Err(refusal) = &reply {
            let denied = matches!(refusal, Refusal::Denied { .. });
            let verdict = if denied { Verdict::Deny } else { Verdict::Failed };
            let detail = refusal.to_string();
            self.record(&Record { verdict, detail: &detail, ..about });
        }
        self.answer(to, reply);
    }

    /// Carry out one permitted request. There is no `_` arm: a request added to the protocol does
    /// not compile until it is listed.
    fn perform(
        &mut self,
        permitted: Permitted,
        fds: Vec<OwnedFd>,
        to: ReplyTo,
    ) -> Result<Answer, Refusal> {
        match permitted {
            Permitted::Hello => self.hello(to),
            Permitted::Create(permit) => self.create(permit, fds, to),
            Permitted::Start(permit) => self.start(&permit, to),
            Permitted::Signal(permit) => self.signal(&permit),
            Permitted::CloseStdin(permit) => self.close_stdin(&permit),
            Permitted::Freeze(permit) => self.freeze(&permit),
            Permitted::Thaw(permit) => self.thaw(&permit),
            Permitted::Update(permit) => self.update(&permit),
            Permitted::Exec(permit) => self.exec(permit, fds, to),
            Permitted::Adopt(permit) => self.adopt(&permit, to),
            Permitted::Release(permit) => self.release(&permit, to),
            Permitted::Remove(permit) => self.remove(&permit),
            Permitted::Recover(permit) => self.recover_page(&permit),
            Permitted::UnpackLayer(permit) => self.unpack_layer(&permit, &fds, to),
            Permitted::RemoveLayer(permit) => self.remove_layer(&permit),
            Permitted::ListLayers(permit) => self.list_layers(&permit),
            Permitted::CreateNetwork(permit) => self.create_network(&permit),
            Permitted::RemoveNetwork(permit) => self.remove_network(&permit),
        }
    }

    /// Answer a request, if its answer is known now.
    pub(crate) fn answer(&mut self, to: ReplyTo, answer: Result<Answer, Refusal>) {
        let (reply, fds) = match answer {
            Ok(Answer::Now(reply, fds)) => (reply, fds),
            Ok(Answer::Later) => return,
            Err(refusal) => (Reply::Refused { refusal }, Vec::new()),
        };
        self.peers.answer(self.poller.epoll.as_fd(), to, &reply, fds);
    }

    /// What is no request ends the connection, and root's log says so.
    fn protocol_error(&mut self, number: u64, what: &str) {
        if let Some(peer) = self.peers.get(number) {
            let who = (peer.uid, peer.pid);
            self.record(&Record {
                peer: Some(who),
                request: "",
                subject: "",
                verdict: Verdict::Protocol,
                rule: "channel",
                detail: what,
            });
        }
        self.peers.close(number);
    }

    /// Append to the audit log. False: it could not be written.
    pub(crate) fn record(&mut self, record: &Record<'_>) -> bool {
        self.audit.append(record).is_ok()
    }

    /// Append something that nobody asked for.
    pub(crate) fn note(&mut self, subject: &str, detail: &str) {
        let verdict = Verdict::Note;
        self.record(&Record { peer: None, request: "", subject, verdict, rule: "", detail });
    }
}

fn peer_must_greet(peer: Option<&mut crate::reply::Peer>, kind: RequestKind) -> bool {
    let Some(peer) = peer else { return true };
    let wrong = peer.greeted == (kind == RequestKind::Hello);
    peer.greeted = true;
    wrong
}

/// What a request is about, for the audit log.
fn subject(request: &Request) -> String {
    match request {
        Request::Hello(_) | Request::Recover(_) | Request::ListLayers(_) => String::new(),
        Request::Create(spec) => spec.id.to_string(),
        Request::Start(id) | Request::Freeze(id) | Request::Thaw(id) | Request::Remove(id) => {
            id.to_string()
        }
        Request::Signal(signal) => signal.target.container().to_string(),
        Request::CloseStdin(target) | Request::Adopt(target) | Request::Release(target) => {
            target.container().to_string()
        }
        Request::Update(update) => update.id.to_string(),
        Request::Exec(exec) => exec.container.to_string(),
        Request::UnpackLayer(unpack) => {
            unpack.expected.map(|id| id.to_string()).unwrap_or_default()
        }
        Request::RemoveLayer(layer) => layer.to_string(),
        Request::CreateNetwork(network) => network.id.to_string(),
        Request::RemoveNetwork(id) => id.to_string(),
    }
}
