//! A sink that computes what the worker would, and keeps nothing but names.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Mutex;

use bulkhead_archive::{Decompressor, Limits, TarReader};
use bulkhead_image::{Digest, Error, ImageStore, LayerDigest, LayerSink, UnpackedLayer};
use tempfile::TempDir;

#[derive(Default)]
pub(crate) struct Sink {
    layers: Mutex<BTreeSet<LayerDigest>>,
    /// How many streams it was given.
    pub(crate) unpacked: Mutex<usize>,
}

impl LayerSink for Sink {
    fn unpack(
        &self,
        source: &mut dyn Read,
        expected: Option<LayerDigest>,
    ) -> Result<UnpackedLayer, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Layer(error.to_string());
        *self.unpacked.lock().unwrap() += 1;
        let mut packed = Vec::new();
        source.read_to_end(&mut packed).map_err(|error| failed(&error))?;
        let mut plain = Vec::new();
        Decompressor::new(packed.as_slice())
            .map_err(|error| failed(&error))?
            .read_to_end(&mut plain)
            .map_err(|error| failed(&error))?;
        let limits = Limits { entries: 1000, bytes: 1 << 30 };
        let mut tar = TarReader::new(plain.as_slice(), limits);
        while tar.next_entry().map_err(|error| failed(&error))?.is_some() {}
        let id = Digest::of(&plain);
        if expected.is_some_and(|expected| expected != id) {
            return Err(Error::Layer("another digest".to_owned()));
        }
        let known = !self.layers.lock().unwrap().insert(id);
        Ok(UnpackedLayer {
            id,
            digest: Digest::of(&packed),
            packed_bytes: packed.len() as u64,
            bytes: tar.content_bytes(),
            entries: tar.entries(),
            known,
        })
    }

    fn has(&self, id: &LayerDigest) -> bool {
        self.layers.lock().unwrap().contains(id)
    }
}

impl Sink {
    pub(crate) fn layers(&self) -> Vec<LayerDigest> {
        self.layers.lock().unwrap().iter().copied().collect()
    }

    /// Delete what the store does not need.
    pub(crate) fn collect(&self, store: &ImageStore) -> Vec<LayerDigest> {
        store.collect_layers(&mut |id| self.layers.lock().unwrap().remove(id)).unwrap()
    }
}

/// A store of its own, and a sink.
pub(crate) fn fresh() -> (TempDir, ImageStore, Sink) {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    (directory, store, Sink::default())
}
