//! The line between the caller and the new process, until that is its program: a socketpair whose
//! far end is closed by exec.

use crate::error::{Error, Step};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end.
#[derive(Debug)]
pub(crate) struct Line(OwnedFd);

/// From the caller to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Word {
    /// Ids are mapped.
    Mapped = b'm',
    /// Interfaces are there.
    Connected = b'n',
    /// Exec.
    Start = b's',
}

/// From the process to the caller.
#[derive(Debug)]
pub(crate) enum News {
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// A process was cloned in its stead: its pid (in the caller's pid namespace) and pidfd.
    Sibling(u32, OwnedFd),
    /// It is set up and waits.
    Ready,
    /// It failed.
    Failed(Error),
    /// It has closed its end: by exec, or by ending.
    Closed,
}

/// The longest message: an error.
const MESSAGE_BYTES: usize = 8192;

impl Line {
    /// Both ends.
    pub(crate) fn pair() -> Result<(Self, Self), Error> {
        let flags = SocketFlags::CLOEXEC;
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map(|(near, far)| (Self(near), Self(far)))
            .step("socketpair")
    }

    /// The same end, by another descriptor.
    pub(crate) fn again(&self) -> Result<Self, Error> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 0).map(Self).step("fcntl(F_DUPFD_CLOEXEC)")
    }

    /// Caller: tell the process. That it is gone shows at the next [`Self::hear`].
    pub(crate) fn tell(&self, word: Word) -> Result<(), Error> {
        match self.send(&[word as u8], None) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(errno).step("tell the new process"),
        }
    }

    /// Caller: what the process says next.
    pub(crate) fn hear(&self) -> Result<News, Error> {
        let mut buffer = [0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            rustix::net::recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        });
        let received = match received {
            Err(Errno::CONNRESET) => return Ok(News::Closed),
            received => received.step("hear the new process")?,
        };
        let mut fds = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        let fd = fds.next().and_then(|mut fds| fds.next());
        let garbled = || Error::Kernel { what: "garbled message".to_owned(), source: None };
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(garbled());
        }
        let message = buffer.get(..received.bytes).unwrap_or_default();
        Ok(match (message.split_first(), fd) {
            (None, None) => News::Closed,
            (Some((b't', [])), Some(master)) => News::Terminal(master),
            (Some((b'c', pid)), Some(pidfd)) => {
                let pid = <[u8; 4]>::try_from(pid).map_err(|_length| garbled())?;
                let pid = u32::from_ne_bytes(pid);
                News::Sibling(pid, pidfd)
            }
            (Some((b'r', [])), None) => News::Ready,
            (Some((b'e', error)), None) => {
                News::Failed(Error::from_bytes(error).ok_or_else(garbled)?)
            }
            _ => return Err(garbled()),
        })
    }

    /// Process: wait for this word. `None`: the caller is gone, or says something else.
    pub(crate) fn wait(&self, word: Word) -> Option<()> {
        let mut buffer = [0; 2];
        // read(2), not recvmsg(2): the one that any system-call filter has to let pass.
        let received = retry_on_intr(|| rustix::io::read(&self.0, &mut buffer)).ok()?;
        (received == 1 && buffer.first() == Some(&(word as u8))).then_some(())
    }

    /// Process: the master of its terminal.
    pub(crate) fn send_terminal(&self, master: BorrowedFd<'_>) -> Result<(), Error> {
        self.send(b"t", Some(master)).step("send the terminal's master")
    }

    /// Process in between: the process cloned in its stead.
    pub(crate) fn send_sibling(&self, pid: u32, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
        let [a, b, c, d] = pid.to_ne_bytes();
        self.send(&[b'c', a, b, c, d], Some(pidfd)).step("send the cloned process's pidfd")
    }

    /// Process: set up.
    pub(crate) fn report_ready(&self) -> Result<(), Error> {
        rustix::io::write(&self.0, b"r").map(drop).step("report")
    }

    /// Process: failed. If nobody hears it, nobody needs to.
    pub(crate) fn report_failure(&self, error: &Error) {
        let mut message = vec![b'e'];
        message.extend(error.to_bytes());
        rustix::io::write(&self.0, &message).unwrap_or_default();
    }

    fn send(&self, message: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let parts = [IoSlice::new(message)];
        retry_on_intr(|| rustix::net::sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL))
            .map(drop)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Line {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}
