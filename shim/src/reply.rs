//! Connections to API daemons, and the way an answer finds the one who asked.

use crate::channel;
use bulkhead_proto::{EVENT_KIND, Event, Reply, RequestKind, Wire};
use rustix::event::epoll;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most answers and events that wait for a peer that does not read. Then it is cut off; it
/// connects again and recovers.
const MAX_QUEUED: usize = 4096;

/// Who asked, and as what the answer goes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyTo {
    pub peer: u64,
    pub sequence: u32,
    pub kind: RequestKind,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub socket: OwnedFd,
    pub uid: u32,
    pub pid: i32,
    /// It has said hello.
    pub greeted: bool,
    queue: VecDeque<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    kind: u16,
    sequence: u32,
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// All connections, by the event loop's number.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    connections: BTreeMap<u64, Peer>,
    next: u64,
}

impl Peers {
    /// Add a connection; its number.
    pub(crate) fn insert(&mut self, socket: OwnedFd, uid: u32, pid: i32) -> u64 {
        self.next += 1;
        let queue = VecDeque::new();
        self.connections.insert(self.next, Peer { socket, uid, pid, greeted: false, queue });
        self.next
    }

    pub(crate) fn get(&mut self, number: u64) -> Option<&mut Peer> {
        self.connections.get_mut(&number)
    }

    /// Close it.
    pub(crate) fn close(&mut self, number: u64) {
        self.connections.remove(&number);
    }

    /// The connections of one uid.
    pub(crate) fn of_uid(&self, uid: u32) -> Vec<u64> {
        let same = self.connections.iter().filter(|(_, peer)| peer.uid == uid);
        same.map(|(number, _)| *number).collect()
    }

    /// Answer. A peer that is gone has no use for it: it asks again after it connects.
    pub(crate) fn answer(
        &mut self,
        epoll: BorrowedFd<'_>,
        to: ReplyTo,
        reply: &Reply,
        fds: Vec<OwnedFd>,
    ) {
        let message =
            Outgoing { kind: to.kind as u16 + 1, sequence: to.sequence, body: reply.encode(), fds };
        self.queue(epoll, to.peer, message);
    }

    /// Tell every peer that has said hello.
    pub(crate) fn broadcast(&mut self, epoll: BorrowedFd<'_>, event: &Event) {
        let greeted = self.connections.iter().filter(|(_, peer)| peer.greeted);
        let numbers: Vec<u64> = greeted.map(|(number, _)| *number).collect();
        for number in numbers {
            let message =
                Outgoing { kind: EVENT_KIND, sequence: 0, body: event.encode(), fds: Vec::new() };
            self.queue(epoll, number, message);
        }
    }

    fn queue(&mut self, epoll: BorrowedFd<'_>, number: u64, message: Outgoing) {
        let Some(peer) = self.connections.get_mut(&number) else { return };
        peer.queue.push_back(message);
        if peer.queue.len() > MAX_QUEUED {
            self.close(number);
        } else {
            self.flush(epoll, number);
        }
    }

    /// Send what waits, as far as the peer reads.
    pub(crate) fn flush(&mut self, epoll: BorrowedFd<'_>, number: u64) {
        let Some(peer) = self.connections.get_mut(&number) else { return };
        let mut wanted = epoll::EventFlags::IN;
        while let Some(message) = peer.queue.front() {
            let fds: Vec<BorrowedFd<'_>> = message.fds.iter().map(AsFd::as_fd).collect();
            let Outgoing { kind, sequence, body, .. } = message;
            match channel::send(&peer.socket, *kind, *sequence, body, &fds) {
                Ok(()) => {
                    peer.queue.pop_front();
                }
                Err(rustix::io::Errno::AGAIN) => {
                    wanted |= epoll::EventFlags::OUT;
                    break;
                }
                Err(_) => {
                    self.close(number);
                    return;
                }
            }
        }
        let data = epoll::EventData::new_u64(crate::event_loop::Token::Peer(number).to_u64());
        if epoll::modify(epoll, &peer.socket, data, wanted).is_err() {
            self.close(number);
        }
    }
}
