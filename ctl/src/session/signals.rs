//! Signals that reach this program while it is attached to a container.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came {
    /// Without `SIG`, as the API takes it.
    pub(crate) name: &'static str,
    number: u8,
}

impl Came {
    /// The terminal has another size.
    pub(crate) fn is_window_change(self) -> bool {
        self == WINDOW_CHANGE
    }

    /// Whoever sent it wants the program to end.
    pub(crate) fn ends_programs(self) -> bool {
        ENDING.contains(&self)
    }

    /// The exit code of a program this signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        128 + self.number
    }
}

const WINDOW_CHANGE: Came = Came { name: "WINCH", number: 28 };

/// Those that end a program by default and that a user or a service manager sends. With a terminal
/// in raw mode they must not end this one before the mode is restored.
const ENDING: [Came; 4] = [
    Came { name: "HUP", number: 1 },
    Came { name: "INT", number: 2 },
    Came { name: "QUIT", number: 3 },
    Came { name: "TERM", number: 15 },
];

/// The others that are passed on. Not: those that report a fault of this program itself, SIGPIPE,
/// SIGCHLD, SIGURG, and SIGTTIN and SIGTTOU, which are about this side's terminal.
const OTHERS: [Came; 11] = [
    Came { name: "USR1", number: 10 },
    Came { name: "USR2", number: 12 },
    Came { name: "ALRM", number: 14 },
    Came { name: "CONT", number: 18 },
    Came { name: "TSTP", number: 20 },
    Came { name: "XCPU", number: 24 },
    Came { name: "XFSZ", number: 25 },
    Came { name: "VTALRM", number: 26 },
    Came { name: "PROF", number: 27 },
    Came { name: "IO", number: 29 },
    Came { name: "PWR", number: 30 },
];

/// The signals being watched. What is not watched does what it does to any program.
pub(crate) struct Signals {
    came: UnboundedReceiver<Came>,
    _keep_open: UnboundedSender<Came>,
}

impl Signals {
    /// Watch all that are passed on if `proxy`, those that end a program if the terminal is `raw`,
    /// and the window's size if there is a container with a terminal or all are passed on.
    pub(crate) fn watch(proxy: bool, raw: bool, tty: bool) -> io::Result<Self> {
        let (sender, came) = unbounded_channel();
        let ending = ENDING.into_iter().filter(|_| proxy || raw);
        let others = OTHERS.into_iter().filter(|_| proxy);
        let window = [WINDOW_CHANGE].into_iter().filter(|_| proxy || tty);
        for kind in ending.chain(others).chain(window) {
            let mut stream = signal(SignalKind::from_raw(kind.number.into()))?;
            let sender = sender.clone();
            drop(tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(kind).is_err() {
                        return;
                    }
                }
            }));
        }
        Ok(Self { came, _keep_open: sender })
    }

    /// The next signal. Never ends.
    pub(crate) async fn next(&mut self) -> Came {
        match self.came.recv().await {
            Some(came) => came,
            None => std::future::pending().await,
        }
    }
}
