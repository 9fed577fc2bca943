//! Paths that may cross the channel: inside a container, and sources of bind mounts.

use crate::codec::{DecodeError, Decoder, Encoder, Wire};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest path, as Linux's `PATH_MAX` less the final NUL.
pub const MAX_PATH_BYTES: usize = 4095;

/// Why bytes are not a path that may cross the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Does not begin with `/`.
    NotAbsolute,
    /// Has a `..` component.
    ParentComponent,
    /// Has a NUL byte.
    Nul,
    /// Longer than [`MAX_PATH_BYTES`].
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "not an absolute path",
            Self::ParentComponent => "has a '..' component",
            Self::Nul => "has a NUL byte",
            Self::TooLong => "longer than 4095 bytes",
        })
    }
}

impl std::error::Error for PathError {}

/// Absolute, without `.`, `..`, empty components, a trailing `/` or NUL.
fn normalise(bytes: &[u8]) -> Result<Vec<u8>, PathError> {
    if bytes.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong);
    }
    if bytes.contains(&0) {
        return Err(PathError::Nul);
    }
    let Some((b'/', rest)) = bytes.split_first() else { return Err(PathError::NotAbsolute) };
    let mut out = Vec::with_capacity(bytes.len());
    for part in rest.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(PathError::ParentComponent),
            _ => {
                out.push(b'/');
                out.extend(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

macro_rules! path {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// The path with redundant `/` and `.` removed.
            ///
            /// # Errors
            /// The bytes break one of the rules of [`PathError`].
            pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
                normalise(bytes).map(Self)
            }

            /// The bytes, beginning with `/`.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// As a path.
            pub fn as_path(&self) -> &Path {
                Path::new(OsStr::from_bytes(&self.0))
            }

            /// The path below the root: without the leading `/`; empty for the root itself.
            pub fn relative(&self) -> &[u8] {
                self.0.get(1..).unwrap_or_default()
            }

            /// Whether this is `other` or lies below it, by components.
            pub fn is_at_or_below(&self, other: &str) -> bool {
                self.as_path().starts_with(other)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.escape_ascii())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{self}\"")
            }
        }

        impl Wire for $name {
            fn put(&self, out: &mut Encoder) {
                out.bytes(&self.0);
            }
            fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let bytes = input.bytes()?;
                let path = Self::new(bytes).or(Err(DecodeError::Value("path")))?;
                if path.0 == bytes { Ok(path) } else { Err(DecodeError::Value("normal path")) }
            }
        }
    };
}

path! {
    /// A path inside a container: absolute, normalised, no `..`, no NUL. Links in it are resolved
    /// by the kernel below the container's root (`openat2(2)`, `RESOLVE_IN_ROOT`).
    ContainerPath
}
path! {
    /// A path on the host: the source of a bind mount or of a device. Opened by the shim without
    /// following links (`openat2(2)`, `RESOLVE_NO_SYMLINKS`), below a root that policy names.
    HostPath
}
