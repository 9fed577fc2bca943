//! Places to run peers in, so that what they leave (links, rules, mounts) goes with the place.

use crate::measure;
use bulkhead_sys::fork::unshare;
use rustix::thread::UnshareFlags;
use std::error::Error;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

type Timed = Result<Duration, String>;

/// A thread in namespaces of its own; what it launches is in them too.
pub struct Stage {
    work: Sender<Command>,
    done: Receiver<Timed>,
    ready: Timed,
}

impl Stage {
    /// A network with nothing in it.
    pub fn network() -> Self {
        Self::new(UnshareFlags::NEWNET, "")
    }

    /// Mounts, prepared by a shell script.
    pub fn mounts(script: &str) -> Self {
        Self::new(UnshareFlags::NEWNS, &format!("mount --make-rprivate /\n{script}"))
    }

    /// Both.
    pub fn mounts_and_network(script: &str) -> Self {
        let both = UnshareFlags::NEWNS | UnshareFlags::NEWNET;
        Self::new(both, &format!("mount --make-rprivate /\n{script}"))
    }

    fn new(namespaces: UnshareFlags, script: &str) -> Self {
        let (work, orders) = channel::<Command>();
        let (answers, done) = channel();
        let mut prepare = Command::new("sh");
        prepare.args(["-ec", script]);
        std::thread::spawn(move || {
            let entered = unshare(namespaces).map_err(|error| {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                format!("{error}: {cause}")
            });
            let mut answer = entered.and_then(|()| measure::time(prepare));
            while answers.send(answer).is_ok() {
                match orders.recv() {
                    Ok(command) => answer = measure::time(command),
                    Err(_) => break,
                }
            }
        });
        let ready = done.recv().unwrap_or_else(|error| Err(error.to_string()));
        Self { work, done, ready }
    }

    /// Time a program there.
    pub fn time(&self, command: Command) -> Timed {
        self.ready.clone()?;
        self.work.send(command).map_err(|error| error.to_string())?;
        self.done.recv().map_err(|error| error.to_string())?
    }
}
