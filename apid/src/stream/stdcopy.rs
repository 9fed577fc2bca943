//! Docker's stream header: eight bytes before each piece of output, so that two streams fit on one
//! connection. Byte 0 is the stream (1: stdout, 2: stderr), bytes 4 to 7 are the length, big
//! endian. Source: the description of `POST /containers/{id}/attach`.

use bulkhead_engine::StreamKind;
use bytes::{BufMut as _, Bytes, BytesMut};

/// Length of the header in bytes.
const HEADER_BYTES: usize = 8;

/// The header of a piece.
pub(crate) fn header(kind: StreamKind, length: usize) -> [u8; HEADER_BYTES] {
    let stream = match kind {
        StreamKind::Stdout => 1,
        StreamKind::Stderr => 2,
    };
    // Pieces are at most some 64 KiB.
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [stream, 0, 0, 0, a, b, c, d]
}

/// A piece as the client gets it: with a header, unless the process has a terminal.
pub(crate) fn frame(terminal: bool, kind: StreamKind, piece: Bytes) -> Bytes {
    if terminal {
        return piece;
    }
    let mut framed = BytesMut::with_capacity(HEADER_BYTES + piece.len());
    framed.put_slice(&header(kind, piece.len()));
    framed.put_slice(&piece);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_preceded_by_stream_and_length() {
        let framed = frame(false, StreamKind::Stderr, Bytes::from_static(b"abc"));
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x03abc");
        assert_eq!(header(StreamKind::Stdout, 0x0102_0304), [1, 0, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_terminal_has_no_headers() {
        let piece = Bytes::from_static(b"abc");
        assert_eq!(frame(true, StreamKind::Stdout, piece.clone()), piece);
    }
}
