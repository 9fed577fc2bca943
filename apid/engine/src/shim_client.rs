//! The one place that speaks to the shim.
//!
//! ```text
//!                connect, Hello, Recover            connection breaks
//!   waiting ───────────────────────────> ready ───────────────────────> waiting
//!                                          requests in flight: Unavailable
//! ```
//!
//! Requests are pipelined: many may be in flight, replies are matched by sequence number. The
//! client connects again by itself for as long as it lives. Whoever had a request in flight when
//! the connection broke does not know whether it was done; each new connection begins with
//! [`Notice::Connected`], which says what the shim holds, and from that its owner finds out.

use bulkhead_proto::codec::HEADER_BYTES;
use bulkhead_proto::{
    Effective, Event, ExitStatus, FdLayout, FromShim, Header, Hello, HelloRequest, Known, MAX_FDS,
    MAX_LARGE_BYTES, MAX_MESSAGE_BYTES, PAGE, RecoverRequest, Refusal, Reply, Request, Stdio,
    Target,
};
use rustix::fs::{MemfdFlags, SealFlags};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_seqpacket::UnixSeqpacket;
use tokio_seqpacket::ancillary::{AncillaryMessageWriter, OwnedAncillaryMessage};

/// How long a request waits for the shim to be there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The first and the longest pause between two attempts to connect.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// Room for `SCM_RIGHTS` with [`MAX_FDS`] and one more for a large body, and alignment.
const CONTROL_BYTES: usize = 128;

/// Why a request was not done, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// The shim says no; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no shim, or it went away with the request in flight.
    #[error("the privileged service is not available: {0}")]
    Unavailable(&'static str),
    /// The request is larger than the channel admits.
    #[error("the request is larger than {MAX_LARGE_BYTES} bytes")]
    TooLarge,
    /// The answer is not one to this request.
    #[error("unexpected answer from the privileged service")]
    Unexpected,
    /// The kernel refused.
    #[error("channel to the privileged service")]
    Io(#[from] io::Error),
}

impl From<ShimError> for crate::EngineError {
    fn from(error: ShimError) -> Self {
        match error {
            ShimError::Refused(refusal) => refusal.into(),
            ShimError::Unavailable(_) => Self::unavailable(error.to_string()),
            ShimError::TooLarge => Self::bad(error.to_string()),
            ShimError::Unexpected | ShimError::Io(_) => {
                Self::internal(error.to_string()).because(error)
            }
        }
    }
}

/// What the shim, or the connection to it, tells unasked.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is a (new) connection. Everything the shim holds is in `known`, ordered by target.
    Connected {
        /// Counts connections.
        connection: u64,
        /// Who answers.
        hello: Box<Hello>,
        /// All there is.
        known: Vec<Known>,
    },
    /// A process has ended. May be told twice.
    Exited {
        /// Which.
        target: Target,
        /// How.
        status: ExitStatus,
    },
}

/// A process as the shim hands it over.
#[derive(Debug)]
pub(crate) struct Created {
    /// What was decided.
    pub effective: Effective,
    /// Its streams.
    pub stdio: StdioFds,
    /// The connection that it came by: what [`Notice::Connected`] of this one or an earlier one
    /// says is older than the process.
    pub connection: u64,
}

/// The far ends of a process's standard streams.
#[derive(Debug)]
pub(crate) enum StdioFds {
    /// Pipes.
    Pipes {
        /// Write end; none: it reads `/dev/null`.
        stdin: Option<OwnedFd>,
        /// Read end.
        stdout: OwnedFd,
        /// Read end.
        stderr: OwnedFd,
    },
    /// A pty's master.
    Terminal(OwnedFd),
}

/// A handle to the connection, whichever it is at the moment.
#[derive(Debug, Clone)]
pub(crate) struct ShimClient {
    ready: watch::Receiver<Option<Arc<Connection>>>,
}

impl ShimClient {
    /// Begin to connect, and go on connecting until all handles and the receiver are gone.
    pub(crate) fn start(
        socket: PathBuf,
        client_name: &str,
    ) -> (Self, mpsc::UnboundedReceiver<Notice>) {
        let (publish, ready) = watch::channel(None);
        let (notices, receiver) = mpsc::unbounded_channel();
        let name = client_name.get(..64.min(client_name.len())).unwrap_or_default();
        let hello = HelloRequest { client: name.try_into().unwrap_or_default() };
        tokio::spawn(keep_connected(socket, hello, publish, notices));
        (Self { ready }, receiver)
    }

    /// Whether there is a connection now.
    pub(crate) fn is_connected(&self) -> bool {
        self.ready.borrow().is_some()
    }

    /// Ask for something that is answered with `Done`.
    pub(crate) async fn order(&self, request: Request) -> Result<(), ShimError> {
        let answer = self.call(request, Vec::new()).await?;
        if answer.reply == Reply::Done { Ok(()) } else { Err(ShimError::Unexpected) }
    }

    /// Ask for something that is answered with a process: create, exec, adopt.
    pub(crate) async fn process(
        &self,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<Created, ShimError> {
        let connection = self.connection().await?;
        let answer = connection.call(&request, fds).await?;
        let Reply::Created { fds: layout, effective } = answer.reply else {
            return Err(ShimError::Unexpected);
        };
        let stdio = stdio_of(layout, answer.fds).ok_or(ShimError::Unexpected)?;
        Ok(Created { effective, stdio, connection: connection.number })
    }

    /// Ask for anything. `fds` go with it, and are closed here once they are sent.
    pub(crate) async fn call(
        &self,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<Answer, ShimError> {
        let connection = self.connection().await?;
        connection.call(&request, fds).await
    }

    async fn connection(&self) -> Result<Arc<Connection>, ShimError> {
        if let Some(connection) = self.ready.borrow().clone() {
            return Ok(connection);
        }
        let mut ready = self.ready.clone();
        let there = tokio::time::timeout(CONNECT_PATIENCE, ready.wait_for(Option::is_some)).await;
        match there {
            Ok(Ok(connection)) => connection.clone().ok_or(ShimError::Unavailable("closed")),
            Ok(Err(_)) => Err(ShimError::Unavailable("the engine is shutting down")),
            Err(_) => Err(ShimError::Unavailable("no connection")),
        }
    }
}

/// An answer with the descriptors that came along.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Never a refusal: that is an error.
    pub reply: Reply,
    /// Close-on-exec all of them.
    pub fds: Vec<OwnedFd>,
}

/// One connection, from connect to break.
#[derive(Debug)]
struct Connection {
    number: u64,
    socket: UnixSeqpacket,
    waiting: Mutex<Waiting>,
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Waiting {
    last_sequence: u32,
    by_sequence: HashMap<u32, oneshot::Sender<Answer>>,
    broken: bool,
}

impl Connection {
    async fn call(&self, request: &Request, fds: Vec<OwnedFd>) -> Result<Answer, ShimError> {
        let (sequence, answer) = self.expect_answer()?;
        let sent = self.send(request, sequence, &fds).await;
        drop(fds);
        if let Err(error) = sent {
            self.waiting().by_sequence.remove(&sequence);
            return Err(error);
        }
        let answer = answer.await.or(Err(ShimError::Unavailable("it went away")))?;
        if let Reply::Refused { refusal } = answer.reply {
            return Err(ShimError::Refused(refusal));
        }
        Ok(answer)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect_answer(&self) -> Result<(u32, oneshot::Receiver<Answer>), ShimError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.broken {
            return Err(ShimError::Unavailable("it went away"));
        }
        // 0 is for events. Four thousand million requests later nobody waits for this one.
        waiting.last_sequence = waiting.last_sequence.checked_add(1).unwrap_or(1);
        let sequence = waiting.last_sequence;
        waiting.by_sequence.insert(sequence, sender);
        Ok((sequence, receiver))
    }

    async fn send(
        &self,
        request: &Request,
        sequence: u32,
        fds: &[OwnedFd],
    ) -> Result<(), ShimError> {
        let body = request.encode();
        let large = body.len() > MAX_MESSAGE_BYTES - HEADER_BYTES;
        if body.len() > MAX_LARGE_BYTES || fds.len() > MAX_FDS {
            return Err(ShimError::TooLarge);
        }
        let length = u32::try_from(body.len()).or(Err(ShimError::TooLarge))?;
        let header = Header { kind: request.kind() as u16, large, length, sequence }.to_bytes();
        let memfd = if large { Some(sealed(&body)?) } else { None };
        let body: &[u8] = if large { &[] } else { &body };
        let fds: Vec<BorrowedFd<'_>> = memfd.iter().chain(fds).map(AsFd::as_fd).collect();
        let mut space = [0; CONTROL_BYTES];
        let mut control = AncillaryMessageWriter::new(&mut space);
        if !fds.is_empty() {
            control.add_fds(fds.iter()).or(Err(ShimError::TooLarge))?;
        }
        let parts = [IoSlice::new(&header), IoSlice::new(body)];
        self.socket.send_vectored_with_ancillary(&parts, &mut control).await?;
        Ok(())
    }

    /// Hand out answers and events until the connection breaks; then fail whoever still waits.
    async fn serve(&self, notices: &mpsc::UnboundedSender<Notice>) {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let why = loop {
            match self.receive(&mut buffer, notices).await {
                Ok(()) => {}
                Err(why) => break why,
            }
        };
        tracing::warn!("connection to the shim broke: {why}");
        let mut waiting = self.waiting();
        waiting.broken = true;
        waiting.by_sequence.clear();
    }

    async fn receive(
        &self,
        buffer: &mut [u8],
        notices: &mpsc::UnboundedSender<Notice>,
    ) -> Result<(), String> {
        let mut space = [0; CONTROL_BYTES];
        let (info, control) = self
            .socket
            .recv_with_ancillary(buffer, &mut space)
            .await
            .map_err(|error| error.to_string())?;
        let mut fds = Vec::new();
        for message in control.into_messages() {
            if let OwnedAncillaryMessage::FileDescriptors(rights) = message {
                fds.extend(rights);
            }
        }
        if info.truncated() || info.ancillary_truncated() {
            return Err("a message longer than the protocol admits".to_owned());
        }
        let message = buffer.get(..info.bytes_read()).unwrap_or_default();
        if message.is_empty() {
            return Err("closed by the shim".to_owned());
        }
        let (header, body) = Header::split(message).map_err(|error| error.to_string())?;
        if header.large {
            return Err("the shim does not send large bodies".to_owned());
        }
        match FromShim::decode(header.kind, body).map_err(|error| error.to_string())? {
            FromShim::Reply(reply) => {
                // Whoever asked may have given up; the descriptors are closed then.
                if let Some(asker) = self.waiting().by_sequence.remove(&header.sequence) {
                    drop(asker.send(Answer { reply, fds }));
                }
            }
            FromShim::Event(Event::Exited { target, status }) => {
                notices
                    .send(Notice::Exited { target, status })
                    .or(Err("the engine is shutting down"))?;
            }
        }
        Ok(())
    }

    /// Introduce ourselves, and ask for everything there is.
    async fn greet(&self, hello: HelloRequest) -> Result<(Box<Hello>, Vec<Known>), ShimError> {
        let Reply::Hello { hello } = self.call(&Request::Hello(hello), Vec::new()).await?.reply
        else {
            return Err(ShimError::Unexpected);
        };
        let mut all: Vec<Known> = Vec::new();
        loop {
            let after = all.last().map(|known| known.target);
            let request = Request::Recover(RecoverRequest { after });
            let Reply::Recovered { known } = self.call(&request, Vec::new()).await?.reply else {
                return Err(ShimError::Unexpected);
            };
            let last = known.len() < PAGE;
            all.extend(known.into_vec());
            if last {
                return Ok((Box::new(hello), all));
            }
        }
    }
}

/// Connect, greet, publish, serve; again after each break.
async fn keep_connected(
    path: PathBuf,
    hello: HelloRequest,
    publish: watch::Sender<Option<Arc<Connection>>>,
    notices: mpsc::UnboundedSender<Notice>,
) {
    let (shortest, longest) = BACK_OFF;
    let mut pause = shortest;
    let mut number = 0;
    while !notices.is_closed() {
        if let Ok(socket) = UnixSeqpacket::connect(&path).await {
            number += 1;
            let connection = Arc::new(Connection { number, socket, waiting: Mutex::default() });
            let greeted = async {
                match connection.greet(hello.clone()).await {
                    Ok((hello, known)) => {
                        pause = shortest;
                        // The owner of a container must hear of the new connection before anyone
                        // can use it: its answer to the break is in `known`.
                        let notice = Notice::Connected { connection: number, hello, known };
                        drop(notices.send(notice));
                        publish.send_replace(Some(Arc::clone(&connection)));
                        std::future::pending().await
                    }
                    Err(error) => tracing::error!("the shim does not greet: {error}"),
                }
            };
            tokio::select! {
                () = connection.serve(&notices) => {}
                () = greeted => {}
                () = notices.closed() => {}
            }
            publish.send_replace(None);
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// A memfd with these bytes that nobody can change any more, as the shim demands.
fn sealed(body: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("body", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(fd);
    io::Write::write_all(&mut file, body)?;
    let fd = OwnedFd::from(file);
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

/// Sealed memory with these bytes, to go along with a request: a system-call filter.
pub(crate) fn sealed_program(bytes: &[u8]) -> Result<OwnedFd, ShimError> {
    Ok(sealed(bytes)?)
}

/// The descriptors of a reply in their order: the pidfd (which apid has no use for), then streams.
fn stdio_of(layout: FdLayout, fds: Vec<OwnedFd>) -> Option<StdioFds> {
    if fds.len() != layout.count() {
        return None;
    }
    let mut fds = fds.into_iter().skip(usize::from(layout.pidfd));
    Some(match layout.stdio {
        Stdio::Output => StdioFds::Pipes { stdin: None, stdout: fds.next()?, stderr: fds.next()? },
        Stdio::InputOutput => {
            StdioFds::Pipes { stdin: Some(fds.next()?), stdout: fds.next()?, stderr: fds.next()? }
        }
        Stdio::Terminal => StdioFds::Terminal(fds.next()?),
    })
}
