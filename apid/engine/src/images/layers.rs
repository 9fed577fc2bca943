//! Layers: streamed to the shim, whose worker unpacks them, and deleted through it.

use crate::error::EngineError;
use crate::shim_client::{ShimClient, ShimError};
use bulkhead_image::{Digest, Error, ImageStore, LayerDigest, LayerSink, UnpackedLayer};
use bulkhead_proto::{LayerId, ListLayersRequest, PAGE, Refusal, Reply, Request, UnpackRequest};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// How much is copied at once: what a pipe holds.
const PIECE_BYTES: usize = 64 << 10;

/// The layers that the shim keeps. All methods block: never on a thread that runs tasks.
#[derive(Debug)]
pub(super) struct Layers {
    shim: ShimClient,
    runtime: Handle,
    /// Those known to be there. One that is missing here is only unpacked once more.
    there: Mutex<BTreeSet<LayerDigest>>,
}

impl Layers {
    pub(super) fn new(shim: ShimClient, runtime: Handle) -> Self {
        Self { shim, runtime, there: Mutex::default() }
    }

    /// Which there are.
    pub(super) fn list(&self) -> Result<Vec<LayerDigest>, ShimError> {
        self.there().clear();
        let mut all: Vec<LayerId> = Vec::new();
        loop {
            let request = ListLayersRequest { after: all.last().copied() };
            let Reply::Layers { layers } = self.call(Request::ListLayers(request))? else {
                return Err(ShimError::Unexpected);
            };
            let last = layers.len() < PAGE;
            all.extend(layers.into_vec());
            if last {
                break;
            }
        }
        let all: Vec<_> = all.iter().map(|id| Digest::from_bytes(*id.as_bytes())).collect();
        self.there().extend(&all);
        Ok(all)
    }

    /// Delete those that the store has no image for, as far as no container uses them.
    pub(super) fn collect(&self, store: &ImageStore) -> Result<(), Error> {
        let mut reachable = true;
        let deleted = store.collect_layers(&mut |id| {
            self.there().remove(id);
            if !reachable {
                return false;
            }
            match self.call(Request::RemoveLayer(LayerId::from_bytes(*id.as_bytes()))) {
                Ok(Reply::Done) | Err(ShimError::Refused(Refusal::NotFound { .. })) => true,
                Err(ShimError::Refused(Refusal::InUse { .. })) => {
                    self.there().insert(*id);
                    false
                }
                Ok(_) => false,
                Err(error) => {
                    // The others would wait for it as long, each of them.
                    reachable = !matches!(error, ShimError::Unavailable(_));
                    tracing::warn!("layer {id} was not deleted: {error}");
                    false
                }
            }
        })?;
        if !deleted.is_empty() {
            tracing::info!("{} layers deleted that no image needs", deleted.len());
        }
        Ok(())
    }

    fn call(&self, request: Request) -> Result<Reply, ShimError> {
        self.runtime.block_on(self.shim.call(request, Vec::new())).map(|answer| answer.reply)
    }

    fn there(&self) -> MutexGuard<'_, BTreeSet<LayerDigest>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a load or import sends its layers.
pub(super) struct ShimSink<'a> {
    layers: &'a Layers,
    store: &'a ImageStore,
}

impl<'a> ShimSink<'a> {
    pub(super) fn new(layers: &'a Layers, store: &'a ImageStore) -> Self {
        Self { layers, store }
    }
}

impl LayerSink for ShimSink<'_> {
    fn unpack(
        &self,
        source: &mut dyn Read,
        expected: Option<LayerDigest>,
    ) -> Result<UnpackedLayer, Error> {
        let (far, near) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| Error::Io { what: "pipe2".to_owned(), source: error.into() })?;
        let expected = expected.map(|id| LayerId::from_bytes(*id.as_bytes()));
        let request = Request::UnpackLayer(UnpackRequest { expected, max_bytes: None });
        let shim = self.layers.shim.clone();
        // The far end goes away with it: a write fails with `EPIPE` once the worker has ended.
        let answer = self.layers.runtime.spawn(async move { shim.call(request, vec![far]).await });
        let mut near = File::from(near);
        let copied = copy(source, &mut near);
        // The end of the stream.
        drop(near);
        let answer = self.layers.runtime.block_on(answer).map_err(|_broken| ShimError::Unexpected);
        let reply = answer.flatten().map_err(failed)?.reply;
        let Reply::Unpacked { layer } = reply else {
            return Err(failed(ShimError::Unexpected));
        };
        let layer = unpacked(&layer);
        if let Err(error) = copied {
            // Cut short where a tar stream may end, it is a layer all the same: for `collect`.
            self.store.reconcile_layers(&[layer.id])?;
            return Err(error);
        }
        self.layers.there().insert(layer.id);
        Ok(layer)
    }

    fn has(&self, id: &LayerDigest) -> bool {
        self.layers.there().contains(id)
    }
}

/// To the end of `source`, or until nobody reads; the shim's answer says why then.
///
/// # Errors
/// `source` cannot be read: its sender is gone.
fn copy(source: &mut dyn Read, pipe: &mut File) -> Result<(), Error> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Io { what: "read a layer".to_owned(), source }),
        };
        if let Err(source) = pipe.write_all(buffer.get(..count).unwrap_or_default()) {
            return Err(Error::Io { what: "send a layer to be unpacked".to_owned(), source });
        }
    }
}

fn unpacked(layer: &bulkhead_proto::UnpackedLayer) -> UnpackedLayer {
    UnpackedLayer {
        id: Digest::from_bytes(*layer.id.as_bytes()),
        digest: Digest::from_bytes(layer.digest),
        packed_bytes: layer.packed_bytes,
        bytes: layer.bytes,
        entries: layer.entries,
        known: layer.known,
    }
}

/// What the shim says of the layer itself is the archive's fault; the rest keeps its kind, see
/// [`refusal`].
fn failed(error: ShimError) -> Error {
    if let ShimError::Refused(Refusal::Invalid { what }) = &error {
        return Error::Layer(what.to_string());
    }
    Error::Io { what: "have a layer unpacked".to_owned(), source: io::Error::other(error) }
}

/// The shim's answer, if it is the cause.
pub(super) fn refusal(error: &Error) -> Option<EngineError> {
    let Error::Io { source, .. } = error else { return None };
    let text = format!("{error}: {source}");
    match source.get_ref()?.downcast_ref::<ShimError>()? {
        ShimError::Refused(refusal) => Some(refusal.clone().into()),
        ShimError::Unavailable(_) => Some(EngineError::unavailable(text)),
        ShimError::TooLarge | ShimError::Unexpected | ShimError::Io(_) => {
            Some(EngineError::internal(text))
        }
    }
}
