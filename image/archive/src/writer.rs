//! Writes small archives: ustar headers, with PAX records where ustar has no room.

use std::io::{self, Write};

use crate::entry::{Entry, Kind};
use crate::header::BLOCK_BYTES;

/// Writes a tar stream. [`TarWriter::finish`] writes the end marker.
#[derive(Debug)]
pub struct TarWriter<W> {
    sink: W,
}

impl<W: Write> TarWriter<W> {
    /// Write to this sink.
    pub fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Write one entry with its contents, whose length takes the place of `entry.size`.
    ///
    /// # Errors
    /// The sink's; and a number that no header holds.
    pub fn append(&mut self, entry: &Entry, contents: &[u8]) -> io::Result<()> {
        let records = records(entry, contents.len() as u64);
        if !records.is_empty() {
            let mut header = Block::new(b"PaxHeader", b'x');
            header.number(100, 8, 0o644)?;
            header.number(124, 12, records.len() as u64)?;
            self.write_padded(&header.sealed()?, &records)?;
        }
        let mut header = Block::new(&entry.path, typeflag(entry.kind));
        header.text(157, 100, &entry.link);
        header.number(100, 8, u64::from(entry.mode))?;
        header.number_or_zero(108, 8, entry.uid);
        header.number_or_zero(116, 8, entry.gid);
        header.number_or_zero(124, 12, contents.len() as u64);
        header.number_or_zero(136, 12, u64::try_from(entry.mtime.seconds).unwrap_or(u64::MAX));
        header.number(329, 8, entry.major)?;
        header.number(337, 8, entry.minor)?;
        self.write_padded(&header.sealed()?, contents)
    }

    /// Write the end marker.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.sink)
    }

    fn write_padded(&mut self, header: &[u8; BLOCK_BYTES], contents: &[u8]) -> io::Result<()> {
        self.sink.write_all(header)?;
        self.sink.write_all(contents)?;
        let padding = contents.len().next_multiple_of(BLOCK_BYTES) - contents.len();
        let zeros = [0; BLOCK_BYTES];
        self.sink.write_all(zeros.get(..padding).unwrap_or_default())
    }
}

/// One PAX record. Its length counts its own digits.
pub(crate) fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let without = key.len() + value.len() + 3;
    let mut length = without + 1;
    while length != without + length.to_string().len() {
        length = without + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// What the header has no room for.
fn records(entry: &Entry, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if entry.path.len() > 100 {
        records.extend(pax_record(b"path", &entry.path));
    }
    if entry.link.len() > 100 {
        records.extend(pax_record(b"linkpath", &entry.link));
    }
    for (key, value, most) in
        [("size", size, 1 << 33), ("uid", entry.uid, 1 << 21), ("gid", entry.gid, 1 << 21)]
    {
        if value >= most {
            records.extend(pax_record(key.as_bytes(), value.to_string().as_bytes()));
        }
    }
    let time = entry.mtime;
    if time.nanoseconds != 0 || time.seconds < 0 || time.seconds >= 1 << 33 {
        records.extend(pax_record(b"mtime", decimal_time(time).as_bytes()));
    }
    for xattr in &entry.xattrs {
        let key = [b"SCHILY.xattr.", xattr.name.as_slice()].concat();
        records.extend(pax_record(&key, &xattr.value));
    }
    records
}

fn decimal_time(time: crate::Time) -> String {
    match (time.seconds, time.nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (seconds @ 0.., nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        // -1.5 is second -2 and 500,000,000 ns forwards.
        (seconds, nanoseconds) => {
            format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
        }
    }
}

fn typeflag(kind: Kind) -> u8 {
    match kind {
        Kind::Regular => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

struct Block([u8; BLOCK_BYTES]);

impl Block {
    fn new(path: &[u8], typeflag: u8) -> Self {
        let mut block = Self([0; BLOCK_BYTES]);
        block.text(0, 100, path);
        block.text(156, 1, &[typeflag]);
        block.text(257, 8, b"ustar\x0000");
        block
    }

    fn text(&mut self, offset: usize, length: usize, text: &[u8]) {
        let field = self.0.iter_mut().skip(offset).take(length);
        field.zip(text).for_each(|(to, from)| *to = *from);
    }

    fn number(&mut self, offset: usize, length: usize, number: u64) -> io::Result<()> {
        let digits = format!("{number:0width$o}", width = length - 1);
        if digits.len() >= length {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too large for a tar header"));
        }
        self.text(offset, length, digits.as_bytes());
        Ok(())
    }

    /// A number that a PAX record says as well if the field has no room.
    fn number_or_zero(&mut self, offset: usize, length: usize, number: u64) {
        if self.number(offset, length, number).is_err() {
            self.text(offset, length, "0".repeat(length - 1).as_bytes());
        }
    }

    fn sealed(mut self) -> io::Result<[u8; BLOCK_BYTES]> {
        self.text(148, 8, b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.number(148, 7, sum)?;
        Ok(self.0)
    }
}
