//! The channel spoken directly, as a captured API daemon would.

use bulkhead_proto::codec::HEADER_BYTES;
use bulkhead_proto::{FromShim, Header, HelloRequest, MAX_MESSAGE_BYTES, Reply, Request};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A connection to a shim.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    sequence: u32,
}

impl Channel {
    /// Connect, without a greeting.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(path: &Path) -> rustix::io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let patience = Some(std::time::Duration::from_secs(30));
        rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Recv,
            patience,
        )?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Connect and say hello. The kernel may close a killed daemon's socket some time after its end;
    /// until then the shim admits nobody else of its uid.
    pub fn greeted(path: &Path) -> Self {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let mut channel = Self::connect(path).expect("connect");
            let client = "captured".try_into().expect("short");
            match channel.ask(&Request::Hello(HelloRequest { client }), &[]) {
                Some((Reply::Hello { .. }, _)) => return channel,
                None if std::time::Instant::now() < deadline => std::thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Send a request and wait for its answer; none: the connection was closed.
    pub fn ask(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Option<(Reply, Vec<OwnedFd>)> {
        self.sequence += 1;
        let body = request.encode();
        let length = u32::try_from(body.len()).expect("short");
        let header =
            Header { kind: request.kind() as u16, large: false, length, sequence: self.sequence };
        self.send_raw(&header.to_bytes(), &body, fds).ok()?;
        self.answer()
    }

    /// Send any bytes.
    ///
    /// # Errors
    /// As sendmsg(2).
    pub fn send_raw(
        &self,
        header: &[u8],
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let slices = [IoSlice::new(header), IoSlice::new(body)];
        rustix::net::sendmsg(&self.socket, &slices, &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    /// The answer to the last request; events in between are passed over. None: closed.
    pub fn answer(&mut self) -> Option<(Reply, Vec<OwnedFd>)> {
        loop {
            let (kind, sequence, body, fds) = self.receive()?;
            match FromShim::decode(kind, &body).expect("the shim speaks the protocol") {
                FromShim::Reply(reply) if sequence == self.sequence => return Some((reply, fds)),
                FromShim::Reply(_) | FromShim::Event(_) => {}
            }
        }
    }

    fn receive(&self) -> Option<(u16, u32, Vec<u8>, Vec<OwnedFd>)> {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::net::recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let got = got.ok().filter(|got| got.bytes >= HEADER_BYTES)?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        let (header, body) = Header::split(&buffer[..got.bytes]).expect("a header");
        Some((header.kind, header.sequence, body.to_vec(), fds))
    }

    /// Whether the shim has closed the connection.
    pub fn is_closed(&self) -> bool {
        let mut poll = [rustix::event::PollFd::from_borrowed_fd(
            self.socket.as_fd(),
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&patience)).expect("poll") > 0
            && self.receive().is_none()
    }
}

/// Run `work` with the uid that the API daemon has, in a thread of its own.
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let id = rustix::thread::Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(id, id, id).expect("setresuid");
            work()
        });
        thread.join().expect("the thread")
    })
}
