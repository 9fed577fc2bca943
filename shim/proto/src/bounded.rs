//! Sequences and byte strings with a named maximum length.

use crate::codec::{DecodeError, Decoder, Encoder, Wire};
use std::ops::Deref;

/// More items or bytes were given than the type admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// The most the type admits.
    pub max: usize,
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "longer than {}", self.max)
    }
}

impl std::error::Error for TooLong {}

/// At most `MAX` items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The items as an owned vector.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for List<T, MAX> {
    type Error = TooLong;

    fn try_from(items: Vec<T>) -> Result<Self, TooLong> {
        if items.len() > MAX { Err(TooLong { max: MAX }) } else { Ok(Self(items)) }
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Wire, const MAX: usize> Wire for List<T, MAX> {
    fn put(&self, out: &mut Encoder) {
        out.array(self.0.len());
        for item in &self.0 {
            item.put(out);
        }
    }

    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = input.array(MAX)?;
        // A declared length costs nothing until the items are there.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::get(input)?);
        }
        Ok(Self(items))
    }
}

/// At most `MAX` bytes, none of them NUL, so that the kernel sees all of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString<const MAX: usize>(Vec<u8>);

/// Why bytes are not a [`ByteString`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteStringError {
    /// A NUL byte at this offset.
    Nul(usize),
    /// More bytes than the type admits.
    TooLong(TooLong),
}

impl std::fmt::Display for ByteStringError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nul(at) => write!(f, "NUL byte at offset {at}"),
            Self::TooLong(too_long) => write!(f, "{too_long} bytes"),
        }
    }
}

impl std::error::Error for ByteStringError {}

impl<const MAX: usize> ByteString<MAX> {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const MAX: usize> TryFrom<Vec<u8>> for ByteString<MAX> {
    type Error = ByteStringError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, ByteStringError> {
        if bytes.len() > MAX {
            return Err(ByteStringError::TooLong(TooLong { max: MAX }));
        }
        match bytes.iter().position(|byte| *byte == 0) {
            Some(at) => Err(ByteStringError::Nul(at)),
            None => Ok(Self(bytes)),
        }
    }
}

impl<const MAX: usize> TryFrom<&str> for ByteString<MAX> {
    type Error = ByteStringError;

    fn try_from(text: &str) -> Result<Self, ByteStringError> {
        text.as_bytes().to_vec().try_into()
    }
}

/// Lossy, for messages.
impl<const MAX: usize> std::fmt::Display for ByteString<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl<const MAX: usize> std::fmt::Debug for ByteString<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<const MAX: usize> Wire for ByteString<MAX> {
    fn put(&self, out: &mut Encoder) {
        out.bytes(&self.0);
    }

    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let bytes = input.bytes()?;
        Self::try_from(bytes.to_vec()).or(Err(DecodeError::Value("byte string")))
    }
}
