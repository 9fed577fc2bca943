//! `bulkhead/hello`: an image that is there before anything was pulled, so that a first
//! `docker run bulkhead/hello` proves the whole chain without a network.
//!
//! Its one program is part of this one when built with the feature `embedded-hello` (and
//! `BULKHEAD_HELLO` naming the file); otherwise it is `bulkhead-hello` beside this program.

use bulkhead_archive::{Entry, Kind, TarWriter, Time};
use bulkhead_engine::{Engine, ErrorKind};
use bulkhead_image::Digest;
use serde_json::json;
use std::io::{self, Cursor};

/// The name of the image.
const NAME: &str = "bulkhead/hello:latest";
/// More than this is not our program, in bytes.
#[cfg(not(feature = "embedded-hello"))]
const MAX_PROGRAM_BYTES: u64 = 16 * 1024 * 1024;

/// The program, found but not read: most starts do not need it.
#[derive(Debug)]
pub(crate) enum Program {
    /// In this program.
    #[cfg(feature = "embedded-hello")]
    Embedded(&'static [u8]),
    /// A file beside it, opened before the sandbox closes.
    #[cfg(not(feature = "embedded-hello"))]
    Beside(std::fs::File),
    /// Not there: then there is no such image.
    #[cfg(not(feature = "embedded-hello"))]
    Missing,
}

impl Program {
    /// Find it.
    #[cfg(feature = "embedded-hello")]
    pub(crate) fn find() -> Self {
        Self::Embedded(include_bytes!(env!("BULKHEAD_HELLO")))
    }

    /// Find it.
    #[cfg(not(feature = "embedded-hello"))]
    pub(crate) fn find() -> Self {
        let beside = std::env::current_exe().map(|own| own.with_file_name("bulkhead-hello"));
        match beside.and_then(std::fs::File::open) {
            Ok(file) => Self::Beside(file),
            Err(error) => {
                tracing::debug!("no {NAME}: {error}");
                Self::Missing
            }
        }
    }

    /// Make the image unless there is one of its name. Without it the daemon still serves.
    pub(crate) async fn load_if_missing(self, engine: &Engine) {
        match engine.images().inspect(NAME).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return,
        }
        let archive = match self.read().and_then(|program| archive(program.as_deref())) {
            Ok(Some(archive)) => archive,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("{NAME}: {error}");
                return;
            }
        };
        if let Err(error) = engine.images().load(Box::new(Cursor::new(archive))).await {
            tracing::warn!("{NAME}: {}", crate::chain(&error));
        }
    }

    fn read(self) -> io::Result<Option<Vec<u8>>> {
        match self {
            #[cfg(feature = "embedded-hello")]
            Self::Embedded(program) => Ok(Some(program.to_vec())),
            #[cfg(not(feature = "embedded-hello"))]
            Self::Beside(file) => {
                use io::Read as _;
                let mut program = Vec::new();
                file.take(MAX_PROGRAM_BYTES).read_to_end(&mut program)?;
                Ok(Some(program))
            }
            #[cfg(not(feature = "embedded-hello"))]
            Self::Missing => Ok(None),
        }
    }
}

/// The image as `docker save` would write it. The same program makes the same image: its dates are
/// the epoch.
fn archive(program: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
    let Some(program) = program else { return Ok(None) };
    let layer = tar(&[("hello", 0o755, program)])?;
    let config = json!({
        "architecture": crate::routes::architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Cmd": ["/hello"], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "bulkhead"}],
    });
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": [NAME],
        "Layers": ["layer.tar"],
    }]);
    let archive = tar(&[
        ("manifest.json", 0o644, manifest.to_string().as_bytes()),
        ("config.json", 0o644, config.to_string().as_bytes()),
        ("layer.tar", 0o644, &layer),
    ])?;
    Ok(Some(archive))
}

fn tar(files: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, mode, contents) in files {
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            link: Vec::new(),
            kind: Kind::Regular,
            mode: *mode,
            uid: 0,
            gid: 0,
            size: contents.len() as u64,
            mtime: Time::default(),
            major: 0,
            minor: 0,
            xattrs: Vec::new(),
        };
        tar.append(&entry, contents)?;
    }
    tar.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_archive::{Limits, TarReader};
    use std::io::Read as _;

    #[test]
    fn the_image_is_an_archive_that_docker_save_would_write() {
        let archive = archive(Some(b"program")).unwrap().unwrap();
        let limits = Limits { entries: 8, bytes: 1 << 20 };
        let mut entries = TarReader::new(Cursor::new(&archive), limits);
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().unwrap() {
            let mut contents = Vec::new();
            entries.read_to_end(&mut contents).unwrap();
            files.push((String::from_utf8(entry.path).unwrap(), contents));
        }
        let [manifest, config, layer] = &files[..] else { panic!("{files:?}") };
        assert_eq!((manifest.0.as_str(), layer.0.as_str()), ("manifest.json", "layer.tar"));
        let config = String::from_utf8_lossy(&config.1);
        assert!(config.contains(&Digest::of(&layer.1).to_string()), "{config}");
    }

    #[test]
    fn the_same_program_makes_the_same_image() {
        assert_eq!(archive(Some(b"x")).unwrap(), archive(Some(b"x")).unwrap());
        assert_eq!(archive(None).unwrap(), None);
    }
}
