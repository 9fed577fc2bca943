//! The policy as bytes: what `bulkhead policy compile` writes and the shim loads.
//!
//! Layout: `BULKHEAD`, version and length (32 bits each, little-endian), FNV-1a-64 of the body, the
//! body: the policy in the channel's encoding. The checksum is against damage, not against
//! forgery: the file is root's.

use crate::capability::ALL;
use crate::decide::{is_value, mask, owner, pinned};
use crate::policy::{BindRoot, BlockIo, Grant, HostFacts, Policy, Section};
use bulkhead_proto::codec::{Decoder, Encoder};
use bulkhead_proto::{DecodeError, List, MountSpec, Name, Rlimit, Wire};
use std::collections::BTreeSet;
use std::fmt;

const MAGIC: &[u8; 8] = b"BULKHEAD";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
/// The largest table.
pub const MAX_TABLE_BYTES: usize = 4 << 20;

/// Why bytes are not a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// Does not begin as a table does.
    NotATable,
    /// Written by another version of `bulkhead policy compile`.
    Version(u32),
    /// Shorter or longer than it says, or than [`MAX_TABLE_BYTES`].
    Length,
    /// Damaged.
    Checksum,
    /// The body is not the encoding of a policy.
    Body(DecodeError),
    /// A policy that contradicts itself.
    Invalid(String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATable => write!(f, "not a compiled policy"),
            Self::Version(version) => {
                write!(f, "policy table of version {version}, not {VERSION}: compile it again")
            }
            Self::Length => write!(f, "the policy table is cut short or too long"),
            Self::Checksum => write!(f, "the policy table is damaged"),
            Self::Body(error) => write!(f, "policy table: {error}"),
            Self::Invalid(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for TableError {}

impl Policy {
    /// The policy as a table.
    pub fn to_table(&self) -> Vec<u8> {
        let body = self.body();
        let mut table = MAGIC.to_vec();
        table.extend(VERSION.to_le_bytes());
        table.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        table.extend(fnv(&body).to_le_bytes());
        table.extend(body);
        table
    }

    /// The policy that a table is. [`Policy::host`] is to be set by whoever loads it.
    ///
    /// # Errors
    /// The bytes are not exactly one valid policy of this version.
    pub fn from_table(bytes: &[u8]) -> Result<Self, TableError> {
        if bytes.len() > MAX_TABLE_BYTES {
            return Err(TableError::Length);
        }
        let (head, body) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(TableError::NotATable)?;
        let [magic @ .., v0, v1, v2, v3, l0, l1, l2, l3, s0, s1, s2, s3, s4, s5, s6, s7] = head;
        if magic != MAGIC {
            return Err(TableError::NotATable);
        }
        match u32::from_le_bytes([*v0, *v1, *v2, *v3]) {
            VERSION => {}
            version => return Err(TableError::Version(version)),
        }
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        if usize::try_from(length) != Ok(body.len()) {
            return Err(TableError::Length);
        }
        if u64::from_le_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7]) != fnv(body) {
            return Err(TableError::Checksum);
        }
        let policy = Self::from_body(body).map_err(TableError::Body)?;
        policy.check().map_err(TableError::Invalid)?;
        Ok(policy)
    }

    /// Tells policies apart: 16 hex digits.
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", fnv(&self.body()))
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    /// What does not, in the words of `policy.toml`.
    pub fn check(&self) -> Result<(), String> {
        ensure(!self.sections.is_empty(), || "no peer has a section".to_owned())?;
        let printable = self.name.as_bytes().iter().all(u8::is_ascii_graphic);
        ensure(printable && matches!(self.name.as_bytes().len(), 1..=64), || {
            "name: 1 to 64 printable characters without blanks".to_owned()
        })?;
        let uids: BTreeSet<u32> = self.sections.iter().map(|section| section.uid).collect();
        ensure(uids.len() == self.sections.len(), || "two sections for one uid".to_owned())?;
        self.sections.iter().try_for_each(Section::check)
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        self.name.put(&mut out);
        self.sections.put(&mut out);
        out.into_bytes()
    }

    fn from_body(body: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(body);
        let name = Name::get(&mut input)?;
        let sections = List::get(&mut input)?;
        input.end()?;
        Ok(Self { name, sections, host: HostFacts::default() })
    }
}

impl Section {
    fn check(&self) -> Result<(), String> {
        let capabilities = &self.capabilities;
        let known = capabilities.default | capabilities.max | capabilities.max_host_userns;
        ensure(known & !ALL == 0, || "[capabilities]: no such capability".to_owned())?;
        ensure(capabilities.default & !capabilities.max == 0, || {
            "[capabilities] default has what max has not".to_owned()
        })?;
        roots(&self.binds, true)?;
        for root in self.devices.iter() {
            let path = &root.path;
            ensure(path.is_at_or_below("/dev") && matches!(root.access, 1..=7), || {
                format!("[[devices]] {path}: a path below /dev with some of r, w, m")
            })?;
        }
        self.check_sysctls()?;
        limits("[rlimits.default]", &self.rlimits.default)?;
        limits("[rlimits.max]", &self.rlimits.max)?;
        ensure((-1000..=1000).contains(&self.oom.score_adj_min), || {
            "[oom] score_adj_min: -1000 to 1000".to_owned()
        })?;
        let resources = &self.resources;
        ensure(
            matches!(resources.pids_default, 1..) && resources.pids_default <= resources.pids,
            || "[resources] pids_default: at least 1, at most pids".to_owned(),
        )?;
        ensure(resources.memory != Some(0) && resources.cpus_milli != Some(0), || {
            "[resources] memory, cpus: more than 0".to_owned()
        })?;
        if let BlockIo::Listed { devices } = &resources.block_io {
            let distinct: BTreeSet<_> = devices.iter().map(|one| (one.major, one.minor)).collect();
            ensure(distinct.len() == devices.len(), || "[resources] block_io: twice".to_owned())?;
        }
        for pool in self.networks.pools.iter() {
            let base = u32::from_be_bytes(pool.address) & !mask(pool.prefix) == 0;
            ensure(base && matches!(pool.prefix, 8..=30), || {
                format!("[networks] pools: {:?}/{} is no subnet", pool.address, pool.prefix)
            })?;
        }
        let mut names = BTreeSet::new();
        for grant in self.grants.iter() {
            ensure(names.insert(&grant.name), || format!("[[grants]] {}: twice", grant.name))?;
            grant.check().map_err(|what| format!("[[grants]] {}: {what}", grant.name))?;
        }
        Ok(())
    }

    fn check_sysctls(&self) -> Result<(), String> {
        for allow in self.sysctls.allow.iter() {
            // A prefix is right if something that begins so can belong to a namespace.
            let ok = match allow.as_bytes().split_last() {
                Some((b'*', prefix)) => {
                    [&b"net."[..], b"fs.mqueue.", b"kernel.shm", b"kernel.msg", b"kernel.sem"]
                        .iter()
                        .any(|known| prefix.starts_with(known) || known.starts_with(prefix))
                }
                _ => owner(allow.as_bytes()).is_some(),
            };
            ensure(ok, || format!("[sysctls] allow: {allow} is in no namespace"))?;
        }
        for set in self.sysctls.set.iter() {
            let ok = owner(set.name.as_bytes()).is_some() && is_value(set.value.as_bytes());
            ensure(ok, || {
                format!("[sysctls.set] {}: not a namespace's, or no such value", set.name)
            })?;
        }
        Ok(())
    }
}

impl Grant {
    fn check(&self) -> Result<(), String> {
        let spec = &self.spec;
        ensure(!self.name.is_empty(), || "needs a name".to_owned())?;
        ensure(!spec.layers.is_empty() && !spec.process.args.is_empty(), || {
            "layers and args say what may run: neither may be empty".to_owned()
        })?;
        ensure(*spec == pinned(spec), || "has fields that a grant does not pin".to_owned())?;
        ensure(self.instances > 0, || "instances: at least 1".to_owned())?;
        roots(&self.binds, false)?;
        for mount in spec.mounts.iter() {
            if let MountSpec::Bind { source, .. } = mount {
                let has = self.binds.iter().any(|root| root.source == *source);
                ensure(has, || format!("the mount of {source} has no rule"))?;
            }
        }
        Ok(())
    }
}

/// `bounded`: below the floor that only grants go through.
fn roots(binds: &[BindRoot], bounded: bool) -> Result<(), String> {
    let mut sources = BTreeSet::new();
    for root in binds {
        let source = &root.source;
        ensure(sources.insert(source), || format!("[[binds]] {source}: twice"))?;
        let kernels = ["/proc", "/sys", "/dev"].iter().any(|path| source.is_at_or_below(path));
        ensure(!(bounded && kernels), || {
            format!("[[binds]] {source}: the kernel's file systems are for [[grants]] only")
        })?;
        ensure(root.create.is_none_or(|create| create.mode <= 0o7777), || {
            format!("[[binds]] {source}: create: permission bits")
        })?;
        ensure(root.slave || !root.shared, || {
            format!("[[binds]] {source}: shared = true means slave = true too")
        })?;
    }
    Ok(())
}

fn limits(list: &str, rlimits: &[Rlimit]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for limit in rlimits {
        let ok = limit.resource < 16 && limit.soft <= limit.hard && seen.insert(limit.resource);
        ensure(ok, || format!("{list}: each resource once, soft at most hard"))?;
    }
    Ok(())
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
