//! Names of things. All are bytes, so no value can be written with `/`, `.` or a space: the shim
//! joins their written forms to paths below its state directory and `/sys/fs/cgroup`.

use crate::codec::{DecodeError, Decoder, Encoder, Wire, choice};
use std::fmt;
use std::str::FromStr;

/// The text is not an id: not the right number of lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not 64 lower-case hex digits")
    }
}

impl std::error::Error for ParseIdError {}

fn nibble(digit: u8) -> Result<u8, ParseIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseIdError),
    }
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
                    return Err(ParseIdError);
                };
                let pairs: &[[u8; 2]; 32] = pairs.try_into().or(Err(ParseIdError))?;
                let mut bytes = [0; 32];
                for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                    *byte = nibble(*high)? << 4 | nibble(*low)?;
                }
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Wire for $name {
            fn put(&self, out: &mut Encoder) {
                self.0.put(out);
            }
            fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(Self(Wire::get(input)?))
            }
        }
    };
}

id! {
    /// A container: 32 random bytes, written as 64 lower-case hex digits.
    ContainerId
}
id! {
    /// One `exec` in a container: 32 random bytes.
    ExecId
}
id! {
    /// A layer, by the SHA-256 of its uncompressed tar stream (OCI image spec: diffID), as the
    /// worker computed it while it unpacked the layer.
    LayerId
}
id! {
    /// A network: 32 random bytes.
    NetworkId
}

choice! {
    /// A process tree that the shim started: a container's init, or one exec in it.
    #[derive(Copy, Hash, PartialOrd, Ord)]
    pub enum Target {
        /// The container's own first process.
        0 Container {
            /// Which.
            id: ContainerId,
        },
        /// A process started later in the container.
        1 Exec {
            /// In which container.
            id: ContainerId,
            /// Which exec.
            exec: ExecId,
        },
    }
}

impl Target {
    /// The container that the process runs in.
    pub fn container(&self) -> ContainerId {
        match self {
            Self::Container { id } | Self::Exec { id, .. } => *id,
        }
    }
}
