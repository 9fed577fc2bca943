//! The list of images that `docker save` writes: `manifest.json` (moby `image/tarexport`).

use serde::Deserialize;

use super::{Contents, Found};
use crate::config::MAX_LAYERS;
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;

/// One image. `LayerSources` and `Parent` are not needed: layers are known by digest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

pub(super) fn images(contents: &Contents) -> Result<Vec<Found<'_>>, Error> {
    let items: Vec<Item> = serde_json::from_slice(contents.json("manifest.json")?)
        .map_err(|error| Error::Document { what: "manifest.json", why: error.to_string() })?;
    items.into_iter().map(|item| image(contents, item)).collect()
}

fn image(contents: &Contents, item: Item) -> Result<Found<'_>, Error> {
    let config = contents.json(&item.config)?;
    let file = item.config.rsplit('/').next().unwrap_or_default();
    if let Ok(expected) = Digest::from_hex(file.strip_suffix(".json").unwrap_or(file)) {
        let actual = Digest::of(config);
        if actual != expected {
            return Err(Error::DigestMismatch { what: item.config, expected, actual });
        }
    }
    let layers = item.layers.unwrap_or_default();
    if layers.len() > MAX_LAYERS {
        return Err(Error::Archive(format!("more than {MAX_LAYERS} layers")));
    }
    let layers = layers.iter().map(|name| contents.layer(name)).collect::<Result<_, _>>()?;
    let names = item.repo_tags.unwrap_or_default();
    let names = names.iter().map(|name| tagged(name)).collect::<Result<_, _>>()?;
    Ok(Found { config, layers, names })
}

/// Docker takes names with a tag only (`invalid tag "busybox"`).
fn tagged(name: &str) -> Result<Reference, Error> {
    let reference: Reference = name.parse()?;
    if reference.tag().is_none() || reference.digest().is_some() {
        return Err(Error::Archive(format!("invalid tag {name:?}")));
    }
    Ok(reference)
}
