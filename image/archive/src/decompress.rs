//! gzip, zstd or neither, told apart by the first bytes; with a limit on how much a stream grows.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use crate::error::Error;

/// The most that a stream may grow, once it is past [`RATIO_GRACE_BYTES`]: gzip can grow 1032
/// times, honest layers grow 2 to 20 times.
pub const MAX_RATIO: u64 = 200;
/// Bytes of uncompressed data before the ratio counts.
pub const RATIO_GRACE_BYTES: u64 = 64 * 1024 * 1024;
/// The largest zstd window: 2^27 bytes, zstd's own default limit (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`).
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// How much is read at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Compression {
    /// By a stream's first bytes; 6 are enough.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompression`]: bzip2 or xz, which we do not read.
    pub fn detect(start: &[u8]) -> Result<Self, Error> {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A skippable frame may come first (pzstd, seekable zstd, zstd:chunked).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(Error::UnsupportedCompression("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Err(Error::UnsupportedCompression("xz")),
            _ => Ok(Self::None),
        }
    }
}

/// The uncompressed bytes of a stream. Reading to the end checks every checksum that there is.
pub struct Decompressor<R: Read> {
    decoder: Decoder<R>,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    compression: Compression,
}

enum Decoder<R: Read> {
    Plain(Source<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Source<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Source<R>>>),
}

type Source<R> = BufReader<io::Chain<io::Cursor<Vec<u8>>, Counter<R>>>;

impl<R: Read> Decompressor<R> {
    /// Look at the first bytes and set up.
    ///
    /// # Errors
    /// The source's, and [`Error::UnsupportedCompression`].
    pub fn new(mut source: R) -> Result<Self, Error> {
        let mut start = Vec::with_capacity(6);
        source.by_ref().take(6).read_to_end(&mut start)?;
        let compression = Compression::detect(&start)?;
        let packed = Rc::new(Cell::new(start.len() as u64));
        let counter = Counter { source, count: Rc::clone(&packed) };
        let source = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(start).chain(counter));
        let decoder = match compression {
            Compression::None => Decoder::Plain(source),
            Compression::Gzip => {
                Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(source)))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { decoder, packed, unpacked: 0, compression })
    }

    /// How the stream is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    fn check_ratio(&self) -> io::Result<()> {
        if self.unpacked > RATIO_GRACE_BYTES && self.unpacked / MAX_RATIO > self.packed.get() {
            let why = Error::Ratio(MAX_RATIO).to_string();
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::Plain(source) => return source.read(into),
            Decoder::Gzip(decoder) => decoder.read(into)?,
            Decoder::Zstd(decoder) => decoder.read(into)?,
        };
        self.unpacked += read as u64;
        self.check_ratio()?;
        Ok(read)
    }
}

impl<R: Read> std::fmt::Debug for Decompressor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("compression", &self.compression)
            .field("packed", &self.packed)
            .field("unpacked", &self.unpacked)
            .finish_non_exhaustive()
    }
}

/// Counts what passes through.
struct Counter<R> {
    source: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counter<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}
