//! Small blobs as files, named by their digest and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::MAX_JSON_BYTES;
use crate::digest::Digest;
use crate::error::Error;

/// `blobs/sha256/` below the store's directory.
#[derive(Debug)]
pub(super) struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    pub(super) fn open(store: &Path) -> Result<Self, Error> {
        let directory = store.join("blobs").join("sha256");
        fs::create_dir_all(&directory)
            .map_err(Error::io(format!("mkdir {}", directory.display())))?;
        sync_directory(store)?;
        sync_directory(&store.join("blobs"))?;
        Ok(Self { directory })
    }

    /// Write, sync, rename, sync: the name appears with its whole content or not at all.
    pub(super) fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(digest);
        // A damaged file is written anew.
        if path.exists() && self.read(digest).is_ok() {
            return Ok(());
        }
        let temporary = self.directory.join(format!("{}.tmp", digest.hex()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(Error::io(format!("create {}", temporary.display())))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(Error::io(format!("write {}", path.display())))?;
        sync_directory(&self.directory)
    }

    /// Read a blob that is known to be there.
    pub(super) fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        let file = File::open(&path).map_err(Error::io(format!("open {}", path.display())))?;
        let mut bytes = Vec::new();
        file.take(MAX_JSON_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io(format!("read {}", path.display())))?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::Damaged(format!("{} has another digest", path.display())));
        }
        Ok(bytes)
    }

    /// Delete; done already is no error.
    pub(super) fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("unlink {}", path.display()))(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// All blobs. Temporary files of a crashed write are deleted on the way.
    pub(super) fn list(&self) -> Result<Vec<Digest>, Error> {
        let failed = || Error::io(format!("read {}", self.directory.display()));
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            match name.to_str().map(Digest::from_hex) {
                Some(Ok(digest)) => found.push(digest),
                Some(Err(_)) | None => fs::remove_file(entry.path())
                    .map_err(Error::io(format!("unlink {}", entry.path().display())))?,
            }
        }
        Ok(found)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::io(format!("fsync {}", path.display())))
}
