//! The 512-byte header block in its four dialects: V7, POSIX ustar, GNU, and star.
//!
//! Reference: POSIX.1-2024 `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".

use crate::error::Error;

/// The unit of a tar archive.
pub const BLOCK_BYTES: usize = 512;

/// The header as it stands, fields by their offsets.
#[derive(Clone, Copy)]
pub(crate) struct Header<'a>(&'a [u8; BLOCK_BYTES]);

/// Which program's extensions a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// No magic number.
    V7,
    /// `ustar`, with a prefix for the name.
    Ustar,
    /// `ustar  `, whose prefix field holds other things.
    Gnu,
}

/// Whether a block is a tar header: for telling layers from JSON, no promise that the rest is.
pub fn is_header(block: &[u8; BLOCK_BYTES]) -> bool {
    Header(block).checksum_holds()
}

impl<'a> Header<'a> {
    /// The header in this block.
    ///
    /// # Errors
    /// [`Error::Header`]: the checksum does not hold, or a field that should be a number is none,
    /// whether this entry needs it or not: other readers look at all of them.
    pub(crate) fn parse(block: &'a [u8; BLOCK_BYTES]) -> Result<Self, Error> {
        let header = Self(block);
        if !header.checksum_holds() {
            return Err(Error::Header("wrong checksum"));
        }
        for number in [Self::mode, Self::uid, Self::gid, Self::size, Self::mtime] {
            number(&header)?;
        }
        header.device()?;
        Ok(header)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.field::<257, 8>() {
            b"ustar\x0000" => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }

    pub(crate) fn typeflag(&self) -> u8 {
        let [flag] = self.field::<156, 1>();
        *flag
    }

    /// Prefix and name.
    pub(crate) fn path(&self) -> Result<Vec<u8>, Error> {
        let name = text(self.field::<0, 100>());
        let prefix = match self.dialect() {
            Dialect::Ustar if self.is_star() => text(self.field::<345, 131>()),
            Dialect::Ustar => text(self.field::<345, 155>()),
            // Some readers take it for a prefix here too, and GNU tar for times.
            Dialect::Gnu | Dialect::V7 if self.field::<345, 155>() != &[0; 155] => {
                return Err(Error::Header("a prefix where this format has none"));
            }
            Dialect::Gnu | Dialect::V7 => &[],
        };
        Ok(if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() })
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(self.field::<157, 100>()).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<i64, Error> {
        number(self.field::<100, 8>(), "mode")
    }

    pub(crate) fn uid(&self) -> Result<i64, Error> {
        number(self.field::<108, 8>(), "uid")
    }

    pub(crate) fn gid(&self) -> Result<i64, Error> {
        number(self.field::<116, 8>(), "gid")
    }

    pub(crate) fn size(&self) -> Result<i64, Error> {
        number(self.field::<124, 12>(), "size")
    }

    pub(crate) fn mtime(&self) -> Result<i64, Error> {
        number(self.field::<136, 12>(), "mtime")
    }

    /// Major and minor number; V7 has zeros there.
    pub(crate) fn device(&self) -> Result<(i64, i64), Error> {
        Ok((
            number(self.field::<329, 8>(), "major device number")?,
            number(self.field::<337, 8>(), "minor device number")?,
        ))
    }

    /// star's ustar header ends with `tar\0` and has times behind a shorter prefix.
    fn is_star(&self) -> bool {
        self.field::<508, 4>() == b"tar\0"
    }

    /// The sum of all bytes, the field itself taken for blanks; old programs summed signed bytes.
    fn checksum_holds(&self) -> bool {
        let Ok(stored) = number(self.field::<148, 8>(), "checksum") else { return false };
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        stored == unsigned || stored == signed
    }

    fn field<const OFFSET: usize, const LENGTH: usize>(&self) -> &'a [u8; LENGTH] {
        const {
            assert!(OFFSET + LENGTH <= BLOCK_BYTES, "a field lies inside the block");
        }
        // The assertion above makes both steps succeed; the fallback is never reached.
        self.0.get(OFFSET..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; LENGTH])
    }
}

/// Bytes up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between blanks and NULs, or, with the first bit set, a big-endian two's complement
/// number (GNU's and star's "base-256"). An empty field is 0.
fn number(field: &[u8], what: &'static str) -> Result<i64, Error> {
    let malformed = Error::Header(what);
    if let Some((first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        // The first byte is the sign; some readers know no other in this place.
        let mut value = match first {
            0x80 => 0i128,
            0xff => -1,
            _ => return Err(malformed),
        };
        for byte in rest {
            value = value << 8 | i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_too_large| malformed);
    }
    let digits = trim(field);
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => Ok(value << 3 | i64::from(digit - b'0')),
        _ => Err(Error::Header(what)),
    })
}

/// Without blanks in front, and without blanks and NULs behind. At most 12 digits: 36 bits.
fn trim(field: &[u8]) -> &[u8] {
    let begin = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let field = field.get(begin..).unwrap_or_default();
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    // Something behind the terminator is a digit to some programs and not to others.
    if rest.iter().all(|byte| matches!(byte, 0 | b' ')) { digits } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        for (field, expected) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"644\x001\0\0\0", None),
            (b"6 44\0\0\0\0", None),
            (b"0x1\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field, "number").ok(), expected, "{field:?}");
        }
    }
}
