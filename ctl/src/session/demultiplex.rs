//! Docker's multiplexed stream: standard output and standard error on one connection.
//!
//! Each piece is preceded by eight bytes: the stream (0 and 1: output, 2: error, 3: the engine's own
//! error), three zeros, and the length, big-endian.

use std::io;

/// Where a piece goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A stream that cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine reports an error within the stream.
    #[error("error from daemon in stream: {0}")]
    Daemon(String),
    /// No stream has this number.
    #[error("Unrecognized input header: {0}")]
    Header(u8),
    /// What came cannot be written on.
    #[error("write: {0}")]
    Write(io::Error),
}

/// The longest error of the engine that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Takes a multiplexed stream apart, however it is cut into reads.
#[derive(Debug, Default)]
pub(crate) struct Demultiplexer {
    header: Vec<u8>,
    left: usize,
    daemon_error: Option<Vec<u8>>,
}

impl Demultiplexer {
    /// Pass what came on to `write`.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut write: impl FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        loop {
            if self.left == 0 {
                self.end_of_error()?;
                let missing = 8_usize.saturating_sub(self.header.len()).min(bytes.len());
                let (head, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
                self.header.extend_from_slice(head);
                bytes = rest;
            }
            let [stream, _, _, _, length @ ..] = self.header.as_slice() else { return Ok(()) };
            let stream = *stream;
            let Ok(length) = <[u8; 4]>::try_from(length) else { return Ok(()) };
            if self.left == 0 {
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.daemon_error = (stream == 3).then(Vec::new);
            }
            let now = self.left.min(bytes.len());
            let (piece, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
            match (stream, &mut self.daemon_error) {
                (0 | 1, _) => write(Stream::Out, piece).map_err(Error::Write)?,
                (2, _) => write(Stream::Err, piece).map_err(Error::Write)?,
                (3, Some(text)) if text.len() + piece.len() <= MAX_ERROR_BYTES => {
                    text.extend_from_slice(piece);
                }
                (3, _) => {}
                _ => return Err(Error::Header(stream)),
            }
            self.left -= now;
            bytes = rest;
            if self.left > 0 {
                return Ok(());
            }
            self.header.clear();
        }
    }

    fn end_of_error(&mut self) -> Result<(), Error> {
        match self.daemon_error.take() {
            Some(text) => Err(Error::Daemon(String::from_utf8_lossy(&text).into_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(text.as_bytes());
        frame
    }

    #[test]
    fn pieces_go_to_their_stream_however_they_are_cut() {
        let all =
            [frame(1, "hello\n"), frame(2, "oops"), frame(1, ""), frame(0, "x"), frame(2, "!")]
                .concat();
        for size in 1..=all.len() {
            let mut demultiplexer = Demultiplexer::default();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for piece in all.chunks(size) {
                demultiplexer
                    .feed(piece, |stream, bytes| {
                        match stream {
                            Stream::Out => out.extend_from_slice(bytes),
                            Stream::Err => err.extend_from_slice(bytes),
                        }
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"hello\nx"[..], &b"oops!"[..]));
        }
    }

    #[test]
    fn an_error_of_the_engine_ends_the_stream() {
        let mut demultiplexer = Demultiplexer::default();
        let error = demultiplexer.feed(&frame(3, "no more"), |_, _| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "error from daemon in stream: no more");
        let error = Demultiplexer::default().feed(&frame(9, "x"), |_, _| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "Unrecognized input header: 9");
    }
}
