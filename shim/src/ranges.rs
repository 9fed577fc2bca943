//! Who has which 65,536 user ids.
//!
//! The ledger is the file system itself: a container's directory holds `upper` and `work`, owned by
//! the first id of its range, and a range is free when no such directory, here or in the trash,
//! has its ids. So a lease can neither be lost nor outlive the inodes that it is for.
//!
//! Several engines on a host must not share a range: each claims slabs of 256 ranges with a file
//! in a directory of the host, which holds the engine's state directory. A claim whose engine's
//! directory is gone is void.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Ids in one range, as every container has.
pub(crate) const RANGE_IDS: u32 = 65_536;
/// The first id of systemd's range for containers (systemd, UIDS-GIDS.md).
const FIRST_ID: u32 = 524_288;
/// The last one.
const LAST_ID: u32 = 1_879_048_191;
/// Ranges in one slab.
const SLAB_RANGES: u32 = 256;
/// Slabs of the host.
const SLABS: u32 = (LAST_ID - FIRST_ID + 1) / RANGE_IDS / SLAB_RANGES;

/// The ranges of this engine.
#[derive(Debug)]
pub(crate) struct Ranges {
    claims: PathBuf,
    owner: PathBuf,
    slabs: Vec<u32>,
    leased: BTreeSet<u32>,
    next: u32,
}

impl Ranges {
    /// Find this engine's slabs. `claims`: the host's directory of claims; `owner`: the engine's
    /// state directory.
    pub(crate) fn open(claims: &Path, owner: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(claims)?;
        let mut slabs = Vec::new();
        for slab in 0..SLABS {
            match std::fs::read(claims.join(slab.to_string())) {
                Ok(content) if content == owner.as_os_str().as_bytes() => slabs.push(slab),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let (claims, owner) = (claims.to_owned(), owner.to_owned());
        Ok(Self { claims, owner, slabs, leased: BTreeSet::new(), next: 0 })
    }

    /// A range found in use: its first id, as it owns a directory of ours.
    pub(crate) fn found(&mut self, base: u32) {
        if let Some(index) = base.checked_sub(FIRST_ID).map(|offset| offset / RANGE_IDS) {
            self.leased.insert(index);
            self.next = self.next.max(index + 1);
        }
    }

    /// Take the next free range; its first id. Ranges are taken in turn, so that one is not used
    /// again soon. None: the host has no more.
    pub(crate) fn lease(&mut self) -> io::Result<Option<u32>> {
        let free = |index: &u32| !self.leased.contains(index);
        let all =
            || self.slabs.iter().flat_map(|slab| slab * SLAB_RANGES..(slab + 1) * SLAB_RANGES);
        let found =
            all().filter(|index| *index >= self.next).find(free).or_else(|| all().find(free));
        let index = match found {
            Some(index) => index,
            None => match self.claim()? {
                Some(slab) => slab * SLAB_RANGES,
                None => return Ok(None),
            },
        };
        self.leased.insert(index);
        self.next = index + 1;
        Ok(Some(FIRST_ID + index * RANGE_IDS))
    }

    /// Keep only the ranges that are still in use.
    pub(crate) fn retain(&mut self, in_use: impl Fn(&u32) -> bool) {
        self.leased.retain(|index| in_use(&(FIRST_ID + index * RANGE_IDS)));
    }

    /// No inode has the range's ids any more.
    pub(crate) fn free(&mut self, base: u32) {
        if let Some(offset) = base.checked_sub(FIRST_ID) {
            self.leased.remove(&(offset / RANGE_IDS));
        }
    }

    /// How many ranges lie before this one: a small number that is unique while it is leased.
    pub(crate) fn index(base: u32) -> u32 {
        base.saturating_sub(FIRST_ID) / RANGE_IDS
    }

    /// Give all slabs back: the engine's data are gone.
    pub(crate) fn abandon(self) -> io::Result<()> {
        self.slabs
            .iter()
            .try_for_each(|slab| std::fs::remove_file(self.claims.join(slab.to_string())))
    }

    fn claim(&mut self) -> io::Result<Option<u32>> {
        // Begin at a place of this engine's own, so that engines seldom meet.
        let start = self
            .owner
            .as_os_str()
            .as_bytes()
            .iter()
            .fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        for step in 0..SLABS {
            let slab = (start % SLABS + step) % SLABS;
            let path = self.claims.join(slab.to_string());
            self.void_if_abandoned(&path)?;
            // Written under another name and linked: a claim is whole or not there.
            let draft = self.claims.join(format!(".{}", std::process::id()));
            let mut file = std::fs::File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(self.owner.as_os_str().as_bytes())?;
            file.sync_all()?;
            let linked = std::fs::hard_link(&draft, &path);
            std::fs::remove_file(&draft)?;
            match linked {
                Ok(()) => {
                    self.slabs.push(slab);
                    return Ok(Some(slab));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn void_if_abandoned(&self, path: &Path) -> io::Result<()> {
        match std::fs::read(path) {
            Ok(owner) if owner.is_empty() => Ok(()),
            Ok(owner) => {
                let owner = Path::new(std::ffi::OsStr::from_bytes(&owner));
                match owner.symlink_metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        match std::fs::remove_file(path) {
                            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                            _ => Ok(()),
                        }
                    }
                    _ => Ok(()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_one_host_never_share_a_range() {
        let dir = std::env::temp_dir().join(format!("bulkhead-ranges-{}", std::process::id()));
        let (one, two) = (dir.join("one"), dir.join("two"));
        std::fs::create_dir_all(&one).unwrap();
        std::fs::create_dir_all(&two).unwrap();
        let claims = dir.join("claims");
        let mut first = Ranges::open(&claims, &one).unwrap();
        let mut second = Ranges::open(&claims, &two).unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..300 {
            assert!(seen.insert(first.lease().unwrap().unwrap()));
            assert!(seen.insert(second.lease().unwrap().unwrap()));
        }
        let base = *seen.first().unwrap();
        assert_eq!(base % RANGE_IDS, 0, "aligned");
        assert_eq!(Ranges::open(&claims, &one).unwrap().slabs.len(), 2, "claims are durable");

        std::fs::remove_dir_all(&two).unwrap();
        second.slabs.iter().for_each(|slab| {
            first.void_if_abandoned(&claims.join(slab.to_string())).unwrap();
            assert!(!claims.join(slab.to_string()).exists(), "a lost engine's claim is void");
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_freed_range_is_not_the_next_one() {
        let dir = std::env::temp_dir().join(format!("bulkhead-turn-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut ranges = Ranges::open(&dir.join("claims"), &dir).unwrap();
        let base = ranges.lease().unwrap().unwrap();
        ranges.free(base);
        assert_ne!(ranges.lease().unwrap().unwrap(), base);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
