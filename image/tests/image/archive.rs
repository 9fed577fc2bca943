//! Makes archives as `docker save` does, and images in the store without one.

use std::io::Write;

use bulkhead_archive::{Entry, Kind, TarWriter, Time};
use bulkhead_image::{Digest, ImageId, ImageStore, NewImage, Reference};
use serde_json::{Value, json};

use crate::sink::Sink;

pub(crate) fn entry(kind: Kind, path: &str) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        link: Vec::new(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Time::default(),
        major: 0,
        minor: 0,
        xattrs: Vec::new(),
    }
}

/// A tar of files, in order.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (path, contents) in files {
        writer.append(&entry(Kind::Regular, path), contents).unwrap();
    }
    writer.finish().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer with one file.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    tar(&[("file", content.as_bytes())])
}

/// A configuration for these layers.
pub(crate) fn config(layers: &[&[u8]], extra: Value) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let mut config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let fields = extra.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(fields);
    serde_json::to_vec(&config).unwrap()
}

/// What `docker save` wrote before version 25: manifest last, layers in directories.
pub(crate) fn docker_archive(config: &[u8], layers: &[&[u8]], tags: &[&str]) -> Vec<u8> {
    let config_name = format!("{}.json", Digest::of(config).hex());
    let names: Vec<String> = layers
        .iter()
        .map(|layer| format!("{}/layer.tar", Digest::of(&[layer, &b"v1"[..]].concat()).hex()))
        .collect();
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().zip(layers).map(|(name, layer)| (name.as_str(), *layer)).collect();
    files.push((&config_name, config));
    files.push(("manifest.json", &manifest));
    tar(&files)
}

/// An OCI layout in the making: blobs by digest.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Layout {
    /// Add a blob; answers its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let name = format!("blobs/sha256/{}", digest.hex());
        if !self.files.iter().any(|(have, _)| *have == name) {
            self.files.push((name, bytes.to_vec()));
        }
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    /// Add an image; answers its manifest's descriptor.
    pub(crate) fn image(&mut self, config: &[u8], layers: &[&[u8]]) -> Value {
        let config = self.blob("application/vnd.oci.image.config.v1+json", config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers
        });
        self.blob(media_type, &serde_json::to_vec(&manifest).unwrap())
    }

    /// Add an index of these; answers its descriptor.
    pub(crate) fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        let media_type = "application/vnd.oci.image.index.v1+json";
        self.blob(media_type, &serde_json::to_vec(&index).unwrap())
    }

    pub(crate) fn finish(mut self, manifests: &[Value]) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.files.push(("index.json".to_owned(), serde_json::to_vec(&index).unwrap()));
        self.files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        let files: Vec<(&str, &[u8])> =
            self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        tar(&files)
    }
}

/// Put an image into the store.
pub(crate) fn add(
    store: &ImageStore,
    sink: &Sink,
    layers: &[&str],
    extra: Value,
    names: &[&str],
) -> ImageId {
    add_child(store, sink, layers, extra, names, None)
}

/// The same, made from another.
pub(crate) fn add_child(
    store: &ImageStore,
    sink: &Sink,
    layers: &[&str],
    extra: Value,
    names: &[&str],
    parent: Option<ImageId>,
) -> ImageId {
    let layers: Vec<Vec<u8>> = layers.iter().map(|content| layer(content)).collect();
    let held: Vec<_> = layers
        .iter()
        .map(|layer| store.unpack(sink, &mut layer.as_slice(), None).unwrap())
        .collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let config = config(&layers, extra);
    let names: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
    let id = store.add(&NewImage { config: &config, parent, names: &names }).unwrap();
    drop(held);
    id
}
