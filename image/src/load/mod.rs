//! `docker load`: an archive with layers, configurations and a list of images, read in one pass.
//!
//! Archives come as a stream, and what says which blob is a layer often comes last. So a blob is
//! known by its content: what begins like a tar archive or compressed data is a layer and goes to
//! the sink as it streams; what begins like JSON is kept in memory, within limits. At the end the
//! list of images is read and everything is matched by digest:
//!
//! ```text
//! configuration bytes -> image id       (must be the file's name, where that is a digest)
//! layer as unpacked   -> diffID         (must be what the configuration says)
//! layer as it came    -> blob digest    (must be the file's name, where that is a digest)
//! ```
//!
//! Names in the archive are keys of a table in memory, never paths.

mod docker;
mod intake;
mod layout;

use std::collections::BTreeMap;
use std::io::Read;

use crate::config::ImageConfig;
use crate::digest::{Digest, ImageId};
use crate::error::Error;
use crate::manifest::Platform;
use crate::reference::Reference;
use crate::sink::LayerSink;
use crate::store::{HeldLayer, ImageStore, NewImage};

/// The most images of one archive.
const MAX_IMAGES: usize = 256;

/// What happens, for progress bars.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadProgress {
    /// Bytes of a layer have been read.
    Layer {
        /// The layer's name in the archive, shortened as Docker does.
        name: String,
        /// So many.
        current: u64,
        /// Of so many.
        total: u64,
    },
    /// A layer is done.
    LayerDone {
        /// Its name in the archive, shortened as Docker does.
        name: String,
    },
}

/// One image of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedImage {
    /// Its id.
    pub id: ImageId,
    /// The names it was given.
    pub names: Vec<Reference>,
}

/// Load all images of an archive: what `docker save` writes (both of its formats), or a tar of an
/// OCI image layout; plain or compressed with gzip or zstd.
///
/// An index is searched for `platform`; an archive that names images directly gives all of them.
/// Blocks for as long as the stream takes. On an error no image has been added; layers that were
/// unpacked by then are for [`ImageStore::collect_layers`].
///
/// # Errors
/// The archive is malformed or breaks a limit; a digest is not what it should be; the sink fails.
pub fn load(
    reader: &mut dyn Read,
    sink: &dyn LayerSink,
    store: &ImageStore,
    platform: &Platform,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Vec<LoadedImage>, Error> {
    let contents = intake::read(reader, sink, store, progress)?;
    let found = if contents.has("manifest.json") {
        docker::images(&contents)?
    } else if contents.has("index.json") {
        layout::images(&contents, platform)?
    } else {
        return Err(Error::Archive("neither manifest.json nor index.json is in it".to_owned()));
    };
    if found.is_empty() {
        return Err(Error::Archive(format!("no image for {platform} is in it")));
    }
    if found.len() > MAX_IMAGES {
        return Err(Error::Archive(format!("more than {MAX_IMAGES} images")));
    }
    // All are checked before the first is added.
    for image in &found {
        image.check()?;
    }
    let mut loaded: BTreeMap<ImageId, Vec<Reference>> = BTreeMap::new();
    for image in &found {
        let new = NewImage { config: image.config, parent: None, names: &image.names };
        let id = store.add(&new)?;
        loaded.entry(id).or_default().extend(image.names.iter().cloned());
    }
    Ok(loaded.into_iter().map(|(id, names)| LoadedImage { id, names }).collect())
}

/// An image found in an archive, its parts still in [`Contents`].
struct Found<'a> {
    config: &'a [u8],
    layers: Vec<&'a HeldLayer>,
    names: Vec<Reference>,
}

impl Found<'_> {
    /// The layers are those that the configuration names.
    fn check(&self) -> Result<(), Error> {
        let config = ImageConfig::parse(self.config)?;
        let expected = &config.rootfs.diff_ids;
        if expected.len() != self.layers.len() {
            return Err(Error::Archive(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                expected.len(),
                self.layers.len()
            )));
        }
        for ((expected, layer), number) in expected.iter().zip(&self.layers).zip(0..) {
            let actual = layer.layer().id;
            if actual != *expected {
                let what = format!("invalid diffID for layer {number}");
                return Err(Error::DigestMismatch { what, expected: *expected, actual });
            }
        }
        Ok(())
    }
}

/// What an archive holds, by name.
#[derive(Default)]
struct Contents {
    files: BTreeMap<String, Part>,
}

enum Part {
    /// A JSON file.
    Json(Vec<u8>),
    /// A layer; it stays in the root's store for as long as this does.
    Layer(HeldLayer),
    /// Another name of a file, with its directory applied.
    Link(String),
    /// Nothing that we read.
    Other,
}

/// Links of old archives lead to files, not to links.
const MAX_LINKS: usize = 8;

impl Contents {
    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn get(&self, name: &str) -> Result<&Part, Error> {
        let mut part = self.files.get(name);
        for _ in 0..MAX_LINKS {
            match part {
                Some(Part::Link(target)) => part = self.files.get(target),
                Some(found) => return Ok(found),
                None => return Err(Error::Archive(format!("{name:?} is missing"))),
            }
        }
        Err(Error::Archive(format!("too many links from {name:?}")))
    }

    fn json(&self, name: &str) -> Result<&[u8], Error> {
        match self.get(name)? {
            Part::Json(bytes) => Ok(bytes),
            Part::Layer(_) | Part::Link(_) | Part::Other => {
                Err(Error::Archive(format!("{name:?} is not JSON")))
            }
        }
    }

    fn layer(&self, name: &str) -> Result<&HeldLayer, Error> {
        match self.get(name)? {
            Part::Layer(layer) => Ok(layer),
            Part::Json(_) | Part::Link(_) | Part::Other => {
                Err(Error::Archive(format!("{name:?} is not a layer")))
            }
        }
    }
}

/// The digest in a blob's name: `blobs/sha256/<hex>`.
fn blob_digest(name: &str) -> Option<Digest> {
    Digest::from_hex(name.strip_prefix("blobs/sha256/")?).ok()
}

/// A blob's name.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
