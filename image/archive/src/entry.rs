//! One entry, as all of its headers together say.

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with contents.
    Regular,
    /// A further name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Whether it leads to another name.
    pub fn is_link(self) -> bool {
        matches!(self, Self::HardLink | Self::Symlink)
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// Seconds since 1970; negative before.
    pub seconds: i64,
    /// 0 to 999,999,999, forwards from `seconds`.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// With its namespace: `security.capability`.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// One entry. Names are bytes as they stand in the archive, without NUL, never empty, and at most
/// [`crate::MAX_PATH_BYTES`] long; they may be absolute and hold `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub path: Vec<u8>,
    /// What a link leads to; empty for everything else.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Owner; not negative.
    pub uid: u64,
    /// Group; not negative.
    pub gid: u64,
    /// Bytes of contents; 0 for everything but [`Kind::Regular`].
    pub size: u64,
    /// When it was last changed.
    pub mtime: Time,
    /// Major number of a device.
    pub major: u64,
    /// Minor number of a device.
    pub minor: u64,
    /// Extended attributes, in the archive's order.
    pub xattrs: Vec<Xattr>,
}
