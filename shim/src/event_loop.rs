//! Waiting: one epoll(7) for the listening socket, API daemons, monitors, workers and the janitor.

use rustix::event::epoll;
use std::os::fd::{AsFd, OwnedFd};

/// What became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// An API daemon connects.
    Listener,
    /// An API daemon says something, or reads again.
    Peer(u64),
    /// A monitor says something.
    Monitor(u64),
    /// A worker has said something or ended.
    Worker(u64),
    /// The janitor is done.
    Janitor,
}

const KIND_SHIFT: u32 = 60;

impl Token {
    pub(crate) fn to_u64(self) -> u64 {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Peer(number) => (1, number),
            Self::Monitor(number) => (2, number),
            Self::Worker(number) => (3, number),
            Self::Janitor => (4, 0),
        };
        kind << KIND_SHIFT | number
    }

    fn from_u64(value: u64) -> Option<Self> {
        let number = value & ((1 << KIND_SHIFT) - 1);
        match value >> KIND_SHIFT {
            0 => Some(Self::Listener),
            1 => Some(Self::Peer(number)),
            2 => Some(Self::Monitor(number)),
            3 => Some(Self::Worker(number)),
            4 => Some(Self::Janitor),
            _ => None,
        }
    }
}

/// The set of descriptors waited for.
#[derive(Debug)]
pub(crate) struct Poller {
    pub epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Wait for input on `fd`. Closing the descriptor ends it.
    pub(crate) fn add(&self, fd: impl AsFd, token: Token) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(token.to_u64());
        epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)
    }

    /// Stop waiting for `fd`. For a descriptor that a forked process may hold too: only the last
    /// close of an open file takes it off the set.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        // Not in the set is as good.
        epoll::delete(&self.epoll, fd).unwrap_or_default();
    }

    /// Wait until something is ready.
    pub(crate) fn wait(&self) -> rustix::io::Result<Vec<Token>> {
        let mut events = Vec::with_capacity(64);
        loop {
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => break,
            }
        }
        Ok(events
            .iter()
            .filter_map(|event: &epoll::Event| Token::from_u64(event.data.u64()))
            .collect())
    }
}
