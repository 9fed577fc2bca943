//! Owner, mode and extended attributes of open files and directories.

use std::borrow::Cow;
use std::os::fd::OwnedFd;

use bulkhead_archive::{Entry, Kind, Xattr};
use rustix::fs::{Gid, Mode, Uid, XattrFlags, fchmod, fchown, fsetxattr};
use rustix::io::Errno;

use super::refused;
use super::tree::Name;
use crate::error::Error;

/// Setuid, setgid and sticky.
const SPECIAL_BITS: u32 = 0o7000;
/// overlayfs's own attributes: an image that had them could redirect names and fake metadata.
const OVERLAY_PREFIX: &[u8] = b"user.overlay.";
const CAPABILITY: &[u8] = b"security.capability";

/// Set owner, mode and attributes, in this order: a change of owner takes setuid bits and
/// capabilities away. Answers how many attributes were left out.
pub(super) fn set(file: &OwnedFd, entry: &Entry, (uid, gid): (Uid, Gid)) -> Result<u64, Error> {
    fchown(file, Some(uid), Some(gid)).map_err(Error::call("fchown"))?;
    if entry.kind == Kind::Directory || entry.mode & SPECIAL_BITS != 0 {
        fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(Error::call("fchmod"))?;
    }
    let mut skipped = 0;
    for xattr in &entry.xattrs {
        let Some(value) = admitted(entry.kind, xattr)? else {
            skipped += 1;
            continue;
        };
        let name = Name::text(&xattr.name)?;
        match fsetxattr(file, name.as_c_str(), &value, XattrFlags::empty()) {
            Ok(()) => {}
            // The filesystem has no such attributes. Without them a program can do less, not more.
            Err(Errno::OPNOTSUPP) => skipped += 1,
            Err(errno) => return Err(Error::call("fsetxattr")(errno)),
        }
    }
    Ok(skipped)
}

/// The value to set, if the attribute is one that a layer may have.
fn admitted(kind: Kind, xattr: &Xattr) -> Result<Option<Cow<'_, [u8]>>, Error> {
    let name = xattr.name.as_slice();
    if name == CAPABILITY {
        if kind != Kind::Regular {
            return Ok(None);
        }
        return capability(&xattr.value).map(|value| Some(Cow::Owned(value)));
    }
    let admitted = name.starts_with(b"user.") && !name.starts_with(OVERLAY_PREFIX);
    Ok(admitted.then_some(Cow::Borrowed(xattr.value.as_slice())))
}

/// File capabilities (`capability.h`, `struct vfs_cap_data`) as version 2, to which the kernel
/// adds this user namespace's root when it stores them: they then hold in containers and nowhere
/// else. A version 3 value names the root of whatever namespace the image was made in.
fn capability(value: &[u8]) -> Result<Vec<u8>, Error> {
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    const EFFECTIVE: u32 = 1;
    let malformed = || refused("malformed security.capability");
    let (magic, rest) = value.split_first_chunk::<4>().ok_or_else(malformed)?;
    let magic = u32::from_le_bytes(*magic);
    let sets = match (magic & !EFFECTIVE, rest.split_at_checked(16)) {
        (REVISION_2, Some((sets, []))) | (REVISION_3, Some((sets, [_, _, _, _]))) => sets,
        _ => return Err(malformed()),
    };
    let magic = REVISION_2 | (magic & EFFECTIVE);
    Ok([magic.to_le_bytes().as_slice(), sets].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str) -> Xattr {
        Xattr { name: name.as_bytes().to_vec(), value: b"1".to_vec() }
    }

    #[test]
    fn d8_only_listed_attributes_are_set() {
        for name in [
            "user.overlay.opaque",
            "user.overlay.redirect",
            "user.overlay.metacopy",
            "trusted.overlay.opaque",
            "trusted.x",
            "security.selinux",
            "security.ima",
            "security.evm",
            "security.capability2",
            "system.posix_acl_access",
            "user",
            "",
        ] {
            assert_eq!(admitted(Kind::Regular, &xattr(name)).unwrap(), None, "{name}");
        }
        assert!(admitted(Kind::Regular, &xattr("user.overlayx")).unwrap().is_some());
        assert!(admitted(Kind::Directory, &xattr("user.a")).unwrap().is_some());
    }

    #[test]
    fn d8_capabilities_are_written_as_version_2() {
        let sets = [7; 16];
        let value = |magic: u32, tail: &[u8]| [&magic.to_le_bytes()[..], &sets, tail].concat();
        assert_eq!(capability(&value(0x0200_0001, &[])).unwrap(), value(0x0200_0001, &[]));
        assert_eq!(
            capability(&value(0x0300_0001, &[1, 2, 3, 4])).unwrap(),
            value(0x0200_0001, &[])
        );
        for bad in [
            vec![],
            value(0x0100_0000, &[]),
            value(0x0200_0002, &[]),
            value(0x0200_0000, &[0]),
            value(0x0300_0000, &[]),
            value(0x0400_0000, &[]),
        ] {
            assert!(capability(&bad).is_err(), "{bad:?}");
        }
    }
}
