//! Reading, hashing and inflating beside unpacking, so that the slowest of them sets the pace.
//!
//! ```text
//! stream -> [ read, hash as it came, inflate ] -> chunks -> [ unpack ]    (main thread)
//!                                                     \---> [ hash ]
//! ```
//!
//! Threads are started before the sandbox takes `clone` away, and wait for it to close.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use bulkhead_archive::{Compression, Decompressor};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// What is handed from thread to thread.
const CHUNK_BYTES: usize = 256 * 1024;
/// How many chunks wait between two threads.
const CHUNKS_AHEAD: usize = 4;
/// A thread's stack; none of them recurses.
const STACK_BYTES: usize = 512 * 1024;

/// What is known of the stream at its end.
#[derive(Debug)]
pub(crate) struct Stream {
    /// SHA-256 of the uncompressed stream.
    pub(crate) unpacked_digest: [u8; 32],
    /// SHA-256 of the stream as it came.
    pub(crate) packed_digest: [u8; 32],
    /// Bytes of the stream as it came.
    pub(crate) packed_bytes: u64,
}

/// The threads.
pub(crate) struct Pipeline {
    inflating: JoinHandle<io::Result<Packed>>,
    hashing: JoinHandle<[u8; 32]>,
    go: Sender<()>,
}

/// The uncompressed stream.
pub(crate) struct Chunks {
    chunks: Receiver<io::Result<Chunk>>,
    current: Chunk,
    position: usize,
}

type Chunk = Arc<Vec<u8>>;

/// `None`: it was not compressed, so the digest is that of the uncompressed stream.
struct Packed {
    digest: Option<[u8; 32]>,
    bytes: u64,
}

impl Pipeline {
    /// Start the threads. They read nothing until [`Pipeline::open`].
    pub(crate) fn start(source: File) -> Result<(Self, Chunks), Error> {
        let (go, wait) = channel();
        let (ready, started) = channel();
        let (to_unpack, chunks) = sync_channel(CHUNKS_AHEAD);
        let (to_hash, hashed) = sync_channel(CHUNKS_AHEAD);

        let hash_ready = ready.clone();
        let hashing = thread("hash", move || {
            // Both ends of these channels live as long as the process is of use.
            hash_ready.send(()).unwrap_or_default();
            hash(&hashed)
        })?;
        let inflating = thread("inflate", move || {
            ready.send(()).unwrap_or_default();
            match wait.recv() {
                Ok(()) => inflate(source, &to_unpack, &to_hash),
                Err(gone) => Err(io::Error::other(gone)),
            }
        })?;
        // A thread makes system calls of its own while it starts.
        for _ in 0..2 {
            started.recv().map_err(io::Error::other)?;
        }
        let chunks = Chunks { chunks, current: Chunk::default(), position: 0 };
        Ok((Self { inflating, hashing, go }, chunks))
    }

    /// Let the threads go.
    pub(crate) fn open<T>(&self, chunks: Chunks, reader: impl FnOnce(Chunks) -> T) -> T {
        // If the thread is gone, the first read says so.
        self.go.send(()).unwrap_or_default();
        reader(chunks)
    }

    /// Wait for the threads, after the stream was read to its end.
    pub(crate) fn finish(self) -> Result<Stream, Error> {
        let packed = self.inflating.join().map_err(|_panic| died())??;
        let unpacked_digest = self.hashing.join().map_err(|_panic| died())?;
        Ok(Stream {
            unpacked_digest,
            packed_digest: packed.digest.unwrap_or(unpacked_digest),
            packed_bytes: packed.bytes,
        })
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            // The former chunk is given back before the next is waited for.
            self.current = Chunk::default();
            self.position = 0;
            match self.chunks.recv() {
                Ok(chunk) => self.current = chunk?,
                // The sender is dropped at the end.
                Err(_) => return Ok(0),
            }
        }
        let rest = self.current.get(self.position..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (to, from) in [into.split_at_mut(count).0].into_iter().zip([rest.split_at(count).0]) {
            to.copy_from_slice(from);
        }
        self.position += count;
        Ok(count)
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)
}

/// Read to the end; what goes wrong is told to the reader of the chunks.
fn inflate(
    source: File,
    to_unpack: &SyncSender<io::Result<Chunk>>,
    to_hash: &SyncSender<Chunk>,
) -> io::Result<Packed> {
    let mut packed = Hashed { source, hasher: None, start: Vec::new(), bytes: 0 };
    let sent = send_chunks(&mut packed, to_unpack, to_hash);
    if let Err(error) = sent {
        let told = io::Error::new(error.kind(), error.to_string());
        to_unpack.send(Err(error)).unwrap_or_default();
        return Err(told);
    }
    let digest = packed.hasher.map(|hasher| hasher.finalize().into());
    Ok(Packed { digest, bytes: packed.bytes })
}

fn send_chunks(
    packed: &mut Hashed,
    to_unpack: &SyncSender<io::Result<Chunk>>,
    to_hash: &SyncSender<Chunk>,
) -> io::Result<()> {
    packed.look()?;
    let mut stream = Decompressor::new(packed).map_err(io::Error::other)?;
    let mut ring: [Chunk; CHUNKS_AHEAD * 2 + 2] = Default::default();
    for slot in (0..ring.len()).cycle() {
        let Some(chunk) = ring.get_mut(slot) else { break };
        // A chunk that is still being hashed is left to its readers.
        let mut bytes = std::mem::take(chunk);
        if Arc::get_mut(&mut bytes).is_none() {
            bytes = Chunk::default();
        }
        let buffer = Arc::make_mut(&mut bytes);
        buffer.resize(CHUNK_BYTES, 0);
        let filled = fill(&mut stream, buffer)?;
        if filled == 0 {
            return Ok(());
        }
        buffer.truncate(filled);
        *chunk = Arc::clone(&bytes);
        to_hash.send(Arc::clone(&bytes)).map_err(io::Error::other)?;
        // Nobody reads any more: the process is about to end with an error of its own.
        to_unpack.send(Ok(bytes)).map_err(|_gone| died())?;
    }
    Ok(())
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn hash(chunks: &Receiver<Chunk>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for chunk in chunks {
        hasher.update(chunk.as_slice());
    }
    hasher.finalize().into()
}

/// The stream as it came, hashed on the way if it is compressed.
struct Hashed {
    source: File,
    hasher: Option<Sha256>,
    /// What was looked at already.
    start: Vec<u8>,
    bytes: u64,
}

impl Hashed {
    /// A plain stream is hashed once, not twice.
    fn look(&mut self) -> io::Result<()> {
        let mut start = Vec::with_capacity(6);
        self.source.by_ref().take(6).read_to_end(&mut start)?;
        let plain = matches!(Compression::detect(&start), Ok(Compression::None));
        self.hasher = (!plain).then(Sha256::new);
        self.start = start;
        Ok(())
    }
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = if self.start.is_empty() {
            self.source.read(into)?
        } else {
            let count = self.start.as_slice().read(into)?;
            self.start.drain(..count);
            count
        };
        self.bytes += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(into.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

fn died() -> io::Error {
    io::Error::other("a thread of the worker ended early")
}
