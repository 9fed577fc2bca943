//! Bytes to values and back: the header, the [`Wire`] trait, and the macros that give records and
//! enums their numbered form.

use minicbor::data::Type;
use std::fmt;

/// The version both sides must speak; a different one in a header closes the connection.
pub const PROTOCOL_VERSION: u16 = 1;
/// The largest message on the socket, header included.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The largest body, when it comes as a sealed memfd in the message's first descriptor.
pub const MAX_LARGE_BYTES: usize = 4 * 1024 * 1024;
/// The most file descriptors that one message may carry.
pub const MAX_FDS: usize = 8;
/// How long a [`Header`] is on the wire.
pub const HEADER_BYTES: usize = 16;

/// What stands before each body: version, kind, flags, length, sequence number (little-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which request, reply or event: see [`RequestKind`](crate::RequestKind).
    pub kind: u16,
    /// The body is not in the message but in the first descriptor, a memfd sealed against
    /// shrinking, growing and writing, of `length` bytes (at most [`MAX_LARGE_BYTES`]).
    pub large: bool,
    /// The body's length in bytes.
    pub length: u32,
    /// Chosen by whoever asks; the reply has the same. Events have 0.
    pub sequence: u32,
}

const FLAG_LARGE: u16 = 1;

impl Header {
    /// The header as it stands on the wire.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let flags: u16 = if self.large { FLAG_LARGE } else { 0 };
        let mut bytes = [0; HEADER_BYTES];
        let parts = PROTOCOL_VERSION
            .to_le_bytes()
            .into_iter()
            .chain(self.kind.to_le_bytes())
            .chain(flags.to_le_bytes())
            .chain([0, 0])
            .chain(self.length.to_le_bytes())
            .chain(self.sequence.to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(parts) {
            *slot = byte;
        }
        bytes
    }

    /// Split a message into its header and body.
    ///
    /// # Errors
    /// Another version, unknown flags, non-zero reserved bytes, or a length that is not the body's.
    pub fn split(message: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (head, body) =
            message.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::Truncated)?;
        let [v0, v1, k0, k1, f0, f1, 0, 0, l0, l1, l2, l3, s0, s1, s2, s3] = *head else {
            return Err(DecodeError::Value("reserved header bytes"));
        };
        if u16::from_le_bytes([v0, v1]) != PROTOCOL_VERSION {
            return Err(DecodeError::Version(u16::from_le_bytes([v0, v1])));
        }
        let large = match u16::from_le_bytes([f0, f1]) {
            0 => false,
            FLAG_LARGE => true,
            _ => return Err(DecodeError::Value("header flags")),
        };
        let header = Self {
            kind: u16::from_le_bytes([k0, k1]),
            large,
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            sequence: u32::from_le_bytes([s0, s1, s2, s3]),
        };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let fits =
            if large { body.is_empty() && length <= MAX_LARGE_BYTES } else { body.len() == length };
        if fits { Ok((header, body)) } else { Err(DecodeError::Value("length")) }
    }
}

/// Why bytes are not a message. The receiver closes the connection and says so in its audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The message ends inside a value.
    Truncated,
    /// The other side speaks another version.
    Version(u16),
    /// A request, reply or event number that this version does not have.
    UnknownKind(u16),
    /// A record has a field number that this version does not have, or has one twice or out of order.
    UnknownField(&'static str, u64),
    /// A record lacks a field that it must have.
    MissingField(&'static str, &'static str),
    /// Not the CBOR type that belongs here, or not in its shortest form.
    WrongType(&'static str),
    /// The right type with a value that the named type does not admit.
    Value(&'static str),
    /// Bytes are left over behind the value.
    Trailing,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "message ends inside a value"),
            Self::Version(version) => {
                write!(f, "protocol version {version}, not {PROTOCOL_VERSION}")
            }
            Self::UnknownKind(kind) => write!(f, "unknown message kind {kind}"),
            Self::UnknownField(record, key) => write!(f, "{record}: unexpected field {key}"),
            Self::MissingField(record, field) => write!(f, "{record}: no {field}"),
            Self::WrongType(wanted) => write!(f, "expected {wanted}"),
            Self::Value(what) => write!(f, "value out of range: {what}"),
            Self::Trailing => write!(f, "bytes left over"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Writes CBOR into a growing buffer. Cannot fail.
#[derive(Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// The bytes written so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        let [.., b4, b5, b6, b7] = bytes;
        match value {
            0..24 => self.0.push(major | b7),
            24..0x100 => self.0.extend([major | 24, b7]),
            0x100..0x1_0000 => self.0.extend([major | 25, b6, b7]),
            0x1_0000..0x1_0000_0000 => self.0.extend([major | 26, b4, b5, b6, b7]),
            _ => {
                self.0.push(major | 27);
                self.0.extend(bytes);
            }
        }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) {
        self.head(0, value);
    }

    /// A signed integer.
    pub fn signed(&mut self, value: i64) {
        if value < 0 {
            self.head(1, value.unsigned_abs() - 1);
        } else {
            self.head(0, value.unsigned_abs());
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// The head of an array of `length` items.
    pub fn array(&mut self, length: usize) {
        self.head(4, length as u64);
    }

    /// The head of a map of `length` pairs.
    pub fn map(&mut self, length: usize) {
        self.head(5, length as u64);
    }

    /// True or false.
    pub fn bool(&mut self, value: bool) {
        self.0.push(if value { 0xf5 } else { 0xf4 });
    }
}

/// Reads CBOR from a slice. Every method checks type and length before it hands anything out.
#[derive(Debug)]
pub struct Decoder<'b>(minicbor::Decoder<'b>);

impl<'b> Decoder<'b> {
    /// Read from `bytes`.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(minicbor::Decoder::new(bytes))
    }

    /// The encoding is canonical when what was read, written again, is as long as what was read.
    fn canonical(&self, start: usize, value: u64) -> Result<(), DecodeError> {
        let shortest = match value {
            0..24 => 1,
            24..0x100 => 2,
            0x100..0x1_0000 => 3,
            0x1_0000..0x1_0000_0000 => 5,
            _ => 9,
        };
        if self.0.position() - start == shortest {
            Ok(())
        } else {
            Err(DecodeError::WrongType("shortest form"))
        }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let start = self.0.position();
        let value = self.0.u64().map_err(|error| wrong(&error, "unsigned"))?;
        self.canonical(start, value)?;
        Ok(value)
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let start = self.0.position();
        let value = self.0.i64().map_err(|error| wrong(&error, "integer"))?;
        let magnitude = if value < 0 { value.unsigned_abs() - 1 } else { value.unsigned_abs() };
        self.canonical(start, magnitude)?;
        Ok(value)
    }

    /// True or false.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.0.bool().map_err(|error| wrong(&error, "bool"))
    }

    /// A byte string of definite length.
    pub fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        if self.0.datatype().map_err(|error| wrong(&error, "bytes"))? != Type::Bytes {
            return Err(DecodeError::WrongType("bytes"));
        }
        let start = self.0.position();
        let bytes = self.0.bytes().map_err(|error| wrong(&error, "bytes"))?;
        self.canonical(start + bytes.len(), bytes.len() as u64)?;
        Ok(bytes)
    }

    /// The head of an array of at most `max` items.
    pub fn array(&mut self, max: usize) -> Result<usize, DecodeError> {
        let start = self.0.position();
        let length = self.0.array().map_err(|error| wrong(&error, "array"))?;
        self.definite(start, length, max)
    }

    /// The head of a map of at most `max` pairs.
    pub fn map(&mut self, max: usize) -> Result<usize, DecodeError> {
        let start = self.0.position();
        let length = self.0.map().map_err(|error| wrong(&error, "map"))?;
        self.definite(start, length, max)
    }

    fn definite(
        &self,
        start: usize,
        length: Option<u64>,
        max: usize,
    ) -> Result<usize, DecodeError> {
        let length = length.ok_or(DecodeError::WrongType("definite length"))?;
        self.canonical(start, length)?;
        match usize::try_from(length) {
            Ok(length) if length <= max => Ok(length),
            _ => Err(DecodeError::Value("number of items")),
        }
    }

    /// There is nothing left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.position() == self.0.input().len() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}

fn wrong(error: &minicbor::decode::Error, wanted: &'static str) -> DecodeError {
    if error.is_end_of_input() { DecodeError::Truncated } else { DecodeError::WrongType(wanted) }
}

/// A value that can cross the channel.
pub trait Wire: Sized {
    /// Append the value's one CBOR item.
    fn put(&self, out: &mut Encoder);
    /// Read the value's one CBOR item.
    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// The value's bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        self.put(&mut out);
        out.into_bytes()
    }

    /// Exactly one value, and nothing behind it.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let value = Self::get(&mut input)?;
        input.end()?;
        Ok(value)
    }
}

macro_rules! wire_unsigned {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Encoder) {
                out.unsigned(u64::from(*self));
            }
            fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::try_from(input.unsigned()?).or(Err(DecodeError::Value(stringify!($type))))
            }
        }
    )*};
}
wire_unsigned!(u8, u16, u32, u64);

macro_rules! wire_signed {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Encoder) {
                out.signed(i64::from(*self));
            }
            fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::try_from(input.signed()?).or(Err(DecodeError::Value(stringify!($type))))
            }
        }
    )*};
}
wire_signed!(i16, i32, i64);

impl Wire for bool {
    fn put(&self, out: &mut Encoder) {
        out.bool(*self);
    }
    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.bool()
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Encoder) {
        out.bytes(self);
    }
    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.bytes()?.try_into().or(Err(DecodeError::Value("fixed-size bytes")))
    }
}

/// Nothing, or one value: an array of none or one.
impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Encoder) {
        out.array(usize::from(self.is_some()));
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match input.array(1)? {
            0 => Ok(None),
            _ => Ok(Some(T::get(input)?)),
        }
    }
}

/// A record: a struct whose fields have numbers on the wire. All fields are always there.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $key:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $crate::codec::Wire for $name {
            fn put(&self, out: &mut $crate::codec::Encoder) {
                out.map([$(stringify!($field)),*].len());
                $(
                    out.unsigned($key);
                    $crate::codec::Wire::put(&self.$field, out);
                )*
            }

            fn get(input: &mut $crate::codec::Decoder<'_>) -> Result<Self, $crate::codec::DecodeError> {
                use $crate::codec::DecodeError;
                let length = [$(stringify!($field)),*].len();
                let given = input.map(length + 1)?;
                let mut read = 0;
                $(
                    if read == given {
                        return Err(DecodeError::MissingField(stringify!($name), stringify!($field)));
                    }
                    match input.unsigned()? {
                        $key => {}
                        other => return Err(DecodeError::UnknownField(stringify!($name), other)),
                    }
                    read += 1;
                    let $field = <$type as $crate::codec::Wire>::get(input)?;
                )*
                if read < given {
                    return Err(DecodeError::UnknownField(stringify!($name), input.unsigned()?));
                }
                Ok(Self { $($field,)* })
            }
        }
    };
}

/// An enum: `[number, field, ...]`.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $key:literal $variant:ident
            $({ $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ })?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant $({ $($(#[$field_meta])* $field: $type,)+ })?,)*
        }

        impl $crate::codec::Wire for $name {
            fn put(&self, out: &mut $crate::codec::Encoder) {
                match self {
                    $(Self::$variant $({ $($field,)+ })? => {
                        const FIELDS: &[&str] = &[$($(stringify!($field)),+)?];
                        out.array(1 + FIELDS.len());
                        out.unsigned($key);
                        $($($crate::codec::Wire::put($field, out);)+)?
                    })*
                }
            }

            fn get(input: &mut $crate::codec::Decoder<'_>) -> Result<Self, $crate::codec::DecodeError> {
                use $crate::codec::DecodeError;
                let length = input.array(16)?;
                if length == 0 {
                    return Err(DecodeError::Value(stringify!($name)));
                }
                match input.unsigned()? {
                    $($key => {
                        const FIELDS: &[&str] = &[$($(stringify!($field)),+)?];
                        if length != 1 + FIELDS.len() {
                            return Err(DecodeError::Value(stringify!($name)));
                        }
                        Ok(Self::$variant $({ $($field: <$type as $crate::codec::Wire>::get(input)?,)+ })?)
                    })*
                    other => Err(DecodeError::UnknownField(stringify!($name), other)),
                }
            }
        }
    };
}

pub use {choice, record};
