//! The one pass over an archive's stream.

use std::io::{self, Read};

use bulkhead_archive::{
    BLOCK_BYTES, Compression, Decompressor, Entry, Kind, Limits, TarReader, is_header,
};
use sha2::{Digest as _, Sha256};

use super::{Contents, LoadProgress, Part, blob_digest};
use crate::config::MAX_JSON_BYTES;
use crate::digest::Digest;
use crate::error::Error;
use crate::sink::LayerSink;
use crate::store::{HeldLayer, ImageStore};

/// The most entries of an archive around layers: files and directories of it, not of layers.
const MAX_ENTRIES: u64 = 20_000;
/// The most bytes of JSON kept in memory.
const MAX_ALL_JSON_BYTES: usize = 64 * 1024 * 1024;
/// How often progress is told, in bytes.
const PROGRESS_STEP_BYTES: u64 = 512 * 1024;

type Tar<'a> = TarReader<Decompressor<&'a mut dyn Read>>;

/// Read an archive to its end.
pub(super) fn read(
    reader: &mut dyn Read,
    sink: &dyn LayerSink,
    store: &ImageStore,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Contents, Error> {
    let limits = Limits { entries: MAX_ENTRIES, bytes: u64::MAX };
    let mut intake = Intake { sink, store, progress, json_bytes: 0 };
    let mut tar = TarReader::new(Decompressor::new(reader)?, limits);
    let mut contents = Contents::default();
    while let Some(entry) = tar.next_entry()? {
        let Some(name) = normal_name(&entry.path)? else { continue };
        let part = match entry.kind {
            Kind::Directory => continue,
            Kind::Regular => intake.file(&mut tar, &entry, &name)?,
            Kind::Symlink => Part::Link(link_target(&name, &entry.link)?),
            Kind::HardLink => Part::Link(normal_name(&entry.link)?.unwrap_or_default()),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                return Err(Error::Archive(format!("{name:?} is a device")));
            }
        };
        if contents.files.insert(name.clone(), part).is_some() {
            return Err(Error::Archive(format!("{name:?} is in it twice")));
        }
    }
    Ok(contents)
}

struct Intake<'a> {
    sink: &'a dyn LayerSink,
    store: &'a ImageStore,
    progress: &'a mut dyn FnMut(LoadProgress),
    json_bytes: usize,
}

impl Intake<'_> {
    fn file(&mut self, tar: &mut Tar<'_>, entry: &Entry, name: &str) -> Result<Part, Error> {
        let mut start = Vec::with_capacity(BLOCK_BYTES);
        tar.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut start).map_err(read_error)?;
        if looks_like_layer(&start)? {
            return self.layer(tar, &start, entry, name).map(Part::Layer);
        }
        if !looks_like_json(&start) {
            return Ok(Part::Other);
        }
        if entry.size > MAX_JSON_BYTES as u64 {
            return Err(Error::Archive(format!("{name:?} is larger than {MAX_JSON_BYTES} bytes")));
        }
        let mut bytes = start;
        tar.read_to_end(&mut bytes).map_err(read_error)?;
        self.json_bytes += bytes.len();
        if self.json_bytes > MAX_ALL_JSON_BYTES {
            let why = format!("more than {MAX_ALL_JSON_BYTES} bytes of JSON");
            return Err(Error::Archive(why));
        }
        if let Some(expected) = blob_digest(name) {
            check(name, expected, Digest::of(&bytes))?;
        }
        Ok(Part::Json(bytes))
    }

    /// Hand a layer to the sink; or, if its packed form is known, only check that form's digest.
    fn layer(
        &mut self,
        tar: &mut Tar<'_>,
        start: &[u8],
        entry: &Entry,
        name: &str,
    ) -> Result<HeldLayer, Error> {
        let shown = shown(name);
        let mut source = Progress {
            source: start.chain(tar),
            name: &shown,
            total: entry.size,
            current: 0,
            told: 0,
            tell: self.progress,
        };
        let expected = blob_digest(name);
        let known = match &expected {
            Some(packed) => self.store.layer_by_packed_digest(self.sink, packed)?,
            None => None,
        };
        let (layer, digest) = match known {
            Some(layer) => (layer, hash(&mut source)?),
            None => {
                let layer = self.store.unpack(self.sink, &mut source, None)?;
                if source.current != entry.size {
                    return Err(Error::Archive(format!("{name:?} was not read to its end")));
                }
                let digest = layer.layer().digest;
                (layer, digest)
            }
        };
        if let Some(expected) = expected {
            check(name, expected, digest)?;
        }
        (self.progress)(LoadProgress::LayerDone { name: shown });
        Ok(layer)
    }
}

/// Tells how far a layer is.
struct Progress<'a, R> {
    source: R,
    name: &'a str,
    total: u64,
    current: u64,
    told: u64,
    tell: &'a mut dyn FnMut(LoadProgress),
}

impl<R: Read> Read for Progress<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.current += read as u64;
        if self.current - self.told >= PROGRESS_STEP_BYTES || self.current == self.total {
            self.told = self.current;
            let name = self.name.to_owned();
            (self.tell)(LoadProgress::Layer { name, current: self.current, total: self.total });
        }
        Ok(read)
    }
}

/// Compressed data, a tar header, or the empty archive that is Docker's empty layer.
fn looks_like_layer(start: &[u8]) -> Result<bool, Error> {
    if Compression::detect(start)? != Compression::None {
        return Ok(true);
    }
    let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(start) else { return Ok(false) };
    Ok(is_header(block) || block == &[0; BLOCK_BYTES])
}

fn looks_like_json(start: &[u8]) -> bool {
    matches!(start.trim_ascii_start(), [b'{' | b'[', ..])
}

/// A name without `./` and slashes too many; `None`: the top directory.
fn normal_name(path: &[u8]) -> Result<Option<String>, Error> {
    let refused = || Error::Archive(format!("bad name {:?}", String::from_utf8_lossy(path)));
    let text = std::str::from_utf8(path).map_err(|_invalid| refused())?;
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(refused());
    }
    Ok(Some(parts.join("/")).filter(|name| !name.is_empty()))
}

/// Old archives have `<id>/layer.tar` as a link to `../<other id>/layer.tar`.
fn link_target(name: &str, link: &[u8]) -> Result<String, Error> {
    let refused = || {
        let link = String::from_utf8_lossy(link);
        Error::Archive(format!("{name:?} is a link out of the archive, to {link:?}"))
    };
    let link = std::str::from_utf8(link).map_err(|_invalid| refused())?;
    if link.starts_with('/') {
        return Err(refused());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(refused)?;
            }
            other => parts.push(other),
        }
    }
    Ok(parts.join("/"))
}

/// What Docker shows of a layer: 12 digits of what identifies it.
fn shown(name: &str) -> String {
    let id = name.strip_suffix("/layer.tar").unwrap_or(name);
    let id = id.rsplit('/').next().unwrap_or(id);
    id.strip_suffix(".tar").unwrap_or(id).chars().take(12).collect()
}

fn hash(source: &mut dyn Read) -> Result<Digest, Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn check(name: &str, expected: Digest, actual: Digest) -> Result<(), Error> {
    if expected != actual {
        return Err(Error::DigestMismatch { what: format!("{name:?}"), expected, actual });
    }
    Ok(())
}

fn read_error(error: io::Error) -> Error {
    Error::Tar(bulkhead_archive::Error::Read(error))
}
