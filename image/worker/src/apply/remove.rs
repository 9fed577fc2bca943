//! Removes what an entry replaces, directories with all that is in them.

use std::mem::MaybeUninit;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::tree::{Name, Parent};
use crate::error::Error;

/// How deep a directory may be that another entry replaces: each level keeps a descriptor.
const MAX_DEPTH: usize = 200;
/// How much of a directory is read at a time.
const BUFFER_BYTES: usize = 4096;

/// Remove a name and all below it. Nothing there is no error.
pub(super) fn remove(parent: &Parent, name: &Name) -> Result<(), Error> {
    remove_to(parent, name, MAX_DEPTH)
}

fn remove_to(parent: &Parent, name: &Name, depth: usize) -> Result<(), Error> {
    match parent.unlink(name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(Error::call("unlinkat")(errno)),
    }
    if depth == 0 {
        return Err(Error::Limit("a replaced directory is deeper than 200"));
    }
    let directory = parent
        .open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        .map_err(Error::call("openat2"))?;
    let directory = parent.below(directory);
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(directory.descriptor(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(Error::call("getdents64"))?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            remove_to(&directory, &Name::new(name)?, depth - 1)?;
        }
    }
    parent.unlink(name, AtFlags::REMOVEDIR).map_err(Error::call("unlinkat"))
}
