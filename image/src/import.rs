//! `docker import`: a root filesystem becomes an image of one layer. And images made in memory.

use std::io::Read;

use bulkhead_archive::{Entry, Kind, TarWriter, Time};
use jiff::Timestamp;

use crate::change::apply_changes;
use crate::config::{History, ImageConfig, RootFs, RunConfig};
use crate::digest::ImageId;
use crate::error::Error;
use crate::manifest::Platform;
use crate::reference::Reference;
use crate::sink::LayerSink;
use crate::store::{ImageStore, NewImage};

/// What an imported image says of itself.
#[derive(Debug)]
pub struct ImportOptions<'a> {
    /// Instructions as in a Dockerfile: `CMD`, `ENTRYPOINT`, `ENV`, `EXPOSE`, `HEALTHCHECK`,
    /// `LABEL`, `ONBUILD`, `STOPSIGNAL`, `USER`, `VOLUME`, `WORKDIR`.
    pub changes: &'a [String],
    /// A word on it; Docker's default is `Imported from -`.
    pub message: &'a str,
    /// What it is called; without a tag: `latest`. `None`: nothing.
    pub name: Option<&'a Reference>,
    /// What it runs on.
    pub platform: &'a Platform,
}

/// Make an image of one layer from a root filesystem's tar stream, plain or compressed with gzip
/// or zstd. Blocks for as long as the stream takes.
///
/// # Errors
/// [`Error::InvalidArgument`]: a change is malformed; the stream has not been read then. The
/// sink's. On an error no image has been added.
pub fn import(
    reader: &mut dyn Read,
    sink: &dyn LayerSink,
    store: &ImageStore,
    options: &ImportOptions<'_>,
) -> Result<ImageId, Error> {
    let mut run = RunConfig::default();
    apply_changes(&mut run, options.changes)?;
    let layer = store.unpack(sink, reader, None)?;
    let made = now();
    let config = ImageConfig {
        architecture: options.platform.architecture.clone(),
        variant: options.platform.variant.clone(),
        os: options.platform.os.clone(),
        created: Some(made.clone()),
        comment: Some(options.message.to_owned()),
        config: Some(run),
        rootfs: RootFs { diff_ids: vec![layer.layer().id], ..RootFs::default() },
        history: Some(vec![History {
            created: Some(made),
            comment: Some(options.message.to_owned()),
            ..History::default()
        }]),
        ..ImageConfig::default()
    };
    let (_, bytes) = config.encode()?;
    let names = options.name.map(std::slice::from_ref).unwrap_or_default();
    store.add(&NewImage { config: &bytes, parent: None, names })
}

/// A file of an image that is made in memory.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedFile<'a> {
    /// Where, without a slash in front; its directory is made when the name has one.
    pub path: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub contents: &'a [u8],
}

/// Make an image of one layer from files in memory, such as the engine's own `hello`. The same
/// files make the same image: its dates are the epoch.
///
/// # Errors
/// The sink's and the store's.
pub fn build_single_layer_image(
    sink: &dyn LayerSink,
    store: &ImageStore,
    files: &[EmbeddedFile<'_>],
    run: RunConfig,
    name: &Reference,
) -> Result<ImageId, Error> {
    let tar = write_tar(files).map_err(Error::io("write a layer to memory"))?;
    let layer = store.unpack(sink, &mut tar.as_slice(), None)?;
    let platform = Platform::host();
    let made = Some("1970-01-01T00:00:00Z".to_owned());
    let step = "bulkhead: embedded image".to_owned();
    let config = ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        created: made.clone(),
        config: Some(run),
        rootfs: RootFs { diff_ids: vec![layer.layer().id], ..RootFs::default() },
        history: Some(vec![History {
            created: made,
            created_by: Some(step),
            ..History::default()
        }]),
        ..ImageConfig::default()
    };
    let (_, bytes) = config.encode()?;
    store.add(&NewImage { config: &bytes, parent: None, names: std::slice::from_ref(name) })
}

fn write_tar(files: &[EmbeddedFile<'_>]) -> std::io::Result<Vec<u8>> {
    let mut tar = TarWriter::new(Vec::new());
    let mut made: Vec<&str> = Vec::new();
    for file in files {
        for (slash, _) in file.path.match_indices('/') {
            let directory = file.path.get(..slash).unwrap_or_default();
            if !made.contains(&directory) {
                made.push(directory);
                tar.append(&entry(directory, Kind::Directory, 0o755), &[])?;
            }
        }
        tar.append(&entry(file.path, Kind::Regular, file.mode), file.contents)?;
    }
    tar.finish()
}

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        link: Vec::new(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Time::default(),
        major: 0,
        minor: 0,
        xattrs: Vec::new(),
    }
}

/// As Docker writes times: nanoseconds, UTC.
fn now() -> String {
    format!("{:.9}", Timestamp::now())
}
