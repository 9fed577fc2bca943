//! `SOCK_SEQPACKET` messages with descriptors, as `bulkhead-proto` frames them.
//!
//! Whatever does not fit is an error, and whoever gets an error from [`receive`] closes the
//! connection: truncated data or control messages, a header that lies, more descriptors than the
//! kind admits, a large body whose memfd is not sealed.

use bulkhead_proto::codec::HEADER_BYTES;
use bulkhead_proto::{DecodeError, Header, MAX_FDS, MAX_LARGE_BYTES, MAX_MESSAGE_BYTES};
use rustix::fs::SealFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, UCred,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room for control messages: descriptors and the sender's credentials.
const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(MAX_FDS + 1), ScmCredentials(1));

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub header: Header,
    pub body: Vec<u8>,
    /// Close-on-exec all of them.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, as the kernel attests; only with `SO_PASSCRED`.
    pub sender: Option<UCred>,
}

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum ChannelError {
    /// The other side closed it.
    Closed,
    /// There is no message now.
    WouldBlock,
    /// The kernel refused.
    Io(rustix::io::Errno),
    /// The bytes are not a message.
    Decode(DecodeError),
    /// The message is a message, but not one that this channel admits.
    Rule(&'static str),
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(f, "closed by peer"),
            Self::WouldBlock => write!(f, "no message"),
            Self::Io(errno) => write!(f, "channel: {errno}"),
            Self::Decode(error) => write!(f, "{error}"),
            Self::Rule(rule) => write!(f, "{rule}"),
        }
    }
}

impl From<DecodeError> for ChannelError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Take one message, without waiting if the socket is non-blocking. `buffer` is scratch space that
/// the caller keeps, so that a waiting shim holds no 64 KiB a connection.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Message, ChannelError> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Err(ChannelError::WouldBlock),
            Err(rustix::io::Errno::CONNRESET) => return Err(ChannelError::Closed),
            Err(errno) => return Err(ChannelError::Io(errno)),
            Ok(got) => break got,
        }
    };
    let mut fds = Vec::new();
    let mut sender = None;
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
            RecvAncillaryMessage::ScmCredentials(ucred) => sender = Some(ucred),
            _ => return Err(ChannelError::Rule("unknown control message")),
        }
    }
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Err(ChannelError::Rule("message longer than 64 KiB"));
    }
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(ChannelError::Rule("more descriptors than a message may carry"));
    }
    if got.bytes == 0 && fds.is_empty() {
        return Err(ChannelError::Closed);
    }
    let message = buffer.get(..got.bytes).ok_or(ChannelError::Rule("length"))?;
    let (header, body) = Header::split(message)?;
    let body = if header.large { read_large(&header, &mut fds)? } else { body.to_vec() };
    if fds.len() > MAX_FDS {
        return Err(ChannelError::Rule("more descriptors than a message may carry"));
    }
    Ok(Message { header, body, fds, sender })
}

/// The body in the first descriptor: a memfd that nobody can change any more.
fn read_large(header: &Header, fds: &mut Vec<OwnedFd>) -> Result<Vec<u8>, ChannelError> {
    if fds.is_empty() {
        return Err(ChannelError::Rule("large body without a descriptor"));
    }
    read_sealed(fds.remove(0).as_fd(), header.length as usize)
}

/// Read a memfd of exactly `length` bytes, sealed against every change.
pub(crate) fn read_sealed(fd: BorrowedFd<'_>, length: usize) -> Result<Vec<u8>, ChannelError> {
    let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    // Only memfds (and hugetlbfs) have seals; pipes, FUSE files and devices answer EINVAL here, so
    // that the read below can neither block nor change between two looks.
    let seals = rustix::fs::fcntl_get_seals(fd)
        .or(Err(ChannelError::Rule("descriptor is not a sealed memfd")))?;
    if !seals.contains(wanted) {
        return Err(ChannelError::Rule("memfd is not sealed against shrink, grow and write"));
    }
    let size = rustix::fs::fstat(fd).map_err(ChannelError::Io)?.st_size;
    if usize::try_from(size).ok() != Some(length) || length > MAX_LARGE_BYTES {
        return Err(ChannelError::Rule("memfd has another size than its header says"));
    }
    let mut body = vec![0; length];
    let mut done = 0;
    while let Some(rest) = body.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(fd, rest, done as u64).map_err(ChannelError::Io)? {
            0 => return Err(ChannelError::Rule("memfd shorter than it says")),
            count => done += count,
        }
    }
    Ok(body)
}

/// Send one message. `Err(AGAIN)`: the peer does not read; the caller queues or gives up.
pub(crate) fn send(
    socket: impl AsFd,
    kind: u16,
    sequence: u32,
    body: &[u8],
    fds: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    if body.len() > MAX_MESSAGE_BYTES - HEADER_BYTES {
        return Err(rustix::io::Errno::MSGSIZE);
    }
    let length = u32::try_from(body.len()).or(Err(rustix::io::Errno::MSGSIZE))?;
    let header = Header { kind, large: false, length, sequence }.to_bytes();
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::MSGSIZE);
    }
    let slices = [IoSlice::new(&header), IoSlice::new(body)];
    loop {
        match rustix::net::sendmsg(&socket, &slices, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}
