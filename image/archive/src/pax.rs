//! PAX extended headers (POSIX.1-2024 `pax`, "pax Extended Header"): `LENGTH KEY=VALUE\n` records.
//!
//! Malformed is refused, not skipped: readers that disagree on where a record ends disagree on
//! what is in the archive.

use crate::entry::{Time, Xattr};
use crate::error::Error;

/// What an extended header says of the next entry.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Time>,
    pub(crate) xattrs: Vec<Xattr>,
}

/// How star, GNU tar and Go write extended attributes.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
/// How bsdtar does, with base64 values; it writes the other too, so this one is passed over.
const LIBARCHIVE_PREFIX: &[u8] = b"LIBARCHIVE.xattr.";
/// GNU tar's sparse files, which put contents where other readers see other contents.
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// Read the records of a local extended header.
pub(crate) fn parse(mut records: &[u8]) -> Result<Extended, Error> {
    let mut extended = Extended::default();
    while !records.is_empty() {
        let Record { key, value, rest } = record(records)?;
        records = rest;
        extended.set(key, value)?;
    }
    Ok(extended)
}

/// Check the records of a global header: those that would change entries are refused, because Go's
/// reader, and so Docker, leaves them out, and GNU tar and Python do not.
pub(crate) fn check_global(mut records: &[u8]) -> Result<(), Error> {
    while !records.is_empty() {
        let Record { key, value, rest } = record(records)?;
        records = rest;
        let mut changes = Extended::default();
        changes.set(key, value)?;
        if changes != Extended::default() {
            return Err(refused("a global header that changes entries, by", key));
        }
    }
    Ok(())
}

impl Extended {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        match key {
            // To POSIX and Go "as the plain header says", to Python "empty".
            b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {
                Err(refused("nothing in", key))
            }
            b"path" => set_once(&mut self.path, key, text(key, value)?),
            b"linkpath" => set_once(&mut self.link, key, text(key, value)?),
            b"size" => set_once(&mut self.size, key, decimal(key, value)?),
            b"uid" => set_once(&mut self.uid, key, decimal(key, value)?),
            b"gid" => set_once(&mut self.gid, key, decimal(key, value)?),
            b"mtime" => set_once(&mut self.mtime, key, time(key, value)?),
            b"hdrcharset"
                if !value.starts_with(b"ISO-IR 10646 2000 UTF-8") && value != b"BINARY" =>
            {
                Err(refused("an unknown character set in", key))
            }
            _ if key.starts_with(SPARSE_PREFIX) => Err(refused("a sparse file, by", key)),
            _ if key.starts_with(LIBARCHIVE_PREFIX) => Ok(()),
            _ => match key.strip_prefix(XATTR_PREFIX) {
                Some(name) => self.set_xattr(key, name, value),
                None => Ok(()),
            },
        }
    }

    fn set_xattr(&mut self, key: &[u8], name: &[u8], value: &[u8]) -> Result<(), Error> {
        if name.is_empty() || self.xattrs.iter().any(|xattr| xattr.name == name) {
            return Err(refused("an attribute without a name, or twice:", key));
        }
        self.xattrs.push(Xattr { name: name.to_vec(), value: value.to_vec() });
        Ok(())
    }
}

fn set_once<T>(field: &mut Option<T>, key: &[u8], value: T) -> Result<(), Error> {
    if field.replace(value).is_some() {
        return Err(refused("twice", key));
    }
    Ok(())
}

/// One record, and what stands behind it.
struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

/// The first record.
fn record(records: &[u8]) -> Result<Record<'_>, Error> {
    const MALFORMED: Error = Error::Header("malformed PAX record");
    let blank = records.iter().take(20).position(|byte| *byte == b' ').ok_or(MALFORMED)?;
    let (digits, _) = records.split_at(blank);
    let length = decimal(b"length", digits).map_err(|_why| MALFORMED)?;
    let length = usize::try_from(length).map_err(|_why| MALFORMED)?;
    let (whole, rest) = records.split_at_checked(length).ok_or(MALFORMED)?;
    let inside = whole.get(blank + 1..).and_then(|inside| inside.strip_suffix(b"\n"));
    let inside = inside.ok_or(MALFORMED)?;
    let equals = inside.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
    let (key, value) = inside.split_at(equals);
    if key.is_empty() || key.contains(&0) {
        return Err(MALFORMED);
    }
    Ok(Record { key, value: value.get(1..).unwrap_or_default(), rest })
}

fn text(key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
    if value.contains(&0) {
        return Err(refused("NUL in", key));
    }
    Ok(value.to_vec())
}

/// Digits only: no sign, no blank, no leading zero that one reader takes for octal.
fn decimal(key: &[u8], value: &[u8]) -> Result<u64, Error> {
    let canonical = value == b"0" || (!value.is_empty() && !value.starts_with(b"0"));
    let number = value.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number
        .filter(|number| canonical && i64::try_from(*number).is_ok())
        .ok_or_else(|| refused("not a number in", key))
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are dropped.
fn time(key: &[u8], value: &[u8]) -> Result<Time, Error> {
    let malformed = || refused("not a time in", key);
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
        Some(dot) => (value.get(..dot), value.get(dot + 1..)),
        None => (Some(value), None),
    };
    let whole = whole.unwrap_or_default();
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || whole.len() > 18 || !digits(whole) || !fraction.is_none_or(digits) {
        return Err(malformed());
    }
    let seconds = whole.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let fraction = fraction.unwrap_or_default().iter().map(|digit| digit - b'0');
    let nanoseconds = fraction
        .chain(std::iter::repeat(0))
        .take(9)
        .fold(0u32, |sum, digit| sum * 10 + u32::from(digit));
    Ok(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds },
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

fn refused(what: &str, key: &[u8]) -> Error {
    Error::entry(b"PAX header", format!("{what} {}", String::from_utf8_lossy(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        pairs
            .iter()
            .flat_map(|(key, value)| crate::writer::pax_record(key.as_bytes(), value.as_bytes()))
            .collect()
    }

    #[test]
    fn records_say_what_they_say() {
        let read = parse(&records(&[
            ("path", "a=b\nc"),
            ("size", "9000000000"),
            ("mtime", "-1.5"),
            ("SCHILY.xattr.user.x", "1"),
            ("comment", "anything"),
        ]))
        .unwrap();
        assert_eq!(read.path.as_deref(), Some(b"a=b\nc".as_slice()));
        assert_eq!(read.size, Some(9_000_000_000));
        assert_eq!(read.mtime, Some(Time { seconds: -2, nanoseconds: 500_000_000 }));
        assert_eq!(read.xattrs.len(), 1);
    }

    #[test]
    fn d5_malformed_records_are_refused_not_skipped() {
        for (rule, bad) in [
            ("no length", b"path=a\n".to_vec()),
            ("too short", b"8 path=a\n".to_vec()),
            ("too long", b"12 path=a\n".to_vec()),
            ("a zero in front", b"010 path=a\n".to_vec()),
            ("a sign", b"+9 path=a\n".to_vec()),
            ("length 0", b"0 path=a\n".to_vec()),
            ("length less than its own digits", b"1 path=a\n".to_vec()),
            ("no newline", b"9 path=ab".to_vec()),
            ("no equals sign", b"7 path\n".to_vec()),
            ("no key", b"5 =a\n".to_vec()),
            ("huge length", b"99999999999999999999 path=a\n".to_vec()),
            ("NUL in the path", records(&[("path", "a\0b")])),
            ("twice the size", records(&[("size", "1"), ("size", "2")])),
            ("twice the path", records(&[("path", "a"), ("path", "a")])),
            ("a negative size", records(&[("size", "-1")])),
            ("a size with a fraction", records(&[("size", "1.0")])),
            ("an empty path", records(&[("path", "")])),
            ("an octal size", records(&[("size", "010")])),
            ("a size beyond 63 bits", records(&[("size", "9223372036854775808")])),
            ("a negative uid", records(&[("uid", "-1")])),
            ("a hexadecimal uid", records(&[("uid", "0x0")])),
            ("an endless time", records(&[("mtime", "99999999999999999999")])),
            ("a time of letters", records(&[("mtime", "1e9")])),
            ("a sparse file", records(&[("GNU.sparse.realsize", "1")])),
            (
                "twice an attribute",
                records(&[("SCHILY.xattr.user.a", "1"), ("SCHILY.xattr.user.a", "2")]),
            ),
        ] {
            assert!(parse(&bad).is_err(), "{rule}");
        }
    }

    #[test]
    fn d5_a_global_header_may_comment_and_nothing_else() {
        assert!(check_global(&records(&[("comment", "0123abcd")])).is_ok());
        for key in ["path", "linkpath", "size", "uid", "gid", "mtime", "SCHILY.xattr.user.a"] {
            assert!(check_global(&records(&[(key, "1")])).is_err(), "{key}");
        }
    }
}
