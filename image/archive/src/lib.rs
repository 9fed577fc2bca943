//! A strict reader of tar, a small writer, and decompression with limits. No I/O of its own: it
//! reads from any [`std::io::Read`].
//!
//! Strict means: an archive that two programs could read in two ways is refused, not repaired
//! (CVE-2025-62518 and its family: one reader believes the PAX size, another the header's, and
//! files appear that a scanner never saw). What is refused is said with the entry's name.
//!
//! Who reads with it: the worker, for layers, inside its user namespace; the image loader, for the
//! archive around them, inside the unprivileged daemon.

#![forbid(unsafe_code)]

mod decompress;
mod entry;
mod error;
mod header;
mod pax;
mod reader;
mod writer;

pub use decompress::{Compression, Decompressor, MAX_RATIO, RATIO_GRACE_BYTES};
pub use entry::{Entry, Kind, Time, Xattr};
pub use error::Error;
pub use header::{BLOCK_BYTES, is_header};
pub use reader::{
    Limits, MAX_ENTRIES, MAX_METADATA_BYTES, MAX_PATH_BYTES, MAX_PAX_BYTES, MAX_TRAILER_BYTES,
    TarReader,
};
pub use writer::TarWriter;
