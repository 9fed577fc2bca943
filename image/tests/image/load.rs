use bulkhead_archive::{Kind, TarWriter};
use bulkhead_image::{
    Digest, Error, ErrorKind, ImageStore, LoadProgress, LoadedImage, Platform, load,
};
use serde_json::{Value, json};

use crate::archive::{Layout, config, docker_archive, entry, gzip, layer, tar};
use crate::sink::{Sink, fresh};

fn load_all(archive: &[u8], store: &ImageStore, sink: &Sink) -> Result<Vec<LoadedImage>, Error> {
    let platform: Platform = "linux/amd64".parse().unwrap();
    load(&mut &*archive, sink, store, &platform, &mut |_| {})
}

fn names(loaded: &[LoadedImage]) -> Vec<String> {
    loaded.iter().flat_map(|image| &image.names).map(ToString::to_string).collect()
}

/// The archive is refused for this reason, and after collecting nothing of it is left.
#[track_caller]
fn refused(archive: &[u8], words: &str) {
    let (_directory, store, sink) = fresh();
    let error = load_all(archive, &store, &sink).unwrap_err();
    let chain = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    assert!(chain.contains(words), "{chain:?} does not say {words:?}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(store.count().unwrap(), 0);
    sink.collect(&store);
    assert!(sink.layers().is_empty());
}

#[test]
fn what_docker_saved_before_version_25_is_loaded() {
    let (_directory, store, sink) = fresh();
    let (one, two) = (layer("1"), layer("2"));
    let config = config(&[&one, &two], json!({"config": {"Cmd": ["sh"]}}));
    let archive = docker_archive(&config, &[&one, &two], &["app:1", "quay.io/app:2"]);
    let mut progress = Vec::new();
    let platform = Platform::host();
    let loaded =
        load(&mut archive.as_slice(), &sink, &store, &platform, &mut |step| progress.push(step))
            .unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].id, Digest::of(&config));
    assert_eq!(names(&loaded), ["app:1", "quay.io/app:2"]);
    assert_eq!(store.config_bytes(&loaded[0].id).unwrap(), config);
    assert_eq!(store.image(&loaded[0].id).unwrap().repo_tags, ["app:1", "quay.io/app:2"]);
    let done = progress.iter().filter(|step| matches!(step, LoadProgress::LayerDone { .. }));
    assert_eq!(done.count(), 2);
    assert!(sink.collect(&store).is_empty());
}

#[test]
fn the_manifest_may_come_first_and_the_archive_may_be_compressed() {
    let one = layer("1");
    let config = config(&[&one], json!({}));
    let manifest = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["l/layer.tar"]}]);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let archive =
        tar(&[("manifest.json", &manifest), ("./c.json", &config), ("l/layer.tar", &gzip(&one))]);
    for archive in [gzip(&archive), zstd::encode_all(archive.as_slice(), 1).unwrap(), archive] {
        let (_directory, store, sink) = fresh();
        let loaded = load_all(&archive, &store, &sink).unwrap();
        assert_eq!(loaded[0].id, Digest::of(&config));
        assert!(loaded[0].names.is_empty());
    }
}

#[test]
fn layers_that_are_links_to_layers_are_found() {
    let one = layer("1");
    let config = config(&[&one, &one], json!({}));
    let manifest = json!([{"Config": "c.json", "RepoTags": ["a:b"], "Layers": ["x/layer.tar", "y/layer.tar"]}]);
    for (kind, target) in [(Kind::Symlink, "../x/layer.tar"), (Kind::HardLink, "x/layer.tar")] {
        let mut writer = TarWriter::new(Vec::new());
        let link = bulkhead_archive::Entry { link: target.into(), ..entry(kind, "y/layer.tar") };
        writer.append(&link, b"").unwrap();
        writer.append(&entry(Kind::Regular, "x/layer.tar"), &one).unwrap();
        writer.append(&entry(Kind::Regular, "c.json"), &config).unwrap();
        let manifest = serde_json::to_vec(&manifest).unwrap();
        writer.append(&entry(Kind::Regular, "manifest.json"), &manifest).unwrap();
        let (_directory, store, sink) = fresh();
        load_all(&writer.finish().unwrap(), &store, &sink).unwrap();
        assert_eq!(*sink.unpacked.lock().unwrap(), 1);
    }
}

#[test]
fn an_oci_layout_gives_the_image_for_the_platform() {
    let layers = [layer("amd64"), layer("arm64")];
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let configs =
        [config(&[&layers[0]], json!({})), config(&[&layers[1]], json!({"architecture": "arm64"}))];
    let mut layout = Layout::default();
    let platform = |mut descriptor: Value, architecture: &str| {
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    };
    let amd64 = platform(layout.image(&configs[0], &[&packed[0]]), "amd64");
    let arm64 = platform(layout.image(&configs[1], &[&packed[1]]), "arm64");
    let mut attestation = layout.blob("application/vnd.oci.image.manifest.v1+json", b"{}");
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let mut index = layout.index(&[attestation, arm64.clone(), amd64]);
    index["annotations"] = json!({
        "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.ref.name": "1",
    });
    let archive = layout.finish(&[index]);
    let (_directory, store, sink) = fresh();
    let loaded = load_all(&archive, &store, &sink).unwrap();
    assert_eq!(loaded[0].id, Digest::of(&configs[0]));
    assert_eq!(names(&loaded), ["app:1"]);
    assert_eq!(sink.collect(&store), [Digest::of(&layers[1])]);

    let mut progress = |_| {};
    let foreign: Platform = "linux/riscv64".parse().unwrap();
    let none = load(&mut archive.as_slice(), &sink, &store, &foreign, &mut progress).unwrap_err();
    assert!(none.to_string().contains("no image for linux/riscv64"), "{none}");
}

#[test]
fn a_layer_that_is_known_is_checked_but_not_unpacked_again() {
    let (_directory, store, sink) = fresh();
    let plain = layer("1");
    let packed = gzip(&plain);
    let archive = |author: &str| {
        let mut layout = Layout::default();
        let image = layout.image(&config(&[&plain], json!({"author": author})), &[&packed]);
        layout.finish(&[image])
    };
    load_all(&archive("a"), &store, &sink).unwrap();
    load_all(&archive("b"), &store, &sink).unwrap();
    assert_eq!(*sink.unpacked.lock().unwrap(), 1);
    assert_eq!(store.count().unwrap(), 2);
    let mut altered = archive("c");
    let at = altered.windows(3).position(|bytes| bytes == [0x1f, 0x8b, 0x08]).unwrap();
    altered[at + 12] ^= 1;
    assert!(matches!(load_all(&altered, &store, &sink), Err(Error::DigestMismatch { .. })));
}

#[test]
fn several_images_and_a_second_load_of_the_same() {
    let (_directory, store, sink) = fresh();
    let one = layer("1");
    let configs =
        [config(&[&one], json!({"author": "a"})), config(&[&one], json!({"author": "b"}))];
    let manifest = json!([
        {"Config": "a.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]},
        {"Config": "b.json", "RepoTags": ["b:1"], "Layers": ["l.tar"]},
        {"Config": "b.json", "RepoTags": ["b:2"], "Layers": ["l.tar"]},
    ]);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let archive = tar(&[
        ("l.tar", &one),
        ("a.json", &configs[0]),
        ("b.json", &configs[1]),
        ("manifest.json", &manifest),
    ]);
    for _ in 0..2 {
        assert_eq!(load_all(&archive, &store, &sink).unwrap().len(), 2);
    }
    assert_eq!(store.image(&Digest::of(&configs[1])).unwrap().repo_tags, ["b:1", "b:2"]);
}

#[test]
fn d3_names_in_an_archive_are_never_paths() {
    let one = layer("1");
    let config = config(&[&one], json!({}));
    let with = |item: Value| {
        let manifest = serde_json::to_vec(&json!([item])).unwrap();
        tar(&[("c.json", &config), ("l.tar", &one), ("manifest.json", &manifest)])
    };
    for name in ["../../../etc/passwd", "/etc/passwd", "sha256:../../x", &"x".repeat(5000), ""] {
        refused(&with(json!({"Config": name, "Layers": ["l.tar"]})), "is missing");
        refused(&with(json!({"Config": "c.json", "Layers": [name]})), "is missing");
    }
    for tag in ["../../x", "a", "a@sha256:00", "a b:c", &"a".repeat(300), "A:b", ""] {
        let item = json!({"Config": "c.json", "Layers": ["l.tar"], "RepoTags": [tag]});
        let (_directory, store, sink) = fresh();
        assert!(load_all(&with(item), &store, &sink).is_err(), "{tag}");
        assert_eq!(store.count().unwrap(), 0);
    }
    for name in ["../c.json", "/c.json", "a/../../c.json"] {
        refused(&tar(&[(name, &config)]), "bad name");
    }
    let mut writer = TarWriter::new(Vec::new());
    let link = bulkhead_archive::Entry { link: b"../../x".to_vec(), ..entry(Kind::Symlink, "a/b") };
    writer.append(&link, b"").unwrap();
    refused(&writer.finish().unwrap(), "a link out of the archive");
}

#[test]
fn e2_malformed_documents_are_refused_in_words() {
    let one = layer("1");
    for manifest in [
        &b"{}"[..],
        b"[1]",
        b"[",
        b"[{}]",
        br#"[{"Config":1}]"#,
        br#"[{"Config":"c.json","Config":"c.json"}]"#,
    ] {
        refused(&tar(&[("manifest.json", manifest)]), "invalid manifest.json");
    }
    for config in [&b"{"[..], b"{}", b"[]", br#"{"rootfs":{"diff_ids":["sha256:zz"]}}"#] {
        let manifest = br#"[{"Config":"c.json","Layers":["l.tar"]}]"#;
        let archive = tar(&[("manifest.json", manifest), ("c.json", config), ("l.tar", &one)]);
        refused(&archive, "invalid image configuration");
    }
    for index in [&b"{}"[..], br#"{"schemaVersion":1,"manifests":[]}"#, br#"{"schemaVersion":2}"#] {
        refused(&tar(&[("oci-layout", b"{}"), ("index.json", index)]), "invalid manifest");
    }
    refused(&tar(&[("x.json", b"{}")]), "neither manifest.json nor index.json");
    refused(&tar(&[("index.json", b"{}")]), "without oci-layout");
    refused(&tar(&[("manifest.json", b"[]")]), "no image");
    refused(&tar(&[("manifest.json", b"[]"), ("./manifest.json", b"[]")]), "twice");
    refused(b"not an archive at all", "truncated");
}

#[test]
fn e3_documents_with_two_meanings_are_refused() {
    let one = layer("1");
    let mut layout = Layout::default();
    layout.image(&config(&[&one], json!({})), &[&one]);
    let (_, manifest) = layout.files.last().unwrap().clone();
    let mut both: Value = serde_json::from_slice(&manifest).unwrap();
    both["manifests"] = json!([]);
    let descriptor = layout
        .blob("application/vnd.oci.image.manifest.v1+json", &serde_json::to_vec(&both).unwrap());
    refused(&layout.finish(&[descriptor]), "either config and layers, or manifests");

    let mut layout = Layout::default();
    let mut descriptor = layout.image(&config(&[&one], json!({})), &[&one]);
    descriptor["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    refused(&layout.finish(&[descriptor]), "was promised");

    let mut layout = Layout::default();
    let mut descriptor = layout.image(&config(&[&one], json!({})), &[&one]);
    descriptor["size"] = json!(1);
    refused(&layout.finish(&[descriptor]), "is not 1 bytes long");
}

#[test]
fn e4_every_digest_is_checked() {
    let (one, other) = (layer("1"), layer("2"));
    let good = config(&[&one], json!({}));
    // The layer is not the one the configuration means.
    refused(&docker_archive(&good, &[&other], &[]), "invalid diffID for layer 0");
    refused(&docker_archive(&good, &[&one, &other], &[]), "layers length mismatch");
    refused(&docker_archive(&good, &[], &[]), "layers length mismatch");
    // The configuration is not the one its name says.
    let manifest =
        format!(r#"[{{"Config":"{}.json","Layers":["l.tar"]}}]"#, Digest::of(b"x").hex());
    let name = format!("{}.json", Digest::of(b"x").hex());
    let archive = tar(&[(&name, &good), ("l.tar", &one), ("manifest.json", manifest.as_bytes())]);
    refused(&archive, "expected sha256:");
    // Blobs under another's name.
    for content in [&one[..], b"{}"] {
        let name = format!("blobs/sha256/{}", Digest::of(b"x").hex());
        refused(&tar(&[(&name, content)]), "expected sha256:");
    }
}

#[test]
fn d10_archives_that_want_too_much_are_refused() {
    let big = [b"{".to_vec(), vec![b' '; 4 << 20]].concat();
    refused(&tar(&[("manifest.json", &big)]), "larger than 4194304");
    let names: Vec<String> = (0..20).map(|number| format!("{number}.json")).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), &big[..(4 << 20) - 1])).collect();
    refused(&tar(&files), "bytes of JSON");
    let many: Vec<String> = (0..20_001).map(|number| number.to_string()).collect();
    let files: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    refused(&tar(&files), "entries: more than 20000");
    let item = json!({"Config": "c.json", "Layers": vec!["l.tar"; 129]});
    let manifest = serde_json::to_vec(&json!([item])).unwrap();
    refused(&tar(&[("manifest.json", &manifest), ("c.json", b"{}")]), "more than 128 layers");
    // An index that leads to itself cannot be made; one that goes on and on can.
    let mut layout = Layout::default();
    let mut descriptor = layout.image(&config(&[], json!({})), &[]);
    for _ in 0..5 {
        descriptor = layout.index(&[descriptor]);
    }
    refused(&layout.finish(&[descriptor]), "nest deeper");
}

#[test]
fn a_stream_that_breaks_off_leaves_nothing() {
    let one = layer("1");
    let archive = docker_archive(&config(&[&one], json!({})), &[&one], &["a:b"]);
    for cut in [600, 1200, 1600, archive.len() - 1500] {
        let (_directory, store, sink) = fresh();
        assert!(load_all(&archive[..cut], &store, &sink).is_err(), "{cut}");
        assert_eq!(store.count().unwrap(), 0);
        sink.collect(&store);
        assert!(sink.layers().is_empty());
    }
}

#[test]
fn the_empty_layer_of_docker_is_a_layer() {
    let empty = vec![0; 1024];
    let (_directory, store, sink) = fresh();
    let archive = docker_archive(&config(&[&empty], json!({})), &[&empty], &["a:b"]);
    let loaded = load_all(&archive, &store, &sink).unwrap();
    assert_eq!(store.image(&loaded[0].id).unwrap().size, 0);
}
