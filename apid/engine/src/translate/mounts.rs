//! `Binds`, `Mounts` and `Tmpfs`: three ways to write mounts, one result.

use super::container_path;
use crate::error::{EngineError, Result};
use bulkhead_proto::{HostPath, MountSpec, Propagation};
use bulkhead_types::Map;
use bulkhead_types::host_config::{BindOptions, Mount, TmpfsOptions};
use std::collections::BTreeSet;

/// Permission bits of a tmpfs's root unless told otherwise: Docker's.
const TMPFS_MODE: u32 = 0o1777;

/// All mounts in the order in which they are made: those of `Binds`, `Mounts`, `Tmpfs`, parents
/// before what lies below them.
pub(super) fn translate(
    binds: &Option<Vec<String>>,
    mounts: &Option<Vec<Mount>>,
    tmpfs: &Option<Map<String>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<MountSpec>> {
    let mut all = Vec::new();
    for bind in binds.iter().flatten() {
        all.push(from_bind(bind, warnings)?);
    }
    for mount in mounts.iter().flatten() {
        all.push(from_mount(mount)?);
    }
    for (target, options) in tmpfs.iter().flatten() {
        all.push(from_tmpfs(target, options)?);
    }
    let mut targets = BTreeSet::new();
    for mount in &all {
        if !targets.insert(target(mount).to_vec()) {
            let target = String::from_utf8_lossy(target(mount)).into_owned();
            return Err(EngineError::bad(format!("Duplicate mount point: {target}")));
        }
    }
    all.sort_by_key(|mount| target(mount).iter().filter(|byte| **byte == b'/').count());
    Ok(all)
}

fn target(mount: &MountSpec) -> &[u8] {
    match mount {
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Bind { target, .. }
        | MountSpec::File { target, .. }
        | MountSpec::Volume { target, .. } => target.as_bytes(),
    }
}

/// `source:target[:options]`
fn from_bind(bind: &str, warnings: &mut Vec<String>) -> Result<MountSpec> {
    let invalid = || EngineError::bad(format!("invalid volume specification: '{bind}'"));
    let mut parts = bind.split(':');
    let (source, target, options) = (parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target)) = (source, target) else {
        return Err(EngineError::unsupported(format!(
            "HostConfig.Binds: '{bind}': anonymous volumes are not implemented"
        )));
    };
    if parts.next().is_some() || source.is_empty() || target.is_empty() {
        return Err(invalid());
    }
    if !source.starts_with('/') {
        return Err(EngineError::unsupported(format!(
            "HostConfig.Binds: '{bind}': named volumes are not implemented"
        )));
    }
    let mut read_only = false;
    let mut propagation = Propagation::Private;
    for option in options.iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => read_only = true,
            "rw" | "" | "consistent" | "cached" | "delegated" => {}
            "z" | "Z" => warnings.push(format!(
                "'{bind}': SELinux labels are not changed by this engine, option '{option}' is \
                 ignored"
            )),
            _ => propagation = parse_propagation(option).ok_or_else(invalid)?,
        }
    }
    Ok(MountSpec::Bind {
        target: mount_target(target)?,
        source: host_path(source)?,
        read_only,
        propagation,
        recursive: true,
        // As Docker does for this way of writing, and only for this one.
        create: true,
    })
}

fn from_mount(mount: &Mount) -> Result<MountSpec> {
    let Mount {
        r#type,
        source,
        target,
        read_only,
        // For Docker Desktop's file sharing.
        consistency: _,
        bind_options,
        volume_options,
        image_options,
        tmpfs_options,
        cluster_options,
    } = mount;
    let invalid = |why: &str| {
        EngineError::bad(format!("invalid mount config for type \"{type}\": {why}", type = r#type))
    };
    if target.is_empty() {
        return Err(invalid("field Target must not be empty"));
    }
    let foreign = [
        ("BindOptions", bind_options.is_some(), "bind"),
        ("VolumeOptions", volume_options.is_some(), "volume"),
        ("ImageOptions", image_options.is_some(), "image"),
        ("TmpfsOptions", tmpfs_options.is_some(), "tmpfs"),
        ("ClusterOptions", cluster_options.is_some(), "cluster"),
    ];
    if let Some((field, ..)) = foreign.iter().find(|(_, there, of)| *there && of != r#type) {
        return Err(invalid(&format!("field {field} must not be specified")));
    }
    match r#type.as_str() {
        "bind" if source.is_empty() => Err(invalid("field Source must not be empty")),
        "bind" => bind(mount_target(target)?, source, *read_only, bind_options.as_ref()),
        "tmpfs" if !source.is_empty() => Err(invalid("field Source must not be specified")),
        "tmpfs" => tmpfs(target, *read_only, tmpfs_options.as_ref()),
        "volume" | "image" | "cluster" | "npipe" => Err(EngineError::unsupported(format!(
            "HostConfig.Mounts: mounts of type '{type}' are not implemented",
            type = r#type
        ))),
        "" => Err(EngineError::bad("mount type unknown: \"\"")),
        other => Err(EngineError::bad(format!("mount type unknown: \"{other}\""))),
    }
}

fn bind(
    target: bulkhead_proto::ContainerPath,
    source: &str,
    read_only: bool,
    options: Option<&BindOptions>,
) -> Result<MountSpec> {
    let none = BindOptions::default();
    let BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        // Ours always are.
        read_only_force_recursive: _,
    } = options.unwrap_or(&none);
    if *read_only_non_recursive && read_only && !non_recursive {
        return Err(EngineError::unsupported(
            "BindOptions.ReadOnlyNonRecursive: a read-only mount with writable mounts below it is \
             not implemented",
        ));
    }
    let propagation = match propagation.as_str() {
        "" => Propagation::Private,
        mode => parse_propagation(mode).ok_or_else(|| {
            EngineError::bad(format!(
                "invalid mount config for type \"bind\": invalid propagation mode: {mode}"
            ))
        })?,
    };
    Ok(MountSpec::Bind {
        target,
        source: host_path(source)?,
        read_only,
        propagation,
        recursive: !non_recursive,
        create: *create_mountpoint,
    })
}

fn parse_propagation(mode: &str) -> Option<Propagation> {
    match mode {
        "private" | "rprivate" => Some(Propagation::Private),
        "slave" | "rslave" => Some(Propagation::Slave),
        "shared" | "rshared" => Some(Propagation::Shared),
        _ => None,
    }
}

fn tmpfs(target: &str, read_only: bool, options: Option<&TmpfsOptions>) -> Result<MountSpec> {
    let none = TmpfsOptions::default();
    let TmpfsOptions { size_bytes, mode, options } = options.unwrap_or(&none);
    let mut parsed = Tmpfs { read_only, ..Tmpfs::new() };
    if *size_bytes != 0 {
        let size = u64::try_from(*size_bytes);
        parsed.bytes = Some(size.or(Err(EngineError::bad("tmpfs size must not be negative")))?);
    }
    if *mode != 0 {
        parsed.mode = *mode;
    }
    for option in options.iter().flatten() {
        match option.as_slice() {
            [flag] => parsed.take(flag, None)?,
            [name, value] => parsed.take(name, Some(value))?,
            _ => return Err(EngineError::bad("invalid option array length in TmpfsOptions")),
        }
    }
    parsed.at(target)
}

/// `Tmpfs`: a path, and options as in `mount -o`.
fn from_tmpfs(target: &str, options: &str) -> Result<MountSpec> {
    let mut parsed = Tmpfs::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((name, value)) => parsed.take(name, Some(value))?,
            None => parsed.take(option, None)?,
        }
    }
    parsed.at(target)
}

#[derive(Debug)]
struct Tmpfs {
    bytes: Option<u64>,
    mode: u32,
    read_only: bool,
    no_exec: bool,
}

impl Tmpfs {
    /// Docker's defaults: `noexec,nosuid,nodev`.
    fn new() -> Self {
        Self { bytes: None, mode: TMPFS_MODE, read_only: false, no_exec: true }
    }

    fn take(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let invalid = || {
            let value = value.map(|value| format!("={value}")).unwrap_or_default();
            EngineError::bad(format!("invalid tmpfs option [\"{name}{value}\"]"))
        };
        match (name, value) {
            ("ro", None) => self.read_only = true,
            ("rw", None) => self.read_only = false,
            ("noexec", None) => self.no_exec = true,
            ("exec", None) => self.no_exec = false,
            // They are always.
            ("nosuid" | "nodev" | "async" | "relatime" | "noatime", None) => {}
            ("size", Some(size)) => self.bytes = Some(parse_size(size).ok_or_else(invalid)?),
            ("mode", Some(mode)) => {
                let mode = u32::from_str_radix(mode, 8).or(Err(invalid()))?;
                self.mode = if mode <= 0o7777 { mode } else { return Err(invalid()) };
            }
            ("suid" | "dev" | "uid" | "gid" | "nr_inodes" | "nr_blocks", _) => {
                return Err(EngineError::unsupported(format!(
                    "HostConfig.Tmpfs: option '{name}' is not implemented"
                )));
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }

    fn at(self, target: &str) -> Result<MountSpec> {
        let Self { bytes, mode, read_only, no_exec } = self;
        Ok(MountSpec::Tmpfs { target: mount_target(target)?, bytes, mode, read_only, no_exec })
    }
}

/// `65536k`, `1g`: binary units, as `tmpfs(5)` has them.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let shift = match text.bytes().last()? {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b'0'..=b'9' => 0,
        _ => return None,
    };
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn mount_target(target: &str) -> Result<bulkhead_proto::ContainerPath> {
    if !target.starts_with('/') {
        return Err(EngineError::bad(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let path = container_path("invalid mount path", target)?;
    if path.as_bytes() == b"/" {
        return Err(EngineError::bad("invalid specification: destination can't be '/'"));
    }
    Ok(path)
}

fn host_path(source: &str) -> Result<HostPath> {
    HostPath::new(source.as_bytes())
        .map_err(|error| EngineError::bad(format!("invalid mount source: \"{source}\": {error}")))
}
