//! A terminal or pipes on this side, a container's streams on the other.
//!
//! Bytes are copied by threads of their own with blocking reads and writes, so that a reader who
//! does not read (a full pipe on standard output) holds up nothing but its stream; the event loop
//! stays free for signals. The threads report to the loop and end with the process.

pub(crate) mod demultiplex;
mod detach;
mod signals;
pub(crate) mod terminal;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) use signals::Signals;

use crate::client::{Call, Client, Hijacked, Socket, segment};
use crate::create::Attach;
use crate::failure::Failure;
use demultiplex::{Demultiplexer, Stream};
use detach::{Detached, Detector};

/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 32 << 10;

/// How many signals it takes to end the wait for an exit code.
const INSISTING: i32 = 3;

/// What a session is about.
pub(crate) enum Target<'a> {
    /// A container's first process.
    Container(&'a str),
    /// A process started in a container.
    Exec(&'a str),
}

impl Target<'_> {
    fn path(&self) -> String {
        match self {
            Self::Container(id) => format!("/containers/{}", segment(id)),
            Self::Exec(id) => format!("/exec/{}", segment(id)),
        }
    }
}

/// How to copy.
pub(crate) struct Settings<'a> {
    /// The streams to copy.
    pub(crate) attach: Attach,
    /// The container has a terminal: one stream out, raw mode on this side.
    pub(crate) tty: bool,
    /// Keys that end the session (`ctrl-p,ctrl-q`); empty: those.
    pub(crate) detach_keys: &'a str,
    /// Signals go to the container instead of ending this program.
    pub(crate) proxy_signals: bool,
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is nothing more to copy.
    Copied,
    /// The user typed the keys that detach.
    Detached,
}

enum Report {
    OutputEnded(Result<(), String>),
    InputEnded,
    Detached,
}

/// A session under way.
pub(crate) struct Session {
    reports: UnboundedReceiver<Report>,
    signals: Signals,
    has_output: bool,
    tty: bool,
    proxy_signals: bool,
}

impl Session {
    /// Begin to copy. The terminal is in raw mode from here to [`terminal::restore`].
    pub(crate) fn begin(streams: Hijacked, settings: &Settings<'_>) -> Result<Self, Failure> {
        let Settings { attach, tty, proxy_signals, .. } = *settings;
        let keys = detach::keys(settings.detach_keys);
        let raw = tty
            && attach.stdin
            && terminal::raw().map_err(|error| Failure::io("the terminal's raw mode", &error))?;
        // Without raw mode and proxy the signals do what they do to any program.
        let signals = Signals::watch(proxy_signals, raw, tty)
            .map_err(|error| Failure::io("signal handlers", &error))?;
        let (report, reports) = unbounded_channel();
        let has_output = attach.stdout || attach.stderr;
        if has_output {
            let report = report.clone();
            let incoming = streams.incoming;
            spawn(move || {
                let copied = copy_output(incoming, attach, tty);
                terminal::restore();
                tell(&report, Report::OutputEnded(copied));
            })?;
        }
        if attach.stdin {
            let outgoing = streams.outgoing;
            let detector = tty.then(|| Detector::new(keys));
            spawn(move || copy_input(outgoing, detector, &report))?;
        } else {
            streams.outgoing.end_sending().unwrap_or(());
        }
        Ok(Self { reports, signals, has_output, tty, proxy_signals })
    }

    /// Copy to the end, passing on signals and the terminal's size.
    pub(crate) async fn drive(
        &mut self,
        client: &Client,
        target: &Target<'_>,
    ) -> Result<End, Failure> {
        let mut sized = !(self.tty && terminal::output_is_terminal());
        let mut first_size = std::pin::pin!(resize(client, target, true));
        loop {
            tokio::select! {
                biased;
                report = self.reports.recv() => match report {
                    Some(Report::OutputEnded(Ok(()))) | None => return Ok(End::Copied),
                    Some(Report::OutputEnded(Err(why))) => return Err(Failure::new(why)),
                    Some(Report::InputEnded) if !self.has_output => return Ok(End::Copied),
                    Some(Report::InputEnded) => {}
                    Some(Report::Detached) => return Ok(End::Detached),
                },
                signal = self.signals.next() => {
                    if signal.is_window_change() && self.tty {
                        resize(client, target, false).await;
                    } else if self.proxy_signals {
                        forward(client, target, signal.name).await;
                    } else if !signal.is_window_change() {
                        return Err(Failure::silent(signal.exit_code()));
                    }
                }
                () = &mut first_size, if !sized => sized = true,
            }
        }
    }

    /// All is copied: wait for the exit code. Signals still go to the container, but a user who
    /// insists is not kept by an engine that does not answer.
    pub(crate) async fn finish(
        mut self,
        client: &Client,
        target: &Target<'_>,
        code: impl Future<Output = u8>,
    ) -> Result<(), Failure> {
        let mut code = std::pin::pin!(code);
        let mut insisted = 0;
        loop {
            tokio::select! {
                biased;
                code = &mut code => match code {
                    0 => return Ok(()),
                    code => return Err(Failure::silent(code)),
                },
                signal = self.signals.next() => {
                    insisted += i32::from(signal.ends_programs());
                    if insisted == INSISTING || (!self.proxy_signals && insisted > 0) {
                        return Err(Failure::silent(signal.exit_code()));
                    }
                    if self.proxy_signals {
                        forward(client, target, signal.name).await;
                    }
                }
            }
        }
    }
}

async fn forward(client: &Client, target: &Target<'_>, signal: &str) {
    if let Target::Container(_) = target {
        let kill = Call::post(format!("{}/kill", target.path())).query("signal", signal);
        // A container that has ended has no use for the signal, and nobody waits for this answer.
        drop(client.done(kill).await);
    }
}

/// Tell the engine the terminal's size. Right after a start the process may not be there yet.
async fn resize(client: &Client, target: &Target<'_>, retry: bool) {
    let attempts = if retry { 10 } else { 1 };
    for attempt in 0..attempts {
        let (rows, columns) = terminal::size();
        let call = Call::post(format!("{}/resize", target.path()))
            .query("h", rows.to_string())
            .query("w", columns.to_string());
        if (rows, columns) == (0, 0) || client.done(call).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10 * attempt)).await;
    }
}

fn spawn(copy: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = thread::Builder::new().stack_size(128 << 10).spawn(copy);
    thread.map(drop).map_err(|error| Failure::io("a thread", &error))
}

/// The loop may be gone already, as the program is about to end.
fn tell(report: &UnboundedSender<Report>, what: Report) {
    report.send(what).unwrap_or(());
}

fn copy_output(mut incoming: impl Read, attach: Attach, tty: bool) -> Result<(), String> {
    let mut out = Output::new(attach).map_err(|error| format!("standard output: {error}"))?;
    let mut demultiplexer = Demultiplexer::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = match incoming.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => buffer.get(..length).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A container's terminal that closes, or an engine that ends, is the end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(format!("the container's output: {error}")),
        };
        let written = if tty {
            out.write(Stream::Out, bytes).map_err(demultiplex::Error::Write)
        } else {
            demultiplexer.feed(bytes, |stream, bytes| out.write(stream, bytes))
        };
        if let Err(error) = written {
            return Err(error.to_string());
        }
    }
}

/// Standard output and standard error without buffers of our own.
pub(crate) struct Output {
    out: Option<File>,
    err: Option<File>,
}

impl Output {
    /// The streams asked for; what comes for others is dropped.
    pub(crate) fn new(attach: Attach) -> io::Result<Self> {
        let file = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(File::from);
        Ok(Self {
            out: attach.stdout.then(|| file(&io::stdout())).transpose()?,
            err: attach.stderr.then(|| file(&io::stderr())).transpose()?,
        })
    }

    /// Write to one of them.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let file = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }
}

fn copy_input(
    mut outgoing: Socket,
    mut detector: Option<Detector>,
    report: &UnboundedSender<Report>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    // A read of nothing or one that fails is the end of input; a write that fails is the end of the
    // connection, which the output's thread sees and tells.
    loop {
        let length = match rustix::io::read(io::stdin(), buffer.as_mut_slice()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let bytes = buffer.get(..length).unwrap_or(&[]);
        let sent = match &mut detector {
            None => outgoing.write_all(bytes),
            Some(detector) => match detector.pass(bytes) {
                Ok(bytes) => outgoing.write_all(&bytes),
                Err(Detached { before }) => {
                    outgoing.write_all(&before).unwrap_or(());
                    terminal::restore();
                    tell(report, Report::Detached);
                    return;
                }
            },
        };
        if sent.is_err() {
            break;
        }
    }
    outgoing.end_sending().unwrap_or(());
    tell(report, Report::InputEnded);
}
