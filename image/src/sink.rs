//! Where layers go. The image side streams bytes and never writes a file of a layer itself: the
//! engine implements [`LayerSink`] by handing a pipe to the shim, whose worker unpacks.

use std::io::Read;

use crate::digest::{Digest, LayerDigest};
use crate::error::Error;

/// What became of one layer's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackedLayer {
    /// Its diffID: SHA-256 of the uncompressed stream.
    pub id: LayerDigest,
    /// SHA-256 of the stream as it came.
    pub digest: Digest,
    /// Bytes of the stream as it came.
    pub packed_bytes: u64,
    /// Bytes of file contents; what Docker shows as the layer's size.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// The layer was there before.
    pub known: bool,
}

/// Takes layers. Calls may block; several may run at once.
pub trait LayerSink: Sync {
    /// Unpack a layer from a tar stream, plain or compressed with gzip or zstd, to its end.
    ///
    /// # Errors
    /// [`Error::Layer`]: the stream is not a layer, breaks a limit, or does not have the
    /// `expected` diffID; nothing of it is kept then.
    fn unpack(
        &self,
        source: &mut dyn Read,
        expected: Option<LayerDigest>,
    ) -> Result<UnpackedLayer, Error>;

    /// Whether this layer is there.
    fn has(&self, id: &LayerDigest) -> bool;
}
