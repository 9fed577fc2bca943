//! A netlink socket: requests and their acknowledgements, dumps.
//!
//! The kernel handles a request inside sendmsg(2) and queues the answers before it returns, so
//! nothing here waits: an empty queue means there is no answer.

use crate::Error;
use crate::message::{Batch, Message, messages, outcome};
use crate::uapi::nl;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
    socket_with,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The kernel fills dumps up to the size it is offered, at most 32 KiB.
const BUFFER_BYTES: usize = 32 * 1024;
/// How often a dump is begun again because its objects changed meanwhile.
const DUMP_TRIES: usize = 16;

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Links, addresses and routes: rtnetlink(7).
    pub(crate) fn route() -> Result<Self, Error> {
        Self::open(None, "socket(NETLINK_ROUTE)")
    }

    /// nf_tables.
    pub(crate) fn netfilter() -> Result<Self, Error> {
        Self::open(Some(netlink::NETFILTER), "socket(NETLINK_NETFILTER)")
    }

    fn open(protocol: Option<Protocol>, call: &str) -> Result<Self, Error> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            protocol,
        )
        .map_err(|errno| Error::kernel(call, errno))?;
        bulkhead_sys::netlink::explain_errors(fd.as_fd())
            .map_err(|source| Error::kernel("setsockopt(NETLINK_EXT_ACK)", source))?;
        Ok(Self { fd, buffer: Vec::new() })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Send all messages at once and see that each that asks for it (`NLM_F_ACK`) is acknowledged.
    ///
    /// rtnetlink goes on after a message that fails: those after it must do no harm then.
    ///
    /// # Errors
    /// The first message that failed.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        self.send(batch)?;
        let (mut acknowledged, mut failed) = (false, None);
        while let Some(length) = self.receive()? {
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                acknowledged |= message.kind == nl::NLMSG_ERROR;
                failed = failed.or_else(|| failure(batch, &message));
            }
        }
        match failed {
            Some(error) => Err(error),
            None if acknowledged => Ok(()),
            None => Err(Error::kernel(describe(batch, 0), Errno::NOMSG)),
        }
    }

    /// Send one dump request and call `each` with the objects' type and bytes.
    pub(crate) fn dump<T>(
        &mut self,
        request: &Batch,
        mut each: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_TRIES {
            if let Some(objects) = self.dump_once(request, &mut each)? {
                return Ok(objects);
            }
        }
        Err(Error::kernel(describe(request, 0), Errno::INTR))
    }

    /// None: the kernel's objects changed during the dump.
    fn dump_once<T>(
        &mut self,
        request: &Batch,
        each: &mut impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.send(request)?;
        let mut objects = Vec::new();
        let (mut done, mut interrupted, mut failed) = (false, false, None);
        while let Some(length) = self.receive()? {
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                interrupted |= message.flags & nl::NLM_F_DUMP_INTR != 0;
                if matches!(message.kind, nl::NLMSG_ERROR | nl::NLMSG_DONE) {
                    done = true;
                    failed = failed.or_else(|| failure(request, &message));
                } else {
                    objects.extend(each(&message));
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if done => Ok((!interrupted).then_some(objects)),
            None => Err(Error::kernel(describe(request, 0), Errno::NOMSG)),
        }
    }

    fn send(&self, batch: &Batch) -> Result<(), Error> {
        if batch.overflow {
            return Err(Error::kernel(describe(batch, 0), Errno::MSGSIZE));
        }
        match send(&self.fd, &batch.bytes, SendFlags::empty()) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Error::kernel(describe(batch, 0), errno)),
        }
    }

    /// The next datagram's length in the buffer; none if there is none.
    fn receive(&mut self) -> Result<Option<usize>, Error> {
        self.buffer.resize(BUFFER_BYTES, 0);
        match recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
            Ok((_, length)) if length <= BUFFER_BYTES => Ok(Some(length)),
            Ok(_) => Err(Error::kernel("recv(netlink)", Errno::MSGSIZE)),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(Error::kernel("recv(netlink)", errno)),
        }
    }
}

fn failure(batch: &Batch, message: &Message<'_>) -> Option<Error> {
    let outcome = outcome(message)?;
    if outcome.errno == 0 || batch.tolerate == Some(outcome.errno) {
        return None;
    }
    Some(Error::Kernel {
        call: describe(batch, message.sequence),
        explanation: outcome.explanation,
        source: std::io::Error::from_raw_os_error(outcome.errno),
    })
}

fn describe(batch: &Batch, sequence: u32) -> String {
    let at = usize::try_from(sequence).unwrap_or(usize::MAX);
    batch.calls.get(at).cloned().unwrap_or_else(|| "netlink".to_owned())
}
