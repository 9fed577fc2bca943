//! `bulkhead policy`: what root writes ([`mod@file`]), compiled to the table that the shim loads, checked,
//! and explained. The only place where text becomes policy; root's daemon parses none.

mod apply;
mod explain;
mod file;
mod grant;
mod lint;
mod render;
mod request;
mod value;

use bulkhead_policy::{MAX_TABLE_BYTES, Peer, Policy, TableError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PolicyArgs {
    /// `policy compile [--in FILE] --out FILE [--uid UID]`
    Compile {
        /// The policy as written.
        input: PathBuf,
        /// The table, replaced at once or not at all; mode 0600.
        output: PathBuf,
        /// The peer of sections that name none.
        uid: Option<u32>,
    },
    /// `policy check [--in FILE] [--uid UID]`
    Check {
        /// The policy as written.
        input: PathBuf,
        /// The peer of sections that name none.
        uid: Option<u32>,
    },
    /// `policy explain REQUEST.json [--policy FILE] [--uid UID]`
    Explain {
        /// The body of a request to create a container.
        request: PathBuf,
        /// The table.
        policy: PathBuf,
        /// Who asks; none: the policy's only peer.
        uid: Option<u32>,
    },
}

/// What to tell the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// For standard output.
    pub(crate) text: String,
    /// The policy is in order; the request would be permitted.
    pub(crate) good: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML, or has a key or value that a policy has not. Says the line.
    #[error("{source}")]
    Syntax {
        /// What and where.
        #[from]
        source: toml::de::Error,
    },
    /// The policy contradicts itself.
    #[error("policy: {0}")]
    Meaning(String),
    /// The compiled policy cannot be used.
    #[error("{}: {source}", path.display())]
    Table {
        /// Which.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// The request is not a container's.
    #[error("request: {0}")]
    Request(String),
}

/// Do it.
pub(crate) fn run(args: &PolicyArgs) -> Result<Report, PolicyError> {
    match args {
        PolicyArgs::Compile { input, output, uid } => {
            let policy = compile(&read(input)?, *uid)?;
            install(&policy, output)?;
            let (name, print) = (policy.name(), policy.fingerprint());
            Ok(Report { text: format!("policy {name} {print}\n"), good: true })
        }
        PolicyArgs::Check { input, uid } => {
            let policy = compile(&read(input)?, *uid)?;
            let mut warnings = mode(input);
            warnings.extend(lint::warnings(&policy));
            let warnings: String =
                warnings.iter().map(|text| format!("# warning: {text}\n")).collect();
            let (text, print) = (render::policy(&policy), policy.fingerprint());
            Ok(Report { text: format!("{warnings}# fingerprint {print}\n{text}"), good: true })
        }
        PolicyArgs::Explain { request, policy: path, uid } => {
            let table = read_bytes(path)?;
            let policy = Policy::from_table(&table)
                .map_err(|source| PolicyError::Table { path: path.clone(), source })?;
            let uid = uid.or_else(|| policy.sections.first().map(|section| section.uid));
            let peer = Peer { uid: uid.unwrap_or(u32::MAX) };
            explain::explain(&policy, peer, &read(request)?)
        }
    }
}

/// The policy that a text says; `uid` is the peer of sections that name none.
pub(crate) fn compile(text: &str, uid: Option<u32>) -> Result<Policy, PolicyError> {
    let file: file::SectionFile = toml::from_str(text)?;
    let policy = apply::policy(file, uid).map_err(PolicyError::Meaning)?;
    // What the shim will do, so that it will not refuse what was compiled.
    Policy::from_table(&policy.to_table()).map_err(|error| PolicyError::Meaning(error.to_string()))
}

/// A policy file that ships, with comments; the names are `hardened` and `compat`.
pub(crate) fn preset(name: &str) -> Option<&'static str> {
    match name {
        "hardened" => Some(include_str!("../../../security/policy/presets/hardened.toml")),
        "compat" => Some(include_str!("../../../security/policy/presets/compat.toml")),
        _ => None,
    }
}

/// Write the table: complete under its name, or not there; for its owner only.
pub(crate) fn install(policy: &Policy, path: &Path) -> Result<(), PolicyError> {
    let write = || -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let draft = directory.join(format!(".{name}.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(&policy.to_table()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            // The reason above is the one to tell.
            drop(fs::remove_file(&draft));
        }
        written.and_then(|()| File::open(directory)?.sync_all())
    };
    write().map_err(|source| PolicyError::Write { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, PolicyError> {
    let wrong = |source| PolicyError::Read { path: path.to_owned(), source };
    String::from_utf8(read_bytes(path)?)
        .map_err(|error| wrong(io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let wrong = |source| PolicyError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(wrong)?.len();
    if usize::try_from(length).is_ok_and(|length| length <= MAX_TABLE_BYTES) {
        fs::read(path).map_err(wrong)
    } else {
        Err(wrong(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB")))
    }
}

/// Who else could write the policy.
fn mode(path: &Path) -> Vec<String> {
    let Ok(metadata) = fs::metadata(path) else { return Vec::new() };
    let mut warnings = Vec::new();
    if metadata.uid() != 0 {
        warnings.push(format!("{} belongs to uid {}, not to root", path.display(), metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        warnings.push(format!("{} has mode {mode:04o}, not 0600", path.display()));
    }
    warnings
}

#[cfg(test)]
mod tests;
