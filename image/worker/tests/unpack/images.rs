//! Whole images that skopeo and podman write are loaded, their layers unpacked by the worker.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use bulkhead_image::{
    Digest, Error, ImageStore, LayerDigest, LayerSink, Platform, UnpackedLayer, load,
};
use serde_json::json;

use crate::program::{Run, run};
use crate::tarball::Tarball;
use crate::tree::names;

/// Hands every layer to a worker, as the shim does.
#[derive(Default)]
struct Workers(Mutex<BTreeMap<LayerDigest, Run>>);

impl LayerSink for Workers {
    fn unpack(
        &self,
        source: &mut dyn Read,
        _expected: Option<LayerDigest>,
    ) -> Result<UnpackedLayer, Error> {
        let run = run(&["unpack", "1000000000"], &[], |mut stdin| {
            std::io::copy(source, &mut stdin).unwrap();
        });
        if !run.status.success() {
            return Err(Error::Layer(run.line));
        }
        let unpacked = run.unpacked();
        let id = Digest::from_hex(&unpacked.diff_id).unwrap();
        let layer = UnpackedLayer {
            id,
            digest: Digest::from_hex(&unpacked.digest).unwrap(),
            packed_bytes: unpacked.packed_bytes,
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            known: self.0.lock().unwrap().insert(id, run).is_some(),
        };
        Ok(layer)
    }

    fn has(&self, id: &LayerDigest) -> bool {
        self.0.lock().unwrap().contains_key(id)
    }
}

fn tool(program: &str, arguments: &[&str], directory: &Path) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// An image of two layers with the host's static busybox, as `docker save` wrote it.
fn busybox(directory: &Path) -> Digest {
    let busybox = fs::read("/bin/busybox").unwrap();
    let program = bulkhead_archive::Entry {
        mode: 0o755,
        ..crate::tarball::entry(bulkhead_archive::Kind::Regular, "bin/busybox")
    };
    let layers = [
        Tarball::new()
            .directory("bin")
            .with_contents(&program, &busybox)
            .symlink("bin/sh", "busybox")
            .file("etc/removed", "x")
            .bytes(),
        Tarball::new().directory("etc").file("etc/.wh.removed", "").file("etc/added", "y").bytes(),
    ];
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({
        "architecture": Platform::host().architecture, "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "one"}, {"created_by": "two"}],
    });
    let config = serde_json::to_string(&config).unwrap();
    let id = Digest::of(config.as_bytes());
    let manifest = json!([{
        "Config": format!("{}.json", id.hex()), "RepoTags": ["localhost/box:1"],
        "Layers": ["1/layer.tar", "2/layer.tar"],
    }]);
    let archive = Tarball::new()
        .file(&format!("{}.json", id.hex()), &config)
        .with_contents(
            &crate::tarball::entry(bulkhead_archive::Kind::Regular, "1/layer.tar"),
            &layers[0],
        )
        .with_contents(
            &crate::tarball::entry(bulkhead_archive::Kind::Regular, "2/layer.tar"),
            &layers[1],
        )
        .file("manifest.json", &manifest.to_string())
        .bytes();
    fs::write(directory.join("ours.tar"), archive).unwrap();
    id
}

/// Load it and look at both layers.
fn loads(archive: &Path) -> (Digest, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    let workers = Workers::default();
    let mut file = fs::File::open(archive).unwrap();
    let loaded = load(&mut file, &workers, &store, &Platform::host(), &mut |_| {}).unwrap();
    assert_eq!(loaded.len(), 1);
    let image = store.image(&loaded[0].id).unwrap();
    let run = image.config.config.unwrap();
    assert_eq!(run.cmd.unwrap(), ["/bin/sh"]);
    let layers = workers.0.lock().unwrap();
    let roots: Vec<Vec<String>> =
        image.config.rootfs.diff_ids.iter().map(|id| names(&layers[id].root)).collect();
    assert_eq!(roots[0], ["bin", "bin/busybox", "bin/sh", "etc", "etc/removed"]);
    assert_eq!(roots[1], ["etc", "etc/added", "etc/removed"]);
    (loaded[0].id, image.repo_tags)
}

#[test]
fn images_of_skopeo_are_loaded_from_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let id = busybox(directory.path());
    let ours = directory.path().join("ours.tar");
    assert_eq!(loads(&ours), (id, vec!["localhost/box:1".to_owned()]));
    let copy = |to: &str, compression: &[&str]| {
        let arguments = ["--insecure-policy", "copy", "docker-archive:ours.tar", to];
        tool("skopeo", &[&arguments[..], compression].concat(), directory.path());
    };
    copy("docker-archive:docker.tar:localhost/box:2", &[]);
    let (copied, tags) = loads(&directory.path().join("docker.tar"));
    assert_eq!((copied, tags), (id, vec!["localhost/box:2".to_owned()]));
    copy("oci-archive:oci.tar:localhost/box:3", &[]);
    let (_, tags) = loads(&directory.path().join("oci.tar"));
    assert_eq!(tags, ["localhost/box:3"]);
    copy("oci:zstd:tag", &["--dest-compress", "--dest-compress-format", "zstd"]);
    tool("tar", &["-C", "zstd", "-czf", "zstd.tar.gz", "."], directory.path());
    let (_, tags) = loads(&directory.path().join("zstd.tar.gz"));
    assert!(tags.is_empty(), "a tag alone names no repository");
}

#[test]
fn images_that_podman_saved_are_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let id = busybox(directory.path());
    // Or it leaves its locks in /dev/shm.
    fs::write(directory.path().join("podman.conf"), "[engine]\nlock_type = \"file\"\n").unwrap();
    let podman = |arguments: &[&str]| {
        let own =
            ["CONTAINERS_CONF=podman.conf", "podman", "--root", "storage", "--runroot", "run"];
        let further = ["--tmpdir", "run", "--storage-driver", "vfs"];
        tool("env", &[&own[..], &further, arguments].concat(), directory.path());
    };
    podman(&["load", "-q", "-i", "ours.tar"]);
    for format in ["docker-archive", "oci-archive"] {
        let file = format!("{format}.tar");
        podman(&["save", "-q", "--format", format, "-o", &file, "localhost/box:1"]);
        let (loaded, tags) = loads(&directory.path().join(&file));
        assert_eq!(tags, ["localhost/box:1"]);
        assert!(format == "oci-archive" || loaded == id);
    }
}
