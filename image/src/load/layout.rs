//! The OCI image layout (image-layout.md): `index.json`, and blobs by digest.

use super::{Contents, Found, blob_name};
use crate::error::Error;
use crate::manifest::{Descriptor, Document, Index, Manifest, Platform};
use crate::reference::Reference;

/// How deep indexes may nest: the layout's own, an image's, and one to spare.
const MAX_DEPTH: usize = 3;

/// containerd and Docker put the full name here.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// OCI's: often a tag alone, sometimes a full name.
const OCI_NAME: &str = "org.opencontainers.image.ref.name";
/// BuildKit's attestations stand in an index beside the images.
const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";

pub(super) fn images<'a>(
    contents: &'a Contents,
    platform: &Platform,
) -> Result<Vec<Found<'a>>, Error> {
    if !contents.has("oci-layout") {
        return Err(Error::Archive("index.json without oci-layout".to_owned()));
    }
    let index = match Document::parse(contents.json("index.json")?, "")? {
        Document::Index(index) => index,
        Document::Manifest(_) => {
            return Err(Error::Archive("index.json is not an index".to_owned()));
        }
    };
    let mut found = Vec::new();
    for entry in candidates(&index, platform) {
        let Some(manifest) = manifest(contents, entry, platform, MAX_DEPTH)? else { continue };
        let layers = manifest.layers.iter().map(|layer| contents.layer(&blob_name(&layer.digest)));
        found.push(Found {
            config: contents.json(&blob_name(&manifest.config.digest))?,
            layers: layers.collect::<Result<_, _>>()?,
            names: name(entry).into_iter().collect(),
        });
    }
    Ok(found)
}

/// Images for the platform; if there are none, and only one image at all, that one: a user who
/// loads an archive of one foreign image means it.
fn candidates<'a>(index: &'a Index, platform: &Platform) -> Vec<&'a Descriptor> {
    let images: Vec<&Descriptor> = index.manifests.iter().filter(|entry| is_image(entry)).collect();
    let fitting: Vec<&Descriptor> = images
        .iter()
        .copied()
        .filter(|entry| entry.platform.as_ref().is_none_or(|has| has.satisfies(platform)))
        .collect();
    if fitting.is_empty() && images.len() == 1 { images } else { fitting }
}

fn is_image(entry: &Descriptor) -> bool {
    let unknown = entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    !unknown && entry.artifact_type.is_none() && entry.annotation(DOCKER_REFERENCE_TYPE).is_none()
}

/// The manifest that an entry leads to, through further indexes; `None`: none for the platform.
fn manifest(
    contents: &Contents,
    entry: &Descriptor,
    platform: &Platform,
    depth: usize,
) -> Result<Option<Manifest>, Error> {
    let bytes = contents.json(&blob_name(&entry.digest))?;
    if bytes.len() as u64 != entry.size {
        return Err(Error::Archive(format!("{} is not {} bytes long", entry.digest, entry.size)));
    }
    match Document::parse(bytes, &entry.media_type)? {
        Document::Manifest(manifest) => Ok(Some(manifest)),
        Document::Index(_) if depth == 0 => {
            Err(Error::Archive(format!("indexes nest deeper than {MAX_DEPTH}")))
        }
        Document::Index(index) => match candidates(&index, platform).first() {
            Some(entry) => manifest(contents, entry, platform, depth - 1),
            None => Ok(None),
        },
    }
}

/// The name an entry gives its image. A word alone is a tag of a repository we do not know.
fn name(entry: &Descriptor) -> Option<Reference> {
    let full = entry.annotation(CONTAINERD_NAME);
    let oci = entry.annotation(OCI_NAME).filter(|name| name.contains(['/', ':']));
    let name: Reference = full.or(oci)?.parse().ok()?;
    Some(name.or_latest()).filter(|name| name.digest().is_none())
}
