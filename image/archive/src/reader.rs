//! Reads entries and their contents, in order, with constant memory.

use std::io::{self, Read};

use crate::entry::{Entry, Kind};
use crate::error::Error;
use crate::header::{BLOCK_BYTES, Dialect, Header};
use crate::pax::{self, Extended};

/// The most entries of an archive.
pub const MAX_ENTRIES: u64 = 5_000_000;
/// The longest name or link: Linux's `PATH_MAX`, which counts the NUL.
pub const MAX_PATH_BYTES: usize = 4095;
/// The most bytes of one extended header.
pub const MAX_PAX_BYTES: u64 = 1024 * 1024;
/// The most bytes of all extended headers and long names of an archive.
pub const MAX_METADATA_BYTES: u64 = 1024 * 1024 * 1024;
/// The most padding behind the end marker. GNU tar pads to 10 KiB by default.
pub const MAX_TRAILER_BYTES: u64 = 16 * 1024 * 1024;
/// What fits the size field in octal; beyond it writers use a PAX header.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all contents together.
    pub bytes: u64,
}

/// Reads a plain tar stream.
#[derive(Debug)]
pub struct TarReader<R> {
    source: R,
    limits: Limits,
    /// Bytes of the current entry's contents not read yet.
    remaining: u64,
    /// Zeros behind them, up to the next block.
    padding: u64,
    entries: u64,
    bytes: u64,
    metadata: u64,
}

/// What extension entries said of the entry that follows them.
#[derive(Default)]
struct Pending {
    extended: Option<Extended>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    global: bool,
}

impl<R: Read> TarReader<R> {
    /// Read from this source.
    pub fn new(source: R, limits: Limits) -> Self {
        Self { source, limits, remaining: 0, padding: 0, entries: 0, bytes: 0, metadata: 0 }
    }

    /// The next entry; `None` at the end, when the source too has been read to its end.
    ///
    /// What was not read of the former entry's contents is passed over.
    ///
    /// # Errors
    /// The archive is malformed, ambiguous, truncated, or breaks a limit.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_contents()?;
        let mut pending = Pending::default();
        loop {
            let Some(block) = self.read_block()? else {
                return pending.at_end();
            };
            if block == [0; BLOCK_BYTES] {
                self.read_trailer()?;
                return pending.at_end();
            }
            let header = Header::parse(&block)?;
            match header.typeflag() {
                b'x' => {
                    let records = self.read_metadata(&header)?;
                    set_once(&mut pending.extended, pax::parse(&records)?)?;
                }
                b'g' => {
                    pax::check_global(&self.read_metadata(&header)?)?;
                    pending.global = true;
                }
                b'L' => set_once(&mut pending.long_path, self.read_long_name(&header)?)?,
                b'K' => set_once(&mut pending.long_link, self.read_long_name(&header)?)?,
                _ => {
                    let entry = pending.complete(&header)?;
                    self.begin(&entry)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of contents so far, as the entries declared them.
    pub fn content_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the current entry's contents not read yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn begin(&mut self, entry: &Entry) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::Limit { what: "entries", most: self.limits.entries });
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.bytes {
            return Err(Error::Limit { what: "bytes of contents", most: self.limits.bytes });
        }
        self.remaining = entry.size;
        self.padding = padding(entry.size);
        Ok(())
    }

    /// Records of an extended header.
    fn read_metadata(&mut self, header: &Header<'_>) -> Result<Vec<u8>, Error> {
        let size = header.size()?;
        let limit = Error::Limit { what: "bytes of an extended header", most: MAX_PAX_BYTES };
        let size = u64::try_from(size).ok().filter(|size| *size <= MAX_PAX_BYTES).ok_or(limit)?;
        self.metadata += size + BLOCK_BYTES as u64;
        if self.metadata > MAX_METADATA_BYTES {
            let most = MAX_METADATA_BYTES;
            return Err(Error::Limit { what: "bytes of extended headers", most });
        }
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(size).read_to_end(&mut bytes)?;
        if (read as u64) < size {
            return Err(Error::Truncated);
        }
        self.padding = padding(size);
        self.skip_contents()?;
        Ok(bytes)
    }

    /// GNU's long name: the name, and NULs behind it.
    fn read_long_name(&mut self, header: &Header<'_>) -> Result<Vec<u8>, Error> {
        if header.dialect() != Dialect::Gnu {
            return Err(Error::Header("a GNU long name in an archive that is not GNU's"));
        }
        let mut name = self.read_metadata(header)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        if name.get(end..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)) {
            return Err(Error::Header("NUL inside a long name"));
        }
        name.truncate(end);
        Ok(name)
    }

    /// One block; `None` if the source ends here.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Error> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Error::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }

    /// Behind the first block of zeros there may be zeros only: GNU tar's `--ignore-zeros` would
    /// read a second archive there.
    fn read_trailer(&mut self) -> Result<(), Error> {
        let mut chunk = [0; 16 * 1024];
        let mut total = 0u64;
        loop {
            let read = match self.source.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if chunk.iter().take(read).any(|byte| *byte != 0) {
                return Err(Error::TrailingData);
            }
            total += read as u64;
            if total > MAX_TRAILER_BYTES {
                return Err(Error::Limit { what: "bytes of padding", most: MAX_TRAILER_BYTES });
            }
        }
    }

    fn skip_contents(&mut self) -> Result<(), Error> {
        let skip = self.remaining + self.padding;
        let skipped = io::copy(&mut self.source.by_ref().take(skip), &mut io::sink())?;
        if skipped < skip {
            return Err(Error::Truncated);
        }
        self.remaining = 0;
        self.padding = 0;
        Ok(())
    }
}

/// The current entry's contents. An early end of the source is an error, not an end.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(into.len());
        let Some(into) = into.get_mut(..most).filter(|into| !into.is_empty()) else {
            return Ok(0);
        };
        let read = self.source.read(into)?;
        if read == 0 {
            let why = Error::Truncated.to_string();
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.remaining -= read as u64;
        Ok(read)
    }
}

impl Pending {
    /// At the archive's end nothing may be left that speaks of a next entry.
    fn at_end(self) -> Result<Option<Entry>, Error> {
        let names = self.long_path.is_some() || self.long_link.is_some();
        if self.extended.is_some() || names || self.global {
            return Err(Error::Truncated);
        }
        Ok(None)
    }

    fn complete(self, header: &Header<'_>) -> Result<Entry, Error> {
        let extended = self.extended.unwrap_or_default();
        let plain_path = header.path()?;
        let path = one_of(extended.path, self.long_path)?.unwrap_or(plain_path);
        let link = one_of(extended.link, self.long_link)?;
        let refuse = |why: &str| Err(Error::entry(&path, why));

        let kind = kind(header, &path)?;
        let link = match link {
            Some(_) if !kind.is_link() => return refuse("a link's target, but no link"),
            Some(link) => link,
            None if kind.is_link() => header.link(),
            None => Vec::new(),
        };
        if path.is_empty() {
            return refuse("an empty name");
        }
        if kind.is_link() && link.is_empty() {
            return refuse("a link to nothing");
        }
        if path.len() > MAX_PATH_BYTES || link.len() > MAX_PATH_BYTES {
            return Err(Error::Limit { what: "bytes of a name", most: MAX_PATH_BYTES as u64 });
        }
        let size = size(header, extended.size, &path)?;
        if size != 0 && kind != Kind::Regular {
            return refuse("contents, but not a regular file");
        }
        let uid = owner(extended.uid, header.uid(), &path, "uid")?;
        let gid = owner(extended.gid, header.gid(), &path, "gid")?;
        // Some writers put the file type there too, as stat(2) has it.
        let mode = u32::try_from(header.mode()? & 0o7777).unwrap_or(0);
        let seconds = header.mtime()?;
        let mtime = extended.mtime.unwrap_or(crate::Time { seconds, nanoseconds: 0 });
        let (major, minor) = header.device()?;
        let device = |number: i64| {
            u64::try_from(number).map_err(|_negative| Error::Header("negative device number"))
        };
        let (major, minor) = (device(major)?, device(minor)?);
        let xattrs = extended.xattrs;
        Ok(Entry { path, link, kind, mode, uid, gid, size, mtime, major, minor, xattrs })
    }
}

fn kind(header: &Header<'_>, path: &[u8]) -> Result<Kind, Error> {
    let slash = path.ends_with(b"/");
    Ok(match header.typeflag() {
        // Before ustar a slash was the only mark of a directory.
        0 if slash => Kind::Directory,
        b'0' | b'7' if slash => {
            return Err(Error::entry(path, "a regular file whose name ends like a directory's"));
        }
        0 | b'0' | b'7' => Kind::Regular,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(Error::entry(path, "GNU sparse files are not supported")),
        other => {
            let why = format!("unknown type {:?}", char::from(other));
            return Err(Error::entry(path, why));
        }
    })
}

/// The header and a PAX header may both say the size; what both can say must be the same.
fn size(header: &Header<'_>, extended: Option<u64>, path: &[u8]) -> Result<u64, Error> {
    let negative = |_why| Error::entry(path, "a negative size");
    let plain = u64::try_from(header.size()?).map_err(negative)?;
    match extended {
        None => Ok(plain),
        Some(size) if size == plain => Ok(size),
        // The field cannot hold it: writers leave 0 there, or the most it can hold.
        Some(size) if size > MAX_OCTAL_SIZE && matches!(plain, 0 | MAX_OCTAL_SIZE) => Ok(size),
        Some(size) => {
            let why = format!("its size is {plain} and {size}");
            Err(Error::entry(path, why))
        }
    }
}

fn owner(
    extended: Option<u64>,
    plain: Result<i64, Error>,
    path: &[u8],
    what: &str,
) -> Result<u64, Error> {
    match extended {
        Some(id) => Ok(id),
        None => u64::try_from(plain?)
            .map_err(|_negative| Error::entry(path, format!("a negative {what}"))),
    }
}

fn one_of(extended: Option<Vec<u8>>, long: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Error> {
    match (extended, long) {
        (Some(_), Some(_)) => Err(Error::Header("a name by PAX and by GNU at once")),
        (one, other) => Ok(one.or(other)),
    }
}

fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), Error> {
    if field.replace(value).is_some() {
        return Err(Error::Header("two extended headers for one entry"));
    }
    Ok(())
}

/// Zeros between contents of this size and the next block.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES as u64) - size
}
