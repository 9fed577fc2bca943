//! Where the shim keeps things. All of it below directories that only root may enter or write.

use bulkhead_proto::{ContainerId, HostPath, LayerId, Target};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directories of one engine, as `ARCHITECTURE.md` lists them.
#[derive(Debug, Clone)]
pub(crate) struct Dirs {
    config: PathBuf,
    run: PathBuf,
    state: PathBuf,
    claims: PathBuf,
}

impl Dirs {
    pub(crate) fn new(config: PathBuf, run: PathBuf, state: PathBuf, claims: PathBuf) -> Self {
        Self { config, run, state, claims }
    }

    /// Make what is missing; refuse what somebody else could change.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for (path, mode) in [
            (self.run.clone(), 0o755),
            (self.state.clone(), 0o711),
            (self.own(), 0o700),
            (self.layers(), 0o700),
            (self.staging(), 0o700),
            (self.containers(), 0o700),
            (self.trash(), 0o700),
            (self.monitors(), 0o700),
            (self.run.join("shim"), 0o711),
        ] {
            match std::fs::DirBuilder::new().mode(mode).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(context(error, &path));
                }
                _ => {}
            }
            let metadata = path.symlink_metadata().map_err(|error| context(error, &path))?;
            if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
                let text = format!(
                    "{}: must be a directory of root's that nobody else may write",
                    path.display()
                );
                return Err(io::Error::other(text));
            }
            if path != self.run && path != self.state {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }

    /// The engine's state directory, which names the instance.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    fn own(&self) -> PathBuf {
        self.state.join("shim")
    }

    /// Everything of the shim's that `--purge` deletes.
    pub(crate) fn all_state(&self) -> PathBuf {
        self.own()
    }

    /// What no policy root may reach.
    pub(crate) fn never_bound(&self) -> io::Result<Vec<HostPath>> {
        let own = [&self.config, &self.run, &self.state, &self.claims];
        let path = |path: &&PathBuf| HostPath::new(path.as_os_str().as_bytes());
        own.iter().map(path).collect::<Result<_, _>>().map_err(io::Error::other)
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.config.join("policy.bin")
    }

    pub(crate) fn claims(&self) -> &Path {
        &self.claims
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.own().join("audit.log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.own().join("lock")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("shim/shim.sock")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.own().join("layers")
    }

    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.layers().join(id.to_string())
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.own().join("staging")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.own().join("trash")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.own().join("containers")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.to_string())
    }

    pub(crate) fn monitors(&self) -> PathBuf {
        self.run.join("monitors")
    }

    /// The directory of one monitor: `<id>` or `<id>.<exec>`.
    pub(crate) fn monitor(&self, target: &Target) -> PathBuf {
        self.monitors().join(match target {
            Target::Container { id } => id.to_string(),
            Target::Exec { id, exec } => format!("{id}.{exec}"),
        })
    }

    /// Whose monitor a name in [`Self::monitors`] is.
    pub(crate) fn parse_monitor(name: &str) -> Option<Target> {
        match name.split_once('.') {
            None => Some(Target::Container { id: name.parse().ok()? }),
            Some((id, exec)) => {
                Some(Target::Exec { id: id.parse().ok()?, exec: exec.parse().ok()? })
            }
        }
    }
}

/// The error with the path in front.
pub(crate) fn context(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The instance tag: empty for the installed engine, else the first 8 hex digits of FNV-1a-64 over
/// the state directory's path. It is in every name that other programs of the host can see.
pub(crate) fn instance_tag(state: &Path) -> String {
    if state == Path::new("/var/lib/bulkhead") {
        return String::new();
    }
    let hash = state.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash >> 32)
}
