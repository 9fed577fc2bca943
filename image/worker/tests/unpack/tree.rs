//! What is on disk, as text: one line a name, so that two trees can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// All names below a directory, each with type, mode, owner relative to `base`, time and contents.
/// Every one of them is on the directory's own filesystem.
pub(crate) fn listing(root: &Path, base: u32) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let device = fs::metadata(root).unwrap().dev();
    walk(root, root, device, base, &mut lines);
    lines
}

fn walk(
    root: &Path,
    directory: &Path,
    device: u64,
    base: u32,
    lines: &mut BTreeMap<String, String>,
) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.dev(), device, "{path:?} is on another filesystem");
        let kind = found.file_type();
        let what = if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("link to {:?}", fs::read_link(&path).unwrap())
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else if kind.is_char_device() {
            format!("device {}", found.rdev())
        } else {
            let digest: [u8; 32] = Sha256::digest(fs::read(&path).unwrap()).into();
            format!("file of {} bytes {digest:02x?} with {} names", found.size(), found.nlink())
        };
        let owner = (found.uid().wrapping_sub(base), found.gid().wrapping_sub(base));
        let mode = if kind.is_symlink() { 0 } else { found.mode() & 0o7777 };
        let line = format!("{mode:04o} {owner:?} {}.{} {what}", found.mtime(), found.mtime_nsec());
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
        lines.insert(name.escape_ascii().to_string(), line);
        if kind.is_dir() {
            walk(root, &path, device, base, lines);
        }
    }
}

/// The names alone.
pub(crate) fn names(root: &Path) -> Vec<String> {
    listing(root, 0).into_keys().collect()
}

/// An extended attribute, if it is set.
pub(crate) fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(64 * 1024);
    let buffer = rustix::buffer::spare_capacity(&mut value);
    match rustix::fs::lgetxattr(path, name, buffer) {
        Ok(_) => Some(value),
        Err(rustix::io::Errno::NODATA) => None,
        Err(errno) => panic!("lgetxattr {path:?} {name}: {errno}"),
    }
}
