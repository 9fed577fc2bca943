//! Images: what they are called, what they are made of, and which of them there are.
//!
//! Nothing here is privileged and nothing touches the network. Layers go through a
//! [`LayerSink`] to whoever may write them.

#![forbid(unsafe_code)]

mod change;
mod config;
mod digest;
mod error;
mod import;
mod load;
mod manifest;
mod reference;
mod sink;
mod store;
mod words;

pub use change::apply_changes;
pub use config::{
    Healthcheck, History, ImageConfig, MAX_JSON_BYTES, MAX_LAYERS, RootFs, RunConfig,
};
pub use digest::{Digest, ImageId, LayerDigest, ParseDigestError, chain_ids};
pub use error::{Conflict, Error, ErrorKind};
pub use import::{EmbeddedFile, ImportOptions, build_single_layer_image, import};
pub use load::{LoadProgress, LoadedImage, load};
pub use manifest::{
    Descriptor, Document, Index, MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_DOCKER_MANIFEST,
    MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Manifest, Platform,
};
pub use reference::{Reference, ReferenceError, is_identifier};
pub use sink::{LayerSink, UnpackedLayer};
pub use store::{
    HeldLayer, HistoryEntry, Image, ImageStore, ImageUser, ListFilter, NewImage, RemovalStep,
    RemoveOptions, Removed, Summary,
};
