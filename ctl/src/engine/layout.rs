//! The directories of one engine: where they are, whose they are, what their mode is.
//!
//! Owners and modes are set on descriptors opened without following links, below directories that
//! only root can write.

use std::fs::{self, DirBuilder};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::account::Account;
use crate::failure::Failure;
use crate::flags::Args;

/// The most bytes of a unix socket's path: `sun_path` of unix(7) without the final zero.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Where one engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Configuration.
    pub(super) etc: PathBuf,
    /// Sockets and pid files.
    pub(super) run: PathBuf,
    /// State. Its path names the engine in the kernel.
    pub(super) lib: PathBuf,
    /// What the daemons say.
    pub(super) log: PathBuf,
    /// What `--root` said, absolute; none for the installed engine.
    pub(super) root: Option<PathBuf>,
}

impl Layout {
    /// The engine that `--root` means. With `make`, its directory is made if it is not there.
    pub(super) fn of(args: &Args, make: bool) -> Result<Self, Failure> {
        let Some(root) = args.last("root") else {
            return Ok(Self {
                etc: "/etc/bulkhead".into(),
                run: "/run/bulkhead".into(),
                lib: "/var/lib/bulkhead".into(),
                log: "/var/log/bulkhead".into(),
                root: None,
            });
        };
        let root = Path::new(root);
        let failed = |error| Failure::io(root.display(), &error);
        if make {
            DirBuilder::new().recursive(true).mode(0o755).create(root).map_err(failed)?;
        }
        let root = root.canonicalize().map_err(failed)?;
        if root.parent().is_none() {
            return Err(Failure::new("--root /: an engine needs a directory of its own"));
        }
        Ok(Self {
            etc: root.join("etc"),
            run: root.join("run"),
            lib: root.join("lib"),
            log: root.join("log"),
            root: Some(root),
        })
    }

    /// The API's socket.
    pub(super) fn api_socket(&self) -> PathBuf {
        self.run.join("api/docker.sock")
    }

    /// The shim's socket.
    pub(super) fn shim_socket(&self) -> PathBuf {
        self.run.join("shim/shim.sock")
    }

    /// `--root DIR`, for hints.
    pub(super) fn flag(&self) -> String {
        self.root.as_ref().map_or_else(String::new, |root| format!(" --root {}", root.display()))
    }

    /// Refuse a place whose sockets could not be reached.
    pub(super) fn check_socket_paths(&self) -> Result<(), Failure> {
        for path in [self.api_socket(), self.shim_socket()] {
            let length = path.as_os_str().as_bytes().len();
            if length > MAX_SOCKET_PATH_BYTES {
                return Err(Failure::new(format!(
                    "{} is {length} bytes long, and the path of a unix socket can have \
                     {MAX_SOCKET_PATH_BYTES}: choose a shorter --root",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Make what is missing and set owners and modes.
    pub(super) fn prepare(&self, account: Account) -> Result<(), Failure> {
        if let Some(root) = &self.root {
            only_roots(root)?;
        }
        let root = Account { uid: 0, gid: 0 };
        for (path, owner, mode) in [
            (self.etc.clone(), root, 0o755),
            (self.run.clone(), root, 0o755),
            (self.run.join("shim"), root, 0o711),
            (self.run.join("monitors"), root, 0o700),
            (self.run.join("api"), account, 0o755),
            (self.lib.clone(), root, 0o711),
            (self.lib.join("shim"), root, 0o700),
            (self.lib.join("apid"), account, 0o700),
            (self.log.clone(), root, 0o755),
        ] {
            directory(&path, owner, mode)?;
        }
        Ok(())
    }
}

/// A directory that others could write could be swapped under the daemons.
fn only_roots(path: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| Failure::io(path.display(), &error))?;
    if metadata.uid() == 0 && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} must belong to root, and nobody else may write it (it belongs to uid {}, mode {:04o})",
        path.display(),
        metadata.uid(),
        metadata.mode() & 0o7777
    )))
}

fn directory(path: &Path, owner: Account, mode: u32) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io(path.display(), &error);
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(error));
        }
        Ok(()) | Err(_) => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let set = |fd: &OwnedFd| {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
    };
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(|fd| set(&fd))
        .map_err(|errno| failed(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &Path) -> Layout {
        Layout {
            etc: root.join("etc"),
            run: root.join("run"),
            lib: root.join("lib"),
            log: root.join("log"),
            root: Some(root.to_owned()),
        }
    }

    #[test]
    fn a_socket_path_that_is_too_long_is_refused() {
        assert_eq!(layout(Path::new("/var/tmp/engine")).check_socket_paths(), Ok(()));
        let long = PathBuf::from("/").join("x".repeat(100));
        let failure = layout(&long).check_socket_paths().unwrap_err();
        assert!(failure.text.contains("choose a shorter --root"), "{}", failure.text);
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(temporary.path(), permissions).unwrap();
        assert!(only_roots(temporary.path()).unwrap_err().text.contains("mode 0777"));
    }

    #[test]
    fn a_link_is_not_taken_for_a_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let link = temporary.path().join("etc");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let me = Account {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        assert!(directory(&link, me, 0o755).is_err());
        assert!(directory(&temporary.path().join("run"), me, 0o711).is_ok());
        let mode = fs::metadata(temporary.path().join("run")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o711);
    }
}
